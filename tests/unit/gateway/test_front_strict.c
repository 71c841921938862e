/*
 * The checks of request heads, through a whole front: what libmicrohttpd's parser leaves behind of a
 * head is part of what is tested.
 */
#include <stdio.h>
#include <sys/socket.h>

#include "base/text.h"
#include "gateway/front_strict.h"
#include "tests/unit/gateway/front_server.h"

struct raw {
    const char *name;
    const char *text;
    size_t len; /* 0: the text's */
    unsigned status;
};

#define WITH_NUL(lit) lit, sizeof(lit) - 1

/* Every one is refused and the connection closed; the second request in it is never seen. */
static const struct raw refused_heads[] = {
    { "length and encoding",
      "POST /x HTTP/1.1\r\n" HOST
      "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" NEXT,
      0, 400 },
    { "encoding and length",
      "POST /x HTTP/1.1\r\n" HOST
      "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n" NEXT,
      0, 400 },
    { "equal lengths",
      "POST /x HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 1\r\n\r\nx" NEXT, 0, 400 },
    { "different lengths",
      "POST /x HTTP/1.1\r\n" HOST "Content-Length: 1\r\ncontent-length: 40\r\n\r\nx" NEXT, 0, 400 },
    { "length list", "POST /x HTTP/1.1\r\n" HOST "Content-Length: 1, 1\r\n\r\nx" NEXT, 0, 400 },
    { "plus length", "POST /x HTTP/1.1\r\n" HOST "Content-Length: +1\r\n\r\nx" NEXT, 0, 400 },
    { "negative length", "POST /x HTTP/1.1\r\n" HOST "Content-Length: -1\r\n\r\nx" NEXT, 0, 400 },
    { "hex length", "POST /x HTTP/1.1\r\n" HOST "Content-Length: 0x1\r\n\r\nx" NEXT, 0, 400 },
    { "no length", "POST /x HTTP/1.1\r\n" HOST "Content-Length:\r\n\r\nx" NEXT, 0, 400 },
    { "length over 64 bits",
      "POST /x HTTP/1.1\r\n" HOST "Content-Length: 18446744073709551617\r\n\r\nx" NEXT, 0, 413 },
    { "length with a space before the colon",
      "POST /x HTTP/1.1\r\n" HOST "Content-Length : 40\r\n\r\n" NEXT, 0, 400 },
    { "length with a tab before the colon",
      "POST /x HTTP/1.1\r\n" HOST "Content-Length\t: 40\r\n\r\n" NEXT, 0, 400 },
    { "gzip encoding", "POST /x HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip\r\n\r\n0\r\n\r\n" NEXT,
      0, 400 },
    { "gzip, chunked",
      "POST /x HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" NEXT, 0,
      400 },
    { "chunked twice",
      "POST /x HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nTransfer-Encoding: "
      "chunked\r\n\r\n0\r\n\r\n" NEXT,
      0, 400 },
    { "chunked with a parameter",
      "POST /x HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked;x=1\r\n\r\n0\r\n\r\n" NEXT, 0, 400 },
    { "chunked and a vertical tab",
      "POST /x HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\v\r\n\r\n0\r\n\r\n" NEXT, 0, 400 },
    { "chunked and identity",
      "POST /x HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" NEXT, 0,
      400 },
    { "encoding in 1.0",
      "POST /x HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" NEXT, 0, 400 },
    { "two hosts", "GET /x HTTP/1.1\r\n" HOST "Host: y\r\n\r\n" NEXT, 0, 400 },
    { "two hosts in 1.0", "GET /x HTTP/1.0\r\n" HOST "Host: y\r\n\r\n" NEXT, 0, 400 },
    { "no host", "GET /x HTTP/1.1\r\nX: y\r\n\r\n" NEXT, 0, 400 },
    { "no header at all", "GET /x HTTP/1.1\r\n\r\n" NEXT, 0, 400 },
    { "space in a name", "GET /x HTTP/1.1\r\n" HOST "X Y: z\r\n\r\n" NEXT, 0, 400 },
    { "space first", "GET /x HTTP/1.1\r\n X: y\r\n" HOST "\r\n" NEXT, 0, 400 },
    { "empty name", "GET /x HTTP/1.1\r\n" HOST ": y\r\n\r\n" NEXT, 0, 400 },
    { "name outside ASCII", "GET /x HTTP/1.1\r\n" HOST "X\xc3\xa9: y\r\n\r\n" NEXT, 0, 400 },
    { "name with a bracket", "GET /x HTTP/1.1\r\n" HOST "X(: y\r\n\r\n" NEXT, 0, 400 },
    { "no colon", "GET /x HTTP/1.1\r\n" HOST "nothing\r\n\r\n" NEXT, 0, 400 },
    { "folded line", "GET /x HTTP/1.1\r\n" HOST "X: y\r\n z\r\n\r\n" NEXT, 0, 400 },
    { "folded by a tab", "GET /x HTTP/1.1\r\n" HOST "X: y\r\n\tz\r\n\r\n" NEXT, 0, 400 },
    { "folded into a length", "POST /x HTTP/1.1\r\n" HOST "Content-Length:\r\n 40\r\n\r\n" NEXT, 0,
      400 },
    { "bare LF everywhere", "GET /x HTTP/1.1\nHost: x\n\n" NEXT, 0, 400 },
    { "bare LF behind the request line", "GET /x HTTP/1.1\n" HOST "\r\n" NEXT, 0, 400 },
    { "bare LF behind a header", "GET /x HTTP/1.1\r\nHost: x\n\r\n" NEXT, 0, 400 },
    { "bare LF behind one of two", "GET /x HTTP/1.1\r\nX: y\nHost: x\r\n\r\n" NEXT, 0, 400 },
    { "bare LF as the empty line", "GET /x HTTP/1.1\r\n" HOST "\n" NEXT, 0, 400 },
    { "bare LF twice", "GET /x HTTP/1.1\r\nHost: x\n\n" NEXT, 0, 400 },
    { "LF CR", "GET /x HTTP/1.1\r\nHost: x\n\rX: y\r\n\r\n" NEXT, 0, 400 },
    { "bare CR in a value", "GET /x HTTP/1.1\r\n" HOST "X: y\rZ: z\r\n\r\n" NEXT, 0, 400 },
    { "bare CR behind a value", "GET /x HTTP/1.1\r\n" HOST "X: y\r\r\n\r\n" NEXT, 0, 400 },
    { "bare CR in a name", "GET /x HTTP/1.1\r\n" HOST "X\r: y\r\n\r\n" NEXT, 0, 400 },
    { "bare CR in the request line", "GET /x\r HTTP/1.1\r\n" HOST "\r\n" NEXT, 0, 400 },
    { "NUL in a value", WITH_NUL("GET /x HTTP/1.1\r\n" HOST "X: y\0z\r\n\r\n" NEXT), 400 },
    { "NUL behind a value", WITH_NUL("GET /x HTTP/1.1\r\n" HOST "X: y\0\r\n\r\n" NEXT), 400 },
    { "two NULs in a value", WITH_NUL("GET /x HTTP/1.1\r\n" HOST "X: y\0\0Y: z\r\n\r\n" NEXT),
      400 },
    { "two NULs behind a value", WITH_NUL("GET /x HTTP/1.1\r\n" HOST "X: y\0\0\r\n\r\n" NEXT),
      400 },
    { "NUL in a name", WITH_NUL("GET /x HTTP/1.1\r\n" HOST "X\0: y\r\n\r\n" NEXT), 400 },
    { "NUL for a colon", WITH_NUL("GET /x HTTP/1.1\r\n" HOST "X\0 y\r\n\r\n" NEXT), 400 },
    { "line that begins with NUL",
      WITH_NUL("GET /x HTTP/1.1\r\n" HOST "\0X: y\r\nContent-Length: 40\r\n\r\n" NEXT), 400 },
    { "NUL in the target", WITH_NUL("GET /x\0y HTTP/1.1\r\n" HOST "\r\n" NEXT), 400 },
    { "NUL behind the version", WITH_NUL("GET /x HTTP/1.1\0\r\n" HOST "\r\n" NEXT), 400 },
    { "escape in a value", "GET /x HTTP/1.1\r\n" HOST "X: \033[2J\r\n\r\n" NEXT, 0, 400 },
    { "DEL in a value", "GET /x HTTP/1.1\r\n" HOST "X: \177\r\n\r\n" NEXT, 0, 400 },
    { "two spaces behind the method", "GET  /x HTTP/1.1\r\n" HOST "\r\n" NEXT, 0, 400 },
    { "two spaces before the version", "GET /x  HTTP/1.1\r\n" HOST "\r\n" NEXT, 0, 400 },
    { "space behind the version", "GET /x HTTP/1.1 \r\n" HOST "\r\n" NEXT, 0, 400 },
    { "space in the target", "GET /x y HTTP/1.1\r\n" HOST "\r\n" NEXT, 0, 400 },
    { "tab in the target", "GET /x\ty HTTP/1.1\r\n" HOST "\r\n" NEXT, 0, 400 },
    { "target outside ASCII", "GET /\xc3\xa9 HTTP/1.1\r\n" HOST "\r\n" NEXT, 0, 400 },
    { "strange method", "G@T /x HTTP/1.1\r\n" HOST "\r\n" NEXT, 0, 400 },
    { "no version", "GET /x\r\n" HOST "\r\n" NEXT, 0, 400 },
    { "lower-case version", "GET /x http/1.1\r\n" HOST "\r\n" NEXT, 0, 400 },
    { "version 1.2", "GET /x HTTP/1.2\r\n" HOST "\r\n" NEXT, 0, 505 },
    { "version 2.0", "GET /x HTTP/2.0\r\n" HOST "\r\n" NEXT, 0, 505 },
    { "HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 0, 505 },
};

static void check_refused(const struct raw *raw)
{
    struct server s;
    struct client c;
    char line[32];
    server_open(&s, NULL);
    client_open(&c, &s);
    (void)snprintf(line, sizeof line, "HTTP/1.1 %u ", raw->status);
    send_bytes(&c, raw->len > 0 ? bytes_of(raw->text, raw->len) : bytes_str(raw->text));
    PUMP_UNTIL(&s, &c, c.ended);
    if (!bytes_starts(buf_view(&c.in), bytes_str(line)) || s.requests != 0 || c.reset ||
        !saw(&c, "Connection: close\r\n"))
        fail_msg("%s: %u requests, reset %d, got: %s", raw->name, s.requests, c.reset,
                 buf_str(&c.in));
    client_close(&c);
    server_close(&s);
}

static void refuses_every_head_that_can_be_read_in_two_ways(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(refused_heads); i++)
        check_refused(&refused_heads[i]);
}

