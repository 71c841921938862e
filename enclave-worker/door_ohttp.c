#include "enclave-worker/door_ohttp.h"

#include "base/mem.h"
#include "wire/names.h"
#include "wire/ohttp.h"

enum {
    RESERVE_MAX = 1024 * 1024, /* of a request's content, on the word of its length alone */
    TAIL_ROOM = 20 * 1024,     /* for what comes behind the content: trailers and padding */
};

struct door_ohttp {
    struct door door;
    enum ohttp_variant variant;
    struct ohttp_server *ohttp;
    struct bhttp_reader *reader;
    enum ohttp_step step;
    bool in_place; /* what is being read was opened where the content goes */
    bool has_pool_tag;
    struct buf apart;
    bytes opened; /* in one of the two */
};

static struct door_ohttp *ohttp_of(struct door *d)
{
    return CONTAINER_OF(d, struct door_ohttp, door);
}

static const struct door_ohttp *const_ohttp_of(const struct door *d)
{
    return CONTAINER_OF(d, const struct door_ohttp, door);
}

/* ---- what is inside ---- */

static err on_head(void *owner, const struct bhttp_head *head)
{
    struct door_ohttp *o = owner;
    return kept_head(&o->door.request, head);
}

/* The content's room is reserved once its length is known. */
static err reserve(struct door *d)
{
    uint8_t *room;
    ENSURE(d->request.head.content_len <= d->worker->settings->body_max, LIMIT);
    size_t len = (size_t)d->request.head.content_len;
    size_t behind = len > OHTTP_CHUNK_MAX ? TAIL_ROOM : 0;
    return buf_reserve(&d->content, (len < RESERVE_MAX ? len : RESERVE_MAX) + behind, &room);
}

static err on_content(void *owner, bytes piece)
{
    struct door_ohttp *o = owner;
    struct door *d = &o->door;
    if (d->content.cap == 0 && d->request.head.content_known)
        TRY(reserve(d));
    TRY(door_fits(d, piece.len));
    if (!o->in_place)
        return buf_add(&d->content, piece);
    ENSURE(piece.at == d->content.at + d->content.len, INTERNAL);
    buf_commit(&d->content, piece.len);
    return OK;
}

static err on_trailers(void *owner, const struct bhttp_field *fields, size_t n)
{
    (void)owner;
    (void)fields;
    (void)n;
    return OK;
}

static const struct bhttp_events INNER = { .head = on_head,
                                           .content = on_content,
                                           .trailers = on_trailers };

/* ---- opening ---- */

static bool is_verified(const struct door *d)
{
    return ohttp_server_verified(const_ohttp_of(d)->ohttp);
}

/* Once the content has begun, and its length is known, all that is opened is content until there is
 * only the end left: so it is opened where it belongs. What is not taken from there stays behind the
 * content, and goes with it. */
static struct buf *room_to_open(struct door_ohttp *o, bytes in)
{
    uint8_t *room;
    o->in_place = o->door.request.head.content_known && o->door.content.len > 0;
    if (o->in_place)
        return &o->door.content;
    /* What comes of it together with the beginning of a chunk that came before. */
    if (in.len > OHTTP_CHUNK_MAX)
        (void)buf_reserve(&o->apart, in.len + OHTTP_CHUNK_MAX, &room);
    return &o->apart;
}

/* Right behind the call that read the key's id, since keys may change with every turn. A tag that
 * stays zero is no pool's. */
static void note_pool_key(struct door_ohttp *o)
{
    uint8_t id;
    struct door *d = &o->door;
    if (d->pool == NULL || o->has_pool_tag || !ohttp_server_key_id(o->ohttp, &id))
        return;
    o->has_pool_tag = true;
    (void)keys_tag(d->worker->keys, id, d->pool_tag);
}

static err open_more(struct door *d, bytes in, bool end)
{
    struct door_ohttp *o = ohttp_of(d);
    struct buf *plain = room_to_open(o, in);
    size_t before = plain->len;
    err e = ohttp_server_open(o->ohttp, in, end, plain, &o->step);
    o->opened = bytes_slice(buf_view(plain), before, plain->len - before);
    plain->len = before;
    note_pool_key(o);
    TRY(e);
    return is_verified(d) ? OK : door_count(d); /* else read() does */
}

static err read_opened(struct door *d, bool *whole)
{
    struct door_ohttp *o = ohttp_of(d);
    err e = bhttp_reader_put(o->reader, o->opened);
    buf_clear(&o->apart);
    if (e.code == ERR_OK)
        e = door_count(d);
    *whole = o->step == OHTTP_DONE;
    if (e.code != ERR_OK || !*whole)
        return e;
    e = bhttp_reader_end(o->reader);
    bhttp_reader_free(o->reader);
    o->reader = NULL;
    return e;
}

static bytes enc_of(const struct door *d)
{
    return ohttp_server_enc(const_ohttp_of(d)->ohttp);
}

/* What is opened apart is gone within the same call. */
static uint64_t own(const struct door *d)
{
    return ohttp_server_pending(const_ohttp_of(d)->ohttp);
}

/* One answer for all causes, but for a key that is not ours, which is decided before any decryption,
 * and for want of room, which has nothing to do with what came. */
