#include "api/error.h"
#include "base/text.h"
#include "enclave-worker/refusal.h"
#include "enclave-worker/session_private.h"
#include "wire/names.h"

static void on_answer_state(struct session *s)
{
    if (s->answer.state == ANSWER_BROKEN && !s->door->responded && !answer_has_output(&s->answer))
        session_fail(s, ERROR_UPSTREAM_MALFORMED);
    else
        session_flush_later(s);
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
    size_t n = session_add_limits(s, &limits, fields, 0);
    for (size_t i = 0; i < s->engine_head.head.fields_n && n < ENGINE_FIELDS_MAX; i++) {
        const struct bhttp_field *f = &s->engine_head.head.fields[i];
        /* An engine's own limits are its with us, not the caller's. */
        if (limits.n == 0 || !bytes_starts(f->name, BYTES_LIT("x-ratelimit-")))
            fields[n++] = field_to_pass(s, f);
    }
    s->state = SESSION_ANSWERING;
    s->has_receipt = true;
    return answer_head(&s->answer, s->engine_status, fields, n, content_length);
}

/* Answers that are not streams are looked at whole, if they are not too big for that: errors must
 * have the form that SDKs read, and half a JSON must not pass for an answer. */
static void on_engine_head(void *owner, unsigned status, const struct engine_field *fields,
                           size_t n, int64_t content_length)
{
    struct session *s = owner;
    struct worker *w = session_worker(s);
    metrics_observe_us(w->metrics.block, w->metrics.first_byte, 0, 0,
                       (loop_now_ms(w->loop) - s->opened_ms) * 1000);
    s->engine_status = status;
    if (answer_keep_head(&s->engine_head, status, fields, n).code != ERR_OK) {
        session_fail(s, ERROR_INTERNAL);
        return;
    }
    if (status >= 300 && status < 400) {
        /* Wherever an engine wants its askers to go, clients cannot and must not follow. */
        session_fail(s, ERROR_UPSTREAM_MALFORMED);
        return;
    }
    s->collecting = status >= 400 || (is_known_api(s) && !has_media(s, MEDIA_SSE) &&
                                      content_length <= SESSION_COLLECT_MAX);
    if (s->collecting)
        return;
    if (begin_answer(s, content_length).code != ERR_OK)
        session_fail(s, ERROR_UPSTREAM_MALFORMED);
    else
        session_flush_later(s);
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
        session_fail(s, ERROR_UPSTREAM_MALFORMED);
}

static void on_engine_body(void *owner, bytes piece)
{
    struct session *s = owner;
    if (s->state == SESSION_LINGERING)
        return;
    if (s->collecting && s->collected.len + piece.len > SESSION_COLLECT_MAX) {
        if (s->engine_status >= 400) {
            session_fail(s, ERROR_UPSTREAM_MALFORMED);
            return;
        }
        stop_collecting(s);
    }
    if (s->collecting) {
        if (buf_add(&s->collected, piece).code != ERR_OK)
            session_fail(s, ERROR_INTERNAL);
        return;
    }
    if (s->state != SESSION_ANSWERING)
        return;
    if (answer_body(&s->answer, piece).code != ERR_OK) {
        session_fail(s, ERROR_UPSTREAM_MALFORMED);
        return;
    }
    if (s->answer.pending.len >= SESSION_TURN_MAX)
        session_hold_back(s, true);
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
    BUF_AUTO about = BUF(SESSION_TARGET_MAX);
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
    session_refuse_with(s, &error);
}

/* Also what becomes one: a message that the engine put elsewhere. */
static bool has_error_object(struct session *s, const struct peek_answer *seen)
{
    BUF_AUTO nested = BUF(SESSION_COLLECT_MAX);
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
        session_fail(s, ERROR_UPSTREAM_MALFORMED);
        return;
    }
    err e = begin_answer(s, (int64_t)s->collected.len);
    if (e.code == ERR_OK)
        e = answer_add(&s->answer, buf_view(&s->collected));
    if (e.code == ERR_OK)
        e = answer_end(&s->answer);
    buf_clear(&s->collected);
    if (e.code != ERR_OK)
        session_fail(s, ERROR_INTERNAL);
    else
        session_flush_later(s);
}

static void on_engine_end(void *owner, err why)
{
    struct session *s = owner;
    s->call = NULL;
    if (s->state == SESSION_LINGERING || s->answer.state >= ANSWER_COMPLETE) {
        loop_timer_stop(&s->timer);
        if (s->visit.stream == NULL)
            session_free(s);
        return;
    }
    if (why.code != ERR_OK) {
        session_fail(s, error_from(why, s->engine_status != 0 || why.code != ERR_UNAVAILABLE));
        return;
    }
    if (s->collecting) {
        pass_collected(s);
        return;
    }
    err e = s->state == SESSION_ANSWERING ? answer_end(&s->answer)
                                          : err_raise(ERR_MALFORMED, __FILE__, __func__, __LINE__);
    if (e.code != ERR_OK || (s->answer.state == ANSWER_BROKEN))
        session_fail(s, e.code != ERR_OK ? ERROR_UPSTREAM_MALFORMED : ERROR_UPSTREAM_BROKEN);
    else
        session_flush_later(s);
}

const struct engine_events session_engine_events = { .head = on_engine_head,
                                                     .body = on_engine_body,
                                                     .end = on_engine_end };
