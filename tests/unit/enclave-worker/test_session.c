/* Sealed requests as a worker sees them, from the first byte to the last. */
#include <stdio.h>

#include "base/clock.h"
#include "base/text.h"
#include "enclave-worker/door.h"
#include "enclave-worker/session.h"
#include "receipts/air_read.h"
#include "tests/unit/enclave-worker/stage.h"
#include "wire/names.h"

#define BODY "{\"model\":\"m\",\"messages\":[]}"
#define STREAM_BODY "{\"model\":\"m\",\"stream\":true,\"messages\":[]}"
#define ANSWER "{\"id\":\"chatcmpl-1\",\"choices\":[]}"
#define EVENT(text) "data: {\"id\":\"c\",\"choices\":[{\"delta\":{\"content\":\"" text "\"}}]}\n\n"
#define FINISH "data: {\"id\":\"c\",\"choices\":[{\"finish_reason\":\"stop\"}]}\n\n"
#define DONE "data: [DONE]\n\n"
#define TOKEN_HEX                                                                                  \
    "3c469e9d6c5875d37a43f353d4f88e61fcf812c66eee3457465a40b0da4153e0" /* of "token" */

enum { MEBIBYTE = 1024 * 1024 };

static const struct stage_request PLAIN = { .body = BYTES_LIT(BODY) };
static const struct stage_request STREAM = { .body = BYTES_LIT(STREAM_BODY) };

static bool was_cancelled(struct stage *s, void *arg)
{
    (void)arg;
    return s->cancels > 0;
}

/* The final chunk came and all of it opened. */
static void check_complete(const struct stage_ask *ask)
{
    CHECK(ask->outer == 200 && ask->ended);
    CHECK_OK(ask->opened);
    CHECK(ask->step == OHTTP_DONE && ask->whole);
}

static void check_receipt(struct stage *s, const struct stage_ask *ask, const char *request,
                          const char *response, bool sse)
{
    stage_check_receipt(s, buf_view(&ask->receipt), ask->receipt_id, bytes_str(request),
                        bytes_str(response), sse);
}

static void check_error(const struct stage_ask *ask, unsigned status, const char *code)
{
    check_complete(ask);
    CHECK(ask->status == status && ask->receipt.len == 0 && ask->receipt_id[0] == 0);
    CHECK(text_find(buf_view(&ask->content), bytes_str(code)) < ask->content.len);
}

/* ---- what goes well ---- */

static void answers_and_signs(struct stage *s, enum ohttp_variant variant)
{
    struct stage_ask ask;
    stage_ask(s, &ask, variant, &PLAIN);
    stage_until_asked(s, s->starts + 1);
    CHECK_BYTES(buf_view(&s->calls->body), BYTES_LIT(BODY));
    CHECK_BYTES(buf_view(&s->calls->path), BYTES_LIT("/v1/chat/completions"));
    stage_head(s, 200, "application/json", sizeof ANSWER - 1);
    stage_body(s, ANSWER);
    stage_end(s, OK);
    stage_answer(s, &ask);
    check_complete(&ask);
    CHECK(ask.status == 200);
    CHECK_BYTES(buf_view(&ask.content), BYTES_LIT(ANSWER));
    check_receipt(s, &ask, BODY, ANSWER, false);
    stage_ask_clear(&ask);
}

static void answers_both_variants(void **state)
{
    (void)state;
    struct stage s;
    stage_open(&s, NULL);
    answers_and_signs(&s, OHTTP_CHUNKED);
    answers_and_signs(&s, OHTTP_PLAIN);
    stage_close(&s);
}

static void streams_whole_events_and_the_end_with_its_receipt(void **state)
{
    (void)state;
    struct stage s;
    struct stage_ask ask;
    stage_open(&s, NULL);
    stage_ask(&s, &ask, OHTTP_CHUNKED, &STREAM);
    stage_until_asked(&s, 1);
    stage_head(&s, 200, "text/event-stream", -1);
    stage_turns(&s);
    CHECK(ask.outer == 200 && ask.plain.len > 0 && !ask.ended);
    size_t before = ask.plain.len;
    stage_body(&s, "data: {\"id\":\"c\",\"cho");
    stage_turns(&s);
    CHECK(ask.plain.len == before);
    stage_body(&s, "ices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n");
    stage_turns(&s);
    CHECK(ask.plain.len > before && !ask.ended);
    stage_body(&s, EVENT("b") FINISH DONE);
    stage_answer(&s, &ask);
    check_complete(&ask);
    CHECK_BYTES(buf_view(&ask.content), BYTES_LIT(EVENT("a") EVENT("b") FINISH DONE));
    check_receipt(&s, &ask, STREAM_BODY, EVENT("a") EVENT("b") FINISH DONE, true);
    stage_ask_clear(&ask);
    stage_end(&s, OK); /* the engine closes a moment later */
    CHECK(s.cancels == 0 && s.worker.sessions_n == 0);
    stage_close(&s);
}

static void takes_requests_in_any_pieces(void **state)
{
    (void)state;
    struct stage s;
    static const size_t steps[] = { 1, 7, 40, 41, 4096 };
    stage_open(&s, NULL);
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        struct stage_ask ask;
        stage_seal(&s, &ask, OHTTP_CHUNKED, &PLAIN);
        for (size_t at = 0; at < ask.sealed.len; at += steps[i]) {
            stage_send(&s, &ask, at, steps[i], at + steps[i] >= ask.sealed.len);
            stage_turns(&s);
        }
        stage_until_asked(&s, i + 1);
        CHECK_BYTES(buf_view(&s.calls->body), BYTES_LIT(BODY));
        stage_ask_clear(&ask);
        s.cancels = 0;
        stage_until(&s, was_cancelled, NULL);
    }
    stage_close(&s);
}

