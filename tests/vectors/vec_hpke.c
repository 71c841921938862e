/* Runs hpke-base-1 and hpke-decap-1: every intermediate value, every encryption and export. */
#include <string.h>

#include "base/mem.h"
#include "crypto/hpke_test.h"
#include "crypto/init.h"
#include "crypto/secret.h"
#include "tests/vectors/vec.h"

static void key_free(struct hpke_private_key **key)
{
    hpke_key_free(*key);
}

static void context_free(struct hpke **h)
{
    hpke_free(*h);
}

static void bytes_free(uint8_t **at)
{
    mem_free(*at);
}

#define KEY_AUTO CLEANUP(key_free) struct hpke_private_key
#define HPKE_AUTO CLEANUP(context_free) struct hpke
#define BYTES_AUTO CLEANUP(bytes_free) uint8_t

/* A vector with its suite, read once for each case that needs it. */
struct setup {
    const json_t *json;
    struct hpke_suite suite;
    const struct kem *kem;
    size_t number;
};

static void check_pair(struct vec *v, const struct setup *s, bool recipient)
{
    uint8_t sk[KEM_SK_MAX], pk[KEM_PK_MAX];
    const char *ikm = recipient ? "ikmR" : "ikmE";
    if (!vec_has(s->json, ikm))
        return;
    vec_ok(v, kem_derive(s->kem, vec_hex(v, s->json, ikm), sk, pk), ikm);
    vec_same(v, bytes_of(sk, s->kem->sk_len), vec_hex(v, s->json, recipient ? "skRm" : "skEm"),
             "derived secret key");
    const char *name = recipient ? "pkRm" : "pkEm";
    if (vec_has(s->json, name))
        vec_same(v, bytes_of(pk, s->kem->pk_len), vec_hex(v, s->json, name), "derived public key");
}

static void check_kem(struct vec *v, const struct setup *s)
{
    uint8_t enc[KEM_ENC_MAX], secret[KEM_SECRET_MAX], pk[KEM_PK_MAX];
    const bytes pkr = vec_hex(v, s->json, "pkRm"), skr = vec_hex(v, s->json, "skRm");
    const bytes want = vec_hex(v, s->json, "shared_secret");
    vec_ok(v, kem_public(s->kem, skr, pk), "pkRm");
    vec_same(v, bytes_of(pk, s->kem->pk_len), pkr, "pkRm");

    vec_ok(v, kem_encap(s->kem, pkr, vec_hex(v, s->json, "skEm"), enc, secret), "Encap");
    vec_same(v, bytes_of(enc, s->kem->enc_len), vec_hex(v, s->json, "enc"), "enc");
    vec_same(v, bytes_of(secret, s->kem->secret_len), want, "shared_secret of Encap");

    memset(secret, 0, sizeof secret);
    vec_ok(v, kem_decap(s->kem, skr, pkr, vec_hex(v, s->json, "enc"), secret), "Decap");
    vec_same(v, bytes_of(secret, s->kem->secret_len), want, "shared_secret of Decap");
}

static void check_schedule(struct vec *v, const struct setup *s)
{
    struct hpke_schedule k = { 0 };
    vec_ok(v,
           hpke_schedule_make(s->suite, vec_hex(v, s->json, "shared_secret"),
                              vec_hex(v, s->json, "info"), &k),
           "key schedule");
    if (vec_has(s->json, "key_schedule_context"))
        vec_same(v, BYTES_ARRAY(k.context), vec_hex(v, s->json, "key_schedule_context"),
                 "key_schedule_context");
    if (vec_has(s->json, "secret"))
        vec_same(v, BYTES_ARRAY(k.secret), vec_hex(v, s->json, "secret"), "secret");
    vec_same(v, bytes_of(k.key, k.key_len), vec_hex(v, s->json, "key"), "key");
    vec_same(v, bytes_of(k.base_nonce, k.nonce_len), vec_hex(v, s->json, "base_nonce"),
             "base_nonce");
    vec_same(v, BYTES_ARRAY(k.exporter_secret), vec_hex(v, s->json, "exporter_secret"),
             "exporter_secret");
}

static err sender(struct vec *v, const struct setup *s, bytes info, struct hpke **out)
{
    uint8_t enc[HPKE_ENC_MAX];
    size_t enc_len;
    const struct hpke_ephemeral given = { vec_hex(v, s->json, "skEm") };
    TRY(hpke_sender_new(out, s->suite, vec_hex(v, s->json, "pkRm"), info, &given, enc, &enc_len));
    vec_same(v, bytes_of(enc, enc_len), vec_hex(v, s->json, "enc"), "enc of SetupBaseS");
    return OK;
}

