#include "base/mem.h"
#include "crypto/init.h"
#include "tests/lib/law.h"
#include "wire/ohttp_chunk.h"

/* Both ends under one fixed key. */
static err cipher_of(struct chunk_cipher *c, bool seals)
{
    static const uint8_t key[16] = { 1, 2, 3 };
    memset(c->base_nonce, 0xa5, sizeof c->base_nonce);
    return aead_new(&c->aead, AEAD_AES_128_GCM, seals, BYTES_ARRAY(key));
}

static void begin(struct chunk_opener *o, enum ohttp_variant variant,
                  const struct ohttp_limits *limits)
{
    CHECK_OK(cipher_of(&o->cipher, false));
    chunk_opener_limit(o, limits);
    chunk_opener_begin(o, variant);
}

static const struct ohttp_limits defaults;

/* A chunk as any peer could send it: the length as given, then `plain_len` zeros sealed. */
static void add_chunk(struct buf *out, struct chunk_cipher *c, uint64_t i, size_t plain_len)
{
    uint8_t nonce[AEAD_NONCE_LEN];
    memcpy(nonce, c->base_nonce, sizeof nonce);
    nonce[AEAD_NONCE_LEN - 1] ^= (uint8_t)i;
    BUF_AUTO plain = BUF(1 << 20);
    uint8_t *room;
    CHECK_OK(buf_add_zeros(&plain, plain_len));
    CHECK_OK(varint_write(out, plain_len + AEAD_TAG_LEN));
    CHECK_OK(buf_reserve(out, plain_len + AEAD_TAG_LEN, &room));
    CHECK_OK(aead_seal(c->aead, nonce, (bytes){ 0 }, buf_view(&plain), room));
    buf_commit(out, plain_len + AEAD_TAG_LEN);
}

static void cuts_at_the_chunk_size_and_not_before(void **state)
{
    (void)state;
    /* plaintext, final, sealed bytes with all lengths and tags */
    const struct {
        size_t plain_len;
        bool final;
        size_t sealed_len;
    } cases[] = {
        { 0, false, 0 },
        { 0, true, 1 + 16 },
        { 1, false, 1 + 17 },
        { 47, false, 1 + 63 },
        { 48, false, 2 + 64 },
        { OHTTP_CHUNK_MAX, false, 4 + 16400 },
        { OHTTP_CHUNK_MAX, true, 1 + 16400 },
        { OHTTP_CHUNK_MAX + 1, false, 4 + 16400 + 1 + 17 },
        { OHTTP_CHUNK_MAX + 1, true, 4 + 16400 + 1 + 17 },
        { (size_t)2 * OHTTP_CHUNK_MAX, true, 4 + 16400 + 1 + 16400 },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct chunk_sealer s = { 0 };
        BUF_AUTO plain = BUF(1 << 20);
        BUF_AUTO out = BUF(cases[i].sealed_len); /* not one byte more than it takes */
        CHECK_OK(cipher_of(&s.cipher, true));
        CHECK_OK(buf_add_zeros(&plain, cases[i].plain_len));
        CHECK_OK(chunk_sealer_put(&s, OHTTP_CHUNKED, buf_view(&plain), cases[i].final, &out));
        assert_int_equal(out.len, cases[i].sealed_len);
        chunk_cipher_clear(&s.cipher);
    }
}

static void accepts_chunks_up_to_its_limit_and_no_longer(void **state)
{
    (void)state;
    const struct {
        size_t asked;
        size_t limit;
    } cases[] = {
        { 0, OHTTP_CHUNK_MAX },
        { 1, OHTTP_CHUNK_MAX },
        { 20000, 20000 },
        { OHTTP_ACCEPT_MAX, OHTTP_ACCEPT_MAX },
        { 1 << 30, OHTTP_ACCEPT_MAX },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        for (size_t over = 0; over < 2; over++) {
            struct chunk_opener o = { 0 };
            struct chunk_cipher c = { 0 };
            BUF_AUTO body = BUF(1 << 20);
            BUF_AUTO plain = BUF(1 << 20);
            CHECK_OK(cipher_of(&c, true));
            add_chunk(&body, &c, 0, cases[i].limit + over);
            begin(&o, OHTTP_CHUNKED, &(struct ohttp_limits){ .chunk_max = cases[i].asked });
            err e = chunk_opener_put(&o, buf_view(&body), false, &plain);
            assert_int_equal(e.code, over ? ERR_MALFORMED : ERR_OK);
            assert_int_equal(plain.len, over ? 0 : cases[i].limit);
            chunk_opener_clear(&o);
            chunk_cipher_clear(&c);
        }
    }
}

