#include "base/cbor.h"
#include "crypto/cose.h"
#include "crypto/init.h"
#include "tests/lib/law.h"

static struct signing_key *key;

static const uint8_t head[] = { 0xa2, 0x01, 0x27, 0x03, 0x18, 0x3d }; /* {1: -8, 3: 61} */
#define HEAD BYTES_ARRAY(head)

static bytes pk(void)
{
    return bytes_of(signing_key_public(key), ED25519_PK_LEN);
}

static err read_hex(const char *hex, struct buf *b, struct cose_sign1 *out)
{
    law_hex(b, hex);
    return cose_sign1_read(buf_view(b), out);
}

static void what_is_written_is_read_and_verifies(void **state)
{
    (void)state;
    static uint8_t payload[70000];
    static const size_t lens[] = { 0, 1, 23, 24, 255, 256, 65535, 65536, sizeof payload };
    for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
        BUF_AUTO out = BUF(1 << 17);
        struct cose_sign1 c;
        bytes p = bytes_of(payload, lens[i]);
        CHECK_OK(cose_sign1_write(&out, HEAD, p, key));
        CHECK(out.at[0] == 0xd2 && out.at[1] == 0x84);
        CHECK_OK(cose_sign1_read(buf_view(&out), &c));
        CHECK_BYTES(c.protected_map, HEAD);
        CHECK_BYTES(c.unprotected_map, BYTES_LIT("\xa0"));
        CHECK_BYTES(c.payload, p);
        CHECK(c.payload.at != NULL && c.signature.len == ED25519_SIG_LEN);
        CHECK_OK(cose_sign1_verify_ed25519(&c, pk()));
        BUF_AUTO again = BUF(1 << 17);
        CHECK_OK(cose_sign1_put(&again, &c));
        CHECK_BYTES(buf_view(&again), buf_view(&out));
    }
}

/* The signed bytes are those of RFC 9052 section 4.4, spelled out. */
static void the_signed_bytes_are_the_standards(void **state)
{
    (void)state;
    BUF_AUTO tbs = BUF(256);
    BUF_AUTO want = BUF(256);
    CHECK_OK(cose_sign1_tbs(&tbs, HEAD, BYTES_LIT("ext"), BYTES_LIT("payload")));
    law_hex(&want, "846a5369676e61747572653146a2012703183d43657874477061796c6f6164");
    CHECK_BYTES(buf_view(&tbs), buf_view(&want));
}

static void any_flipped_bit_is_refused(void **state)
{
    (void)state;
    BUF_AUTO out = BUF(512);
    CHECK_OK(cose_sign1_write(&out, HEAD, BYTES_LIT("a payload"), key));
    for (size_t bit = 0; bit < 8 * out.len; bit++) {
        struct cose_sign1 c;
        out.at[bit / 8] ^= (uint8_t)(1U << bit % 8);
        err e = cose_sign1_read(buf_view(&out), &c);
        if (err_is_ok(e))
            CHECK_ERR(cose_sign1_verify_ed25519(&c, pk()), CRYPTO);
        out.at[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
}

static void every_cut_and_every_surplus_byte_is_refused(void **state)
{
    (void)state;
    BUF_AUTO out = BUF(512);
    struct cose_sign1 c;
    CHECK_OK(cose_sign1_write(&out, HEAD, BYTES_LIT("a payload"), key));
    for (size_t len = 0; len < out.len; len++)
        CHECK_ERR(cose_sign1_read(bytes_of(out.at, len), &c), TRUNCATED);
    CHECK_OK(buf_add_u8(&out, 0xf6));
    CHECK_ERR(cose_sign1_read(buf_view(&out), &c), MALFORMED);
}

static void shapes_that_are_not_a_sign1_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "8440a04040",             /* no tag */
        "d8128440a04040",         /* tag 18 in two bytes */
        "d18440a04040",           /* tag 17 */
        "d2d28440a04040",         /* tag twice */
        "d28340a040",             /* three parts */
        "d28540a0404040",         /* five parts */
        "d29f40a04040ff",         /* indefinite length */
        "d284a0a04040",           /* protected as a map itself */
        "d284420102a04040",       /* protected holds no map */
        "d28442a000a04040",       /* bytes behind the protected map */
        "d28443a10126f64040",     /* unprotected null */
        "d28440404040",           /* unprotected a string */
        "d28440a06040",           /* payload text */
        "d28440a00040",           /* payload an integer */
        "d28440a0f540",           /* payload true */
        "d28440a040f6",           /* no signature */
        "d28445a201260126a04040", /* a label twice, protected */
        "d28440a2040104024040",   /* a label twice, unprotected */
        "d28443a14000a04040",     /* a label that is a byte string */
        "d28443a1f500a04040",     /* a label that is true */
        "d28444a1180126a04040",   /* a label in two bytes */
        "d28440a0580040",         /* payload length in two bytes */
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        BUF_AUTO b = BUF(64);
        struct cose_sign1 c = { .payload = HEAD };
        CHECK_ERR(read_hex(bad[i], &b, &c), MALFORMED);
        CHECK(c.payload.at == head);
    }
}

