#include <sys/mman.h>

#include "crypto/aead.h"
#include "crypto/init.h"
#include "tests/lib/law.h"

static const enum aead_id ids[] = { AEAD_AES_128_GCM, AEAD_AES_256_GCM, AEAD_CHACHA20_POLY1305 };

enum { LEN_MAX = 200 };

static uint8_t key[AEAD_KEY_MAX], data[LEN_MAX], aad[40];

static const uint8_t *nonce(uint8_t n)
{
    static uint8_t at[AEAD_NONCE_LEN];
    at[11] = n;
    return at;
}

static bytes key_of(enum aead_id id)
{
    return bytes_of(key, aead_key_len(id));
}

static void seal_once(enum aead_id id, bytes pt, bytes with, uint8_t *out)
{
    struct aead *a = NULL;
    CHECK_OK(aead_new(&a, id, true, key_of(id)));
    CHECK_OK(aead_seal(a, nonce(1), with, pt, out));
    aead_free(a);
}

/* NIST's GCM test cases 1, 2 (AES-128) and 13, 14 (AES-256). */
static void agrees_with_the_standards_examples(void **state)
{
    (void)state;
    static const struct {
        enum aead_id id;
        size_t len;
        const char *ct;
    } cases[] = {
        { AEAD_AES_128_GCM, 0, "58e2fccefa7e3061367f1d57a4e7455a" },
        { AEAD_AES_128_GCM, 16,
          "0388dace60b6a392f328c2b971b2fe78ab6e47d42cec13bdf53a67b21257bddf" },
        { AEAD_AES_256_GCM, 0, "530f8afbc74536b9a963b4f1c4cb738b" },
        { AEAD_AES_256_GCM, 16,
          "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919" },
    };
    static const uint8_t zeros[AEAD_KEY_MAX];
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        BUF_AUTO want = BUF(64);
        uint8_t ct[64];
        struct aead *a = NULL;
        CHECK_OK(aead_new(&a, cases[i].id, true, bytes_of(zeros, aead_key_len(cases[i].id))));
        CHECK_OK(aead_seal(a, zeros, (bytes){ 0 }, bytes_of(zeros, cases[i].len), ct));
        law_hex(&want, cases[i].ct);
        CHECK_BYTES(bytes_of(ct, cases[i].len + AEAD_TAG_LEN), buf_view(&want));
        aead_free(a);
    }
}

static void every_length_opens_to_what_was_sealed(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        struct aead *s = NULL, *o = NULL;
        CHECK_OK(aead_new(&s, ids[i], true, key_of(ids[i])));
        CHECK_OK(aead_new(&o, ids[i], false, key_of(ids[i])));
        for (size_t len = 0; len <= LEN_MAX; len++) {
            uint8_t ct[LEN_MAX + AEAD_TAG_LEN], pt[LEN_MAX];
            bytes with = bytes_of(aad, len % sizeof aad);
            CHECK_OK(aead_seal(s, nonce((uint8_t)len), with, bytes_of(data, len), ct));
            CHECK_OK(aead_open(o, nonce((uint8_t)len), with, bytes_of(ct, len + AEAD_TAG_LEN), pt));
            CHECK_BYTES(bytes_of(pt, len), bytes_of(data, len));
        }
        aead_free(s);
        aead_free(o);
    }
}

static void sealing_and_opening_work_in_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        uint8_t apart[LEN_MAX + AEAD_TAG_LEN], same[LEN_MAX + AEAD_TAG_LEN];
        memcpy(same, data, sizeof data);
        seal_once(ids[i], BYTES_ARRAY(data), BYTES_ARRAY(aad), apart);
        seal_once(ids[i], bytes_of(same, LEN_MAX), BYTES_ARRAY(aad), same);
        CHECK_BYTES(BYTES_ARRAY(same), BYTES_ARRAY(apart));
        struct aead *o = NULL;
        CHECK_OK(aead_new(&o, ids[i], false, key_of(ids[i])));
        CHECK_OK(aead_open(o, nonce(1), BYTES_ARRAY(aad), BYTES_ARRAY(same), same));
        CHECK_BYTES(bytes_of(same, LEN_MAX), BYTES_ARRAY(data));
        aead_free(o);
    }
}

static void check_refused(struct aead *o, const uint8_t *n, bytes with, bytes ct)
{
    uint8_t out[LEN_MAX];
    memset(out, 0x77, sizeof out);
    CHECK_ERR(aead_open(o, n, with, ct, out), CRYPTO);
    size_t len = ct.len < AEAD_TAG_LEN ? 0 : ct.len - AEAD_TAG_LEN;
    for (size_t i = 0; i < sizeof out; i++)
        CHECK(out[i] == (i < len ? 0 : 0x77));
}