/* A JSON body of len bytes whose bytes tell their place. */
static const char *large_body(struct buf *to, size_t len)
{
    static const char head[] = "{\"model\":\"m\",\"messages\":[\"", tail[] = "\"]}";
    CHECK_OK(buf_add_str(to, head));
    for (size_t i = to->len; i + sizeof tail - 1 < len; i++)
        CHECK_OK(buf_add_u8(to, (uint8_t)('a' + i * 7 % 23 + i / 4096 % 3)));
    CHECK_OK(buf_add_str(to, tail));
    CHECK(to->len == len);
    return buf_str(to);
}

/* Many chunks each, in pieces that cut them, and two at once, so that their hashes are made
 * together. */
static void large_bodies_arrive_whole_and_are_signed(void **state)
{
    (void)state;
    static const size_t lens[] = { 16384, 70000, 90001 }, steps[] = { 5000, 16404, 65536 };
    struct stage s;
    stage_open(&s, NULL);
    for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
        struct stage_ask asks[2];
        struct buf bodies[2] = { BUF(1 << 20), BUF(1 << 20) };
        for (size_t k = 0; k < 2; k++) {
            (void)large_body(&bodies[k], lens[i] + 1000 * k);
            const struct stage_request request = { .body = buf_view(&bodies[k]) };
            stage_seal(&s, &asks[k], OHTTP_CHUNKED, &request);
            for (size_t at = 0; at < asks[k].sealed.len; at += steps[i]) {
                stage_send(&s, &asks[k], at, steps[i], at + steps[i] >= asks[k].sealed.len);
                stage_turns(&s);
            }
            stage_until_asked(&s, 2 * i + k + 1);
            CHECK_BYTES(buf_view(&s.calls->body), buf_view(&bodies[k]));
        }
        for (size_t k = 2; k-- > 0;) {
            stage_head(&s, 200, "application/json", sizeof ANSWER - 1);
            stage_body(&s, ANSWER);
            stage_end(&s, OK);
            stage_answer(&s, &asks[k]);
            check_complete(&asks[k]);
            check_receipt(&s, &asks[k], buf_str(&bodies[k]), ANSWER, false);
            stage_ask_clear(&asks[k]);
            buf_clear(&bodies[k]);
        }
    }
    stage_close(&s);
}

static void puts_the_nonce_into_the_receipt(void **state)
{
    (void)state;
    struct stage s;
    struct stage_ask ask;
    struct air_claims claims;
    struct stage_request request = PLAIN;
    request.nonce = "AAECAwQFBgcICQ";
    stage_open(&s, NULL);
    stage_ask(&s, &ask, OHTTP_CHUNKED, &request);
    stage_until_asked(&s, 1);
    stage_head(&s, 200, "application/json", -1);
    stage_body(&s, ANSWER);
    stage_end(&s, OK);
    stage_answer(&s, &ask);
    CHECK_OK(air_read(buf_view(&ask.receipt), &claims));
    CHECK_BYTES(bytes_of(claims.nonce, claims.nonce_len),
                BYTES_LIT("\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09"));
    stage_ask_clear(&ask);
    stage_close(&s);
}

/* ---- what is refused, sealed ---- */

static void refuses_a_replay_without_asking_twice(void **state)
{
    (void)state;
    struct stage s;
    struct stage_ask first;
    struct stage_ask again;
    stage_open(&s, NULL);
    stage_ask(&s, &first, OHTTP_CHUNKED, &PLAIN);
    stage_until_asked(&s, 1);
    /* The same bytes, by somebody who has no key: only the owner of the first can open the answer. */
    again = first;
    again.stream = NULL;
    again.clear = again.plain = again.content = again.receipt = BUF(1 << 20);
    stage_send(&s, &again, 0, again.sealed.len, true);
    stage_answer(&s, &again);
    check_error(&again, 409, "replayed_request");
    CHECK(s.starts == 1);
    buf_clear(&again.clear);
    buf_clear(&again.plain);
    buf_clear(&again.content);
    stage_ask_clear(&first);
    stage_close(&s);
}

/* Whoever holds a request back sees to it that its date is right at last, long after it was noted. */
static void remembers_for_as_long_as_a_request_may_take_to_arrive(void **state)
{
    (void)state;
    struct worker_settings set = { .date_window = 60, .request_timeout = 30000 };
    CHECK(worker_settings_memory_s(&set) >= 2 * 60 + 30 + KEYS_SET_BACK_S);
    set.request_timeout = 1;
    CHECK(worker_settings_memory_s(&set) > 2 * 60 + KEYS_SET_BACK_S);
}

static void tells_a_full_memory_of_replays_from_a_replay(void **state)
{
    (void)state;
    struct stage s;
    struct stage_ask ask;
    stage_open(&s, NULL);
    replay_free(s.worker.replay);
    CHECK_OK(replay_new(&s.worker.replay, 60, 1));
    answers_and_signs(&s, OHTTP_CHUNKED);
    stage_ask(&s, &ask, OHTTP_CHUNKED, &PLAIN);
    stage_answer(&s, &ask);
    check_error(&ask, 503, "server_overloaded");
    CHECK(s.starts == 1);
    stage_ask_clear(&ask);
    stage_close(&s);
}

