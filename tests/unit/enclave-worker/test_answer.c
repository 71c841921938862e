#include <stdio.h>

#include "base/text.h"
#include "enclave-worker/answer.h"
#include "tests/lib/law.h"
#include "wire/padding.h"

#define CHUNK(text)                                                                                \
    "data: {\"id\":\"c1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" text                \
    "\"},\"finish_reason\":null}]}\n\n"
#define STOP                                                                                       \
    "data: "                                                                                       \
    "{\"id\":\"c1\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
#define USAGE                                                                                      \
    "data: "                                                                                       \
    "{\"id\":\"c1\",\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\n\n"
#define DONE "data: [DONE]\n\n"

static const struct engine_field SSE_FIELDS[] = {
    { BYTES_LIT("content-type"), BYTES_LIT("text/event-stream") },
};
static const struct engine_field JSON_FIELDS[] = {
    { BYTES_LIT("content-type"), BYTES_LIT("application/json") },
};

/* What the reader of the sealed side gets. */
struct seen {
    unsigned status;
    struct buf content; /* padding removed */
    struct buf receipt;
    struct padding_strip strip;
    bool sse;
    char receipt_id[64];
};

static err on_head(void *owner, const struct bhttp_head *head)
{
    struct seen *s = owner;
    const struct bhttp_field *id = bhttp_find(head->fields, head->fields_n, "x-receipt-id");
    s->status = head->status;
    if (id != NULL)
        (void)snprintf(s->receipt_id, sizeof s->receipt_id, "%.*s", (int)id->value.len,
                       (const char *)id->value.at);
    return OK;
}

static err on_content(void *owner, bytes piece)
{
    struct seen *s = owner;
    return s->sse ? padding_strip_put(&s->strip, piece, &s->content) : buf_add(&s->content, piece);
}

static err on_trailers(void *owner, const struct bhttp_field *fields, size_t n)
{
    struct seen *s = owner;
    const struct bhttp_field *f = bhttp_find(fields, n, "receipt");
    return f != NULL ? buf_add(&s->receipt, f->value) : OK;
}

static const struct bhttp_events EVENTS = { on_head, on_content, on_trailers };

static void seen_clear(struct seen *s)
{
    buf_clear(&s->content);
    buf_clear(&s->receipt);
}

#define SEEN(is_sse)                                                                               \
    {                                                                                              \
        .content = BUF(1 << 20), .receipt = BUF(1 << 16), .sse = (is_sse)                          \
    }

static void read_plain(bytes plain, struct seen *seen)
{
    struct bhttp_reader *r;
    CHECK_OK(bhttp_reader_new(&r, false, &EVENTS, seen));
    CHECK_OK(bhttp_reader_put(r, plain));
    CHECK_OK(bhttp_reader_end(r));
    bhttp_reader_free(r);
}

static bool mends; /* whether the answers below set tool calls right */

/* Runs a whole stream through an answer, flushing after each piece: the first is `first` bytes long,
 * the others `step`. */
static enum answer_state run_split(bytes in, size_t first, size_t step, bool include_usage,
                                   struct seen *seen, uint8_t hash[static TRANSCRIPT_LEN])
{
    struct answer a;
    BUF_AUTO plain = BUF(1 << 20);
    const struct answer_settings settings = { .chat = true,
                                              .mends_calls = mends,
                                              .include_usage = include_usage,
                                              .padding = PADDING_SIZE,
                                              .receipt_id = "r1" };
    answer_init(&a, &settings);
    CHECK_OK(answer_head(&a, 200, SSE_FIELDS, 1, -1));
    for (size_t len = first; in.len > 0; len = step) {
        size_t before = plain.len;
        CHECK_OK(answer_body(&a, bytes_slice(in, 0, len)));
        in = bytes_slice(in, len, in.len);
        if (answer_has_output(&a))
            CHECK_OK(answer_flush(&a, &plain));
        /* every sealed piece of a stream has one of few lengths */
        CHECK((plain.len - before) % PADDING_Q_DEFAULT == 0);
    }
    CHECK_OK(answer_end(&a));
    if (answer_has_output(&a))
        CHECK_OK(answer_flush(&a, &plain));
    enum answer_state state = a.state;
    if (state == ANSWER_COMPLETE) {
        answer_hash(&a, hash);
        CHECK_OK(answer_tail(&a, BYTES_LIT("the receipt"), &plain));
        read_plain(buf_view(&plain), seen);
    }
    answer_clear(&a);
    return state;
}

