/* The door for sealed bodies, with everything else of a request in the clear. */
#include <stdio.h>

#include "base/text.h"
#include "tests/unit/enclave-worker/stage.h"
#include "wire/names.h"
#include "wire/padding.h"

#define BODY "{\"model\":\"m\",\"messages\":[]}"
#define STREAM_BODY "{\"model\":\"m\",\"stream\":true,\"messages\":[]}"
#define ANSWER "{\"id\":\"chatcmpl-1\",\"choices\":[]}"
#define EVENT(text) "data: {\"id\":\"c\",\"choices\":[{\"delta\":{\"content\":\"" text "\"}}]}\n\n"
#define FINISH "data: {\"id\":\"c\",\"choices\":[{\"finish_reason\":\"stop\"}]}\n\n"
#define DONE "data: [DONE]\n\n"
#define TOKEN_HEX                                                                                  \
    "3c469e9d6c5875d37a43f353d4f88e61fcf812c66eee3457465a40b0da4153e0" /* of "token" */

static const struct stage_request PLAIN = { .body = BYTES_LIT(BODY) };
static const struct stage_request STREAM = { .body = BYTES_LIT(STREAM_BODY) };
static const char *const OPEN[] = { "--door-ehbp", NULL };

static void engine_answers(struct stage *s)
{
    stage_head(s, 200, "application/json", sizeof ANSWER - 1);
    stage_body(s, ANSWER);
    stage_end(s, OK);
}

static void check_error(const struct stage_ask *ask, unsigned status, const char *code)
{
    CHECK(ask->ended && ask->outer == status && ask->nonce[0] != 0);
    CHECK_OK(ask->opened);
    CHECK(ask->receipt.len == 0 && ask->receipt_id[0] == 0);
    CHECK(text_find(buf_view(&ask->content), bytes_str(code)) < ask->content.len);
}

static void check_outer(const struct stage_ask *ask, unsigned status, const char *type)
{
    CHECK(ask->outer == status && ask->ended && ask->nonce[0] == 0);
    assert_string_equal(ask->media, MEDIA_PROBLEM_JSON);
    CHECK(text_find(buf_view(&ask->clear), bytes_str(type)) < ask->clear.len);
}

/* ---- what goes well ---- */

static void a_whole_answer_has_its_receipt_sealed_in_front(void **state)
{
    (void)state;
    struct stage s;
    struct stage_ask ask;
    stage_open(&s, OPEN);
    stage_ask_ehbp(&s, &ask, &PLAIN);
    stage_until_asked(&s, 1);
    CHECK_BYTES(buf_view(&s.calls->body), BYTES_LIT(BODY));
    CHECK_BYTES(buf_view(&s.calls->path), BYTES_LIT("/v1/chat/completions"));
    stage_head(&s, 200, "application/json", sizeof ANSWER - 1);
    stage_body(&s, ANSWER);
    stage_turns(&s);
    CHECK(ask.outer == 0); /* it is held until it is complete */
    stage_end(&s, OK);
    stage_answer(&s, &ask);
    CHECK(ask.ended && ask.outer == 200);
    CHECK_OK(ask.opened);
    assert_string_equal(ask.media, "application/json");
    CHECK_BYTES(buf_view(&ask.content), BYTES_LIT(ANSWER));
    stage_check_receipt(&s, buf_view(&ask.receipt), ask.receipt_id, BYTES_LIT(BODY),
                        BYTES_LIT(ANSWER), false);
    stage_ask_clear(&ask);
    stage_close(&s);
}

/* The receipt out of the last comment. */
static void read_last_comment(const struct stage_ask *ask, struct buf *receipt)
{
    bytes rest = buf_view(&ask->content);
    bytes prefix = BYTES_LIT("\n" SSE_RECEIPT_PREFIX);
    size_t at = text_find(rest, prefix);
    CHECK(at < rest.len);
    bytes value = bytes_slice(rest, at + prefix.len, rest.len);
    CHECK(bytes_ends(value, BYTES_LIT("\n\n")));
    CHECK_OK(text_base64url_decode(receipt, bytes_slice(value, 0, value.len - 2)));
}

