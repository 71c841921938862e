#include "gateway/relay_pass.h"

#include "base/attr.h"
#include "base/json.h"
#include "wire/names.h"

/* ---- answers of our own ---- */

static void break_off(struct relay_pass *p)
{
    p->end = RELAY_BROKEN;
    p->answered = true;
    p->client->abort(p);
}

void relay_pass_answer(struct relay_pass *p, unsigned status, const char *media,
                       const struct link_field *more, size_t n, bytes body)
{
    struct link_field fields[RELAY_FIELDS_MAX] = {
        { BYTES_LIT(FIELD_CONTENT_TYPE), bytes_str(media) },
        { BYTES_LIT(FIELD_CACHE_CONTROL), BYTES_LIT(CACHE_CONTROL_NO_STORE) },
    };
    size_t k = 2;
    for (size_t i = 0; i < n && k < RELAY_FIELDS_MAX; i++)
        fields[k++] = more[i];
    p->status = status;
    p->answered = true;
    p->out += body.len;
    err e = p->client->respond(p, status, fields, k);
    if (e.code == ERR_OK)
        e = p->client->write(p, body, true);
    if (e.code != ERR_OK)
        break_off(p);
}

void relay_pass_problem(struct relay_pass *p, unsigned status, const char *title)
{
    const struct link_field retry = { BYTES_LIT(FIELD_RETRY_AFTER), BYTES_LIT("1") };
    BUF_AUTO body = BUF(1024);
    struct json_out j = JSON_OUT(&body);
    json_begin_object(&j, NULL);
    json_put_str(&j, "type", "about:blank");
    json_put_str(&j, "title", title);
    json_put_u64(&j, "status", status);
    json_close(&j);
    if (json_end(&j).code == ERR_OK)
        relay_pass_answer(p, status, MEDIA_PROBLEM_JSON, &retry, status == 503, buf_view(&body));
    else
        break_off(p);
}

static void give_up_worker(struct relay_pass *p)
{
    if (p->up.stream != NULL)
        link_stream_reset(p->up.stream, LINK_CANCEL);
    p->up.stream = NULL;
}

/* Nothing can be passed on any more. */
static void fail(struct relay_pass *p, unsigned status, const char *title)
{
    give_up_worker(p);
    buf_clear(&p->early);
    if (p->answered)
        return;
    if (p->status == 0)
        relay_pass_problem(p, status, title);
    else
        break_off(p);
}

static void moved(struct relay_pass *p)
{
    p->moved_ms = loop_now_ms(p->host->loop);
}

static void on_idle(struct loop_timer *t)
{
    struct relay_pass *p = CONTAINER_OF(t, struct relay_pass, timer);
    uint64_t due = p->moved_ms + p->host->idle_ms;
    uint64_t now = loop_now_ms(p->host->loop);
    if (now < due)
        loop_timer_start(p->host->loop, t, due - now, on_idle);
    else if (p->answered)
        break_off(p);
    else
        fail(p, 504, "the worker took too long");
}

/* ---- to the worker ---- */

static const struct relay_up_ops UP_OPS;

static void allow_more(struct relay_pass *p);

static err keep(struct relay_pass *p, bytes part, bytes *kept)
{
    size_t at = p->head.len;
    TRY(buf_add(&p->head, part));
    *kept = bytes_of(p->head.at + at, part.len);
    return OK;
}

static size_t length_of(const struct link_request *request)
{
    size_t n = request->method.len + request->path.len;
    for (size_t i = 0; i < request->fields_n; i++)
        n += request->fields[i].name.len + request->fields[i].value.len;
    return n;
}

static bool crosses(const struct relay_pass *p, bytes name)
{
    if (bytes_equal(name, BYTES_LIT(FIELD_WORKER)))
        return false;
    if (p->host->takes_tokens && bytes_equal(name, BYTES_LIT(FIELD_AUTHORIZATION)))
        return false;
    return relay_route_asks(p->kind, name);
}

