#include "wire/ehbp.h"

#include "base/mem.h"
#include "base/text.h"
#include "crypto/aead.h"
#include "crypto/hkdf.h"
#include "crypto/secret.h"
#include "wire/ehbp_test.h"
#include "wire/keylist.h"
#include "wire/ohttp_chunk.h"

#define REQUEST_INFO BYTES_LIT("ehbp request")
#define RESPONSE_LABEL BYTES_LIT("ehbp response")

enum { LENGTH_LEN = 4, SECRET_LEN = 32, AEAD_KEY_LEN = 32 };

/* One direction being opened. */
struct opener {
    struct chunk_cipher cipher;
    size_t frame_max; /* sealed */
    uint8_t length[LENGTH_LEN];
    size_t length_have;
    size_t frame_len; /* sealed; 0: between frames */
    struct buf pending;
    struct hpke *trial[EHBP_KEYS_MAX]; /* owned; while it is not known which key it is */
    size_t trial_n;
    bool verified;
};

/* What both ends have. */
struct exchange {
    err failed;
    struct hpke *hpke;
    uint8_t enc[EHBP_KEY_LEN];
    struct opener opener;
    struct chunk_cipher sealer;
    uint8_t nonce[EHBP_NONCE_LEN]; /* the response's, once it has begun */
    bool begun;
    bool sealed_receipt;
};

/* What is derived for one purpose. */
struct labels {
    const char *key;
    const char *nonce;
};

static const struct labels BODY_LABELS = { "key", "nonce" };
static const struct labels RECEIPT_LABELS = { "sealgate receipt key", "sealgate receipt nonce" };

struct ehbp_server {
    struct exchange x;
};

struct ehbp_client {
    struct exchange x;
};

struct hpke_suite ehbp_suite(void)
{
    return (struct hpke_suite){ KEM_X25519_HKDF_SHA256, HPKE_KDF_HKDF_SHA256, AEAD_AES_256_GCM };
}

/* ---- opening ---- */

static void end_trial(struct opener *o)
{
    for (size_t i = 0; i < o->trial_n; i++) {
        if (o->trial[i] != o->cipher.hpke)
            hpke_free(o->trial[i]);
    }
    o->trial_n = 0;
}

/* The first frame tells whose it is. */
static err try_keys(struct opener *o, bytes sealed, uint8_t *room)
{
    err e = OK;
    for (size_t i = 0; i < o->trial_n; i++) {
        o->cipher.hpke = o->trial[i];
        e = chunk_cipher_open(&o->cipher, (bytes){ 0 }, sealed, room);
        if (e.code == ERR_OK)
            break;
        o->cipher.hpke = NULL;
    }
    if (e.code == ERR_OK)
        end_trial(o);
    return e;
}

static err open_frame(struct opener *o, bytes sealed, struct buf *plain_out)
{
    uint8_t *room;
    size_t len = sealed.len - AEAD_TAG_LEN;
    TRY(buf_reserve(plain_out, len, &room));
    TRY(o->trial_n > 0 ? try_keys(o, sealed, room)
                       : chunk_cipher_open(&o->cipher, (bytes){ 0 }, sealed, room));
    buf_commit(plain_out, len);
    o->verified = true;
    o->frame_len = 0;
    return OK;
}

/* A length over the limit is refused before anything is held for it. */
static err take_length(struct opener *o, bytes *in)
{
    while (in->len > 0 && o->length_have < LENGTH_LEN) {
        o->length[o->length_have++] = in->at[0];
        *in = bytes_slice(*in, 1, in->len);
    }
    if (o->length_have < LENGTH_LEN)
        return OK;
    uint32_t len = (uint32_t)o->length[0] << 24 | (uint32_t)o->length[1] << 16 |
                   (uint32_t)o->length[2] << 8 | o->length[3];
    o->length_have = 0;
    ENSURE(len <= o->frame_max, LIMIT);
    ENSURE(len == 0 || len >= AEAD_TAG_LEN, MALFORMED);
    o->frame_len = len;
    return OK;
}

