#include "base/cbor.h"
#include "receipts/air_rows.h"
#include "tests/lib/law.h"

/* The writer walks the tables, so their order is the order of the wire. */
static bool ascends(bytes a, bytes b)
{
    if (a.len != b.len)
        return a.len < b.len;
    return memcmp(a.at, b.at, a.len) < 0;
}

static void claims_stand_in_the_order_of_their_encoded_keys(void **state)
{
    (void)state;
    BUF_AUTO before = BUF(16);
    for (size_t i = 0; i < AIR_ROWS; i++) {
        BUF_AUTO key = BUF(16);
        CHECK_OK(cbor_put_int(&key, air_table[i].key));
        CHECK(i == 0 || ascends(buf_view(&before), buf_view(&key)));
        buf_truncate(&before, 0);
        CHECK_OK(buf_add(&before, buf_view(&key)));
    }
}

static void sixteen_claims_are_required(void **state)
{
    (void)state;
    size_t required = 0;
    for (size_t i = 0; i < AIR_ROWS; i++)
        required += !air_table[i].optional;
    assert_int_equal(required, AIR_ROWS_REQUIRED);
}

/* Keys and names are frozen: this list was written by hand from the specification. */
static void keys_are_those_of_the_specification(void **state)
{
    static const struct {
        int64_t key;
        const char *name;
    } spec[] = {
        { 1, "iss" },
        { 6, "iat" },
        { 7, "cti" },
        { 10, "eat_nonce" },
        { 265, "eat_profile" },
        { -65537, "model_id" },
        { -65538, "model_version" },
        { -65539, "model_hash" },
        { -65540, "request_hash" },
        { -65541, "response_hash" },
        { -65542, "attestation_doc_hash" },
        { -65543, "enclave_measurements" },
        { -65544, "policy_version" },
        { -65545, "sequence_number" },
        { -65546, "execution_time_ms" },
        { -65547, "memory_peak_mb" },
        { -65548, "security_mode" },
        { -65549, "model_hash_scheme" },
        { -70001, "gpu" }, /* of our own profile */
    };
    (void)state;
    assert_int_equal(sizeof spec / sizeof spec[0], AIR_ROWS);
    for (size_t i = 0; i < AIR_ROWS; i++) {
        CHECK(air_table[i].key == spec[i].key);
        assert_string_equal(air_table[i].name, spec[i].name);
    }
}

static void words_are_known_as_a_whole(void **state)
{
    (void)state;
    CHECK(air_mode_known(BYTES_LIT("production")) && air_mode_known(BYTES_LIT("evaluation")));
    CHECK(!air_mode_known(BYTES_LIT("productio")) && !air_mode_known(BYTES_LIT("Production")));
    CHECK(!air_mode_known((bytes){ 0 }));
    CHECK(air_scheme_known(BYTES_LIT("sha256-manifest")) && !air_scheme_known(BYTES_LIT("sha256")));
}

static void zero_is_zero_at_every_place(void **state)
{
    uint8_t b[AIR_HASH_LEN] = { 0 };
    (void)state;
    CHECK(air_all_zero(BYTES_ARRAY(b)) && air_all_zero((bytes){ 0 }));
    for (size_t i = 0; i < sizeof b; i++) {
        b[i] = 0x80;
        CHECK(!air_all_zero(BYTES_ARRAY(b)));
        b[i] = 0;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(claims_stand_in_the_order_of_their_encoded_keys),
        cmocka_unit_test(sixteen_claims_are_required),
        cmocka_unit_test(keys_are_those_of_the_specification),
        cmocka_unit_test(words_are_known_as_a_whole),
        cmocka_unit_test(zero_is_zero_at_every_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
