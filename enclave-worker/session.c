/*
 * What may be said in the clear, and to whom. Until a chunk has opened, whoever sends is a stranger
 * and gets one outer answer for all causes (422 only for a key that is not ours, which is decided
 * before any decryption). From then on every answer is sealed, the refusals too.
 *
 * An answer that breaks off gets no final chunk: the client's side cannot take it for complete. The
 * HTTP/2 stream itself is ended, not reset, so that the error event in front is sure to arrive.
 */
#include "enclave-worker/session.h"

#include "api/error.h"
#include "api/limits.h"
#include "api/peek.h"
#include "api/route.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/secret.h"
#include "enclave-worker/answer.h"
#include "enclave-worker/inner.h"
#include "enclave-worker/refusal.h"
#include "enclave-worker/tab.h"
#include "wire/names.h"

enum {
    COLLECT_MAX = 1024 * 1024, /* of an answer that is looked at before it is passed on */
    TARGET_MAX = 16 * 1024
};

enum session_state { OPENING = 0, ASKING, ANSWERING, LINGERING };

struct session {
    struct visit visit;
    enum session_state state;
    enum worker_outcome outcome;
    struct door *door; /* has the request, as far as it has come */
    bool replay_checked;
    struct hash_wait hashing; /* of the content, once it is complete */
    struct route_match route;
    struct peek peek;
    const struct token *key; /* that it came with; NULL: none was needed */
    struct tab tab;          /* what it owes, until that is settled or taken over */
    bool asked;              /* the engine was */
    struct allowance_view allowance;

    struct engine_call *call;
    bool paused;
    struct kept engine_head; /* kept while the answer is collected */
    unsigned engine_status;
    bool collecting;
    struct buf collected;

    struct answer answer;
    uint8_t cti[AIR_CTI_LEN];
    char receipt_id[AIR_ID_LEN + 1];
    bool has_receipt;

    struct loop_task flush;
    struct loop_timer timer;
    uint64_t opened_ms;
};

static struct session *session_of(struct visit *v)
{
    return CONTAINER_OF(v, struct session, visit);
}

static struct worker *worker_of(const struct session *s)
{
    return s->visit.worker;
}

/* ---- the end ---- */

static const struct word OUTCOMES[WORKER_OUTCOMES] = { WORD_INIT("answered"), WORD_INIT("refused"),
                                                       WORD_INIT("engine_failed"),
                                                       WORD_INIT("client_gone") };

/* The key pays for what it came to, once all is said: nothing where the engine was not asked, or
 * refused. */
static void use_up(struct session *s)
{
    struct allowance_use use = { 0 };
    if (s->asked && s->engine_status < 400)
        use = usage_sum(&s->answer.usage, s->door->content.len);
    tab_settle(&s->tab, s->engine_status, &use);
}

static void settle(struct session *s)
{
    struct worker *w = worker_of(s);
    uint64_t ms = loop_now_ms(w->loop) - s->opened_ms;
    struct log_id id = { 0 };
    (void)log_id_set(&id, kept_field(&s->door->request, FIELD_REQUEST_ID));
    metrics_add(w->metrics.block, w->metrics.sessions, s->outcome, 0, 1);
    metrics_observe_us(w->metrics.block, w->metrics.duration, 0, 0, ms * 1000);
    LOG_INFO(w->log, "session settled", F_WORD_OF("outcome", OUTCOMES[s->outcome]),
             F_ID("request", &id), F_U64("ms", ms), F_U64("status", s->engine_status),
             F_U64("request_bytes", s->door->content.len), F_U64("sealed_bytes", s->door->sent));
}

static void session_free(struct session *s)
{
    struct worker *w = worker_of(s);
    settle(s);
    use_up(s);
    loop_timer_stop(&s->timer);
    loop_defer_cancel(&s->flush);
    engine_cancel(s->call);
    kept_clear(&s->engine_head);
    answer_clear(&s->answer);
    hash_batch_drop(&s->hashing); /* looks at the content */
    door_free(s->door);
    buf_clear(&s->collected);
    w->sessions_n--;
    metrics_gauge_add(w->metrics.block, w->metrics.in_flight, 0, 0, -1);
    mem_free(s);
}