static void a_stream_ends_with_its_receipt(void **state)
{
    (void)state;
    struct stage s;
    struct stage_ask ask;
    BUF_AUTO receipt = BUF(65536);
    stage_open(&s, OPEN);
    stage_ask_ehbp(&s, &ask, &STREAM);
    stage_until_asked(&s, 1);
    stage_head(&s, 200, "text/event-stream", -1);
    stage_turns(&s);
    CHECK(ask.outer == 200 && ask.nonce[0] != 0 && ask.content.len == 0);
    stage_body(&s, EVENT("a"));
    stage_turns(&s);
    CHECK(ask.content.len == PADDING_Q_DEFAULT && !ask.ended);
    stage_body(&s, EVENT("b") FINISH DONE);
    stage_answer(&s, &ask);
    CHECK(ask.ended && ask.content.len % PADDING_Q_DEFAULT == 0);
    CHECK_OK(ask.opened);
    read_last_comment(&ask, &receipt);
    stage_check_receipt(&s, buf_view(&receipt), ask.receipt_id, BYTES_LIT(STREAM_BODY),
                        buf_view(&ask.content), true);
    stage_check_receipt(&s, buf_view(&receipt), ask.receipt_id, BYTES_LIT(STREAM_BODY),
                        BYTES_LIT(EVENT("a") EVENT("b") FINISH DONE), true);
    stage_ask_clear(&ask);
    stage_end(&s, OK);
    stage_close(&s);
}

static void without_padding_a_stream_is_events_and_receipt(void **state)
{
    (void)state;
    static const char *const flags[] = { "--door-ehbp", "--padding=off", NULL };
    struct stage s;
    struct stage_ask ask;
    stage_open(&s, flags);
    stage_ask_ehbp(&s, &ask, &STREAM);
    stage_until_asked(&s, 1);
    stage_head(&s, 200, "text/event-stream", -1);
    stage_body(&s, EVENT("a") FINISH DONE);
    stage_answer(&s, &ask);
    CHECK(
        bytes_starts(buf_view(&ask.content), BYTES_LIT(EVENT("a") FINISH DONE SSE_RECEIPT_PREFIX)));
    stage_ask_clear(&ask);
    stage_end(&s, OK);
    stage_close(&s);
}

static void takes_bodies_in_any_pieces(void **state)
{
    (void)state;
    static const size_t steps[] = { 1, 3, 4, 19, 4096 };
    struct stage s;
    stage_open(&s, OPEN);
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        struct stage_ask ask;
        stage_seal_ehbp(&s, &ask, &PLAIN);
        for (size_t at = 0; at < ask.sealed.len; at += steps[i]) {
            stage_send(&s, &ask, at, steps[i], at + steps[i] >= ask.sealed.len);
            stage_turns(&s);
        }
        stage_until_asked(&s, i + 1);
        CHECK_BYTES(buf_view(&s.calls->body), BYTES_LIT(BODY));
        engine_answers(&s);
        stage_answer(&s, &ask);
        CHECK_BYTES(buf_view(&ask.content), BYTES_LIT(ANSWER));
        stage_ask_clear(&ask);
    }
    stage_close(&s);
}

static void its_token_counts_and_goes_no_further(void **state)
{
    (void)state;
    static const char *const flags[] = { "--door-ehbp", "--tokens-file=" TOKEN_HEX " me", NULL };
    const struct stage_request good = { .body = PLAIN.body, .authorization = "Bearer token" };
    struct stage s;
    struct stage_ask ask;
    stage_open(&s, flags);
    stage_ask_ehbp(&s, &ask, &PLAIN);
    stage_answer(&s, &ask);
    check_error(&ask, 401, "invalid_api_key");
    CHECK(replay_count(s.worker.ehbp_replay) == 0); /* it takes no room from those with a token */
    stage_ask_clear(&ask);
    stage_ask_ehbp(&s, &ask, &good);
    stage_until_asked(&s, 1);
    CHECK(replay_count(s.worker.ehbp_replay) == 1);
    CHECK(s.calls->authorization.len == 0);
    engine_answers(&s);
    stage_answer(&s, &ask);
    CHECK(ask.status == 200);
    stage_ask_clear(&ask);
    stage_close(&s);
}

static void sealed_bytes_are_not_said_to_be_encoded(void **state)
{
    (void)state;
    static const struct engine_field fields[] = {
        { BYTES_LIT(FIELD_CONTENT_TYPE), BYTES_LIT(MEDIA_JSON) },
        { BYTES_LIT("content-encoding"), BYTES_LIT("identity") },
    };
    struct stage s;
    struct stage_ask ask;
    stage_open(&s, OPEN);
    stage_ask_ehbp(&s, &ask, &PLAIN);
    stage_until_asked(&s, 1);
    s.calls->events->head(s.calls->owner, 200, fields, 2, sizeof ANSWER - 1);
    stage_body(&s, ANSWER);
    stage_end(&s, OK);
    stage_answer(&s, &ask);
    CHECK(ask.status == 200 && !ask.encoded);
    assert_string_equal(ask.media, MEDIA_JSON);
    stage_ask_clear(&ask);
    stage_close(&s);
}

/* ---- what is refused ---- */