static err recipient(struct vec *v, const struct setup *s, bytes info, struct hpke **out)
{
    KEY_AUTO *key = NULL;
    TRY(hpke_key_load(&key, s->suite.kem, vec_hex(v, s->json, "skRm")));
    vec_same(v, hpke_key_public(key), vec_hex(v, s->json, "pkRm"), "pkRm");
    return hpke_receiver_new(out, s->suite, key, vec_hex(v, s->json, "enc"), info);
}

struct message {
    uint64_t seq;
    bytes aad, pt, ct;
};

static err check_seal(struct vec *v, const struct setup *s, const struct message *m, bytes nonce)
{
    HPKE_AUTO *h = NULL;
    BYTES_AUTO *ct = mem_alloc(m->pt.len + AEAD_TAG_LEN);
    uint8_t n[AEAD_NONCE_LEN];
    ENSURE(ct != NULL, NOMEM);
    TRY(sender(v, s, vec_hex(v, s->json, "info"), &h));
    hpke_set_seq(h, m->seq);
    hpke_nonce(h, n);
    vec_same(v, BYTES_ARRAY(n), nonce, "nonce");
    TRY(hpke_seal(h, m->aad, m->pt, ct));
    vec_same(v, bytes_of(ct, m->pt.len + AEAD_TAG_LEN), m->ct, "ct");
    return OK;
}

static err check_open(struct vec *v, const struct setup *s, const struct message *m)
{
    HPKE_AUTO *h = NULL;
    BYTES_AUTO *pt = mem_alloc(m->ct.len);
    ENSURE(pt != NULL, NOMEM);
    TRY(recipient(v, s, vec_hex(v, s->json, "info"), &h));

    hpke_set_seq(h, m->seq ^ 1);
    vec_refused(v, hpke_open(h, m->aad, m->ct, pt), "opening under another sequence number");
    if (hpke_seq(h) != (m->seq ^ 1))
        vec_fail(v, "a refused opening moved the sequence number");

    hpke_set_seq(h, m->seq);
    BUF_AUTO aad = BUF(m->aad.len + 1);
    TRY(buf_add(&aad, m->aad));
    TRY(buf_add_u8(&aad, 0));
    vec_refused(v, hpke_open(h, buf_view(&aad), m->ct, pt), "opening under another AAD");

    TRY(hpke_open(h, m->aad, m->ct, pt));
    vec_same(v, bytes_of(pt, m->ct.len - AEAD_TAG_LEN), m->pt, "pt");
    return OK;
}

static err check_other_key(struct vec *v, const struct setup *s, const struct message *m)
{
    HPKE_AUTO *h = NULL;
    BYTES_AUTO *pt = mem_alloc(m->ct.len);
    ENSURE(pt != NULL, NOMEM);
    TRY(recipient(v, s, BYTES_LIT("an info that no vector has"), &h));
    hpke_set_seq(h, m->seq);
    vec_refused(v, hpke_open(h, m->aad, m->ct, pt), "opening under another key");
    return OK;
}

static void run_encryption(struct vec *v, const struct setup *s, const json_t *e, size_t i)
{
    vec_begin(v, "vector %zu, encryption %zu", s->number, i);
    const struct message m = { vec_u64(v, e, "sequence_number"), vec_hex(v, e, "aad"),
                               vec_hex(v, e, "pt"), vec_hex(v, e, "ct") };
    vec_ok(v, check_seal(v, s, &m, vec_hex(v, e, "nonce")), "sealing");
    if (m.ct.len < AEAD_TAG_LEN) {
        vec_fail(v, "ct is too short");
    } else {
        vec_ok(v, check_open(v, s, &m), "opening");
        vec_ok(v, check_other_key(v, s, &m), "SetupBaseR");
    }
    vec_end(v);
}

static err check_export(struct vec *v, const struct setup *s, const json_t *e, bool seals)
{
    HPKE_AUTO *h = NULL;
    static uint8_t out[HPKE_EXPORT_MAX];
    bytes info = vec_hex(v, s->json, "info");
    uint64_t len = vec_u64(v, e, "L");
    ENSURE(len <= sizeof out, LIMIT);
    TRY(seals ? sender(v, s, info, &h) : recipient(v, s, info, &h));
    TRY(hpke_export(h, vec_hex(v, e, "exporter_context"), out, len));
    vec_same(v, bytes_of(out, len), vec_hex(v, e, "exported_value"), "exported_value");
    return OK;
}

