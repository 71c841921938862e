#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/sock.h"
#include "tests/unit/crypto/pki.h"
#include "tests/unit/gateway/front_server.h"

/* ---- heads ---- */

static void takes_an_ordinary_request(void **state)
{
    (void)state;
    struct server s;
    struct client c;
    server_open(&s, NULL);
    client_open(&c, &s);
    send_text(&c, "POST /echo?a=1&b=%20 HTTP/1.1\r\n" HOST
                  "X-Name:  some value \t\r\nX-Empty:\r\n"
                  "Content-Length: 5\r\n\r\nhe");
    PUMP_UNTIL(&s, &c, s.body_len == 2);
    bool known = false;
    CHECK_BYTES(front_method(s.last), BYTES_LIT("POST"));
    CHECK_BYTES(front_path(s.last), BYTES_LIT("/echo"));
    CHECK_BYTES(front_query(s.last), BYTES_LIT("a=1&b=%20"));
    CHECK_BYTES(front_header(s.last, "x-NAME"), BYTES_LIT("some value"));
    CHECK(front_header(s.last, "x-empty").len == 0);
    CHECK(front_header(s.last, "x-none").at == NULL);
    CHECK(front_headers_count(s.last, "host") == 1);
    CHECK(front_content_length(s.last, &known) == 5 && known);
    CHECK(front_peer(s.last)->sa_family == AF_INET);
    CHECK(!front_is_tls(s.last) && !front_is_head(s.last));
    CHECK(front_requests(s.front) == 1 && front_connections(s.front) == 1);
    send_text(&c, "llo");
    PUMP_UNTIL(&s, &c, saw(&c, "hello"));
    CHECK(saw(&c, "HTTP/1.1 200 OK\r\n"));
    CHECK(saw(&c, "Content-Type: text/plain\r\n"));
    CHECK(saw(&c, "Content-Length: 5\r\n"));
    CHECK(s.done == 1 && s.gone == 0 && !c.ended);
    CHECK(front_requests(s.front) == 0);
    client_close(&c);
    server_close(&s);
}

static void parses_the_same_for_every_split(void **state)
{
    (void)state;
    const char *text = "POST /echo?q HTTP/1.1\r\n" HOST
                       "X: y\r\nContent-Length: 3\r\n\r\nabc"
                       "GET /now HTTP/1.1\r\n" HOST "\r\n";
    for (size_t cut = 1; cut < strlen(text); cut++) {
        struct server s;
        struct client c;
        server_open(&s, NULL);
        client_open(&c, &s);
        send_bytes(&c, bytes_of(text, cut));
        turn(&s);
        send_text(&c, text + cut);
        PUMP_UNTIL(&s, &c, saw(&c, "\r\n\r\nnow"));
        CHECK(saw(&c, "\r\n\r\nabcHTTP/1.1 200"));
        CHECK(s.requests == 2 && s.done == 2);
        client_close(&c);
        server_close(&s);
    }
}

static void head_of(struct buf *out, size_t len)
{
    buf_truncate(out, 0);
    CHECK_OK(buf_add_str(out, "GET /now HTTP/1.1\r\n" HOST "X: "));
    while (out->len < len - 4)
        CHECK_OK(buf_add_u8(out, 'y'));
    CHECK_OK(buf_add_str(out, "\r\n\r\n"));
}

static void takes_a_head_at_the_limit_and_refuses_one_above(void **state)
{
    (void)state;
    BUF_AUTO head = BUF(1 << 20);
    const struct {
        size_t len;
        const char *answer;
    } cases[] = { { FRONT_HEAD_MAX, "HTTP/1.1 200 " },
                  { FRONT_HEAD_MAX + 1, "HTTP/1.1 431 " },
                  { 100 * 1024, "HTTP/1.1 431 " } };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct server s;
        struct client c;
        server_open(&s, NULL);
        client_open(&c, &s);
        head_of(&head, cases[i].len);
        send_bytes(&c, buf_view(&head));
        PUMP_UNTIL(&s, &c, saw(&c, "\r\n\r\n"));
        if (!bytes_starts(buf_view(&c.in), bytes_str(cases[i].answer)))
            fail_msg("%zu bytes: %s", cases[i].len, buf_str(&c.in));
        client_close(&c);
        server_close(&s);
    }
}

static void takes_as_many_headers_as_allowed_and_refuses_one_more(void **state)
{
    (void)state;
    for (int extra = 0; extra < 2; extra++) {
        BUF_AUTO head = BUF(1 << 20);
        struct server s;
        struct client c;
        server_open(&s, NULL);
        client_open(&c, &s);
        CHECK_OK(buf_add_str(&head, "GET /now HTTP/1.1\r\n" HOST));
        for (int i = 1; i < FRONT_HEADERS_MAX + extra; i++)
            CHECK_OK(buf_addf(&head, "X-%d: y\r\n", i));
        CHECK_OK(buf_add_str(&head, "\r\n"));
        send_bytes(&c, buf_view(&head));
        PUMP_UNTIL(&s, &c, saw(&c, extra ? "HTTP/1.1 431 " : "\r\n\r\nnow"));
        client_close(&c);
        server_close(&s);
    }
}

/* ---- connections ---- */

static void a_query_costs_nothing(void **state)
{
    (void)state;
    BUF_AUTO head = BUF(65536);
    struct server s;
    struct client c;
    server_open(&s, NULL);
    client_open(&c, &s);
    CHECK_OK(buf_add_str(&head, "GET /wait?"));
    while (head.len < FRONT_HEAD_MAX - 64)
        CHECK_OK(buf_add_str(&head, "&a"));
    CHECK_OK(buf_add_str(&head, " HTTP/1.1\r\n" HOST "\r\n"));
    send_bytes(&c, buf_view(&head));
    PUMP_UNTIL(&s, &c, s.body_ends == 1);
    CHECK(bytes_ends(front_query(s.last), BYTES_LIT("&a&a")));
    CHECK(front_query(s.last).len > FRONT_HEAD_MAX - 128);
    CHECK_OK(front_respond(s.last, 200, NULL, 0, BYTES_LIT("cheap")));
    PUMP_UNTIL(&s, &c, saw(&c, "cheap"));
    client_close(&c);
    server_close(&s);
}

static void keeps_pipelined_requests_apart_and_in_order(void **state)
{
    (void)state;
    struct server s;
    struct client c;
    server_open(&s, NULL);
    client_open(&c, &s);
    send_text(&c, "POST /echo HTTP/1.1\r\n" HOST
                  "Content-Length: 3\r\n\r\none"
                  "GET /now HTTP/1.1\r\n" HOST
                  "\r\n"
                  "POST /now HTTP/1.1\r\n" HOST
                  "Content-Length: 4\r\n\r\nskip"
                  "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nthree");
    PUMP_UNTIL(&s, &c, saw(&c, "three"));
    CHECK(times(&c, "HTTP/1.1 200 OK") == 4);
    CHECK(s.requests == 4 && s.done == 4 && !c.ended);
    CHECK_BYTES(buf_view(&s.log), BYTES_LIT("/echo /now /now /echo "));
    client_close(&c);
    server_close(&s);
}

