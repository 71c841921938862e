/*
 * What libmicrohttpd calls for a request: its head, its body, its end.
 */
#include <microhttpd.h>

#include "base/mem.h"
#include "gateway/front_private.h"
#include "gateway/front_strict.h"

enum { SKIP_MAX = 256 * 1024 /* a body this short is read to its end to keep the connection */ };

/* ---- the clock of a body ---- */

static bool waits_for_body(const struct front_request *r)
{
    return r->seen && !r->held && !r->body_ended && !r->lost;
}

static void body_clock_stop(struct front_request *r)
{
    struct loop_timer *t = &r->conn->timer;
    if (!loop_timer_active(t))
        return;
    r->body_left_ms = loop_timer_left_ms(t);
    loop_timer_stop(t);
}

void front_body_clock(struct front_request *r)
{
    if (waits_for_body(r) && !loop_timer_active(&r->conn->timer))
        loop_timer_start(r->front->loop, &r->conn->timer, r->body_left_ms, front_on_time_over);
}

/* ---- a request's head ---- */

void *front_on_target(void *cls, const char *target, struct MHD_Connection *mhd)
{
    struct front *f = cls;
    struct front_conn *c =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
    size_t len = strlen(target);
    struct front_request *r = c != NULL ? mem_alloc(sizeof *r + len + 1) : NULL;
    if (r == NULL)
        return NULL;
    r->front = f;
    r->conn = c;
    r->mhd = mhd;
    r->target_len = len;
    memcpy(r->target, target, len);
    char *mark = memchr(target, '?', len);
    size_t path_len = mark != NULL ? (size_t)(mark - target) : len;
    r->path = bytes_of(r->target, path_len);
    if (mark != NULL) {
        r->query = bytes_of(r->target + path_len + 1, len - path_len - 1);
        /* Next the query would be taken apart in place, at the price of an allocation from the small
         * pool for each '&'. Nobody looks at that; it finds an empty one. */
        mark[1] = 0;
    }
    c->request = r;
    if (c->hung_up)
        front_shut_reading(c);
    if (c->served) /* the first head's time runs since the connection was opened */
        loop_timer_start(f->loop, &c->timer, f->head_ms, front_on_time_over);
    return r;
}

size_t front_on_unescape(void *cls, struct MHD_Connection *mhd, char *text)
{
    (void)cls;
    (void)mhd;
    return strlen(text);
}

struct lines {
    size_t n;
    struct strict_line line[FRONT_HEADERS_MAX];
};

static enum MHD_Result on_line(void *cls, enum MHD_ValueKind kind, const char *name,
                               size_t name_len, const char *value, size_t value_len)
{
    struct lines *l = cls;
    (void)kind;
    if (l->n < FRONT_HEADERS_MAX)
        l->line[l->n] = (struct strict_line){ name, value, name_len, value_len };
    l->n++;
    return MHD_YES;
}

