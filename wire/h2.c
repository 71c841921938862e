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
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "wire/queue.h"

enum {
    NV_MAX = LINK_FIELDS_MAX + 4,
    SAVED_S = 10, /* seconds' worth of a rate that may be saved up */
    FRAME_HEAD_LEN = 9,
    BACKLOG_MAX = 16 * 1024, /* frames that wait in nghttp2 */
    LAST_ID_SOON = INT32_MAX - 2 * 1024 * 1024,
    HEAD_LIST_MAX = LINK_HEAD_MAX + 32 * LINK_FIELDS_MAX, /* RFC 9113 10.5.1 counts 32 a field */
};

struct rate {
    uint64_t milli; /* thousandths of a frame that are still free */
    uint64_t at_ms;
    uint32_t per_s; /* 0: no limit */
};

/* The head that is being read. Blocks of different streams never interleave. */
struct head {
    uint8_t *room; /* LINK_HEAD_MAX */
    size_t len;
    bytes method, authority, path;
    unsigned status;
    struct link_field fields[LINK_FIELDS_MAX];
    size_t fields_n;
};

struct h2 {
    nghttp2_session *session;
    const struct h2_events *events;
    void *owner;
    struct h2_settings settings;

    struct link_stream *live, *dead, *tell;
    size_t live_n;

    struct head head;
    struct rate heads, settings_frames, pings, resets, others;
    uint64_t now_ms;
    unsigned continuations; /* of the head being read */

    struct buf *out; /* during h2_take() */
    size_t out_from, enough;
    bool paused;
    uint64_t given; /* bytes by earlier h2_take()s */

    err failed; /* nghttp2 may not be used any more */
    bool said_goodbye;
    bool refused_peer; /* nghttp2 has sent a GOAWAY with an error */
    bool ready, leaving, said_leaving, pinged_to_leave;
    bool lost;
};

struct link_stream {
    struct h2 *h2;
    struct link_stream *next, *prev; /* live or dead */
    struct link_stream *tell_next;
    void *owner;
    struct queue queue;
    size_t unconsumed;
    uint64_t head_at; /* client: where in the output the request's head began */
    int32_t id;
    uint32_t code;
    bool over; /* dead to its user */
    bool head_left, head_given, ended, sent_all;
    bool got_head, got_all;
    bool deferred, was_full, to_tell;
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

static err stream_new(struct link_stream **out, struct h2 *h, void *owner)
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

static void stream_bury(struct link_stream *s)
{
    struct h2 *h = s->h2;
    s->over = true;
    queue_clear(&s->queue);
    stream_unlink(&h->live, s);
    h->live_n--;
    stream_link(&h->dead, s);
}

static void stream_close(struct link_stream *s, enum link_close why)
{
    stream_bury(s);
    s->h2->events->closed(s, why);
}

static struct link_stream *stream_of(struct h2 *h, int32_t id)
{
    return nghttp2_session_get_stream_user_data(h->session, id);
}

static void fail(struct h2 *h, enum err_code code)
{
    if (err_is_ok(h->failed))
        h->failed = err_raise(code, __FILE__, __func__, __LINE__);
}

static bool usable(const struct h2 *h)
{
    return err_is_ok(h->failed) && !h->lost;
}

static void wake(struct h2 *h)
{
    h->events->wake(h->owner);
}

static void reset(struct h2 *h, int32_t id, uint32_t code)
{
    if (nghttp2_submit_rst_stream(h->session, NGHTTP2_FLAG_NONE, id, code) != 0)
        fail(h, ERR_NOMEM);
}

/* ---- rates ---- */

static void rate_init(struct rate *r, uint32_t per_s)
{
    *r = (struct rate){ .per_s = per_s, .milli = (uint64_t)per_s * SAVED_S * 1000 };
}

static bool rate_take(struct rate *r, uint64_t now_ms)
{
    if (r->per_s == 0)
        return true;
    uint64_t full = (uint64_t)r->per_s * SAVED_S * 1000;
    uint64_t passed_ms = now_ms > r->at_ms ? now_ms - r->at_ms : 0;
    if (passed_ms > (uint64_t)SAVED_S * 1000)
        passed_ms = (uint64_t)SAVED_S * 1000;
    r->at_ms = now_ms;
    r->milli += passed_ms * r->per_s;
    if (r->milli > full)
        r->milli = full;
    if (r->milli < 1000)
        return false;
    r->milli -= 1000;
    return true;
}

static struct rate *rate_of(struct h2 *h, const nghttp2_frame_hd *hd)
{
    switch (hd->type) {
    case NGHTTP2_DATA:
        return hd->length > 0 || (hd->flags & NGHTTP2_FLAG_END_STREAM) != 0 ? NULL : &h->others;
    case NGHTTP2_HEADERS:
        return &h->heads;
    case NGHTTP2_SETTINGS:
        return (hd->flags & NGHTTP2_FLAG_ACK) != 0 ? &h->others : &h->settings_frames;
    case NGHTTP2_PING:
        return (hd->flags & NGHTTP2_FLAG_ACK) != 0 ? &h->others : &h->pings;
    case NGHTTP2_RST_STREAM:
        return &h->resets;
    default:
        return &h->others;
    }
}

static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *hd, void *arg)
{
    (void)session;
    struct h2 *h = arg;
    struct rate *r = rate_of(h, hd);
    h->continuations = hd->type == NGHTTP2_CONTINUATION ? h->continuations + 1 : 0;
    if (h->continuations <= H2_CONTINUATIONS_MAX && (r == NULL || rate_take(r, h->now_ms)))
        return 0;
    fail(h, ERR_LIMIT);
    return NGHTTP2_ERR_CALLBACK_FAILURE;
}