static void refuses_them_as_the_second_request_too(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(refused_heads); i++) {
        const struct raw *raw = &refused_heads[i];
        struct server s;
        struct client c;
        server_open(&s, NULL);
        client_open(&c, &s);
        send_text(&c, "GET /now HTTP/1.1\r\n" HOST "\r\n");
        send_bytes(&c, raw->len > 0 ? bytes_of(raw->text, raw->len) : bytes_str(raw->text));
        PUMP_UNTIL(&s, &c, c.ended);
        char line[32];
        (void)snprintf(line, sizeof line, "nowHTTP/1.1 %u ", raw->status);
        if (s.requests != 1 || !saw(&c, line))
            fail_msg("%s: %u requests, got: %s", raw->name, s.requests, buf_str(&c.in));
        client_close(&c);
        server_close(&s);
    }
}

static void refuses_with_a_json_error_object_and_says_so(void **state)
{
    (void)state;
    struct server s;
    struct client c;
    server_open(&s, NULL);
    client_open(&c, &s);
    send_text(&c, "GET / HTTP/1.1\r\n" HOST HOST "\r\n");
    PUMP_UNTIL(&s, &c, c.ended);
    CHECK(saw(&c, "Content-Type: application/json\r\n"));
    CHECK(saw(&c,
              "{\"error\":{\"message\":\"repeated host\",\"type\":\"invalid_request_error\","
              "\"param\":null,\"code\":null}}"));
    CHECK(s.refused == 1 && s.refused_status == 400);
    client_close(&c);
    server_close(&s);
}