static enum answer_state run_stream(const char *stream, size_t step, bool include_usage,
                                    struct seen *seen, uint8_t hash[static TRANSCRIPT_LEN])
{
    return run_split(bytes_str(stream), step, step, include_usage, seen, hash);
}

static void any_split_gives_the_same_content_and_hash(void **state)
{
    (void)state;
    static const char stream[] = CHUNK("one") ": comment\n\n" CHUNK("zwei \xc3\xbc") STOP DONE;
    static const char want[] = CHUNK("one") CHUNK("zwei \xc3\xbc") STOP DONE;
    uint8_t expected[TRANSCRIPT_LEN];
    transcript_of(bytes_str(want), true, expected);
    for (size_t step = 1; step <= sizeof stream; step += step < 80 ? 1 : 37) {
        struct seen seen = SEEN(true);
        uint8_t hash[TRANSCRIPT_LEN] = { 0 };
        CHECK(run_stream(stream, step, false, &seen, hash) == ANSWER_COMPLETE);
        CHECK(seen.status == 200);
        assert_string_equal(seen.receipt_id, "r1");
        CHECK_BYTES(buf_view(&seen.content), bytes_str(want));
        CHECK_BYTES(buf_view(&seen.receipt), BYTES_LIT(":dGhlIHJlY2VpcHQ=:"));
        CHECK_BYTES(BYTES_ARRAY(hash), BYTES_ARRAY(expected));
        seen_clear(&seen);
    }
}

/* The same stream as servers write it: with LF or CRLF, with or without a space behind "data:". */
static void write_as(const char *stream, bool crlf, bool space, struct buf *out)
{
    for (bytes in = bytes_str(stream); in.len > 0;) {
        if (!space && bytes_starts(in, BYTES_LIT("data: "))) {
            CHECK_OK(buf_add_str(out, "data:"));
            in = bytes_slice(in, 6, in.len);
        }
        if (crlf && in.at[0] == '\n')
            CHECK_OK(buf_add_u8(out, '\r'));
        CHECK_OK(buf_add_u8(out, in.at[0]));
        in = bytes_slice(in, 1, in.len);
    }
}

static void every_cut_of_every_writing_gives_the_same_content_and_hash(void **state)
{
    (void)state;
    static const char want[] = CHUNK("one") CHUNK("\xf0\x9f\x99\x82 \xc3\xbc\\n") STOP DONE;
    uint8_t expected[TRANSCRIPT_LEN];
    transcript_of(bytes_str(want), true, expected);
    for (unsigned writing = 0; writing < 4; writing++) {
        BUF_AUTO stream = BUF(4096);
        write_as(want, writing & 1, writing & 2, &stream);
        for (size_t cut = 0; cut <= stream.len; cut++) {
            struct seen seen = SEEN(true);
            uint8_t hash[TRANSCRIPT_LEN] = { 0 };
            CHECK(run_split(buf_view(&stream), cut, stream.len, false, &seen, hash) ==
                  ANSWER_COMPLETE);
            CHECK_BYTES(buf_view(&seen.content), bytes_str(want));
            CHECK_BYTES(BYTES_ARRAY(hash), BYTES_ARRAY(expected));
            seen_clear(&seen);
        }
    }
}

#define CALL(members)                                                                              \
    "data: {\"id\":\"c1\",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{" members          \
    "\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},\"finish_reason\":null}]}\n\n"
#define CALLED                                                                                     \
    "data: "                                                                                       \
    "{\"id\":\"c1\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"tool_calls\"}]}"    \
    "\n\n"

/* What is hashed is what the client gets, and not what the engine said. */
static void hashes_tool_calls_as_they_were_mended(void **state)
{
    (void)state;
    static const char said[] = CHUNK("one") CALL("") CALL("") STOP DONE;
    static const char want[] =
        CHUNK("one") CALL("\"index\":0,\"id\":\"call_r100\",\"type\":\"function\",")
            CALL("\"index\":1,\"id\":\"call_r101\",\"type\":\"function\",") CALLED DONE;
    uint8_t expected[TRANSCRIPT_LEN];
    transcript_of(bytes_str(want), true, expected);
    for (size_t cut = 0; cut <= sizeof said; cut++) {
        struct seen seen = SEEN(true);
        uint8_t hash[TRANSCRIPT_LEN] = { 0 };
        mends = true;
        CHECK(run_split(bytes_str(said), cut, sizeof said, false, &seen, hash) == ANSWER_COMPLETE);
        mends = false;
        CHECK_BYTES(buf_view(&seen.content), bytes_str(want));
        CHECK_BYTES(BYTES_ARRAY(hash), BYTES_ARRAY(expected));
        seen_clear(&seen);
    }
}