static void refuses_a_length_over_its_limit_at_once(void **state)
{
    (void)state;
    const char *const lengths[] = { "ffffffffffffffff", "80004011", "c000000000004011" };
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        struct chunk_opener o = { 0 };
        BUF_AUTO body = BUF(64);
        BUF_AUTO plain = BUF(64);
        begin(&o, OHTTP_CHUNKED, &defaults);
        law_hex(&body, lengths[i]);
        unsigned long before = mem_requests();
        CHECK_ERR(chunk_opener_put(&o, buf_view(&body), false, &plain), MALFORMED);
        CHECK(mem_requests() == before);
        chunk_opener_clear(&o);
    }
}

static void refuses_chunks_that_hold_nothing(void **state)
{
    (void)state;
    struct chunk_opener o = { 0 };
    struct chunk_cipher c = { 0 };
    BUF_AUTO body = BUF(64);
    BUF_AUTO plain = BUF(64);
    CHECK_OK(cipher_of(&c, true));
    add_chunk(&body, &c, 0, 0);
    begin(&o, OHTTP_CHUNKED, &defaults);
    CHECK_ERR(chunk_opener_put(&o, buf_view(&body), false, &plain), CRYPTO);
    chunk_opener_clear(&o);
    chunk_cipher_clear(&c);
}

/* A final chunk has no length: it is refused as soon as it can no longer be one. */
static void holds_one_chunk_at_most_for_the_final_one(void **state)
{
    (void)state;
    for (size_t over = 0; over < 2; over++) {
        struct chunk_opener o = { 0 };
        BUF_AUTO plain = BUF(1 << 20);
        BUF_AUTO body = BUF(1 << 20);
        CHECK_OK(buf_add_zeros(&body, 1 + OHTTP_CHUNK_MAX + AEAD_TAG_LEN + over));
        begin(&o, OHTTP_CHUNKED, &defaults);
        err e = chunk_opener_put(&o, buf_view(&body), false, &plain);
        assert_int_equal(e.code, over ? ERR_MALFORMED : ERR_OK);
        CHECK(o.pending.cap <= OHTTP_CHUNK_MAX + AEAD_TAG_LEN);
        chunk_opener_clear(&o);
    }
}

static void bounds_an_unchunked_message(void **state)
{
    (void)state;
    for (size_t over = 0; over < 2; over++) {
        struct chunk_sealer s = { 0 };
        struct chunk_opener o = { 0 };
        BUF_AUTO body = BUF(256);
        BUF_AUTO plain = BUF(256);
        CHECK_OK(cipher_of(&s.cipher, true));
        CHECK_OK(buf_add_zeros(&plain, 84 + over));
        CHECK_OK(chunk_sealer_put(&s, OHTTP_PLAIN, buf_view(&plain), true, &body));
        buf_truncate(&plain, 0);
        begin(&o, OHTTP_PLAIN, &(struct ohttp_limits){ .plain_max = 100 });
        err e = chunk_opener_put(&o, buf_view(&body), true, &plain);
        assert_int_equal(e.code, over ? ERR_LIMIT : ERR_OK);
        chunk_opener_clear(&o);
        chunk_cipher_clear(&s.cipher);
    }
}