/* ---- reading a head ---- */

/* Trailers are not collected, and of a client's heads only those before the first that is final. */
static bool is_head(const struct h2 *h, const nghttp2_frame *frame)
{
    if (frame->hd.type != NGHTTP2_HEADERS)
        return false;
    if (h->settings.server)
        return frame->headers.cat == NGHTTP2_HCAT_REQUEST;
    const struct link_stream *s =
        nghttp2_session_get_stream_user_data(h->session, frame->hd.stream_id);
    return s != NULL && !s->got_head;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    (void)session;
    struct h2 *h = arg;
    if (!is_head(h, frame))
        return 0;
    if (h->head.room == NULL)
        h->head.room = mem_alloc(LINK_HEAD_MAX);
    if (h->head.room == NULL) {
        fail(h, ERR_NOMEM);
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    h->head = (struct head){ .room = h->head.room };
    return 0;
}

static bool keep_bytes(struct head *head, bytes in, bytes *out)
{
    if (in.len > LINK_HEAD_MAX - head->len)
        return false;
    memcpy(head->room + head->len, in.at, in.len);
    *out = bytes_of(head->room + head->len, in.len);
    head->len += in.len;
    return true;
}

/* nghttp2 has checked that a status is three digits, and that pseudo-fields are known and single. */
static bool keep_pseudo(struct head *head, bytes name, bytes value)
{
    if (bytes_equal(name, BYTES_LIT(":method")))
        return keep_bytes(head, value, &head->method);
    if (bytes_equal(name, BYTES_LIT(":path")))
        return keep_bytes(head, value, &head->path);
    if (bytes_equal(name, BYTES_LIT(":authority")))
        return keep_bytes(head, value, &head->authority);
    if (bytes_equal(name, BYTES_LIT(":status")) && value.len == 3)
        head->status =
            (unsigned)((value.at[0] - '0') * 100 + (value.at[1] - '0') * 10 + (value.at[2] - '0'));
    return true;
}

static bool keep_field(struct head *head, bytes name, bytes value)
{
    if (name.len > 0 && name.at[0] == ':')
        return keep_pseudo(head, name, value);
    if (head->fields_n == LINK_FIELDS_MAX)
        return false;
    struct link_field *f = &head->fields[head->fields_n];
    if (!keep_bytes(head, name, &f->name) || !keep_bytes(head, value, &f->value))
        return false;
    head->fields_n++;
    return true;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *arg)
{
    (void)session;
    (void)flags;
    struct h2 *h = arg;
    if (!is_head(h, frame))
        return 0;
    /* Refusing makes nghttp2 reset this stream and read on. */
    bool kept = keep_field(&h->head, bytes_of(name, name_len), bytes_of(value, value_len));
    return kept ? 0 : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

/* ---- what a complete frame means ---- */

static void got_all(struct link_stream *s)
{
    s->got_all = true;
    s->h2->events->end(s);
}

static void got_request(struct h2 *h, const nghttp2_frame *frame)
{
    struct link_stream *s;
    int32_t id = frame->hd.stream_id;
    bool end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    if (h->head.path.len == 0) {
        reset(h, id, NGHTTP2_PROTOCOL_ERROR);
        return;
    }
    if (!err_is_ok(stream_new(&s, h, NULL))) {
        reset(h, id, NGHTTP2_INTERNAL_ERROR);
        return;
    }
    s->id = id;
    s->got_head = true;
    (void)nghttp2_session_set_stream_user_data(h->session, id, s);
    const struct link_request req = { .method = h->head.method,
                                      .authority = h->head.authority,
                                      .path = h->head.path,
                                      .fields = h->head.fields,
                                      .fields_n = h->head.fields_n,
                                      .end = end };
    h->events->request(h->owner, s, &req);
    if (end && !s->over)
        got_all(s);
}

static void got_answer(struct h2 *h, const nghttp2_frame *frame, struct link_stream *s)
{
    if (h->head.status >= 200) {
        s->got_head = true;
        h->events->head(s, h->head.status, h->head.fields, h->head.fields_n);
    }
    if (!s->over && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0)
        got_all(s);
}

static void got_headers(struct h2 *h, const nghttp2_frame *frame)
{
    if (h->settings.server && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        got_request(h, frame);
        return;
    }
    struct link_stream *s = stream_of(h, frame->hd.stream_id);
    if (s == NULL)
        return;
    if (!s->got_head)
        got_answer(h, frame, s);
    else if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0)
        got_all(s);
}

static void got_data_frame(struct h2 *h, const nghttp2_frame *frame)
{
    struct link_stream *s = stream_of(h, frame->hd.stream_id);
    if (s != NULL && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0)
        got_all(s);
}

static void got_settings(struct h2 *h, const nghttp2_frame *frame)
{
    if ((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0 || h->ready)
        return;
    h->ready = true;
    h->events->ready(h->owner);
}

/* Unsent requests are the newest, and those stand first. */
static struct link_stream *first_unsent(struct h2 *h)
{
    struct link_stream *s = h->live;
    while (s != NULL && s->head_left)
        s = s->next;
    return s;
}

/* nghttp2 closes the streams above the last id itself, but would keep requests that it never sent
 * until it next tries to. */
static void got_goaway(struct h2 *h)
{
    bool first = !h->leaving;
    h->leaving = true;
    for (struct link_stream *s; !h->settings.server && (s = first_unsent(h)) != NULL;) {
        (void)nghttp2_session_set_stream_user_data(h->session, s->id, NULL);
        stream_close(s, LINK_REFUSED);
    }
    if (first)
        h->events->leaving(h->owner);
}

static void got_pong(struct h2 *h, const nghttp2_frame *frame)
{
    if ((frame->hd.flags & NGHTTP2_FLAG_ACK) == 0 || !h->pinged_to_leave)
        return;
    h->pinged_to_leave = false;
    int32_t last = nghttp2_session_get_last_proc_stream_id(h->session);
    if (nghttp2_submit_goaway(h->session, NGHTTP2_FLAG_NONE, last, NGHTTP2_NO_ERROR, NULL, 0) != 0)
        fail(h, ERR_NOMEM);
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    (void)session;
    struct h2 *h = arg;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        got_headers(h, frame);
        break;
    case NGHTTP2_DATA:
        got_data_frame(h, frame);
        break;
    case NGHTTP2_SETTINGS:
        got_settings(h, frame);
        break;
    case NGHTTP2_GOAWAY:
        got_goaway(h);
        break;
    case NGHTTP2_PING:
        got_pong(h, frame);
        break;
    default:
        break;
    }
    return 0;
}

static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                         size_t len, void *arg)
{
    (void)flags;
    struct h2 *h = arg;
    if (nghttp2_session_consume_connection(session, len) != 0)
        fail(h, ERR_NOMEM);
    struct link_stream *s = stream_of(h, id);
    if (s == NULL)
        return 0;
    s->unconsumed += len;
    h->events->data(s, bytes_of(data, len));
    return 0;
}