static void what_may_not_be_asked_is_not_remembered(void **state)
{
    (void)state;
    struct stage s;
    struct stage_ask ask;
    static const char *const flags[] = { "--tokens-file=" TOKEN_HEX, NULL };
    static const enum ohttp_variant variants[] = { OHTTP_CHUNKED, OHTTP_PLAIN };
    struct stage_request wrong = PLAIN;
    struct stage_request right = PLAIN;
    wrong.authorization = "Bearer wrong";
    right.authorization = "Bearer token";
    stage_open(&s, flags);
    for (size_t i = 0; i < ARRAY_LEN(variants); i++) {
        stage_ask(&s, &ask, variants[i], &wrong);
        stage_answer(&s, &ask);
        check_error(&ask, 401, "invalid_api_key");
        stage_ask_clear(&ask);
    }
    CHECK(replay_count(s.worker.replay) == 0);
    stage_ask(&s, &ask, OHTTP_CHUNKED, &right);
    stage_until_asked(&s, 1);
    CHECK(replay_count(s.worker.replay) == 1);
    stage_ask_clear(&ask);
    stage_until(&s, was_cancelled, NULL);
    stage_close(&s);
}

static void refuse_one(struct stage *s, const struct stage_request *r, unsigned status,
                       const char *code)
{
    struct stage_ask ask;
    stage_ask(s, &ask, OHTTP_CHUNKED, r);
    stage_answer(s, &ask);
    check_error(&ask, status, code);
    stage_ask_clear(&ask);
}

static void refuses_dates_outside_the_window(void **state)
{
    (void)state;
    struct stage s;
    const struct stage_request none = { .body = BYTES_LIT(BODY), .no_date = true };
    const struct stage_request early = { .body = BYTES_LIT(BODY), .date_off = 125 };
    const struct stage_request late = { .body = BYTES_LIT(BODY), .date_off = -125 };
    stage_open(&s, NULL);
    refuse_one(&s, &none, 400, "stale_date");
    refuse_one(&s, &early, 400, "stale_date");
    refuse_one(&s, &late, 400, "stale_date");
    CHECK(s.starts == 0);
    stage_close(&s);
}

static void asks_for_a_token_and_keeps_it(void **state)
{
    (void)state;
    struct stage s;
    struct stage_ask ask;
    static const char *const flags[] = { "--tokens-file=" TOKEN_HEX, NULL };
    struct stage_request wrong = PLAIN;
    struct stage_request right = PLAIN;
    wrong.authorization = "Bearer wrong";
    right.authorization = "Bearer token";
    stage_open(&s, flags);
    refuse_one(&s, &PLAIN, 401, "invalid_api_key");
    refuse_one(&s, &wrong, 401, "invalid_api_key");
    CHECK(s.starts == 0);
    stage_ask(&s, &ask, OHTTP_CHUNKED, &right);
    stage_until_asked(&s, 1);
    CHECK(s.calls->authorization.len == 0);
    stage_ask_clear(&ask);
    stage_until(&s, was_cancelled, NULL);
    stage_close(&s);
}

/* Whatever the body names. */
static void a_key_deletes_its_own_models_only(void **state)
{
    (void)state;
    struct stage s;
    struct stage_ask ask;
    static const char *const flags[] = { "--tokens-file={\"sha256\":\"" TOKEN_HEX
                                         "\",\"models\":[\"m\",\"my/*\"]}",
                                         NULL };
    static const char *const others[] = { "/v1/models/n", "/v1//models/your%2Fm", "/v1/models/%6",
                                          "/v1/models/n?m" };
    struct stage_request request = { .method = "DELETE", .authorization = "Bearer token" };
    stage_open(&s, flags);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        request.path = others[i];
        request.body = i % 2 == 0 ? BYTES_LIT(BODY) : (bytes){ 0 };
        refuse_one(&s, &request, 403, "model_not_allowed");
    }
    CHECK(s.starts == 0);
    request.path = "/v1/models/my%2Fm";
    stage_ask(&s, &ask, OHTTP_CHUNKED, &request);
    stage_until_asked(&s, 1);
    stage_ask_clear(&ask);
    stage_until(&s, was_cancelled, NULL);
    stage_close(&s);
}

static void passes_a_token_on_that_nobody_asked_for(void **state)
{
    (void)state;
    struct stage s;
    struct stage_ask ask;
    struct stage_request request = PLAIN;
    request.authorization = "Bearer mine";
    stage_open(&s, NULL);
    stage_ask(&s, &ask, OHTTP_CHUNKED, &request);
    stage_until_asked(&s, 1);
    CHECK_BYTES(buf_view(&s.calls->authorization), BYTES_LIT("Bearer mine"));
    stage_ask_clear(&ask);
    stage_until(&s, was_cancelled, NULL);
    stage_close(&s);
}

static void ask_with_body(struct stage *s, size_t len, struct stage_ask *ask)
{
    struct buf body = BUF(1 << 20);
    CHECK_OK(buf_add_zeros(&body, len));
    const struct stage_request request = { .body = buf_view(&body) };
    stage_ask(s, ask, OHTTP_CHUNKED, &request);
    buf_clear(&body);
}