/* The stream is dead or done with; the engine's call may go on for a moment. */
static void leave(struct session *s)
{
    s->visit.stream = NULL;
    worker_of(s)->streams_n--;
    loop_defer_cancel(&s->flush);
    if (s->call == NULL || s->state != LINGERING)
        session_free(s);
}

static void drop_stream(struct session *s, enum link_code code)
{
    link_stream_reset(s->visit.stream, code);
    leave(s);
}

/* ---- sealing ---- */

static err send_piece(struct session *s, bytes plain, bytes receipt, enum door_ending ending)
{
    const struct door_piece piece = {
        .answer = &s->answer, .plain = plain, .receipt = receipt, .ending = ending
    };
    return s->door->ops->send(s->door, s->visit.stream, &piece);
}

static err send(struct session *s, bytes plain, enum door_ending ending)
{
    return send_piece(s, plain, (bytes){ 0 }, ending);
}

static err issue(struct session *s, struct buf *receipt)
{
    struct worker *w = worker_of(s);
    uint8_t request_hash[SHA256_LEN];
    uint8_t response_hash[TRANSCRIPT_LEN];
    uint8_t raw[AIR_NONCE_MAX];
    struct buf nonce = { .at = NULL, .max = sizeof raw };
    hash_batch_get(&s->hashing, request_hash);
    answer_hash(&s->answer, response_hash);
    (void)text_base64url_decode(&nonce, kept_field(&s->door->request, FIELD_RECEIPT_NONCE));
    const struct issue_facts facts = {
        .cti = s->cti,
        .model = peek_model(&s->peek),
        .request_hash = request_hash,
        .response_hash = response_hash,
        .nonce = buf_view(&nonce),
        .execution_ms = loop_now_ms(w->loop) - s->opened_ms,
        .now = clock_wall_s(),
    };
    err e = issue_receipt(w->issuer, &facts, receipt);
    buf_clear(&nonce);
    TRY(e);
    metrics_add(w->metrics.block, w->metrics.receipts, 0, 0, 1);
    return OK;
}

/* The last content, the receipt and the authentic end leave together. */
static err send_end(struct session *s, struct buf *plain)
{
    BUF_AUTO receipt = BUF(AIR_RECEIPT_MAX);
    if (s->has_receipt)
        TRY(issue(s, &receipt));
    TRY(answer_tail(&s->answer, buf_view(&receipt), plain));
    TRY(send_piece(s, buf_view(plain), buf_view(&receipt), DOOR_COMPLETE));
    s->state = LINGERING;
    return OK;
}

static err flush_once(struct session *s)
{
    BUF_AUTO plain = BUF(ANSWER_FLUSH_MAX + 4 * BHTTP_HEAD_MAX);
    TRY(answer_flush(&s->answer, &plain));
    if (answer_has_output(&s->answer))
        return send(s, buf_view(&plain), DOOR_GOES_ON);
    if (s->answer.state == ANSWER_COMPLETE)
        return send_end(s, &plain);
    if (s->answer.state == ANSWER_BROKEN) {
        s->outcome = WORKER_ENGINE_FAILED;
        TRY(send(s, buf_view(&plain), DOOR_CUT));
        s->state = LINGERING;
        return OK;
    }
    return send(s, buf_view(&plain), DOOR_GOES_ON);
}

static bool is_congested(const struct session *s)
{
    return link_stream_queued(s->visit.stream) >= SESSION_QUEUE_HIGH;
}

static void hold_back(struct session *s, bool hold)
{
    if (s->call == NULL || s->paused == hold)
        return;
    s->paused = hold;
    if (hold)
        engine_pause(s->call);
    else
        engine_resume(s->call);
}

static void linger(struct session *s);

static void on_flush(struct loop_task *t)
{
    struct session *s = CONTAINER_OF(t, struct session, flush);
    bool ended = s->answer.state == ANSWER_COMPLETE || s->answer.state == ANSWER_BROKEN;
    while (s->state != LINGERING && !is_congested(s) && (answer_has_output(&s->answer) || ended)) {
        if (flush_once(s).code != ERR_OK) {
            s->outcome = WORKER_ENGINE_FAILED;
            drop_stream(s, LINK_INTERNAL);
            return;
        }
    }
    if (s->state == LINGERING) {
        use_up(s);
        linger(s);
    } else {
        hold_back(s, is_congested(s));
    }
}

