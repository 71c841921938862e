#include <stdlib.h>

#include "receipts/transcript.h"
#include "tests/lib/law.h"

/* The rule once more, slowly and from the whole stream, for the fast one to be held against: what
 * is hashed goes to *out. Written from the header's text, not from the code. */
static size_t line_end_len(const char *s, size_t at, size_t len)
{
    if (at < len && s[at] == '\n')
        return 1;
    return at + 1 < len && s[at] == '\r' && s[at + 1] == '\n' ? 2 : 0;
}

static size_t comment_len(const char *s, size_t at, size_t len)
{
    size_t i = at;
    while (i < len && s[i] != '\n' && s[i] != '\r')
        i++;
    return i - at;
}

static size_t past_line(const char *s, size_t at, size_t len)
{
    while (at < len && s[at] != '\n')
        at++;
    return at < len ? at + 1 : len;
}

static void what_is_hashed(struct buf *out, const char *s, size_t len)
{
    bool boundary = true;
    size_t at = 0;
    while (at < len) {
        size_t start = at;
        if (s[at] != ':') {
            boundary = line_end_len(s, at, len) > 0;
            at = past_line(s, at, len);
            CHECK_OK(buf_add(out, bytes_of(s + start, at - start)));
            continue;
        }
        at += comment_len(s, at, len);
        size_t end = line_end_len(s, at, len);
        if (at < len && end == 0) { /* a CR alone */
            at++;
            start = at;
            at = past_line(s, at, len);
            boundary = boundary && start == len;
            CHECK_OK(buf_add(out, bytes_of(s + start, at - start)));
            continue;
        }
        at += end;
        if (boundary)
            at += line_end_len(s, at, len);
    }
}

static void check_transcript_is(bytes content, bool sse, bytes kept)
{
    uint8_t expected[TRANSCRIPT_LEN], got[TRANSCRIPT_LEN];
    sha256_of(kept, expected);
    transcript_of(content, sse, got);
    CHECK_BYTES(BYTES_ARRAY(got), BYTES_ARRAY(expected));
}

#define HASHES(content, kept) check_transcript_is(BYTES_LIT(content), true, BYTES_LIT(kept))

static void plain_content_is_hashed_as_it_is(void **state)
{
    (void)state;
    check_transcript_is(BYTES_LIT(": not a comment here\n\n"), false,
                        BYTES_LIT(": not a comment here\n\n"));
    check_transcript_is(BYTES_LIT(""), false, BYTES_LIT(""));
}

static void a_stream_without_comments_is_hashed_as_it_is(void **state)
{
    (void)state;
    HASHES("", "");
    HASHES("data: a\n\ndata: [DONE]\n\n", "data: a\n\ndata: [DONE]\n\n");
    HASHES("data: a\r\n\r\ndata: b\r\n\r\n", "data: a\r\n\r\ndata: b\r\n\r\n");
    HASHES("data: a: b\n: ", "data: a: b\n");
    HASHES("\n\n\n", "\n\n\n");
}

static void a_comment_between_events_goes_with_its_empty_line(void **state)
{
    (void)state;
    HASHES("data: a\n\n: keep\n\ndata: b\n\n", "data: a\n\ndata: b\n\n");
    HASHES("data: a\n\n: keep\ndata: b\n\n", "data: a\n\ndata: b\n\n");
    HASHES("data: a\r\n\r\n: keep\r\n\r\ndata: b\r\n\r\n", "data: a\r\n\r\ndata: b\r\n\r\n");
    HASHES(": first\n\ndata: a\n\n", "data: a\n\n");
    HASHES(":\n\ndata: a\n\n", "data: a\n\n");
    HASHES(":~~~~\n:~~\n\n: receipt x\n\ndata: [DONE]\n\n", "data: [DONE]\n\n");
    HASHES("data: a\n\n: the end", "data: a\n\n");
    HASHES("data: a\n\n: the end\r", "data: a\n\n");
}

