/*
 * Clients for measurements: HTTP/1.1 on kept connections, one thread. Sends one kind of request for
 * a while, and prints one JSON object about what happened within the measured time, with the CPU
 * time that the processes named by --pid used in it (all their threads, from schedstat).
 *
 * Closed loop: each of --clients sends its next request when it has the answer. With --rate requests
 * arrive at that pace whatever the answers do, and their times count from when they were due.
 * With --hold nothing is measured: the streams stay open after their first event, "open" is
 * printed, and all ends when the standard input does.
 *
 * With --sealed HINT requests look like sealed ones to a key of that hint, to whoever passes them on.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
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
#include "wire/names.h"

enum {
    CLIENTS_MAX = 4096,
    PIDS_MAX = 8,
    HEAD_MAX = 16 * 1024,
    SAMPLES_MAX = 4 * 1024 * 1024,
    STAMP_LEN = 16,
    READ_LEN = 256 * 1024,
    DUE_MAX = 65536
};

enum reading { READ_HEAD = 0, READ_LENGTH, READ_CHUNK_LINE, READ_CHUNK, READ_CHUNK_END, READ_TAIL };

struct client {
    int fd;
    bool busy;
    bool writing; /* waits for EPOLLOUT */
    size_t sent;
    uint64_t began_us;

    enum reading reading;
    char head[HEAD_MAX];
    size_t head_len;
    uint64_t left;
    bool ok;       /* status 200 */
    bool last;     /* the chunk of length 0 was seen */
    size_t tail_n; /* line ends in a row behind it */

    bool in_stamp;
    size_t stamp_n;
    uint64_t stamp;
    uint64_t events; /* of this answer */
    uint64_t event_us;
};

struct samples {
    uint32_t *at;
    size_t n;
};

static struct {
    const char *to;
    uint64_t port, clients, warm_ms, measure_ms, body_len, rate, stagger_ms;
    const char *mock;
    const char *sealed;
    bool hold;
    int pids[PIDS_MAX];
    size_t pids_n;
} args = { .to = "", .clients = 1, .warm_ms = 500, .measure_ms = 2000, .body_len = 1024 };

static struct client clients[CLIENTS_MAX];
static char *request;
static size_t request_len;
static int poll_fd;
static uint64_t now_us;
static bool measuring;
static size_t opened; /* with --hold: streams that had their first event */

static uint64_t due[DUE_MAX]; /* open loop: a ring of arrivals nobody took yet */
static size_t due_at, due_n;
static uint64_t next_due_us;

static struct samples whole, first, lag, gap;
static uint64_t answers, events, errors, reads, late;
static char sample_error[128];

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

static void note(struct samples *s, uint64_t us)
{
    if (!measuring || s->n == SAMPLES_MAX)
        return;
    if (s->at == NULL)
        s->at = malloc(SAMPLES_MAX * sizeof *s->at);
    if (s->at == NULL)
        die("malloc");
    s->at[s->n++] = us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;
}

/* ---- connections ---- */

static void watch(struct client *c, int op)
{
    struct epoll_event e = { .events = c->writing ? EPOLLIN | EPOLLOUT : EPOLLIN,
                             .data.u64 = (uint64_t)(c - clients) };
    if (epoll_ctl(poll_fd, op, c->fd, &e) != 0)
        die("epoll_ctl");
}

static void connect_client(struct client *c)
{
    struct sockaddr_in at = { .sin_family = AF_INET,
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                              .sin_port = htons((uint16_t)args.port) };
    int on = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&at, sizeof at) != 0)
        die("connect");
    (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)fcntl(c->fd, F_SETFL, O_NONBLOCK);
    c->writing = false;
    watch(c, EPOLL_CTL_ADD);
}

static void send_more(struct client *c)
{
    ssize_t n = send(c->fd, request + c->sent, request_len - c->sent, MSG_NOSIGNAL);
    if (n > 0)
        c->sent += (size_t)n;
    bool writing = c->sent < request_len;
    if (writing != c->writing) {
        c->writing = writing;
        watch(c, EPOLL_CTL_MOD);
    }
}

static void start(struct client *c, uint64_t since_us)
{
    c->busy = true;
    c->sent = 0;
    c->began_us = since_us;
    c->reading = READ_HEAD;
    c->head_len = 0;
    c->last = false;
    c->tail_n = 0;
    c->in_stamp = false;
    c->events = 0;
    send_more(c);
}

