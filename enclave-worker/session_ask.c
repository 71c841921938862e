#include "base/clock.h"
#include "base/text.h"
#include "crypto/secret.h"
#include "enclave-worker/inner.h"
#include "enclave-worker/session_private.h"
#include "wire/names.h"

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
    const struct worker *w = session_worker(s);
    s->tab.route = s->route.word;
    s->tab.since_us = clock_steady_us() - (loop_now_ms(w->loop) - s->opened_ms) * 1000;
    (void)log_id_set(&s->tab.request, kept_field(&s->door->request, FIELD_REQUEST_ID));
    if (s->door->content.len > 0)
        s->tab.log = w->usage;
}

static err ask_engine(struct session *s)
{
    struct worker *w = session_worker(s);
    SECRET_BYTES(owner, SHA256_LEN);
    BUF_AUTO target = BUF(SESSION_TARGET_MAX);
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
    return engine_start(w->engine, &request, &session_engine_events, s, &s->call);
}

static err prepare_answer(struct session *s)
{
    const struct worker *w = session_worker(s);
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
    const struct worker_settings *set = session_worker(s)->settings;
    enum inner_date date = inner_date(&s->door->request, clock_wall_s(), set->date_window);
    if (!s->door->dated || date == INNER_DATE_CURRENT)
        return true;
    return date == INNER_DATE_NONE && !set->date_required;
}

enum error_cause session_find_key(struct session *s)
{
    const struct worker *w = session_worker(s);
    bytes authorization = kept_field(&s->door->request, FIELD_AUTHORIZATION);
    if (w->tokens.n == 0)
        return ERROR_CAUSES;
    s->key = token_set_find(&w->tokens, token_of_authorization(authorization));
    if (s->key != NULL)
        return ERROR_CAUSES;
    return authorization.len > 0 ? ERROR_BAD_API_KEY : ERROR_NO_API_KEY;
}

/* ERROR_CAUSES when it may go to the engine. */
static enum error_cause objection(const struct session *s)
{
    if (!is_current(s))
        return ERROR_STALE_DATE;
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
        session_refuse(s, ERROR_MODEL_NOT_ALLOWED, s->route.id);
        return false;
    }
    if (s->door->content.len == 0)
        return true;
    if (!token_allows(s->key, peek_model(&s->peek))) {
        session_refuse(s, ERROR_MODEL_NOT_ALLOWED, peek_model(&s->peek));
        return false;
    }
    if (tab_enter(&s->tab, s->key->allowance, clock_steady_us(), &s->allowance))
        return true;
    const struct api_error error = limits_error(&s->allowance);
    s->outcome = WORKER_REFUSED;
    session_refuse_with(s, &error);
    return false;
}

static bytes asked_model(const struct session *s)
{
    return s->peek.model_len > 0 ? peek_model(&s->peek) : s->route.id;
}

void session_ask(struct session *s)
{
    loop_timer_stop(&s->timer);
    route_find(s->door->request.head.method, s->door->request.head.path, &s->route);
    enum error_cause cause = objection(s);
    if (cause != ERROR_CAUSES) {
        session_refuse(s, cause, s->door->request.head.path);
        return;
    }
    s->state = SESSION_ASKING;
    hash_batch_add(&session_worker(s)->contents, &s->hashing, buf_view(&s->door->content));
    err e = prepare_answer(s);
    if (e.code == ERR_OK && !may_ask(s))
        return;
    if (e.code == ERR_OK)
        e = ask_engine(s);
    if (e.code == ERR_NOT_FOUND)
        session_refuse(s, ERROR_MODEL_NOT_FOUND, asked_model(s));
    else if (e.code == ERR_MALFORMED) /* no engine can be told this */
        session_refuse(s, ERROR_BAD_REQUEST, (bytes){ 0 });
    else if (e.code != ERR_OK)
        session_fail(s, e.code == ERR_LIMIT ? ERROR_OVERLOADED : error_from(e, false));
}