static void takes_a_body_at_the_limit_and_none_above(void **state)
{
    (void)state;
    struct stage s;
    struct stage_ask ask;
    static const char *const flags[] = { "--body-max=64KiB", NULL };
    stage_open(&s, flags);
    ask_with_body(&s, 64 * 1024 + 1, &ask);
    stage_answer(&s, &ask);
    check_error(&ask, 413, "request_too_large");
    CHECK(s.starts == 0);
    stage_ask_clear(&ask);
    ask_with_body(&s, 64 * 1024, &ask);
    stage_until_asked(&s, 1);
    CHECK(s.calls->body.len == 64 * 1024);
    stage_ask_clear(&ask);
    stage_until(&s, was_cancelled, NULL);
    stage_close(&s);
}

static void holds_no_more_than_allowed_in_all(void **state)
{
    (void)state;
    struct stage s;
    struct stage_ask first;
    struct stage_ask second;
    static const char *const flags[] = { "--body-max=64KiB", "--held-max=100KiB", NULL };
    stage_open(&s, flags);
    ask_with_body(&s, 60 * 1024, &first);
    stage_until_asked(&s, 1);
    ask_with_body(&s, 60 * 1024, &second);
    stage_answer(&s, &second);
    check_error(&second, 503, "server_overloaded");
    stage_ask_clear(&second);
    stage_ask_clear(&first);
    stage_until(&s, was_cancelled, NULL);
    ask_with_body(&s, 60 * 1024, &second);
    stage_until_asked(&s, 2);
    stage_ask_clear(&second);
    stage_turns(&s);
    stage_close(&s);
}

/* Nothing of a request in one piece opens before its end: what came of it takes memory all the same. */
static void holds_no_more_that_it_cannot_open_than_allowed(void **state)
{
    (void)state;
    struct stage s;
    struct stage_ask first;
    struct stage_ask second;
    static const char *const flags[] = { "--held-max=1500", NULL };
    static char body[1024];
    const struct stage_request request = { .body = bytes_of(body, sizeof body) };
    memset(body, ' ', sizeof body);
    stage_open(&s, flags);
    stage_seal(&s, &first, OHTTP_PLAIN, &request);
    stage_send(&s, &first, 0, 700, false);
    stage_turns(&s);
    CHECK(s.worker.held == 1024);
    stage_seal(&s, &second, OHTTP_PLAIN, &request);
    stage_send(&s, &second, 0, 700, false);
    stage_answer(&s, &second);
    CHECK(second.outer == 503 && first.outer == 0);
    stage_ask_clear(&second);
    stage_ask_clear(&first);
    stage_turns(&s);
    CHECK(s.worker.held == 0);
    stage_close(&s);
}

/* As long as its client has not read it. */
static void an_answer_in_one_piece_counts_as_held(void **state)
{
    (void)state;
    struct stage s;
    struct stage_ask ask;
    static char text[20 * 1024];
    static const char *const flags[] = { "--held-max=30KiB", NULL };
    static const struct stage_request speech = { .path = "/v1/audio/speech",
                                                 .body = BYTES_LIT(BODY) };
    memset(text, 'a', sizeof text - 1);
    stage_open(&s, flags);
    stage_ask(&s, &ask, OHTTP_PLAIN, &speech);
    stage_until_asked(&s, 1);
    stage_head(&s, 200, "audio/mpeg", -1);
    stage_body(&s, text);
    stage_turns(&s);
    CHECK(ask.outer == 0 && s.worker.held > sizeof text);
    stage_body(&s, text);
    stage_answer(&s, &ask);
    check_error(&ask, 503, "server_overloaded");
    stage_ask_clear(&ask);
    stage_close(&s);
}

static bool has_head(struct stage *s, void *arg)
{
    const struct stage_ask *ask = arg;
    (void)s;
    return ask->outer != 0;
}

/* Whoever does not read why he is refused holds nothing meanwhile. */
static void lets_go_of_what_it_refuses(void **state)
{
    (void)state;
    struct stage s;
    struct stage_ask ask;
    static char body[30 * 1024];
    static const char *const flags[] = { "--tokens-file=" TOKEN_HEX, NULL };
    const struct stage_request request = { .body = bytes_of(body, sizeof body) };
    memset(body, ' ', sizeof body);
    stage_open(&s, flags);
    stage_redial(&s, 1);
    stage_seal(&s, &ask, OHTTP_PLAIN, &request);
    ask.holds = true;
    stage_send(&s, &ask, 0, ask.sealed.len, true);
    stage_until(&s, has_head, &ask);
    stage_turns(&s);
    CHECK(ask.outer == 200 && !ask.ended && s.worker.sessions_n == 1);
    CHECK(s.worker.held < sizeof body);
    stage_ask_clear(&ask);
    stage_close(&s);
}

static bool is_given_up(struct stage *s, void *arg)
{
    const struct stage_ask *ask = arg;
    return ask->closed && s->worker.streams_n == 0;
}