static void start_next(struct client *c)
{
    c->busy = false;
    if (args.rate == 0) {
        start(c, now_us);
    } else if (due_n > 0) {
        start(c, due[due_at]);
        due_at = (due_at + 1) % DUE_MAX;
        due_n--;
    }
}

static void fault(struct client *c, const char *what)
{
    errors++;
    if (sample_error[0] == '\0')
        (void)snprintf(sample_error, sizeof sample_error, "%s: %.60s", what, c->head);
    (void)close(c->fd);
    connect_client(c);
    start_next(c);
}

/* ---- answers ---- */

static void finish(struct client *c)
{
    if (!c->ok) {
        errors++;
        if (sample_error[0] == '\0')
            (void)snprintf(sample_error, sizeof sample_error, "%.60s", c->head);
    } else if (measuring) {
        answers++;
        note(&whole, now_us - c->began_us);
    }
    start_next(c);
}

static void on_event(struct client *c)
{
    if (c->events == 0) {
        opened++;
        note(&first, now_us - c->began_us);
    } else {
        note(&gap, now_us - c->event_us);
    }
    note(&lag, now_us > c->stamp ? now_us - c->stamp : 0);
    c->events++;
    c->event_us = now_us;
    if (measuring)
        events++;
}

/* The bytes of an answer's body, whatever its framing. */
static void look(struct client *c, const char *at, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (!c->in_stamp) {
            const char *mark = memchr(at + i, '@', len - i);
            if (mark == NULL)
                return;
            i = (size_t)(mark - at);
            c->in_stamp = true;
            c->stamp = 0;
            c->stamp_n = 0;
        } else if (c->stamp_n < STAMP_LEN) {
            c->stamp = c->stamp * 10 + (uint64_t)(at[i] - '0');
            c->stamp_n++;
        } else { /* the second '@' */
            c->in_stamp = false;
            on_event(c);
        }
    }
}

static void end_head(struct client *c)
{
    const char *length = strcasestr(c->head, "\r\ncontent-length:");
    c->ok = strncmp(c->head, "HTTP/1.1 200", 12) == 0;
    if (length == NULL) {
        c->reading = READ_CHUNK_LINE;
        c->left = 0;
        return;
    }
    length += sizeof "\r\ncontent-length:" - 1;
    length += strspn(length, " ");
    c->left = 0;
    (void)text_u64(bytes_of(length, strspn(length, "0123456789")), &c->left);
    c->reading = READ_LENGTH;
}

/* Returns how much was the head's. */
static size_t take_head(struct client *c, const char *at, size_t len)
{
    size_t had = c->head_len;
    size_t n = len < HEAD_MAX - 1 - had ? len : HEAD_MAX - 1 - had;
    memcpy(c->head + had, at, n);
    c->head_len += n;
    c->head[c->head_len] = '\0';
    const char *end = strstr(c->head, "\r\n\r\n");
    if (end == NULL)
        return n;
    end_head(c);
    return (size_t)(end + 4 - c->head) - had;
}

static size_t take_content(struct client *c, const char *at, size_t len)
{
    size_t n = len < c->left ? len : c->left;
    look(c, at, n);
    c->left -= n;
    return n;
}

static void take_chunk_line(struct client *c, char in)
{
    if (in >= '0' && in <= '9')
        c->left = c->left * 16 + (uint64_t)(in - '0');
    else if (in >= 'a' && in <= 'f')
        c->left = c->left * 16 + (uint64_t)(in - 'a' + 10);
    else if (in >= 'A' && in <= 'F')
        c->left = c->left * 16 + (uint64_t)(in - 'A' + 10);
    else if (in == '\n' && c->left == 0) {
        c->reading = READ_TAIL;
        c->tail_n = 1;
    } else if (in == '\n')
        c->reading = READ_CHUNK;
}

/* Trailers end with an empty line. */
static bool take_tail(struct client *c, char in)
{
    if (in == '\n')
        c->tail_n++;
    else if (in != '\r')
        c->tail_n = 0;
    return c->tail_n == 2;
}

/* One step; false when the answer is complete. */
static bool take(struct client *c, const char **at, size_t *len)
{
    size_t n = 1;
    bool more = true;
    switch (c->reading) {
    case READ_HEAD:
        n = take_head(c, *at, *len);
        more = c->reading != READ_LENGTH || c->left > 0;
        break;
    case READ_LENGTH:
        n = take_content(c, *at, *len);
        more = c->left > 0;
        break;
    case READ_CHUNK_LINE:
        take_chunk_line(c, **at);
        break;
    case READ_CHUNK:
        n = take_content(c, *at, *len);
        if (c->left == 0)
            c->reading = READ_CHUNK_END;
        break;
    case READ_CHUNK_END:
        if (**at == '\n')
            c->reading = READ_CHUNK_LINE;
        break;
    case READ_TAIL:
        more = !take_tail(c, **at);
        break;
    }
    *at += n;
    *len -= n;
    return more;
}