static void only_one_empty_line_goes_with_a_comment(void **state)
{
    (void)state;
    HASHES("data: a\n\n: keep\n\n\ndata: b\n\n", "data: a\n\n\ndata: b\n\n");
    HASHES(": keep\n\r\n\r\ndata: b\n\n", "\r\ndata: b\n\n");
}

static void a_comment_inside_an_event_leaves_the_empty_line(void **state)
{
    (void)state;
    HASHES("data: a\n: keep\n\ndata: b\n\n", "data: a\n\ndata: b\n\n");
    HASHES("data: a\n: keep\ndata: b\n\n", "data: a\ndata: b\n\n");
    HASHES("data: a\n: keep\n: more\n\n: out\n\n", "data: a\n\n");
}

static void what_some_client_takes_for_content_is_never_left_out(void **state)
{
    (void)state;
    HASHES(": x\rdata: evil\n\n", "data: evil\n\n");
    HASHES("data: a\r: b\n\n", "data: a\r: b\n\n");
    HASHES(": x\r: y\n\n", ": y\n\n");
    HASHES(": x\r\r\n\n", "\r\n\n");
    HASHES(": x\n\rdata: a\n\n", "\rdata: a\n\n");
    HASHES(": x\n\r", "\r");
    HASHES("\xef\xbb\xbf: x\n\n", "\xef\xbb\xbf: x\n\n");
    HASHES(" : x\n\n", " : x\n\n");
}

static void check_every_split(const char *s, size_t len)
{
    uint8_t whole[TRANSCRIPT_LEN], parts[TRANSCRIPT_LEN];
    transcript_of(bytes_of(s, len), true, whole);
    for (size_t a = 0; a <= len; a++) {
        for (size_t b = a; b <= len; b++) {
            struct transcript t;
            transcript_init(&t, true);
            transcript_add(&t, bytes_of(s, a));
            transcript_add(&t, bytes_of(s + a, b - a));
            transcript_add(&t, bytes_of(s + b, len - b));
            transcript_end(&t, parts);
            CHECK_BYTES(BYTES_ARRAY(parts), BYTES_ARRAY(whole));
        }
    }
}

