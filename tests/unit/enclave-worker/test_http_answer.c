#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "enclave-worker/http_answer.h"
#include "tests/lib/law.h"

enum { SEEN_MAX = 64 };

/* What became of some input, cut into pieces of `step` bytes: content, and how it ended. */
struct seen {
    struct http_answer answer;
    char content[SEEN_MAX];
    size_t len;
    unsigned heads;
    bool ended;
    size_t surplus;
    err why;
};

static void put_all(struct seen *s, bytes in, size_t step)
{
    while (in.len > 0 && s->why.code == ERR_OK && !s->ended) {
        bytes part = bytes_slice(in, 0, step);
        in = bytes_slice(in, part.len, in.len);
        enum http_step what;
        do {
            bytes piece = { 0 };
            s->why = http_answer_next(&s->answer, &part, &piece, &what);
            if (s->why.code != ERR_OK)
                return;
            s->heads += what == HTTP_HEAD;
            s->ended = what == HTTP_END;
            if (what == HTTP_BODY) {
                CHECK(piece.len > 0 && s->len + piece.len < sizeof s->content);
                memcpy(s->content + s->len, piece.at, piece.len);
                s->len += piece.len;
            }
        } while (what == HTTP_HEAD || what == HTTP_BODY);
        s->surplus = s->ended ? part.len + in.len : 0;
        CHECK(s->ended || part.len == 0);
    }
}

static struct seen read_answer(const char *text, size_t step, bool no_body)
{
    struct seen s = { 0 };
    http_answer_init(&s.answer, no_body);
    put_all(&s, bytes_str(text), step);
    return s;
}

static const struct {
    const char *text;
    const char *content;
    unsigned status;
    bool ended;
    bool keeps;
    size_t surplus;
} GOOD[] = {
    { "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello", 200, true, true, 0 },
    { "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP", "hello", 200, true, true, 4 },
    { "HTTP/1.1 200 OK\nContent-Length:5\n\nhello", "hello", 200, true, true, 0 },
    { "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "", 200, true, true, 0 },
    { "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok", "ok", 200, true, true,
      0 },
    { "HTTP/1.1 200\r\n\r\nhello", "hello", 200, false, false, 0 },
    { "HTTP/1.1 200 OK\r\n\r\nhello", "hello", 200, false, false, 0 },
    { "HTTP/1.1 204 No\r\nContent-Length: 9\r\n\r\n", "", 204, true, true, 0 },
    { "HTTP/1.1 304 No\r\nTransfer-Encoding: chunked\r\n\r\n", "", 304, true, true, 0 },
    { "HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n",
      "hello!", 200, true, true, 0 },
    { "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n00A;x=y\r\n0123456789\r\n"
      "0 \r\nA: b\r\nC: d\r\n\r\nx",
      "0123456789", 200, true, true, 1 },
    { "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel", "hel", 200, false, false,
      0 },
    { "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nContent-Length: 9\r\n\r\n0\r\n\r\n", "",
      200, true, false, 0 },
    { "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx", "x", 200, true, false,
      0 },
    { "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", "x", 200, true, false, 0 },
    { "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 1\r\n\r\nx", "x", 200, true,
      true, 0 },
    { "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nContent-Length: 7\r\n\r\n"
      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
      "ok", 200, true, true, 0 },
};

static void any_cut_gives_the_same(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(GOOD); i++) {
        for (size_t step = 1; step <= strlen(GOOD[i].text); step++) {
            struct seen s = read_answer(GOOD[i].text, step, false);
            s.content[s.len] = '\0';
            CHECK_OK(s.why);
            assert_int_equal(s.heads, 1);
            assert_int_equal(s.answer.head.status, GOOD[i].status);
            assert_string_equal(s.content, GOOD[i].content);
            assert_int_equal(s.ended, GOOD[i].ended);
            assert_int_equal(s.surplus, GOOD[i].surplus);
            assert_int_equal(http_answer_keeps(&s.answer), GOOD[i].keeps);
            http_answer_clear(&s.answer);
        }
    }
}