static void on_readable(struct client *c)
{
    static char in[READ_LEN];
    ssize_t n = recv(c->fd, in, sizeof in, 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        fault(c, "closed");
        return;
    }
    uint64_t had = events;
    const char *at = in;
    for (size_t len = (size_t)n; len > 0;) {
        if (!c->busy) {
            fault(c, "unasked");
            return;
        }
        if (!take(c, &at, &len))
            finish(c);
    }
    if (events > had)
        reads++;
}

/* ---- the processor's time ---- */

static uint64_t read_ns(const char *path)
{
    char text[128];
    uint64_t ns = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    if (fd >= 0)
        (void)close(fd);
    if (n <= 0)
        return 0;
    text[n] = '\0';
    (void)text_u64(bytes_of(text, strspn(text, "0123456789")), &ns);
    return ns;
}

static uint64_t cpu_ns(int pid)
{
    char path[512];
    uint64_t sum = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *threads = opendir(path);
    if (threads == NULL)
        die(path);
    for (const struct dirent *d; (d = readdir(threads)) != NULL;) {
        (void)snprintf(path, sizeof path, "/proc/%d/task/%s/schedstat", pid, d->d_name);
        if (d->d_name[0] != '.')
            sum += read_ns(path);
    }
    (void)closedir(threads);
    return sum;
}

/* ---- the course of things ---- */

static void arrive(void)
{
    while (args.rate > 0 && next_due_us <= now_us) {
        if (due_n < DUE_MAX)
            due[(due_at + due_n++) % DUE_MAX] = next_due_us;
        else
            late++;
        next_due_us += 1000000 / args.rate;
    }
    for (size_t i = 0; due_n > 0 && i < args.clients; i++) {
        if (!clients[i].busy)
            start_next(&clients[i]);
    }
}

static void turn(int wait_ms)
{
    struct epoll_event e[256];
    int n = epoll_wait(poll_fd, e, 256, wait_ms);
    now_us = steady_us();
    for (int i = 0; i < n; i++) {
        struct client *c = &clients[e[i].data.u64];
        now_us = steady_us();
        if ((e[i].events & EPOLLOUT) != 0)
            send_more(c);
        if ((e[i].events & ~(uint32_t)EPOLLOUT) != 0)
            on_readable(c);
    }
    arrive();
}

