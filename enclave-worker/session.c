/*
 * What may be said in the clear, and to whom. Until a chunk has opened, whoever sends is a stranger
 * and gets one outer answer for all causes (422 only for a key that is not ours; each door says how
 * it knows). From then on every answer is sealed, the refusals too.
 *
 * An answer that breaks off gets no final chunk, or no receipt at a door without one: the client's side
 * cannot take it for complete. The HTTP/2 stream itself is ended, not reset, so that the error event
 * in front is sure to arrive.
 */
#include "enclave-worker/session.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/secret.h"
#include "enclave-worker/session_private.h"
#include "wire/names.h"

static struct session *session_of(struct visit *v)
{
    return CONTAINER_OF(v, struct session, visit);
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
    struct worker *w = session_worker(s);
    uint64_t ms = loop_now_ms(w->loop) - s->opened_ms;
    struct log_id id = { 0 };
    (void)log_id_set(&id, kept_field(&s->door->request, FIELD_REQUEST_ID));
    metrics_add(w->metrics.block, w->metrics.sessions, s->outcome, 0, 1);
    metrics_observe_us(w->metrics.block, w->metrics.duration, 0, 0, ms * 1000);
    LOG_INFO(w->log, "session settled", F_WORD_OF("outcome", OUTCOMES[s->outcome]),
             F_ID("request", &id), F_U64("ms", ms), F_U64("status", s->engine_status),
             F_U64("request_bytes", s->door->content.len), F_U64("sealed_bytes", s->door->sent));
}

void session_free(struct session *s)
{
    struct worker *w = session_worker(s);
    settle(s);
    use_up(s);
    loop_timer_stop(&s->timer);
    loop_timer_stop(&s->unread);
    loop_defer_cancel(&s->flush);
    pool_question_forget(&s->question);
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
    session_worker(s)->streams_n--;
    loop_timer_stop(&s->unread);
    loop_defer_cancel(&s->flush);
    if (s->call == NULL || s->state != SESSION_LINGERING)
        session_free(s);
}

static void drop_stream(struct session *s, enum link_code code)
{
    link_stream_reset(s->visit.stream, code);
    leave(s);
}

/* ---- answers that are not read ---- */

/* But for an offset that stays the same. */
static uint64_t delivered(const struct session *s)
{
    return s->door->sent - link_stream_queued(s->visit.stream);
}

static void on_unread(struct loop_timer *t)
{
    struct session *s = CONTAINER_OF(t, struct session, unread);
    uint64_t now = delivered(s);
    bool stuck = link_stream_queued(s->visit.stream) > 0 && now == s->delivered;
    s->delivered = now;
    if (!stuck) {
        loop_timer_start(session_worker(s)->loop, t, session_worker(s)->settings->stall_timeout,
                         on_unread);
        return;
    }
    if (s->state != SESSION_LINGERING)
        s->outcome = WORKER_CLIENT_GONE;
    engine_cancel(s->call);
    s->call = NULL;
    drop_stream(s, LINK_CANCEL);
}

static void watch_reader(struct session *s)
{
    if (loop_timer_active(&s->unread))
        return;
    s->delivered = delivered(s);
    loop_timer_start(session_worker(s)->loop, &s->unread,
                     session_worker(s)->settings->stall_timeout, on_unread);
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
    struct worker *w = session_worker(s);
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
    s->state = SESSION_LINGERING;
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
        TRY(send(s, buf_view(&plain), DOOR_CUT));
        s->outcome = WORKER_ENGINE_FAILED;
        s->state = SESSION_LINGERING;
        return OK;
    }
    return send(s, buf_view(&plain), DOOR_GOES_ON);
}

static bool is_congested(const struct session *s)
{
    return link_stream_queued(s->visit.stream) >= SESSION_QUEUE_HIGH;
}

void session_hold_back(struct session *s, bool hold)
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

static enum error_cause cause_of_holding(err why)
{
    if (why.code == ERR_LIMIT)
        return ERROR_UPSTREAM_MALFORMED;
    if (why.code == ERR_CLOSED)
        return ERROR_UPSTREAM_BROKEN;
    return why.code == ERR_UNAVAILABLE ? ERROR_OVERLOADED : ERROR_CAUSES;
}

/* An answer that is held until it is complete, and breaks off or is too large for that, is an error
 * instead. */
static void cannot_flush(struct session *s, err why)
{
    enum error_cause cause = cause_of_holding(why);
    if (cause != ERROR_CAUSES && !s->door->responded && s->outcome != WORKER_ENGINE_FAILED) {
        use_up(s); /* what the engine said by then was said */
        session_fail(s, cause);
        return;
    }
    s->outcome = WORKER_ENGINE_FAILED;
    drop_stream(s, LINK_INTERNAL);
}

static void on_flush(struct loop_task *t)
{
    struct session *s = CONTAINER_OF(t, struct session, flush);
    bool ended = s->answer.state == ANSWER_COMPLETE || s->answer.state == ANSWER_BROKEN;
    while (s->state != SESSION_LINGERING && !is_congested(s) &&
           (answer_has_output(&s->answer) || ended)) {
        err e = flush_once(s);
        if (e.code != ERR_OK) {
            cannot_flush(s, e);
            return;
        }
    }
    watch_reader(s);
    if (s->state == SESSION_LINGERING) {
        use_up(s);
        linger(s);
    } else {
        session_hold_back(s, is_congested(s));
    }
}