static void any_flipped_bit_is_refused_and_leaves_only_zeros(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        uint8_t ct[37 + AEAD_TAG_LEN], with[9], n[AEAD_NONCE_LEN], pt[37];
        memcpy(with, aad, sizeof with);
        memcpy(n, nonce(1), sizeof n);
        seal_once(ids[i], bytes_of(data, 37), BYTES_ARRAY(with), ct);
        struct aead *o = NULL;
        CHECK_OK(aead_new(&o, ids[i], false, key_of(ids[i])));
        const struct {
            uint8_t *at;
            size_t len;
        } parts[] = { { ct, sizeof ct }, { with, sizeof with }, { n, sizeof n } };
        for (size_t p = 0; p < ARRAY_LEN(parts); p++) {
            for (size_t bit = 0; bit < 8 * parts[p].len; bit++) {
                parts[p].at[bit / 8] ^= (uint8_t)(1U << bit % 8);
                check_refused(o, n, BYTES_ARRAY(with), BYTES_ARRAY(ct));
                parts[p].at[bit / 8] ^= (uint8_t)(1U << bit % 8);
            }
        }
        for (size_t len = 0; len < sizeof ct; len++)
            check_refused(o, n, BYTES_ARRAY(with), bytes_of(ct, len));
        check_refused(o, n, (bytes){ 0 }, BYTES_ARRAY(ct));
        /* And the context is good for more after all those refusals. */
        CHECK_OK(aead_open(o, n, BYTES_ARRAY(with), BYTES_ARRAY(ct), pt));
        CHECK_BYTES(BYTES_ARRAY(pt), bytes_of(data, 37));
        aead_free(o);
    }
}

static void a_kept_context_remembers_nothing_of_its_last_key(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        uint8_t fresh[LEN_MAX + AEAD_TAG_LEN], again[LEN_MAX + AEAD_TAG_LEN], other[AEAD_KEY_MAX];
        crypto_thread_end();
        seal_once(ids[i], BYTES_ARRAY(data), BYTES_ARRAY(aad), fresh);
        struct aead *a = NULL;
        memset(other, 0x99, sizeof other);
        CHECK_OK(aead_new(&a, ids[i], true, bytes_of(other, aead_key_len(ids[i]))));
        CHECK_OK(aead_seal(a, nonce(5), BYTES_ARRAY(aad), BYTES_ARRAY(data), again));
        CHECK(!bytes_equal(BYTES_ARRAY(again), BYTES_ARRAY(fresh)));
        aead_free(a);
        seal_once(ids[i], BYTES_ARRAY(data), BYTES_ARRAY(aad), again);
        CHECK_BYTES(BYTES_ARRAY(again), BYTES_ARRAY(fresh));
    }
}

static void more_contexts_than_are_kept_come_and_go(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        static struct aead *many[AEAD_KEPT_MAX + 3];
        for (int round = 0; round < 2; round++) {
            for (size_t n = 0; n < ARRAY_LEN(many); n++)
                CHECK_OK(aead_new(&many[n], ids[i], n % 2, key_of(ids[i])));
            for (size_t n = 0; n < ARRAY_LEN(many); n++)
                aead_free(many[n]);
            for (size_t n = 0; n < ARRAY_LEN(many); n++)
                CHECK_OK(aead_new(&many[n], ids[i], true, key_of(ids[i])));
            for (size_t n = 0; n < ARRAY_LEN(many); n++)
                aead_free(many[n]);
        }
    }
    aead_free(NULL);
}

static void the_wrong_direction_key_or_id_is_refused(void **state)
{
    (void)state;
    uint8_t out[64];
    struct aead *a = NULL;
    CHECK_ERR(aead_new(&a, (enum aead_id)0, true, bytes_of(key, 32)), UNSUPPORTED);
    CHECK_ERR(aead_new(&a, (enum aead_id)0xffff, true, bytes_of(key, 32)), UNSUPPORTED);
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        size_t len = aead_key_len(ids[i]);
        CHECK(len == (ids[i] == AEAD_AES_128_GCM ? 16 : 32));
        CHECK_ERR(aead_new(&a, ids[i], true, bytes_of(key, len - 1)), CRYPTO);
        CHECK_ERR(aead_new(&a, ids[i], true, (bytes){ 0 }), CRYPTO);
        CHECK(a == NULL);
        CHECK_OK(aead_new(&a, ids[i], true, key_of(ids[i])));
        CHECK_ERR(aead_open(a, nonce(1), (bytes){ 0 }, bytes_of(data, 32), out), DENIED);
        aead_free(a);
        CHECK_OK(aead_new(&a, ids[i], false, key_of(ids[i])));
        CHECK_ERR(aead_seal(a, nonce(1), (bytes){ 0 }, bytes_of(data, 32), out), DENIED);
        aead_free(a);
        a = NULL;
    }
    CHECK(aead_key_len((enum aead_id)4) == 0);
}

