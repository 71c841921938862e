/*
 * A model server for measurements: HTTP/1.1, one thread, no model. What a request asks for stands in
 * its body, whose other members are ignored, so that it passes any proxy unseen:
 *
 *     {"mock":"n=200 gap=20", ...}    200 events, one every 20 ms, the first at once
 *     {"mock":"n=200 gap=0", ...}     one event after the other, as fast as they are taken
 *     {"mock":"n=1 hold=1", ...}      then silence, with the stream open
 *     anything else                   one JSON answer of ANSWER_LEN bytes
 *
 * An event carries the time at which it was made, between two '@' (microseconds of the steady
 * clock, 16 digits). Paced events are due on a grid of 1 ms.
 *
 *     bench-engine PORT
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"

enum {
    CONNS_MAX = 8192, /* highest descriptor */
    HEAD_MAX = 16 * 1024,
    START_MAX = 512, /* of a body, where "mock" is looked for */
    OUT_MAX = 2048,
    ANSWER_LEN = 1024,
    EVENT_LEN = 230,
    SLOTS = 4096, /* of the wheel, 1 ms each: the longest gap */
    READ_LEN = 256 * 1024
};

enum conn_state { CONN_HEAD = 0, CONN_BODY, CONN_STREAM };

struct conn {
    int fd;
    enum conn_state state;
    char head[HEAD_MAX];
    size_t head_len;
    char start[START_MAX];
    size_t start_len;
    uint64_t body_left;

    uint64_t events_left;
    uint64_t gap_ms;
    bool hold;
    bool blocked; /* the socket takes no more */
    char out[OUT_MAX];
    size_t out_len;

    bool timed;
    struct conn *next; /* in its slot of the wheel, or among the eager */
    struct conn **prev;
};

static struct conn *conns[CONNS_MAX];
static struct conn *wheel[SLOTS];
static size_t timed_n;
static struct conn *eager; /* streams without a pace that can write */
static uint64_t now_ms, turned_ms;
static int poll_fd;
static char answer[ANSWER_LEN + 256];
static size_t answer_len;

