#include "attest/envelope.h"
#include "tests/lib/law.h"
#include "tests/unit/attest/scene.h"

static const char type[] = "application/test+cbor";

static void write_one(struct buf *out, const struct signing_key *key)
{
    CHECK_OK(envelope_write(out, type, BYTES_LIT("payload"), key));
}

static void reads_what_it_wrote_and_verifies(void **state)
{
    (void)state;
    struct signing_key *key;
    struct cose_sign1 c;
    BUF_AUTO out = BUF(1024);
    CHECK_OK(signing_key_generate(&key));
    write_one(&out, key);
    CHECK_OK(envelope_read(buf_view(&out), type, &c));
    CHECK_BYTES(c.payload, BYTES_LIT("payload"));
    CHECK_OK(cose_sign1_verify_ed25519(&c, bytes_of(signing_key_public(key), 32)));
    signing_key_free(key);
}

static void keeps_content_types_apart(void **state)
{
    (void)state;
    struct signing_key *key;
    struct cose_sign1 c;
    BUF_AUTO out = BUF(1024);
    CHECK_OK(signing_key_generate(&key));
    write_one(&out, key);
    CHECK_ERR(envelope_read(buf_view(&out), "application/tesu+cbor", &c), UNSUPPORTED);
    CHECK_ERR(envelope_read(buf_view(&out), "application/test+cbo", &c), UNSUPPORTED);
    signing_key_free(key);
}

static void refuses_a_longer_content_type(void **state)
{
    (void)state;
    char longest[ENVELOPE_TYPE_MAX + 2] = { 0 };
    struct signing_key *key;
    BUF_AUTO out = BUF(1024);
    CHECK_OK(signing_key_generate(&key));
    memset(longest, 'a', ENVELOPE_TYPE_MAX);
    CHECK_OK(envelope_write(&out, longest, BYTES_LIT("p"), key));
    longest[ENVELOPE_TYPE_MAX] = 'a';
    CHECK_ERR(envelope_write(&out, longest, BYTES_LIT("p"), key), LIMIT);
    signing_key_free(key);
}

static void refuses_an_unprotected_header_and_an_empty_payload(void **state)
{
    (void)state;
    struct signing_key *key;
    struct cose_sign1 c;
    BUF_AUTO out = BUF(1024);
    BUF_AUTO again = BUF(1024);
    CHECK_OK(signing_key_generate(&key));
    write_one(&out, key);
    CHECK_OK(envelope_read(buf_view(&out), type, &c));
    c.unprotected_map = BYTES_LIT("\xa1\x04\x41\x31");
    CHECK_OK(cose_sign1_put(&again, &c));
    CHECK_ERR(envelope_read(buf_view(&again), type, &c), MALFORMED);
    buf_truncate(&again, 0);
    CHECK_OK(envelope_write(&again, type, BYTES_LIT(""), key));
    CHECK_ERR(envelope_read(buf_view(&again), type, &c), MALFORMED);
    signing_key_free(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_it_wrote_and_verifies),
        cmocka_unit_test(keeps_content_types_apart),
        cmocka_unit_test(refuses_a_longer_content_type),
        cmocka_unit_test(refuses_an_unprotected_header_and_an_empty_payload),
    };
    return cmocka_run_group_tests(tests, scene_init_crypto, NULL);
}
