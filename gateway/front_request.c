/*
 * The part of the front that a request's owner calls: looking at the request and answering it.
 * Nothing here sends: answers are prepared and front.c hands them to libmicrohttpd, at once when
 * libmicrohttpd is just asking, else at the end of the turn.
 */
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "base/text.h"
#include "gateway/front_private.h"

enum {
    NAME_MAX_LEN = 256,
    BLOCK_CHUNKED = 512,       /* libmicrohttpd allocates a block that it never uses for chunks */
    BLOCK_SIZED = 64 * 1024,   /* for a known length it does use it */
    QUEUE_KEEP = 16 * 1024,    /* a drained queue larger than this gives its memory back */
    QUEUE_COMPACT = 32 * 1024, /* taken bytes at the queue's front that are worth moving away */
};

/* ---- the request ---- */

void front_set_owner(struct front_request *r, void *owner)
{
    r->owner = owner;
}

void *front_owner(const struct front_request *r)
{
    return r->owner;
}

bytes front_method(const struct front_request *r)
{
    return r->method;
}

bytes front_path(const struct front_request *r)
{
    return r->path;
}

bytes front_query(const struct front_request *r)
{
    return r->query;
}

bool front_is_head(const struct front_request *r)
{
    return r->head;
}

bytes front_header(const struct front_request *r, const char *name)
{
    const char *value = NULL;
    size_t len = 0;
    if (MHD_lookup_connection_value_n(r->mhd, MHD_HEADER_KIND, name, strlen(name), &value, &len) !=
            MHD_YES ||
        value == NULL)
        return (bytes){ 0 };
    return text_trim(bytes_of(value, len));
}

struct walk {
    bool (*fn)(void *ctx, bytes name, bytes value);
    void *ctx;
};

static enum MHD_Result on_header(void *cls, enum MHD_ValueKind kind, const char *name,
                                 size_t name_len, const char *value, size_t value_len)
{
    const struct walk *w = cls;
    (void)kind;
    bool more = w->fn(w->ctx, bytes_of(name, name_len), text_trim(bytes_of(value, value_len)));
    return more ? MHD_YES : MHD_NO;
}

void front_headers(const struct front_request *r, bool (*fn)(void *ctx, bytes name, bytes value),
                   void *ctx)
{
    struct walk w = { fn, ctx };
    (void)MHD_get_connection_values_n(r->mhd, MHD_HEADER_KIND, on_header, &w);
}

struct count {
    bytes name;
    size_t n;
};

static bool count_one(void *ctx, bytes name, bytes value)
{
    struct count *c = ctx;
    (void)value;
    c->n += text_equal_nocase(name, c->name);
    return true;
}

size_t front_headers_count(const struct front_request *r, const char *name)
{
    struct count c = { bytes_str(name), 0 };
    front_headers(r, count_one, &c);
    return c.n;
}

uint64_t front_content_length(const struct front_request *r, bool *known)
{
    *known = !r->chunked;
    return r->length;
}

