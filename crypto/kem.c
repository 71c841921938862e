/*
 * DHKEM(X25519, HKDF-SHA256) of RFC 9180 section 4.1 on libsodium's X25519, the faster of the two
 * libraries; and a pool of ephemeral key pairs, which halves what a sender waits for.
 */
#include "crypto/kem.h"

#include <sodium.h>
#include <string.h>

#include "base/attr.h"
#include "crypto/kem_pool.h"
#include "crypto/labeled.h"
#include "crypto/secret.h"
#include "crypto/setup.h"
#include "crypto/x25519_batch.h"

enum { X25519_LEN = 32 };

_Static_assert((int)KEM_POOL_MAX <= (int)X25519_BATCH_MAX, "filled at once");

_Static_assert(crypto_scalarmult_curve25519_BYTES == X25519_LEN, "X25519");

static const uint8_t x25519_suite_id[] = { 'K', 'E', 'M', 0x00, 0x20 };

enum {
    SAME_MIN = 16, /* senders in a row to one recipient: agreements are made ahead as well */
    AGREE_MAX = 32 /* agreements made at once */
};

/* In secret memory; each pair is handed out once and wiped here. */
struct pool {
    size_t n;
    struct x25519_pair pairs[KEM_POOL_MAX];
    uint8_t dh[KEM_POOL_MAX][X25519_LEN]; /* with `recipient`, where `agreed` */
    bool agreed[KEM_POOL_MAX];
    uint8_t recipient[X25519_LEN]; /* of the latest sender */
    size_t same;                   /* senders to it in a row */
};

static _Thread_local struct pool *pool;

err kem_x25519(const uint8_t sk[static 32], const uint8_t pk[static 32], uint8_t out[static 32])
{
    //= rfc9180#section-7.1.4
    //# For X25519 and X448, public keys and Diffie-Hellman outputs MUST be validated
    if (crypto_scalarmult_curve25519(out, sk, pk) == 0)
        return OK;
    secret_wipe(out, X25519_LEN);
    FAIL(CRYPTO);
}

static err x25519_public_key(const uint8_t *sk, uint8_t *pk)
{
    ENSURE(crypto_scalarmult_curve25519_base(pk, sk) == 0, INTERNAL);
    return OK;
}

/* dkp_prk = LabeledExtract("", "dkp_prk", ikm); sk = LabeledExpand(dkp_prk, "sk", "", Nsk) */
static err x25519_derive(bytes ikm, uint8_t *sk)
{
    SECRET_BYTES(prk, HKDF_PRK_LEN);
    const bytes suite_id = BYTES_ARRAY(x25519_suite_id);
    labeled_extract(suite_id, (bytes){ 0 }, BYTES_LIT("dkp_prk"), ikm, prk);
    const struct labeled what = { suite_id, BYTES_LIT("sk"), { 0 } };
    return labeled_expand(prk, &what, sk, X25519_LEN);
}

/* kem_context = enc || pkR; eae_prk = LabeledExtract("", "eae_prk", dh)
 * shared_secret = LabeledExpand(eae_prk, "shared_secret", kem_context, Nsecret) */
static err x25519_extract_and_expand(const uint8_t *dh, const uint8_t *enc, const uint8_t *pk,
                                     uint8_t *secret)
{
    SECRET_BYTES(prk, HKDF_PRK_LEN);
    uint8_t context[2 * X25519_LEN];
    memcpy(context, enc, X25519_LEN);
    memcpy(context + X25519_LEN, pk, X25519_LEN);
    const bytes suite_id = BYTES_ARRAY(x25519_suite_id);
    labeled_extract(suite_id, (bytes){ 0 }, BYTES_LIT("eae_prk"), bytes_of(dh, X25519_LEN), prk);
    const struct labeled what = { suite_id, BYTES_LIT("shared_secret"), BYTES_ARRAY(context) };
    return labeled_expand(prk, &what, secret, SHA256_LEN);
}

static err pair_make(struct x25519_pair *p)
{
    TRY(crypto_random(p->sk, sizeof p->sk));
    return x25519_public_key(p->sk, p->pk);
}

/* From here on, whatever is agreed on ahead is agreed on with pk. */
static void note_recipient(const uint8_t *pk)
{
    if (pool->same < SAME_MIN)
        pool->same++;
    if (bytes_equal(BYTES_ARRAY(pool->recipient), bytes_of(pk, X25519_LEN)))
        return;
    memcpy(pool->recipient, pk, X25519_LEN);
    pool->same = 1;
    secret_wipe(pool->dh, sizeof pool->dh);
    memset(pool->agreed, 0, sizeof pool->agreed);
}