static struct strict_verdict check_head(struct front_request *r, const char *version)
{
    struct lines l;
    l.n = 0;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(r->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    size_t head_len = info != NULL ? info->header_size : 0;
    (void)MHD_get_connection_values_n(r->mhd, MHD_HEADER_KIND, on_line, &l);
    if (l.n > FRONT_HEADERS_MAX || head_len > r->front->head_max)
        return (struct strict_verdict){ .status = 431, .reason = "request head too large" };
    struct strict_head head = { .at = (const char *)r->method.at,
                                .len = head_len,
                                .method_len = r->method.len,
                                .target_len = r->target_len,
                                .version = version,
                                .lines = l.line,
                                .lines_n = l.n };
    struct strict_verdict v = strict_check(&head, r->target);
    if (v.accepted && v.length > r->front->body_max) {
        v.accepted = false;
        v.status = 413;
        v.reason = "request body too large";
    }
    return v;
}

static bool queue_answer(struct front_request *r)
{
    r->queued = true;
    front_hold_head(r);
    return MHD_queue_response(r->mhd, r->status, r->response) == MHD_YES;
}

static bool refuse(struct front_request *r, unsigned status, const char *reason)
{
    struct front *f = r->front;
    r->conn->lingers = true;
    f->events->refused(f->owner, status, reason);
    return err_is_ok(front_refuse(r, status, reason)) && queue_answer(r);
}

/* Answered by its head alone: libmicrohttpd would close the connection. Worth it unless the body is
 * short and surely on its way. */
static bool leaves_body(const struct front_request *r)
{
    return r->chunked || (r->length > 0 && (r->expects || r->length > SKIP_MAX));
}

bool front_held_call(struct front_request *r)
{
    r->held = false;
    if (r->lost || (r->aborted && !front_answer_ready(r)))
        return false;
    if (r->paused && r->response == NULL) {
        r->held = true;
        front_suspend(r);
        return true;
    }
    if (front_answer_ready(r) && leaves_body(r)) {
        r->conn->lingers = true;
        return queue_answer(r);
    }
    front_body_clock(r);
    if (r->conn->hung_up)
        front_shut_reading(r->conn);
    return true;
}

bool front_first_call(struct front_request *r, const char *method, const char *version)
{
    struct front *f = r->front;
    r->seen = true;
    r->method = bytes_str(method);
    r->head = bytes_equal(r->method, BYTES_LIT("HEAD"));
    loop_timer_stop(&r->conn->timer);
    struct strict_verdict v = check_head(r, version);
    if (!v.accepted)
        return refuse(r, v.status, v.reason);
    r->old = v.old;
    r->chunked = v.chunked;
    r->expects = v.expects;
    r->length = v.length;
    r->body_left_ms = f->body_ms;
    r->delivered = true;
    f->requests_n++;
    f->events->request(f->owner, r);
    return front_held_call(r);
}

/* ---- a request's body ---- */

/* A chunked body turned out too large. libmicrohttpd takes no answer now; what follows is thrown
 * away until it does. */
static bool overflow(struct front_request *r)
{
    struct front *f = r->front;
    front_say_gone(r);
    f->events->refused(f->owner, 413, "request body too large");
    return err_is_ok(front_refuse(r, 413, "request body too large"));
}

static bool throw_away(struct front_request *r, size_t *len)
{
    r->received += *len;
    *len = 0;
    return r->received <= r->front->body_max + FRONT_DISCARD_MAX;
}

bool front_body_call(struct front_request *r, const char *at, size_t *len)
{
    if (r->response != NULL)
        return throw_away(r, len);
    if (r->aborted)
        return false;
    if (r->paused) {
        body_clock_stop(r);
        front_suspend(r);
        return true;
    }
    if (r->conn->hung_up)
        front_shut_reading(r->conn);
    r->received += *len;
    bytes piece = bytes_of(at, *len);
    *len = 0;
    if (r->received > r->front->body_max)
        return overflow(r);
    r->front->events->body(r, piece);
    if (r->aborted && r->response == NULL)
        return false;
    if (r->paused && r->response == NULL) {
        body_clock_stop(r);
        front_suspend(r);
    }
    return true;
}

bool front_final_call(struct front_request *r)
{
    if (r->paused && !r->body_ended && r->response == NULL && !r->aborted) {
        body_clock_stop(r);
        front_suspend(r);
        return true;
    }
    if (!r->body_ended) {
        loop_timer_stop(&r->conn->timer);
        r->body_ended = true;
        if (r->response == NULL && !r->aborted)
            r->front->events->body_end(r);
    }
    if (r->aborted && (r->response == NULL || r->mute))
        return false;
    if (front_answer_ready(r))
        return queue_answer(r);
    front_suspend(r);
    return true;
}

void front_complete(struct front *f, struct front_request *r, bool sent)
{
    struct front_conn *c = r->conn;
    if (!sent)
        front_break_off(r);
    if (r->delivered && !r->over && sent && front_answered(r)) {
        r->over = true;
        f->requests_n--;
        f->events->done(r);
    }
    front_say_gone(r);
    front_request_free(r);
    c->request = NULL;
    c->served = true;
    loop_timer_start(f->loop, &c->timer, (uint64_t)f->idle_ms + f->head_ms, front_on_time_over);
    if (f->draining || c->hung_up)
        front_shut_reading(c);
}