static void flush_later(struct session *s)
{
    if (s->visit.stream != NULL && s->state != LINGERING)
        loop_defer(worker_of(s)->loop, &s->flush, on_flush);
}

static void on_linger_over(struct loop_timer *t)
{
    struct session *s = CONTAINER_OF(t, struct session, timer);
    engine_cancel(s->call);
    s->call = NULL;
    if (s->visit.stream == NULL)
        session_free(s);
}

/* All was said; an engine that closes cleanly in a moment leaves a connection to use again. */
static void linger(struct session *s)
{
    if (s->call == NULL)
        return;
    if (s->answer.state == ANSWER_BROKEN) {
        engine_cancel(s->call);
        s->call = NULL;
        return;
    }
    hold_back(s, false);
    loop_timer_start(worker_of(s)->loop, &s->timer, SESSION_LINGER_MS, on_linger_over);
}

/* ---- refusals and failures ---- */

/* What the key may still ask for; *limits holds the texts. */
static size_t add_limits(const struct session *s, struct limits *limits,
                         struct engine_field *fields, size_t n)
{
    limits_write(&s->allowance, limits);
    for (size_t i = 0; i < limits->n; i++)
        fields[n++] = (struct engine_field){ bytes_str(limits->fields[i].name),
                                             bytes_str(limits->fields[i].value) };
    return n;
}

/* A whole answer of our own, without a receipt: nothing was inferred. */
static err answer_with_error(struct session *s, const struct api_error *error)
{
    BUF_AUTO body = BUF(ERROR_BODY_MAX);
    struct error_field list[ERROR_FIELDS_MAX];
    struct engine_field fields[ERROR_FIELDS_MAX + LIMITS_FIELDS_MAX];
    struct limits limits;
    size_t n = error_fields(error, list);
    for (size_t i = 0; i < n; i++)
        fields[i] = (struct engine_field){ bytes_str(list[i].name), bytes_str(list[i].value) };
    n = add_limits(s, &limits, fields, n);
    TRY(error_write_body(&body, error));

    const struct answer_settings settings = {
        .bare = s->door->bare, .padding = (enum padding_mode)worker_of(s)->settings->padding
    };
    answer_clear(&s->answer);
    answer_init(&s->answer, &settings);
    buf_clear(&s->door->whole);
    s->has_receipt = false;
    s->engine_status = error_status(error->cause);
    TRY(answer_head(&s->answer, s->engine_status, fields, n, (int64_t)body.len));
    TRY(answer_add(&s->answer, buf_view(&body)));
    return answer_end(&s->answer);
}

static void stop_asking(struct session *s)
{
    engine_cancel(s->call);
    s->call = NULL;
    loop_timer_stop(&s->timer);
}

static void refuse_with(struct session *s, const struct api_error *error)
{
    stop_asking(s);
    s->state = ANSWERING;
    if (answer_with_error(s, error).code == ERR_OK)
        flush_later(s);
    else
        drop_stream(s, LINK_INTERNAL);
}

static void refuse_sealed(struct session *s, enum error_cause cause, bytes about)
{
    const struct api_error error = { .cause = cause, .about = about, .retry_after_s = 1 };
    s->outcome = WORKER_REFUSED;
    refuse_with(s, &error);
}

/* The engine failed: an error answer if nothing was sent yet, else an error event and a cut. */
static void fail(struct session *s, enum error_cause cause)
{
    const struct api_error error = { .cause = cause, .retry_after_s = 1 };
    s->outcome = WORKER_ENGINE_FAILED;
    if (!s->door->responded) {
        refuse_with(s, &error);
        return;
    }
    stop_asking(s);
    s->answer.state = ANSWER_BROKEN;
    BUF_AUTO event = BUF(2 * ERROR_BODY_MAX);
    err e = s->answer.has_terminal
                ? error_write_responses_event(&event, &error, s->answer.next_number)
                : error_write_event(&event, &error);
    if (s->answer.sse && e.code == ERR_OK)
        (void)answer_add(&s->answer, buf_view(&event));
    flush_later(s);
}

