/*
 * The engine over HTTP against a small scripted server on loopback, one thread per connection. The
 * path of a request is the name of the script that answers it.
 */
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/loop.h"
#include "base/mem.h"
#include "base/text.h"
#include "enclave-worker/engine_http.h"
#include "enclave-worker/engine_http_ask.h"
#include "enclave-worker/engine_http_head.h"
#include "enclave-worker/engine_plain.h"
#include "tests/lib/law.h"

/* Both ways of asking obey the same laws: this file is compiled once for each. */
#ifdef PLAIN
    #define ENGINE_NEW engine_plain_new
    #define TLS_DESCRIBED NULL
    #define CLOSES_SEEN 1
#else
    #define ENGINE_NEW engine_http_new
    #define TLS_DESCRIBED "engine http https://host/prefix"
    #define CLOSES_SEEN 0
#endif

enum {
    BIG = 16 * 1024 * 1024, /* more than two sockets hold */
    PATIENCE_MS = 20000,
    LIMIT_MS = 2000, /* a busy machine may be silent for a while */
};

/* ---- the server ---- */

struct server {
    int fd;
    unsigned port;
    char path[64]; /* of a unix socket */
    pthread_t thread;
    atomic_int connections;
    atomic_int requests;
    atomic_int left_early;  /* connections the client closed in the middle of an answer */
    atomic_size_t big_sent; /* of /big */
    atomic_bool stop;
};

struct connection {
    struct server *server;
    int fd;
};

struct asked {
    char head[65536];
    size_t head_len;
    uint8_t *body;
    size_t body_len;
};

static bool send_all(int fd, const void *at, size_t len)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = send(fd, (const char *)at + done, len - done, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        done += (size_t)n;
    }
    return true;
}

static bool say(int fd, const char *text)
{
    return send_all(fd, text, strlen(text));
}

/* The digits at the head, behind blanks. */
static size_t decimal(const char *text)
{
    size_t n = 0;
    for (text += strspn(text, " \t"); *text >= '0' && *text <= '9'; text++)
        n = n * 10 + (size_t)(*text - '0');
    return n;
}

static bool read_request(int fd, struct asked *a)
{
    char *end = NULL;
    a->head_len = 0;
    while (end == NULL && a->head_len < sizeof a->head - 1) {
        ssize_t n = recv(fd, a->head + a->head_len, sizeof a->head - 1 - a->head_len, 0);
        if (n <= 0)
            return false;
        a->head_len += (size_t)n;
        a->head[a->head_len] = '\0';
        end = strstr(a->head, "\r\n\r\n");
    }
    if (end == NULL)
        return false;
    size_t have = a->head_len - (size_t)(end + 4 - a->head);
    const char *length = strcasestr(a->head, "content-length:");
    a->body_len = length != NULL && length < end ? decimal(length + strlen("content-length:")) : 0;
    a->body = malloc(a->body_len + have + 1);
    memcpy(a->body, end + 4, have);
    for (ssize_t n; have < a->body_len; have += (size_t)n) {
        n = recv(fd, a->body + have, a->body_len - have, 0);
        if (n <= 0)
            return false;
    }
    end[4] = '\0';
    return true;
}

static void wait_for_leaving(struct server *s, int fd)
{
    char c;
    while (recv(fd, &c, 1, 0) > 0)
        ;
    atomic_fetch_add(&s->left_early, 1);
}

static bool answer_echo(int fd, const struct asked *a)
{
    char head[128];
    (void)snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n",
                   strlen(a->head) + a->body_len);
    return say(fd, head) && say(fd, a->head) && send_all(fd, a->body, a->body_len);
}

static bool answer_big(struct server *s, int fd)
{
    static const uint8_t part[16384];
    char head[96];
    (void)snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", BIG);
    if (!say(fd, head))
        return false;
    for (size_t sent = 0; sent < BIG; sent += sizeof part) {
        if (!send_all(fd, part, sizeof part))
            return false;
        atomic_fetch_add(&s->big_sent, sizeof part);
    }
    return true;
}

