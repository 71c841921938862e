/* Runs Wycheproof's files for the algorithms that are used here, by "algorithm" and "schema". */
#include <string.h>

#include "base/mem.h"
#include "crypto/aead.h"
#include "crypto/hkdf.h"
#include "crypto/init.h"
#include "crypto/kem.h"
#include "crypto/sign.h"
#include "tests/vectors/vec.h"

static void aead_free_at(struct aead **a)
{
    aead_free(*a);
}

static void bytes_free(uint8_t **at)
{
    mem_free(*at);
}

#define AEAD_AUTO CLEANUP(aead_free_at) struct aead
#define BYTES_AUTO CLEANUP(bytes_free) uint8_t

static bool is(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

enum result { INVALID, VALID, ACCEPTABLE };

static enum result result_of(struct vec *v, const json_t *test)
{
    const char *text = vec_text(test, "result");
    if (is(text, "valid"))
        return VALID;
    if (is(text, "acceptable"))
        return ACCEPTABLE;
    if (!is(text, "invalid"))
        vec_fail(v, "unknown result");
    return INVALID;
}

static bool has_flag(const json_t *test, const char *flag)
{
    size_t i;
    const json_t *f;
    json_array_foreach(json_object_get(test, "flags"), i, f)
    {
        if (json_is_string(f) && is(json_string_value(f), flag))
            return true;
    }
    return false;
}

/* `valid` verifies, `invalid` does not; what is merely acceptable may do either. */
static void check_verdict(struct vec *v, const json_t *test, err e)
{
    enum result want = result_of(v, test);
    if (want == VALID)
        vec_ok(v, e, "a valid one");
    else if (want == INVALID || e.code != ERR_OK)
        vec_refused(v, e, "an invalid one");
}

struct message {
    bytes key, aad, pt, ct; /* ct with its tag */
    const uint8_t *nonce;
};

static err check_seal(struct vec *v, enum aead_id id, const struct message *m, bool same)
{
    AEAD_AUTO *a = NULL;
    BYTES_AUTO *out = mem_alloc(m->pt.len + AEAD_TAG_LEN);
    ENSURE(out != NULL, NOMEM);
    TRY(aead_new(&a, id, true, m->key));
    TRY(aead_seal(a, m->nonce, m->aad, m->pt, out));
    if (bytes_equal(bytes_of(out, m->pt.len + AEAD_TAG_LEN), m->ct) != same)
        vec_fail(v, "sealed bytes");
    return OK;
}

static err check_open(struct vec *v, const json_t *test, enum aead_id id, const struct message *m)
{
    AEAD_AUTO *a = NULL;
    size_t len = m->ct.len < AEAD_TAG_LEN ? 0 : m->ct.len - AEAD_TAG_LEN;
    BYTES_AUTO *out = mem_alloc(len);
    ENSURE(out != NULL, NOMEM);
    memset(out, 0x55, len);
    TRY(aead_new(&a, id, false, m->key));
    err e = aead_open(a, m->nonce, m->aad, m->ct, out);
    check_verdict(v, test, e);
    if (err_is_ok(e))
        vec_same(v, bytes_of(out, len), m->pt, "opened bytes");
    for (size_t i = 0; e.code != ERR_OK && i < len; i++) {
        if (out[i] != 0)
            vec_fail(v, "plaintext was released");
    }
    return OK;
}

static void run_aead(struct vec *v, const json_t *test, enum aead_id id)
{
    BUF_AUTO ct = BUF(1 << 24);
    bytes nonce = vec_hex(v, test, "iv");
    vec_ok(v, buf_add(&ct, vec_hex(v, test, "ct")), "memory");
    vec_ok(v, buf_add(&ct, vec_hex(v, test, "tag")), "memory");
    const struct message m = { vec_hex(v, test, "key"), vec_hex(v, test, "aad"),
                               vec_hex(v, test, "msg"), buf_view(&ct), nonce.at };
    if (nonce.len != AEAD_NONCE_LEN) {
        vec_fail(v, "its nonce has another length than its group says");
        return;
    }
    vec_ok(v, check_seal(v, id, &m, result_of(v, test) == VALID), "sealing");
    vec_ok(v, check_open(v, test, id, &m), "opening");
}

static void run_hkdf(struct vec *v, const json_t *test)
{
    static uint8_t out[HKDF_OUT_MAX];
    uint8_t prk[HKDF_PRK_LEN];
    uint64_t size = vec_u64(v, test, "size");
    hkdf_extract(vec_hex(v, test, "salt"), vec_hex(v, test, "ikm"), prk);
    err e = hkdf_expand(prk, vec_hex(v, test, "info"), out, size);
    if (result_of(v, test) == INVALID) {
        if (e.code != ERR_LIMIT)
            vec_fail(v, "%s instead of LIMIT", err_word(e));
        return;
    }
    vec_ok(v, e, "expand");
    if (err_is_ok(e))
        vec_same(v, bytes_of(out, size), vec_hex(v, test, "okm"), "okm");
}

/* The KEM has to take and refuse the same points as the plain function. */
static void run_x25519(struct vec *v, const json_t *test)
{
    uint8_t out[32], pk[KEM_PK_MAX], secret[KEM_SECRET_MAX];
    const struct kem *kem = kem_find(KEM_X25519_HKDF_SHA256);
    const bytes sk = vec_hex(v, test, "private"), public = vec_hex(v, test, "public");
    vec_ok(v, kem_public(kem, sk, pk), "private");
    err e = kem_decap(kem, sk, bytes_of(pk, kem->pk_len), public, secret);
    if (public.len != 32 || sk.len != 32 || has_flag(test, "ZeroSharedSecret")) {
        vec_refused(v, e, "the KEM");
        if (public.len == 32 && sk.len == 32)
            vec_refused(v, kem_x25519(sk.at, public.at, out), "X25519");
        return;
    }
    check_verdict(v, test, e);
    vec_ok(v, kem_x25519(sk.at, public.at, out), "X25519");
    vec_same(v, BYTES_ARRAY(out), vec_hex(v, test, "shared"), "shared");
}

static void run_ed25519(struct vec *v, const json_t *group, const json_t *test)
{
    bytes pk = vec_hex(v, json_object_get(group, "publicKey"), "pk");
    check_verdict(v, test, verify_ed25519(pk, vec_hex(v, test, "msg"), vec_hex(v, test, "sig")));
}

/* The key in both its forms has to give the same answer. */
static void run_ecdsa(struct vec *v, const json_t *group, const json_t *test, enum ec_curve curve,
                      enum ecdsa_form form)
{
    const bytes msg = vec_hex(v, test, "msg"), sig = vec_hex(v, test, "sig");
    const bytes point = vec_hex(v, json_object_get(group, "publicKey"), "uncompressed");
    err e = verify_ecdsa(curve, point, msg, sig, form);
    check_verdict(v, test, e);
    if (!vec_has(group, "publicKeyDer"))
        return;
    err again = verify_ecdsa(curve, vec_hex(v, group, "publicKeyDer"), msg, sig, form);
    if (again.code != e.code)
        vec_fail(v, "the key in DER gives another answer");
}

/* What a whole file, then a group, is about. */
enum kind { UNKNOWN, AES_GCM, CHACHA, HKDF, XDH, ED25519, ECDSA_DER_FILE, ECDSA_RAW_FILE };

static enum kind kind_of(const json_t *root)
{
    static const struct {
        const char *algorithm, *schema;
        enum kind kind;
    } known[] = {
        { "AES-GCM", "aead_test_schema", AES_GCM },
        { "CHACHA20-POLY1305", "aead_test_schema", CHACHA },
        { "HKDF-SHA-256", "hkdf_test_schema", HKDF },
        { "XDH", "xdh_comp_schema", XDH },
        { "EDDSA", "eddsa_verify_schema", ED25519 },
        { "ECDSA", "ecdsa_verify_schema", ECDSA_DER_FILE },
        { "ECDSA", "ecdsa_p1363_verify_schema", ECDSA_RAW_FILE },
    };
    bytes schema = bytes_str(vec_text(root, "schema"));
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (is(vec_text(root, "algorithm"), known[i].algorithm) &&
            bytes_starts(schema, bytes_str(known[i].schema)))
            return known[i].kind;
    }
    return UNKNOWN;
}