static void gives_the_usage_chunk_only_if_asked(void **state)
{
    (void)state;
    for (int asked = 0; asked < 2; asked++) {
        struct seen seen = SEEN(true);
        uint8_t hash[TRANSCRIPT_LEN];
        CHECK(run_stream(STOP USAGE DONE, 4096, asked, &seen, hash) == ANSWER_COMPLETE);
        CHECK_BYTES(buf_view(&seen.content),
                    asked ? BYTES_LIT(STOP USAGE DONE) : BYTES_LIT(STOP DONE));
        seen_clear(&seen);
    }
}

static void adds_the_end_only_where_the_engine_came_to_one(void **state)
{
    (void)state;
    struct seen seen = SEEN(true);
    uint8_t hash[TRANSCRIPT_LEN];
    CHECK(run_stream(CHUNK("x") STOP, 4096, false, &seen, hash) == ANSWER_COMPLETE);
    CHECK(bytes_ends(buf_view(&seen.content), BYTES_LIT(DONE)));
    seen_clear(&seen);
    CHECK(run_stream(CHUNK("x"), 4096, false, &seen, hash) == ANSWER_BROKEN);
    CHECK(run_stream("", 4096, false, &seen, hash) == ANSWER_BROKEN);
    CHECK(run_stream(CHUNK("x") "data: not json\n\n" DONE, 4096, false, &seen, hash) ==
          ANSWER_BROKEN);
    CHECK(run_stream(CHUNK("x") "data: {\"error\":{\"message\":\"m\"}}\n\n" DONE, 4096, false,
                     &seen, hash) == ANSWER_BROKEN);
    CHECK(run_stream(CHUNK("x") "data: {\"id\":", 4096, false, &seen, hash) == ANSWER_BROKEN);
}

static enum answer_state end_of_other_stream(const char *stream)
{
    struct answer a;
    const struct answer_settings settings = { .padding = PADDING_OFF };
    answer_init(&a, &settings);
    CHECK_OK(answer_head(&a, 200, SSE_FIELDS, 1, -1));
    CHECK_OK(answer_body(&a, bytes_str(stream)));
    CHECK_OK(answer_end(&a));
    enum answer_state state = a.state;
    answer_clear(&a);
    return state;
}

#define CHOICE(index, finish)                                                                      \
    "data: {\"id\":\"c1\",\"choices\":[{\"finish_reason\":" finish ",\"index\":" index "}]}\n\n"

static void each_choice_must_have_come_to_its_end(void **state)
{
    (void)state;
    static const struct {
        const char *stream;
        enum answer_state want;
    } rows[] = {
        { CHOICE("0", "\"stop\"") CHOICE("1", "null"), ANSWER_BROKEN },
        { CHOICE("1", "null") CHOICE("0", "\"stop\""), ANSWER_BROKEN },
        { CHOICE("70", "null") CHOICE("0", "\"stop\""), ANSWER_BROKEN },
        { CHOICE("1", "null") CHOICE("0", "\"stop\"") CHOICE("1", "\"length\""), ANSWER_COMPLETE },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct seen seen = SEEN(true);
        uint8_t hash[TRANSCRIPT_LEN];
        CHECK(run_stream(rows[i].stream, 4096, false, &seen, hash) == rows[i].want);
        seen_clear(&seen);
    }
}

static void a_responses_stream_needs_its_terminal_event(void **state)
{
    (void)state;
    static const char created[] =
        "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{}}\n\n";
    static const char completed[] =
        "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{}}\n\n"
        "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{}}\n\n";
    CHECK(end_of_other_stream(created) == ANSWER_BROKEN);
    CHECK(end_of_other_stream(completed) == ANSWER_COMPLETE);
    CHECK(end_of_other_stream("event: tick\ndata: {}\n\n") == ANSWER_COMPLETE);
}

static void a_stream_of_messages_needs_its_last_event(void **state)
{
    (void)state;
#define START "event: message_start\ndata: {\"type\":\"message_start\"}\n\n"
#define LAST "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"
    CHECK(end_of_other_stream(START) == ANSWER_BROKEN);
    CHECK(end_of_other_stream(START LAST) == ANSWER_COMPLETE);
}

static void takes_nothing_after_the_end(void **state)
{
    (void)state;
    struct seen seen = SEEN(true);
    uint8_t hash[TRANSCRIPT_LEN];
    CHECK(run_stream(STOP DONE CHUNK("late"), 7, false, &seen, hash) == ANSWER_COMPLETE);
    CHECK_BYTES(buf_view(&seen.content), BYTES_LIT(STOP DONE));
    seen_clear(&seen);
}