static void a_body_is_taken_once(void **state)
{
    (void)state;
    struct stage s;
    struct stage_ask first, again;
    stage_open(&s, OPEN);
    stage_ask_ehbp(&s, &first, &PLAIN);
    stage_until_asked(&s, 1);
    engine_answers(&s);
    stage_answer(&s, &first);
    stage_seal_ehbp(&s, &again, &PLAIN);
    memcpy(again.key, first.key, sizeof again.key);
    buf_truncate(&again.sealed, 0);
    CHECK_OK(buf_add(&again.sealed, buf_view(&first.sealed)));
    stage_send(&s, &again, 0, again.sealed.len, true);
    stage_answer(&s, &again);
    CHECK(again.outer == 409 && s.starts == 1);
    CHECK_ERR(again.opened, CRYPTO); /* it is sealed for whoever sealed the first */
    stage_ask_clear(&again);
    stage_ask_clear(&first);
    stage_close(&s);
}

static void what_is_sealed_to_another_key_is_told_so(void **state)
{
    (void)state;
    struct stage s;
    struct stage_ask ask;
    stage_open(&s, OPEN);
    stage_seal_ehbp(&s, &ask, &PLAIN);
    ask.sealed.at[10] ^= 1;
    stage_send(&s, &ask, 0, ask.sealed.len, true);
    stage_answer(&s, &ask);
    check_outer(&ask, 422, PROBLEM_EHBP_KEY);
    stage_ask_clear(&ask);
    CHECK(s.starts == 0);
    stage_close(&s);
}

static void all_else_that_does_not_open_has_one_answer(void **state)
{
    (void)state;
    static const struct {
        size_t keep;     /* of the body */
        const char *key; /* in the place of its own */
        size_t frames;   /* it is made of */
        bool flips_last;
    } rows[] = {
        { 0, NULL, 1, false },
        { 3, NULL, 1, false },
        { 30, NULL, 1, false },
        { SIZE_MAX, "00", 1, false },
        { SIZE_MAX, "0000000000000000000000000000000000000000000000000000000000000000", 1, false },
        { SIZE_MAX, NULL, 2, true },
    };
    struct stage s;
    BUF_AUTO said = BUF(4096);
    stage_open(&s, OPEN);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct stage_ask ask;
        stage_seal_ehbp(&s, &ask, &PLAIN);
        if (rows[i].frames > 1)
            CHECK_OK(ehbp_client_seal(ask.ehbp, BYTES_LIT("more"), &ask.sealed));
        if (rows[i].key != NULL)
            (void)snprintf(ask.key, sizeof ask.key, "%s", rows[i].key);
        if (rows[i].flips_last)
            ask.sealed.at[ask.sealed.len - 1] ^= 1;
        stage_send(&s, &ask, 0, rows[i].keep, true);
        stage_answer(&s, &ask);
        check_outer(&ask, 400, "about:blank");
        if (said.len == 0)
            CHECK_OK(buf_add(&said, buf_view(&ask.clear)));
        CHECK_BYTES(buf_view(&ask.clear), buf_view(&said));
        stage_ask_clear(&ask);
    }
    CHECK(s.starts == 0);
    stage_close(&s);
}

static void a_body_at_the_limit_passes_and_none_above(void **state)
{
    (void)state;
    static const char *const flags[] = { "--door-ehbp", "--body-max=1024", NULL };
    static char body[1026];
    struct stage s;
    stage_open(&s, flags);
    memset(body, ' ', sizeof body);
    for (size_t over = 0; over < 2; over++) {
        /* The second is too long only as a whole: its frames are not. */
        struct stage_ask ask;
        const struct stage_request request = { .body = bytes_of(body, 1000) };
        stage_seal_ehbp(&s, &ask, &request);
        CHECK_OK(ehbp_client_seal(ask.ehbp, bytes_of(body, 24 + over), &ask.sealed));
        stage_send(&s, &ask, 0, ask.sealed.len, true);
        if (over == 0) {
            stage_until_asked(&s, 1);
            CHECK(s.calls->body.len == 1024);
            engine_answers(&s);
        }
        stage_answer(&s, &ask);
        if (over > 0)
            check_error(&ask, 413, "request_too_large");
        stage_ask_clear(&ask);
    }
    const struct stage_request large = { .body = bytes_of(body, 1025) };
    struct stage_ask ask;
    stage_ask_ehbp(&s, &ask, &large);
    stage_answer(&s, &ask);
    check_outer(&ask, 413, "about:blank");
    stage_ask_clear(&ask);
    CHECK(s.starts == 1);
    stage_close(&s);
}