static void takes_odd_heads_that_are_right(void **state)
{
    (void)state;
    static const char *const heads[] = {
        "GET /now HTTP/1.1\r\nhOST:x\r\n\r\n",
        "\r\nGET /now HTTP/1.1\r\n" HOST "\r\n",
        "GET /now HTTP/1.1\r\n" HOST
        "X: caf\xc3\xa9\r\nX: a\tb\r\n!#$%&'*+-.^_`|~09azAZ: y\r\n\r\n",
        "GET /now?x=%00%0d%0a HTTP/1.1\r\n" HOST "\r\n",
        "GET /now? HTTP/1.1\r\n" HOST "\r\n",
        "GET /now HTTP/1.1\r\nCookie: a=b; c=\"d\"\r\n" HOST "\r\n",
        "POST /now HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n",
        "POST /now HTTP/1.1\r\n" HOST "Content-Length:  003 \r\n\r\nabc",
    };
    for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
        struct server s;
        struct client c;
        server_open(&s, NULL);
        client_open(&c, &s);
        send_text(&c, heads[i]);
        if (i + 1 < ARRAY_LEN(heads)) { /* white space behind a length is not taken by the parser */
            PUMP_UNTIL(&s, &c, saw(&c, "\r\n\r\nnow"));
            CHECK(s.requests == 1);
        } else {
            PUMP_UNTIL(&s, &c, saw(&c, "HTTP/1.1 400"));
        }
        client_close(&c);
        server_close(&s);
    }
}

/* ---- against a second reader that sees the raw bytes ---- */

static bool cut(bytes *from, const char *mark, bytes *before)
{
    size_t at = text_find(*from, bytes_str(mark));
    if (at == from->len)
        return false;
    *before = bytes_slice(*from, 0, at);
    *from = bytes_slice(*from, at + strlen(mark), from->len);
    return true;
}