static void answers_parked_pipelined_requests_one_after_the_other(void **state)
{
    (void)state;
    struct server s;
    struct client c;
    server_open(&s, NULL);
    client_open(&c, &s);
    send_text(&c, "GET /wait HTTP/1.1\r\n" HOST "\r\nGET /wait HTTP/1.1\r\n" HOST "\r\n");
    PUMP_UNTIL(&s, &c, s.body_ends == 1);
    turn(&s);
    CHECK(s.requests == 1);
    CHECK_OK(front_respond(s.last, 200, NULL, 0, BYTES_LIT("first")));
    PUMP_UNTIL(&s, &c, s.body_ends == 2);
    CHECK_OK(front_respond(s.last, 201, NULL, 0, BYTES_LIT("second")));
    PUMP_UNTIL(&s, &c, saw(&c, "second"));
    CHECK(saw(&c, "first") && saw(&c, "HTTP/1.1 201 Created"));
    client_close(&c);
    server_close(&s);
}

static void speaks_http_1_0(void **state)
{
    (void)state;
    struct server s;
    struct client c;
    server_open(&s, NULL);
    client_open(&c, &s);
    send_text(&c, "GET /stream HTTP/1.0\r\n\r\n");
    PUMP_UNTIL(&s, &c, s.body_ends == 1);
    CHECK_OK(front_write(s.last, BYTES_LIT("some content")));
    const struct front_field trailer = { BYTES_LIT("receipt"), BYTES_LIT("x") };
    CHECK_OK(front_end(s.last, &trailer, 1));
    PUMP_UNTIL(&s, &c, c.ended);
    CHECK(!c.reset && s.done == 1);
    CHECK(saw(&c, "\r\n\r\nsome content") && !saw(&c, "chunked") && !saw(&c, "receipt"));
    CHECK(bytes_ends(buf_view(&c.in), BYTES_LIT("some content")));
    client_close(&c);
    client_open(&c, &s);
    send_text(&c, "GET /now HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    PUMP_UNTIL(&s, &c, saw(&c, "\r\n\r\nnow"));
    CHECK(saw(&c, "Connection: Keep-Alive\r\n") && !c.ended);
    client_close(&c);
    server_close(&s);
}

static void answers_a_head_request_without_content(void **state)
{
    (void)state;
    struct server s;
    struct client c;
    server_open(&s, NULL);
    client_open(&c, &s);
    send_text(&c, "HEAD /now HTTP/1.1\r\n" HOST "\r\n");
    PUMP_UNTIL(&s, &c, saw(&c, "\r\n\r\n"));
    CHECK(saw(&c, "Content-Length: 3\r\n") && bytes_ends(buf_view(&c.in), BYTES_LIT("\r\n\r\n")));
    buf_truncate(&c.in, 0);
    send_text(&c, "HEAD /sized HTTP/1.1\r\n" HOST "\r\n");
    PUMP_UNTIL(&s, &c, s.body_ends == 1);
    CHECK(front_is_head(s.last));
    CHECK_OK(front_write(s.last, BYTES_LIT("dropped")));
    turn(&s);
    receive(&c);
    CHECK(c.in.len == 0 && s.done == 1);
    CHECK_OK(front_end(s.last, NULL, 0));
    PUMP_UNTIL(&s, &c, saw(&c, "\r\n\r\n"));
    CHECK(saw(&c, "Content-Length: 10\r\n") && bytes_ends(buf_view(&c.in), BYTES_LIT("\r\n\r\n")));
    CHECK(s.done == 2 && !c.ended);
    client_close(&c);
    server_close(&s);
}

/* ---- bodies ---- */

struct chunked {
    const char *name;
    const char *text;
    unsigned status;
};

static const struct chunked chunked_bodies[] = {
    { "hello world", "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", 200 },
    { "with an extension", "5;a=b\r\nhello\r\n6\r\n world\r\n0;last\r\n\r\n", 200 },
    { "with trailers", "b\r\nhello world\r\n0\r\nX: y\r\nZ: z\r\n\r\n", 200 },
    { "bad size", "x\r\nhello\r\n", 400 },
    { "no size", "\r\nhello\r\n", 400 },
    { "size over 64 bits", "10000000000000000\r\nhello", 413 },
    { "negative size", "-5\r\nhello\r\n", 400 },
    { "chunk without its line end", "5\r\nhello6\r\n world\r\n0\r\n\r\n", 400 },
};

static void takes_chunked_bodies_and_closes_behind_them(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(chunked_bodies); i++) {
        const struct chunked *raw = &chunked_bodies[i];
        char line[32];
        struct server s;
        struct client c;
        server_open(&s, NULL);
        client_open(&c, &s);
        send_text(&c, "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n");
        send_text(&c, raw->text);
        send_text(&c, NEXT);
        PUMP_UNTIL(&s, &c, c.ended);
        (void)snprintf(line, sizeof line, "HTTP/1.1 %u ", raw->status);
        if (!bytes_starts(buf_view(&c.in), bytes_str(line)) || !saw(&c, "Connection: close\r\n") ||
            s.requests != 1 || (raw->status == 200 && !saw(&c, "\r\n\r\nhello world")))
            fail_msg("%s: %s", raw->name, buf_str(&c.in));
        CHECK(s.done == (raw->status == 200) && s.gone == (raw->status != 200));
        client_close(&c);
        server_close(&s);
    }
}

static void post(struct client *c, const char *more, size_t len, bool chunked)
{
    BUF_AUTO text = BUF(1024);
    CHECK_OK(buf_addf(&text, "POST /size HTTP/1.1\r\n" HOST "%s", more));
    if (chunked)
        CHECK_OK(buf_add_str(&text, "Transfer-Encoding: chunked\r\n\r\n"));
    else
        CHECK_OK(buf_addf(&text, "Content-Length: %zu\r\n\r\n", len));
    send_bytes(c, buf_view(&text));
}

static void send_content(struct client *c, size_t len, bool chunked)
{
    enum { PART = 1 << 20 };
    uint8_t *part = mem_alloc(PART);
    for (size_t n; len > 0 && !c->ended; len -= n) {
        char size[32];
        n = len < PART ? len : PART;
        (void)snprintf(size, sizeof size, "%zx\r\n", n);
        if (chunked)
            send_text(c, size);
        send_bytes(c, bytes_of(part, n));
        if (chunked)
            send_text(c, "\r\n");
    }
    if (chunked)
        send_text(c, "0\r\n\r\n");
    mem_free(part);
}

static void takes_a_body_at_the_limit_and_refuses_one_above(void **state)
{
    (void)state;
    const size_t most = 64 * 1024 * 1024;
    for (int i = 0; i < 4; i++) {
        bool chunked = i >= 2, over = i % 2 == 1;
        struct server s;
        struct client c;
        server_open(&s, NULL);
        s.keep_body = false;
        client_open(&c, &s);
        post(&c, "", most + over, chunked);
        send_content(&c, most + over, chunked);
        PUMP_UNTIL(&s, &c, saw(&c, "\r\n\r\n"));
        if (over) {
            PUMP_UNTIL(&s, &c, c.ended);
            CHECK(saw(&c, "HTTP/1.1 413 ") && saw(&c, "Connection: close\r\n"));
            CHECK(saw(&c, "\"code\":\"request_too_large\""));
            CHECK(!c.reset && s.refused == 1 && s.refused_status == 413 && s.done == 0);
            CHECK(s.requests == chunked && s.gone == chunked);
        } else {
            PUMP_UNTIL(&s, &c, saw(&c, "67108864 bytes"));
            CHECK(s.done == 1 && c.ended == chunked);
        }
        client_close(&c);
        server_close(&s);
    }
}

