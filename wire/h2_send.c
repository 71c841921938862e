/* What we say: requests, answers, bodies and the last word. The essay is in h2.c. */
#include <nghttp2/nghttp2.h>
#include <stdio.h>

#include "wire/h2_own.h"

enum { NV_MAX = LINK_FIELDS_MAX + 4 };

/* ---- what nghttp2 asks ---- */

static int on_before_send(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    (void)session;
    struct h2 *h = arg;
    if (frame->hd.type != NGHTTP2_HEADERS)
        return 0;
    struct link_stream *s = h2_stream_of(h, frame->hd.stream_id);
    if (s == NULL || s->head_left)
        return 0;
    s->head_left = true;
    s->head_at = h->given + (h->out->len - h->out_from);
    return 0;
}

static int on_sent(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    (void)session;
    struct h2 *h = arg;
    bool carries = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
    if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code != NGHTTP2_NO_ERROR)
        h->refused_peer = true;
    if (!carries || (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0)
        return 0;
    struct link_stream *s = h2_stream_of(h, frame->hd.stream_id);
    if (s == NULL)
        return 0;
    s->sent_all = true;
    /* RFC 9113 8.1: a complete answer may be followed by RST_STREAM(NO_ERROR) when the rest of the
     * request is not wanted. */
    if (h->settings.server && !s->got_all)
        h2_send_reset(h, s->id, NGHTTP2_NO_ERROR);
    return 0;
}

/* A request that nghttp2 will not send after all. */
static int on_not_sent(nghttp2_session *session, const nghttp2_frame *frame, int code, void *arg)
{
    (void)session;
    (void)code;
    struct h2 *h = arg;
    if (h->settings.server || frame->hd.type != NGHTTP2_HEADERS)
        return 0;
    struct link_stream *s = h->live;
    while (s != NULL && s->id != frame->hd.stream_id)
        s = s->next;
    if (s == NULL || s->head_left)
        return 0;
    (void)nghttp2_session_set_stream_user_data(h->session, s->id, NULL);
    h2_stream_close(s, LINK_REFUSED);
    return 0;
}

/* nghttp2's signature. NOLINTNEXTLINE(readability-function-size) */
static ssize_t on_read_length(nghttp2_session *session, uint8_t type, int32_t id,
                              int32_t connection_window, int32_t stream_window, uint32_t frame_max,
                              void *arg)
{
    (void)session;
    (void)type;
    (void)id;
    (void)arg;
    int32_t window = connection_window < stream_window ? connection_window : stream_window;
    int32_t most = frame_max < LINK_FRAME_MAX ? (int32_t)frame_max : LINK_FRAME_MAX;
    return window < most ? window : most;
}

/* nghttp2's signature. NOLINTNEXTLINE(readability-function-size,readability-non-const-parameter) */
static ssize_t on_read(nghttp2_session *session, int32_t id, uint8_t *room, size_t len,
                       uint32_t *flags, nghttp2_data_source *source, void *arg)
{
    (void)session;
    (void)room;
    (void)source;
    struct link_stream *s = h2_stream_of(arg, id);
    if (s == NULL)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    if (s->queue.len == 0 && !s->ended)
        s->h2->events->hungry(s, len);
    if (s->over)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    if (s->queue.len == 0 && !s->ended) {
        s->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    size_t n = len < s->queue.len ? len : s->queue.len;
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (n == s->queue.len && s->ended)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)n;
}

static void tell_later(struct link_stream *s)
{
    if (!s->was_full || s->to_tell || s->queue.len >= LINK_LOW)
        return;
    s->to_tell = true;
    s->tell_next = s->h2->tell;
    s->h2->tell = s;
}

static int on_send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head,
                        size_t len, nghttp2_data_source *source, void *arg)
{
    (void)session;
    (void)source;
    struct h2 *h = arg;
    struct link_stream *s = h2_stream_of(h, frame->hd.stream_id);
    if (s == NULL)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    if (!err_is_ok(buf_add(h->out, bytes_of(head, H2_FRAME_HEAD_LEN))) ||
        !err_is_ok(queue_move(&s->queue, len, h->out)))
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    tell_later(s);
    if (h->out->len < h->enough)
        return 0;
    h->paused = true;
    return NGHTTP2_ERR_PAUSE;
}

void h2_set_sending(nghttp2_session_callbacks *c)
{
    nghttp2_session_callbacks_set_before_frame_send_callback(c, on_before_send);
    nghttp2_session_callbacks_set_on_frame_send_callback(c, on_sent);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(c, on_not_sent);
    nghttp2_session_callbacks_set_data_source_read_length_callback(c, on_read_length);
    nghttp2_session_callbacks_set_send_data_callback(c, on_send_data);
}

