#include "wire/ohttp.h"

#include "base/mem.h"
#include "crypto/hpke.h"
#include "crypto/secret.h"
#include "wire/ohttp_chunk.h"
#include "wire/ohttp_test.h"

/*
 * An exchange has two directions, each with a lead that is not sealed (request: header and enc;
 * response: a nonce) and chunks behind it. Chunks of a request are sealed by an HPKE context, those
 * of a response by a plain AEAD whose key comes from that context. One end's sealer meets the other
 * end's opener, so both ends are made of the same parts.
 */

enum { INFO_MAX = 48 + OHTTP_HEADER_LEN };

static const bytes request_labels[] = {
    [OHTTP_PLAIN] = BYTES_LIT("message/bhttp request"),
    [OHTTP_CHUNKED] = BYTES_LIT("message/bhttp chunked request"),
};

static const bytes response_labels[] = {
    [OHTTP_PLAIN] = BYTES_LIT("message/bhttp response"),
    [OHTTP_CHUNKED] = BYTES_LIT("message/bhttp chunked response"),
};

/* What both ends know about an exchange. */
struct exchange {
    enum ohttp_variant variant;
    uint16_t aead;
    struct hpke *hpke;
    struct buf lead; /* header and enc */
    uint8_t nonce[OHTTP_NONCE_LEN_MAX];
    size_t nonce_len;
};

static bytes exchange_enc(const struct exchange *x)
{
    return bytes_slice(buf_view(&x->lead), OHTTP_HEADER_LEN, x->lead.len);
}

static void exchange_clear(struct exchange *x)
{
    hpke_free(x->hpke);
    x->hpke = NULL;
}

/* max(Nn, Nk) */
static size_t response_nonce_len(uint16_t aead)
{
    size_t key_len = aead_key_len((enum aead_id)aead);
    return key_len > AEAD_NONCE_LEN ? key_len : AEAD_NONCE_LEN;
}

static err make_info(enum ohttp_variant variant, bytes header, struct buf *info)
{
    TRY(buf_add(info, request_labels[variant]));
    TRY(buf_add_u8(info, 0));
    return buf_add(info, header);
}

/*
 * secret = context.Export(label, n);  prk = Extract(salt = enc || response_nonce, ikm = secret)
 * key = Expand(prk, "key", Nk);       nonce = Expand(prk, "nonce", Nn)
 */
static err response_cipher(const struct exchange *x, bool seals, struct chunk_cipher *out)
{
    SECRET_BYTES(secret, OHTTP_NONCE_LEN_MAX);
    SECRET_BYTES(prk, HKDF_PRK_LEN);
    SECRET_BYTES(key, AEAD_KEY_MAX);
    size_t key_len = aead_key_len((enum aead_id)x->aead);
    uint8_t salt[HPKE_ENC_MAX + OHTTP_NONCE_LEN_MAX];
    bytes enc = exchange_enc(x);
    ENSURE(x->nonce_len <= OHTTP_NONCE_LEN_MAX, INTERNAL);
    ENSURE(enc.at != NULL && enc.len <= HPKE_ENC_MAX, INTERNAL);
    memcpy(salt, enc.at, enc.len);
    memcpy(salt + enc.len, x->nonce, x->nonce_len);

    TRY(hpke_export(x->hpke, response_labels[x->variant], secret, x->nonce_len));
    hkdf_extract(bytes_of(salt, enc.len + x->nonce_len), bytes_of(secret, x->nonce_len), prk);
    TRY(hkdf_expand(prk, BYTES_LIT("key"), key, key_len));
    TRY(hkdf_expand(prk, BYTES_LIT("nonce"), out->base_nonce, AEAD_NONCE_LEN));
    return aead_new(&out->aead, (enum aead_id)x->aead, seals, bytes_of(key, key_len));
}

/* The client. */

struct ohttp_client {
    err failed;
    struct exchange x;
    struct chunk_sealer sealer;
    struct chunk_opener opener;
};