static err take_frame(struct opener *o, bytes *in, struct buf *plain_out)
{
    bytes piece;
    if (o->pending.len == 0 && bytes_take(in, o->frame_len, &piece))
        return open_frame(o, piece, plain_out);
    size_t missing = o->frame_len - o->pending.len;
    (void)bytes_take(in, in->len < missing ? in->len : missing, &piece);
    TRY(buf_add(&o->pending, piece));
    if (o->pending.len < o->frame_len)
        return OK;
    TRY(open_frame(o, buf_view(&o->pending), plain_out));
    buf_clear(&o->pending);
    return OK;
}

static err put(struct opener *o, bytes in, bool end, struct buf *plain_out)
{
    ENSURE(o->trial_n > 0 || chunk_cipher_ready(&o->cipher), INTERNAL);
    while (in.len > 0)
        TRY(o->frame_len == 0 ? take_length(o, &in) : take_frame(o, &in, plain_out));
    ENSURE(!end || (o->frame_len == 0 && o->length_have == 0), TRUNCATED);
    return OK;
}

static void opener_init(struct opener *o, size_t frame_max)
{
    size_t plain = frame_max > 0 && frame_max < EHBP_FRAME_MAX ? frame_max : EHBP_FRAME_MAX;
    o->frame_max = plain + AEAD_TAG_LEN;
    o->pending = BUF(o->frame_max);
}

/* ---- sealing ---- */

static err seal_frame(struct chunk_cipher *c, bytes plain, struct buf *out)
{
    uint8_t *room;
    TRY(buf_reserve(out, LENGTH_LEN + plain.len + AEAD_TAG_LEN, &room));
    TRY(buf_add_u32be(out, (uint32_t)(plain.len + AEAD_TAG_LEN)));
    TRY(buf_reserve(out, plain.len + AEAD_TAG_LEN, &room));
    TRY(chunk_cipher_seal(c, (bytes){ 0 }, plain, room));
    buf_commit(out, plain.len + AEAD_TAG_LEN);
    return OK;
}

static err seal_all(struct chunk_cipher *c, bytes plain, struct buf *out)
{
    ENSURE(chunk_cipher_ready(c), INTERNAL);
    while (plain.len > 0) {
        bytes piece = bytes_slice(plain, 0, EHBP_SENT_MAX);
        TRY(seal_frame(c, piece, out));
        plain = bytes_slice(plain, piece.len, plain.len);
    }
    return OK;
}

/* ---- the response's keys ---- */

static err derive(bytes prk, const struct labels *labels, bool seals, struct chunk_cipher *out)
{
    SECRET_BYTES(key, AEAD_KEY_LEN);
    TRY(hkdf_expand(prk.at, bytes_str(labels->key), key, AEAD_KEY_LEN));
    TRY(hkdf_expand(prk.at, bytes_str(labels->nonce), out->base_nonce, AEAD_NONCE_LEN));
    return aead_new(&out->aead, AEAD_AES_256_GCM, seals, bytes_of(key, AEAD_KEY_LEN));
}

static err response_cipher(bytes secret, bytes enc, bytes nonce, const struct labels *labels,
                           bool seals, struct chunk_cipher *out)
{
    uint8_t salt[EHBP_KEY_LEN + EHBP_NONCE_LEN];
    SECRET_BYTES(prk, HKDF_PRK_LEN);
    ENSURE(enc.len == EHBP_KEY_LEN && nonce.len == EHBP_NONCE_LEN, MALFORMED);
    memcpy(salt, enc.at, EHBP_KEY_LEN);
    memcpy(salt + EHBP_KEY_LEN, nonce.at, EHBP_NONCE_LEN);
    hkdf_extract(BYTES_ARRAY(salt), secret, prk);
    return derive(bytes_of(prk, HKDF_PRK_LEN), labels, seals, out);
}

err ehbp_response_cipher(bytes secret, bytes enc, bytes nonce, bool seals, struct chunk_cipher *out)
{
    return response_cipher(secret, enc, nonce, &BODY_LABELS, seals, out);
}

static err cipher_for(const struct exchange *x, const struct labels *labels, bool seals,
                      struct chunk_cipher *out)
{
    SECRET_BYTES(secret, SECRET_LEN);
    TRY(hpke_export(x->hpke, RESPONSE_LABEL, secret, SECRET_LEN));
    return response_cipher(bytes_of(secret, SECRET_LEN), BYTES_ARRAY(x->enc), BYTES_ARRAY(x->nonce),
                           labels, seals, out);
}

