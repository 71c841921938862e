/* What a peer says: rates, heads, bodies, ends. The essay is in h2.c. */
#include <nghttp2/nghttp2.h>
#include <string.h>

#include "base/mem.h"
#include "wire/h2_own.h"

enum { SAVED_S = 10 }; /* seconds' worth of a rate that may be saved up */

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

void h2_set_rates(struct h2 *h)
{
    rate_init(&h->heads, h->settings.heads_per_s);
    rate_init(&h->settings_frames, h->settings.settings_per_s);
    rate_init(&h->pings, h->settings.pings_per_s);
    rate_init(&h->resets, h->settings.resets_per_s);
    rate_init(&h->others, h->settings.others_per_s);
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
    if (hd->type == NGHTTP2_HEADERS)
        h->in_head_ms = h->now_ms;
    h->in_head = hd->type == NGHTTP2_HEADERS || (hd->type == NGHTTP2_CONTINUATION && h->in_head);
    if (h->continuations <= H2_CONTINUATIONS_MAX && (r == NULL || rate_take(r, h->now_ms)))
        return 0;
    h2_fail(h, ERR_LIMIT);
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
        h2_fail(h, ERR_NOMEM);
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    /* Not the fields themselves: they are two kilobytes, and fields_n says which count. */
    h->head.method = h->head.authority = h->head.path = (bytes){ 0 };
    h->head.len = h->head.fields_n = h->head.status = 0;
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

/* nghttp2's signature. NOLINTNEXTLINE(readability-function-size) */
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
        h2_send_reset(h, id, NGHTTP2_PROTOCOL_ERROR);
        return;
    }
    /* nghttp2 stops reading after the last stream of a peer that said goodbye, but only from the
     * next piece of input on. */
    if (h->leaving) {
        h2_send_reset(h, id, NGHTTP2_REFUSED_STREAM);
        return;
    }
    if (!err_is_ok(h2_stream_new(&s, h, NULL))) {
        h2_send_reset(h, id, NGHTTP2_INTERNAL_ERROR);
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
    struct link_stream *s = h2_stream_of(h, frame->hd.stream_id);
    if (s == NULL)
        return;
    if (!s->got_head)
        got_answer(h, frame, s);
    else if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0)
        got_all(s);
}

static void got_data_frame(struct h2 *h, const nghttp2_frame *frame)
{
    struct link_stream *s = h2_stream_of(h, frame->hd.stream_id);
    if (s != NULL && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0)
        got_all(s);
}

static void got_reset(struct h2 *h, const nghttp2_frame *frame)
{
    struct link_stream *s = h2_stream_of(h, frame->hd.stream_id);
    if (s != NULL)
        s->got_reset = true;
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
        h2_stream_close(s, LINK_REFUSED);
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
        h2_fail(h, ERR_NOMEM);
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    (void)session;
    struct h2 *h = arg;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        h->in_head = false;
        got_headers(h, frame);
        break;
    case NGHTTP2_DATA:
        got_data_frame(h, frame);
        break;
    case NGHTTP2_RST_STREAM:
        got_reset(h, frame);
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
        h2_fail(h, ERR_NOMEM);
    struct link_stream *s = h2_stream_of(h, id);
    if (s == NULL)
        return 0;
    s->unconsumed += len;
    h->events->data(s, bytes_of(data, len));
    return 0;
}

/* HAProxy says REFUSED_STREAM of a request, too, that it passed on whole, when who had it is gone. Streams
 * above GOAWAY's last id are closed with the same code. */
static bool is_undone(const struct link_stream *s, uint32_t code)
{
    return code == NGHTTP2_REFUSED_STREAM && !s->got_head && !(s->got_reset && s->sent_all);
}

static enum link_close why_closed(const struct link_stream *s, uint32_t code)
{
    bool server = s->h2->settings.server;
    if (code == NGHTTP2_NO_ERROR && (server ? s->sent_all : s->got_all))
        return LINK_DONE;
    if (!server && is_undone(s, code))
        return LINK_REFUSED;
    return LINK_RESET;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *arg)
{
    (void)session;
    struct h2 *h = arg;
    struct link_stream *s = h2_stream_of(h, id);
    if (s == NULL)
        return 0;
    s->code = code;
    h2_stream_close(s, why_closed(s, code));
    return 0;
}

void h2_set_receiving(nghttp2_session_callbacks *c)
{
    nghttp2_session_callbacks_set_on_begin_frame_callback(c, on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(c, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(c, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(c, on_frame_recv);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, on_data_chunk);
    nghttp2_session_callbacks_set_on_stream_close_callback(c, on_stream_close);
}