static err client_encapsulate(struct ohttp_client *c, const struct key_config *config,
                              const struct hpke_ephemeral *given)
{
    struct hpke_suite suite = { config->kem, HPKE_KDF_HKDF_SHA256, c->x.aead };
    uint8_t enc[HPKE_ENC_MAX];
    size_t enc_len;
    c->x.lead = BUF(OHTTP_HEADER_LEN + HPKE_ENC_MAX);
    TRY(buf_add_u8(&c->x.lead, config->id));
    TRY(buf_add_u16be(&c->x.lead, suite.kem));
    TRY(buf_add_u16be(&c->x.lead, suite.kdf));
    TRY(buf_add_u16be(&c->x.lead, suite.aead));

    BUF_AUTO info = BUF(INFO_MAX);
    TRY(make_info(c->x.variant, buf_view(&c->x.lead), &info));
    TRY(hpke_sender_new(&c->x.hpke, suite, config->public_key, buf_view(&info), given, enc,
                        &enc_len));
    TRY(buf_add(&c->x.lead, bytes_of(enc, enc_len)));
    c->sealer.cipher.hpke = c->x.hpke;
    c->sealer.lead = buf_view(&c->x.lead);
    return OK;
}

err ohttp_client_new(struct ohttp_client **out, enum ohttp_variant variant,
                     const struct key_config *config, uint16_t aead,
                     const struct hpke_ephemeral *given)
{
    ENSURE(key_config_offers(config, HPKE_KDF_HKDF_SHA256, aead), NOT_FOUND);
    ENSURE(aead_key_len((enum aead_id)aead) > 0, UNSUPPORTED);
    struct ohttp_client *c;
    TRY(mem_new(&c));
    c->x.variant = variant;
    c->x.aead = aead;
    chunk_opener_limit(&c->opener, &(struct ohttp_limits){ 0 });
    err e = client_encapsulate(c, config, given);
    if (e.code != ERR_OK) {
        ohttp_client_free(c);
        return e;
    }
    *out = c;
    return OK;
}

void ohttp_client_limit(struct ohttp_client *c, const struct ohttp_limits *limits)
{
    chunk_opener_limit(&c->opener, limits);
}

static void client_drop_secrets(struct ohttp_client *c)
{
    chunk_cipher_clear(&c->sealer.cipher);
    chunk_opener_clear(&c->opener);
    exchange_clear(&c->x);
}

static err client_settle(struct ohttp_client *c, err e)
{
    if (e.code != ERR_OK) {
        c->failed = e;
        client_drop_secrets(c);
    }
    return e;
}

err ohttp_client_seal(struct ohttp_client *c, bytes plain, bool final, struct buf *out)
{
    TRY(c->failed);
    ENSURE(!c->sealer.ended, CLOSED);
    return client_settle(c, chunk_sealer_put(&c->sealer, c->x.variant, plain, final, out));
}

/* The response's nonce, and with it the key. False while it is not complete. */
static err client_take_nonce(struct ohttp_client *c, bytes *in)
{
    size_t want = response_nonce_len(c->x.aead);
    while (c->x.nonce_len < want && bytes_take_u8(in, &c->x.nonce[c->x.nonce_len]))
        c->x.nonce_len++;
    if (c->x.nonce_len < want)
        return OK;
    chunk_opener_begin(&c->opener, c->x.variant);
    return response_cipher(&c->x, false, &c->opener.cipher);
}

static err client_put(struct ohttp_client *c, bytes in, bool end, struct buf *plain_out)
{
    if (!chunk_cipher_ready(&c->opener.cipher))
        TRY(client_take_nonce(c, &in));
    if (chunk_cipher_ready(&c->opener.cipher))
        return chunk_opener_put(&c->opener, in, end, plain_out);
    ENSURE(!end, TRUNCATED);
    return OK;
}

err ohttp_client_open(struct ohttp_client *c, bytes in, bool end, struct buf *plain_out,
                      enum ohttp_step *step)
{
    *step = OHTTP_MORE;
    TRY(c->failed);
    TRY(client_settle(c, client_put(c, in, end, plain_out)));
    if (c->opener.at == CHUNK_AT_END)
        *step = OHTTP_DONE;
    return OK;
}

bytes ohttp_client_enc(const struct ohttp_client *c)
{
    return exchange_enc(&c->x);
}

