#include "gateway/seal.h"

#include "base/mem.h"
#include "base/text.h"
#include "crypto/aead.h"
#include "crypto/hpke.h"
#include "wire/names.h"
#include "wire/padding.h"

enum {
    HEAD_ROOM = 2 * BHTTP_HEAD_MAX,
    PLAIN_SLACK = 256 * 1024,
    RECEIPT_MAX = 65536,
    CHUNK_OVERHEAD = 4 + AEAD_TAG_LEN, /* of a large chunk: its length and its tag */
    CHUNK_SEALED = OHTTP_CHUNK_MAX + CHUNK_OVERHEAD
};

/* What has been sealed so far. */
enum seal_stage { SEAL_HEAD = 0, SEAL_CONTENT, SEAL_TAIL, SEAL_DONE };

struct seal {
    struct ohttp_client *ohttp;
    struct bhttp_reader *reader;
    const struct seal_events *events;
    void *owner;

    enum seal_stage stage;
    struct buf head; /* of the request; first its Binary HTTP head, later what must go with it */
    bytes content;   /* what is left of it */
    size_t padding;

    bool sse; /* only event streams have padding inside their content */
    struct padding_strip strip;
    struct buf receipt;
    bool complete;
};

/* In order of preference; all are offered by our own workers. */
static const uint16_t AEADS[] = { AEAD_AES_256_GCM, AEAD_AES_128_GCM, AEAD_CHACHA20_POLY1305 };

static err choose_aead(const struct key_config *config, uint16_t *aead)
{
    for (size_t i = 0; i < ARRAY_LEN(AEADS); i++) {
        if (key_config_offers(config, HPKE_KDF_HKDF_SHA256, AEADS[i])) {
            *aead = AEADS[i];
            return OK;
        }
    }
    FAIL(UNSUPPORTED);
}

static err write_head(struct seal *s, const char *worker, const struct seal_request *request)
{
    const struct bhttp_head head = { .is_request = true,
                                     .method = request->method,
                                     .scheme = BYTES_LIT("https"),
                                     .authority = bytes_str(worker),
                                     .path = request->path,
                                     .fields = request->fields,
                                     .fields_n = request->fields_n };
    TRY(bhttp_write_request_head(&s->head, &head, true));
    TRY(bhttp_write_content_len(&s->head, request->content.len));
    /* one byte of trailer section: none */
    size_t len = s->head.len + request->content.len + 1;
    s->padding = padding_bucket(len) - len;
    s->content = request->content;
    return OK;
}

/* ---- the answer ---- */

static err on_head(void *owner, const struct bhttp_head *head)
{
    struct seal *s = owner;
    const struct bhttp_field *type = bhttp_find(head->fields, head->fields_n, FIELD_CONTENT_TYPE);
    if (head->status < 200)
        return OK;
    s->sse = type != NULL && text_equal_nocase(bytes_slice(type->value, 0, sizeof MEDIA_SSE - 1),
                                               BYTES_LIT(MEDIA_SSE));
    return s->events->head(s->owner, head);
}

static err on_content(void *owner, bytes in)
{
    struct seal *s = owner;
    bytes piece;
    if (!s->sse)
        return s->events->content(s->owner, in);
    while (padding_strip_next(&s->strip, &in, &piece))
        TRY(s->events->content(s->owner, piece));
    return OK;
}

/* A structured-field byte sequence: base64 between colons (RFC 8941 section 3.3.5). */
static err read_receipt(const struct bhttp_field *field, struct buf *receipt)
{
    bytes v = field->value;
    ENSURE(v.len >= 2 && v.at[0] == ':' && v.at[v.len - 1] == ':', MALFORMED);
    return text_base64_decode(receipt, bytes_slice(v, 1, v.len - 2));
}

/* Kept until the final chunk has opened: before that nothing says that this is all. */
static err on_trailers(void *owner, const struct bhttp_field *fields, size_t n)
{
    struct seal *s = owner;
    const struct bhttp_field *field = bhttp_find(fields, n, TRAILER_RECEIPT);
    return field != NULL ? read_receipt(field, &s->receipt) : OK;
}

static const struct bhttp_events EVENTS = { .head = on_head,
                                            .content = on_content,
                                            .trailers = on_trailers };

err seal_new(struct seal **out, const struct trusted *to, const struct seal_request *request,
             const struct seal_events *events, void *owner)
{
    struct seal *s;
    uint16_t aead;
    TRY(choose_aead(&to->config, &aead));
    TRY(mem_new(&s));
    s->events = events;
    s->owner = owner;
    s->head = BUF(HEAD_ROOM);
    s->receipt = BUF(RECEIPT_MAX);
    err e = write_head(s, to->name, request);
    if (e.code == ERR_OK)
        e = ohttp_client_new(&s->ohttp, OHTTP_CHUNKED, &to->config, aead, NULL);
    if (e.code == ERR_OK)
        e = bhttp_reader_new(&s->reader, false, &EVENTS, s);
    if (e.code != ERR_OK) {
        seal_free(s);
        return e;
    }
    const struct ohttp_limits limits = { .chunk_max = OHTTP_ACCEPT_MAX };
    ohttp_client_limit(s->ohttp, &limits);
    *out = s;
    return OK;
}