static json_int_t size_of(const json_t *group, const char *key)
{
    return json_integer_value(json_object_get(group, key));
}

static enum aead_id aead_of(const json_t *group, enum kind kind)
{
    if (size_of(group, "ivSize") != 96 || size_of(group, "tagSize") != 128)
        return 0;
    if (kind == CHACHA)
        return size_of(group, "keySize") == 256 ? AEAD_CHACHA20_POLY1305 : 0;
    if (size_of(group, "keySize") == 128)
        return AEAD_AES_128_GCM;
    return size_of(group, "keySize") == 256 ? AEAD_AES_256_GCM : 0;
}

static enum ec_curve curve_of(const json_t *group)
{
    const char *name = vec_text(json_object_get(group, "publicKey"), "curve");
    if (is(name, "secp256r1") && is(vec_text(group, "sha"), "SHA-256"))
        return EC_P256;
    return is(name, "secp384r1") && is(vec_text(group, "sha"), "SHA-384") ? EC_P384 : 0;
}

static const char *curve_name(const json_t *group)
{
    return vec_text(json_object_get(group, "publicKey"), "curve");
}

/* False: a parameter that is not offered here. */
static bool run_test(struct vec *v, const json_t *group, const json_t *test, enum kind kind)
{
    switch (kind) {
    case UNKNOWN:
        return false;
    case AES_GCM:
    case CHACHA:
        if (aead_of(group, kind) == 0)
            return false;
        run_aead(v, test, aead_of(group, kind));
        return true;
    case HKDF:
        run_hkdf(v, test);
        return true;
    case XDH:
        if (!is(vec_text(group, "curve"), "curve25519"))
            return false;
        run_x25519(v, test);
        return true;
    case ED25519:
        if (!is(curve_name(group), "edwards25519"))
            return false;
        run_ed25519(v, group, test);
        return true;
    case ECDSA_DER_FILE:
    case ECDSA_RAW_FILE:
        if (curve_of(group) == 0)
            return false;
        run_ecdsa(v, group, test, curve_of(group), kind == ECDSA_DER_FILE ? ECDSA_DER : ECDSA_RAW);
        return true;
    }
    return false;
}

static void run_group(struct vec *v, const json_t *group, enum kind kind)
{
    size_t i;
    const json_t *test;
    json_array_foreach(json_object_get(group, "tests"), i, test)
    {
        vec_begin(v, "tcId %" JSON_INTEGER_FORMAT " %s", size_of(test, "tcId"),
                  vec_text(test, "comment"));
        if (run_test(v, group, test, kind))
            vec_end(v);
        else
            vec_skip(v, "these parameters are not offered");
    }
}

static bool run_file(struct vec *v, const json_t *root)
{
    size_t i;
    const json_t *group, *groups = json_object_get(root, "testGroups");
    enum kind kind = kind_of(root);
    if (kind == UNKNOWN || json_array_size(groups) == 0)
        return false;
    json_array_foreach(groups, i, group) run_group(v, group, kind);
    return true;
}

int main(int argc, char **argv)
{
    if (!err_is_ok(crypto_init()))
        return 1;
    int status = vec_main(argc, argv, run_file);
    crypto_thread_end();
    return status;
}