static void holds_the_default_of_an_unchunked_message_and_no_more(void **state)
{
    (void)state;
    struct chunk_opener o = { 0 };
    BUF_AUTO plain = BUF(64);
    begin(&o, OHTTP_PLAIN, &defaults);
    CHECK(o.pending.max == OHTTP_PLAIN_MAX);
    static const uint8_t part[64 * 1024];
    for (size_t n = 0; n < OHTTP_PLAIN_MAX; n += sizeof part)
        CHECK_OK(chunk_opener_put(&o, BYTES_ARRAY(part), false, &plain));
    CHECK_ERR(chunk_opener_put(&o, bytes_of(part, 1), false, &plain), LIMIT);
    chunk_opener_clear(&o);
}

/* The counter is part of the nonce, all its bytes of it. */
static void takes_chunks_in_their_order_only(void **state)
{
    (void)state;
    enum { CHUNKS = 300, SEALED = 1 + 1 + AEAD_TAG_LEN };
    struct chunk_sealer s = { 0 };
    struct chunk_opener o = { 0 };
    BUF_AUTO body = BUF(1 << 16);
    BUF_AUTO plain = BUF(1 << 16);
    CHECK_OK(cipher_of(&s.cipher, true));
    for (int i = 0; i < CHUNKS; i++)
        CHECK_OK(chunk_sealer_put(&s, OHTTP_CHUNKED, BYTES_LIT("x"), false, &body));
    begin(&o, OHTTP_CHUNKED, &defaults);
    for (size_t i = 0; i < CHUNKS; i++) {
        struct chunk_opener again = o;
        BUF_AUTO none = BUF(64);
        size_t wrong = (i + 256) % CHUNKS;
        CHECK_ERR(chunk_opener_put(&again, bytes_slice(buf_view(&body), wrong * SEALED, SEALED),
                                   false, &none),
                  CRYPTO);
        CHECK_OK(
            chunk_opener_put(&o, bytes_slice(buf_view(&body), i * SEALED, SEALED), false, &plain));
    }
    CHECK(plain.len == CHUNKS);
    chunk_opener_clear(&o);
    chunk_cipher_clear(&s.cipher);
}

static void asks_for_no_memory_per_chunk(void **state)
{
    (void)state;
    struct chunk_sealer s = { 0 };
    struct chunk_opener o = { 0 };
    BUF_AUTO body = BUF(1 << 16);
    BUF_AUTO plain = BUF(1 << 16);
    CHECK_OK(cipher_of(&s.cipher, true));
    begin(&o, OHTTP_CHUNKED, &defaults);
    unsigned long before = 0;
    for (int i = 0; i < 20; i++) {
        buf_truncate(&body, 0);
        buf_truncate(&plain, 0);
        CHECK_OK(chunk_sealer_put(&s, OHTTP_CHUNKED, BYTES_LIT("data: hello\n\n"), false, &body));
        CHECK_OK(chunk_opener_put(&o, bytes_slice(buf_view(&body), 0, 9), false, &plain));
        CHECK_OK(chunk_opener_put(&o, bytes_slice(buf_view(&body), 9, 99), false, &plain));
        CHECK_BYTES(buf_view(&plain), BYTES_LIT("data: hello\n\n"));
        if (i == 0)
            before = mem_requests();
    }
    CHECK(mem_requests() == before);
    chunk_opener_clear(&o);
    chunk_cipher_clear(&s.cipher);
}

static int set_up(void **state)
{
    (void)state;
    CHECK_OK(crypto_init());
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cuts_at_the_chunk_size_and_not_before),
        cmocka_unit_test(accepts_chunks_up_to_its_limit_and_no_longer),
        cmocka_unit_test(refuses_a_length_over_its_limit_at_once),
        cmocka_unit_test(refuses_chunks_that_hold_nothing),
        cmocka_unit_test(holds_one_chunk_at_most_for_the_final_one),
        cmocka_unit_test(bounds_an_unchunked_message),
        cmocka_unit_test(holds_the_default_of_an_unchunked_message_and_no_more),
        cmocka_unit_test(takes_chunks_in_their_order_only),
        cmocka_unit_test(asks_for_no_memory_per_chunk),
    };
    return cmocka_run_group_tests_name("wire/ohttp_chunk", tests, set_up, NULL);
}
