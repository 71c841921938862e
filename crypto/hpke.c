#include "crypto/hpke.h"

#include <string.h>

#include "base/mem.h"
#include "crypto/hpke_test.h"
#include "crypto/kem_pool.h"
#include "crypto/labeled.h"
#include "crypto/secret.h"
#include "crypto/setup.h"

_Static_assert((int)HPKE_POOL_MAX == (int)KEM_POOL_MAX, "one pool");

enum { SUITE_ID_LEN = 10, AEADS = 4 };

/* What depends on the suite alone, computed once. */
struct suite_row {
    const struct kem *kem;
    size_t key_len; /* 0: export-only */
    struct hpke_suite suite;
    uint8_t suite_id[SUITE_ID_LEN];
    uint8_t psk_id_hash[SHA256_LEN]; /* of no psk: base mode */
};

static const uint16_t aeads[AEADS] = { AEAD_AES_128_GCM, AEAD_AES_256_GCM, AEAD_CHACHA20_POLY1305,
                                       HPKE_AEAD_EXPORT_ONLY };
static struct suite_row rows[KEM_COUNT_MAX * AEADS];
static size_t rows_n;

struct hpke_private_key {
    const struct kem *kem;
    uint8_t sk[KEM_SK_MAX];
    uint8_t pk[KEM_PK_MAX];
};

struct hpke {
    const struct suite_row *row;
    struct aead *aead; /* NULL: export-only */
    uint64_t seq;
    bool used_up; /* seq has been used at its highest value */
    bool seals;
    uint8_t base_nonce[AEAD_NONCE_LEN];
    uint8_t exporter_secret[SHA256_LEN];
};

/* suite_id = "HPKE" || I2OSP(kem_id, 2) || I2OSP(kdf_id, 2) || I2OSP(aead_id, 2) */
static void row_make(struct suite_row *row, const struct kem *kem, uint16_t aead)
{
    const struct hpke_suite s = { kem->id, HPKE_KDF_HKDF_SHA256, aead };
    const uint8_t id[SUITE_ID_LEN] = { 'H',
                                       'P',
                                       'K',
                                       'E',
                                       (uint8_t)(s.kem >> 8),
                                       (uint8_t)s.kem,
                                       (uint8_t)(s.kdf >> 8),
                                       (uint8_t)s.kdf,
                                       (uint8_t)(s.aead >> 8),
                                       (uint8_t)s.aead };
    row->suite = s;
    row->kem = kem;
    row->key_len = aead_key_len((enum aead_id)aead);
    memcpy(row->suite_id, id, sizeof id);
    labeled_extract(BYTES_ARRAY(id), (bytes){ 0 }, BYTES_LIT("psk_id_hash"), (bytes){ 0 },
                    row->psk_id_hash);
}

void hpke_setup(void)
{
    size_t n = 0;
    const struct kem *kem;
    for (size_t i = 0; (kem = kem_at(i)) != NULL; i++) {
        for (size_t j = 0; j < AEADS; j++)
            row_make(&rows[n++], kem, aeads[j]);
    }
    rows_n = n;
}

static const struct suite_row *row_find(struct hpke_suite s)
{
    for (size_t i = 0; i < rows_n; i++) {
        const struct hpke_suite *r = &rows[i].suite;
        if (r->kem == s.kem && r->kdf == s.kdf && r->aead == s.aead)
            return &rows[i];
    }
    return NULL;
}

bool hpke_suite_known(struct hpke_suite suite)
{
    return row_find(suite) != NULL;
}

static void secret_free_at(void **at)
{
    secret_free(*at);
}

err hpke_key_generate(struct hpke_private_key **out, uint16_t kem)
{
    const struct kem *k = kem_find(kem);
    ENSURE(k != NULL, UNSUPPORTED);
    CLEANUP(secret_free_at) void *at = NULL;
    TRY(secret_new(&at, sizeof **out));
    struct hpke_private_key *key = at;
    key->kem = k;
    TRY(kem_generate(k, key->sk, key->pk));
    *out = key;
    at = NULL;
    return OK;
}

err hpke_key_load(struct hpke_private_key **out, uint16_t kem, bytes sk)
{
    const struct kem *k = kem_find(kem);
    ENSURE(k != NULL, UNSUPPORTED);
    CLEANUP(secret_free_at) void *at = NULL;
    TRY(secret_new(&at, sizeof **out));
    struct hpke_private_key *key = at;
    key->kem = k;
    TRY(kem_public(k, sk, key->pk));
    memcpy(key->sk, sk.at, sk.len);
    *out = key;
    at = NULL;
    return OK;
}

bytes hpke_key_public(const struct hpke_private_key *key)
{
    return bytes_of(key->pk, key->kem->pk_len);
}

uint16_t hpke_key_kem(const struct hpke_private_key *key)
{
    return key->kem->id;
}

void hpke_key_free(struct hpke_private_key *key)
{
    secret_free(key);
}

/*
 * KeySchedule of RFC 9180 section 5.1, mode base:
 *   key_schedule_context = mode || psk_id_hash || info_hash
 *   secret          = LabeledExtract(shared_secret, "secret", psk = "")
 *   key             = LabeledExpand(secret, "key", key_schedule_context, Nk)
 *   base_nonce      = LabeledExpand(secret, "base_nonce", key_schedule_context, Nn)
 *   exporter_secret = LabeledExpand(secret, "exp", key_schedule_context, Nh)
 */
static err schedule(const struct suite_row *row, bytes shared_secret, bytes info,
                    struct hpke_schedule *out)
{
    const bytes id = BYTES_ARRAY(row->suite_id), none = { 0 };
    out->context[0] = 0;
    memcpy(out->context + 1, row->psk_id_hash, SHA256_LEN);
    labeled_extract(id, none, BYTES_LIT("info_hash"), info, out->context + 1 + SHA256_LEN);
    labeled_extract(id, shared_secret, BYTES_LIT("secret"), none, out->secret);