/* The room is reserved at once, so that what is kept stays in its place. */
static err keep_head(struct relay_pass *p, const struct link_request *request)
{
    uint8_t *room;
    size_t n = 0;
    p->head = BUF(RELAY_HEAD_MAX);
    TRY(buf_reserve(&p->head, length_of(request), &room));
    TRY(keep(p, request->method, &p->request.method));
    TRY(keep(p, request->path, &p->request.path));
    for (size_t i = 0; i < request->fields_n && n < RELAY_FIELDS_MAX; i++) {
        if (!crosses(p, request->fields[i].name))
            continue;
        TRY(keep(p, request->fields[i].name, &p->fields[n].name));
        TRY(keep(p, request->fields[i].value, &p->fields[n].value));
        n++;
    }
    p->request.fields = p->fields;
    p->request.fields_n = n;
    p->request.end = request->end;
    return OK;
}

static bytes hint_of(const struct relay_pass *p)
{
    return link_field(p->fields, p->request.fields_n, FIELD_OHTTP_KEY);
}

static void ask_worker(struct relay_pass *p)
{
    const struct relay_want want = { .tag = p->tag,
                                     .hint = hint_of(p),
                                     .key_id = p->key_id,
                                     .sticky = p->kind != RELAY_SEALED,
                                     .near = p->near,
                                     .avoid = p->tried };
    /* A second worker is asked when the first has heard all. */
    p->request.end = p->body_ended && p->early.len == 0;
    p->seat = relay_workers_choose(p->host->workers, &want);
    p->up.ops = &UP_OPS;
    if (p->seat == SIZE_MAX ||
        relay_workers_ask(p->host->workers, p->seat, &p->request, &p->up).code != ERR_OK)
        fail(p, 503, "no worker can be reached");
    else
        p->tried |= (uint64_t)1 << p->seat;
}

static void on_turn_over(struct loop_task *t)
{
    struct relay_pass *p = CONTAINER_OF(t, struct relay_pass, turn);
    if (p->answered)
        return;
    p->asked = true;
    ask_worker(p);
    if (p->early.len > 0 && p->up.stream != NULL &&
        link_stream_take(p->up.stream, &p->early, p->body_ended).code != ERR_OK)
        fail(p, 503, "out of memory");
    allow_more(p);
}

/* Behind all that was received in this turn: whoever takes requests back at once, thousands of them,
 * costs the worker's connection nothing. key_id: -1 when there is no need to look for it. */
static void ask_soon(struct relay_pass *p, int key_id)
{
    p->key_id = key_id;
    p->chosen = true;
    loop_defer(p->host->loop, &p->turn, on_turn_over);
}

void relay_pass_start(struct relay_pass *p, const struct link_request *request)
{
    moved(p);
    loop_timer_start(p->host->loop, &p->timer, p->host->idle_ms, on_idle);
    p->body_ended = request->end;
    p->key_id = -1;
    p->early = BUF(LINK_QUEUE_MAX);
    if (keep_head(p, request).code != ERR_OK)
        fail(p, 503, "out of memory, or the request's head is too large");
    else if (p->kind != RELAY_SEALED || hint_of(p).len > 0 || request->end)
        ask_soon(p, -1);
}

/* The client may send more once the worker's queue has room. */
static void allow_more(struct relay_pass *p)
{
    size_t n = p->owed_down;
    if (n == 0 || p->early.len > 0 ||
        (p->up.stream != NULL && link_stream_queued(p->up.stream) > RELAY_HELD_MAX))
        return;
    p->owed_down = 0;
    p->client->taken(p, n);
}

static err pass_body(struct relay_pass *p, bytes piece)
{
    if (p->up.stream != NULL)
        return link_stream_write(p->up.stream, piece, false);
    return p->asked || p->answered ? OK : buf_add(&p->early, piece);
}