void session_flush_later(struct session *s)
{
    if (s->visit.stream != NULL && s->state != SESSION_LINGERING)
        loop_defer(session_worker(s)->loop, &s->flush, on_flush);
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
    session_hold_back(s, false);
    loop_timer_start(session_worker(s)->loop, &s->timer, SESSION_LINGER_MS, on_linger_over);
}

/* ---- refusals and failures ---- */

size_t session_add_limits(const struct session *s, struct limits *limits,
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
    n = session_add_limits(s, &limits, fields, n);
    TRY(error_write_body(&body, error));

    const struct answer_settings settings = {
        .bare = s->door->bare, .padding = (enum padding_mode)session_worker(s)->settings->padding
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
    pool_question_forget(&s->question);
}

void session_refuse_with(struct session *s, const struct api_error *error)
{
    stop_asking(s);
    s->state = SESSION_ANSWERING;
    if (answer_with_error(s, error).code == ERR_OK)
        session_flush_later(s);
    else
        drop_stream(s, LINK_INTERNAL);
}

void session_refuse(struct session *s, enum error_cause cause, bytes about)
{
    const struct api_error error = { .cause = cause, .about = about, .retry_after_s = 1 };
    s->outcome = WORKER_REFUSED;
    session_refuse_with(s, &error);
}

void session_fail(struct session *s, enum error_cause cause)
{
    const struct api_error error = { .cause = cause, .retry_after_s = 1 };
    s->outcome = WORKER_ENGINE_FAILED;
    if (!s->door->responded) {
        session_refuse_with(s, &error);
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
    session_flush_later(s);
}

void session_refuse_in_clear(struct session *s, const struct door_refusal *r)
{
    s->outcome = WORKER_REFUSED;
    s->door->responded = true;
    s->state = SESSION_LINGERING;
    loop_timer_stop(&s->timer);
    pool_question_forget(&s->question);
    if (worker_refuse(s->visit.stream, r->status, r->type, r->title).code != ERR_OK)
        drop_stream(s, LINK_INTERNAL);
    else
        watch_reader(s);
}

void session_refuse_unopened(struct session *s, enum err_code why)
{
    const struct door_refusal r = s->door->ops->refusal(s->door, (err){ why });
    session_refuse_in_clear(s, &r);
}

/* ---- opening ---- */

/* However long it takes until the client has read that: nothing is held for it. */
static void refuse_opening(struct session *s, enum error_cause cause)
{
    door_let_go(s->door);
    session_refuse(s, cause, (bytes){ 0 });
}

/* ERROR_CAUSES when it was not seen before. */
static enum error_cause check_replay(const struct session *s)
{
    const struct door *d = s->door;
    if (d->pool != NULL)
        return ERROR_CAUSES;
    switch (replay_check_insert(d->replay, d->ops->enc(d),
                                (int64_t)(loop_now_ms(session_worker(s)->loop) / 1000))) {
    case REPLAY_FRESH:
        return ERROR_CAUSES;
    case REPLAY_SEEN:
        return ERROR_REPLAYED;
    case REPLAY_FULL:
        break;
    }
    return ERROR_OVERLOADED;
}

/* Before the request acts, and once its head has come from someone who has our key. Only what may be
 * asked at all is remembered: nobody without a token fills the memory of those who have one. False
 * when it is answered. */
static bool judge(struct session *s)
{
    const struct door *d = s->door;
    if (s->judged || !d->ops->verified(d) || d->request.arena == NULL)
        return true;
    s->judged = true;
    enum error_cause cause = session_find_key(s);
    if (cause == ERROR_CAUSES)
        cause = check_replay(s);
    if (cause == ERROR_CAUSES)
        return d->pool == NULL || session_check_pool(s);
    refuse_opening(s, cause);
    return false;
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
        door_let_go(d);
        session_refuse_unopened(s, e.code);
        return;
    }
    e = d->ops->read(d, &whole);
    if (e.code != ERR_OK)
        refuse_opening(s, cause_of_reading(e));
    else if (!judge(s))
        return;
    else if (whole && s->question.member != NULL)
        s->state = SESSION_CHECKING;
    else if (whole)
        session_ask(s);
}

static void on_data(struct visit *v, bytes in)
{
    struct session *s = session_of(v);
    link_stream_consume(v->stream, in.len);
    if (s->state == SESSION_OPENING)
        open_more(s, in, false);
}

static void on_end(struct visit *v)
{
    struct session *s = session_of(v);
    if (s->state == SESSION_OPENING)
        open_more(s, (bytes){ 0 }, true);
}

static void on_writable(struct visit *v)
{
    session_flush_later(session_of(v));
}

static void on_closed(struct visit *v, enum link_close why)
{
    struct session *s = session_of(v);
    if (why != LINK_DONE && s->state != SESSION_LINGERING) {
        s->outcome = WORKER_CLIENT_GONE;
        engine_cancel(s->call);
        s->call = NULL;
    }
    leave(s);
}

static const struct visit_ops OPS = {
    .data = on_data, .end = on_end, .writable = on_writable, .closed = on_closed
};

static const struct door_refusal TOO_SLOW = { 408, "about:blank",
                                              "the request did not arrive in time" };

static void on_too_slow(struct loop_timer *t)
{
    struct session *s = CONTAINER_OF(t, struct session, timer);
    session_refuse_in_clear(s, &TOO_SLOW);
}

err session_start(struct worker *w, struct link_stream *stream, enum door_kind kind,
                  const struct link_request *req)
{
    struct session *s;
    TRY(mem_new(&s));
    s->visit = (struct visit){ .ops = &OPS, .worker = w, .stream = stream };
    s->collected = BUF(SESSION_COLLECT_MAX);
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