/* One answer for all that could not be opened, whatever the reason. */
static void refuse_unopened(struct session *s, err why)
{
    const struct door_refusal r = s->door->ops->refusal(s->door, why);
    s->outcome = WORKER_REFUSED;
    err e = worker_refuse(s->visit.stream, r.status, r.type, r.title);
    s->door->responded = true;
    s->state = LINGERING;
    loop_timer_stop(&s->timer);
    if (e.code != ERR_OK)
        drop_stream(s, LINK_INTERNAL);
}

/* ---- the engine's answer ---- */

static void on_answer_state(struct session *s)
{
    if (s->answer.state == ANSWER_BROKEN && !s->door->responded && !answer_has_output(&s->answer))
        fail(s, ERROR_UPSTREAM_MALFORMED);
    else
        flush_later(s);
}

static bool has_media(const struct session *s, const char *media)
{
    bytes type = kept_field(&s->engine_head, FIELD_CONTENT_TYPE);
    bytes want = bytes_str(media);
    return text_equal_nocase(bytes_slice(type, 0, want.len), want);
}

static bool is_known_api(const struct session *s)
{
    return s->route.kind != ROUTE_PASS;
}

/* An error is passed on only if it is JSON, whatever the engine calls it. */
static struct engine_field field_to_pass(const struct session *s, const struct bhttp_field *f)
{
    if (s->engine_status >= 400 && bytes_equal(f->name, BYTES_LIT(FIELD_CONTENT_TYPE)))
        return (struct engine_field){ f->name, BYTES_LIT(MEDIA_JSON) };
    return (struct engine_field){ f->name, f->value };
}

static err begin_answer(struct session *s, int64_t content_length)
{
    struct engine_field fields[ENGINE_FIELDS_MAX];
    struct limits limits;
    size_t n = add_limits(s, &limits, fields, 0);
    for (size_t i = 0; i < s->engine_head.head.fields_n && n < ENGINE_FIELDS_MAX; i++) {
        const struct bhttp_field *f = &s->engine_head.head.fields[i];
        /* An engine's own limits are its with us, not the caller's. */
        if (limits.n == 0 || !bytes_starts(f->name, BYTES_LIT("x-ratelimit-")))
            fields[n++] = field_to_pass(s, f);
    }
    s->state = ANSWERING;
    s->has_receipt = true;
    return answer_head(&s->answer, s->engine_status, fields, n, content_length);
}

/* Answers that are not streams are looked at whole, if they are not too big for that: errors must
 * have the form that SDKs read, and half a JSON must not pass for an answer. */
static void on_engine_head(void *owner, unsigned status, const struct engine_field *fields,
                           size_t n, int64_t content_length)
{
    struct session *s = owner;
    struct worker *w = worker_of(s);
    metrics_observe_us(w->metrics.block, w->metrics.first_byte, 0, 0,
                       (loop_now_ms(w->loop) - s->opened_ms) * 1000);
    s->engine_status = status;
    if (answer_keep_head(&s->engine_head, status, fields, n).code != ERR_OK) {
        fail(s, ERROR_INTERNAL);
        return;
    }
    if (status >= 300 && status < 400) {
        /* Wherever an engine wants its askers to go, clients cannot and must not follow. */
        fail(s, ERROR_UPSTREAM_MALFORMED);
        return;
    }
    s->collecting = status >= 400 ||
                    (is_known_api(s) && !has_media(s, MEDIA_SSE) && content_length <= COLLECT_MAX);
    if (s->collecting)
        return;
    if (begin_answer(s, content_length).code != ERR_OK)
        fail(s, ERROR_UPSTREAM_MALFORMED);
    else
        flush_later(s);
}

/* More than we look at: it is passed on as it comes. */
static void stop_collecting(struct session *s)
{
    s->collecting = false;
    err e = begin_answer(s, -1);
    if (e.code == ERR_OK)
        e = answer_body(&s->answer, buf_view(&s->collected));
    buf_clear(&s->collected);
    if (e.code != ERR_OK)
        fail(s, ERROR_UPSTREAM_MALFORMED);
}

