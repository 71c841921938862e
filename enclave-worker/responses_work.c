#include "enclave-worker/responses_work.h"

#include "base/clock.h"
#include "base/text.h"
#include "enclave-worker/answer.h"
#include "wire/names.h"

static void on_told(struct loop_task *t)
{
    struct responses_work *w = CONTAINER_OF(t, struct responses_work, told);
    w->changed(w->owner, w);
}

void work_tell(struct responses_work *w)
{
    loop_defer(w->loop, &w->told, on_told);
}

static void move(struct responses_work *w, enum work_state state)
{
    w->state = state;
    work_tell(w);
}

static void give_up(struct responses_work *w, err why)
{
    w->why = why;
    move(w, WORK_BROKEN);
}

/* Behind whatever the reply was told. */
static void note(struct responses_work *w, err e)
{
    if (e.code != ERR_OK)
        give_up(w, e);
    else if (w->reply.ended)
        move(w, WORK_OVER);
    else
        work_tell(w);
}

/* ---- the engine ---- */

static bool is_stream(const struct responses_work *w)
{
    bytes type = kept_field(&w->head, FIELD_CONTENT_TYPE);
    return text_equal_nocase(bytes_slice(type, 0, sizeof MEDIA_SSE - 1), BYTES_LIT(MEDIA_SSE));
}

static void on_head(void *owner, unsigned status, const struct engine_field *fields, size_t n,
                    int64_t content_length)
{
    struct responses_work *w = owner;
    (void)content_length;
    w->status = status;
    err e = answer_keep_head(&w->head, status, fields, n);
    if (e.code != ERR_OK) {
        give_up(w, e);
        return;
    }
    if (status < 200 || status >= 300) {
        w->body.max = WORK_REFUSAL_MAX;
        w->refused = true;
        return;
    }
    w->whole = !is_stream(w);
    w->state = WORK_RUNNING;
    note(w,
         w->ask.background ? responses_reply_begin(&w->reply) : responses_reply_start(&w->reply));
}

static void on_body(void *owner, bytes piece)
{
    struct responses_work *w = owner;
    if (w->state == WORK_OVER || w->state == WORK_BROKEN)
        return;
    if (w->state != WORK_RUNNING || w->whole || w->refused) {
        err e = buf_add(&w->body, piece);
        if (e.code != ERR_OK)
            give_up(w, e);
        return;
    }
    w->chat.now = clock_wall_s();
    note(w, responses_chat_put(&w->chat, piece));
}

static void on_end(void *owner, err why)
{
    struct responses_work *w = owner;
    w->call = NULL;
    if (w->state == WORK_OVER || w->state == WORK_BROKEN)
        return;
    w->chat.now = clock_wall_s();
    if (w->state == WORK_ASKED) {
        w->why = why;
        move(w, why.code == ERR_OK && w->status != 0 ? WORK_REFUSED : WORK_BROKEN);
    } else if (why.code != ERR_OK && !w->ask.stream && !w->ask.background) {
        give_up(w, why);
    } else if (why.code != ERR_OK) {
        note(w, responses_chat_break(&w->chat, error_from(why, true)));
    } else if (w->refused) {
        note(w, responses_chat_refused(&w->chat, buf_view(&w->body)));
    } else if (w->whole) {
        note(w, responses_chat_whole(&w->chat, buf_view(&w->body)));
    } else {
        note(w, responses_chat_end(&w->chat));
    }
}

static const struct engine_events EVENTS = { .head = on_head, .body = on_body, .end = on_end };

/* ---- the owner ---- */

err work_start(struct responses_work *w, const struct work_settings *settings,
               struct responses_ask *ask, struct buf *request, work_changed_fn *changed,
               void *owner)
{
    *w = (struct responses_work){ .loop = settings->loop,
                                  .changed = changed,
                                  .owner = owner,
                                  .body = BUF(WORK_BODY_MAX),
                                  .ask = *ask,
                                  .request = *request };
    *ask = (struct responses_ask){ 0 };
    *request = BUF(request->max);
    const struct responses_reply_settings reply = { .id = settings->id,
                                                    .created_at = settings->created_at,
                                                    .events = w->ask.stream,
                                                    .background = w->ask.background,
                                                    .summary = w->ask.summary,
                                                    .encrypted = w->ask.encrypted,
                                                    .logprobs = w->ask.logprobs,
                                                    .tools = &w->ask.tools,
                                                    .echo = buf_view(&w->ask.echo) };
    responses_reply_init(&w->reply, &reply);
    responses_chat_init(&w->chat, &w->reply);
    const struct engine_request chat = { .method = BYTES_LIT("POST"),
                                         .path = BYTES_LIT("/v1/chat/completions"),
                                         .fields = settings->fields,
                                         .fields_n = settings->fields_n,
                                         .body = buf_view(&w->request) };
    TRY(engine_start(settings->engine, &chat, &EVENTS, w, &w->call));
    if (!w->ask.background)
        return OK;
    w->state = WORK_RUNNING;
    return responses_reply_start(&w->reply);
}

void work_clear(struct responses_work *w)
{
    engine_cancel(w->call);
    w->call = NULL;
    loop_defer_cancel(&w->told);
    responses_chat_clear(&w->chat);
    responses_reply_clear(&w->reply);
    responses_ask_clear(&w->ask);
    kept_clear(&w->head);
    buf_clear(&w->body);
    buf_clear(&w->request);
}

void work_pause(struct responses_work *w, bool pause)
{
    if (w->call == NULL || w->paused == pause)
        return;
    w->paused = pause;
    if (pause)
        engine_pause(w->call);
    else
        engine_resume(w->call);
}

static err call_off(struct responses_work *w, err ended)
{
    engine_cancel(w->call);
    w->call = NULL;
    note(w, ended);
    return ended;
}

err work_fail(struct responses_work *w, const char *message)
{
    return call_off(
        w, responses_reply_fail(&w->reply, "server_error", bytes_str(message), clock_wall_s()));
}

err work_cancel(struct responses_work *w)
{
    return call_off(w, responses_reply_cancel(&w->reply, clock_wall_s()));
}
