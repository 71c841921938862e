#include "enclave-worker/responses_followup.h"

#include "api/responses_items.h"
#include "api/route.h"
#include "base/json.h"
#include "base/text.h"
#include "wire/names.h"

/* What is being asked, and how it is answered. */
struct scene {
    struct responses_jobs *jobs;
    const struct followup *f;
    struct responses_follower *follower;
    bytes id;
    bytes query;
};

static err refuse(const struct scene *s, enum error_cause cause, const char *param)
{
    const struct api_error error = { .cause = cause,
                                     .param = bytes_str(param),
                                     .about = cause == ERROR_NOT_FOUND ? s->id : (bytes){ 0 } };
    return handout_error(s->follower->to, &error);
}

static uint64_t now_of(const struct scene *s)
{
    return loop_now_ms(s->jobs->loop);
}

static err find(const struct scene *s, struct store_found *out)
{
    *out = (struct store_found){ 0 };
    ENSURE(s->jobs->store != NULL, NOT_FOUND);
    return responses_store_get(s->jobs->store, s->id, s->f->owner, now_of(s), out);
}

static err say(const struct scene *s, const char *type, bytes body)
{
    TRY(buf_add(&s->follower->to->out, body));
    handout_whole(s->follower->to, type);
    return OK;
}

static err say_job(const struct scene *s, const struct responses_job *job)
{
    TRY(responses_reply_write(&responses_job_work(job)->reply, &s->follower->to->out));
    handout_whole(s->follower->to, MEDIA_JSON);
    return OK;
}

/* ---- GET ---- */

/* False for a number that is none. */
static bool read_start(const struct scene *s)
{
    bytes text;
    if (!route_query_get(s->query, "starting_after", &text))
        return true;
    s->follower->skips = true;
    return text_u64(text, &s->follower->after);
}

static err retrieve_stream(const struct scene *s)
{
    struct store_found found;
    struct responses_job *job = responses_job_find(s->jobs, s->id, s->f->owner);
    if (!read_start(s))
        return refuse(s, ERROR_INVALID_VALUE, "starting_after");
    if (job != NULL && !responses_job_work(job)->ask.stream)
        return refuse(s, ERROR_INVALID_VALUE, "stream");
    if (job != NULL) {
        s->follower->events = true;
        responses_job_follow(job, s->follower);
        return OK;
    }
    err e = find(s, &found);
    bytes events = found.parts[STORE_EVENTS];
    if (e.code == ERR_NOT_FOUND) {
        e = refuse(s, ERROR_NOT_FOUND, NULL);
    } else if (e.code == ERR_OK && events.len == 0) {
        e = refuse(s, ERROR_INVALID_VALUE, "stream");
    } else if (e.code == ERR_OK) {
        size_t from = s->follower->skips ? responses_reply_skip(events, s->follower->after) : 0;
        e = say(s, MEDIA_SSE "; charset=utf-8", bytes_slice(events, from, events.len));
    }
    buf_clear(&found.plain);
    return e;
}

static err retrieve(const struct scene *s)
{
    bytes stream = { 0 };
    struct store_found found;
    if (route_query_get(s->query, "stream", &stream) && bytes_equal(stream, BYTES_LIT("true")))
        return retrieve_stream(s);
    const struct responses_job *job = responses_job_find(s->jobs, s->id, s->f->owner);
    if (job != NULL)
        return say_job(s, job);
    err e = find(s, &found);
    if (e.code == ERR_NOT_FOUND)
        e = refuse(s, ERROR_NOT_FOUND, NULL);
    else if (e.code == ERR_OK)
        e = say(s, MEDIA_JSON, found.parts[STORE_OBJECT]);
    buf_clear(&found.plain);
    return e;
}