/* ---- bytes out ---- */

static uint32_t goodbye_code(err why)
{
    if (why.code == ERR_LIMIT)
        return NGHTTP2_ENHANCE_YOUR_CALM;
    return why.code == ERR_MALFORMED ? NGHTTP2_PROTOCOL_ERROR : NGHTTP2_INTERNAL_ERROR;
}

/* RFC 9113 6.8: length 8, type 7, no flags, stream 0; last stream id; error code. */
static err goodbye(struct h2 *h, struct buf *out)
{
    static const uint8_t head[H2_FRAME_HEAD_LEN] = { 0, 0, 8, NGHTTP2_GOAWAY };
    if (h->said_goodbye)
        return OK;
    h->said_goodbye = true;
    TRY(buf_add(out, BYTES_ARRAY(head)));
    TRY(buf_add_u32be(out, (uint32_t)nghttp2_session_get_last_proc_stream_id(h->session)));
    return buf_add_u32be(out, goodbye_code(h->failed));
}

static err gather(struct h2 *h, bool *more)
{
    while (h->out->len < h->enough) {
        const uint8_t *at = NULL;
        h->paused = false;
        ssize_t n = nghttp2_session_mem_send(h->session, &at);
        if (n < 0)
            h2_fail(h, n == NGHTTP2_ERR_NOMEM ? ERR_NOMEM : ERR_INTERNAL);
        if (!err_is_ok(h->failed))
            return h->failed;
        if (n == 0 && !h->paused)
            return OK;
        TRY(buf_add(h->out, bytes_of(at, (size_t)n)));
    }
    *more = nghttp2_session_want_write(h->session) != 0;
    return OK;
}

err h2_take(struct h2 *h, struct buf *out, size_t enough, bool *more)
{
    *more = false;
    if (h->lost)
        return OK;
    if (!err_is_ok(h->failed))
        return goodbye(h, out);
    h->out = out;
    h->out_from = out->len;
    h->enough = enough;
    err e = gather(h, more);
    h->given += out->len - h->out_from;
    h->out = NULL;
    if (!err_is_ok(e))
        h2_fail(h, e.code);
    return e;
}

void h2_tell(struct h2 *h)
{
    struct link_stream *list = h->tell;
    h->tell = NULL;
    while (list != NULL) {
        struct link_stream *s = list;
        list = s->tell_next;
        s->to_tell = false;
        if (s->over || s->queue.len >= LINK_LOW)
            continue;
        s->was_full = false;
        h->events->writable(s);
    }
}

