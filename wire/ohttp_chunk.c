#include "wire/ohttp_chunk.h"

#include "crypto/secret.h"

#define FINAL_AAD BYTES_LIT("final")

/* nonce XOR I2OSP(i, 12). The message limit keeps seq far from wrapping. */
static void next_nonce(struct chunk_cipher *c, uint8_t nonce[static AEAD_NONCE_LEN])
{
    memcpy(nonce, c->base_nonce, AEAD_NONCE_LEN);
    for (size_t i = 0; i < sizeof c->seq; i++)
        nonce[AEAD_NONCE_LEN - 1 - i] ^= (uint8_t)(c->seq >> (8 * i));
    c->seq++;
}

err chunk_cipher_seal(struct chunk_cipher *c, bytes aad, bytes plain, uint8_t *out)
{
    if (c->hpke != NULL)
        return hpke_seal(c->hpke, aad, plain, out);
    uint8_t nonce[AEAD_NONCE_LEN];
    next_nonce(c, nonce);
    return aead_seal(c->aead, nonce, aad, plain, out);
}

err chunk_cipher_open(struct chunk_cipher *c, bytes aad, bytes sealed, uint8_t *out)
{
    if (c->hpke != NULL)
        return hpke_open(c->hpke, aad, sealed, out);
    uint8_t nonce[AEAD_NONCE_LEN];
    next_nonce(c, nonce);
    return aead_open(c->aead, nonce, aad, sealed, out);
}

bool chunk_cipher_ready(const struct chunk_cipher *c)
{
    return c->hpke != NULL || c->aead != NULL;
}

void chunk_cipher_clear(struct chunk_cipher *c)
{
    aead_free(c->aead);
    secret_wipe(c, sizeof *c);
}

/* Sealing. */

static bool is_last_piece(size_t left, bool final)
{
    return final && left <= OHTTP_CHUNK_MAX;
}

static size_t sealed_len(size_t left, bool final)
{
    size_t total = 0;
    while (left > 0 && !is_last_piece(left, final)) {
        size_t piece = left < OHTTP_CHUNK_MAX ? left : OHTTP_CHUNK_MAX;
        total += varint_size(piece + AEAD_TAG_LEN) + piece + AEAD_TAG_LEN;
        left -= piece;
    }
    return final ? total + 1 + left + AEAD_TAG_LEN : total;
}

/* Behind an optional length, straight from the caller's plaintext into the room of *out. */
static err seal_into(struct chunk_sealer *s, const uint64_t *prefix, bytes aad, bytes plain,
                     struct buf *out)
{
    uint8_t *room;
    if (prefix != NULL)
        TRY(varint_write(out, *prefix));
    TRY(buf_reserve(out, plain.len + AEAD_TAG_LEN, &room));
    TRY(chunk_cipher_seal(&s->cipher, aad, plain, room));
    buf_commit(out, plain.len + AEAD_TAG_LEN);
    return OK;
}

static err seal_chunks(struct chunk_sealer *s, bytes plain, bool final, struct buf *out)
{
    while (plain.len > 0 && !is_last_piece(plain.len, final)) {
        bytes piece = bytes_slice(plain, 0, OHTTP_CHUNK_MAX);
        uint64_t len = piece.len + AEAD_TAG_LEN;
        TRY(seal_into(s, &len, (bytes){ 0 }, piece, out));
        plain = bytes_slice(plain, piece.len, plain.len);
    }
    return final ? seal_into(s, &(uint64_t){ 0 }, FINAL_AAD, plain, out) : OK;
}

err chunk_sealer_put(struct chunk_sealer *s, enum ohttp_variant variant, bytes plain, bool final,
                     struct buf *out)
{
    bool chunked = variant == OHTTP_CHUNKED;
    uint8_t *room;
    ENSURE(chunked || final, INTERNAL);
    ENSURE(plain.len <= OHTTP_MESSAGE_MAX - s->used, LIMIT);
    s->used += plain.len;
    s->ended = final;

    size_t need = chunked ? sealed_len(plain.len, final) : plain.len + AEAD_TAG_LEN;
    TRY(buf_reserve(out, s->lead.len + need, &room));
    TRY(buf_add(out, s->lead));
    s->lead = (bytes){ 0 };
    if (chunked)
        return seal_chunks(s, plain, final, out);
    return seal_into(s, NULL, (bytes){ 0 }, plain, out);
}

/* Opening. */