static uint64_t steady_us(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void list_remove(struct conn *c)
{
    if (c->prev == NULL)
        return;
    *c->prev = c->next;
    if (c->next != NULL)
        c->next->prev = c->prev;
    c->prev = NULL;
    if (c->timed)
        timed_n--;
    c->timed = false;
}

static void list_add(struct conn **list, struct conn *c)
{
    c->next = *list;
    c->prev = list;
    if (c->next != NULL)
        c->next->prev = &c->next;
    *list = c;
}

static void wait_until(struct conn *c, uint64_t at_ms)
{
    c->timed = true;
    timed_n++;
    list_add(&wheel[at_ms % SLOTS], c);
}

static void drop(struct conn *c)
{
    list_remove(c);
    conns[c->fd] = NULL;
    (void)close(c->fd);
    free(c);
}

/* ---- writing ---- */

static void watch(struct conn *c, bool writing)
{
    struct epoll_event e = { .events = writing ? EPOLLIN | EPOLLOUT : EPOLLIN, .data.fd = c->fd };
    if (epoll_ctl(poll_fd, EPOLL_CTL_MOD, c->fd, &e) != 0)
        die("epoll_ctl");
}

/* False when the connection is gone. */
static bool flush(struct conn *c)
{
    ssize_t n = send(c->fd, c->out, c->out_len, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN) {
        drop(c);
        return false;
    }
    size_t done = n > 0 ? (size_t)n : 0;
    memmove(c->out, c->out + done, c->out_len - done);
    c->out_len -= done;
    bool blocked = c->out_len > 0;
    if (blocked != c->blocked)
        watch(c, blocked);
    c->blocked = blocked;
    return true;
}

static void put(struct conn *c, const char *text, size_t len)
{
    if (len > OUT_MAX - c->out_len)
        return; /* a paced stream that nobody reads: its events are lost, not remembered */
    memcpy(c->out + c->out_len, text, len);
    c->out_len += len;
}

static void put_event(struct conn *c)
{
    char text[EVENT_LEN + 64];
    char event[EVENT_LEN + 1];
    int n = snprintf(event, sizeof event,
                     "data: {\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\","
                     "\"created\":1700000000,\"model\":\"bench\",\"choices\":[{\"index\":0,"
                     "\"delta\":{\"content\":\"@%016llu@",
                     (unsigned long long)steady_us());
    static const char tail[] = "\"},\"finish_reason\":null}]}\n\n";
    size_t body = EVENT_LEN - (sizeof tail - 1);
    memset(event + n, '.', body - (size_t)n);
    memcpy(event + body, tail, sizeof tail - 1);
    int len = snprintf(text, sizeof text, "%x\r\n%.*s\r\n", (unsigned)EVENT_LEN, EVENT_LEN, event);
    put(c, text, (size_t)len);
}

static void put_end(struct conn *c)
{
    static const char last[] =
        "data: {\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\","
        "\"created\":1700000000,\"model\":\"bench\",\"choices\":[{\"index\":0,\"delta\":{},"
        "\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    char text[512];
    int len = snprintf(text, sizeof text, "%zx\r\n%s\r\n0\r\n\r\n", sizeof last - 1, last);
    put(c, text, (size_t)len);
}

/* ---- streams ---- */

static void rest(struct conn *c)
{
    c->state = CONN_HEAD;
    c->head_len = 0;
    c->start_len = 0;
}

/* One event, and the end behind the last one. */
static void go_on(struct conn *c)
{
    put_event(c);
    c->events_left--;
    bool over = c->events_left == 0 && !c->hold;
    if (over)
        put_end(c);
    if (!flush(c))
        return;
    if (over)
        rest(c);
    else if (c->events_left > 0 && c->gap_ms > 0)
        wait_until(c, now_ms + c->gap_ms);
    else if (c->events_left > 0 && !c->blocked)
        list_add(&eager, c);
}

static void begin_stream(struct conn *c)
{
    static const char head[] =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
        "transfer-encoding: chunked\r\n\r\n";
    c->state = CONN_STREAM;
    put(c, head, sizeof head - 1);
    go_on(c);
}

static uint64_t setting(const char *text, const char *name, uint64_t otherwise)
{
    const char *at = strstr(text, name);
    uint64_t value;
    if (at == NULL)
        return otherwise;
    at += strlen(name);
    return text_u64(bytes_of(at, strspn(at, "0123456789")), &value) ? value : otherwise;
}

static void answer_request(struct conn *c)
{
    c->start[c->start_len] = '\0';
    const char *mock = strstr(c->start, "\"mock\":\"");
    c->events_left = mock != NULL ? setting(mock, "n=", 0) : 0;
    if (c->events_left == 0) {
        put(c, answer, answer_len);
        rest(c);
        (void)flush(c);
        return;
    }
    c->gap_ms = setting(mock, "gap=", 0);
    c->gap_ms = c->gap_ms < SLOTS ? c->gap_ms : SLOTS - 1;
    c->hold = setting(mock, "hold=", 0) != 0;
    begin_stream(c);
}

/* ---- reading ---- */

static void take_body(struct conn *c, const char *at, size_t len)
{
    size_t room = START_MAX - 1 - c->start_len;
    size_t n = len < room ? len : room;
    memcpy(c->start + c->start_len, at, n);
    c->start_len += n;
    c->body_left -= len < c->body_left ? len : c->body_left;
    if (c->body_left == 0)
        answer_request(c);
}

static uint64_t content_length(const char *head)
{
    const char *at = strcasestr(head, "\r\ncontent-length:");
    if (at == NULL)
        return 0;
    at += sizeof "\r\ncontent-length:" - 1;
    at += strspn(at, " ");
    return setting(at, "", 0);
}

static void take_head(struct conn *c, const char *at, size_t len)
{
    size_t had = c->head_len;
    size_t n = len < HEAD_MAX - 1 - had ? len : HEAD_MAX - 1 - had;
    memcpy(c->head + had, at, n);
    c->head_len += n;
    c->head[c->head_len] = '\0';
    const char *end = strstr(c->head, "\r\n\r\n");
    if (end == NULL) {
        if (c->head_len == HEAD_MAX - 1)
            drop(c);
        return;
    }
    size_t used = (size_t)(end + 4 - c->head) - had;
    c->body_left = content_length(c->head);
    c->state = CONN_BODY;
    take_body(c, at + used, len - used);
}

static void on_readable(struct conn *c)
{
    static char in[READ_LEN];
    ssize_t n = recv(c->fd, in, sizeof in, 0);
    if (n == 0 || (n < 0 && errno != EAGAIN)) {
        drop(c);
        return;
    }
    if (n < 0)
        return;
    if (c->state == CONN_HEAD)
        take_head(c, in, (size_t)n);
    else if (c->state == CONN_BODY)
        take_body(c, in, (size_t)n);
}

static void on_writable(struct conn *c)
{
    if (flush(c) && !c->blocked && c->state == CONN_STREAM && c->gap_ms == 0 &&
        c->events_left > 0 && c->prev == NULL)
        list_add(&eager, c);
}

static void on_connection(int listen_fd)
{
    int on = 1;
    for (int fd; (fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
        struct conn *c = fd < CONNS_MAX ? calloc(1, sizeof *c) : NULL;
        struct epoll_event e = { .events = EPOLLIN, .data.fd = fd };
        if (c == NULL || epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &e) != 0) {
            (void)close(fd);
            free(c);
            continue;
        }
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        c->fd = fd;
        conns[fd] = c;
    }
}

/* ---- time ---- */

static void turn_wheel(void)
{
    now_ms = steady_us() / 1000;
    if (timed_n == 0)
        turned_ms = now_ms;
    while (turned_ms < now_ms) {
        turned_ms++;
        struct conn *due = wheel[turned_ms % SLOTS];
        wheel[turned_ms % SLOTS] = NULL;
        if (due != NULL)
            due->prev = &due;
        while (due != NULL) {
            struct conn *c = due;
            list_remove(c);
            go_on(c);
        }
    }
}

/* One event for each stream that can take one. */
static void feed_eager(void)
{
    struct conn *list = eager;
    eager = NULL;
    if (list != NULL)
        list->prev = &list;
    while (list != NULL) {
        struct conn *c = list;
        list_remove(c);
        go_on(c);
    }
}

static int open_port(const char *port)
{
    uint64_t number;
    int on = 1;
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    if (!text_u64(bytes_str(port), &number) || number > UINT16_MAX) {
        (void)fprintf(stderr, "not a port: %s\n", port);
        exit(2);
    }
    at.sin_port = htons((uint16_t)number);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) != 0 || listen(fd, 4096) != 0)
        die("listen");
    return fd;
}