static void run_until(uint64_t end_us)
{
    while (now_us < end_us)
        turn(args.rate > 0 ? 1 : 10);
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void print_samples(const char *name, struct samples *s)
{
    if (s->n == 0)
        return;
    qsort(s->at, s->n, sizeof *s->at, compare);
    (void)printf(",\"%s_n\":%zu,\"%s_p50_us\":%u,\"%s_p99_us\":%u", name, s->n, name,
                 s->at[s->n / 2], name, s->at[s->n * 99 / 100]);
}

static void measure(void)
{
    uint64_t before[PIDS_MAX] = { 0 };
    uint64_t cpu[PIDS_MAX] = { 0 };
    run_until(steady_us() + args.warm_ms * 1000);
    for (size_t i = 0; i < args.pids_n; i++)
        before[i] = cpu_ns(args.pids[i]);
    measuring = true;
    errors = 0;
    uint64_t began = steady_us();
    run_until(began + args.measure_ms * 1000);
    measuring = false;
    uint64_t us = steady_us() - began;
    for (size_t i = 0; i < args.pids_n; i++)
        cpu[i] = cpu_ns(args.pids[i]) - before[i];
    (void)printf(
        "{\"us\":%llu,\"answers\":%llu,\"events\":%llu,\"reads\":%llu,\"errors\":%llu,"
        "\"late\":%llu,\"cpu_ns\":[",
        (unsigned long long)us, (unsigned long long)answers, (unsigned long long)events,
        (unsigned long long)reads, (unsigned long long)errors, (unsigned long long)late);
    for (size_t i = 0; i < args.pids_n; i++)
        (void)printf("%s%llu", i > 0 ? "," : "", (unsigned long long)cpu[i]);
    (void)printf("]");
    print_samples("whole", &whole);
    print_samples("first", &first);
    print_samples("lag", &lag);
    print_samples("gap", &gap);
    for (char *p = sample_error; *p != '\0'; p++)
        *p = *p < ' ' || *p == '"' || *p == '\\' ? ' ' : *p;
    (void)printf(",\"error\":\"%s\"}\n", sample_error);
}

static void hold(void)
{
    char in;
    while (opened < args.clients && errors == 0)
        turn(10);
    (void)printf(errors == 0 ? "open\n" : "failed: %s\n", sample_error);
    (void)fflush(stdout);
    (void)fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
    while (read(STDIN_FILENO, &in, 1) < 0 && errno == EAGAIN)
        turn(10);
}

static void make_request(void)
{
    static const char tail[] = "\"}]}";
    size_t size = args.body_len + 1024;
    char *body = malloc(size);
    request = malloc(2 * size);
    if (body == NULL || request == NULL)
        die("malloc");
    int n = snprintf(body, size,
                     "{\"mock\":\"%s\",\"model\":\"bench\",\"stream\":%s,"
                     "\"messages\":[{\"role\":\"user\",\"content\":\"",
                     args.mock != NULL ? args.mock : "", args.mock != NULL ? "true" : "false");
    size_t len = (size_t)n;
    while (len + sizeof tail - 1 < args.body_len)
        body[len++] = 'x';
    memcpy(body + len, tail, sizeof tail);
    len += sizeof tail - 1;
    bool sealed = args.sealed != NULL;
    n = snprintf(
        request, 2 * size,
        "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%llu\r\n"
        "Content-Type: %s\r\nAccept: */*\r\nUser-Agent: bench\r\n"
        "%s%s%sContent-Length: %zu\r\n\r\n%s",
        sealed ? PATH_OHTTP_GATEWAY : "/v1/chat/completions", (unsigned long long)args.port,
        sealed ? MEDIA_OHTTP_CHUNKED_REQ : "application/json", sealed ? FIELD_OHTTP_KEY ": " : "",
        sealed ? args.sealed : "", sealed ? "\r\n" : "", len, body);
    request_len = (size_t)n;
    free(body);
}

static uint64_t number(const char *text)
{
    uint64_t n;
    if (!text_u64(bytes_str(text), &n)) {
        (void)fprintf(stderr, "not a number: %s\n", text);
        exit(2);
    }
    return n;
}

static const char usage[] =
    "usage: bench-load --port N [--clients N] [--rate N] [--warm MS] [--measure MS]\n"
    "                  [--stagger MS] [--body BYTES] [--mock TEXT] [--hold] [--pid PID]...\n"
    "                  [--sealed HINT]\n";

static void read_one(const char *name, const char *value)
{
    static const struct {
        const char *name;
        uint64_t *to;
    } numbers[] = {
        { "--port", &args.port },          { "--clients", &args.clients },
        { "--rate", &args.rate },          { "--warm", &args.warm_ms },
        { "--measure", &args.measure_ms }, { "--body", &args.body_len },
        { "--stagger", &args.stagger_ms },
    };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (strcmp(name, numbers[i].name) == 0) {
            *numbers[i].to = number(value);
            return;
        }
    }
    if (strcmp(name, "--mock") == 0) {
        args.mock = value;
    } else if (strcmp(name, "--sealed") == 0) {
        args.sealed = value;
    } else if (strcmp(name, "--pid") == 0 && args.pids_n < PIDS_MAX) {
        args.pids[args.pids_n++] = (int)number(value);
    } else {
        (void)fputs(usage, stderr);
        exit(2);
    }
}

static void read_args(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--hold") == 0) {
            args.hold = true;
        } else if (i + 1 < argc) {
            read_one(argv[i], argv[i + 1]);
            i++;
        } else {
            (void)fputs(usage, stderr);
            exit(2);
        }
    }
    if (args.port == 0 || args.clients > CLIENTS_MAX) {
        (void)fputs(usage, stderr);
        exit(2);
    }
}

int main(int argc, char **argv)
{
    read_args(argc, argv);
    make_request();
    poll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (poll_fd < 0)
        die("epoll");
    now_us = next_due_us = steady_us();
    for (size_t i = 0; i < args.clients; i++)
        connect_client(&clients[i]);
    /* Streams of one pace that began together would stay together. */
    uint64_t began = now_us = next_due_us = steady_us();
    for (size_t i = 0; args.rate == 0 && i < args.clients; i++) {
        uint64_t at = began + i * args.stagger_ms * 1000 / args.clients;
        while (now_us < at)
            turn(0);
        start(&clients[i], now_us);
    }
    if (args.hold)
        hold();
    else
        measure();
    return 0;
}
