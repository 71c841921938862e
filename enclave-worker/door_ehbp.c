#include "enclave-worker/door_ehbp.h"

#include "base/mem.h"
#include "base/text.h"
#include "enclave-worker/answer.h"
#include "wire/ehbp.h"
#include "wire/names.h"

enum {
    FIELDS_OF_OURS = 5,          /* beside an answer's own */
    FRAME_SLACK = 64,            /* a frame's head and tag */
    RECEIPT_FIELD_MAX = 8 * 1024 /* of one head, with all else */
};

struct door_ehbp {
    struct door door;
    struct ehbp_server *ehbp;
    size_t opened; /* bytes behind the content, not yet a part of it */
    bool ended;    /* all of the request has opened */
};

static struct door_ehbp *ehbp_of(struct door *d)
{
    return CONTAINER_OF(d, struct door_ehbp, door);
}

static const struct door_ehbp *const_ehbp_of(const struct door *d)
{
    return CONTAINER_OF(d, const struct door_ehbp, door);
}

/* ---- opening ---- */

static bool is_verified(const struct door *d)
{
    return ehbp_server_verified(const_ehbp_of(d)->ehbp);
}

static uint64_t own(const struct door *d)
{
    return ehbp_server_pending(const_ehbp_of(d)->ehbp);
}

static err open_more(struct door *d, bytes in, bool end)
{
    struct door_ehbp *e = ehbp_of(d);
    size_t before = d->content.len;
    err why = ehbp_server_open(e->ehbp, in, end, &d->content);
    e->opened = d->content.len - before;
    d->content.len = before;
    TRY(why);
    e->ended = end;
    return is_verified(d) ? OK : door_count(d); /* else read() does */
}

static err read_opened(struct door *d, bool *whole)
{
    const struct door_ehbp *e = ehbp_of(d);
    TRY(door_fits(d, e->opened));
    buf_commit(&d->content, e->opened);
    TRY(door_count(d));
    *whole = e->ended;
    return OK;
}

static bytes enc_of(const struct door *d)
{
    return ehbp_server_enc(const_ehbp_of(d)->ehbp);
}

/* A first frame that does not open may be sealed to a key that is gone: its client is to fetch the
 * present one. What lengths say in the clear is answered as what it is. */
static struct door_refusal refusal(const struct door *d, err why)
{
    if (why.code == ERR_CRYPTO && !is_verified(d))
        return (struct door_refusal){ 422, PROBLEM_EHBP_KEY, "key configuration mismatch" };
    if (why.code == ERR_LIMIT)
        return (struct door_refusal){ 413, "about:blank", "the request is too large" };
    if (why.code == ERR_UNAVAILABLE)
        return (struct door_refusal){ 503, "about:blank", "too many requests; try again" };
    return (struct door_refusal){ 400, "about:blank", "the sealed request cannot be opened" };
}

/* ---- sealing ---- */

/* Not what is about one connection, which is not the client's; nor how the content is written, since
 * every reader of HTTP would undo that on the sealed bytes. */
static bool is_for_client(bytes name)
{
    return !bytes_equal(name, BYTES_LIT("connection")) &&
           !bytes_equal(name, BYTES_LIT("content-encoding"));
}

static err write_receipt(struct door_ehbp *e, bytes receipt, struct buf *value)
{
    BUF_AUTO sealed = BUF(RECEIPT_FIELD_MAX);
    if (receipt.len == 0)
        return OK;
    TRY(ehbp_server_seal_receipt(e->ehbp, receipt, &sealed));
    return text_base64url_encode(value, buf_view(&sealed));
}

/* The answer's own head, and what opens it. */
static err respond(struct door_ehbp *e, struct link_stream *s, const struct answer *a,
                   bytes receipt)
{
    char nonce[EHBP_HEX_LEN + 1];
    struct link_field fields[ENGINE_FIELDS_MAX + FIELDS_OF_OURS];
    size_t n = 0;
    BUF_AUTO value = BUF(RECEIPT_FIELD_MAX);
    if (e->door.responded)
        return OK;
    TRY(ehbp_server_nonce(e->ehbp, nonce));
    TRY(write_receipt(e, receipt, &value));
    for (size_t i = 0; i < a->outer.head.fields_n; i++) {
        const struct bhttp_field *f = &a->outer.head.fields[i];
        if (is_for_client(f->name))
            fields[n++] = (struct link_field){ f->name, f->value };
    }
    fields[n++] = (struct link_field){ BYTES_LIT(FIELD_EHBP_NONCE), bytes_str(nonce) };
    fields[n++] =
        (struct link_field){ BYTES_LIT(FIELD_CACHE_CONTROL), BYTES_LIT(CACHE_CONTROL_NO_STORE) };
    if (a->sse)
        fields[n++] =
            (struct link_field){ BYTES_LIT(FIELD_ACCEL_BUFFERING), BYTES_LIT(ACCEL_BUFFERING_NO) };
    if (value.len > 0)
        fields[n++] = (struct link_field){ BYTES_LIT(FIELD_SEALED_RECEIPT), buf_view(&value) };
    return door_respond(&e->door, s, a->outer.head.status, fields, n);
}

