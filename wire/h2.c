/*
 * A stream of ours exists from its request (submitted, or completely read) until it is over or its
 * user gives it up, whichever is first; nghttp2's own stream may live a little shorter or longer.
 * nghttp2 finds ours by its user data, which is cleared the moment ours is dead: after that no
 * callback finds a stream and none can reach the user.
 *
 * Receiving: the connection's window is opened at once for every byte, the stream's only by
 * h2_stream_consume(), so that one slow reader holds up nobody else.
 *
 * Sending: DATA frames are written straight from the stream's queue into the caller's buffer
 * (NO_COPY); an empty queue defers the stream, the next write resumes it, once.
 *
 * When we end a connection over a limit, nghttp2 is stopped in the middle of its input and may not
 * be used again; the GOAWAY is then written by hand.
 */
#include "wire/h2.h"

#include <nghttp2/nghttp2.h>

#include "base/mem.h"
#include "wire/h2_own.h"

enum {
    BACKLOG_MAX = 16 * 1024, /* frames that wait in nghttp2 */
    LAST_ID_SOON = INT32_MAX - 2 * 1024 * 1024,
    HEAD_LIST_MAX = LINK_HEAD_MAX + 32 * LINK_FIELDS_MAX, /* RFC 9113 10.5.1 counts 32 a field */
};

/* ---- streams ---- */

static void stream_link(struct link_stream **list, struct link_stream *s)
{
    s->prev = NULL;
    s->next = *list;
    if (s->next != NULL)
        s->next->prev = s;
    *list = s;
}

static void stream_unlink(struct link_stream **list, struct link_stream *s)
{
    if (s->prev != NULL)
        s->prev->next = s->next;
    else
        *list = s->next;
    if (s->next != NULL)
        s->next->prev = s->prev;
}

err h2_stream_new(struct link_stream **out, struct h2 *h, void *owner)
{
    struct link_stream *s;
    TRY(mem_new(&s));
    s->h2 = h;
    s->owner = owner;
    stream_link(&h->live, s);
    h->live_n++;
    *out = s;
    return OK;
}

void h2_stream_bury(struct link_stream *s)
{
    struct h2 *h = s->h2;
    s->over = true;
    queue_clear(&s->queue);
    stream_unlink(&h->live, s);
    h->live_n--;
    stream_link(&h->dead, s);
}

void h2_stream_close(struct link_stream *s, enum link_close why)
{
    h2_stream_bury(s);
    s->h2->events->closed(s, why);
}

struct link_stream *h2_stream_of(const struct h2 *h, int32_t id)
{
    return nghttp2_session_get_stream_user_data(h->session, id);
}

void h2_fail(struct h2 *h, enum err_code code)
{
    if (err_is_ok(h->failed))
        h->failed = err_raise(code, __FILE__, __func__, __LINE__);
}

bool h2_usable(const struct h2 *h)
{
    return err_is_ok(h->failed) && !h->lost;
}

void h2_wake(struct h2 *h)
{
    h->events->wake(h->owner);
}

void h2_send_reset(struct h2 *h, int32_t id, uint32_t code)
{
    if (nghttp2_submit_rst_stream(h->session, NGHTTP2_FLAG_NONE, id, code) != 0)
        h2_fail(h, ERR_NOMEM);
}

size_t h2_stream_queued(const struct link_stream *s)
{
    return s->queue.len;
}

uint32_t h2_stream_code(const struct link_stream *s)
{
    return s->code;
}

struct h2 *h2_stream_connection(const struct link_stream *s)
{
    return s->h2;
}

void h2_stream_set_owner(struct link_stream *s, void *owner)
{
    s->owner = owner;
}

void *h2_stream_owner(const struct link_stream *s)
{
    return s->owner;
}
/* ---- life ---- */

static void *alloc_fn(size_t size, void *arg)
{
    (void)arg;
    return mem_alloc(size);
}

static void free_fn(void *at, void *arg)
{
    (void)arg;
    mem_free(at);
}