static void every_split_gives_the_same_hash(void **state)
{
    static const char *const STREAMS[] = {
        "data: a\n\n: keep\n\ndata: b\n\n",
        ": x\r\n\r\n: y\n\r\ndata: a\r\n: in\r\n\r\n:z",
        ": x\rdata: evil\n\n: x\n\rdata\n\r\n",
        "data: {\"a\":1}\n\n:~~~~~~~~\n\n: receipt 0uHx\n\ndata: [DONE]\n\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof STREAMS / sizeof STREAMS[0]; i++)
        check_every_split(STREAMS[i], strlen(STREAMS[i]));
}

/* All streams of up to eight bytes over the three that matter and one that does not: 87381 of them,
 * whole and byte by byte. */
static void every_short_stream_follows_the_rule(void **state)
{
    static const char ALPHABET[] = { '\n', '\r', ':', 'd' };
    enum { LEN_MAX = 8, LETTERS = sizeof ALPHABET };
    (void)state;
    for (size_t len = 0; len <= LEN_MAX; len++) {
        for (size_t n = 0; n < (size_t)1 << (2 * len); n++) {
            char s[LEN_MAX];
            uint8_t bytewise[TRANSCRIPT_LEN];
            struct transcript t;
            BUF_AUTO kept = BUF(64);
            for (size_t i = 0; i < len; i++)
                s[i] = ALPHABET[n >> (2 * i) & (LETTERS - 1)];
            what_is_hashed(&kept, s, len);
            check_transcript_is(bytes_of(s, len), true, buf_view(&kept));
            transcript_init(&t, true);
            for (size_t i = 0; i < len; i++)
                transcript_add(&t, bytes_of(s + i, 1));
            transcript_end(&t, bytewise);
            check_transcript_is(buf_view(&kept), false, buf_view(&kept));
            uint8_t expected[TRANSCRIPT_LEN];
            sha256_of(buf_view(&kept), expected);
            CHECK_BYTES(BYTES_ARRAY(bytewise), BYTES_ARRAY(expected));
        }
    }
}

/* A comment block put before or after any whole event changes nothing. */
static void comments_may_be_added_and_removed_between_events(void **state)
{
    static const char *const EVENTS[] = { "data: a\n\n", "event: e\ndata: b\ndata: c\n\n",
                                          "data: d\r\n\r\n", "data: [DONE]\n\n" };
    static const char *const COMMENTS[] = { ": x\n\n", ":~~~\n", ":\r\n\r\n", ": a\n: b\n\n",
                                            ": a\n\n: b\r\n" };
    enum { N = sizeof EVENTS / sizeof EVENTS[0] };
    uint8_t bare[TRANSCRIPT_LEN], got[TRANSCRIPT_LEN];
    struct transcript t;
    (void)state;
    transcript_init(&t, true);
    for (size_t i = 0; i < N; i++)
        transcript_add(&t, bytes_str(EVENTS[i]));
    transcript_end(&t, bare);
    for (size_t c = 0; c < sizeof COMMENTS / sizeof COMMENTS[0]; c++) {
        for (unsigned where = 0; where < 1U << (N + 1); where++) {
            transcript_init(&t, true);
            for (size_t i = 0; i <= N; i++) {
                if (where & 1U << i)
                    transcript_add(&t, bytes_str(COMMENTS[c]));
                if (i < N)
                    transcript_add(&t, bytes_str(EVENTS[i]));
            }
            transcript_end(&t, got);
            CHECK_BYTES(BYTES_ARRAY(got), BYTES_ARRAY(bare));
        }
    }
}

static void any_other_byte_changes_the_hash(void **state)
{
    char s[] = "data: a\n\n: keep\n\ndata: b\n\n";
    enum { FIRST = 9, LAST = 16 }; /* the comment block */
    uint8_t whole[TRANSCRIPT_LEN], got[TRANSCRIPT_LEN];
    (void)state;
    transcript_of(bytes_of(s, sizeof s - 1), true, whole);
    for (size_t i = 0; i < sizeof s - 1; i++) {
        if (i >= FIRST && i <= LAST)
            continue;
        s[i] ^= 1;
        transcript_of(bytes_of(s, sizeof s - 1), true, got);
        s[i] ^= 1;
        CHECK(!bytes_equal(BYTES_ARRAY(got), BYTES_ARRAY(whole)));
    }
}

static void the_end_wipes_the_transcript(void **state)
{
    static const struct transcript ZERO;
    uint8_t out[TRANSCRIPT_LEN];
    struct transcript t;
    (void)state;
    transcript_init(&t, true);
    transcript_add(&t, BYTES_LIT("data: secret"));
    transcript_end(&t, out);
    CHECK_BYTES(bytes_of(&t, sizeof t), bytes_of(&ZERO, sizeof ZERO));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_content_is_hashed_as_it_is),
        cmocka_unit_test(a_stream_without_comments_is_hashed_as_it_is),
        cmocka_unit_test(a_comment_between_events_goes_with_its_empty_line),
        cmocka_unit_test(only_one_empty_line_goes_with_a_comment),
        cmocka_unit_test(a_comment_inside_an_event_leaves_the_empty_line),
        cmocka_unit_test(what_some_client_takes_for_content_is_never_left_out),
        cmocka_unit_test(every_split_gives_the_same_hash),
        cmocka_unit_test(every_short_stream_follows_the_rule),
        cmocka_unit_test(comments_may_be_added_and_removed_between_events),
        cmocka_unit_test(any_other_byte_changes_the_hash),
        cmocka_unit_test(the_end_wipes_the_transcript),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