static enum link_close why_closed(const struct link_stream *s, uint32_t code)
{
    bool server = s->h2->settings.server;
    if (code == NGHTTP2_NO_ERROR && (server ? s->sent_all : s->got_all))
        return LINK_DONE;
    if (code == NGHTTP2_REFUSED_STREAM && !server && !s->got_head)
        return LINK_REFUSED;
    return LINK_RESET;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *arg)
{
    (void)session;
    struct h2 *h = arg;
    struct link_stream *s = stream_of(h, id);
    if (s == NULL)
        return 0;
    s->code = code;
    stream_close(s, why_closed(s, code));
    return 0;
}

/* ---- sending ---- */

static int on_before_send(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    (void)session;
    struct h2 *h = arg;
    if (frame->hd.type != NGHTTP2_HEADERS)
        return 0;
    struct link_stream *s = stream_of(h, frame->hd.stream_id);
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
    struct link_stream *s = stream_of(h, frame->hd.stream_id);
    if (s == NULL)
        return 0;
    s->sent_all = true;
    /* RFC 9113 8.1: a complete answer may be followed by RST_STREAM(NO_ERROR) when the rest of the
     * request is not wanted. */
    if (h->settings.server && !s->got_all)
        reset(h, s->id, NGHTTP2_NO_ERROR);
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
    stream_close(s, LINK_REFUSED);
    return 0;
}

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