/* The borrowed lengths are refused before a byte of them is read. */
static void what_is_over_the_limit_is_refused_unread(void **state)
{
    (void)state;
    uint8_t out[1];
    bytes huge = bytes_of(data, (size_t)AEAD_INPUT_MAX + 1);
    bytes huge_ct = bytes_of(data, (size_t)AEAD_INPUT_MAX + 1 + AEAD_TAG_LEN);
    struct aead *s = NULL, *o = NULL;
    CHECK_OK(aead_new(&s, AEAD_AES_128_GCM, true, key_of(AEAD_AES_128_GCM)));
    CHECK_OK(aead_new(&o, AEAD_AES_128_GCM, false, key_of(AEAD_AES_128_GCM)));
    CHECK_ERR(aead_seal(s, nonce(1), (bytes){ 0 }, huge, out), LIMIT);
    CHECK_ERR(aead_seal(s, nonce(1), huge, (bytes){ 0 }, out), LIMIT);
    CHECK_ERR(aead_open(o, nonce(1), (bytes){ 0 }, huge_ct, out), LIMIT);
    CHECK_ERR(aead_open(o, nonce(1), huge, BYTES_ARRAY(data), out), LIMIT);
    aead_free(s);
    aead_free(o);
}

/* Untouched anonymous memory is all one page of zeros, so this costs time and no memory. */
static void an_aad_of_exactly_the_limit_is_taken(void **state)
{
    (void)state;
    uint8_t tag[AEAD_TAG_LEN];
    void *at =
        mmap(NULL, AEAD_INPUT_MAX, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(at != MAP_FAILED);
    struct aead *s = NULL, *o = NULL;
    bytes with = bytes_of(at, AEAD_INPUT_MAX);
    CHECK_OK(aead_new(&s, AEAD_AES_128_GCM, true, key_of(AEAD_AES_128_GCM)));
    CHECK_OK(aead_new(&o, AEAD_AES_128_GCM, false, key_of(AEAD_AES_128_GCM)));
    CHECK_OK(aead_seal(s, nonce(1), with, (bytes){ 0 }, tag));
    CHECK_OK(aead_open(o, nonce(1), with, BYTES_ARRAY(tag), tag));
    aead_free(s);
    aead_free(o);
    CHECK(munmap(at, AEAD_INPUT_MAX) == 0);
}

static err make_and_free(void *arg)
{
    struct aead *a = NULL;
    crypto_thread_end();
    TRY(aead_new(&a, *(const enum aead_id *)arg, true, key_of(*(const enum aead_id *)arg)));
    aead_free(a);
    return OK;
}

static void every_allocation_fails_once(void **state)
{
    (void)state;
    enum aead_id id = AEAD_AES_256_GCM;
    law_every_allocation_fails_once(make_and_free, &id);
}

static int setup(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof key; i++)
        key[i] = (uint8_t)(i + 1);
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 13);
    for (size_t i = 0; i < sizeof aad; i++)
        aad[i] = (uint8_t)(i * 5 + 3);
    return err_is_ok(crypto_init()) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    crypto_thread_end();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_standards_examples),
        cmocka_unit_test(every_length_opens_to_what_was_sealed),
        cmocka_unit_test(sealing_and_opening_work_in_place),
        cmocka_unit_test(any_flipped_bit_is_refused_and_leaves_only_zeros),
        cmocka_unit_test(a_kept_context_remembers_nothing_of_its_last_key),
        cmocka_unit_test(more_contexts_than_are_kept_come_and_go),
        cmocka_unit_test(the_wrong_direction_key_or_id_is_refused),
        cmocka_unit_test(what_is_over_the_limit_is_refused_unread),
        cmocka_unit_test(an_aad_of_exactly_the_limit_is_taken),
        cmocka_unit_test(every_allocation_fails_once),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