static void run_export(struct vec *v, const struct setup *s, const json_t *e, size_t i)
{
    vec_begin(v, "vector %zu, export %zu", s->number, i);
    vec_ok(v, check_export(v, s, e, true), "the sender's export");
    vec_ok(v, check_export(v, s, e, false), "the recipient's export");
    vec_end(v);
}

static void run_vector(struct vec *v, const json_t *json, size_t number)
{
    size_t i;
    const json_t *e;
    vec_begin(v, "vector %zu, setup", number);
    const struct setup s = {
        json,
        { (uint16_t)vec_u64(v, json, "kem_id"), (uint16_t)vec_u64(v, json, "kdf_id"),
          (uint16_t)vec_u64(v, json, "aead_id") },
        kem_find((uint16_t)vec_u64(v, json, "kem_id")),
        number,
    };
    if (vec_u64(v, json, "mode") != 0)
        return vec_skip(v, "only mode base is offered");
    if (s.kem == NULL)
        return vec_skip(v, "this KEM is not offered");
    if (!hpke_suite_known(s.suite))
        return vec_skip(v, "this suite is not offered");
    check_pair(v, &s, true);
    check_pair(v, &s, false);
    check_kem(v, &s);
    check_schedule(v, &s);
    vec_end(v);
    json_array_foreach(json_object_get(json, "encryptions"), i, e) run_encryption(v, &s, e, i);
    json_array_foreach(json_object_get(json, "exports"), i, e) run_export(v, &s, e, i);
}

/* Every suite with this KEM has to refuse it, and before a context comes about. */
static void check_decap(struct vec *v, const json_t *c, const struct kem *kem, bool must_refuse)
{
    KEY_AUTO *key = NULL;
    HPKE_AUTO *h = NULL;
    uint8_t secret[KEM_SECRET_MAX];
    const struct hpke_suite suite = { kem->id, HPKE_KDF_HKDF_SHA256, AEAD_AES_128_GCM };
    const bytes enc = vec_hex(v, c, "enc"), sk = vec_hex(v, c, "skRm");
    vec_ok(v, hpke_key_load(&key, kem->id, sk), "skRm");
    if (key == NULL)
        return;
    err opened = hpke_receiver_new(&h, suite, key, enc, (bytes){ 0 });
    err e = kem_decap(kem, sk, hpke_key_public(key), enc, secret);
    if (e.code != opened.code)
        vec_fail(v, "Decap and SetupBaseR do not agree");
    if (must_refuse || e.code != ERR_OK)
        vec_refused(v, e, "SetupBaseR");
    else
        vec_same(v, bytes_of(secret, kem->secret_len), vec_hex(v, c, "shared_secret"),
                 "shared_secret");
}

static void run_decap(struct vec *v, const json_t *c)
{
    vec_begin(v, "%s", vec_text(c, "name"));
    uint16_t id = vec_has(c, "kem_id") ? (uint16_t)vec_u64(v, c, "kem_id") : KEM_X25519_HKDF_SHA256;
    const struct kem *kem = kem_find(id);
    const char *result = vec_text(c, "result");
    if (kem == NULL)
        return vec_skip(v, "this KEM is not offered");
    if (strcmp(result, "invalid") != 0 && strcmp(result, "acceptable") != 0 &&
        strcmp(result, "valid") != 0)
        vec_fail(v, "unknown result");
    check_decap(v, c, kem, strcmp(result, "invalid") == 0);
    vec_end(v);
}

static bool run_file(struct vec *v, const json_t *root)
{
    size_t i;
    const json_t *c;
    const char *format = vec_text(root, "format");
    const json_t *vectors = json_object_get(root, "vectors"),
                 *cases = json_object_get(root, "cases");
    if (strcmp(format, "hpke-base-1") == 0 && json_array_size(vectors) > 0) {
        json_array_foreach(vectors, i, c) run_vector(v, c, i);
        return true;
    }
    if (strcmp(format, "hpke-decap-1") == 0 && json_array_size(cases) > 0) {
        json_array_foreach(cases, i, c) run_decap(v, c);
        return true;
    }
    return false;
}

int main(int argc, char **argv)
{
    if (!err_is_ok(crypto_init()))
        return 1;
    int status = vec_main(argc, argv, run_file);
    crypto_thread_end();
    return status;
}