static void reset(int fd)
{
    const struct linger now = { .l_onoff = 1 };
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

struct script {
    const char *path;
    const char *answer;
    enum { KEEP, CLOSE, RESET, SILENT } then;
};

static const struct script SCRIPTS[] = {
    { "/length",
      "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5\r\nServer: x\r\n"
      "OpenAI-Version: 2020-10-01\r\nX-RateLimit-Limit-Requests: 7\r\nRetry-After:  3 \r\n"
      "Set-Cookie: a=b\r\n\r\nhello",
      KEEP },
    { "/chunked",
      "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
      "5\r\nhello\r\n6\r\n world\r\n0\r\nX-Trailer: 1\r\n\r\n",
      KEEP },
    { "/empty", "HTTP/1.1 204 No Content\r\n\r\n", KEEP },
    { "/interim",
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nRetry-After: 9\r\n\r\n"
      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
      KEEP },
    { "/error", "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 5\r\nContent-Length: 2\r\n\r\n{}",
      KEEP },
    { "/redirect", "HTTP/1.1 302 Found\r\nLocation: /length\r\nContent-Length: 0\r\n\r\n", KEEP },
    { "/closes-unsaid", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", CLOSE },
    { "/until-close", "HTTP/1.0 200 OK\r\n\r\nhello", CLOSE },
    { "/short", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", CLOSE },
    { "/cut-chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", CLOSE },
    { "/no-last-chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
      CLOSE },
    { "/reset", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", RESET },
    { "/cut-head", "HTTP/1.1 200 OK\r\nContent-Le", CLOSE },
    { "/nothing", "", CLOSE },
    { "/garbage", "this is no HTTP at all\r\n\r\n", CLOSE },
    { "/bad-status", "HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n", CLOSE },
    { "/silent", "", SILENT },
    { "/stall", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", SILENT },
};

static const struct script *find_script(const struct asked *a)
{
    const char *path = strchr(a->head, ' ');
    if (path == NULL)
        return NULL;
    size_t len = strcspn(path + 1, " ?");
    for (size_t i = 0; i < sizeof SCRIPTS / sizeof SCRIPTS[0]; i++) {
        if (strlen(SCRIPTS[i].path) == len && strncmp(SCRIPTS[i].path, path + 1, len) == 0)
            return &SCRIPTS[i];
    }
    return NULL;
}

/* A head of `len` bytes in all. */
static bool answer_long_head(int fd, size_t len)
{
    char *head = malloc(len + 1);
    int n = snprintf(head, len, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n");
    size_t at = (size_t)n;
    while (len - at > 4096 + 2) {
        memset(head + at, 'a', 4096);
        memcpy(head + at, "x:", 2);
        memcpy(head + at + 4094, "\r\n", 2);
        at += 4096;
    }
    memset(head + at, 'b', len - at);
    memcpy(head + at, "y:", 2);
    memcpy(head + len - 4, "\r\n\r\n", 4);
    bool sent = send_all(fd, head, len);
    free(head);
    return sent;
}

/* True when the connection goes on. */
static bool answer(struct server *s, int fd, const struct asked *a)
{
    if (strstr(a->head, " /echo") != NULL)
        return answer_echo(fd, a);
    if (strstr(a->head, " /big") != NULL)
        return answer_big(s, fd);
    if (strstr(a->head, " /head-at-limit") != NULL)
        return answer_long_head(fd, ENGINE_HTTP_HEAD_MAX);
    if (strstr(a->head, " /head-over-limit") != NULL)
        return answer_long_head(fd, ENGINE_HTTP_HEAD_MAX + 1);
    const struct script *script = find_script(a);
    if (script == NULL)
        return say(fd, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    if (!say(fd, script->answer))
        return false;
    if (script->then == SILENT)
        wait_for_leaving(s, fd);
    if (script->then == RESET)
        reset(fd);
    return script->then == KEEP;
}

static void *serve_connection(void *arg)
{
    struct connection *c = arg;
    struct asked *a = calloc(1, sizeof *a);
    while (read_request(c->fd, a)) {
        atomic_fetch_add(&c->server->requests, 1);
        bool more = answer(c->server, c->fd, a);
        free(a->body);
        a->body = NULL;
        if (!more)
            break;
    }
    free(a->body);
    free(a);
    (void)close(c->fd);
    free(c);
    return NULL;
}

static void *serve(void *arg)
{
    struct server *s = arg;
    for (;;) {
        int fd = accept(s->fd, NULL, NULL);
        if (fd < 0 || atomic_load(&s->stop)) {
            (void)close(fd);
            return NULL;
        }
        atomic_fetch_add(&s->connections, 1);
        struct connection *c = malloc(sizeof *c);
        *c = (struct connection){ .server = s, .fd = fd };
        pthread_t thread;
        if (pthread_create(&thread, NULL, serve_connection, c) == 0)
            (void)pthread_detach(thread);
    }
}

/* Lives until the process ends, so that its threads never outlive it. */
static struct server *server_start(bool with_unix_socket)
{
    struct server *s = calloc(1, sizeof *s);
    if (with_unix_socket) {
        struct sockaddr_un addr = { .sun_family = AF_UNIX };
        (void)snprintf(s->path, sizeof s->path, "/tmp/test-engine-http-%d", (int)getpid());
        (void)snprintf(addr.sun_path, sizeof addr.sun_path, "%s", s->path);
        (void)unlink(s->path);
        s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(s->fd, (const struct sockaddr *)&addr, sizeof addr), 0);
    } else {
        struct sockaddr_in addr = { .sin_family = AF_INET,
                                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t len = sizeof addr;
        s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(s->fd, (const struct sockaddr *)&addr, sizeof addr), 0);
        assert_int_equal(getsockname(s->fd, (struct sockaddr *)&addr, &len), 0);
        s->port = ntohs(addr.sin_port);
    }
    assert_int_equal(listen(s->fd, 128), 0);
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
    return s;
}

static struct server *server;

/* ---- the client's side ---- */

enum when { NEVER, AT_HEAD, AT_BODY };

struct run {
    struct loop *loop;
    struct engine *engine;
    struct engine_call *call;
    unsigned running; /* calls not ended */
    struct loop_timer patience;
    struct loop_timer poll;

    unsigned status;
    int64_t length;
    char fields[1024];
    struct buf body;
    err why;
    unsigned heads;
    unsigned ends;
    bool early; /* a callback came while paused, or out of order */

    enum when cancel;
    enum when pause;
    bool paused;
    size_t pauses;
};

static void out_of_patience(struct loop_timer *t)
{
    (void)t;
    fail_msg("the call did not end");
}

static void resume_later(struct loop_timer *t)
{
    struct run *r = CONTAINER_OF(t, struct run, poll);
    r->paused = false;
    engine_resume(r->call);
}

static void pause_now(struct run *r)
{
    r->paused = true;
    r->pauses++;
    engine_pause(r->call);
    loop_timer_start(r->loop, &r->poll, 1, resume_later);
}

static void cancel_now(struct run *r)
{
    engine_cancel(r->call);
    r->call = NULL;
    r->running--;
    loop_stop(r->loop);
}

static void on_head(void *owner, unsigned status, const struct engine_field *fields, size_t n,
                    int64_t content_length)
{
    struct run *r = owner;
    r->early |= r->paused || r->heads > 0 || r->ends > 0;
    r->heads++;
    r->status = status;
    r->length = content_length;
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(r->fields);
        (void)snprintf(r->fields + len, sizeof r->fields - len, "%.*s=%.*s;",
                       (int)fields[i].name.len, (const char *)fields[i].name.at,
                       (int)fields[i].value.len, (const char *)fields[i].value.at);
    }
    if (r->cancel == AT_HEAD)
        cancel_now(r);
    else if (r->pause == AT_HEAD)
        pause_now(r);
}

static void on_body(void *owner, bytes piece)
{
    struct run *r = owner;
    r->early |= r->paused || r->heads != 1 || r->ends > 0 || piece.len == 0;
    CHECK_OK(buf_add(&r->body, piece));
    if (r->cancel == AT_BODY)
        cancel_now(r);
    else if (r->pause == AT_BODY)
        pause_now(r);
}

static void on_end(void *owner, err why)
{
    struct run *r = owner;
    r->early |= r->paused || r->ends > 0;
    r->ends++;
    r->why = why;
    r->call = NULL;
    r->running--;
    if (r->running == 0)
        loop_stop(r->loop);
}

static const struct engine_events EVENTS = { .head = on_head, .body = on_body, .end = on_end };

static void run_open(struct run *r, const struct engine_http_settings *settings)
{
    *r = (struct run){ .body = BUF(2 * BIG) };
    char url[128];
    struct engine_http_settings s = *settings;
    if (s.url == NULL) {
        (void)snprintf(url, sizeof url, "http://127.0.0.1:%u", server->port);
        s.url = url;
    }
    CHECK_OK(loop_new(&r->loop));
    CHECK_OK(ENGINE_NEW(&r->engine, r->loop, &s));
    loop_timer_start(r->loop, &r->patience, PATIENCE_MS, out_of_patience);
}

static void run_close(struct run *r)
{
    loop_timer_stop(&r->patience);
    loop_timer_stop(&r->poll);
    engine_free(r->engine);
    loop_free(r->loop);
    buf_clear(&r->body);
    CHECK(!r->early);
}

static void ask(struct run *r, const char *method, const char *path, bytes body)
{
    const struct engine_field fields[] = {
        { BYTES_LIT("content-type"), BYTES_LIT("application/json") },
        { BYTES_LIT("x-empty"), BYTES_LIT("") },
        { BYTES_LIT("Host"), BYTES_LIT("evil") },
        { BYTES_LIT("content-length"), BYTES_LIT("1") },
        { BYTES_LIT("Transfer-Encoding"), BYTES_LIT("chunked") },
        { BYTES_LIT("authorization"), BYTES_LIT("Bearer client") },
    };
    const struct engine_request request = { .method = bytes_str(method),
                                            .path = bytes_str(path),
                                            .fields = fields,
                                            .fields_n = sizeof fields / sizeof fields[0],
                                            .body = body };
    r->heads = r->ends = 0;
    r->fields[0] = '\0';
    buf_truncate(&r->body, 0);
    CHECK_OK(engine_start(r->engine, &request, &EVENTS, r, &r->call));
    assert_int_equal(r->heads + r->ends, 0);
    r->running++;
}

static void get(struct run *r, const char *path)
{
    ask(r, "GET", path, (bytes){ 0 });
    loop_run(r->loop);
}

/* The body as a C string. */
static const char *body_text(struct run *r)
{
    return buf_str(&r->body);
}

static void brings_a_whole_answer(void **state)
{
    (void)state;
    struct run r;
    run_open(&r, &(struct engine_http_settings){ 0 });
    get(&r, "/length");
    CHECK_OK(r.why);
    assert_int_equal(r.status, 200);
    assert_int_equal(r.length, 5);
    assert_string_equal(body_text(&r), "hello");
    assert_string_equal(r.fields,
                        "content-type=application/json;openai-version=2020-10-01;"
                        "x-ratelimit-limit-requests=7;retry-after=3;");
    get(&r, "/chunked?x=1");
    CHECK_OK(r.why);
    assert_int_equal(r.length, -1);
    assert_string_equal(body_text(&r), "hello world");
    assert_string_equal(r.fields, "content-type=text/event-stream;");
    get(&r, "/empty");
    CHECK_OK(r.why);
    assert_int_equal(r.status, 204);
    assert_int_equal(r.length, 0);
    get(&r, "/error");
    CHECK_OK(r.why);
    assert_int_equal(r.status, 429);
    run_close(&r);
}

static void passes_over_interim_answers(void **state)
{
    (void)state;
    struct run r;
    run_open(&r, &(struct engine_http_settings){ 0 });
    get(&r, "/interim");
    CHECK_OK(r.why);
    assert_int_equal(r.heads, 1);
    assert_int_equal(r.status, 200);
    assert_string_equal(r.fields, "");
    assert_string_equal(body_text(&r), "ok");
    run_close(&r);
}

static void follows_no_redirect(void **state)
{
    (void)state;
    struct run r;
    run_open(&r, &(struct engine_http_settings){ 0 });
    get(&r, "/redirect");
    CHECK_OK(r.why);
    assert_int_equal(r.status, 302);
    run_close(&r);
}

/* What the server saw: ours to say are host and length; nothing is added. */
static void sends_what_it_was_given_and_nothing_else(void **state)
{
    (void)state;
    struct run r;
    run_open(&r, &(struct engine_http_settings){ 0 });
    ask(&r, "POST", "/echo?a=/../b", BYTES_LIT("{\"x\":1}"));
    loop_run(r.loop);
    CHECK_OK(r.why);
    char want[512];
    (void)snprintf(want, sizeof want,
                   "POST /echo?a=/../b HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n"
                   "content-type: application/json\r\nx-empty:\r\n"
                   "authorization: Bearer client\r\nContent-Length: 7\r\n\r\n{\"x\":1}",
                   server->port);
    assert_string_equal(body_text(&r), want);

    ask(&r, "DELETE", "/echo", (bytes){ 0 });
    loop_run(r.loop);
    CHECK(strncmp(body_text(&r), "DELETE /echo HTTP/1.1\r\n", 23) == 0);
    ask(&r, "PUT", "/echo", BYTES_LIT("x"));
    loop_run(r.loop);
    CHECK(strncmp(body_text(&r), "PUT /echo HTTP/1.1\r\n", 20) == 0);
    CHECK(strstr(body_text(&r), "Content-Length: 1\r\n\r\nx") != NULL);
    ask(&r, "POST", "/echo", (bytes){ 0 });
    loop_run(r.loop);
    CHECK(strstr(body_text(&r), "Content-Length: 0\r\n") != NULL);
    ask(&r, "GET", "/echo", (bytes){ 0 });
    loop_run(r.loop);
    CHECK(strncmp(body_text(&r), "GET /echo HTTP/1.1\r\n", 20) == 0);
    CHECK(strstr(body_text(&r), "Content-Length") == NULL);
    ask(&r, "HEAD", "/length", (bytes){ 0 });
    loop_run(r.loop);
    CHECK_OK(r.why);
    assert_int_equal(r.body.len, 0);
    assert_int_equal(r.length, 0);
    run_close(&r);
}

static void sends_the_engines_own_token(void **state)
{
    (void)state;
    char path[64];
    (void)snprintf(path, sizeof path, "/tmp/test-engine-token-%d", (int)getpid());
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    (void)fputs("canary-token\nsecond line\n", f);
    (void)fclose(f);
    struct run r;
    run_open(&r, &(struct engine_http_settings){ .token_path = path });
    (void)unlink(path);
    ask(&r, "POST", "/echo", BYTES_LIT("{}"));
    loop_run(r.loop);
    CHECK(strstr(body_text(&r), "authorization: Bearer canary-token\r\n") != NULL);
    CHECK(strstr(body_text(&r), "Bearer client") == NULL);
    CHECK(text_find(engine_describe(r.engine), BYTES_LIT("canary")) ==
          engine_describe(r.engine).len);
    run_close(&r);
}

static void carries_large_bodies(void **state)
{
    (void)state;
    BUF_AUTO body = BUF(BIG);
    static const size_t sizes[] = { 65536, 65537, 1048577, BIG - 1 };
    struct run r;
    run_open(&r, &(struct engine_http_settings){ 0 });
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        while (body.len < sizes[i])
            CHECK_OK(buf_add_u8(&body, (uint8_t)(body.len * 7)));
        ask(&r, "POST", "/echo", buf_view(&body));
        loop_run(r.loop);
        CHECK_OK(r.why);
        CHECK(bytes_ends(buf_view(&r.body), buf_view(&body)));
        CHECK(strcasestr((const char *)r.body.at, "expect") == NULL);
    }
    run_close(&r);
}

static void takes_no_broken_answer_for_a_whole_one(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        const char *why;
    } rows[] = {
        { "/short", "CLOSED" },      { "/cut-chunk", "CLOSED" },     { "/no-last-chunk", "CLOSED" },
        { "/reset", "CLOSED" },      { "/cut-head", "CLOSED" },      { "/nothing", "CLOSED" },
        { "/garbage", "MALFORMED" }, { "/bad-status", "MALFORMED" },
    };
    struct run r;
    run_open(&r, &(struct engine_http_settings){ 0 });
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        get(&r, rows[i].path);
        if (strcmp(err_word(r.why), rows[i].why) != 0)
            fail_msg("%s ended as %s", rows[i].path, err_word(r.why));
        assert_int_equal(r.ends, 1);
    }
    get(&r, "/until-close");
    CHECK_OK(r.why);
    assert_int_equal(r.length, -1);
    assert_string_equal(body_text(&r), "hello");
    run_close(&r);
}

static void takes_heads_up_to_the_limit(void **state)
{
    (void)state;
    struct run r;
    run_open(&r, &(struct engine_http_settings){ 0 });
    get(&r, "/head-at-limit");
    CHECK_OK(r.why);
    get(&r, "/head-over-limit");
    CHECK_ERR(r.why, LIMIT);
    assert_int_equal(r.heads, 0);
    run_close(&r);
}

static void says_that_nobody_is_there(void **state)
{
    (void)state;
    struct run r;
    run_open(&r, &(struct engine_http_settings){ .url = "http://127.0.0.1:1" });
    get(&r, "/length");
    CHECK_ERR(r.why, UNAVAILABLE);
    assert_int_equal(r.heads, 0);
    run_close(&r);
    run_open(&r, &(struct engine_http_settings){ .url = "unix:/nonexistent/socket" });
    get(&r, "/length");
    CHECK_ERR(r.why, UNAVAILABLE);
    run_close(&r);
}

static void gives_up_on_a_silent_engine(void **state)
{
    (void)state;
    struct run r;
    run_open(&r, &(struct engine_http_settings){ .first_byte_ms = 30 });
    get(&r, "/silent");
    CHECK_ERR(r.why, TIMEOUT);
    assert_int_equal(r.heads, 0);
    run_close(&r);
    /* The time until the head, ten minutes here, is no part of the time between two pieces. */
    run_open(&r, &(struct engine_http_settings){ .idle_ms = LIMIT_MS });
    get(&r, "/stall");
    CHECK_ERR(r.why, TIMEOUT);
    assert_int_equal(r.heads, 1);
    assert_string_equal(body_text(&r), "hello");
    run_close(&r);
}

static void uses_connections_again(void **state)
{
    (void)state;
    struct run r;
    run_open(&r, &(struct engine_http_settings){ 0 });
    int before = atomic_load(&server->connections);
    for (size_t i = 0; i < 20; i++) {
        get(&r, i % 2 ? "/length" : "/chunked");
        CHECK_OK(r.why);
    }
    assert_int_equal(atomic_load(&server->connections) - before, 1);
    run_close(&r);
}

/* A connection that looked kept is closed before, while or after the next request leaves on it.
 * libcurl asks again too, but not when it is told by a reset. */
static void asks_again_where_a_kept_connection_was_closed(void **state)
{
    (void)state;
    struct run r;
    run_open(&r, &(struct engine_http_settings){ 0 });
    for (size_t i = 0; i < (CLOSES_SEEN ? 50 : 1); i++) {
        ask(&r, "POST", "/closes-unsaid", BYTES_LIT("{}"));
        loop_run(r.loop);
        CHECK_OK(r.why);
        assert_string_equal(body_text(&r), "ok");
        if (i % 3 == 0)
            (void)usleep(500);
    }
    run_close(&r);
}

static void look_whether_it_left(struct loop_timer *t)
{
    struct run *r = CONTAINER_OF(t, struct run, poll);
    if (atomic_load(&server->left_early) > 0)
        loop_stop(r->loop);
    else
        loop_timer_start(r->loop, t, 1, look_whether_it_left);
}

/* The engine sees its connection closed, whenever the owner gives up. */
static void cancel_closes_the_connection(void **state)
{
    (void)state;
    static const enum when moments[] = { NEVER, AT_HEAD, AT_BODY };
    for (size_t i = 0; i < 3; i++) {
        struct run r;
        run_open(&r, &(struct engine_http_settings){ 0 });
        atomic_store(&server->left_early, 0);
        int before = atomic_load(&server->requests);
        r.cancel = moments[i];
        ask(&r, "GET", moments[i] == NEVER ? "/silent" : "/stall", (bytes){ 0 });
        if (moments[i] == NEVER) {
            /* Cancel from outside, once the engine has the request. */
            loop_timer_start(r.loop, &r.poll, 1, look_whether_it_left);
            while (atomic_load(&server->requests) == before) {
                loop_stop(r.loop);
                loop_run(r.loop);
            }
            cancel_now(&r);
        } else {
            loop_run(r.loop);
        }
        loop_timer_start(r.loop, &r.poll, 1, look_whether_it_left);
        loop_run(r.loop);
        assert_int_equal(r.ends, 0);
        assert_int_equal(r.heads, moments[i] != NEVER);
        run_close(&r);
    }
}

static void may_be_cancelled_before_it_began(void **state)
{
    (void)state;
    struct run r;
    run_open(&r, &(struct engine_http_settings){ 0 });
    ask(&r, "GET", "/length", (bytes){ 0 });
    cancel_now(&r);
    loop_run(r.loop);
    assert_int_equal(r.heads + r.ends, 0);
    get(&r, "/length");
    CHECK_OK(r.why);
    run_close(&r);
}

static void is_freed_with_calls_running(void **state)
{
    (void)state;
    struct run r;
    run_open(&r, &(struct engine_http_settings){ 0 });
    r.pause = AT_BODY;
    for (size_t i = 0; i < 3; i++)
        ask(&r, "GET", i ? "/big" : "/silent", (bytes){ 0 });
    loop_stop(r.loop);
    loop_run(r.loop);
    run_close(&r);
}

static void no_bytes_come_while_paused(void **state)
{
    (void)state;
    static const char *const paths[] = { "/length", "/chunked", "/big", "/empty" };
    static const enum when moments[] = { AT_HEAD, AT_BODY };
    for (size_t k = 0; k < 2; k++) {
        struct run r;
        run_open(&r, &(struct engine_http_settings){ 0 });
        r.pause = moments[k];
        for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
            get(&r, paths[i]);
            CHECK_OK(r.why);
            assert_int_equal(r.body.len, r.status == 204 ? 0 : i == 2 ? BIG : i == 1 ? 11 : 5);
        }
        CHECK(r.pauses > 0);
        run_close(&r);
    }
}

static void stop_now(struct loop_timer *t)
{
    loop_stop(CONTAINER_OF(t, struct run, poll)->loop);
}

/* A client that takes nothing stops the engine: what it could send is what the sockets hold. */
static void a_pause_reaches_the_engine(void **state)
{
    (void)state;
    struct run r;
    run_open(&r, &(struct engine_http_settings){ .first_byte_ms = LIMIT_MS, .idle_ms = LIMIT_MS });
    atomic_store(&server->big_sent, 0);
    ask(&r, "GET", "/big", (bytes){ 0 });
    engine_pause(r.call);
    r.paused = true;
    /* Longer than both limits: a pause is not the engine's silence. */
    loop_timer_start(r.loop, &r.poll, 2 * LIMIT_MS + LIMIT_MS / 2, stop_now);
    loop_run(r.loop);
    CHECK(atomic_load(&server->big_sent) < BIG);
    assert_int_equal(r.heads + r.ends, 0);
    r.paused = false;
    engine_resume(r.call);
    loop_run(r.loop);
    CHECK_OK(r.why);
    assert_int_equal(r.body.len, BIG);
    run_close(&r);
}

static void refuses_calls_over_the_limit(void **state)
{
    (void)state;
    struct run r;
    run_open(&r, &(struct engine_http_settings){ .calls_max = 2 });
    ask(&r, "GET", "/length", (bytes){ 0 });
    ask(&r, "GET", "/length", (bytes){ 0 });
    const struct engine_request request = { .method = BYTES_LIT("GET"), .path = BYTES_LIT("/x") };
    struct engine_call *call = NULL;
    CHECK_ERR(engine_start(r.engine, &request, &EVENTS, &r, &call), LIMIT);
    assert_null(call);
    r.heads = 0;
    engine_cancel(r.call);
    r.running--;
    loop_run(r.loop);
    CHECK_OK(r.why);
    run_close(&r);
}

static void refuses_what_http_cannot_say(void **state)
{
    (void)state;
    struct run r;
    run_open(&r, &(struct engine_http_settings){ 0 });
    struct engine_call *call = NULL;
    const struct engine_field bad[] = {
        { BYTES_LIT("x"), BYTES_LIT("a\r\nb: c") },
        { BYTES_LIT("x y"), BYTES_LIT("a") },
        { BYTES_LIT(""), BYTES_LIT("a") },
        { BYTES_LIT("x:"), BYTES_LIT("a") },
        { BYTES_LIT("x"), { (const uint8_t *)"a\0b", 3 } },
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const struct engine_request request = {
            .method = BYTES_LIT("GET"), .path = BYTES_LIT("/x"), .fields = &bad[i], .fields_n = 1
        };
        CHECK_ERR(engine_start(r.engine, &request, &EVENTS, &r, &call), MALFORMED);
    }
    static const char *const paths[] = { "", "x", "/a b", "/a\r\nb", "/a#b", "/\x80" };
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        const struct engine_request request = { .method = BYTES_LIT("GET"),
                                                .path = bytes_str(paths[i]) };
        CHECK_ERR(engine_start(r.engine, &request, &EVENTS, &r, &call), MALFORMED);
    }
    const struct engine_request request = { .method = BYTES_LIT("G ET"), .path = BYTES_LIT("/x") };
    CHECK_ERR(engine_start(r.engine, &request, &EVENTS, &r, &call), MALFORMED);

    struct engine_field many[ENGINE_FIELDS_MAX + 1];
    for (size_t i = 0; i <= ENGINE_FIELDS_MAX; i++)
        many[i] = (struct engine_field){ BYTES_LIT("x"), BYTES_LIT("y") };
    struct engine_request full = { .method = BYTES_LIT("GET"),
                                   .path = BYTES_LIT("/length"),
                                   .fields = many,
                                   .fields_n = ENGINE_FIELDS_MAX + 1 };
    CHECK_ERR(engine_start(r.engine, &full, &EVENTS, &r, &call), LIMIT);
    full.fields_n = ENGINE_FIELDS_MAX;
    CHECK_OK(engine_start(r.engine, &full, &EVENTS, &r, &call));
    r.running = 1;
    loop_run(r.loop);
    CHECK_OK(r.why);
    run_close(&r);
}