static void make_answer(void)
{
    char body[ANSWER_LEN + 1];
    static const char head[] =
        "{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion\",\"created\":1700000000,"
        "\"model\":\"bench\",\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":9,"
        "\"total_tokens\":18},\"choices\":[{\"index\":0,\"finish_reason\":\"stop\","
        "\"message\":{\"role\":\"assistant\",\"content\":\"";
    static const char tail[] = "\"}}]}";
    memset(body, '.', ANSWER_LEN);
    memcpy(body, head, sizeof head - 1);
    memcpy(body + ANSWER_LEN - (sizeof tail - 1), tail, sizeof tail - 1);
    body[ANSWER_LEN] = '\0';
    int n = snprintf(answer, sizeof answer,
                     "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
                     "content-length: %d\r\n\r\n%s",
                     ANSWER_LEN, body);
    answer_len = (size_t)n;
}

static void serve(int listen_fd)
{
    struct epoll_event events[256];
    for (;;) {
        int n = epoll_wait(poll_fd, events, 256, eager != NULL ? 0 : timed_n > 0 ? 1 : -1);
        turn_wheel();
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd == listen_fd)
                on_connection(listen_fd);
            if (conns[fd] != NULL && (events[i].events & EPOLLOUT) != 0)
                on_writable(conns[fd]);
            if (conns[fd] != NULL && (events[i].events & ~(uint32_t)EPOLLOUT) != 0)
                on_readable(conns[fd]);
        }
        feed_eager();
    }
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        (void)fprintf(stderr, "usage: bench-engine PORT\n");
        return 2;
    }
    make_answer();
    int listen_fd = open_port(argv[1]);
    struct epoll_event e = { .events = EPOLLIN, .data.fd = listen_fd };
    poll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (poll_fd < 0 || epoll_ctl(poll_fd, EPOLL_CTL_ADD, listen_fd, &e) != 0)
        die("epoll");
    turned_ms = now_ms = steady_us() / 1000;
    serve(listen_fd);
}