static struct door_refusal refusal(const struct door *d, err why)
{
    (void)d;
    if (why.code == ERR_NOT_FOUND)
        return (struct door_refusal){ 422, PROBLEM_OHTTP_KEY,
                                      "the key configuration is not in use" };
    if (why.code == ERR_UNAVAILABLE)
        return (struct door_refusal){ 503, "about:blank", "too many requests; try again" };
    return (struct door_refusal){ 400, "about:blank", "the sealed request cannot be opened" };
}

/* ---- sealing ---- */

static err respond(struct door_ohttp *o, struct link_stream *s)
{
    bool chunked = o->variant == OHTTP_CHUNKED;
    const struct link_field fields[] = {
        { BYTES_LIT(FIELD_CONTENT_TYPE),
          chunked ? BYTES_LIT(MEDIA_OHTTP_CHUNKED_RES) : BYTES_LIT(MEDIA_OHTTP_RES) },
        { BYTES_LIT(FIELD_CACHE_CONTROL), BYTES_LIT(CACHE_CONTROL_NO_STORE) },
        { BYTES_LIT(FIELD_INCREMENTAL), BYTES_LIT(INCREMENTAL_YES) },
        { BYTES_LIT(FIELD_ACCEL_BUFFERING), BYTES_LIT(ACCEL_BUFFERING_NO) },
    };
    return door_respond(&o->door, s, 200, fields, chunked ? ARRAY_LEN(fields) : 2);
}

static err send_chunked(struct door *d, struct link_stream *s, const struct door_piece *p)
{
    struct door_ohttp *o = ohttp_of(d);
    TRY(respond(o, s));
    if (p->plain.len == 0 && p->ending == DOOR_GOES_ON)
        return OK;
    struct buf sealed = BUF(LINK_QUEUE_MAX);
    err e = ohttp_server_seal(o->ohttp, p->plain, false, &sealed);
    if (e.code == ERR_OK && p->ending == DOOR_COMPLETE)
        e = ohttp_server_seal(o->ohttp, (bytes){ 0 }, true, &sealed);
    if (e.code == ERR_OK)
        e = door_pass(d, s, &sealed, p->ending != DOOR_GOES_ON);
    buf_clear(&sealed);
    return e;
}

/* One sealed piece, or none. */
static err send_plain(struct door *d, struct link_stream *s, const struct door_piece *p)
{
    struct door_ohttp *o = ohttp_of(d);
    ENSURE(p->ending != DOOR_CUT, CLOSED);
    TRY(door_keep(d, p->plain));
    if (p->ending == DOOR_GOES_ON)
        return OK;
    TRY(respond(o, s));
    struct buf sealed = BUF(d->whole.len + DOOR_PLAIN_SLACK);
    err e = ohttp_server_seal(o->ohttp, buf_view(&d->whole), true, &sealed);
    if (e.code == ERR_OK)
        e = door_pass_whole(d, s, &sealed);
    buf_clear(&sealed);
    return e;
}

/* ---- making one ---- */

static void release(struct door *d)
{
    struct door_ohttp *o = ohttp_of(d);
    ohttp_server_free(o->ohttp);
    bhttp_reader_free(o->reader);
    buf_clear(&o->apart);
    mem_free(o);
}

static const struct door_ops CHUNKED = { .open = open_more,
                                         .verified = is_verified,
                                         .enc = enc_of,
                                         .read = read_opened,
                                         .refusal = refusal,
                                         .send = send_chunked,
                                         .own = own,
                                         .free = release };
static const struct door_ops PLAIN = { .open = open_more,
                                       .verified = is_verified,
                                       .enc = enc_of,
                                       .read = read_opened,
                                       .refusal = refusal,
                                       .send = send_plain,
                                       .own = own,
                                       .free = release };

err door_ohttp_new(struct door **out, struct worker *w, enum door_kind kind,
                   const struct link_request *req)
{
    struct door_ohttp *o;
    bool chunked = kind == DOOR_OHTTP_CHUNKED;
    const struct ohttp_limits limits = { .chunk_max = OHTTP_ACCEPT_MAX,
                                         .plain_max = w->settings->body_max + DOOR_PLAIN_SLACK };
    (void)req;
    TRY(mem_new(&o));
    o->door = (struct door){ .ops = chunked ? &CHUNKED : &PLAIN,
                             .worker = w,
                             .replay = w->replay,
                             .dated = true,
                             .pool = w->pool,
                             .content = BUF(w->settings->body_max + DOOR_PLAIN_SLACK),
                             .whole = BUF(DOOR_WHOLE_MAX) };
    o->apart = BUF(o->door.content.max);
    o->variant = chunked ? OHTTP_CHUNKED : OHTTP_PLAIN;
    err e = ohttp_server_new(&o->ohttp, o->variant, keys_ohttp(w->keys));
    if (e.code == ERR_OK)
        e = bhttp_reader_new(&o->reader, true, &INNER, o);
    if (e.code != ERR_OK) {
        door_free(&o->door);
        return e;
    }
    ohttp_server_limit(o->ohttp, &limits);
    *out = &o->door;
    return OK;
}