static void an_empty_protected_header_a_nil_payload_and_unsigned_headers_are_shapes(void **state)
{
    (void)state;
    BUF_AUTO b = BUF(64);
    BUF_AUTO again = BUF(64);
    struct cose_sign1 c;
    CHECK_OK(read_hex("d28440a10442aabbf640", &b, &c));
    CHECK(c.protected_map.len == 0 && c.payload.at == NULL && c.signature.len == 0);
    CHECK_BYTES(c.unprotected_map, BYTES_LIT("\xa1\x04\x42\xaa\xbb"));
    CHECK_ERR(cose_sign1_verify_ed25519(&c, pk()), CRYPTO);
    CHECK_OK(cose_sign1_put(&again, &c));
    CHECK_BYTES(buf_view(&again), buf_view(&b));
    /* Label 1 and label "1" are two. */
    CHECK_OK(read_hex("d28446a201266131f6a04040", &b, &c));
    CHECK(c.payload.at != NULL && c.payload.len == 0);
}

static void the_untagged_form_is_read_only_where_it_is_asked_for(void **state)
{
    (void)state;
    BUF_AUTO b = BUF(512);
    struct cose_sign1 c;
    CHECK_OK(cose_sign1_write(&b, HEAD, BYTES_LIT("p"), key));
    CHECK_ERR(cose_sign1_read_untagged(buf_view(&b), &c), MALFORMED);
    bytes untagged = bytes_of(b.at + 1, b.len - 1);
    CHECK_ERR(cose_sign1_read(untagged, &c), MALFORMED);
    CHECK_OK(cose_sign1_read_untagged(untagged, &c));
    CHECK_OK(cose_sign1_verify_ed25519(&c, pk()));
}

static void header_count(size_t n, struct buf *out)
{
    BUF_AUTO map = BUF(256);
    CHECK_OK(cbor_put_map(&map, n));
    for (size_t i = 0; i < n; i++) {
        CHECK_OK(cbor_put_uint(&map, i));
        CHECK_OK(cbor_put_bool(&map, true));
    }
    CHECK_OK(cose_sign1_write(out, buf_view(&map), BYTES_LIT("p"), key));
}

static void as_many_headers_as_allowed_are_read_and_one_more_is_refused(void **state)
{
    (void)state;
    BUF_AUTO at = BUF(512);
    BUF_AUTO above = BUF(512);
    struct cose_sign1 c;
    header_count(COSE_HEADERS_MAX, &at);
    CHECK_OK(cose_sign1_read(buf_view(&at), &c));
    header_count(COSE_HEADERS_MAX + 1, &above);
    CHECK_ERR(cose_sign1_read(buf_view(&above), &c), LIMIT);
}

/* Appendix C.2.1 of RFC 8152: ES256 over "This is the content.". */
static void ecdsa_agrees_with_the_example_of_rfc_8152(void **state)
{
    (void)state;
    BUF_AUTO b = BUF(256);
    BUF_AUTO point = BUF(128);
    struct cose_sign1 c;
    law_hex(&point,
            "04bac5b11cad8f99f9c72b05cf4b9e26d244dc189f745228255a219a86d6a09eff"
            "20138bf82dc1b6d562be0fa54ab7804a3a64b6d72ccfed6b6fb6ed28bbfc117e");
    CHECK_OK(
        read_hex("d28443a10126a10442313154546869732069732074686520636f6e74656e742e58408eb33e"
                 "4ca31d1c465ab05aac34cc6b23d58fef5c083106c4d25a91aef0b0117e2af9a291aa32e14a"
                 "b834dc56ed2a223444547e01f11d3b0916e5a4c345cacb36",
                 &b, &c));
    CHECK_OK(cose_sign1_verify_ecdsa(&c, EC_P256, buf_view(&point)));
    CHECK_BYTES(c.payload, BYTES_LIT("This is the content."));
    c.payload = BYTES_LIT("This is the Content.");
    CHECK_ERR(cose_sign1_verify_ecdsa(&c, EC_P256, buf_view(&point)), CRYPTO);
}

static err write_read_verify(void *arg)
{
    (void)arg;
    BUF_AUTO out = BUF(512);
    struct cose_sign1 c;
    TRY(cose_sign1_write(&out, HEAD, BYTES_LIT("a payload"), key));
    TRY(cose_sign1_read(buf_view(&out), &c));
    return cose_sign1_verify_ed25519(&c, pk());
}

static void every_allocation_fails_once(void **state)
{
    (void)state;
    law_every_allocation_fails_once(write_read_verify, NULL);
}

static int setup(void **state)
{
    (void)state;
    return err_is_ok(crypto_init()) && err_is_ok(signing_key_generate(&key)) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    signing_key_free(key);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read_and_verifies),
        cmocka_unit_test(the_signed_bytes_are_the_standards),
        cmocka_unit_test(any_flipped_bit_is_refused),
        cmocka_unit_test(every_cut_and_every_surplus_byte_is_refused),
        cmocka_unit_test(shapes_that_are_not_a_sign1_are_refused),
        cmocka_unit_test(an_empty_protected_header_a_nil_payload_and_unsigned_headers_are_shapes),
        cmocka_unit_test(the_untagged_form_is_read_only_where_it_is_asked_for),
        cmocka_unit_test(as_many_headers_as_allowed_are_read_and_one_more_is_refused),
        cmocka_unit_test(ecdsa_agrees_with_the_example_of_rfc_8152),
        cmocka_unit_test(every_allocation_fails_once),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