static ssize_t on_read(nghttp2_session *session, int32_t id, uint8_t *room, size_t len,
                       uint32_t *flags, nghttp2_data_source *source, void *arg)
{
    (void)session;
    (void)room;
    (void)source;
    struct link_stream *s = stream_of(arg, id);
    if (s == NULL)
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
    struct link_stream *s = stream_of(h, frame->hd.stream_id);
    if (s == NULL)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    if (!err_is_ok(buf_add(h->out, bytes_of(head, FRAME_HEAD_LEN))) ||
        !err_is_ok(queue_move(&s->queue, len, h->out)))
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    tell_later(s);
    if (h->out->len < h->enough)
        return 0;
    h->paused = true;
    return NGHTTP2_ERR_PAUSE;
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

static void set_callbacks(nghttp2_session_callbacks *c)
{
    nghttp2_session_callbacks_set_on_begin_frame_callback(c, on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(c, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(c, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(c, on_frame_recv);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, on_data_chunk);
    nghttp2_session_callbacks_set_on_stream_close_callback(c, on_stream_close);
    nghttp2_session_callbacks_set_before_frame_send_callback(c, on_before_send);
    nghttp2_session_callbacks_set_on_frame_send_callback(c, on_sent);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(c, on_not_sent);
    nghttp2_session_callbacks_set_data_source_read_length_callback(c, on_read_length);
    nghttp2_session_callbacks_set_send_data_callback(c, on_send_data);
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
    nghttp2_option_set_max_continuations(o, FRAME_HEAD_LEN * (H2_CONTINUATIONS_MAX + 1));
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
        set_callbacks(callbacks);
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
    rate_init(&h->heads, h->settings.heads_per_s);
    rate_init(&h->settings_frames, h->settings.settings_per_s);
    rate_init(&h->pings, h->settings.pings_per_s);
    rate_init(&h->resets, h->settings.resets_per_s);
    rate_init(&h->others, h->settings.others_per_s);
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
        fail(h, kind_of(n));
    return h->failed;
}

static uint32_t goodbye_code(err why)
{
    if (why.code == ERR_LIMIT)
        return NGHTTP2_ENHANCE_YOUR_CALM;
    return why.code == ERR_MALFORMED ? NGHTTP2_PROTOCOL_ERROR : NGHTTP2_INTERNAL_ERROR;
}

/* RFC 9113 6.8: length 8, type 7, no flags, stream 0; last stream id; error code. */
static err goodbye(struct h2 *h, struct buf *out)
{
    static const uint8_t head[FRAME_HEAD_LEN] = { 0, 0, 8, NGHTTP2_GOAWAY };
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
            fail(h, n == NGHTTP2_ERR_NOMEM ? ERR_NOMEM : ERR_INTERNAL);
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
        fail(h, e.code);
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
        stream_close(s, unsent ? LINK_REFUSED : LINK_LOST);
    }
}

void h2_ping(struct h2 *h)
{
    if (!usable(h))
        return;
    if (nghttp2_submit_ping(h->session, NGHTTP2_FLAG_NONE, NULL) != 0)
        fail(h, ERR_NOMEM);
    wake(h);
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
    if (!usable(h) || h->said_leaving)
        return;
    h->said_leaving = true;
    if (announce_leaving(h) != 0)
        fail(h, ERR_NOMEM);
    wake(h);
}

bool h2_finished(const struct h2 *h)
{
    if (!usable(h))
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

bool h2_worn_out(const struct h2 *h)
{
    return !h->settings.server && usable(h) &&
           nghttp2_session_get_next_stream_id(h->session) > LAST_ID_SOON;
}

bool h2_flooded(const struct h2 *h)
{
    return usable(h) && nghttp2_session_get_outbound_queue_size(h->session) >
                            BACKLOG_MAX + 2 * (size_t)h->settings.streams_max;
}

size_t h2_streams(const struct h2 *h)
{
    return h->live_n;
}

size_t h2_room(const struct h2 *h)
{
    if (!usable(h) || !h->ready || h->leaving || h->said_leaving)
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
    return (nghttp2_nv){ .name = (uint8_t *)(uintptr_t)name.at,
                         .namelen = name.len,
                         .value = (uint8_t *)(uintptr_t)value.at,
                         .valuelen = value.len };
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
    TRY(stream_new(&s, h, owner));
    err e = submit(s, req);
    if (!err_is_ok(e)) {
        stream_bury(s);
        return e;
    }
    wake(h);
    *out = s;
    return OK;
}

err h2_stream_respond(struct link_stream *s, unsigned status, const struct link_field *fields,
                      size_t n, bool end)
{
    struct h2 *h = s->h2;
    ENSURE(!s->over && usable(h), CLOSED);
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
    wake(h);
    return OK;
}

/* ---- bodies ---- */

static err check_writable(const struct link_stream *s)
{
    ENSURE(!s->over && usable(s->h2), CLOSED);
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
            fail(h, ERR_NOMEM);
    }
    wake(h);
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
    if (s->over || !usable(h))
        return;
    if (n > s->unconsumed)
        n = s->unconsumed;
    s->unconsumed -= n;
    if (n == 0 || s->got_all)
        return;
    if (nghttp2_session_consume_stream(h->session, s->id, n) != 0)
        fail(h, ERR_NOMEM);
    wake(h);
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
    if (usable(h)) {
        (void)nghttp2_session_set_stream_user_data(h->session, s->id, NULL);
        reset(h, s->id, code_of(code));
    }
    stream_bury(s);
    wake(h);
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