static void talks_over_a_unix_socket(void **state)
{
    (void)state;
    struct server *local = server_start(true);
    char url[80];
    (void)snprintf(url, sizeof url, "unix:%s", local->path);
    struct run r;
    run_open(&r, &(struct engine_http_settings){ .url = url });
    get(&r, "/length");
    CHECK_OK(r.why);
    assert_string_equal(body_text(&r), "hello");
    CHECK_BYTES(bytes_slice(engine_describe(r.engine), 12, 5), BYTES_LIT("unix:"));
    run_close(&r);
    (void)unlink(local->path);
}

static void runs_many_calls_at_once(void **state)
{
    (void)state;
    enum { MANY = 60 };
    static struct run runs[MANY];
    struct run first;
    run_open(&first, &(struct engine_http_settings){ 0 });
    for (size_t round = 0; round < 3; round++) {
        for (size_t i = 0; i < MANY; i++) {
            runs[i] =
                (struct run){ .loop = first.loop, .engine = first.engine, .body = BUF(2 * BIG) };
            ask(&runs[i], "POST", i % 3 ? "/echo" : "/chunked", BYTES_LIT("{}"));
        }
        for (size_t i = 0; i < MANY; i++) {
            while (runs[i].ends == 0)
                loop_run(first.loop);
            CHECK_OK(runs[i].why);
            CHECK(!runs[i].early);
            buf_clear(&runs[i].body);
        }
    }
    run_close(&first);
}

