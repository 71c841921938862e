/*
 * A kept EVP context costs its key schedule once; each message sets only the nonce, with a NULL
 * cipher, which is half the price of starting anew. Contexts outlive their keys: aead_free() puts
 * the zero key in and keeps the context for the next aead_new() of this thread.
 */
#include "crypto/aead.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <string.h>

#include "base/mem.h"
#include "crypto/secret.h"
#include "crypto/setup.h"

struct aead {
    EVP_CIPHER_CTX *ctx;
    struct aead *next; /* in the list of kept ones */
    size_t row;
    bool seals;
};

struct aead_row {
    enum aead_id id;
    size_t key_len;
    const char *name;
};

static const struct aead_row rows[] = {
    { AEAD_AES_128_GCM, 16, "AES-128-GCM" },
    { AEAD_AES_256_GCM, 32, "AES-256-GCM" },
    { AEAD_CHACHA20_POLY1305, 32, "ChaCha20-Poly1305" },
};

static EVP_CIPHER *ciphers[ARRAY_LEN(rows)]; /* set once, by aead_setup() */

struct kept {
    struct aead *first;
    size_t n;
};

static _Thread_local struct kept kept[ARRAY_LEN(rows)][2];

static const uint8_t zero_key[AEAD_KEY_MAX];

err aead_setup(void)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (ciphers[i] == NULL)
            ciphers[i] = EVP_CIPHER_fetch(NULL, rows[i].name, NULL);
        ENSURE(ciphers[i] != NULL, INTERNAL);
        ENSURE((size_t)EVP_CIPHER_get_key_length(ciphers[i]) == rows[i].key_len, INTERNAL);
    }
    return OK;
}

static size_t row_find(enum aead_id id)
{
    size_t i = 0;
    while (i < ARRAY_LEN(rows) && rows[i].id != id)
        i++;
    return i;
}

size_t aead_key_len(enum aead_id id)
{
    size_t row = row_find(id);
    return row < ARRAY_LEN(rows) ? rows[row].key_len : 0;
}

static void destroy(struct aead *a)
{
    if (a == NULL)
        return;
    EVP_CIPHER_CTX_free(a->ctx);
    mem_free(a);
}

static void destroy_at(struct aead **a)
{
    destroy(*a);
}

static err make(struct aead **out, size_t row, bool seals)
{
    ENSURE(ciphers[row] != NULL, INTERNAL);
    CLEANUP(destroy_at) struct aead *a = NULL;
    TRY(mem_new(&a));
    a->row = row;
    a->seals = seals;
    a->ctx = EVP_CIPHER_CTX_new();
    ENSURE(a->ctx != NULL, NOMEM);
    ENSURE(EVP_CipherInit_ex(a->ctx, ciphers[row], NULL, NULL, NULL, seals) == 1, NOMEM);
    *out = a;
    a = NULL;
    return OK;
}

static struct aead *take_kept(size_t row, bool seals)
{
    struct kept *k = &kept[row][seals];
    struct aead *a = k->first;
    if (a != NULL) {
        k->first = a->next;
        k->n--;
        a->next = NULL;
    }
    return a;
}

err aead_new(struct aead **out, enum aead_id id, bool seals, bytes key)
{
    size_t row = row_find(id);
    ENSURE(row < ARRAY_LEN(rows), UNSUPPORTED);
    ENSURE(key.len == rows[row].key_len, CRYPTO);

    CLEANUP(destroy_at) struct aead *a = take_kept(row, seals);
    if (a == NULL)
        TRY(make(&a, row, seals));
    ENSURE(EVP_CipherInit_ex(a->ctx, NULL, NULL, key.at, NULL, -1) == 1, INTERNAL);
    *out = a;
    a = NULL;
    return OK;
}