static void refuses_what_is_no_http(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "hello\r\n",
        "\r\nHTTP/1.1 200 OK\r\n\r\n",
        "HTTP/2 200\r\n",
        "HTTP/1.1  200 OK\r\n",
        "HTTP/1.1 99 Odd\r\n",
        "HTTP/1.1 600 Odd\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n",
        "HTTP/1.1 200 OK\r\n: empty\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\n folded\r\n",
        "HTTP/1.1 200 OK\r\nA : b\r\n",
        "HTTP/1.1 200 OK\r\nHTTP/1.1 404: x\r\n",
        "HTTP/1.1 200 OK\r\nA: \x01\r\n",
        "HTTP/1.1 200 OK\r\nA: b\rC: d\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: \r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775808\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1x\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1000000000000000\r\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        for (size_t step = 1; step < 100; step += 33) {
            struct seen s = read_answer(bad[i], step, false);
            if (s.why.code != ERR_MALFORMED)
                fail_msg("%s: %s", bad[i], err_word(s.why));
            http_answer_clear(&s.answer);
        }
    }
}

static void an_answer_to_head_ends_with_its_head(void **state)
{
    (void)state;
    struct seen s = read_answer("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 7, true);
    CHECK_OK(s.why);
    CHECK(s.ended && s.heads == 1 && http_answer_keeps(&s.answer));
    http_answer_clear(&s.answer);
    s = read_answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 7, true);
    CHECK(s.ended && s.heads == 1);
    http_answer_clear(&s.answer);
}

/* Only where no length was said is the engine's closing an end. */
static void a_closed_connection_ends_an_answer_without_a_length_alone(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool ends;
    } rows[] = {
        { "HTTP/1.1 200 OK\r\n\r\nhel", true },
        { "HTTP/1.1 200 OK\r\n\r\n", true },
        { "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", false },
        { "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", true },
        { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n", false },
        { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", false },
        { "HTTP/1.1 200 OK\r\nContent-", false },
        { "HTTP/1.1 100 Continue\r\n\r\n", false },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct seen s = read_answer(rows[i].text, 4096, false);
        CHECK_OK(s.why);
        CHECK(!http_answer_is_untouched(&s.answer));
        CHECK(err_is_ok(http_answer_close(&s.answer)) == rows[i].ends);
        http_answer_clear(&s.answer);
    }
    struct seen s = read_answer("", 1, false);
    CHECK(http_answer_is_untouched(&s.answer));
    CHECK_ERR(http_answer_close(&s.answer), CLOSED);
    http_answer_clear(&s.answer);
    s = read_answer("H", 1, false);
    CHECK(!http_answer_is_untouched(&s.answer));
    http_answer_clear(&s.answer);
}

/* `lead`, then `n` bytes in lines that mean nothing. */
static err read_long(const char *lead, size_t n)
{
    BUF_AUTO text = BUF(4 * ENGINE_HTTP_HEAD_MAX);
    struct seen s = { 0 };
    CHECK_OK(buf_add_str(&text, lead));
    for (size_t i = 0; i < n; i++)
        CHECK_OK(buf_add_u8(&text, i + 1 == n || i % 1024 == 1023 ? '\n'
                                   : i % 1024 == 1                ? ':'
                                                                  : 'a'));
    http_answer_init(&s.answer, false);
    put_all(&s, buf_view(&text), 4096);
    http_answer_clear(&s.answer);
    return s.why;
}

static void heads_trailers_and_lines_have_limits(void **state)
{
    (void)state;
    static const char status[] = "HTTP/1.1 200 OK\r\n";
    static const char chunks[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n";
    size_t room = ENGINE_HTTP_HEAD_MAX - strlen(status);
    CHECK_OK(read_long(status, room));
    CHECK_ERR(read_long(status, room + 1), LIMIT);
    CHECK_OK(read_long(chunks, ENGINE_HTTP_HEAD_MAX));
    CHECK_ERR(read_long(chunks, ENGINE_HTTP_HEAD_MAX + 1), LIMIT);

    /* One line, of which the end never comes. */
    BUF_AUTO text = BUF(2 * ENGINE_HTTP_HEAD_MAX);
    while (text.len <= ENGINE_HTTP_HEAD_MAX)
        CHECK_OK(buf_add_u8(&text, 'a'));
    struct seen s = { 0 };
    http_answer_init(&s.answer, false);
    put_all(&s, buf_view(&text), 100);
    CHECK_ERR(s.why, LIMIT);
    http_answer_clear(&s.answer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_cut_gives_the_same),
        cmocka_unit_test(refuses_what_is_no_http),
        cmocka_unit_test(an_answer_to_head_ends_with_its_head),
        cmocka_unit_test(a_closed_connection_ends_an_answer_without_a_length_alone),
        cmocka_unit_test(heads_trailers_and_lines_have_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