/* Refusals in the clear and under the seal, and what an engine says. */
static void gives_up_what_nobody_reads(void **state)
{
    (void)state;
    struct stage s;
    struct stage_ask asks[3];
    static const char *const flags[] = { "--stall-timeout=100ms", NULL };
    static const struct stage_request late = { .body = BYTES_LIT(BODY), .date_off = -125 };
    stage_open(&s, flags);
    stage_redial(&s, 1);
    stage_seal(&s, &asks[0], OHTTP_CHUNKED, &PLAIN);
    asks[0].sealed.at[asks[0].sealed.len - 1] ^= 1;
    stage_seal(&s, &asks[1], OHTTP_CHUNKED, &late);
    stage_seal(&s, &asks[2], OHTTP_CHUNKED, &PLAIN);
    for (size_t i = 0; i < ARRAY_LEN(asks); i++) {
        asks[i].holds = true;
        stage_send(&s, &asks[i], 0, asks[i].sealed.len, true);
    }
    stage_until_asked(&s, 1);
    stage_head(&s, 200, "text/event-stream", -1);
    stage_body(&s, EVENT("a"));
    for (size_t i = 0; i < ARRAY_LEN(asks); i++) {
        stage_until(&s, is_given_up, &asks[i]);
        CHECK(asks[i].outer != 0 && asks[i].why == LINK_RESET);
        stage_ask_clear(&asks[i]);
    }
    CHECK(s.cancels == 1 && s.worker.sessions_n == 0);
    stage_close(&s);
}

static void refuses_paths_that_are_not_the_engines(void **state)
{
    (void)state;
    struct stage s;
    static const char *const paths[] = { "/metrics",     "/healthz", "/v1/receipts/x",
                                         "/attestation", "/admin",   "/v1/../admin" };
    stage_open(&s, NULL);
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        struct stage_request request = PLAIN;
        request.path = paths[i];
        refuse_one(&s, &request, 404, "unknown_url");
    }
    CHECK(s.starts == 0);
    stage_close(&s);
}

static void says_so_when_the_engine_takes_no_more(void **state)
{
    (void)state;
    struct stage s;
    stage_open(&s, NULL);
    s.full = true;
    refuse_one(&s, &PLAIN, 503, "server_overloaded");
    stage_close(&s);
}

/* Who asks what no engine can be told is at fault, and not the engine. */
static void blames_the_client_for_what_cannot_be_asked(void **state)
{
    (void)state;
    struct stage s;
    stage_open(&s, NULL);
    s.odd = true;
    refuse_one(&s, &PLAIN, 400, "bad_request");
    stage_close(&s);
}

/* ---- what is refused in the clear ---- */

static void check_outer(struct stage *s, struct stage_ask *ask, unsigned status, const char *type)
{
    stage_answer(s, ask);
    CHECK(ask->outer == status && ask->ended);
    assert_string_equal(ask->media, MEDIA_PROBLEM_JSON);
    CHECK(text_find(buf_view(&ask->clear), bytes_str(type)) < ask->clear.len);
}

static void has_one_answer_for_all_that_does_not_open(void **state)
{
    (void)state;
    struct stage s;
    struct stage_ask ask;
    struct buf first = BUF(4096);
    stage_open(&s, NULL);
    /* enc, a length, a chunk, the final chunk, the very last byte; then cut off at many places */
    static const size_t flips[] = { 7, 20, 38, 39, 41, 60, 100 };
    for (size_t i = 0; i <= 2 * ARRAY_LEN(flips); i++) {
        stage_seal(&s, &ask, OHTTP_CHUNKED, &PLAIN);
        size_t len = ask.sealed.len;
        if (i < ARRAY_LEN(flips))
            ask.sealed.at[flips[i]] ^= 1;
        else if (i == ARRAY_LEN(flips))
            ask.sealed.at[len - 1] ^= 1;
        else
            len = flips[i - ARRAY_LEN(flips) - 1];
        stage_send(&s, &ask, 0, len, true);
        check_outer(&s, &ask, 400, "about:blank");
        if (i == 0)
            CHECK_OK(buf_add(&first, buf_view(&ask.clear)));
        CHECK_BYTES(buf_view(&ask.clear), buf_view(&first));
        stage_ask_clear(&ask);
    }
    CHECK(s.starts == 0);
    buf_clear(&first);
    stage_close(&s);
}

static void names_a_stale_key_before_the_rest_has_come(void **state)
{
    (void)state;
    struct stage s;
    struct stage_ask ask;
    stage_open(&s, NULL);
    stage_seal(&s, &ask, OHTTP_CHUNKED, &PLAIN);
    ask.sealed.at[0] ^= 0x40;
    stage_send(&s, &ask, 0, 7, false);
    check_outer(&s, &ask, 422, PROBLEM_OHTTP_KEY);
    stage_ask_clear(&ask);
    stage_close(&s);
}

static void opens_nothing_from_before_the_clock_was_set_back(void **state)
{
    (void)state;
    struct stage s;
    struct stage_ask before;
    struct stage_ask slept;
    stage_open(&s, NULL);
    stage_seal(&s, &before, OHTTP_CHUNKED, &PLAIN);
    clock_shift_wall_s(-3);
    answers_and_signs(&s, OHTTP_CHUNKED); /* clocks are corrected a little now and then */
    clock_shift_wall_s(-600);
    stage_send(&s, &before, 0, before.sealed.len, true);
    check_outer(&s, &before, 422, PROBLEM_OHTTP_KEY);
    stage_ask_clear(&before);
    answers_and_signs(&s, OHTTP_CHUNKED);
    /* A machine that slept has newer keys at once. */
    stage_seal(&s, &slept, OHTTP_CHUNKED, &PLAIN);
    clock_shift_wall_s(8 * 3600);
    stage_send(&s, &slept, 0, slept.sealed.len, true);
    check_outer(&s, &slept, 422, PROBLEM_OHTTP_KEY);
    stage_ask_clear(&slept);
    answers_and_signs(&s, OHTTP_CHUNKED);
    stage_close(&s);
    clock_shift_wall_s(0);
}