static void gives_up_on_a_body_that_does_not_end(void **state)
{
    (void)state;
    const struct front_settings settings = { .body_max = 10 };
    struct server s;
    struct client c;
    server_open(&s, &settings);
    client_open(&c, &s);
    post(&c, "", 0, true);
    send_content(&c, (size_t)FRONT_DISCARD_MAX + 11, true);
    PUMP_UNTIL(&s, &c, c.ended);
    CHECK(c.in.len == 0 && s.gone == 1 && s.refused == 1);
    client_close(&c);
    client_open(&c, &s);
    post(&c, "", 0, true);
    send_content(&c, (size_t)FRONT_DISCARD_MAX + 10, true);
    PUMP_UNTIL(&s, &c, c.ended);
    CHECK(saw(&c, "HTTP/1.1 413 ") && s.gone == 2);
    client_close(&c);
    server_close(&s);
}

static void asks_for_an_expected_body_at_once_unless_it_is_refused(void **state)
{
    (void)state;
    const char *expect = "Expect: 100-continue\r\n";
    struct server s;
    struct client c;
    server_open(&s, NULL);
    client_open(&c, &s);
    post(&c, expect, 3, false);
    PUMP_UNTIL(&s, &c, saw(&c, "HTTP/1.1 100 Continue\r\n\r\n"));
    CHECK(!saw(&c, "200"));
    send_text(&c, "abc");
    PUMP_UNTIL(&s, &c, saw(&c, "3 bytes"));
    client_close(&c);

    client_open(&c, &s);
    post(&c, expect, 64 * 1024 * 1024 + 1, false);
    PUMP_UNTIL(&s, &c, c.ended);
    CHECK(bytes_starts(buf_view(&c.in), BYTES_LIT("HTTP/1.1 413 ")));
    CHECK(saw(&c, "Connection: close\r\n") && !saw(&c, "100 Continue"));
    client_close(&c);

    client_open(&c, &s);
    send_text(&c,
              "POST /now HTTP/1.1\r\n" HOST "Content-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    PUMP_UNTIL(&s, &c, c.ended);
    CHECK(bytes_starts(buf_view(&c.in), BYTES_LIT("HTTP/1.1 200 ")));
    CHECK(saw(&c, "Connection: close\r\n") && saw(&c, "\r\n\r\nnow"));
    client_close(&c);
    server_close(&s);
}

static void answers_before_the_body_without_a_reset(void **state)
{
    (void)state;
    const size_t len = 20 * 1024 * 1024;
    struct server s;
    struct client c;
    server_open(&s, NULL);
    client_open(&c, &s);
    BUF_AUTO head = BUF(256);
    CHECK_OK(buf_addf(&head, "POST /now HTTP/1.1\r\n" HOST "Content-Length: %zu\r\n\r\n", len));
    send_bytes(&c, buf_view(&head));
    send_content(&c, len, false);
    PUMP_UNTIL(&s, &c, c.ended);
    CHECK(!c.reset && saw(&c, "\r\n\r\nnow") && s.done == 1);
    client_close(&c);

    client_open(&c, &s);
    send_text(&c, "POST /early HTTP/1.1\r\n" HOST "Content-Length: 10\r\n\r\nabc");
    PUMP_UNTIL(&s, &c, s.requests == 2 && s.body_len == 3);
    send_text(&c, "defghij" NEXT);
    PUMP_UNTIL(&s, &c, s.requests == 3);
    CHECK(saw(&c, "HTTP/1.1 503 ") && saw(&c, "\r\n\r\nearly") && s.body_len == 0 && !c.ended);
    client_close(&c);
    server_close(&s);
}

static void holds_the_body_back_while_paused(void **state)
{
    (void)state;
    struct server s;
    struct client c;
    server_open(&s, NULL);
    client_open(&c, &s);
    send_text(&c, "POST /hold HTTP/1.1\r\n" HOST
                  "Expect: 100-continue\r\n"
                  "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    PUMP_UNTIL(&s, &c, s.requests == 1);
    for (int i = 0; i < 5; i++)
        turn(&s);
    receive(&c);
    CHECK(s.body_len == 0 && c.in.len == 0);
    front_body_resume(s.last);
    PUMP_UNTIL(&s, &c, s.body_len == 3);
    CHECK(saw(&c, "100 Continue"));
    front_body_pause(s.last);
    send_text(&c, "3\r\ndef\r\n2\r\ngh\r\n0\r\n\r\n");
    for (int i = 0; i < 5; i++)
        turn(&s);
    CHECK(s.body_len == 3);
    front_body_resume(s.last);
    PUMP_UNTIL(&s, &c, s.body_ends == 1);
    CHECK_BYTES(buf_view(&s.body), BYTES_LIT("abcdefgh"));
    CHECK_OK(front_respond(s.last, 200, NULL, 0, BYTES_LIT("held")));
    PUMP_UNTIL(&s, &c, saw(&c, "held"));
    client_close(&c);
    server_close(&s);
}

/* ---- answers in pieces ---- */

static void start_stream(struct server *s, struct client *c, const char *path)
{
    BUF_AUTO text = BUF(256);
    server_open(s, NULL);
    client_open(c, s);
    CHECK_OK(buf_addf(&text, "GET %s HTTP/1.1\r\n" HOST "\r\n", path));
    send_bytes(c, buf_view(&text));
    PUMP_UNTIL(s, c, saw(c, "\r\n\r\n"));
    CHECK(saw(c, "HTTP/1.1 200 OK"));
    buf_truncate(&c->in, 0);
}

static void sends_each_turn_as_one_chunk_and_the_end_with_the_last(void **state)
{
    (void)state;
    struct server s;
    struct client c;
    start_stream(&s, &c, "/stream");
    CHECK_OK(front_write(s.last, BYTES_LIT("data: 1\n\n")));
    PUMP_UNTIL(&s, &c, c.in.len > 0);
    CHECK_BYTES(buf_view(&c.in), BYTES_LIT("9\r\ndata: 1\n\n\r\n"));
    CHECK(front_queued(s.last) == 0);
    buf_truncate(&c.in, 0);
    CHECK_OK(front_write(s.last, BYTES_LIT("data: 2\n\n")));
    CHECK_OK(front_write(s.last, BYTES_LIT("data: 3\n\n")));
    CHECK(front_queued(s.last) == 18);
    PUMP_UNTIL(&s, &c, c.in.len > 0);
    CHECK_BYTES(buf_view(&c.in), BYTES_LIT("12\r\ndata: 2\n\ndata: 3\n\n\r\n"));
    buf_truncate(&c.in, 0);
    CHECK_OK(front_write(s.last, BYTES_LIT("data: [DONE]\n\n")));
    const struct front_field trailer = { BYTES_LIT("Receipt"), BYTES_LIT("abc") };
    CHECK_OK(front_end(s.last, &trailer, 1));
    CHECK(s.done == 0);
    /* one read: both left in one segment */
    PUMP_UNTIL(&s, &c, c.in.len > 0);
    CHECK_BYTES(buf_view(&c.in), BYTES_LIT("E\r\ndata: [DONE]\n\n\r\n0\r\nReceipt: abc\r\n\r\n"));
    CHECK(s.done == 1 && !c.ended);
    buf_truncate(&c.in, 0);
    send_text(&c, "GET /now HTTP/1.1\r\n" HOST "\r\n");
    PUMP_UNTIL(&s, &c, saw(&c, "\r\n\r\nnow"));
    client_close(&c);
    server_close(&s);
}

static void ends_an_idle_stream(void **state)
{
    (void)state;
    struct server s;
    struct client c;
    start_stream(&s, &c, "/stream");
    turn(&s);
    CHECK_OK(front_end(s.last, NULL, 0));
    PUMP_UNTIL(&s, &c, c.in.len > 0);
    CHECK_BYTES(buf_view(&c.in), BYTES_LIT("0\r\n\r\n"));
    CHECK(s.done == 1);
    client_close(&c);
    server_close(&s);
}

static void sends_a_known_length_and_is_done_only_at_its_end(void **state)
{
    (void)state;
    struct server s;
    struct client c;
    start_stream(&s, &c, "/sized");
    CHECK_OK(front_write(s.last, BYTES_LIT("01234567")));
    CHECK_ERR(front_end(s.last, NULL, 0), MALFORMED);
    CHECK_ERR(front_write(s.last, BYTES_LIT("890")), LIMIT);
    CHECK_OK(front_write(s.last, BYTES_LIT("89")));
    PUMP_UNTIL(&s, &c, c.in.len == 9);
    turn(&s);
    CHECK(s.done == 0);
    CHECK_OK(front_end(s.last, NULL, 0));
    PUMP_UNTIL(&s, &c, c.in.len == 10);
    CHECK_BYTES(buf_view(&c.in), BYTES_LIT("0123456789"));
    CHECK(s.done == 1 && !c.ended);
    client_close(&c);
    server_close(&s);
}

static void an_aborted_stream_never_looks_finished(void **state)
{
    (void)state;
    struct server s;
    struct client c;
    start_stream(&s, &c, "/stream");
    CHECK_OK(front_write(s.last, BYTES_LIT("data: half")));
    PUMP_UNTIL(&s, &c, c.in.len > 0);
    CHECK_OK(front_write(s.last, BYTES_LIT("data: error\n\n")));
    front_abort(s.last);
    CHECK(s.gone == 0);
    CHECK_ERR(front_write(s.last, BYTES_LIT("more")), CLOSED);
    CHECK_ERR(front_end(s.last, NULL, 0), CLOSED);
    PUMP_UNTIL(&s, &c, c.ended);
    CHECK(saw(&c, "data: error") && !saw(&c, "0\r\n\r\n"));
    CHECK(s.gone == 1 && s.done == 0);
    client_close(&c);
    server_close(&s);

    start_stream(&s, &c, "/sized");
    CHECK_OK(front_write(s.last, BYTES_LIT("01234")));
    front_abort(s.last);
    PUMP_UNTIL(&s, &c, c.ended);
    CHECK(c.in.len == 5 && s.gone == 1);
    client_close(&c);
    server_close(&s);
}

static void an_aborted_http_1_0_stream_ends_with_a_reset(void **state)
{
    (void)state;
    struct server s;
    struct client c;
    server_open(&s, NULL);
    client_open(&c, &s);
    send_text(&c, "GET /stream HTTP/1.0\r\n\r\n");
    PUMP_UNTIL(&s, &c, s.body_ends == 1);
    CHECK_OK(front_write(s.last, BYTES_LIT("half")));
    PUMP_UNTIL(&s, &c, saw(&c, "half"));
    front_abort(s.last);
    PUMP_UNTIL(&s, &c, c.ended);
    CHECK(c.reset && s.gone == 1);
    client_close(&c);
    server_close(&s);
}

static void an_abort_before_the_answer_closes_without_one(void **state)
{
    (void)state;
    struct server s;
    struct client c;
    server_open(&s, NULL);
    client_open(&c, &s);
    send_text(&c, "GET /drop HTTP/1.1\r\n" HOST "\r\n");
    PUMP_UNTIL(&s, &c, c.ended);
    CHECK(c.in.len == 0 && s.gone == 1);
    client_close(&c);
    client_open(&c, &s);
    send_text(&c, "GET /wait HTTP/1.1\r\n" HOST "\r\n");
    PUMP_UNTIL(&s, &c, s.body_ends == 1);
    front_abort(s.last);
    PUMP_UNTIL(&s, &c, c.ended);
    CHECK(c.in.len == 0 && s.gone == 2);
    client_close(&c);
    client_open(&c, &s);
    send_text(&c, "POST /wait HTTP/1.1\r\n" HOST "Content-Length: 10\r\n\r\nabc");
    PUMP_UNTIL(&s, &c, s.body_len == 3);
    front_abort(s.last);
    PUMP_UNTIL(&s, &c, c.ended);
    CHECK(c.in.len == 0 && s.gone == 3);
    client_close(&c);
    server_close(&s);
}

static void a_slow_reader_is_bounded_and_told_when_to_go_on(void **state)
{
    (void)state;
    static uint8_t part[64 * 1024];
    struct server s;
    struct client c;
    size_t written = 0;
    start_stream(&s, &c, "/stream");
    err e = OK;
    /* the client does not read: first the kernel is full, then the queue */
    for (int i = 0; i < 4096 && err_is_ok(e); i++) {
        e = front_write(s.last, BYTES_ARRAY(part));
        written += err_is_ok(e) ? sizeof part : 0;
        CHECK(front_queued(s.last) <= FRONT_QUEUE_MAX);
        turn(&s);
    }
    CHECK_ERR(e, LIMIT);
    CHECK(front_queued(s.last) > FRONT_QUEUE_MAX - sizeof part && s.writable == 0);
    PUMP_UNTIL(&s, &c, s.writable > 0);
    CHECK(s.writable == 1 && front_queued(s.last) <= FRONT_QUEUE_LOW);
    CHECK_OK(front_end(s.last, NULL, 0));
    PUMP_UNTIL(&s, &c, s.done == 1);
    PUMP_UNTIL(&s, &c, bytes_ends(buf_view(&c.in), BYTES_LIT("\r\n0\r\n\r\n")));
    CHECK(c.in.len > written);
    client_close(&c);
    server_close(&s);
}

static void takes_a_full_queue_and_refuses_one_byte_more(void **state)
{
    (void)state;
    struct server s;
    struct client c;
    start_stream(&s, &c, "/stream");
    uint8_t *big = mem_alloc(FRONT_QUEUE_MAX + 1);
    CHECK_ERR(front_write(s.last, bytes_of(big, FRONT_QUEUE_MAX + 1)), LIMIT);
    CHECK_OK(front_write(s.last, bytes_of(big, FRONT_QUEUE_MAX)));
    CHECK_ERR(front_write(s.last, bytes_of(big, 1)), LIMIT);
    mem_free(big);
    client_close(&c);
    server_close(&s);
}

static void refuses_fields_that_could_split_the_head(void **state)
{
    (void)state;
    struct server s;
    struct client c;
    server_open(&s, NULL);
    client_open(&c, &s);
    send_text(&c, "GET /wait HTTP/1.1\r\n" HOST "\r\n");
    PUMP_UNTIL(&s, &c, s.body_ends == 1);
    static const char *const wrong[][2] = {
        { "X", "a\r\nY: b" },
        { "X", "a\nb" },
        { "X", "a\rb" },
        { "X", "\x01" },
        { "X\r\nY", "a" },
        { "X Y", "a" },
        { "X:", "a" },
        { "", "a" },
        { "X", "" },
        { "content-LENGTH", "1" },
        { "Date", "now" },
        { "Transfer-Encoding", "chunked" },
        { "connection", "close" },
    };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        const struct front_field field = { bytes_str(wrong[i][0]), bytes_str(wrong[i][1]) };
        CHECK_ERR(front_respond(s.last, 200, &field, 1, BYTES_LIT("x")), MALFORMED);
        CHECK_ERR(front_begin(s.last, 200, &field, 1, FRONT_CHUNKED), MALFORMED);
    }
    const struct front_field nul = { BYTES_LIT("X"), BYTES_LIT("a\0b") };
    CHECK_ERR(front_respond(s.last, 200, &nul, 1, BYTES_LIT("x")), MALFORMED);
    CHECK_OK(front_respond(s.last, 200, &plain, 1, BYTES_LIT("right")));
    CHECK_ERR(front_respond(s.last, 200, &plain, 1, BYTES_LIT("twice")), INTERNAL);
    PUMP_UNTIL(&s, &c, saw(&c, "right"));
    CHECK(!saw(&c, "twice"));
    client_close(&c);
    server_close(&s);
}

static void sends_as_many_fields_as_allowed_and_no_more(void **state)
{
    (void)state;
    static uint8_t value[FRONT_FIELD_MAX + 1];
    struct front_field fields[FRONT_FIELDS_MAX + 1];
    struct server s;
    struct client c;
    memset(value, 'v', sizeof value);
    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        fields[i] = (struct front_field){ BYTES_LIT("X-Y"), BYTES_LIT("value") };
    struct front_field wide[3] = { { BYTES_LIT("A"), bytes_of(value, FRONT_FIELD_MAX) },
                                   { BYTES_LIT("B"), bytes_of(value, FRONT_FIELD_MAX - 3) },
                                   { BYTES_LIT("C"), bytes_of(value, 1) } };
    server_open(&s, NULL);
    client_open(&c, &s);
    send_text(&c, "GET /wait HTTP/1.1\r\n" HOST "\r\nGET /wait HTTP/1.1\r\n" HOST "\r\n");
    PUMP_UNTIL(&s, &c, s.body_ends == 1);
    CHECK_ERR(front_respond(s.last, 200, fields, FRONT_FIELDS_MAX + 1, BYTES_LIT("x")), LIMIT);
    CHECK_OK(front_respond(s.last, 200, fields, FRONT_FIELDS_MAX, BYTES_LIT("many")));
    PUMP_UNTIL(&s, &c, s.body_ends == 2);
    CHECK(saw(&c, "many") && times(&c, "X-Y: value\r\n") == FRONT_FIELDS_MAX);
    CHECK_ERR(front_respond(s.last, 200, wide, 3, BYTES_LIT("x")), LIMIT);
    wide[0].value.len++;
    CHECK_ERR(front_respond(s.last, 200, wide, 1, BYTES_LIT("x")), LIMIT);
    wide[0].value.len--;
    wide[1].value.len++;
    CHECK_OK(front_respond(s.last, 200, wide, 2, BYTES_LIT("wide")));
    PUMP_UNTIL(&s, &c, saw(&c, "\r\n\r\nwide"));
    client_close(&c);
    server_close(&s);
}

static void the_largest_head_gets_the_largest_answer(void **state)
{
    (void)state;
    static uint8_t value[FRONT_FIELD_MAX];
    BUF_AUTO head = BUF(65536);
    struct server s;
    struct client c;
    memset(value, 'v', sizeof value);
    server_open(&s, NULL);
    client_open(&c, &s);
    CHECK_OK(buf_add_str(&head, "GET /wait HTTP/1.1\r\n" HOST));
    for (int i = 1; i < FRONT_HEADERS_MAX; i++)
        CHECK_OK(buf_addf(&head, "X-%03d: %.*s\r\n", i, i == 99 ? 160 : 154, (const char *)value));
    CHECK_OK(buf_add_str(&head, "\r\n"));
    CHECK(head.len <= FRONT_HEAD_MAX && head.len > FRONT_HEAD_MAX - 256);
    send_bytes(&c, buf_view(&head));
    PUMP_UNTIL(&s, &c, s.body_ends == 1);
    const struct front_field wide[] = { { BYTES_LIT("A"), BYTES_ARRAY(value) },
                                        { BYTES_LIT("B"), bytes_of(value, sizeof value - 2) } };
    CHECK_OK(front_begin(s.last, 200, wide, 2, FRONT_CHUNKED));
    CHECK_OK(front_write(s.last, BYTES_LIT("content")));
    CHECK_OK(front_end(s.last, wide, 2));
    PUMP_UNTIL(&s, &c, s.done == 1);
    PUMP_UNTIL(&s, &c, c.in.len > 2 * (size_t)FRONT_ANSWER_MAX);
    CHECK(saw(&c, "\r\n7\r\ncontent\r\n0\r\nA: vvv"));
    client_close(&c);
    server_close(&s);
}

static void a_large_answer_is_sent_without_being_copied(void **state)
{
    (void)state;
    const size_t len = 8 * 1024 * 1024;
    struct server s;
    struct client c;
    server_open(&s, NULL);
    client_open(&c, &s);
    send_text(&c, "GET /wait HTTP/1.1\r\n" HOST "\r\n");
    PUMP_UNTIL(&s, &c, s.body_ends == 1);
    struct buf body = BUF(len);
    CHECK_OK(buf_add_zeros(&body, len));
    CHECK_OK(front_respond_take(s.last, 200, NULL, 0, &body));
    CHECK(body.at == NULL && body.len == 0);
    PUMP_UNTIL(&s, &c, s.done == 1);
    PUMP_UNTIL(&s, &c, c.in.len > len);
    client_close(&c);
    server_close(&s);
}

/* ---- those who leave, and those who are slow ---- */

static void notices_at_once_that_a_waiting_client_left(void **state)
{
    (void)state;
    struct server s;
    struct client c;
    server_open(&s, NULL);
    client_open(&c, &s);
    send_text(&c, "GET /wait HTTP/1.1\r\n" HOST "\r\n");
    PUMP_UNTIL(&s, &c, s.body_ends == 1);
    client_close(&c);
    c.ended = true;
    PUMP_UNTIL(&s, &c, s.gone == 1);
    PUMP_UNTIL(&s, &c, front_connections(s.front) == 0);
    CHECK(front_requests(s.front) == 0);
    server_close(&s);
}

static void notices_that_a_streaming_client_left(void **state)
{
    (void)state;
    struct server s;
    struct client c;
    start_stream(&s, &c, "/stream");
    CHECK_OK(front_write(s.last, BYTES_LIT("data: 1\n\n")));
    PUMP_UNTIL(&s, &c, c.in.len > 0);
    client_close(&c);
    c.ended = true;
    PUMP_UNTIL(&s, &c, s.gone == 1);
    PUMP_UNTIL(&s, &c, front_connections(s.front) == 0);
    server_close(&s);
}

static void notices_that_a_held_back_client_left(void **state)
{
    (void)state;
    struct server s;
    struct client c;
    server_open(&s, NULL);
    client_open(&c, &s);
    send_text(&c, "POST /hold HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\n");
    PUMP_UNTIL(&s, &c, s.requests == 1);
    client_close(&c);
    c.ended = true;
    PUMP_UNTIL(&s, &c, s.gone == 1);
    PUMP_UNTIL(&s, &c, front_connections(s.front) == 0);
    server_close(&s);
}

static void notices_that_a_client_left_inside_its_body(void **state)
{
    (void)state;
    struct server s;
    struct client c;
    server_open(&s, NULL);
    client_open(&c, &s);
    send_text(&c, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 10\r\n\r\nabc");
    PUMP_UNTIL(&s, &c, s.body_len == 3);
    client_close(&c);
    c.ended = true;
    PUMP_UNTIL(&s, &c, s.gone == 1);
    CHECK(s.body_ends == 0);
    server_close(&s);
}

static void answers_a_half_closed_client_only_at_once(void **state)
{
    (void)state;
    struct server s;
    struct client c;
    server_open(&s, NULL);
    client_open(&c, &s);
    send_text(&c, "GET /now HTTP/1.1\r\n" HOST "\r\n");
    CHECK(shutdown(c.fd, SHUT_WR) == 0);
    PUMP_UNTIL(&s, &c, c.ended);
    CHECK(saw(&c, "\r\n\r\nnow") && s.done == 1);
    client_close(&c);
    client_open(&c, &s);
    send_text(&c, "GET /wait HTTP/1.1\r\n" HOST "\r\n");
    CHECK(shutdown(c.fd, SHUT_WR) == 0);
    PUMP_UNTIL(&s, &c, c.ended);
    CHECK(c.in.len == 0 && s.gone == 1);
    client_close(&c);
    server_close(&s);
}

static void notices_a_client_that_left_with_its_last_bytes(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 10\r\n\r\nabc",
        "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 10\r\n\r\n",
        "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n5\r\nab",
        "GET /wait HTTP/1.1\r\n" HOST "\r\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct server s;
        struct client c;
        server_open(&s, NULL);
        client_open(&c, &s);
        CHECK(send(c.fd, texts[i], strlen(texts[i]), 0) == (ssize_t)strlen(texts[i]));
        client_close(&c);
        c.ended = true;
        PUMP_UNTIL(&s, &c, s.gone == 1);
        PUMP_UNTIL(&s, &c, front_connections(s.front) == 0);
        server_close(&s);
    }
}

static void cuts_off_a_slow_head(void **state)
{
    (void)state;
    const struct front_settings settings = { .head_ms = 50, .idle_ms = 1000 };
    static const char *const starts[] = { "", "G", "GET /now HTTP/1.1\r\nHost" };
    struct server s;
    struct client c;
    server_open(&s, &settings);
    for (size_t i = 0; i < ARRAY_LEN(starts); i++) {
        client_open(&c, &s);
        send_text(&c, starts[i]);
        PUMP_UNTIL(&s, &c, c.ended);
        CHECK(c.in.len == 0 && s.refused == i + 1 && s.refused_status == 0);
        client_close(&c);
    }
    /* one that drips is no better */
    client_open(&c, &s);
    for (int i = 0; i < 10000 && !c.ended; i++) {
        send_text(&c, i == 0 ? "GET /now HTTP/1.1\r\nX: " : "y");
        turn(&s);
        receive(&c);
        (void)poll(NULL, 0, 5);
    }
    CHECK(c.ended && s.requests == 0);
    client_close(&c);
    server_close(&s);
}

static void cuts_off_a_slow_second_head(void **state)
{
    (void)state;
    const struct front_settings settings = { .head_ms = 50, .idle_ms = 1000 };
    struct server s;
    struct client c;
    server_open(&s, &settings);
    client_open(&c, &s);
    send_text(&c, "GET /now HTTP/1.1\r\n" HOST "\r\nGET /now HTTP/1.1\r\nX: ");
    for (int i = 0; i < 10000 && !c.ended; i++) {
        send_text(&c, "y");
        turn(&s);
        receive(&c);
        (void)poll(NULL, 0, 5);
    }
    CHECK(c.ended && s.requests == 1 && s.done == 1 && s.refused == 1);
    client_close(&c);
    server_close(&s);
}

static void cuts_off_a_slow_body_but_not_a_paused_one(void **state)
{
    (void)state;
    const struct front_settings settings = { .body_ms = 100 };
    struct server s;
    struct client c;
    server_open(&s, &settings);
    client_open(&c, &s);
    send_text(&c, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 100000\r\n\r\n");
    for (int i = 0; i < 10000 && !c.ended; i++) {
        send_text(&c, "y");
        turn(&s);
        receive(&c);
        (void)poll(NULL, 0, 5);
    }
    CHECK(c.ended && s.gone == 1 && s.body_ends == 0);
    client_close(&c);

    client_open(&c, &s);
    send_text(&c, "POST /hold HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc");
    PUMP_UNTIL(&s, &c, s.requests == 2);
    uint64_t until = clock_steady_ms() + 300;
    PUMP_UNTIL(&s, &c, clock_steady_ms() > until);
    CHECK(!c.ended && s.gone == 1);
    front_body_resume(s.last);
    PUMP_UNTIL(&s, &c, s.body_ends == 1);
    CHECK_OK(front_respond(s.last, 200, NULL, 0, BYTES_LIT("kept")));
    PUMP_UNTIL(&s, &c, saw(&c, "kept"));
    client_close(&c);
    server_close(&s);
}

static void closes_idle_connections(void **state)
{
    (void)state;
    const struct front_settings settings = { .idle_ms = 1000 };
    struct server s;
    struct client c;
    server_open(&s, &settings);
    client_open(&c, &s);
    send_text(&c, "GET /now HTTP/1.1\r\n" HOST "\r\n");
    PUMP_UNTIL(&s, &c, saw(&c, "\r\n\r\nnow"));
    PUMP_UNTIL(&s, &c, c.ended);
    PUMP_UNTIL(&s, &c, front_connections(s.front) == 0);
    client_close(&c);
    server_close(&s);
}

static void gives_up_on_a_client_that_reads_nothing(void **state)
{
    (void)state;
    const struct front_settings settings = { .idle_ms = 1000 };
    struct server s;
    struct client c;
    server_open(&s, &settings);
    client_open(&c, &s);
    send_text(&c, "GET /stream HTTP/1.1\r\n" HOST "\r\n");
    PUMP_UNTIL(&s, &c, s.body_ends == 1);
    static uint8_t part[64 * 1024];
    while (err_is_ok(front_write(s.last, BYTES_ARRAY(part))))
        turn(&s);
    uint64_t give_up = clock_steady_ms() + PATIENCE_MS;
    while (s.gone == 0) {
        turn(&s);
        (void)poll(NULL, 0, 5);
        CHECK(clock_steady_ms() < give_up);
    }
    CHECK(s.done == 0);
    client_close(&c);
    server_close(&s);
}

static void limits_connections(void **state)
{
    (void)state;
    const struct front_settings settings = { .per_ip_max = 1 };
    struct server s;
    struct client a, b;
    server_open(&s, &settings);
    client_open(&a, &s);
    send_text(&a, "GET /wait HTTP/1.1\r\n" HOST "\r\n");
    PUMP_UNTIL(&s, &a, s.body_ends == 1);
    client_open(&b, &s);
    PUMP_UNTIL(&s, &b, b.ended);
    CHECK(front_connections(s.front) == 1);
    client_close(&b);
    client_close(&a);
    server_close(&s);
}

/* ---- the end ---- */

static void drains(void **state)
{
    (void)state;
    struct server s;
    struct client idle, fresh, busy;
    server_open(&s, NULL);
    client_open(&idle, &s);
    send_text(&idle, "GET /now HTTP/1.1\r\n" HOST "\r\n");
    PUMP_UNTIL(&s, &idle, s.done == 1);
    client_open(&fresh, &s);
    client_open(&busy, &s);
    send_text(&busy, "GET /wait HTTP/1.1\r\n" HOST "\r\n");
    PUMP_UNTIL(&s, &busy, s.body_ends == 1);
    front_drain(s.front);
    front_drain(s.front);
    PUMP_UNTIL(&s, &idle, idle.ended);
    PUMP_UNTIL(&s, &fresh, fresh.ended);
    CHECK(s.drained == 0 && !busy.ended);
    CHECK_OK(front_respond(s.last, 200, NULL, 0, BYTES_LIT("bye")));
    PUMP_UNTIL(&s, &busy, busy.ended);
    CHECK(saw(&busy, "Connection: close\r\n") && saw(&busy, "\r\n\r\nbye") && s.done == 2);
    PUMP_UNTIL(&s, &busy, s.drained == 1);
    CHECK(front_connections(s.front) == 0);
    client_close(&idle);
    client_close(&fresh);
    client_close(&busy);
    server_close(&s);
}

static void a_request_that_has_arrived_is_answered_while_draining(void **state)
{
    (void)state;
    struct server s;
    struct client c;
    server_open(&s, NULL);
    client_open(&c, &s);
    send_text(&c, "GET /now HTTP/1.1\r\n" HOST "\r\n");
    PUMP_UNTIL(&s, &c, s.done == 1);
    buf_truncate(&c.in, 0);
    send_text(&c, "GET /wait HTTP/1.1\r\n" HOST "\r\n");
    front_drain(s.front);
    PUMP_UNTIL(&s, &c, s.body_ends == 1);
    CHECK_OK(front_respond(s.last, 200, NULL, 0, BYTES_LIT("still")));
    PUMP_UNTIL(&s, &c, c.ended);
    CHECK(saw(&c, "Connection: close\r\n") && saw(&c, "still"));
    client_close(&c);
    server_close(&s);
}

static void can_be_freed_in_the_middle_of_everything(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "GET /w",
        "GET /wait HTTP/1.1\r\nHost",
        "GET /wait HTTP/1.1\r\n" HOST "\r\n",
        "GET /stream HTTP/1.1\r\n" HOST "\r\n",
        "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 9\r\n\r\nabc",
        "POST /hold HTTP/1.1\r\n" HOST "Content-Length: 9\r\n\r\nabc",
        "GET / HTTP/1.1\r\n\r\n",
    };
    struct server s;
    struct client c[ARRAY_LEN(texts)];
    server_open(&s, NULL);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        client_open(&c[i], &s);
        send_text(&c[i], texts[i]);
    }
    PUMP_UNTIL(&s, &c[0], s.requests == 4 && s.refused == 1);
    front_body_resume(s.last);
    server_close(&s);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        client_close(&c[i]);
}