static err begin_response(struct exchange *x, bytes nonce, bool seals, struct chunk_cipher *out)
{
    ENSURE(!x->begun, INTERNAL);
    ENSURE(nonce.len == EHBP_NONCE_LEN, MALFORMED);
    memcpy(x->nonce, nonce.at, EHBP_NONCE_LEN);
    TRY(cipher_for(x, &BODY_LABELS, seals, out));
    x->begun = true;
    return OK;
}

/* ---- common ---- */

static err fail(struct exchange *x, err e)
{
    if (e.code != ERR_OK)
        x->failed = e;
    return e;
}

static err read_hex(bytes field, uint8_t out[static EHBP_KEY_LEN])
{
    BUF_AUTO raw = BUF(EHBP_KEY_LEN);
    ENSURE(field.len == EHBP_HEX_LEN, MALFORMED);
    TRY(text_hex_decode(&raw, field));
    memcpy(out, raw.at, EHBP_KEY_LEN);
    return OK;
}

static void write_hex(const uint8_t in[static EHBP_KEY_LEN], char field[static EHBP_HEX_LEN + 1])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < EHBP_KEY_LEN; i++) {
        field[2 * i] = digits[in[i] >> 4];
        field[2 * i + 1] = digits[in[i] & 15];
    }
    field[EHBP_HEX_LEN] = 0;
}

static void clear(struct exchange *x)
{
    chunk_cipher_clear(&x->opener.cipher);
    chunk_cipher_clear(&x->sealer);
    end_trial(&x->opener);
    buf_clear(&x->opener.pending);
    hpke_free(x->hpke);
}

/* ---- the server ---- */

static err server_setup(struct ehbp_server *s, const struct hpke_private_key *const *keys, size_t n,
                        bytes key_field)
{
    struct opener *o = &s->x.opener;
    ENSURE(n > 0 && n <= EHBP_KEYS_MAX, INTERNAL);
    TRY(read_hex(key_field, s->x.enc));
    for (; o->trial_n < n; o->trial_n++)
        TRY(hpke_receiver_new(&o->trial[o->trial_n], ehbp_suite(), keys[o->trial_n],
                              BYTES_ARRAY(s->x.enc), REQUEST_INFO));
    return OK;
}

err ehbp_server_new(struct ehbp_server **out, const struct hpke_private_key *const *keys, size_t n,
                    bytes key_field, size_t frame_max)
{
    struct ehbp_server *s;
    TRY(mem_new(&s));
    opener_init(&s->x.opener, frame_max);
    err e = server_setup(s, keys, n, key_field);
    if (e.code != ERR_OK) {
        ehbp_server_free(s);
        return e;
    }
    *out = s;
    return OK;
}

err ehbp_server_open(struct ehbp_server *s, bytes in, bool end, struct buf *plain_out)
{
    TRY(s->x.failed);
    err e = fail(&s->x, put(&s->x.opener, in, end, plain_out));
    s->x.hpke = s->x.opener.cipher.hpke;
    TRY(e);
    if (end && !s->x.opener.verified)
        return fail(&s->x, err_raise(ERR_MALFORMED, __FILE__, __func__, __LINE__));
    return OK;
}

size_t ehbp_server_pending(const struct ehbp_server *s)
{
    return s->x.opener.pending.cap;
}

bool ehbp_server_verified(const struct ehbp_server *s)
{
    return s->x.opener.verified;
}

bytes ehbp_server_enc(const struct ehbp_server *s)
{
    return BYTES_ARRAY(s->x.enc);
}

err ehbp_server_answer(struct ehbp_server *s, bytes nonce)
{
    ENSURE(s->x.opener.verified, INTERNAL);
    return begin_response(&s->x, nonce, true, &s->x.sealer);
}

err ehbp_server_nonce(struct ehbp_server *s, char field[static EHBP_HEX_LEN + 1])
{
    uint8_t nonce[EHBP_NONCE_LEN];
    TRY(crypto_random(nonce, sizeof nonce));
    TRY(ehbp_server_answer(s, BYTES_ARRAY(nonce)));
    write_hex(nonce, field);
    return OK;
}