static struct buf room_to_seal(bytes plain)
{
    return BUF(plain.len + (plain.len / EHBP_SENT_MAX + 1) * FRAME_SLACK);
}

static err seal_and_pass(struct door_ehbp *e, struct link_stream *s, bytes plain, bool end)
{
    struct buf sealed = room_to_seal(plain);
    err why = ehbp_server_seal(e->ehbp, plain, &sealed);
    if (why.code == ERR_OK)
        why = door_pass(&e->door, s, &sealed, end);
    buf_clear(&sealed);
    return why;
}

static err seal_whole(struct door_ehbp *e, struct link_stream *s)
{
    struct buf sealed = room_to_seal(buf_view(&e->door.whole));
    err why = ehbp_server_seal(e->ehbp, buf_view(&e->door.whole), &sealed);
    if (why.code == ERR_OK)
        why = door_pass_whole(&e->door, s, &sealed);
    buf_clear(&sealed);
    return why;
}

/* Its last comment is the receipt: what ends before that has been cut. */
static err send_stream(struct door_ehbp *e, struct link_stream *s, const struct door_piece *p)
{
    TRY(respond(e, s, p->answer, (bytes){ 0 }));
    if (p->plain.len == 0 && p->ending == DOOR_GOES_ON)
        return OK;
    return seal_and_pass(e, s, p->plain, p->ending != DOOR_GOES_ON);
}

static err send_piece(struct door *d, struct link_stream *s, const struct door_piece *p)
{
    struct door_ehbp *e = ehbp_of(d);
    if (p->answer->sse)
        return send_stream(e, s, p);
    ENSURE(p->ending != DOOR_CUT, CLOSED);
    TRY(door_keep(d, p->plain));
    if (p->ending == DOOR_GOES_ON)
        return OK;
    TRY(respond(e, s, p->answer, p->receipt));
    return seal_whole(e, s);
}

/* ---- making one ---- */

static void release(struct door *d)
{
    struct door_ehbp *e = ehbp_of(d);
    ehbp_server_free(e->ehbp);
    mem_free(e);
}

static const struct door_ops OPS = { .open = open_more,
                                     .verified = is_verified,
                                     .enc = enc_of,
                                     .read = read_opened,
                                     .refusal = refusal,
                                     .send = send_piece,
                                     .own = own,
                                     .free = release };

/* All but what is EHBP's own, and what only gateways may say. */
static err keep_head(struct door *d, const struct link_request *req)
{
    struct bhttp_field fields[LINK_FIELDS_MAX];
    struct bhttp_head head = { .is_request = true,
                               .method = req->method,
                               .scheme = BYTES_LIT("https"),
                               .authority = req->authority,
                               .path = req->path,
                               .fields = fields };
    for (size_t i = 0; i < req->fields_n && head.fields_n < LINK_FIELDS_MAX; i++) {
        const struct link_field *f = &req->fields[i];
        if (bytes_starts(f->name, BYTES_LIT("ehbp-")) ||
            bytes_equal(f->name, BYTES_LIT(FIELD_CALLER)))
            continue;
        fields[head.fields_n++] = (struct bhttp_field){ f->name, f->value };
    }
    return kept_head(&d->request, &head);
}

static err open_server(struct door_ehbp *e, bytes key_field)
{
    const struct hpke_private_key *keys[OHTTP_KEYS_MAX];
    const struct worker *w = e->door.worker;
    size_t n = keys_ehbp(w->keys, keys);
    return ehbp_server_new(&e->ehbp, keys, n, key_field, w->settings->body_max);
}

err door_ehbp_new(struct door **out, struct worker *w, enum door_kind kind,
                  const struct link_request *req)
{
    struct door_ehbp *e;
    (void)kind;
    TRY(mem_new(&e));
    e->door = (struct door){ .ops = &OPS,
                             .worker = w,
                             .replay = w->ehbp_replay,
                             .bare = true,
                             .content = BUF(w->settings->body_max + DOOR_PLAIN_SLACK),
                             .whole = BUF(DOOR_WHOLE_MAX) };
    err why = keep_head(&e->door, req);
    if (why.code == ERR_OK)
        why = open_server(e, link_field(req->fields, req->fields_n, FIELD_EHBP_KEY));
    if (why.code != ERR_OK) {
        door_free(&e->door);
        return why;
    }
    *out = &e->door;
    return OK;
}