static void refuses_a_certificate_it_cannot_use(void **state)
{
    (void)state;
    struct loop *loop;
    struct front *front;
    struct sock_addr at;
    CHECK_OK(loop_new(&loop));
    CHECK_OK(sock_addr_read(BYTES_LIT("127.0.0.1:0"), &at));
    struct front_settings settings = { .listen = &at, .tls_cert_path = "/dev/null" };
    CHECK_ERR(front_new(&front, loop, &settings, &server_events, NULL), CONFIG);
    settings.tls_key_path = "/dev/null";
    CHECK_ERR(front_new(&front, loop, &settings, &server_events, NULL), CONFIG);
    settings.tls_cert_path = settings.tls_key_path = "/nonexistent";
    CHECK_ERR(front_new(&front, loop, &settings, &server_events, NULL), CONFIG);
    settings.tls_cert_path = settings.tls_key_path = "/proc/self/exe";
    CHECK_ERR(front_new(&front, loop, &settings, &server_events, NULL), CONFIG);
    loop_free(loop);
}

#define CERT_PATH "test_front_cert.pem"
#define KEY_PATH "test_front_key.pem"

static void write_certificate(void)
{
    const struct pki_spec spec = { .name = "localhost",
                                   .san = "DNS:localhost",
                                   .from_s = clock_wall_s() - 3600,
                                   .until_s = clock_wall_s() + 3600 };
    struct pki_cert *cert = pki_new(&spec);
    const struct pki_cert *const chain[] = { cert };
    pki_write_chain(CERT_PATH, chain, 1);
    pki_write_key(KEY_PATH, cert);
    pki_free(cert);
}