size_t h2_room(const struct h2 *h)
{
    if (!h2_usable(h) || !h->ready || h->leaving || h->said_leaving)
        return 0;
    size_t max =
        nghttp2_session_get_remote_settings(h->session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
    if (max > h->settings.streams_max)
        max = h->settings.streams_max;
    return max > h->live_n ? max - h->live_n : 0;
}

/* ---- requests and answers ---- */

static nghttp2_nv nv(bytes name, bytes value)
{
    /* nghttp2 copies both; it lacks the const. */
    union {
        const uint8_t *ours;
        uint8_t *theirs;
    } n = { name.at }, v = { value.at };
    return (nghttp2_nv){ n.theirs, v.theirs, name.len, value.len, NGHTTP2_NV_FLAG_NONE };
}

static err check_fields(const struct link_field *fields, size_t n, size_t len)
{
    ENSURE(n <= LINK_FIELDS_MAX, LIMIT);
    ENSURE(len <= LINK_HEAD_MAX, LIMIT);
    for (size_t i = 0; i < n; i++) {
        len += fields[i].name.len + fields[i].value.len;
        ENSURE(len <= LINK_HEAD_MAX, LIMIT);
    }
    return OK;
}

static size_t add_fields(nghttp2_nv *to, size_t n, const struct link_field *fields, size_t fields_n)
{
    for (size_t i = 0; i < fields_n; i++)
        to[n++] = nv(fields[i].name, fields[i].value);
    return n;
}

static const nghttp2_data_provider queue_provider = { .read_callback = on_read };

static err submit(struct link_stream *s, const struct link_request *req)
{
    struct h2 *h = s->h2;
    nghttp2_nv nvs[NV_MAX];
    size_t n = 0;
    nvs[n++] = nv(BYTES_LIT(":method"), req->method);
    nvs[n++] =
        nv(BYTES_LIT(":scheme"), h->settings.secure ? BYTES_LIT("https") : BYTES_LIT("http"));
    nvs[n++] = nv(BYTES_LIT(":path"), req->path);
    nvs[n++] = nv(BYTES_LIT(":authority"),
                  req->authority.len > 0 ? req->authority : BYTES_LIT("localhost"));
    n = add_fields(nvs, n, req->fields, req->fields_n);
    int32_t id =
        nghttp2_submit_request(h->session, NULL, nvs, n, req->end ? NULL : &queue_provider, s);
    ENSURE(id != NGHTTP2_ERR_NOMEM, NOMEM);
    ENSURE(id > 0, UNAVAILABLE);
    s->id = id;
    s->head_given = true;
    s->ended = req->end;
    return OK;
}

err h2_submit(struct h2 *h, const struct link_request *req, struct link_stream **out, void *owner)
{
    ENSURE(h2_room(h) > 0, UNAVAILABLE);
    TRY(check_fields(req->fields, req->fields_n,
                     req->method.len + req->path.len + req->authority.len));
    struct link_stream *s;
    TRY(h2_stream_new(&s, h, owner));
    err e = submit(s, req);
    if (!err_is_ok(e)) {
        h2_stream_bury(s);
        return e;
    }
    h2_wake(h);
    *out = s;
    return OK;
}

err h2_stream_respond(struct link_stream *s, unsigned status, const struct link_field *fields,
                      size_t n, bool end)
{
    struct h2 *h = s->h2;
    ENSURE(!s->over && h2_usable(h), CLOSED);
    ENSURE(h->settings.server && !s->head_given && status >= 200 && status <= 999, INTERNAL);
    TRY(check_fields(fields, n, 3));
    char text[16];
    nghttp2_nv nvs[NV_MAX];
    (void)snprintf(text, sizeof text, "%u", status);
    nvs[0] = nv(BYTES_LIT(":status"), bytes_str(text));
    size_t nvs_n = add_fields(nvs, 1, fields, n);
    ENSURE(nghttp2_submit_response(h->session, s->id, nvs, nvs_n, end ? NULL : &queue_provider) ==
               0,
           NOMEM);
    s->head_given = true;
    s->ended = end;
    h2_wake(h);
    return OK;
}

/* ---- bodies ---- */

static err check_writable(const struct link_stream *s)
{
    ENSURE(!s->over && h2_usable(s->h2), CLOSED);
    ENSURE(s->head_given, INTERNAL);
    ENSURE(!s->ended, CLOSED);
    return OK;
}

static void queued(struct link_stream *s, bool end)
{
    struct h2 *h = s->h2;
    s->ended = end;
    if (s->queue.len >= LINK_LOW)
        s->was_full = true;
    if (s->deferred && (end || s->queue.len > 0)) {
        s->deferred = false;
        if (nghttp2_session_resume_data(h->session, s->id) == NGHTTP2_ERR_NOMEM)
            h2_fail(h, ERR_NOMEM);
    }
    if (h->out == NULL) /* else it is being taken already */
        h2_wake(h);
}

err h2_stream_write(struct link_stream *s, bytes data, bool end)
{
    TRY(check_writable(s));
    TRY(queue_add(&s->queue, data));
    queued(s, end);
    return OK;
}

err h2_stream_take(struct link_stream *s, struct buf *data, bool end)
{
    TRY(check_writable(s));
    TRY(queue_take(&s->queue, data));
    queued(s, end);
    return OK;
}

void h2_stream_consume(struct link_stream *s, size_t n)
{
    struct h2 *h = s->h2;
    if (s->over || !h2_usable(h))
        return;
    if (n > s->unconsumed)
        n = s->unconsumed;
    s->unconsumed -= n;
    if (n == 0 || s->got_all)
        return;
    if (nghttp2_session_consume_stream(h->session, s->id, n) != 0)
        h2_fail(h, ERR_NOMEM);
    h2_wake(h);
}

static uint32_t code_of(enum link_code code)
{
    switch (code) {
    case LINK_CANCEL:
        return NGHTTP2_CANCEL;
    case LINK_INTERNAL:
        return NGHTTP2_INTERNAL_ERROR;
    case LINK_REFUSE:
        return NGHTTP2_REFUSED_STREAM;
    }
    return NGHTTP2_INTERNAL_ERROR;
}

void h2_stream_reset(struct link_stream *s, enum link_code code)
{
    struct h2 *h = s->h2;
    if (s->over)
        return;
    if (h2_usable(h)) {
        (void)nghttp2_session_set_stream_user_data(h->session, s->id, NULL);
        h2_send_reset(h, s->id, code_of(code));
    }
    h2_stream_bury(s);
    h2_wake(h);
}