static void *calloc_fn(size_t n, size_t size, void *arg)
{
    (void)arg;
    return mem_alloc_array(n, size);
}

static void *realloc_fn(void *at, size_t size, void *arg)
{
    (void)arg;
    return mem_realloc(at, size);
}

/* Resets are counted by us, with a limit that many clients leaving at once do not reach; nghttp2's
 * own limit would end the connection after a thousand. */
static void set_options(nghttp2_option *o)
{
    nghttp2_option_set_no_auto_window_update(o, 1);
    nghttp2_option_set_no_closed_streams(o, 1);
    nghttp2_option_set_stream_reset_rate_limit(o, UINT32_MAX, UINT32_MAX);
    nghttp2_option_set_max_reserved_remote_streams(o, 0);
    /* Counted by us as well: nghttp2 counts a frame again for each piece in which its head comes,
     * which is at most one per byte. */
    nghttp2_option_set_max_continuations(o, (size_t)H2_FRAME_HEAD_LEN * (H2_CONTINUATIONS_MAX + 1));
}

static err make_session(struct h2 *h)
{
    nghttp2_mem mem = { NULL, alloc_fn, free_fn, calloc_fn, realloc_fn };
    nghttp2_session_callbacks *callbacks = NULL;
    nghttp2_option *options = NULL;
    int failed = nghttp2_session_callbacks_new(&callbacks);
    if (failed == 0)
        failed = nghttp2_option_new(&options);
    if (failed == 0) {
        h2_set_receiving(callbacks);
        h2_set_sending(callbacks);
        set_options(options);
        failed = h->settings.server
                     ? nghttp2_session_server_new3(&h->session, callbacks, h, options, &mem)
                     : nghttp2_session_client_new3(&h->session, callbacks, h, options, &mem);
    }
    nghttp2_option_del(options);
    nghttp2_session_callbacks_del(callbacks);
    ENSURE(failed == 0, NOMEM);
    return OK;
}

/* What we tell the peer first. */
static err say_hello(struct h2 *h)
{
    bool server = h->settings.server;
    const nghttp2_settings_entry entries[] = {
        { NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, server ? h->settings.streams_max : 0 },
        { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, h->settings.window },
        { NGHTTP2_SETTINGS_MAX_FRAME_SIZE, LINK_FRAME_MAX },
        { NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HEAD_LIST_MAX },
        { NGHTTP2_SETTINGS_ENABLE_PUSH, 0 },
    };
    /* A server may not speak of pushing. */
    size_t n = ARRAY_LEN(entries) - (server ? 1 : 0);
    ENSURE(nghttp2_submit_settings(h->session, NGHTTP2_FLAG_NONE, entries, n) == 0, NOMEM);
    ENSURE(nghttp2_session_set_local_window_size(h->session, NGHTTP2_FLAG_NONE, 0,
                                                 LINK_CONNECTION_WINDOW) == 0,
           NOMEM);
    return OK;
}

static void set_limits(struct h2 *h)
{
    if (h->settings.streams_max == 0)
        h->settings.streams_max = LINK_STREAMS_DEFAULT;
    if (h->settings.window == 0)
        h->settings.window = LINK_WINDOW;
    h2_set_rates(h);
}

static err start(struct h2 *h)
{
    TRY(make_session(h));
    return say_hello(h);
}

err h2_new(struct h2 **out, const struct h2_settings *settings, const struct h2_events *events,
           void *owner)
{
    struct h2 *h;
    TRY(mem_new(&h));
    h->settings = *settings;
    h->events = events;
    h->owner = owner;
    set_limits(h);
    err e = start(h);
    if (!err_is_ok(e)) {
        h2_free(h);
        return e;
    }
    *out = h;
    return OK;
}

static void free_streams(struct link_stream **list)
{
    while (*list != NULL) {
        struct link_stream *s = *list;
        *list = s->next;
        queue_clear(&s->queue);
        mem_free(s);
    }
}