static void tls_client_open(struct client *c, struct server *s)
{
    struct tls_context *context;
    const struct tls_settings settings = { .ca_path = CERT_PATH,
                                           .server_name = "localhost",
                                           .alpn = "http/1.1" };
    CHECK_OK(tls_context_new(&context, &settings, false));
    client_open(c, s);
    CHECK_OK(tls_new(&c->tls, context, NULL));
    tls_context_free(context);
    send_bytes(c, (bytes){ 0 });
    BUF_AUTO hello = BUF(65536);
    CHECK_OK(tls_take(c->tls, &hello));
    CHECK(send(c->fd, hello.at, hello.len, MSG_NOSIGNAL) == (ssize_t)hello.len);
    PUMP_UNTIL(s, c, tls_ready(c->tls));
}

static void speaks_tls(void **state)
{
    (void)state;
    const struct front_settings settings = { .tls_cert_path = CERT_PATH, .tls_key_path = KEY_PATH };
    struct server s;
    struct client c;
    write_certificate();
    server_open(&s, &settings);
    s.keep_body = false;
    tls_client_open(&c, &s);
    send_text(&c, "GET /stream HTTP/1.1\r\n" HOST "\r\n");
    PUMP_UNTIL(&s, &c, s.body_ends == 1);
    CHECK(front_is_tls(s.last));
    CHECK_OK(front_write(s.last, BYTES_LIT("data: 1\n\n")));
    PUMP_UNTIL(&s, &c, saw(&c, "9\r\ndata: 1\n\n\r\n"));
    CHECK_OK(front_end(s.last, NULL, 0));
    PUMP_UNTIL(&s, &c, saw(&c, "\r\n0\r\n\r\n"));
    post(&c, "", 3 * 1024 * 1024, false);
    send_content(&c, 3 * 1024 * 1024, false);
    PUMP_UNTIL(&s, &c, saw(&c, "3145728 bytes"));
    send_text(&c, "GET /wait HTTP/1.1\r\n" HOST "X: y\n\r\n");
    PUMP_UNTIL(&s, &c, saw(&c, "HTTP/1.1 400 "));
    PUMP_UNTIL(&s, &c, c.ended);
    CHECK(s.done == 2 && s.refused == 1);
    client_close(&c);
    tls_client_open(&c, &s);
    send_text(&c, "GET /wait HTTP/1.1\r\n" HOST "\r\n");
    PUMP_UNTIL(&s, &c, s.body_ends == 3);
    client_close(&c);
    c.ended = true;
    PUMP_UNTIL(&s, &c, s.gone == 1);
    server_close(&s);
    (void)unlink(CERT_PATH);
    (void)unlink(KEY_PATH);
}