static bool only(bytes text, const char *allowed, uint8_t from, uint8_t to)
{
    for (size_t i = 0; i < text.len; i++) {
        if ((text.at[i] < from || text.at[i] > to) &&
            (text.at[i] == 0 || strchr(allowed, text.at[i]) == NULL))
            return false;
    }
    return true;
}

static bool is_token_by_letter(bytes text)
{
    return text.len > 0 &&
           only(text, "-'*+.^_`|~!#$%&0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", 'a', 'z');
}

/* Whether raw begins with one whole head that RFC 9112 allows, and that has one Host. */
static bool is_right(bytes raw)
{
    bytes line, method, target, name;
    unsigned hosts = 0;
    while (bytes_starts(raw, BYTES_LIT("\r\n")) || bytes_starts(raw, BYTES_LIT("\n")))
        raw = bytes_slice(raw, raw.at[0] == '\n' ? 1 : 2, raw.len); /* not seen by the front */
    if (!cut(&raw, "\r\n", &line) || !cut(&line, " ", &method) || !cut(&line, " ", &target) ||
        !is_token_by_letter(method) || target.len == 0 || !only(target, "", 0x21, 0x7e))
        return false;
    bool old = bytes_equal(line, BYTES_LIT("HTTP/1.0"));
    if (!old && !bytes_equal(line, BYTES_LIT("HTTP/1.1")))
        return false;
    while (cut(&raw, "\r\n", &line)) {
        if (line.len == 0)
            return hosts == 1 || (old && hosts == 0);
        if (!cut(&line, ":", &name) || !is_token_by_letter(name) ||
            !only(line, "\t ", 0x21, 0xff) || text_find(line, BYTES_LIT("\x7f")) < line.len)
            return false;
        hosts += text_equal_nocase(name, BYTES_LIT("host"));
    }
    return false;
}

/* Not one of the spellings that front_strict.h owns up to. */
static bool can_be_told(bytes head)
{
    return text_find(head, BYTES_LIT("\0\n")) == head.len &&
           text_find(head, BYTES_LIT("\n:\n")) == head.len;
}

static void check_against_the_second_reader(bytes head)
{
    struct server s;
    struct client c;
    BUF_AUTO text = BUF(1024);
    CHECK_OK(buf_add(&text, head));
    CHECK_OK(buf_add_str(&text, NEXT));
    server_open(&s, NULL);
    client_open(&c, &s);
    send_bytes(&c, buf_view(&text));
    CHECK(shutdown(c.fd, SHUT_WR) == 0);
    PUMP_UNTIL(&s, &c, c.ended);
    if ((s.requests > 0) != is_right(buf_view(&text))) {
        BUF_AUTO shown = BUF(4096);
        CHECK_OK(text_json_quote(&shown, head));
        fail_msg("%u requests out of %s", s.requests, buf_str(&shown));
    }
    client_close(&c);
    server_close(&s);
}

static void agrees_with_a_second_reader_on_every_damaged_head(void **state)
{
    (void)state;
    static const char good[] = "GET /n?a=b HTTP/1.1\r\nHost: x\r\nX-Y: z w\r\n\r\n";
    static const uint8_t bad[] = { 0, '\t', '\n', '\r', ' ', ':', 'H', '(', 0x7f, 0x80 };
    for (size_t at = 0; at < sizeof good - 1; at++) {
        for (size_t i = 0; i < sizeof bad; i++) {
            for (size_t kept = 0; kept < 2; kept++) { /* instead of the byte, or before it */
                BUF_AUTO head = BUF(256);
                CHECK_OK(buf_add(&head, bytes_of(good, at)));
                CHECK_OK(buf_add_u8(&head, bad[i]));
                CHECK_OK(
                    buf_add(&head, bytes_of(good + at + 1 - kept, sizeof good - 2 - at + kept)));
                if (can_be_told(buf_view(&head)))
                    check_against_the_second_reader(buf_view(&head));
            }
        }
        BUF_AUTO head = BUF(256);
        CHECK_OK(buf_add(&head, bytes_of(good, at)));
        CHECK_OK(buf_add(&head, bytes_of(good + at + 1, sizeof good - 2 - at)));
        check_against_the_second_reader(buf_view(&head));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_every_head_that_can_be_read_in_two_ways),
        cmocka_unit_test(refuses_them_as_the_second_request_too),
        cmocka_unit_test(refuses_with_a_json_error_object_and_says_so),
        cmocka_unit_test(takes_odd_heads_that_are_right),
        cmocka_unit_test(agrees_with_a_second_reader_on_every_damaged_head),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