    out->key_len = row->key_len;
    out->nonce_len = row->key_len > 0 ? AEAD_NONCE_LEN : 0;
    const bytes context = BYTES_ARRAY(out->context);
    const struct labeled key = { id, BYTES_LIT("key"), context };
    const struct labeled nonce = { id, BYTES_LIT("base_nonce"), context };
    const struct labeled exporter = { id, BYTES_LIT("exp"), context };
    TRY(labeled_expand(out->secret, &key, out->key, out->key_len));
    TRY(labeled_expand(out->secret, &nonce, out->base_nonce, out->nonce_len));
    return labeled_expand(out->secret, &exporter, out->exporter_secret, SHA256_LEN);
}

err hpke_schedule_make(struct hpke_suite suite, bytes shared_secret, bytes info,
                       struct hpke_schedule *out)
{
    const struct suite_row *row = row_find(suite);
    ENSURE(row != NULL, UNSUPPORTED);
    return schedule(row, shared_secret, info, out);
}

static void hpke_free_at(struct hpke **h)
{
    hpke_free(*h);
}

static err context_new(struct hpke **out, const struct suite_row *row, bool seals,
                       bytes shared_secret, bytes info)
{
    SECRET(struct hpke_schedule, s);
    TRY(schedule(row, shared_secret, info, &s));

    CLEANUP(hpke_free_at) struct hpke *h = NULL;
    TRY(mem_new(&h));
    h->row = row;
    h->seals = seals;
    if (row->key_len > 0)
        TRY(aead_new(&h->aead, (enum aead_id)row->suite.aead, seals, bytes_of(s.key, s.key_len)));
    memcpy(h->base_nonce, s.base_nonce, sizeof h->base_nonce);
    memcpy(h->exporter_secret, s.exporter_secret, sizeof h->exporter_secret);
    *out = h;
    h = NULL;
    return OK;
}

/* NOLINTNEXTLINE(readability-function-size): the standard's own inputs and outputs */
err hpke_sender_new(struct hpke **out, struct hpke_suite suite, bytes pk, bytes info,
                    const struct hpke_ephemeral *given, uint8_t *enc, size_t *enc_len)
{
    const struct suite_row *row = row_find(suite);
    ENSURE(row != NULL, UNSUPPORTED);
    SECRET_BYTES(secret, KEM_SECRET_MAX);
    TRY(kem_encap(row->kem, pk, given ? given->sk : (bytes){ 0 }, enc, secret));
    TRY(context_new(out, row, true, bytes_of(secret, row->kem->secret_len), info));
    *enc_len = row->kem->enc_len;
    return OK;
}

err hpke_receiver_new(struct hpke **out, struct hpke_suite suite,
                      const struct hpke_private_key *key, bytes enc, bytes info)
{
    const struct suite_row *row = row_find(suite);
    ENSURE(row != NULL && row->kem == key->kem, UNSUPPORTED);
    SECRET_BYTES(secret, KEM_SECRET_MAX);
    TRY(kem_decap(row->kem, bytes_of(key->sk, row->kem->sk_len), hpke_key_public(key), enc,
                  secret));
    return context_new(out, row, false, bytes_of(secret, row->kem->secret_len), info);
}

/* base_nonce XOR I2OSP(seq, 12) */
void hpke_nonce(const struct hpke *h, uint8_t out[static AEAD_NONCE_LEN])
{
    memcpy(out, h->base_nonce, AEAD_NONCE_LEN);
    for (size_t i = 0; i < sizeof h->seq; i++)
        out[AEAD_NONCE_LEN - 1 - i] ^= (uint8_t)(h->seq >> 8 * i);
}

static err may_run(const struct hpke *h, bool seals)
{
    ENSURE(h->aead != NULL, UNSUPPORTED);
    ENSURE(h->seals == seals, DENIED);
    ENSURE(!h->used_up, LIMIT);
    return OK;
}

static void advance(struct hpke *h)
{
    if (h->seq == UINT64_MAX)
        h->used_up = true;
    else
        h->seq++;
}

err hpke_seal(struct hpke *h, bytes aad, bytes pt, uint8_t *out)
{
    uint8_t nonce[AEAD_NONCE_LEN];
    TRY(may_run(h, true));
    hpke_nonce(h, nonce);
    TRY(aead_seal(h->aead, nonce, aad, pt, out));
    advance(h);
    return OK;
}

err hpke_open(struct hpke *h, bytes aad, bytes ct, uint8_t *out)
{
    uint8_t nonce[AEAD_NONCE_LEN];
    TRY(may_run(h, false));
    hpke_nonce(h, nonce);
    TRY(aead_open(h->aead, nonce, aad, ct, out));
    advance(h);
    return OK;
}

err hpke_export(const struct hpke *h, bytes context, uint8_t *out, size_t len)
{
    const struct labeled what = { BYTES_ARRAY(h->row->suite_id), BYTES_LIT("sec"), context };
    return labeled_expand(h->exporter_secret, &what, out, len);
}

void hpke_free(struct hpke *h)
{
    if (h == NULL)
        return;
    aead_free(h->aead);
    mem_free(h);
}

err hpke_pool_fill(size_t n)
{
    return kem_pool_fill(n < HPKE_POOL_MAX ? n : HPKE_POOL_MAX);
}

size_t hpke_pool_len(void)
{
    return kem_pool_len();
}

uint64_t hpke_seq(const struct hpke *h)
{
    return h->seq;
}

void hpke_set_seq(struct hpke *h, uint64_t seq)
{
    h->seq = seq;
    h->used_up = false;
}