static void gives_up_on_requests_that_do_not_come(void **state)
{
    (void)state;
    struct stage s;
    struct stage_ask ask;
    static const char *const flags[] = { "--request-timeout=100ms", NULL };
    stage_open(&s, flags);
    stage_seal(&s, &ask, OHTTP_CHUNKED, &PLAIN);
    stage_send(&s, &ask, 0, 30, false);
    check_outer(&s, &ask, 408, "about:blank");
    stage_ask_clear(&ask);
    stage_close(&s);
}

/* ---- what breaks ---- */

/* No final chunk: what came can be read, and cannot be taken for all. */
static void check_cut(const struct stage_ask *ask)
{
    CHECK(ask->outer == 200 && ask->ended);
    CHECK_ERR(ask->opened, TRUNCATED);
    CHECK(ask->step == OHTTP_MORE && !ask->whole && ask->receipt.len == 0);
}

static void break_stream(const char *said, err how, const char *error)
{
    struct stage s;
    struct stage_ask ask;
    stage_open(&s, NULL);
    stage_ask(&s, &ask, OHTTP_CHUNKED, &STREAM);
    stage_until_asked(&s, 1);
    stage_head(&s, 200, "text/event-stream", -1);
    stage_body(&s, EVENT("a"));
    stage_turns(&s);
    if (said[0] != 0)
        stage_body(&s, said);
    if (s.calls != NULL)
        stage_end(&s, how);
    stage_answer(&s, &ask);
    check_cut(&ask);
    CHECK(bytes_starts(buf_view(&ask.content), BYTES_LIT(EVENT("a"))));
    CHECK(text_find(buf_view(&ask.content), bytes_str(error)) < ask.content.len);
    CHECK(text_find(buf_view(&ask.content), BYTES_LIT("[DONE]")) == ask.content.len);
    stage_ask_clear(&ask);
    stage_close(&s);
}

static void seals_no_end_onto_a_broken_stream(void **state)
{
    (void)state;
    break_stream("", (err){ ERR_CLOSED }, "upstream_broken");
    break_stream("", OK, "upstream_broken");
    break_stream("data: {\"id\":\"c\"", (err){ ERR_CLOSED }, "upstream_broken");
    break_stream(EVENT("b"), (err){ ERR_TIMEOUT }, "upstream_timeout");
    break_stream("data: {\"error\":{\"message\":\"oom\"}}\n\n", OK, "oom");
}

/* Before the first byte an error is a whole answer of its own. */
static void break_early(bool head, const char *said, err how, unsigned status, const char *code)
{
    struct stage s;
    struct stage_ask ask;
    stage_open(&s, NULL);
    stage_ask(&s, &ask, OHTTP_CHUNKED, &PLAIN);
    stage_until_asked(&s, 1);
    if (head)
        stage_head(&s, 200, "application/json", -1);
    if (said[0] != 0)
        stage_body(&s, said);
    stage_end(&s, how);
    stage_answer(&s, &ask);
    check_error(&ask, status, code);
    stage_ask_clear(&ask);
    stage_close(&s);
}

static void answers_with_an_error_while_it_still_can(void **state)
{
    (void)state;
    break_early(false, "", (err){ ERR_UNAVAILABLE }, 502, "upstream_unreachable");
    break_early(false, "", (err){ ERR_CLOSED }, 502, "upstream_broken");
    break_early(false, "", (err){ ERR_TIMEOUT }, 504, "upstream_timeout");
    break_early(false, "", (err){ ERR_MALFORMED }, 502, "upstream_malformed");
    break_early(true, "{\"id\":", (err){ ERR_CLOSED }, 502, "upstream_broken");
    break_early(true, "{\"id\":", OK, 502, "upstream_malformed");
}

/* Where there is nothing to say; where there should have been, it is no answer. */
static void passes_on_what_is_empty_by_right(void **state)
{
    (void)state;
    static const struct {
        const char *method, *path;
        unsigned status, want;
    } rows[] = {
        { "HEAD", "/v1/models", 200, 200 },
        { "GET", "/v1/models", 200, 502 },
        { "DELETE", "/v1/responses/resp_1", 200, 200 },
        { "DELETE", "/v1/responses/resp_1", 204, 204 },
        { "POST", "/v1/embeddings", 204, 204 },
        { "POST", "/v1/embeddings", 200, 502 },
        { "POST", "/v1/chat/completions", 200, 502 },
        { "POST", "/v1/images/edits", 200, 200 },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct stage s;
        struct stage_ask ask;
        struct stage_request request = PLAIN;
        request.method = rows[i].method;
        request.path = rows[i].path;
        if (strcmp(request.method, "POST") != 0)
            request.body = (bytes){ 0 };
        stage_open(&s, NULL);
        stage_ask(&s, &ask, OHTTP_CHUNKED, &request);
        stage_until_asked(&s, 1);
        stage_head(&s, rows[i].status, "application/json", -1);
        stage_end(&s, OK);
        stage_answer(&s, &ask);
        assert_int_equal(ask.status, rows[i].want);
        if (rows[i].want == 502) {
            check_error(&ask, 502, "upstream_malformed");
        } else {
            check_complete(&ask);
            CHECK(ask.content.len == 0);
            check_receipt(&s, &ask, request.body.len > 0 ? BODY : "", "", false);
        }
        stage_ask_clear(&ask);
        stage_close(&s);
    }
}