static err list_items(const struct scene *s)
{
    struct responses_list list;
    const char *param;
    struct store_found found = { 0 };
    struct buf *out = &s->follower->to->out;
    const struct responses_job *job = responses_job_find(s->jobs, s->id, s->f->owner);
    if (!responses_list_read(&list, s->query, &param))
        return refuse(s, ERROR_INVALID_VALUE, param);
    err e = OK;
    if (job != NULL)
        responses_job_items(job, &found.parts[STORE_INPUT]);
    else
        e = find(s, &found);
    if (e.code == ERR_NOT_FOUND)
        return refuse(s, ERROR_NOT_FOUND, NULL);
    if (e.code == ERR_OK)
        e = responses_list_write(out, found.parts[STORE_INPUT], &list);
    buf_clear(&found.plain);
    TRY(e);
    handout_whole(s->follower->to, MEDIA_JSON);
    return OK;
}

/* ---- DELETE, cancel ---- */

static err delete (const struct scene *s)
{
    struct responses_job *job = responses_job_find(s->jobs, s->id, s->f->owner);
    struct json_out j = JSON_OUT(&s->follower->to->out);
    err e = { ERR_NOT_FOUND };
    if (s->jobs->store != NULL)
        e = responses_store_drop(s->jobs->store, s->id, s->f->owner, now_of(s));
    if (job != NULL)
        e = responses_job_cancel(job, true);
    if (e.code == ERR_NOT_FOUND)
        return refuse(s, ERROR_NOT_FOUND, NULL);
    TRY(e);
    json_begin_object(&j, NULL);
    json_put_text(&j, "id", s->id);
    json_put_str(&j, "object", "response");
    json_put_bool(&j, "deleted", true);
    json_close(&j);
    TRY(json_end(&j));
    handout_whole(s->follower->to, MEDIA_JSON);
    return OK;
}

static bool was_background(bytes object)
{
    struct json *root = NULL;
    bool background = false;
    if (json_read(&root, object, JSON_DEPTH_MAX).code == ERR_OK)
        (void)json_bool(json_get(root, "background"), &background);
    json_free(root);
    return background;
}

/* Of one that is over already, its end. */
static err cancel(const struct scene *s)
{
    struct store_found found;
    struct responses_job *job = responses_job_find(s->jobs, s->id, s->f->owner);
    if (job != NULL) {
        TRY(responses_job_cancel(job, false));
        return say_job(s, job);
    }
    err e = find(s, &found);
    if (e.code == ERR_NOT_FOUND)
        e = refuse(s, ERROR_NOT_FOUND, NULL);
    else if (e.code == ERR_OK && !was_background(found.parts[STORE_OBJECT]))
        e = refuse(s, ERROR_INVALID_VALUE, "background");
    else if (e.code == ERR_OK)
        e = say(s, MEDIA_JSON, found.parts[STORE_OBJECT]);
    buf_clear(&found.plain);
    return e;
}

/* ---- which of them ---- */

static const struct {
    const char *method;
    const char *what; /* behind the id */
    err (*answer)(const struct scene *s);
} ROWS[] = {
    { "GET", "", retrieve },
    { "DELETE", "", delete },
    { "POST", "/cancel", cancel },
    { "GET", "/input_items", list_items },
};

err followup_answer(struct responses_jobs *jobs, const struct followup *f,
                    struct responses_follower *follower)
{
    struct route_match route;
    BUF_AUTO about = BUF(ROUTE_TARGET_MAX + 16);
    route_find(f->method, f->target, &route);
    size_t slash = text_find(route.id, BYTES_LIT("/"));
    bytes what = bytes_slice(route.id, slash, route.id.len);
    const struct scene scene = { jobs, f, follower, bytes_slice(route.id, 0, slash), route.query };
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        if (bytes_equal(f->method, bytes_str(ROWS[i].method)) &&
            bytes_equal(what, bytes_str(ROWS[i].what)))
            return ROWS[i].answer(&scene);
    }
    TRY(buf_add(&about, f->method));
    TRY(buf_add_u8(&about, ' '));
    TRY(buf_add(&about, f->target));
    const struct api_error error = { .cause = ERROR_UNKNOWN_URL, .about = buf_view(&about) };
    return handout_error(follower->to, &error);
}