static void takes_base_urls_of_every_kind(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        const char *described; /* NULL: refused */
    } rows[] = {
        { "http://127.0.0.1:8000", "engine http http://127.0.0.1:8000" },
        { "http://127.0.0.1:8000/v1/", "engine http http://127.0.0.1:8000" },
        { "https://host/prefix/v1", TLS_DESCRIBED },
        { "http://[::1]:80/", "engine http http://[::1]:80" },
        { "unix:/run/engine", "engine http unix:/run/engine" },
        { NULL, NULL },
        { "", NULL },
        { "unix:relative", NULL },
        { "unix:", NULL },
        { "ftp://host", NULL },
        { "file:///etc/passwd", NULL },
        { "host:8000", NULL },
        { "http://", NULL },
        { "http://user:secret@host", NULL },
        { "http://host?x=1", NULL },
        { "http://host#x", NULL },
        { "http://host:99999", NULL },
    };
    struct loop *loop;
    CHECK_OK(loop_new(&loop));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct engine *e = NULL;
        err why = ENGINE_NEW(&e, loop, &(struct engine_http_settings){ .url = rows[i].url });
        if (rows[i].described == NULL) {
            CHECK_ERR(why, CONFIG);
            assert_null(e);
            continue;
        }
        CHECK_OK(why);
        CHECK_BYTES(engine_describe(e), bytes_str(rows[i].described));
        engine_free(e);
    }
    struct engine *e = NULL;
    struct engine_http_settings s = { .url = "http://h", .token_path = "/nonexistent" };
    CHECK_ERR(ENGINE_NEW(&e, loop, &s), CONFIG);
    s = (struct engine_http_settings){ .url = "http://h", .calls_max = ENGINE_HTTP_CALLS_MAX + 1 };
    CHECK_ERR(ENGINE_NEW(&e, loop, &s), CONFIG);
    s.calls_max--;
    CHECK_OK(ENGINE_NEW(&e, loop, &s));
    engine_free(e);
    engine_free(NULL);
    loop_free(loop);
}