/* Its client gets nothing before it is whole, so there is nothing to be cut. */
static void break_unchunked(const char *said, err how)
{
    struct stage s;
    struct stage_ask ask;
    stage_open(&s, NULL);
    stage_ask(&s, &ask, OHTTP_PLAIN, &STREAM);
    stage_until_asked(&s, 1);
    stage_head(&s, 200, "text/event-stream", -1);
    stage_body(&s, EVENT("a"));
    stage_turns(&s);
    CHECK(ask.outer == 0);
    if (said != NULL)
        stage_body(&s, said);
    if (s.calls != NULL)
        stage_end(&s, how);
    stage_answer(&s, &ask);
    check_error(&ask, 502, "upstream_broken");
    CHECK(text_find(buf_view(&ask.content), BYTES_LIT("choices")) == ask.content.len);
    stage_ask_clear(&ask);
    stage_close(&s);
}

static void puts_an_error_in_the_place_of_half_an_unchunked_answer(void **state)
{
    (void)state;
    break_unchunked(NULL, (err){ ERR_CLOSED });
    break_unchunked("data: {\"error\":{\"message\":\"oom\"}}\n\n", OK);
}

static void say_mebibytes(struct stage *s, size_t n)
{
    BUF_AUTO text = BUF(MEBIBYTE + 1);
    for (size_t i = 0; i < MEBIBYTE; i++)
        CHECK_OK(buf_add_u8(&text, 'x'));
    stage_head(s, 200, "application/octet-stream", (int64_t)(n * MEBIBYTE));
    for (size_t i = 0; i < n && s->calls != NULL; i++) {
        stage_body(s, buf_str(&text));
        stage_turns(s);
    }
    if (s->calls != NULL)
        stage_end(s, OK);
}

static void an_unchunked_answer_is_whole_or_an_error_when_it_is_too_large(void **state)
{
    (void)state;
    struct stage s;
    struct stage_ask ask;
    stage_open(&s, NULL);
    stage_ask(&s, &ask, OHTTP_PLAIN, &PLAIN);
    stage_until_asked(&s, 1);
    say_mebibytes(&s, 3);
    stage_answer(&s, &ask);
    check_complete(&ask);
    CHECK(ask.status == 200 && ask.content.len == 3 * MEBIBYTE && ask.receipt.len > 0);
    stage_ask_clear(&ask);
    stage_ask(&s, &ask, OHTTP_PLAIN, &PLAIN);
    stage_until_asked(&s, 2);
    say_mebibytes(&s, DOOR_WHOLE_MAX / MEBIBYTE);
    stage_answer(&s, &ask);
    check_error(&ask, 502, "upstream_malformed");
    CHECK(s.cancels == 1 && s.calls == NULL);
    stage_ask_clear(&ask);
    stage_close(&s);
}

/* The engine has worked for it. */
static void a_key_pays_for_an_answer_that_is_too_large_for_its_door(void **state)
{
    (void)state;
    struct stage s;
    struct stage_ask ask;
    BUF_AUTO text = BUF(8192);
    static const char *const flags[] = { "--tokens-file={\"sha256\":\"" TOKEN_HEX
                                         "\",\"name\":\"alice\",\"tokens_per_minute\":100000}",
                                         NULL };
    struct stage_request request = PLAIN;
    request.authorization = "Bearer token";
    stage_open(&s, flags);
    stage_ask(&s, &ask, OHTTP_PLAIN, &request);
    stage_until_asked(&s, 1);
    say_mebibytes(&s, DOOR_WHOLE_MAX / MEBIBYTE);
    stage_answer(&s, &ask);
    check_error(&ask, 502, "upstream_malformed");
    stage_ask_clear(&ask);
    stage_turns(&s);
    CHECK_OK(token_set_render(&s.worker.tokens, &text));
    CHECK(strstr(buf_str(&text), "type=\"input\"} 0\n") == NULL &&
          strstr(buf_str(&text), "type=\"input\"} ") != NULL);
    stage_close(&s);
}

static void gives_errors_of_the_engine_as_json(void **state)
{
    (void)state;
    struct stage s;
    struct stage_ask ask;
    static const char error[] = "{\"error\":{\"message\":\"no\"}}";
    stage_open(&s, NULL);
    stage_ask(&s, &ask, OHTTP_CHUNKED, &STREAM);
    stage_until_asked(&s, 1);
    stage_head(&s, 400, "text/event-stream", -1);
    stage_body(&s, error);
    stage_end(&s, OK);
    stage_answer(&s, &ask);
    check_complete(&ask);
    CHECK(ask.status == 400);
    CHECK_BYTES(buf_view(&ask.content), bytes_str(error));
    check_receipt(&s, &ask, STREAM_BODY, error, false);
    stage_ask_clear(&ask);
    stage_close(&s);
}

static void cancels_the_engine_when_the_client_leaves(void **state)
{
    (void)state;
    for (int phase = 0; phase < 3; phase++) {
        struct stage s;
        struct stage_ask ask;
        stage_open(&s, NULL);
        stage_ask(&s, &ask, OHTTP_CHUNKED, &STREAM);
        stage_until_asked(&s, 1);
        if (phase > 0)
            stage_head(&s, 200, "text/event-stream", -1);
        if (phase > 1)
            stage_body(&s, EVENT("a"));
        stage_turns(&s);
        stage_ask_clear(&ask);
        stage_until(&s, was_cancelled, NULL);
        CHECK(s.calls == NULL && s.worker.sessions_n == 0);
        stage_close(&s);
    }
}