static void on_engine_body(void *owner, bytes piece)
{
    struct session *s = owner;
    if (s->state == LINGERING)
        return;
    if (s->collecting && s->collected.len + piece.len > COLLECT_MAX) {
        if (s->engine_status >= 400) {
            fail(s, ERROR_UPSTREAM_MALFORMED);
            return;
        }
        stop_collecting(s);
    }
    if (s->collecting) {
        if (buf_add(&s->collected, piece).code != ERR_OK)
            fail(s, ERROR_INTERNAL);
        return;
    }
    if (s->state != ANSWERING)
        return;
    if (answer_body(&s->answer, piece).code != ERR_OK) {
        fail(s, ERROR_UPSTREAM_MALFORMED);
        return;
    }
    if (s->answer.pending.len >= SESSION_TURN_MAX)
        hold_back(s, true);
    on_answer_state(s);
}

static enum error_cause cause_of_status(const struct session *s)
{
    switch (s->engine_status) {
    case 401:
        return ERROR_BAD_API_KEY;
    case 404:
    case 405:
    case 501:
        return ERROR_UNKNOWN_URL;
    case 408:
    case 504:
        return ERROR_UPSTREAM_TIMEOUT;
    case 413:
        return ERROR_TOO_LARGE;
    case 415:
        return ERROR_MEDIA_TYPE;
    case 429:
        return ERROR_RATE_LIMIT;
    case 503:
        return ERROR_OVERLOADED;
    default:
        return s->engine_status < 500 ? ERROR_INVALID_VALUE : ERROR_UPSTREAM_MALFORMED;
    }
}

static void refuse_for_engine(struct session *s)
{
    BUF_AUTO about = BUF(TARGET_MAX);
    (void)buf_add(&about, s->door->request.head.method);
    (void)buf_add_u8(&about, ' ');
    (void)buf_add(&about, s->door->request.head.path);
    enum error_cause cause = cause_of_status(s);
    bytes what = cause == ERROR_UNKNOWN_URL ? buf_view(&about) : (bytes){ 0 };
    if (cause == ERROR_UNKNOWN_URL && s->route.kind == ROUTE_RESPONSE) {
        cause = ERROR_NOT_FOUND;
        what = s->route.id;
    }
    const struct api_error error = { .cause = cause, .about = what, .retry_after_s = 1 };
    s->outcome = WORKER_ENGINE_FAILED;
    refuse_with(s, &error);
}

/* Also what becomes one: a message that the engine put elsewhere. */
static bool has_error_object(struct session *s, const struct peek_answer *seen)
{
    BUF_AUTO nested = BUF(COLLECT_MAX);
    if (seen->whole && seen->has_error && refusal_is_nested(buf_view(&s->collected)))
        return true;
    const char *type = error_type(cause_of_status(s));
    if (refusal_nest(buf_view(&s->collected), type, &nested).code != ERR_OK)
        return false;
    buf_truncate(&s->collected, 0);
    return buf_add(&s->collected, buf_view(&nested)).code == ERR_OK;
}

/* There is nothing in an answer of this status, or to this method, and no JSON to expect. */
static bool is_empty_by_right(const struct session *s)
{
    bytes method = s->door->request.head.method;
    return s->collected.len == 0 &&
           (s->engine_status == 204 || s->engine_status == 205 ||
            bytes_equal(method, BYTES_LIT("HEAD")) || bytes_equal(method, BYTES_LIT("DELETE")));
}

static void pass_collected(struct session *s)
{
    struct peek_answer seen;
    s->collecting = false;
    peek_answer(buf_view(&s->collected), &seen);
    usage_see(&s->answer.usage, &seen, false);
    if (s->engine_status >= 400 && !has_error_object(s, &seen)) {
        refuse_for_engine(s);
        return;
    }
    if (s->engine_status < 400 && !is_empty_by_right(s) && !peek_is_json(buf_view(&s->collected))) {
        fail(s, ERROR_UPSTREAM_MALFORMED);
        return;
    }
    err e = begin_answer(s, (int64_t)s->collected.len);
    if (e.code == ERR_OK)
        e = answer_add(&s->answer, buf_view(&s->collected));
    if (e.code == ERR_OK)
        e = answer_end(&s->answer);
    buf_clear(&s->collected);
    if (e.code != ERR_OK)
        fail(s, ERROR_INTERNAL);
    else
        flush_later(s);
}