/* Frames that are not complete count, too, with all the room that is kept for them. */
static void holds_no_more_than_allowed_in_all(void **state)
{
    (void)state;
    static const char *const flags[] = { "--door-ehbp", "--held-max=1024", NULL };
    static char body[1024];
    const struct stage_request request = { .body = bytes_of(body, sizeof body) };
    struct stage s;
    struct stage_ask first, second;
    stage_open(&s, flags);
    memset(body, ' ', sizeof body);
    stage_seal_ehbp(&s, &first, &request);
    stage_send(&s, &first, 0, 800, false);
    stage_turns(&s);
    CHECK(s.worker.held == 1024);
    stage_seal_ehbp(&s, &second, &request);
    stage_send(&s, &second, 0, 400, false);
    stage_answer(&s, &second);
    CHECK(second.outer == 503 && first.outer == 0);
    stage_ask_clear(&second);
    stage_ask_clear(&first);
    stage_turns(&s);
    CHECK(s.worker.held == 0);
    stage_close(&s);
}

/* A frame that came in pieces has been put together apart; once it is opened, that is given back. */
static void what_has_opened_is_held_once(void **state)
{
    (void)state;
    static char body[8192];
    const struct stage_request request = { .body = bytes_of(body, sizeof body) };
    struct stage s;
    struct stage_ask ask;
    stage_open(&s, OPEN);
    memset(body, ' ', sizeof body);
    stage_seal_ehbp(&s, &ask, &request);
    CHECK(ask.sealed.len > sizeof body);
    for (size_t at = 0; at < ask.sealed.len; at += 4096) {
        stage_send(&s, &ask, at, 4096, false);
        stage_turns(&s);
    }
    CHECK(s.worker.held == sizeof body);
    stage_ask_clear(&ask);
    stage_close(&s);
}

/* ---- what breaks ---- */

static void a_broken_stream_ends_with_an_error_and_no_receipt(void **state)
{
    (void)state;
    struct stage s;
    struct stage_ask ask;
    stage_open(&s, OPEN);
    stage_ask_ehbp(&s, &ask, &STREAM);
    stage_until_asked(&s, 1);
    stage_head(&s, 200, "text/event-stream", -1);
    stage_body(&s, EVENT("a"));
    stage_turns(&s);
    stage_end(&s, (err){ ERR_CLOSED });
    stage_answer(&s, &ask);
    CHECK(ask.outer == 200 && ask.ended);
    CHECK(text_find(buf_view(&ask.content), BYTES_LIT("upstream_broken")) < ask.content.len);
    CHECK(text_find(buf_view(&ask.content), BYTES_LIT(SSE_RECEIPT_PREFIX)) == ask.content.len);
    CHECK(text_find(buf_view(&ask.content), BYTES_LIT("[DONE]")) == ask.content.len);
    stage_ask_clear(&ask);
    stage_close(&s);
}

/* It has been held, so nothing of it was said. */
static void a_broken_whole_answer_is_an_error(void **state)
{
    (void)state;
    static const struct stage_request speech = { .path = "/v1/audio/speech",
                                                 .body = BYTES_LIT(BODY) };
    struct stage s;
    struct stage_ask ask;
    stage_open(&s, OPEN);
    stage_ask_ehbp(&s, &ask, &speech);
    stage_until_asked(&s, 1);
    stage_head(&s, 200, "audio/mpeg", -1);
    stage_body(&s, "half of it");
    stage_turns(&s);
    CHECK(ask.outer == 0);
    stage_end(&s, (err){ ERR_CLOSED });
    stage_answer(&s, &ask);
    check_error(&ask, 502, "upstream_broken");
    CHECK(text_find(buf_view(&ask.content), BYTES_LIT("half")) == ask.content.len);
    stage_ask_clear(&ask);
    stage_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_answer_has_its_receipt_sealed_in_front),
        cmocka_unit_test(a_stream_ends_with_its_receipt),
        cmocka_unit_test(without_padding_a_stream_is_events_and_receipt),
        cmocka_unit_test(takes_bodies_in_any_pieces),
        cmocka_unit_test(its_token_counts_and_goes_no_further),
        cmocka_unit_test(sealed_bytes_are_not_said_to_be_encoded),
        cmocka_unit_test(a_body_is_taken_once),
        cmocka_unit_test(what_is_sealed_to_another_key_is_told_so),
        cmocka_unit_test(all_else_that_does_not_open_has_one_answer),
        cmocka_unit_test(a_body_at_the_limit_passes_and_none_above),
        cmocka_unit_test(holds_no_more_than_allowed_in_all),
        cmocka_unit_test(what_has_opened_is_held_once),
        cmocka_unit_test(a_broken_stream_ends_with_an_error_and_no_receipt),
        cmocka_unit_test(a_broken_whole_answer_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