static err open_and_close(void *arg)
{
    struct server *s = arg;
    struct sock_addr at;
    TRY(sock_addr_read(BYTES_LIT("127.0.0.1:0"), &at));
    TRY(loop_new(&s->loop));
    const struct front_settings settings = { .listen = &at };
    struct front *front;
    err e = front_new(&front, s->loop, &settings, &server_events, s);
    if (err_is_ok(e))
        front_free(front);
    loop_free(s->loop);
    return e;
}

static void opens_or_says_that_memory_is_out(void **state)
{
    (void)state;
    struct server s = { 0 };
    law_every_allocation_fails_once(open_and_close, &s);
}

struct asking {
    struct server server;
    struct buf in;
};

/* The test's own memory is there before: what fails is the front's. */
static err ask_once(void *arg)
{
    struct asking *a = arg;
    struct server *s = &a->server;
    struct client c;
    client_open(&c, s);
    c.in = a->in;
    send_text(&c, "GET /pieces HTTP/1.1\r\n" HOST "\r\n");
    PUMP_UNTIL(s, &c, c.ended || saw(&c, "\r\n0\r\n\r\n"));
    bool whole = saw(&c, "6\r\npieces\r\n0\r\n\r\n");
    CHECK(whole || !saw(&c, "0\r\n\r\n"));
    buf_truncate(&c.in, 0);
    a->in = c.in;
    c.in = BUF(0);
    client_close(&c);
    c.ended = true;
    PUMP_UNTIL(s, &c, front_connections(s->front) == 0);
    ENSURE(whole, NOMEM);
    return OK;
}