void h2_free(struct h2 *h)
{
    if (h == NULL)
        return;
    nghttp2_session_del(h->session);
    free_streams(&h->live);
    free_streams(&h->dead);
    mem_free(h->head.room);
    mem_free(h);
}

void *h2_owner(const struct h2 *h)
{
    return h->owner;
}

/* ---- bytes in, bytes out ---- */

static enum err_code kind_of(ssize_t code)
{
    switch (code) {
    case NGHTTP2_ERR_NOMEM:
        return ERR_NOMEM;
    case NGHTTP2_ERR_FLOODED:
        return ERR_LIMIT;
    default:
        return ERR_MALFORMED;
    }
}

err h2_put(struct h2 *h, bytes in, uint64_t now_ms)
{
    if (h->lost)
        return OK;
    if (!err_is_ok(h->failed))
        return h->failed;
    h->now_ms = now_ms;
    ssize_t n = nghttp2_session_mem_recv(h->session, in.at, in.len);
    if (n < 0)
        h2_fail(h, kind_of(n));
    return h->failed;
}

void h2_reap(struct h2 *h)
{
    struct link_stream **at = &h->tell;
    while (*at != NULL) {
        if ((*at)->over)
            *at = (*at)->tell_next;
        else
            at = &(*at)->tell_next;
    }
    free_streams(&h->dead);
}

void h2_lost(struct h2 *h, uint64_t delivered)
{
    h->lost = true;
    while (h->live != NULL) {
        struct link_stream *s = h->live;
        bool unsent = !h->settings.server && (!s->head_left || s->head_at >= delivered);
        h2_stream_close(s, unsent ? LINK_REFUSED : LINK_LOST);
    }
}

void h2_ping(struct h2 *h)
{
    if (!h2_usable(h))
        return;
    if (nghttp2_submit_ping(h->session, NGHTTP2_FLAG_NONE, NULL) != 0)
        h2_fail(h, ERR_NOMEM);
    h2_wake(h);
}

/* A server first announces that it will go; the answer to the PING behind it tells that every
 * request sent before the client knew has arrived. Then the last id is final. */
static int announce_leaving(struct h2 *h)
{
    if (!h->settings.server)
        return nghttp2_submit_goaway(h->session, NGHTTP2_FLAG_NONE, 0, NGHTTP2_NO_ERROR, NULL, 0);
    h->pinged_to_leave = true;
    int failed = nghttp2_submit_shutdown_notice(h->session);
    return failed != 0 ? failed : nghttp2_submit_ping(h->session, NGHTTP2_FLAG_NONE, NULL);
}

void h2_leave(struct h2 *h)
{
    if (!h2_usable(h) || h->said_leaving)
        return;
    h->said_leaving = true;
    if (announce_leaving(h) != 0)
        h2_fail(h, ERR_NOMEM);
    h2_wake(h);
}

bool h2_finished(const struct h2 *h)
{
    if (!h2_usable(h))
        return true;
    return nghttp2_session_want_read(h->session) == 0 &&
           nghttp2_session_want_write(h->session) == 0;
}

err h2_why(const struct h2 *h)
{
    if (!err_is_ok(h->failed))
        return h->failed;
    ENSURE(!h->refused_peer, MALFORMED);
    return OK;
}

uint64_t h2_in_head(const struct h2 *h, uint64_t now_ms)
{
    return h->in_head ? now_ms - h->in_head_ms : 0;
}

bool h2_worn_out(const struct h2 *h)
{
    return !h->settings.server && h2_usable(h) &&
           nghttp2_session_get_next_stream_id(h->session) > LAST_ID_SOON;
}

bool h2_flooded(const struct h2 *h)
{
    return h2_usable(h) && nghttp2_session_get_outbound_queue_size(h->session) >
                               BACKLOG_MAX + 2 * (size_t)h->settings.streams_max;
}

size_t h2_streams(const struct h2 *h)
{
    return h->live_n;
}