static void on_engine_end(void *owner, err why)
{
    struct session *s = owner;
    s->call = NULL;
    if (s->state == LINGERING || s->answer.state >= ANSWER_COMPLETE) {
        loop_timer_stop(&s->timer);
        if (s->visit.stream == NULL)
            session_free(s);
        return;
    }
    if (why.code != ERR_OK) {
        fail(s, error_from(why, s->engine_status != 0 || why.code != ERR_UNAVAILABLE));
        return;
    }
    if (s->collecting) {
        pass_collected(s);
        return;
    }
    err e = s->state == ANSWERING ? answer_end(&s->answer)
                                  : err_raise(ERR_MALFORMED, __FILE__, __func__, __LINE__);
    if (e.code != ERR_OK || (s->answer.state == ANSWER_BROKEN))
        fail(s, e.code != ERR_OK ? ERROR_UPSTREAM_MALFORMED : ERROR_UPSTREAM_BROKEN);
    else
        flush_later(s);
}

static const struct engine_events ENGINE_EVENTS = { .head = on_engine_head,
                                                    .body = on_engine_body,
                                                    .end = on_engine_end };

/* ---- asking ---- */

/* Keys of one name belong to one caller. */
static bytes caller_of(const struct session *s)
{
    if (s->key == NULL)
        return (bytes){ 0 };
    return s->key->name[0] != 0 ? bytes_str(s->key->name) : BYTES_ARRAY(s->key->digest);
}

/* What was sent inside to say who asks, and what a gateway that keeps credentials for itself says of
 * them. */
static bytes owner_of(const struct session *s, uint8_t digest[static SHA256_LEN])
{
    struct sha256 hash;
    bytes authorization = kept_field(&s->door->request, FIELD_AUTHORIZATION);
    bytes caller = kept_field(&s->door->request, FIELD_CALLER);
    if (authorization.len + caller.len == 0)
        return (bytes){ 0 };
    sha256_init(&hash);
    sha256_add(&hash, authorization);
    sha256_add(&hash, BYTES_LIT("\n"));
    sha256_add(&hash, caller);
    sha256_end(&hash, digest);
    return bytes_of(digest, SHA256_LEN);
}

/* What we cannot read, an engine that is less strict may. */
static bool may_ask_for_background(const struct peek *p)
{
    return p->background || p->verdict < PEEK_NOT_OBJECT;
}

/* From here on it has a line in the log of usage. */
static void open_tab(struct session *s)
{
    const struct worker *w = worker_of(s);
    s->tab.route = s->route.word;
    s->tab.since_us = clock_steady_us() - (loop_now_ms(w->loop) - s->opened_ms) * 1000;
    (void)log_id_set(&s->tab.request, kept_field(&s->door->request, FIELD_REQUEST_ID));
    if (s->door->content.len > 0)
        s->tab.log = w->usage;
}

static err ask_engine(struct session *s)
{
    struct worker *w = worker_of(s);
    SECRET_BYTES(owner, SHA256_LEN);
    BUF_AUTO target = BUF(TARGET_MAX);
    struct engine_field fields[ENGINE_FIELDS_MAX];
    struct inner_trace trace;
    TRY(route_write_target(&target, s->door->request.head.path));
    inner_trace(&s->door->request, &trace);
    const struct engine_request request = {
        .method = s->door->request.head.method,
        .path = buf_view(&target),
        .fields = fields,
        .fields_n = inner_engine_fields(&s->door->request, buf_view(&w->engine_authorization),
                                        w->tokens.n == 0, &trace, fields),
        .body = buf_view(&s->door->content),
        .model = peek_model(&s->peek),
        .owner = owner_of(s, owner),
        .caller = caller_of(s),
        .counts = s->key != NULL && s->peek.stream && s->answer.settings.chat,
        .background = s->route.kind == ROUTE_RESPONSES && may_ask_for_background(&s->peek),
        .tab = &s->tab,
    };
    open_tab(s);
    s->asked = true;
    return engine_start(w->engine, &request, &ENGINE_EVENTS, s, &s->call);
}