void chunk_opener_limit(struct chunk_opener *o, const struct ohttp_limits *given)
{
    size_t chunk = given->chunk_max;
    chunk = chunk < OHTTP_CHUNK_MAX ? OHTTP_CHUNK_MAX : chunk;
    o->limits.chunk_max = chunk > OHTTP_ACCEPT_MAX ? OHTTP_ACCEPT_MAX : chunk;
    o->limits.plain_max = given->plain_max > 0 ? given->plain_max : OHTTP_PLAIN_MAX;
}

void chunk_opener_begin(struct chunk_opener *o, enum ohttp_variant variant)
{
    o->variant = variant;
    o->at = variant == OHTTP_CHUNKED ? CHUNK_AT_LENGTH : CHUNK_IN_FINAL;
    o->pending =
        BUF(variant == OHTTP_CHUNKED ? o->limits.chunk_max + AEAD_TAG_LEN : o->limits.plain_max);
}

static err open_chunk(struct chunk_opener *o, bytes aad, bytes sealed, struct buf *plain_out)
{
    uint8_t *room;
    size_t len = sealed.len - AEAD_TAG_LEN;
    ENSURE(len <= OHTTP_MESSAGE_MAX - o->used, LIMIT);
    TRY(buf_reserve(plain_out, len, &room));
    TRY(chunk_cipher_open(&o->cipher, aad, sealed, room));
    buf_commit(plain_out, len);
    o->used += len;
    o->verified = true;
    return OK;
}

/* A length of a tag or less is an empty chunk or none at all: both count as not opening. */
static err take_length(struct chunk_opener *o, bytes *in)
{
    uint64_t len;
    size_t size;
    if (!varint_take(&o->length, in, &len, &size))
        return OK;
    if (len == 0) {
        o->at = CHUNK_IN_FINAL;
        return OK;
    }
    ENSURE(len <= o->limits.chunk_max + AEAD_TAG_LEN, MALFORMED);
    ENSURE(len > AEAD_TAG_LEN, CRYPTO);
    o->chunk_len = (size_t)len;
    o->at = CHUNK_IN_CHUNK;
    return OK;
}

static err take_chunk(struct chunk_opener *o, bytes *in, struct buf *plain_out)
{
    bytes piece;
    if (o->pending.len == 0 && bytes_take(in, o->chunk_len, &piece)) {
        o->at = CHUNK_AT_LENGTH;
        return open_chunk(o, (bytes){ 0 }, piece, plain_out);
    }
    size_t missing = o->chunk_len - o->pending.len;
    (void)bytes_take(in, in->len < missing ? in->len : missing, &piece);
    TRY(buf_add(&o->pending, piece));
    if (o->pending.len < o->chunk_len)
        return OK;
    o->at = CHUNK_AT_LENGTH;
    TRY(open_chunk(o, (bytes){ 0 }, buf_view(&o->pending), plain_out));
    buf_truncate(&o->pending, 0);
    return OK;
}

/* Only the end of the body tells where it ends, so it is held until then, one chunk at most. */
static err take_final(struct chunk_opener *o, bytes *in, bool end, struct buf *plain_out)
{
    bytes sealed = *in;
    *in = (bytes){ 0 };
    bool fits = sealed.len <= o->pending.max - o->pending.len;
    ENSURE(fits || o->variant == OHTTP_PLAIN, MALFORMED);
    ENSURE(fits, LIMIT);
    if (!end || o->pending.len > 0) {
        TRY(buf_add(&o->pending, sealed));
        sealed = buf_view(&o->pending);
    }
    if (!end)
        return OK;
    ENSURE(sealed.len >= AEAD_TAG_LEN, TRUNCATED);
    TRY(open_chunk(o, o->variant == OHTTP_CHUNKED ? FINAL_AAD : (bytes){ 0 }, sealed, plain_out));
    buf_clear(&o->pending);
    o->at = CHUNK_AT_END;
    return OK;
}

err chunk_opener_put(struct chunk_opener *o, bytes in, bool end, struct buf *plain_out)
{
    while (in.len > 0 && (o->at == CHUNK_AT_LENGTH || o->at == CHUNK_IN_CHUNK))
        TRY(o->at == CHUNK_AT_LENGTH ? take_length(o, &in) : take_chunk(o, &in, plain_out));
    if (o->at == CHUNK_IN_FINAL)
        TRY(take_final(o, &in, end, plain_out));
    ENSURE(in.len == 0, MALFORMED);
    ENSURE(!end || o->at == CHUNK_AT_END, TRUNCATED);
    return OK;
}

void chunk_opener_clear(struct chunk_opener *o)
{
    chunk_cipher_clear(&o->cipher);
    buf_clear(&o->pending);
}