err ehbp_server_seal(struct ehbp_server *s, bytes plain, struct buf *out)
{
    return seal_all(&s->x.sealer, plain, out);
}

err ehbp_server_seal_receipt(struct ehbp_server *s, bytes receipt, struct buf *out)
{
    struct chunk_cipher cipher = { 0 };
    uint8_t *room;
    ENSURE(s->x.begun && !s->x.sealed_receipt, INTERNAL);
    s->x.sealed_receipt = true;
    TRY(buf_reserve(out, receipt.len + AEAD_TAG_LEN, &room));
    err e = cipher_for(&s->x, &RECEIPT_LABELS, true, &cipher);
    if (e.code == ERR_OK)
        e = chunk_cipher_seal(&cipher, (bytes){ 0 }, receipt, room);
    if (e.code == ERR_OK)
        buf_commit(out, receipt.len + AEAD_TAG_LEN);
    chunk_cipher_clear(&cipher);
    return e;
}

void ehbp_server_free(struct ehbp_server *s)
{
    if (s == NULL)
        return;
    clear(&s->x);
    mem_free(s);
}

/* ---- the client ---- */

static err client_setup(struct ehbp_client *c, const struct key_config *config,
                        const struct hpke_ephemeral *given)
{
    uint8_t enc[HPKE_ENC_MAX];
    size_t enc_len;
    ENSURE(config->kem == KEM_X25519_HKDF_SHA256 &&
               key_config_offers(config, HPKE_KDF_HKDF_SHA256, AEAD_AES_256_GCM),
           NOT_FOUND);
    TRY(hpke_sender_new(&c->x.hpke, ehbp_suite(), config->public_key, REQUEST_INFO, given, enc,
                        &enc_len));
    ENSURE(enc_len == EHBP_KEY_LEN, INTERNAL);
    memcpy(c->x.enc, enc, EHBP_KEY_LEN);
    return OK;
}

err ehbp_client_new(struct ehbp_client **out, const struct key_config *config,
                    const struct hpke_ephemeral *given)
{
    struct ehbp_client *c;
    TRY(mem_new(&c));
    opener_init(&c->x.opener, 0);
    err e = client_setup(c, config, given);
    if (e.code != ERR_OK) {
        ehbp_client_free(c);
        return e;
    }
    c->x.sealer.hpke = c->x.hpke;
    *out = c;
    return OK;
}

void ehbp_client_key(const struct ehbp_client *c, char field[static EHBP_HEX_LEN + 1])
{
    write_hex(c->x.enc, field);
}

err ehbp_client_seal(struct ehbp_client *c, bytes plain, struct buf *out)
{
    return seal_all(&c->x.sealer, plain, out);
}

err ehbp_client_begin(struct ehbp_client *c, bytes nonce_field)
{
    uint8_t nonce[EHBP_NONCE_LEN];
    TRY(c->x.failed);
    TRY(fail(&c->x, read_hex(nonce_field, nonce)));
    return fail(&c->x, begin_response(&c->x, BYTES_ARRAY(nonce), false, &c->x.opener.cipher));
}

err ehbp_client_open(struct ehbp_client *c, bytes in, bool end, struct buf *plain_out)
{
    TRY(c->x.failed);
    return fail(&c->x, put(&c->x.opener, in, end, plain_out));
}

err ehbp_client_open_receipt(const struct ehbp_client *c, bytes sealed, struct buf *out)
{
    struct chunk_cipher cipher = { 0 };
    uint8_t *room;
    ENSURE(c->x.begun, INTERNAL);
    ENSURE(sealed.len >= AEAD_TAG_LEN, MALFORMED);
    TRY(buf_reserve(out, sealed.len - AEAD_TAG_LEN, &room));
    err e = cipher_for(&c->x, &RECEIPT_LABELS, false, &cipher);
    if (e.code == ERR_OK)
        e = chunk_cipher_open(&cipher, (bytes){ 0 }, sealed, room);
    if (e.code == ERR_OK)
        buf_commit(out, sealed.len - AEAD_TAG_LEN);
    chunk_cipher_clear(&cipher);
    return e;
}

void ehbp_client_free(struct ehbp_client *c)
{
    if (c == NULL)
        return;
    clear(&c->x);
    mem_free(c);
}