void relay_pass_body(struct relay_pass *p, bytes piece)
{
    moved(p);
    p->in += piece.len;
    p->owed_down += piece.len;
    if (p->in > p->host->body_max && !p->answered)
        fail(p, 413, "the request is too large");
    if (!p->chosen && !p->answered && piece.len > 0)
        ask_soon(p, piece.at[0]);
    if (pass_body(p, piece).code != ERR_OK)
        fail(p, 503, "out of memory");
    allow_more(p);
}

void relay_pass_body_end(struct relay_pass *p)
{
    if (p->body_ended)
        return;
    p->body_ended = true;
    if (!p->chosen && !p->answered)
        ask_soon(p, -1);
    else if (p->up.stream != NULL &&
             link_stream_write(p->up.stream, (bytes){ 0 }, true).code != ERR_OK)
        fail(p, 503, "out of memory");
}

/* ---- from the worker ---- */

static struct relay_pass *pass_of(struct relay_up *u)
{
    return CONTAINER_OF(u, struct relay_pass, up);
}

static void pay_worker(struct relay_pass *p)
{
    if (p->owed_up == 0 || p->client->queued(p) > RELAY_HELD_MAX)
        return;
    if (p->up.stream != NULL)
        link_stream_consume(p->up.stream, p->owed_up);
    p->owed_up = 0;
}

/* Another worker may know the document. */
static bool asks_another(struct relay_pass *p, unsigned status)
{
    const struct relay_want want = { .key_id = -1, .avoid = p->tried };
    if (p->kind != RELAY_EVIDENCE || status != 404 ||
        relay_workers_choose(p->host->workers, &want) == SIZE_MAX)
        return false;
    give_up_worker(p);
    p->tag = want.tag;
    ask_worker(p);
    return true;
}

static void on_head(struct relay_up *u, unsigned status, const struct link_field *fields, size_t n)
{
    struct relay_pass *p = pass_of(u);
    struct link_field passed[RELAY_FIELDS_MAX];
    size_t k = 0;
    moved(p);
    if (asks_another(p, status))
        return;
    for (size_t i = 0; i < n && k < RELAY_FIELDS_MAX; i++) {
        if (relay_route_answers(p->kind, fields[i].name))
            passed[k++] = fields[i];
    }
    p->status = status;
    if (p->client->respond(p, status, passed, k).code != ERR_OK)
        fail(p, 502, "");
}

static void on_data(struct relay_up *u, bytes in)
{
    struct relay_pass *p = pass_of(u);
    moved(p);
    p->out += in.len;
    p->owed_up += in.len;
    if (p->client->write(p, in, false).code != ERR_OK)
        fail(p, 502, "");
    else
        pay_worker(p);
}

static void on_end(struct relay_up *u)
{
    struct relay_pass *p = pass_of(u);
    p->answered = true;
    if (p->client->write(p, (bytes){ 0 }, true).code != ERR_OK)
        break_off(p);
}

static void on_up_writable(struct relay_up *u)
{
    moved(pass_of(u));
    allow_more(pass_of(u));
}

static void on_up_closed(struct relay_up *u, enum link_close why)
{
    struct relay_pass *p = pass_of(u);
    if (why == LINK_REFUSED)
        fail(p, 503, "the worker took no more requests");
    else
        fail(p, 502, "the connection to the worker broke");
    allow_more(p);
}

static const struct relay_up_ops UP_OPS = { .head = on_head,
                                            .data = on_data,
                                            .end = on_end,
                                            .writable = on_up_writable,
                                            .closed = on_up_closed };

void relay_pass_writable(struct relay_pass *p)
{
    moved(p);
    pay_worker(p);
}

void relay_pass_gone(struct relay_pass *p, bool complete)
{
    give_up_worker(p);
    loop_defer_cancel(&p->turn);
    loop_timer_stop(&p->timer);
    if (p->end == RELAY_UNDER_WAY)
        p->end = complete ? RELAY_COMPLETE : RELAY_LEFT;
    p->host->settled(p->host->owner, p);
    buf_clear(&p->head);
    buf_clear(&p->early);
    p->client->free(p);
}
