/*
 * The head of a client's request: what of it goes on to the worker, and what speaks against it.
 */
#include "base/mem.h"
#include "base/text.h"
#include "gateway/exchange_private.h"
#include "wire/names.h"

enum { TARGET_MAX = 16 * 1024, REQUEST_FIELDS_MAX = FRONT_HEADERS_MAX };

struct collected {
    struct bhttp_field fields[REQUEST_FIELDS_MAX];
    uint8_t names[FRONT_HEAD_MAX]; /* in lower case */
    size_t names_len;
    size_t n;
};

/* Of what does not simply pass, what make_seal() reads. */
static bool is_for_us(bytes name)
{
    static const char *const names[] = { FIELD_AUTHORIZATION, FIELD_RECEIPT_NONCE,
                                         FIELD_TRACEPARENT, FIELD_TRACESTATE };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (bytes_equal(name, bytes_str(names[i])))
            return true;
    }
    return false;
}

static bool collect(void *ctx, bytes name, bytes value)
{
    struct collected *c = ctx;
    if (c->n == REQUEST_FIELDS_MAX || c->names_len + name.len > sizeof c->names)
        return false;
    uint8_t *lower = c->names + c->names_len;
    for (size_t i = 0; i < name.len; i++)
        lower[i] = name.at[i] >= 'A' && name.at[i] <= 'Z' ? (uint8_t)(name.at[i] + 32) : name.at[i];
    c->names_len += name.len;
    bytes kept = bytes_of(lower, name.len);
    if (kept_passes(kept) || is_for_us(kept))
        c->fields[c->n++] = (struct bhttp_field){ kept, value };
    return true;
}

static void drop_field(struct collected *c, bytes name)
{
    size_t n = 0;
    for (size_t i = 0; i < c->n; i++) {
        if (!text_equal_nocase(c->fields[i].name, name))
            c->fields[n++] = c->fields[i];
    }
    c->n = n;
}

/* What Connection names belongs to this hop only (RFC 9110 section 7.6.1). */
static bool drop_named(void *ctx, bytes name, bytes value)
{
    if (!text_equal_nocase(name, BYTES_LIT("connection")))
        return true;
    while (value.len > 0) {
        size_t comma = text_find(value, BYTES_LIT(","));
        drop_field(ctx, text_trim(bytes_slice(value, 0, comma)));
        value = bytes_slice(value, comma + 1, value.len);
    }
    return true;
}

err exchange_keep_request(struct exchange *x)
{
    struct front_request *r = x->guest.request;
    BUF_AUTO target = BUF(TARGET_MAX);
    BUF_AUTO clean = BUF(TARGET_MAX);
    struct collected *c;
    TRY(buf_add(&target, front_path(r)));
    if (front_query(r).len > 0) {
        TRY(buf_add_u8(&target, '?'));
        TRY(buf_add(&target, front_query(r)));
    }
    TRY(route_write_target(&clean, buf_view(&target)));
    TRY(mem_new(&c));
    front_headers(r, collect, c);
    front_headers(r, drop_named, c);
    const struct bhttp_head head = {
        .is_request = true,
        .method = front_is_head(r) ? BYTES_LIT("GET") : front_method(r),
        .path = buf_view(&clean),
        .fields = c->fields,
        .fields_n = c->n,
    };
    err e = kept_head(&x->request, &head);
    mem_free(c);
    return e;
}

bool exchange_wants_json(const struct exchange *x)
{
    return x->guest.route == ROUTE_CHAT_COMPLETIONS || x->guest.route == ROUTE_COMPLETIONS ||
           x->guest.route == ROUTE_EMBEDDINGS || x->guest.route == ROUTE_RESPONSES;
}

enum error_cause exchange_objection(const struct exchange *x)
{
    uint8_t raw[AIR_NONCE_MAX];
    struct buf nonce = { .max = sizeof raw };
    bytes encoding = kept_field(&x->request, "content-encoding");
    bytes type = kept_field(&x->request, FIELD_CONTENT_TYPE);
    bytes text = kept_field(&x->request, FIELD_RECEIPT_NONCE);
    err e = text_base64url_decode(&nonce, text);
    size_t len = nonce.len;
    buf_clear(&nonce);
    if (encoding.len > 0 && !text_equal_nocase(encoding, BYTES_LIT("identity")))
        return ERROR_CONTENT_ENCODING;
    if (exchange_wants_json(x) && type.len > 0 &&
        !text_equal_nocase(bytes_slice(type, 0, sizeof MEDIA_JSON - 1), BYTES_LIT(MEDIA_JSON)))
        return ERROR_MEDIA_TYPE;
    if (text.len > 0 && (e.code != ERR_OK || len < AIR_NONCE_MIN || len > AIR_NONCE_MAX))
        return ERROR_INVALID_VALUE;
    return ERROR_CAUSES;
}