void aead_free(struct aead *a)
{
    if (a == NULL)
        return;
    struct kept *k = &kept[a->row][a->seals];
    if (k->n >= AEAD_KEPT_MAX || EVP_CipherInit_ex(a->ctx, NULL, NULL, zero_key, NULL, -1) != 1) {
        destroy(a);
        return;
    }
    a->next = k->first;
    k->first = a;
    k->n++;
}

void aead_thread_end(void)
{
    for (size_t row = 0; row < ARRAY_LEN(rows); row++) {
        for (int seals = 0; seals < 2; seals++) {
            struct aead *a;
            while ((a = take_kept(row, seals)) != NULL)
                destroy(a);
        }
    }
}

/* Nonce, then aad, then data. OpenSSL takes an update without input for one of aad, so an empty one
 * is left out. */
static err run(struct aead *a, const uint8_t *nonce, bytes aad, bytes in, uint8_t *out)
{
    int n;
    ENSURE(EVP_CipherInit_ex(a->ctx, NULL, NULL, NULL, nonce, -1) == 1, INTERNAL);
    if (aad.len > 0)
        ENSURE(EVP_CipherUpdate(a->ctx, NULL, &n, aad.at, (int)aad.len) == 1, INTERNAL);
    if (in.len > 0)
        ENSURE(EVP_CipherUpdate(a->ctx, out, &n, in.at, (int)in.len) == 1, INTERNAL);
    return OK;
}

/* Nothing half-made stays, and nobody later finds our failure in OpenSSL's queue of this thread. */
static void give_up(uint8_t *out, size_t len)
{
    secret_wipe(out, len);
    ERR_clear_error();
}

static err seal(struct aead *a, const uint8_t *nonce, bytes aad, bytes pt, uint8_t *out)
{
    int n;
    uint8_t *tag = out + pt.len;
    TRY(run(a, nonce, aad, pt, out));
    ENSURE(EVP_CipherFinal_ex(a->ctx, tag, &n) == 1, INTERNAL);
    ENSURE(EVP_CIPHER_CTX_ctrl(a->ctx, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG_LEN, tag) == 1, INTERNAL);
    return OK;
}

err aead_seal(struct aead *a, const uint8_t nonce[static AEAD_NONCE_LEN], bytes aad, bytes pt,
              uint8_t *out)
{
    ENSURE(a->seals, DENIED);
    ENSURE(pt.len <= AEAD_INPUT_MAX && aad.len <= AEAD_INPUT_MAX, LIMIT);
    err e = seal(a, nonce, aad, pt, out);
    if (e.code != ERR_OK)
        give_up(out, pt.len + AEAD_TAG_LEN);
    return e;
}

static err open_body(struct aead *a, const uint8_t *nonce, bytes aad, bytes ct, uint8_t *out)
{
    int n;
    uint8_t tag[AEAD_TAG_LEN], none[AEAD_TAG_LEN];
    memcpy(tag, ct.at + ct.len, sizeof tag);
    TRY(run(a, nonce, aad, ct, out));
    ENSURE(EVP_CIPHER_CTX_ctrl(a->ctx, EVP_CTRL_AEAD_SET_TAG, AEAD_TAG_LEN, tag) == 1, INTERNAL);
    ENSURE(EVP_CipherFinal_ex(a->ctx, none, &n) == 1, CRYPTO);
    return OK;
}

err aead_open(struct aead *a, const uint8_t nonce[static AEAD_NONCE_LEN], bytes aad, bytes ct,
              uint8_t *out)
{
    ENSURE(!a->seals, DENIED);
    ENSURE(ct.len >= AEAD_TAG_LEN, CRYPTO);
    ENSURE(ct.len <= (size_t)AEAD_INPUT_MAX + AEAD_TAG_LEN && aad.len <= AEAD_INPUT_MAX, LIMIT);
    bytes body = bytes_of(ct.at, ct.len - AEAD_TAG_LEN);
    err e = open_body(a, nonce, aad, body, out);
    if (e.code != ERR_OK)
        give_up(out, body.len);
    return e;
}