static void keeps_as_many_fields_as_it_may(void **state)
{
    (void)state;
    struct http_head h;
    http_head_init(&h);
    CHECK_OK(http_head_line(&h, BYTES_LIT("HTTP/1.1 200 OK\r\n")));
    for (size_t i = 0; i < ENGINE_FIELDS_MAX; i++)
        CHECK_OK(http_head_line(&h, BYTES_LIT("X-RateLimit-A: 1\r\n")));
    CHECK_OK(http_head_line(&h, BYTES_LIT("Other: 1\r\n")));
    struct engine_field fields[ENGINE_FIELDS_MAX];
    assert_int_equal(http_head_fields(&h, fields), ENGINE_FIELDS_MAX);
    CHECK_ERR(http_head_line(&h, BYTES_LIT("openai-x: 1\r\n")), LIMIT);
    http_head_clear(&h);
}

static void sends_no_control_characters(void **state)
{
    (void)state;
    CHECK(http_ask_is_value(BYTES_LIT("a\tb \xc3\xa9")));
    CHECK(!http_ask_is_value(BYTES_LIT("a\x7f")));
    CHECK(!http_ask_is_value(BYTES_LIT("a\n")));
}

static int start_server(void **state)
{
    (void)state;
    server = server_start(false);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(brings_a_whole_answer),
        cmocka_unit_test(passes_over_interim_answers),
        cmocka_unit_test(follows_no_redirect),
        cmocka_unit_test(sends_what_it_was_given_and_nothing_else),
        cmocka_unit_test(sends_the_engines_own_token),
        cmocka_unit_test(carries_large_bodies),
        cmocka_unit_test(takes_no_broken_answer_for_a_whole_one),
        cmocka_unit_test(takes_heads_up_to_the_limit),
        cmocka_unit_test(says_that_nobody_is_there),
        cmocka_unit_test(gives_up_on_a_silent_engine),
        cmocka_unit_test(uses_connections_again),
        cmocka_unit_test(asks_again_where_a_kept_connection_was_closed),
        cmocka_unit_test(cancel_closes_the_connection),
        cmocka_unit_test(may_be_cancelled_before_it_began),
        cmocka_unit_test(is_freed_with_calls_running),
        cmocka_unit_test(no_bytes_come_while_paused),
        cmocka_unit_test(a_pause_reaches_the_engine),
        cmocka_unit_test(refuses_calls_over_the_limit),
        cmocka_unit_test(refuses_what_http_cannot_say),
        cmocka_unit_test(talks_over_a_unix_socket),
        cmocka_unit_test(runs_many_calls_at_once),
        cmocka_unit_test(takes_base_urls_of_every_kind),
        cmocka_unit_test(keeps_as_many_fields_as_it_may),
        cmocka_unit_test(sends_no_control_characters),
    };
    return cmocka_run_group_tests(tests, start_server, NULL);
}
