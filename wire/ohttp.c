#include "wire/ohttp.h"

#include "base/mem.h"
#include "crypto/hpke.h"
#include "crypto/secret.h"
#include "wire/ohttp_test.h"
#include "wire/varint.h"

/*
 * An exchange has two directions, each with a lead that is not sealed (request: header and enc;
 * response: a nonce) and chunks behind it. Chunks of a request are sealed by an HPKE context, those
 * of a response by a plain AEAD whose key comes from that context; `struct cipher` hides which.
 * A sealer and an opener are therefore the same code at both ends.
 *
 * An unchunked message is one chunk without a length and with empty aad.
 */

enum { SUITE_HEADER_LEN = OHTTP_HEADER_LEN, INFO_MAX = 48 + SUITE_HEADER_LEN };

#define FINAL_AAD BYTES_LIT("final")

static const bytes request_labels[] = {
    [OHTTP_PLAIN] = BYTES_LIT("message/bhttp request"),
    [OHTTP_CHUNKED] = BYTES_LIT("message/bhttp chunked request"),
};

static const bytes response_labels[] = {
    [OHTTP_PLAIN] = BYTES_LIT("message/bhttp response"),
    [OHTTP_CHUNKED] = BYTES_LIT("message/bhttp chunked response"),
};

/* One direction's keys. */
struct cipher {
    struct hpke *hpke; /* request; borrowed */
    struct aead *aead; /* response; owned */
    uint8_t base_nonce[AEAD_NONCE_LEN];
    uint64_t seq;
};

/* nonce XOR I2OSP(i, 12). The message limit keeps seq far from wrapping. */
static void next_nonce(struct cipher *c, uint8_t nonce[static AEAD_NONCE_LEN])
{
    memcpy(nonce, c->base_nonce, AEAD_NONCE_LEN);
    for (size_t i = 0; i < sizeof c->seq; i++)
        nonce[AEAD_NONCE_LEN - 1 - i] ^= (uint8_t)(c->seq >> (8 * i));
    c->seq++;
}

static err cipher_seal(struct cipher *c, bytes aad, bytes plain, uint8_t *out)
{
    if (c->hpke != NULL)
        return hpke_seal(c->hpke, aad, plain, out);
    uint8_t nonce[AEAD_NONCE_LEN];
    next_nonce(c, nonce);
    return aead_seal(c->aead, nonce, aad, plain, out);
}

static err cipher_open(struct cipher *c, bytes aad, bytes sealed, uint8_t *out)
{
    if (c->hpke != NULL)
        return hpke_open(c->hpke, aad, sealed, out);
    uint8_t nonce[AEAD_NONCE_LEN];
    next_nonce(c, nonce);
    return aead_open(c->aead, nonce, aad, sealed, out);
}

static bool cipher_ready(const struct cipher *c)
{
    return c->hpke != NULL || c->aead != NULL;
}

static void cipher_clear(struct cipher *c)
{
    aead_free(c->aead);
    secret_wipe(c, sizeof *c);
}

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
static err response_cipher(const struct exchange *x, bool seals, struct cipher *out)
{
    SECRET_BYTES(secret, OHTTP_NONCE_LEN_MAX);
    SECRET_BYTES(prk, HKDF_PRK_LEN);
    SECRET_BYTES(key, AEAD_KEY_MAX);
    size_t key_len = aead_key_len((enum aead_id)x->aead);
    uint8_t salt[HPKE_ENC_MAX + OHTTP_NONCE_LEN_MAX];
    bytes enc = exchange_enc(x);
    ENSURE(x->nonce_len <= OHTTP_NONCE_LEN_MAX && enc.len <= HPKE_ENC_MAX, INTERNAL);
    memcpy(salt, enc.at, enc.len);
    memcpy(salt + enc.len, x->nonce, x->nonce_len);

    TRY(hpke_export(x->hpke, response_labels[x->variant], secret, x->nonce_len));
    hkdf_extract(bytes_of(salt, enc.len + x->nonce_len), bytes_of(secret, x->nonce_len), prk);
    TRY(hkdf_expand(prk, BYTES_LIT("key"), key, key_len));
    TRY(hkdf_expand(prk, BYTES_LIT("nonce"), out->base_nonce, AEAD_NONCE_LEN));
    return aead_new(&out->aead, (enum aead_id)x->aead, seals, bytes_of(key, key_len));
}

/* Sealing. */