void seal_free(struct seal *s)
{
    if (s == NULL)
        return;
    ohttp_client_free(s->ohttp);
    bhttp_reader_free(s->reader);
    buf_clear(&s->head);
    buf_clear(&s->receipt);
    mem_free(s);
}

/* Small requests: head, content, trailers and padding in one go, so in as few chunks as possible. */
static err seal_small(struct seal *s, struct buf *out)
{
    BUF_AUTO plain = BUF(HEAD_ROOM + 2 * OHTTP_CHUNK_MAX);
    TRY(buf_add(&plain, buf_view(&s->head)));
    TRY(buf_add(&plain, s->content));
    TRY(buf_add_zeros(&plain, 1 + s->padding));
    TRY(ohttp_client_seal(s->ohttp, buf_view(&plain), false, out));
    return ohttp_client_seal(s->ohttp, (bytes){ 0 }, true, out);
}

static err seal_tail(struct seal *s, struct buf *out)
{
    BUF_AUTO plain = BUF(PADDING_BUCKET_STEP + 1);
    TRY(buf_add_zeros(&plain, 1 + s->padding));
    TRY(ohttp_client_seal(s->ohttp, buf_view(&plain), false, out));
    return ohttp_client_seal(s->ohttp, (bytes){ 0 }, true, out);
}

static err seal_content(struct seal *s, size_t room, struct buf *out)
{
    size_t chunks = (room + CHUNK_SEALED - 1) / CHUNK_SEALED;
    size_t fits = room > chunks * CHUNK_OVERHEAD ? room - chunks * CHUNK_OVERHEAD : 0;
    bytes piece = bytes_slice(s->content, 0, fits > OHTTP_CHUNK_MAX ? fits : OHTTP_CHUNK_MAX);
    s->content = bytes_slice(s->content, piece.len, s->content.len);
    return ohttp_client_seal(s->ohttp, piece, false, out);
}

err seal_next(struct seal *s, size_t room, struct buf *out, bool *done)
{
    err e = OK;
    if (s->stage == SEAL_HEAD && s->content.len <= OHTTP_CHUNK_MAX) {
        e = seal_small(s, out);
        s->stage = SEAL_DONE;
    } else if (s->stage == SEAL_HEAD) {
        e = ohttp_client_seal(s->ohttp, buf_view(&s->head), false, out);
        s->stage = SEAL_CONTENT;
    } else if (s->stage == SEAL_CONTENT) {
        e = seal_content(s, room, out);
        s->stage = s->content.len > 0 ? SEAL_CONTENT : SEAL_TAIL;
    } else if (s->stage == SEAL_TAIL) {
        e = seal_tail(s, out);
        s->stage = SEAL_DONE;
    }
    if (s->stage == SEAL_DONE)
        buf_clear(&s->head);
    *done = s->stage == SEAL_DONE;
    return e;
}

static err finish(struct seal *s)
{
    TRY(bhttp_reader_end(s->reader));
    bytes rest = s->sse ? padding_strip_end(&s->strip) : (bytes){ 0 };
    if (rest.len > 0)
        TRY(s->events->content(s->owner, rest));
    s->complete = true;
    return s->events->complete(s->owner, buf_view(&s->receipt));
}

err seal_open(struct seal *s, bytes in, bool end)
{
    BUF_AUTO plain = BUF(in.len + PLAIN_SLACK);
    enum ohttp_step step = OHTTP_MORE;
    ENSURE(!s->complete, CLOSED);
    err e = ohttp_client_open(s->ohttp, in, end, &plain, &step);
    /* What verified before a fault may be shown: it is the worker's. */
    if (plain.len > 0)
        TRY(bhttp_reader_put(s->reader, buf_view(&plain)));
    TRY(e);
    return step == OHTTP_DONE ? finish(s) : OK;
}

err seal_submit(const struct trusted *to, struct link *link, struct link_stream **out, void *owner)
{
    const struct link_field fields[] = {
        { BYTES_LIT(FIELD_CONTENT_TYPE), BYTES_LIT(MEDIA_OHTTP_CHUNKED_REQ) },
        { BYTES_LIT(FIELD_INCREMENTAL), BYTES_LIT(INCREMENTAL_YES) },
        { BYTES_LIT(FIELD_OHTTP_KEY), bytes_str(to->hint) },
        { BYTES_LIT(FIELD_WORKER), bytes_str(to->tag.text) },
    };
    size_t without = worker_tag_is(&to->tag) ? 0 : 1;
    const struct link_request request = { .method = BYTES_LIT("POST"),
                                          .authority = bytes_str(to->name),
                                          .path = BYTES_LIT(PATH_OHTTP_GATEWAY),
                                          .fields = fields,
                                          .fields_n = ARRAY_LEN(fields) - without };
    return link_submit(link, &request, out, owner);
}