#define BARE_RECEIPT ": receipt dGhlIHJlY2VpcHQ\n\n" /* of "the receipt" */

/* Whoever knows nothing but blocks between empty lines finds no event behind a comment. */
static void check_blocks(bytes plain)
{
    while (plain.len > 0) {
        size_t end = text_find(plain, BYTES_LIT("\n\n"));
        CHECK(end < plain.len);
        CHECK(bytes_starts(plain, BYTES_LIT("data: ")) || bytes_starts(plain, BYTES_LIT(":~")) ||
              bytes_starts(plain, BYTES_LIT(": receipt ")));
        plain = bytes_slice(plain, end + 2, plain.len);
    }
}

/* Events, fillers and the receipt, and nothing around them; the head is kept for others. */
static void run_bare(enum padding_mode padding, size_t step)
{
    static const char stream[] = CHUNK("one") CHUNK("zwei") STOP DONE;
    uint8_t want[TRANSCRIPT_LEN], hash[TRANSCRIPT_LEN], over_all[TRANSCRIPT_LEN];
    struct answer a;
    BUF_AUTO plain = BUF(1 << 20);
    const struct answer_settings settings = {
        .chat = true, .bare = true, .padding = padding, .receipt_id = "r1"
    };
    answer_init(&a, &settings);
    CHECK_OK(answer_head(&a, 200, SSE_FIELDS, 1, -1));
    CHECK(answer_has_output(&a));
    CHECK_OK(answer_flush(&a, &plain));
    CHECK(plain.len == 0 && !answer_has_output(&a) && a.outer.head.status == 200);
    CHECK_BYTES(kept_field(&a.outer, "x-receipt-id"), BYTES_LIT("r1"));
    for (bytes in = bytes_str(stream); in.len > 0; in = bytes_slice(in, step, in.len)) {
        CHECK_OK(answer_body(&a, bytes_slice(in, 0, step)));
        CHECK_OK(answer_flush(&a, &plain));
        CHECK(padding == PADDING_OFF || plain.len % PADDING_Q_DEFAULT == 0);
    }
    answer_hash(&a, hash);
    CHECK_OK(answer_tail(&a, BYTES_LIT("the receipt"), &plain));
    CHECK(padding == PADDING_OFF || plain.len % PADDING_Q_DEFAULT == 0);
    CHECK(bytes_ends(buf_view(&plain), BYTES_LIT("\n" BARE_RECEIPT)));
    transcript_of(bytes_str(stream), true, want);
    transcript_of(buf_view(&plain), true, over_all);
    CHECK_BYTES(BYTES_ARRAY(hash), BYTES_ARRAY(want));
    CHECK_BYTES(BYTES_ARRAY(over_all), BYTES_ARRAY(want));
    check_blocks(buf_view(&plain));
    answer_clear(&a);
}

static void a_bare_stream_is_events_and_the_receipt(void **state)
{
    (void)state;
    for (size_t step = 1; step < 300; step += 7) {
        run_bare(PADDING_SIZE, step);
        run_bare(PADDING_OFF, step);
    }
}

/* Every length that leaves one to three bytes of room included. */
static void fillers_fit_whatever_the_length(void **state)
{
    (void)state;
    static char text[PADDING_Q_DEFAULT + 1];
    memset(text, 'x', sizeof text - 1);
    for (size_t len = 1; len < sizeof text; len++) {
        struct answer a;
        BUF_AUTO plain = BUF(1 << 16);
        const struct answer_settings settings = { .bare = true, .padding = PADDING_SIZE };
        answer_init(&a, &settings);
        CHECK_OK(answer_head(&a, 200, SSE_FIELDS, 1, -1));
        CHECK_OK(answer_add(&a, bytes_of(text, len)));
        CHECK_OK(answer_flush(&a, &plain));
        CHECK(plain.len % PADDING_Q_DEFAULT == 0 && plain.len - len < PADDING_Q_DEFAULT + 4);
        answer_clear(&a);
    }
}