static void lets_a_client_leave_before_its_request_is_complete(void **state)
{
    (void)state;
    struct stage s;
    struct stage_ask ask;
    stage_open(&s, NULL);
    stage_seal(&s, &ask, OHTTP_CHUNKED, &PLAIN);
    stage_send(&s, &ask, 0, 60, false);
    stage_turns(&s);
    CHECK(s.worker.sessions_n == 1);
    stage_ask_clear(&ask);
    stage_turns(&s);
    CHECK(s.worker.sessions_n == 0 && s.starts == 0);
    stage_close(&s);
}

static void holds_the_engine_back_for_a_slow_client(void **state)
{
    (void)state;
    struct stage s;
    struct stage_ask ask;
    static char line[65536];
    (void)snprintf(line, sizeof line, "data: {\"id\":\"c\",\"choices\":[],\"x\":\"%060000d\"}\n\n",
                   0);
    stage_open(&s, NULL);
    stage_ask(&s, &ask, OHTTP_CHUNKED, &STREAM);
    ask.holds = true;
    stage_until_asked(&s, 1);
    stage_head(&s, 200, "text/event-stream", -1);
    size_t said = 0;
    for (; said < 1000 && s.pauses == 0; said++) {
        stage_body(&s, line);
        stage_turns(&s);
        /* A turn's share is paused for as well, and goes on by itself. */
        if (s.pauses > 0 && !s.calls->paused)
            s.pauses = 0;
    }
    CHECK(s.calls->paused && said < 30);
    ask.holds = false;
    link_stream_consume(ask.stream, ask.plain.len * 2);
    stage_turns(&s);
    CHECK(!s.calls->paused);
    stage_body(&s, FINISH DONE);
    stage_answer(&s, &ask);
    check_complete(&ask);
    stage_ask_clear(&ask);
    stage_close(&s);
}

static void does_not_count_those_that_only_linger(void **state)
{
    (void)state;
    struct stage s;
    struct stage_ask ask;
    static const char *const flags[] = { "--streams-max=1", NULL };
    stage_open(&s, flags);
    for (size_t i = 1; i <= 3; i++) {
        stage_ask(&s, &ask, OHTTP_CHUNKED, &STREAM);
        stage_until_asked(&s, i);
        stage_head(&s, 200, "text/event-stream", -1);
        stage_body(&s, FINISH DONE);
        stage_answer(&s, &ask);
        check_complete(&ask);
        stage_ask_clear(&ask);
        stage_turns(&s);
        CHECK(s.worker.streams_n == 0 && s.worker.sessions_n == i);
    }
    stage_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_both_variants),
        cmocka_unit_test(streams_whole_events_and_the_end_with_its_receipt),
        cmocka_unit_test(takes_requests_in_any_pieces),
        cmocka_unit_test(large_bodies_arrive_whole_and_are_signed),
        cmocka_unit_test(puts_the_nonce_into_the_receipt),
        cmocka_unit_test(refuses_a_replay_without_asking_twice),
        cmocka_unit_test(remembers_for_as_long_as_a_request_may_take_to_arrive),
        cmocka_unit_test(tells_a_full_memory_of_replays_from_a_replay),
        cmocka_unit_test(what_may_not_be_asked_is_not_remembered),
        cmocka_unit_test(refuses_dates_outside_the_window),
        cmocka_unit_test(asks_for_a_token_and_keeps_it),
        cmocka_unit_test(a_key_deletes_its_own_models_only),
        cmocka_unit_test(passes_a_token_on_that_nobody_asked_for),
        cmocka_unit_test(takes_a_body_at_the_limit_and_none_above),
        cmocka_unit_test(holds_no_more_than_allowed_in_all),
        cmocka_unit_test(holds_no_more_that_it_cannot_open_than_allowed),
        cmocka_unit_test(an_answer_in_one_piece_counts_as_held),
        cmocka_unit_test(lets_go_of_what_it_refuses),
        cmocka_unit_test(gives_up_what_nobody_reads),
        cmocka_unit_test(refuses_paths_that_are_not_the_engines),
        cmocka_unit_test(says_so_when_the_engine_takes_no_more),
        cmocka_unit_test(blames_the_client_for_what_cannot_be_asked),
        cmocka_unit_test(has_one_answer_for_all_that_does_not_open),
        cmocka_unit_test(names_a_stale_key_before_the_rest_has_come),
        cmocka_unit_test(opens_nothing_from_before_the_clock_was_set_back),
        cmocka_unit_test(gives_up_on_requests_that_do_not_come),
        cmocka_unit_test(seals_no_end_onto_a_broken_stream),
        cmocka_unit_test(puts_an_error_in_the_place_of_half_an_unchunked_answer),
        cmocka_unit_test(answers_with_an_error_while_it_still_can),
        cmocka_unit_test(passes_on_what_is_empty_by_right),
        cmocka_unit_test(an_unchunked_answer_is_whole_or_an_error_when_it_is_too_large),
        cmocka_unit_test(a_key_pays_for_an_answer_that_is_too_large_for_its_door),
        cmocka_unit_test(gives_errors_of_the_engine_as_json),
        cmocka_unit_test(cancels_the_engine_when_the_client_leaves),
        cmocka_unit_test(lets_a_client_leave_before_its_request_is_complete),
        cmocka_unit_test(holds_the_engine_back_for_a_slow_client),
        cmocka_unit_test(does_not_count_those_that_only_linger),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