/* A pair that nobody used, and its agreement with pk. */
static err pair_take(const uint8_t *pk, struct x25519_pair *out, uint8_t *dh)
{
    if (pool != NULL)
        note_recipient(pk);
    if (pool == NULL || pool->n == 0) {
        TRY(pair_make(out));
        return kem_x25519(out->sk, pk, dh);
    }
    size_t i = --pool->n;
    bool agreed = pool->agreed[i];
    *out = pool->pairs[i];
    memcpy(dh, pool->dh[i], X25519_LEN);
    secret_wipe(&pool->pairs[i], sizeof pool->pairs[i]);
    secret_wipe(pool->dh[i], X25519_LEN);
    pool->agreed[i] = false;
    return agreed ? OK : kem_x25519(out->sk, pk, dh);
}

static err x25519_encap(const uint8_t *pk, const uint8_t *ephemeral, uint8_t *enc, uint8_t *secret)
{
    SECRET(struct x25519_pair, e);
    SECRET_BYTES(dh, X25519_LEN);
    if (ephemeral == NULL) {
        TRY(pair_take(pk, &e, dh));
    } else {
        memcpy(e.sk, ephemeral, sizeof e.sk);
        TRY(x25519_public_key(e.sk, e.pk));
        TRY(kem_x25519(e.sk, pk, dh));
    }
    TRY(x25519_extract_and_expand(dh, e.pk, pk, secret));
    memcpy(enc, e.pk, sizeof e.pk);
    return OK;
}

static err x25519_decap(const uint8_t *sk, const uint8_t *pk, const uint8_t *enc, uint8_t *secret)
{
    SECRET_BYTES(dh, X25519_LEN);
    TRY(kem_x25519(sk, enc, dh));
    return x25519_extract_and_expand(dh, enc, pk, secret);
}

static const struct kem kems[] = {
    {
        .id = KEM_X25519_HKDF_SHA256,
        .name = "DHKEM(X25519, HKDF-SHA256)",
        .enc_len = X25519_LEN,
        .pk_len = X25519_LEN,
        .sk_len = X25519_LEN,
        .ephemeral_len = X25519_LEN,
        .secret_len = SHA256_LEN,
        .public_key = x25519_public_key,
        .derive = x25519_derive,
        .encap = x25519_encap,
        .decap = x25519_decap,
    },
};

_Static_assert(ARRAY_LEN(kems) <= KEM_COUNT_MAX, "hpke keeps a row for each");

const struct kem *kem_at(size_t i)
{
    return i < ARRAY_LEN(kems) ? &kems[i] : NULL;
}

const struct kem *kem_find(uint16_t id)
{
    for (size_t i = 0; i < ARRAY_LEN(kems); i++) {
        if (kems[i].id == id)
            return &kems[i];
    }
    return NULL;
}

err kem_generate(const struct kem *k, uint8_t *sk, uint8_t *pk)
{
    TRY(crypto_random(sk, k->sk_len));
    return k->public_key(sk, pk);
}

err kem_derive(const struct kem *k, bytes ikm, uint8_t *sk, uint8_t *pk)
{
    ENSURE(ikm.len >= k->sk_len, CRYPTO);
    TRY(k->derive(ikm, sk));
    return k->public_key(sk, pk);
}

err kem_public(const struct kem *k, bytes sk, uint8_t *pk)
{
    ENSURE(sk.len == k->sk_len, CRYPTO);
    return k->public_key(sk.at, pk);
}

err kem_encap(const struct kem *k, bytes pk, bytes ephemeral, uint8_t *enc, uint8_t *secret)
{
    ENSURE(pk.len == k->pk_len, CRYPTO);
    ENSURE(ephemeral.len == 0 || ephemeral.len == k->ephemeral_len, CRYPTO);
    return k->encap(pk.at, ephemeral.len > 0 ? ephemeral.at : NULL, enc, secret);
}

err kem_decap(const struct kem *k, bytes sk, bytes pk, bytes enc, uint8_t *secret)
{
    ENSURE(sk.len == k->sk_len && pk.len == k->pk_len && enc.len == k->enc_len, CRYPTO);
    return k->decap(sk.at, pk.at, enc.at, secret);
}

/* For the pairs that go next. A recipient that gives no agreement is refused when it is sent to. */
static void agree_ahead(void)
{
    size_t left = pool->same >= SAME_MIN ? AGREE_MAX : 0;
    for (size_t i = pool->n; i-- > 0 && left > 0;) {
        if (pool->agreed[i])
            continue;
        pool->agreed[i] = err_is_ok(kem_x25519(pool->pairs[i].sk, pool->recipient, pool->dh[i]));
        left--;
    }
}

err kem_pool_fill(size_t n)
{
    void *at;
    ENSURE(n <= KEM_POOL_MAX, LIMIT);
    if (pool == NULL) {
        TRY(secret_new(&at, sizeof *pool));
        pool = at;
    }
    if (pool->n < n) {
        TRY(x25519_batch(&pool->pairs[pool->n], n - pool->n));
        pool->n = n;
    }
    agree_ahead();
    return OK;
}

size_t kem_pool_len(void)
{
    return pool ? pool->n : 0;
}

void kem_thread_end(void)
{
    secret_free(pool);
    pool = NULL;
}