bytes ohttp_client_response_nonce(const struct ohttp_client *c)
{
    bool whole = c->x.nonce_len == response_nonce_len(c->x.aead);
    return whole ? bytes_of(c->x.nonce, c->x.nonce_len) : (bytes){ 0 };
}

err ohttp_client_export(const struct ohttp_client *c, bytes label, uint8_t *out, size_t len)
{
    TRY(c->failed);
    return hpke_export(c->x.hpke, label, out, len);
}

void ohttp_client_free(struct ohttp_client *c)
{
    if (c == NULL)
        return;
    client_drop_secrets(c);
    buf_clear(&c->x.lead);
    mem_free(c);
}

void ohttp_test_client_used(struct ohttp_client *c, uint64_t sealed, uint64_t opened)
{
    c->sealer.used = sealed;
    c->opener.used = opened;
}

/* The server. */

struct ohttp_server {
    err failed;
    const struct ohttp_keys *keys;
    bool nonce_given;
    struct exchange x;
    struct chunk_sealer sealer;
    struct chunk_opener opener;
};

err ohttp_server_new(struct ohttp_server **out, enum ohttp_variant variant,
                     const struct ohttp_keys *keys)
{
    struct ohttp_server *s;
    TRY(mem_new(&s));
    s->keys = keys;
    s->x.variant = variant;
    s->x.lead = BUF(OHTTP_HEADER_LEN + HPKE_ENC_MAX);
    chunk_opener_limit(&s->opener, &(struct ohttp_limits){ 0 });
    *out = s;
    return OK;
}

void ohttp_server_limit(struct ohttp_server *s, const struct ohttp_limits *limits)
{
    chunk_opener_limit(&s->opener, limits);
}

static void server_drop_secrets(struct ohttp_server *s)
{
    chunk_cipher_clear(&s->sealer.cipher);
    chunk_opener_clear(&s->opener);
    exchange_clear(&s->x);
}

static err server_settle(struct ohttp_server *s, err e)
{
    if (e.code != ERR_OK) {
        s->failed = e;
        server_drop_secrets(s);
    }
    return e;
}

/* key_id(1) kem_id(2) kdf_id(2) aead_id(2), against what is offered. */
static err find_key(const struct ohttp_server *s, const struct hpke_private_key **key,
                    struct hpke_suite *suite)
{
    bytes header = bytes_slice(buf_view(&s->x.lead), 0, OHTTP_HEADER_LEN);
    uint8_t id;
    struct key_config config;
    ENSURE(bytes_take_u8(&header, &id) && bytes_take_u16be(&header, &suite->kem) &&
               bytes_take_u16be(&header, &suite->kdf) && bytes_take_u16be(&header, &suite->aead),
           INTERNAL);
    ENSURE(ohttp_keys_find(s->keys, id, &config), NOT_FOUND);
    ENSURE(config.kem == suite->kem, NOT_FOUND);
    ENSURE(key_config_offers(&config, suite->kdf, suite->aead), NOT_FOUND);
    *key = ohttp_keys_private(s->keys, id);
    return OK;
}

/* Moves bytes from *in until the lead is n long; false when there are not enough yet. */
static err fill_lead(struct ohttp_server *s, size_t n, bytes *in, bool *full)
{
    bytes piece;
    size_t missing = n > s->x.lead.len ? n - s->x.lead.len : 0;
    (void)bytes_take(in, in->len < missing ? in->len : missing, &piece);
    TRY(buf_add(&s->x.lead, piece));
    *full = s->x.lead.len >= n;
    return OK;
}

/* The key is looked up before enc is awaited, so that a stale one is refused at once, and again when
 * it is used, since it may have been retired in between. */