static void a_bare_answer_that_is_no_stream_is_its_content(void **state)
{
    (void)state;
    struct answer a;
    BUF_AUTO plain = BUF(1 << 16);
    const struct answer_settings settings = { .bare = true, .padding = PADDING_SIZE };
    answer_init(&a, &settings);
    CHECK_OK(answer_head(&a, 200, JSON_FIELDS, 1, 2));
    CHECK_OK(answer_add(&a, BYTES_LIT("{}")));
    CHECK_OK(answer_end(&a));
    CHECK_OK(answer_flush(&a, &plain));
    CHECK_OK(answer_tail(&a, BYTES_LIT("the receipt"), &plain));
    CHECK_BYTES(buf_view(&plain), BYTES_LIT("{}"));
    answer_clear(&a);
}

static void fills_a_whole_answer_up_to_its_bucket(void **state)
{
    (void)state;
    for (size_t len = 0; len < 5000; len += 311) {
        struct answer a;
        struct seen seen = SEEN(false);
        BUF_AUTO plain = BUF(1 << 20);
        BUF_AUTO body = BUF(8192);
        const struct answer_settings settings = { .padding = PADDING_SIZE };
        CHECK_OK(buf_add_zeros(&body, len));
        answer_init(&a, &settings);
        CHECK_OK(answer_head(&a, 404, JSON_FIELDS, 1, (int64_t)len));
        CHECK_OK(answer_body(&a, buf_view(&body)));
        CHECK_OK(answer_end(&a));
        CHECK(a.state == ANSWER_COMPLETE);
        CHECK_OK(answer_flush(&a, &plain));
        CHECK_OK(answer_tail(&a, (bytes){ 0 }, &plain));
        CHECK(plain.len == padding_bucket(plain.len) && plain.len >= 1024);
        read_plain(buf_view(&plain), &seen);
        CHECK(seen.status == 404 && seen.content.len == len && seen.receipt.len == 0);
        CHECK(seen.receipt_id[0] == 0);
        seen_clear(&seen);
        answer_clear(&a);
    }
}

static void a_short_body_is_broken_and_a_long_one_refused(void **state)
{
    (void)state;
    struct answer a;
    const struct answer_settings settings = { .padding = PADDING_OFF };
    answer_init(&a, &settings);
    CHECK_OK(answer_head(&a, 200, JSON_FIELDS, 1, 10));
    CHECK_OK(answer_body(&a, BYTES_LIT("12345")));
    CHECK_OK(answer_end(&a));
    CHECK(a.state == ANSWER_BROKEN);
    answer_clear(&a);
    answer_init(&a, &settings);
    CHECK_OK(answer_head(&a, 200, JSON_FIELDS, 1, 3));
    CHECK_ERR(answer_body(&a, BYTES_LIT("1234")), MALFORMED);
    answer_clear(&a);
}

static err whole_answer(void *arg)
{
    struct answer a;
    BUF_AUTO plain = BUF(1 << 20);
    const struct answer_settings settings = { .chat = true, .receipt_id = "r" };
    (void)arg;
    answer_init(&a, &settings);
    err e = answer_head(&a, 200, SSE_FIELDS, 1, -1);
    if (e.code == ERR_OK)
        e = answer_body(&a, BYTES_LIT(CHUNK("x") STOP DONE));
    if (e.code == ERR_OK)
        e = answer_flush(&a, &plain);
    if (e.code == ERR_OK)
        e = answer_tail(&a, BYTES_LIT("r"), &plain);
    answer_clear(&a);
    return e;
}

static void survives_every_failing_allocation(void **state)
{
    (void)state;
    law_every_allocation_fails_once(whole_answer, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_split_gives_the_same_content_and_hash),
        cmocka_unit_test(every_cut_of_every_writing_gives_the_same_content_and_hash),
        cmocka_unit_test(hashes_tool_calls_as_they_were_mended),
        cmocka_unit_test(gives_the_usage_chunk_only_if_asked),
        cmocka_unit_test(adds_the_end_only_where_the_engine_came_to_one),
        cmocka_unit_test(each_choice_must_have_come_to_its_end),
        cmocka_unit_test(a_responses_stream_needs_its_terminal_event),
        cmocka_unit_test(a_stream_of_messages_needs_its_last_event),
        cmocka_unit_test(takes_nothing_after_the_end),
        cmocka_unit_test(a_bare_stream_is_events_and_the_receipt),
        cmocka_unit_test(fillers_fit_whatever_the_length),
        cmocka_unit_test(a_bare_answer_that_is_no_stream_is_its_content),
        cmocka_unit_test(fills_a_whole_answer_up_to_its_bucket),
        cmocka_unit_test(a_short_body_is_broken_and_a_long_one_refused),
        cmocka_unit_test(survives_every_failing_allocation),
    };
    return cmocka_run_group_tests_name("enclave-worker/answer", tests, NULL, NULL);
}