static err prepare_answer(struct session *s)
{
    const struct worker *w = worker_of(s);
    struct air_claims id = { 0 };
    TRY(issue_cti(s->cti));
    memcpy(id.cti, s->cti, AIR_CTI_LEN);
    air_id(&id, s->receipt_id);
    bool chat = s->route.kind == ROUTE_CHAT_COMPLETIONS || s->route.kind == ROUTE_COMPLETIONS;
    if (s->door->content.len > 0)
        peek_request(buf_view(&s->door->content), &s->peek);
    const struct answer_settings settings = {
        .chat = chat,
        .include_usage = s->peek.include_usage,
        .bare = s->door->bare,
        .mends_calls =
            s->route.kind == ROUTE_CHAT_COMPLETIONS && w->settings->tool_deltas == TOOL_DELTAS_MEND,
        .padding = (enum padding_mode)w->settings->padding,
        .receipt_id = s->receipt_id,
    };
    answer_clear(&s->answer);
    answer_init(&s->answer, &settings);
    return OK;
}

static bool is_current(const struct session *s)
{
    const struct worker_settings *set = worker_of(s)->settings;
    enum inner_date date = inner_date(&s->door->request, clock_wall_s(), set->date_window);
    if (!s->door->dated || date == INNER_DATE_CURRENT)
        return true;
    return date == INNER_DATE_NONE && !set->date_required;
}

/* ERROR_CAUSES when it may go to the engine. */
static enum error_cause objection(struct session *s)
{
    const struct worker *w = worker_of(s);
    if (!is_current(s))
        return ERROR_STALE_DATE;
    bytes authorization = kept_field(&s->door->request, FIELD_AUTHORIZATION);
    if (w->tokens.n > 0)
        s->key = token_set_find(&w->tokens, token_of_authorization(authorization));
    if (w->tokens.n > 0 && s->key == NULL)
        return authorization.len > 0 ? ERROR_BAD_API_KEY : ERROR_NO_API_KEY;
    if (s->route.verdict != ROUTE_FOUND || !route_is_sealed(s->route.kind))
        return ERROR_UNKNOWN_URL;
    return ERROR_CAUSES;
}

/* A model that is to be deleted is named by the path; with what is no name it is one without. */
static bool may_delete(const struct session *s)
{
    BUF_AUTO model = BUF(ROUTE_ID_MAX);
    if (s->route.kind != ROUTE_PASS || s->route.id.len == 0)
        return true;
    (void)route_decode_id(&model, s->route.id);
    return token_allows(s->key, buf_view(&model));
}

/* The rules of its key. True when it may go on; else it is answered. */
static bool may_ask(struct session *s)
{
    if (s->key == NULL)
        return true;
    if (!may_delete(s)) {
        refuse_sealed(s, ERROR_MODEL_NOT_ALLOWED, s->route.id);
        return false;
    }
    if (s->door->content.len == 0)
        return true;
    if (!token_allows(s->key, peek_model(&s->peek))) {
        refuse_sealed(s, ERROR_MODEL_NOT_ALLOWED, peek_model(&s->peek));
        return false;
    }
    if (tab_enter(&s->tab, s->key->allowance, clock_steady_us(), &s->allowance))
        return true;
    const struct api_error error = limits_error(&s->allowance);
    s->outcome = WORKER_REFUSED;
    refuse_with(s, &error);
    return false;
}

static bytes asked_model(const struct session *s)
{
    return s->peek.model_len > 0 ? peek_model(&s->peek) : s->route.id;
}

static void ask(struct session *s)
{
    loop_timer_stop(&s->timer);
    route_find(s->door->request.head.method, s->door->request.head.path, &s->route);
    enum error_cause cause = objection(s);
    if (cause != ERROR_CAUSES) {
        refuse_sealed(s, cause, s->door->request.head.path);
        return;
    }
    s->state = ASKING;
    hash_batch_add(&worker_of(s)->contents, &s->hashing, buf_view(&s->door->content));
    err e = prepare_answer(s);
    if (e.code == ERR_OK && !may_ask(s))
        return;
    if (e.code == ERR_OK)
        e = ask_engine(s);
    if (e.code == ERR_NOT_FOUND)
        refuse_sealed(s, ERROR_MODEL_NOT_FOUND, asked_model(s));
    else if (e.code == ERR_MALFORMED) /* no engine can be told this */
        refuse_sealed(s, ERROR_BAD_REQUEST, (bytes){ 0 });
    else if (e.code != ERR_OK)
        fail(s, e.code == ERR_LIMIT ? ERROR_OVERLOADED : error_from(e, false));
}