struct sealer {
    struct cipher cipher;
    bytes lead; /* what is still to be written in front */
    uint64_t used;
    bool ended;
};

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
static err seal_into(struct sealer *s, const uint64_t *prefix, bytes aad, bytes plain,
                     struct buf *out)
{
    uint8_t *room;
    if (prefix != NULL)
        TRY(varint_write(out, *prefix));
    TRY(buf_reserve(out, plain.len + AEAD_TAG_LEN, &room));
    TRY(cipher_seal(&s->cipher, aad, plain, room));
    buf_commit(out, plain.len + AEAD_TAG_LEN);
    return OK;
}

static err seal_chunks(struct sealer *s, bytes plain, bool final, struct buf *out)
{
    while (plain.len > 0 && !is_last_piece(plain.len, final)) {
        bytes piece = bytes_slice(plain, 0, OHTTP_CHUNK_MAX);
        uint64_t len = piece.len + AEAD_TAG_LEN;
        TRY(seal_into(s, &len, (bytes){ 0 }, piece, out));
        plain = bytes_slice(plain, piece.len, plain.len);
    }
    return final ? seal_into(s, &(uint64_t){ 0 }, FINAL_AAD, plain, out) : OK;
}

static err sealer_put(struct sealer *s, enum ohttp_variant variant, bytes plain, bool final,
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

enum opening {
    AT_LENGTH,
    IN_CHUNK,
    IN_FINAL, /* until the end of the body; an unchunked message begins here */
    AT_END,
};

struct opener {
    struct cipher cipher;
    enum opening at;
    struct ohttp_limits limits;
    struct varint_reader length;
    size_t chunk_len;   /* sealed */
    struct buf pending; /* of the chunk at hand, when it came in pieces */
    uint64_t used;
    bool verified;
};

static void opener_limit(struct opener *o, const struct ohttp_limits *given)
{
    size_t chunk = given->chunk_max;
    chunk = chunk < OHTTP_CHUNK_MAX ? OHTTP_CHUNK_MAX : chunk;
    o->limits.chunk_max = chunk > OHTTP_ACCEPT_MAX ? OHTTP_ACCEPT_MAX : chunk;
    o->limits.plain_max = given->plain_max > 0 ? given->plain_max : OHTTP_PLAIN_MAX;
}

static void opener_begin(struct opener *o, enum ohttp_variant variant)
{
    o->at = variant == OHTTP_CHUNKED ? AT_LENGTH : IN_FINAL;
    o->pending =
        BUF(variant == OHTTP_CHUNKED ? o->limits.chunk_max + AEAD_TAG_LEN : o->limits.plain_max);
}

static err open_chunk(struct opener *o, bytes aad, bytes sealed, struct buf *plain_out)
{
    uint8_t *room;
    size_t len = sealed.len - AEAD_TAG_LEN;
    ENSURE(len <= OHTTP_MESSAGE_MAX - o->used, LIMIT);
    TRY(buf_reserve(plain_out, len, &room));
    TRY(cipher_open(&o->cipher, aad, sealed, room));
    buf_commit(plain_out, len);
    o->used += len;
    o->verified = true;
    return OK;
}

/* A length of a tag or less is an empty chunk or none at all: both count as not opening. */
static err take_length(struct opener *o, bytes *in)
{
    uint64_t len;
    size_t size;
    if (!varint_take(&o->length, in, &len, &size))
        return OK;
    if (len == 0) {
        o->at = IN_FINAL;
        return OK;
    }
    ENSURE(len <= o->limits.chunk_max + AEAD_TAG_LEN, MALFORMED);
    ENSURE(len > AEAD_TAG_LEN, CRYPTO);
    o->chunk_len = (size_t)len;
    o->at = IN_CHUNK;
    return OK;
}

static err take_chunk(struct opener *o, bytes *in, struct buf *plain_out)
{
    bytes piece;
    if (o->pending.len == 0 && bytes_take(in, o->chunk_len, &piece)) {
        o->at = AT_LENGTH;
        return open_chunk(o, (bytes){ 0 }, piece, plain_out);
    }
    size_t missing = o->chunk_len - o->pending.len;
    (void)bytes_take(in, in->len < missing ? in->len : missing, &piece);
    TRY(buf_add(&o->pending, piece));
    if (o->pending.len < o->chunk_len)
        return OK;
    o->at = AT_LENGTH;
    TRY(open_chunk(o, (bytes){ 0 }, buf_view(&o->pending), plain_out));
    buf_truncate(&o->pending, 0);
    return OK;
}

/* Only the end of the body tells where it ends, so it is held until then, one chunk at most. */
static err take_final(struct opener *o, enum ohttp_variant variant, bytes *in, bool end,
                      struct buf *plain_out)
{
    bytes sealed = *in;
    *in = (bytes){ 0 };
    bool fits = sealed.len <= o->pending.max - o->pending.len;
    ENSURE(fits || variant == OHTTP_PLAIN, MALFORMED);
    ENSURE(fits, LIMIT);
    if (!end || o->pending.len > 0) {
        TRY(buf_add(&o->pending, sealed));
        sealed = buf_view(&o->pending);
    }
    if (!end)
        return OK;
    ENSURE(sealed.len >= AEAD_TAG_LEN, TRUNCATED);
    TRY(open_chunk(o, variant == OHTTP_CHUNKED ? FINAL_AAD : (bytes){ 0 }, sealed, plain_out));
    buf_clear(&o->pending);
    o->at = AT_END;
    return OK;
}

static err opener_put(struct opener *o, enum ohttp_variant variant, bytes in, bool end,
                      struct buf *plain_out)
{
    while (in.len > 0 && (o->at == AT_LENGTH || o->at == IN_CHUNK))
        TRY(o->at == AT_LENGTH ? take_length(o, &in) : take_chunk(o, &in, plain_out));
    if (o->at == IN_FINAL)
        TRY(take_final(o, variant, &in, end, plain_out));
    ENSURE(in.len == 0, MALFORMED);
    ENSURE(!end || o->at == AT_END, TRUNCATED);
    return OK;
}

static void opener_clear(struct opener *o)
{
    cipher_clear(&o->cipher);
    buf_clear(&o->pending);
}

/* The client. */

struct ohttp_client {
    err failed;
    struct exchange x;
    struct sealer sealer;
    struct opener opener;
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
    opener_limit(&c->opener, &(struct ohttp_limits){ 0 });
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
    opener_limit(&c->opener, limits);
}

static void client_drop_secrets(struct ohttp_client *c)
{
    cipher_clear(&c->sealer.cipher);
    opener_clear(&c->opener);
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
    return client_settle(c, sealer_put(&c->sealer, c->x.variant, plain, final, out));
}

/* The response's nonce, and with it the key. False while it is not complete. */
static err client_take_nonce(struct ohttp_client *c, bytes *in)
{
    size_t want = response_nonce_len(c->x.aead);
    while (c->x.nonce_len < want && bytes_take_u8(in, &c->x.nonce[c->x.nonce_len]))
        c->x.nonce_len++;
    if (c->x.nonce_len < want)
        return OK;
    opener_begin(&c->opener, c->x.variant);
    return response_cipher(&c->x, false, &c->opener.cipher);
}

static err client_put(struct ohttp_client *c, bytes in, bool end, struct buf *plain_out)
{
    if (!cipher_ready(&c->opener.cipher))
        TRY(client_take_nonce(c, &in));
    if (cipher_ready(&c->opener.cipher))
        return opener_put(&c->opener, c->x.variant, in, end, plain_out);
    ENSURE(!end, TRUNCATED);
    return OK;
}

err ohttp_client_open(struct ohttp_client *c, bytes in, bool end, struct buf *plain_out,
                      enum ohttp_step *step)
{
    *step = OHTTP_MORE;
    TRY(c->failed);
    TRY(client_settle(c, client_put(c, in, end, plain_out)));
    if (c->opener.at == AT_END)
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

/* The server's keys. */

struct key_entry {
    struct hpke_private_key *key;
    struct ohttp_key_settings settings;
};

struct ohttp_keys {
    struct key_entry entries[OHTTP_KEYS_MAX];
    size_t n;
};

err ohttp_keys_new(struct ohttp_keys **out)
{
    return mem_new(out);
}

static const struct key_entry *find_entry(const struct ohttp_keys *keys, uint8_t id)
{
    for (size_t i = 0; i < keys->n; i++)
        if (keys->entries[i].settings.id == id)
            return &keys->entries[i];
    return NULL;
}

static bool suites_are_known(const struct ohttp_key_settings *s, uint16_t kem)
{
    if (s->suites_n == 0 || s->suites_n > KEYLIST_SUITES_MAX)
        return false;
    for (size_t i = 0; i < s->suites_n; i++) {
        struct hpke_suite suite = { kem, s->suites[i].kdf, s->suites[i].aead };
        if (!hpke_suite_known(suite) || aead_key_len((enum aead_id)suite.aead) == 0)
            return false;
    }
    return true;
}

err ohttp_keys_add(struct ohttp_keys *keys, const struct ohttp_key_settings *settings,
                   struct hpke_private_key *key)
{
    ENSURE(suites_are_known(settings, hpke_key_kem(key)), UNSUPPORTED);
    ENSURE(find_entry(keys, settings->id) == NULL, EXISTS);
    ENSURE(keys->n < OHTTP_KEYS_MAX, LIMIT);
    keys->entries[keys->n++] = (struct key_entry){ key, *settings };
    return OK;
}

size_t ohttp_keys_retire(struct ohttp_keys *keys, int64_t now)
{
    size_t kept = 0;
    size_t had = keys->n;
    for (size_t i = 0; i < had; i++) {
        struct key_entry entry = keys->entries[i];
        if (entry.settings.not_after < now)
            hpke_key_free(entry.key);
        else
            keys->entries[kept++] = entry;
    }
    for (size_t i = kept; i < had; i++)
        keys->entries[i] = (struct key_entry){ 0 };
    keys->n = kept;
    return had - kept;
}

bool ohttp_keys_find(const struct ohttp_keys *keys, uint8_t id, struct key_config *out)
{
    const struct key_entry *entry = find_entry(keys, id);
    if (entry == NULL)
        return false;
    *out = (struct key_config){ .id = id,
                                .kem = hpke_key_kem(entry->key),
                                .public_key = hpke_key_public(entry->key),
                                .suites_n = entry->settings.suites_n };
    memcpy(out->suites, entry->settings.suites, sizeof out->suites);
    return true;
}

size_t ohttp_keys_count(const struct ohttp_keys *keys)
{
    return keys->n;
}

void ohttp_keys_free(struct ohttp_keys *keys)
{
    if (keys == NULL)
        return;
    for (size_t i = 0; i < keys->n; i++)
        hpke_key_free(keys->entries[i].key);
    mem_free(keys);
}

/* The server. */

struct ohttp_server {
    err failed;
    const struct ohttp_keys *keys;
    bool nonce_given;
    struct exchange x;
    struct sealer sealer;
    struct opener opener;
};

err ohttp_server_new(struct ohttp_server **out, enum ohttp_variant variant,
                     const struct ohttp_keys *keys)
{
    struct ohttp_server *s;
    TRY(mem_new(&s));
    s->keys = keys;
    s->x.variant = variant;
    s->x.lead = BUF(OHTTP_HEADER_LEN + HPKE_ENC_MAX);
    opener_limit(&s->opener, &(struct ohttp_limits){ 0 });
    *out = s;
    return OK;
}

void ohttp_server_limit(struct ohttp_server *s, const struct ohttp_limits *limits)
{
    opener_limit(&s->opener, limits);
}

static void server_drop_secrets(struct ohttp_server *s)
{
    cipher_clear(&s->sealer.cipher);
    opener_clear(&s->opener);
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
static err find_key(const struct ohttp_server *s, const struct key_entry **out,
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
    *out = find_entry(s->keys, id);
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
    const struct key_entry *entry;
    struct hpke_suite suite;
    bool full;
    TRY(fill_lead(s, OHTTP_HEADER_LEN, in, &full));
    if (!full)
        return OK;
    TRY(find_key(s, &entry, &suite));
    TRY(fill_lead(s, OHTTP_HEADER_LEN + kem_find(suite.kem)->enc_len, in, &full));
    if (!full)
        return OK;

    BUF_AUTO info = BUF(INFO_MAX);
    bytes lead = buf_view(&s->x.lead);
    TRY(make_info(s->x.variant, bytes_slice(lead, 0, OHTTP_HEADER_LEN), &info));
    TRY(hpke_receiver_new(&s->x.hpke, suite, entry->key, exchange_enc(&s->x), buf_view(&info)));
    s->x.aead = suite.aead;
    s->opener.cipher.hpke = s->x.hpke;
    opener_begin(&s->opener, s->x.variant);
    return OK;
}

static err server_put(struct ohttp_server *s, bytes in, bool end, struct buf *plain_out)
{
    if (!cipher_ready(&s->opener.cipher))
        TRY(take_lead(s, &in));
    if (cipher_ready(&s->opener.cipher))
        return opener_put(&s->opener, s->x.variant, in, end, plain_out);
    ENSURE(!end, TRUNCATED);
    return OK;
}

err ohttp_server_open(struct ohttp_server *s, bytes in, bool end, struct buf *plain_out,
                      enum ohttp_step *step)
{
    *step = OHTTP_MORE;
    TRY(s->failed);
    TRY(server_settle(s, server_put(s, in, end, plain_out)));
    if (s->opener.at == AT_END)
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
    if (!cipher_ready(&s->sealer.cipher))
        TRY(server_begin_response(s));
    return sealer_put(&s->sealer, s->x.variant, plain, final, out);
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