const struct sockaddr *front_peer(const struct front_request *r)
{
    return MHD_get_connection_info(r->mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr;
}

bool front_is_tls(const struct front_request *r)
{
    return r->front->tls;
}

void front_body_pause(struct front_request *r)
{
    r->paused = true;
}

void front_body_resume(struct front_request *r)
{
    r->paused = false;
    front_wake(r);
}

/* ---- the answer ---- */

bool front_answered(const struct front_request *r)
{
    return r->response != NULL && !r->aborted && (!r->pieces || r->ended);
}

bool front_answer_ready(const struct front_request *r)
{
    return r->response != NULL && (!r->mute || r->ended) && !(r->mute && r->aborted);
}

static bool is_reserved(bytes name)
{
    return text_equal_nocase(name, BYTES_LIT("content-length")) ||
           text_equal_nocase(name, BYTES_LIT("transfer-encoding")) ||
           text_equal_nocase(name, BYTES_LIT("connection")) ||
           text_equal_nocase(name, BYTES_LIT("date"));
}

static bool is_name(bytes name)
{
    for (size_t i = 0; i < name.len; i++) {
        if (name.at[i] <= ' ' || name.at[i] >= 0x7f || name.at[i] == ':')
            return false;
    }
    return name.len > 0 && name.len < NAME_MAX_LEN;
}

static bool is_value(bytes value)
{
    for (size_t i = 0; i < value.len; i++) {
        if ((value.at[i] < ' ' && value.at[i] != '\t') || value.at[i] == 0x7f)
            return false;
    }
    return value.len > 0;
}

bool front_takes(const struct front_field *field)
{
    return is_name(field->name) && is_value(field->value) && !is_reserved(field->name) &&
           field->value.len <= FRONT_FIELD_MAX;
}

static err add_field(struct MHD_Response *to, const struct front_field *field, bool trailer)
{
    char name[NAME_MAX_LEN];
    char value[FRONT_FIELD_MAX + 1];
    ENSURE(front_takes(field), MALFORMED);
    memcpy(name, field->name.at, field->name.len);
    name[field->name.len] = 0;
    memcpy(value, field->value.at, field->value.len);
    value[field->value.len] = 0;
    enum MHD_Result added = trailer ? MHD_add_response_footer(to, name, value)
                                    : MHD_add_response_header(to, name, value);
    ENSURE(added == MHD_YES, NOMEM);
    return OK;
}

static err add_fields(struct MHD_Response *to, const struct front_field *fields, size_t n,
                      bool trailers)
{
    size_t len = 0;
    ENSURE(n <= FRONT_FIELDS_MAX, LIMIT);
    for (size_t i = 0; i < n; i++) {
        len += fields[i].name.len + fields[i].value.len;
        ENSURE(fields[i].value.len <= FRONT_FIELD_MAX && len <= FRONT_ANSWER_MAX, LIMIT);
        TRY(add_field(to, &fields[i], trailers));
    }
    return OK;
}

/* The connection ends with this answer. */
static bool is_closing(const struct front_request *r)
{
    return r->chunked || r->refused || r->front->draining || r->front->drain_asked;
}

/* Takes response, also on failure. */
static err prepare(struct front_request *r, struct MHD_Response *response, unsigned status,
                   const struct front_field *fields, size_t n)
{
    ENSURE(response != NULL, NOMEM);
    err e = add_fields(response, fields, n, false);
    if (err_is_ok(e) && is_closing(r) &&
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close") != MHD_YES)
        e = err_raise(ERR_NOMEM, __FILE__, __func__, __LINE__);
    if (!err_is_ok(e)) {
        MHD_destroy_response(response);
        return e;
    }
    r->response = response;
    r->status = status;
    front_wake(r);
    return OK;
}

static err may_answer(const struct front_request *r, unsigned status)
{
    ENSURE(!r->over && !r->aborted, CLOSED);
    ENSURE(r->response == NULL && status >= 200 && status <= 599, INTERNAL);
    return OK;
}

/* Takes body, also on failure. Its memory is wiped when the answer is sent. */
static struct MHD_Response *make_whole(struct buf *body)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer_with_free_callback(body->len, body->at, mem_free);
    if (response == NULL)
        buf_clear(body);
    return response;
}

err front_respond_take(struct front_request *r, unsigned status, const struct front_field *fields,
                       size_t n, struct buf *body)
{
    struct buf taken = *body;
    *body = BUF(body->max);
    err e = may_answer(r, status);
    if (err_is_ok(e))
        return prepare(r, make_whole(&taken), status, fields, n);
    buf_clear(&taken);
    return e;
}

err front_respond(struct front_request *r, unsigned status, const struct front_field *fields,
                  size_t n, bytes body)
{
    struct buf copy = BUF(body.len);
    err e = buf_add(&copy, body);
    if (err_is_ok(e))
        return front_respond_take(r, status, fields, n, &copy);
    buf_clear(&copy);
    return e;
}

static size_t queue_len(const struct front_request *r)
{
    return r->queue.len - r->queue_at;
}

static void queue_drop(struct front_request *r, size_t n)
{
    r->queue_at += n;
    if (r->queue_at < r->queue.len)
        return;
    r->queue_at = 0;
    if (r->queue.cap > QUEUE_KEEP)
        buf_clear(&r->queue);
    else
        buf_truncate(&r->queue, 0);
}

/* From here on the socket sends only full segments, so that what libmicrohttpd writes one after the
 * other leaves together: the head and the first content, the last content and the end of the body. */
static void cork(struct front_request *r, int on)
{
    (void)setsockopt(r->conn->fd, IPPROTO_TCP, TCP_CORK, &on, sizeof on);
    r->corked = on != 0;
}

/* Written by itself the head would leave by itself, before the content that is there already. */
void front_hold_head(struct front_request *r)
{
    if (r->pieces && !r->mute && queue_len(r) > 0)
        cork(r, 1);
}

/* How much may be handed on now. The last byte of a known length waits for front_end(), or the
 * request would be done before its owner says so. */
static size_t sendable(const struct front_request *r, uint64_t pos, size_t max)
{
    size_t n = queue_len(r);
    if (r->total >= 0 && !r->ended && n > 0 && pos + n == (uint64_t)r->total)
        n--;
    return n < max ? n : max;
}

/* libmicrohttpd asks for content of an answer in pieces. */
static ssize_t on_content(void *cls, uint64_t pos, char *room, size_t max)
{
    struct front_request *r = cls;
    size_t n = sendable(r, pos, max);
    if (r->lost)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (n > 0) {
        if (r->ended && r->total < 0 && !r->corked && n == queue_len(r))
            cork(r, 1);
        memcpy(room, r->queue.at + r->queue_at, n);
        queue_drop(r, n);
        if (r->high && queue_len(r) <= FRONT_QUEUE_LOW) {
            r->high = false;
            if (!r->ended && !r->aborted)
                r->front->events->writable(r);
        }
        return (ssize_t)n;
    }
    if (r->aborted) {
        if (r->old && r->total < 0)
            front_reset(r->conn->fd);
        return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    if (r->ended)
        return MHD_CONTENT_READER_END_OF_STREAM;
    if (r->corked)
        cork(r, 0);
    front_suspend(r);
    return 0;
}

static struct MHD_Response *make_pieces(struct front_request *r, int64_t content_length)
{
    if (content_length == 0)
        return MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    if (content_length < 0)
        return MHD_create_response_from_callback(
            MHD_SIZE_UNKNOWN, r->old ? BLOCK_SIZED : BLOCK_CHUNKED, on_content, r, NULL);
    size_t block = content_length < BLOCK_SIZED ? (size_t)content_length : BLOCK_SIZED;
    return MHD_create_response_from_callback((uint64_t)content_length, block, on_content, r, NULL);
}

err front_begin(struct front_request *r, unsigned status, const struct front_field *fields,
                size_t n, int64_t content_length)
{
    TRY(may_answer(r, status));
    r->pieces = true;
    r->total = content_length < 0 ? FRONT_CHUNKED : content_length;
    r->mute = r->head || status == 204 || status == 304 || content_length == 0;
    r->queue = BUF(2 * (size_t)FRONT_QUEUE_MAX);
    err e = prepare(r, make_pieces(r, r->total), status, fields, n);
    if (!err_is_ok(e))
        r->pieces = r->mute = false;
    return e;
}

err front_write(struct front_request *r, bytes data)
{
    ENSURE(!r->over && !r->aborted, CLOSED);
    ENSURE(r->pieces && !r->ended, INTERNAL);
    ENSURE(r->total < 0 || data.len <= (uint64_t)r->total - r->written, LIMIT);
    if (data.len == 0)
        return OK;
    if (!r->mute) {
        ENSURE(data.len <= FRONT_QUEUE_MAX - queue_len(r), LIMIT);
        if (r->queue_at >= QUEUE_COMPACT && r->queue_at >= r->queue.len / 2) {
            buf_drop(&r->queue, r->queue_at);
            r->queue_at = 0;
        }
        TRY(buf_add(&r->queue, data));
        r->high = r->high || queue_len(r) > FRONT_QUEUE_LOW;
        front_wake(r);
    }
    r->written += data.len;
    return OK;
}

size_t front_queued(const struct front_request *r)
{
    return queue_len(r);
}

err front_end(struct front_request *r, const struct front_field *trailers, size_t n)
{
    ENSURE(!r->over && !r->aborted, CLOSED);
    ENSURE(r->pieces && !r->ended, INTERNAL);
    ENSURE(r->mute || r->total < 0 || r->written == (uint64_t)r->total, MALFORMED);
    if (r->total < 0 && !r->mute && !r->old)
        TRY(add_fields(r->response, trailers, n, true));
    r->ended = true;
    front_wake(r);
    return OK;
}

void front_abort(struct front_request *r)
{
    if (r->over || r->aborted || r->ended)
        return;
    r->aborted = true;
    /* a whole answer has no reader that could break it off, and a body may never come */
    if (r->response != NULL ? !r->pieces : !r->suspended)
        (void)shutdown(r->conn->fd, SHUT_RDWR);
    front_wake(r);
    front_soon(r->front);
}

err front_refuse(struct front_request *r, unsigned status, const char *reason)
{
    const struct front_field type = { BYTES_LIT("Content-Type"), BYTES_LIT("application/json") };
    BUF_AUTO body = BUF(512);
    TRY(buf_addf(&body,
                 "{\"error\":{\"message\":\"%s\",\"type\":\"invalid_request_error\","
                 "\"param\":null,\"code\":%s}}",
                 reason, status == 413 ? "\"request_too_large\"" : "null"));
    struct buf taken = body;
    body = BUF(0);
    r->refused = true;
    return prepare(r, make_whole(&taken), status, &type, 1);
}

/* ---- for front.c ---- */

void front_reset(int fd)
{
    /* Disconnecting sends a reset at once. Closing with SO_LINGER would come too late: libmicrohttpd
     * shuts the sending half down first, which a client takes for the end. */
    struct sockaddr none = { .sa_family = AF_UNSPEC };
    (void)connect(fd, &none, sizeof none);
}

void front_request_free(struct front_request *r)
{
    if (r->corked)
        cork(r, 0);
    front_unwake(r);
    if (r->response != NULL)
        MHD_destroy_response(r->response);
    buf_clear(&r->queue);
    mem_free(r);
}