/* ---- opening ---- */

/* Before the request acts, and only once it is known to come from someone who has our key.
 * ERROR_CAUSES when there is nothing against it. */
static enum error_cause check_replay(struct session *s)
{
    struct door *d = s->door;
    if (s->replay_checked || !d->ops->verified(d))
        return ERROR_CAUSES;
    s->replay_checked = true;
    switch (replay_check_insert(d->replay, d->ops->enc(d),
                                (int64_t)(loop_now_ms(worker_of(s)->loop) / 1000))) {
    case REPLAY_FRESH:
        return ERROR_CAUSES;
    case REPLAY_SEEN:
        return ERROR_REPLAYED;
    case REPLAY_FULL:
        break;
    }
    return ERROR_OVERLOADED;
}

static enum error_cause cause_of_reading(err e)
{
    if (e.code == ERR_LIMIT)
        return ERROR_TOO_LARGE;
    return e.code == ERR_UNAVAILABLE ? ERROR_OVERLOADED : ERROR_BAD_REQUEST;
}

static void open_more(struct session *s, bytes in, bool end)
{
    struct door *d = s->door;
    bool whole = false;
    err e = d->ops->open(d, in, end);
    if (e.code != ERR_OK) {
        refuse_unopened(s, e);
        return;
    }
    enum error_cause replay = check_replay(s);
    if (replay != ERROR_CAUSES) {
        refuse_sealed(s, replay, (bytes){ 0 });
        return;
    }
    e = d->ops->read(d, &whole);
    if (e.code != ERR_OK)
        refuse_sealed(s, cause_of_reading(e), (bytes){ 0 });
    else if (whole)
        ask(s);
}

static void on_data(struct visit *v, bytes in)
{
    struct session *s = session_of(v);
    link_stream_consume(v->stream, in.len);
    if (s->state == OPENING)
        open_more(s, in, false);
}

static void on_end(struct visit *v)
{
    struct session *s = session_of(v);
    if (s->state == OPENING)
        open_more(s, (bytes){ 0 }, true);
}

static void on_writable(struct visit *v)
{
    flush_later(session_of(v));
}

static void on_closed(struct visit *v, enum link_close why)
{
    struct session *s = session_of(v);
    if (why != LINK_DONE && s->state != LINGERING) {
        s->outcome = WORKER_CLIENT_GONE;
        engine_cancel(s->call);
        s->call = NULL;
    }
    leave(s);
}

static const struct visit_ops OPS = {
    .data = on_data, .end = on_end, .writable = on_writable, .closed = on_closed
};

static void on_too_slow(struct loop_timer *t)
{
    struct session *s = CONTAINER_OF(t, struct session, timer);
    s->outcome = WORKER_REFUSED;
    s->state = LINGERING;
    if (worker_refuse(s->visit.stream, 408, "about:blank", "the request did not arrive in time")
            .code != ERR_OK)
        drop_stream(s, LINK_INTERNAL);
}

err session_start(struct worker *w, struct link_stream *stream, enum door_kind kind,
                  const struct link_request *req)
{
    struct session *s;
    TRY(mem_new(&s));
    s->visit = (struct visit){ .ops = &OPS, .worker = w, .stream = stream };
    s->collected = BUF(COLLECT_MAX);
    s->opened_ms = loop_now_ms(w->loop);
    keys_tend(w->keys);
    err e = door_new(&s->door, w, kind, req);
    if (e.code != ERR_OK) {
        mem_free(s);
        return e;
    }
    link_stream_set_owner(stream, &s->visit);
    loop_timer_start(w->loop, &s->timer, w->settings->request_timeout, on_too_slow);
    w->sessions_n++;
    w->streams_n++;
    metrics_gauge_add(w->metrics.block, w->metrics.in_flight, 0, 0, 1);
    return OK;
}