static err take_lead(struct ohttp_server *s, bytes *in)
{
    const struct hpke_private_key *key = NULL;
    struct hpke_suite suite = { 0 };
    bool full = false;
    TRY(fill_lead(s, OHTTP_HEADER_LEN, in, &full));
    if (!full)
        return OK;
    TRY(find_key(s, &key, &suite));
    TRY(fill_lead(s, OHTTP_HEADER_LEN + kem_find(suite.kem)->enc_len, in, &full));
    if (!full)
        return OK;

    BUF_AUTO info = BUF(INFO_MAX);
    bytes lead = buf_view(&s->x.lead);
    TRY(make_info(s->x.variant, bytes_slice(lead, 0, OHTTP_HEADER_LEN), &info));
    TRY(hpke_receiver_new(&s->x.hpke, suite, key, exchange_enc(&s->x), buf_view(&info)));
    s->x.aead = suite.aead;
    s->opener.cipher.hpke = s->x.hpke;
    chunk_opener_begin(&s->opener, s->x.variant);
    return OK;
}

static err server_put(struct ohttp_server *s, bytes in, bool end, struct buf *plain_out)
{
    if (!chunk_cipher_ready(&s->opener.cipher))
        TRY(take_lead(s, &in));
    if (chunk_cipher_ready(&s->opener.cipher))
        return chunk_opener_put(&s->opener, in, end, plain_out);
    ENSURE(!end, TRUNCATED);
    return OK;
}

err ohttp_server_open(struct ohttp_server *s, bytes in, bool end, struct buf *plain_out,
                      enum ohttp_step *step)
{
    *step = OHTTP_MORE;
    TRY(s->failed);
    TRY(server_settle(s, server_put(s, in, end, plain_out)));
    if (s->opener.at == CHUNK_AT_END)
        *step = OHTTP_DONE;
    return OK;
}

static err server_begin_response(struct ohttp_server *s)
{
    if (!s->nonce_given) {
        s->x.nonce_len = response_nonce_len(s->x.aead);
        TRY(crypto_random(s->x.nonce, s->x.nonce_len));
    }
    ENSURE(s->x.nonce_len == response_nonce_len(s->x.aead), MALFORMED);
    s->sealer.lead = bytes_of(s->x.nonce, s->x.nonce_len);
    return response_cipher(&s->x, true, &s->sealer.cipher);
}

static err server_seal(struct ohttp_server *s, bytes plain, bool final, struct buf *out)
{
    if (!chunk_cipher_ready(&s->sealer.cipher))
        TRY(server_begin_response(s));
    return chunk_sealer_put(&s->sealer, s->x.variant, plain, final, out);
}

err ohttp_server_seal(struct ohttp_server *s, bytes plain, bool final, struct buf *out)
{
    TRY(s->failed);
    ENSURE(s->opener.verified, INTERNAL);
    ENSURE(!s->sealer.ended, CLOSED);
    return server_settle(s, server_seal(s, plain, final, out));
}

bool ohttp_server_verified(const struct ohttp_server *s)
{
    return s->opener.verified;
}

bytes ohttp_server_enc(const struct ohttp_server *s)
{
    return s->x.aead != 0 ? exchange_enc(&s->x) : (bytes){ 0 };
}

bool ohttp_server_key_id(const struct ohttp_server *s, uint8_t *id)
{
    if (s->x.lead.len == 0)
        return false;
    *id = s->x.lead.at[0];
    return true;
}

size_t ohttp_server_pending(const struct ohttp_server *s)
{
    return s->opener.pending.cap;
}

bytes ohttp_server_response_nonce(const struct ohttp_server *s)
{
    return bytes_of(s->x.nonce, s->x.nonce_len);
}

err ohttp_server_export(const struct ohttp_server *s, bytes label, uint8_t *out, size_t len)
{
    TRY(s->failed);
    ENSURE(s->x.hpke != NULL, INTERNAL);
    return hpke_export(s->x.hpke, label, out, len);
}

void ohttp_server_free(struct ohttp_server *s)
{
    if (s == NULL)
        return;
    server_drop_secrets(s);
    buf_clear(&s->x.lead);
    mem_free(s);
}

err ohttp_test_give_nonce(struct ohttp_server *s, bytes nonce)
{
    ENSURE(nonce.len > 0 && nonce.len <= OHTTP_NONCE_LEN_MAX, MALFORMED);
    memcpy(s->x.nonce, nonce.at, nonce.len);
    s->x.nonce_len = nonce.len;
    s->nonce_given = true;
    return OK;
}