static void a_request_gets_a_whole_answer_or_none_when_memory_is_out(void **state)
{
    (void)state;
    struct asking a = { .in = BUF(4096) };
    uint8_t *room;
    server_open(&a.server, NULL);
    CHECK_OK(buf_reserve(&a.server.log, 4096, &room));
    CHECK_OK(buf_reserve(&a.in, 4096, &room));
    law_every_allocation_fails_once(ask_once, &a);
    CHECK(a.server.done > 0 && a.server.gone > 0);
    server_close(&a.server);
    buf_clear(&a.in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_an_ordinary_request),
        cmocka_unit_test(parses_the_same_for_every_split),
        cmocka_unit_test(takes_a_head_at_the_limit_and_refuses_one_above),
        cmocka_unit_test(takes_as_many_headers_as_allowed_and_refuses_one_more),
        cmocka_unit_test(a_query_costs_nothing),
        cmocka_unit_test(keeps_pipelined_requests_apart_and_in_order),
        cmocka_unit_test(answers_parked_pipelined_requests_one_after_the_other),
        cmocka_unit_test(speaks_http_1_0),
        cmocka_unit_test(answers_a_head_request_without_content),
        cmocka_unit_test(takes_chunked_bodies_and_closes_behind_them),
        cmocka_unit_test(takes_a_body_at_the_limit_and_refuses_one_above),
        cmocka_unit_test(gives_up_on_a_body_that_does_not_end),
        cmocka_unit_test(asks_for_an_expected_body_at_once_unless_it_is_refused),
        cmocka_unit_test(answers_before_the_body_without_a_reset),
        cmocka_unit_test(holds_the_body_back_while_paused),
        cmocka_unit_test(sends_each_turn_as_one_chunk_and_the_end_with_the_last),
        cmocka_unit_test(ends_an_idle_stream),
        cmocka_unit_test(sends_a_known_length_and_is_done_only_at_its_end),
        cmocka_unit_test(an_aborted_stream_never_looks_finished),
        cmocka_unit_test(an_aborted_http_1_0_stream_ends_with_a_reset),
        cmocka_unit_test(an_abort_before_the_answer_closes_without_one),
        cmocka_unit_test(a_slow_reader_is_bounded_and_told_when_to_go_on),
        cmocka_unit_test(takes_a_full_queue_and_refuses_one_byte_more),
        cmocka_unit_test(refuses_fields_that_could_split_the_head),
        cmocka_unit_test(sends_as_many_fields_as_allowed_and_no_more),
        cmocka_unit_test(the_largest_head_gets_the_largest_answer),
        cmocka_unit_test(a_large_answer_is_sent_without_being_copied),
        cmocka_unit_test(notices_at_once_that_a_waiting_client_left),
        cmocka_unit_test(notices_that_a_streaming_client_left),
        cmocka_unit_test(notices_that_a_held_back_client_left),
        cmocka_unit_test(notices_that_a_client_left_inside_its_body),
        cmocka_unit_test(answers_a_half_closed_client_only_at_once),
        cmocka_unit_test(notices_a_client_that_left_with_its_last_bytes),
        cmocka_unit_test(cuts_off_a_slow_head),
        cmocka_unit_test(cuts_off_a_slow_second_head),
        cmocka_unit_test(cuts_off_a_slow_body_but_not_a_paused_one),
        cmocka_unit_test(closes_idle_connections),
        cmocka_unit_test(gives_up_on_a_client_that_reads_nothing),
        cmocka_unit_test(limits_connections),
        cmocka_unit_test(drains),
        cmocka_unit_test(a_request_that_has_arrived_is_answered_while_draining),
        cmocka_unit_test(can_be_freed_in_the_middle_of_everything),
        cmocka_unit_test(speaks_tls),
        cmocka_unit_test(refuses_a_certificate_it_cannot_use),
        cmocka_unit_test(opens_or_says_that_memory_is_out),
        cmocka_unit_test(a_request_gets_a_whole_answer_or_none_when_memory_is_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
