#include "base/attr.h"
#include "crypto/init.h"
#include "receipts/air_read.h"
#include "tests/unit/receipts/golden.h"

/* ---- receipts from hand-made parts; the signature is of no interest here ---- */

static const uint8_t PROTECTED[] = { 0xa2, 0x01, 0x27, 0x03, 0x18, 0x3d };
static const uint8_t SIGNATURE[AIR_SIGNATURE_LEN] = { 1 };

static void envelope(struct buf *out, bytes header, bytes payload)
{
    buf_truncate(out, 0);
    CHECK_OK(cbor_put_tag(out, 18));
    CHECK_OK(cbor_put_array(out, 4));
    CHECK_OK(cbor_put_bytes(out, header));
    CHECK_OK(cbor_put_map(out, 0));
    CHECK_OK(cbor_put_bytes(out, payload));
    CHECK_OK(cbor_put_bytes(out, BYTES_ARRAY(SIGNATURE)));
}

static void golden_payload(struct buf *out)
{
    struct air_claims c = golden_claims();
    c.nonce_len = AIR_NONCE_MIN;
    c.model_hash_scheme = BYTES_LIT(AIR_SCHEME_SINGLE);
    CHECK_OK(air_write_payload(out, &c));
}

static void golden_receipt(struct buf *out)
{
    BUF_AUTO payload = BUF(4096);
    golden_payload(&payload);
    envelope(out, BYTES_ARRAY(PROTECTED), buf_view(&payload));
}

/* The part that is bad and what it says; the parts before it are good. */
static void check_refused(bytes receipt, enum air_part part, const char *fault)
{
    struct air_reading r;
    struct air_claims claims;
    air_read_parts(receipt, &r);
    if (r.state[part] != AIR_PART_BAD)
        fail_msg("%s: part %d is not bad", fault, (int)part);
    assert_string_equal(r.fault[part], fault);
    CHECK_ERR(air_read(receipt, &claims), MALFORMED);
}

static void check_payload_refused(bytes payload, const char *fault)
{
    BUF_AUTO receipt = BUF(1 << 17);
    struct air_reading r;
    envelope(&receipt, BYTES_ARRAY(PROTECTED), payload);
    check_refused(buf_view(&receipt), AIR_PART_CLAIMS, fault);
    air_read_parts(buf_view(&receipt), &r);
    CHECK(!r.has_claims);
}

static void check_map_refused(const struct map *m, const char *fault)
{
    BUF_AUTO payload = BUF(1 << 16);
    map_together(&payload, m);
    check_payload_refused(buf_view(&payload), fault);
}

/* The golden map with the value of one claim put in the given bytes. */
static void check_value_refused(int64_t key, bytes value, const char *fault)
{
    BUF_AUTO payload = BUF(4096);
    golden_payload(&payload);
    struct map m = map_apart(buf_view(&payload));
    m.entries[map_place(&m, key)].value = value;
    check_map_refused(&m, fault);
}

#define VALUE(key, literal, fault) check_value_refused((key), BYTES_LIT(literal), (fault))

/* ---- tests ---- */

static void reads_what_was_written(void **state)
{
    (void)state;
    struct air_claims wrote = golden_claims(), read;
    BUF_AUTO payload = BUF(4096);
    BUF_AUTO again = BUF(4096);
    BUF_AUTO receipt = BUF(4096);
    CHECK_OK(air_write_payload(&payload, &wrote));
    envelope(&receipt, BYTES_ARRAY(PROTECTED), buf_view(&payload));
    CHECK_OK(air_read(buf_view(&receipt), &read));
    CHECK_OK(air_write_payload(&again, &read));
    CHECK_BYTES(buf_view(&again), buf_view(&payload));
    CHECK_BYTES(read.model_id, wrote.model_id);
    assert_int_equal(read.memory_peak_mb, 512);
    CHECK(read.registers[AIR_PCR8].at == NULL);
}

static void a_size_limit_comes_first(void **state)
{
    (void)state;
    BUF_AUTO big = BUF(AIR_RECEIPT_MAX + 1);
    CHECK_OK(buf_add_zeros(&big, AIR_RECEIPT_MAX));
    check_refused(buf_view(&big), AIR_PART_COSE, "NOT_COSE_SIGN1");
    CHECK_OK(buf_add_zeros(&big, 1));
    check_refused(buf_view(&big), AIR_PART_SIZE, "TOO_LARGE");
}

static void every_prefix_is_refused(void **state)
{
    (void)state;
    struct air_claims claims;
    BUF_AUTO receipt = BUF(4096);
    golden_receipt(&receipt);
    CHECK_OK(air_read(buf_view(&receipt), &claims));
    for (size_t len = 0; len < receipt.len; len++)
        CHECK_ERR(air_read(bytes_of(receipt.at, len), &claims), MALFORMED);
}

static void only_one_envelope_is_accepted(void **state)
{
    (void)state;
    BUF_AUTO receipt = BUF(4096);
    BUF_AUTO other = BUF(4096);
    golden_receipt(&receipt);
    bytes body = bytes_slice(buf_view(&receipt), 1, receipt.len);
    check_refused(body, AIR_PART_COSE, "NOT_COSE_SIGN1"); /* no tag */
    CHECK_OK(buf_add(&other, BYTES_LIT("\xd8\x12")));
    CHECK_OK(buf_add(&other, body));
    check_refused(buf_view(&other), AIR_PART_COSE, "NOT_COSE_SIGN1"); /* a longer tag */
    buf_truncate(&other, 0);
    CHECK_OK(buf_add(&other, BYTES_LIT("\xd1")));
    CHECK_OK(buf_add(&other, body));
    check_refused(buf_view(&other), AIR_PART_COSE, "NOT_COSE_SIGN1"); /* another tag */
    CHECK_OK(buf_add_u8(&receipt, 0));
    check_refused(buf_view(&receipt), AIR_PART_COSE, "NOT_COSE_SIGN1"); /* more behind */
}

static void the_unprotected_map_is_empty(void **state)
{
    (void)state;
    BUF_AUTO receipt = BUF(4096);
    BUF_AUTO payload = BUF(4096);
    golden_payload(&payload);
    CHECK_OK(cbor_put_tag(&receipt, 18));
    CHECK_OK(cbor_put_array(&receipt, 4));
    CHECK_OK(cbor_put_bytes(&receipt, BYTES_ARRAY(PROTECTED)));
    CHECK_OK(buf_add(&receipt, BYTES_LIT("\xa1\x04\x41\x00")));
    CHECK_OK(cbor_put_bytes(&receipt, buf_view(&payload)));
    CHECK_OK(cbor_put_bytes(&receipt, BYTES_ARRAY(SIGNATURE)));
    check_refused(buf_view(&receipt), AIR_PART_UNPROTECTED, "NOT_EMPTY");
}

static void check_header(bytes header, enum air_part part, const char *fault)
{
    BUF_AUTO receipt = BUF(4096);
    BUF_AUTO payload = BUF(4096);
    golden_payload(&payload);
    envelope(&receipt, header, buf_view(&payload));
    check_refused(buf_view(&receipt), part, fault);
}

#define HEADER(literal, part, fault) check_header(BYTES_LIT(literal), (part), (fault))

static void the_protected_header_is_one_byte_string(void **state)
{
    (void)state;
    HEADER("\xa2\x01\x26\x03\x18\x3d", AIR_PART_ALG, "NOT_EDDSA");         /* ES256 */
    HEADER("\xa2\x01\x39\x03\xe7\x03\x18\x3d", AIR_PART_ALG, "NOT_EDDSA"); /* -1000 */
    HEADER(
        "\xa2\x01\x65"
        "EdDSA\x03\x18\x3d",
        AIR_PART_ALG, "NOT_EDDSA");
    HEADER("\xa1\x03\x18\x3d", AIR_PART_ALG, "NOT_EDDSA");
    HEADER("\xa1\x01\x27", AIR_PART_CONTENT_TYPE, "NOT_CWT");
    HEADER("\xa2\x01\x27\x03\x18\x3c", AIR_PART_CONTENT_TYPE, "NOT_CWT");
    HEADER("", AIR_PART_ALG, "NOT_EDDSA");
    HEADER("\xa0", AIR_PART_CONTENT_TYPE, "NOT_CWT");
    HEADER("\xa2\x03\x18\x3d\x01\x27", AIR_PART_COSE, "HEADER_NOT_DETERMINISTIC");
    HEADER("\xa3\x01\x27\x03\x18\x3d\x04\x41\x00", AIR_PART_COSE, "EXTRA_HEADER"); /* kid */
    HEADER("\xa3\x01\x27\x02\x81\x01\x03\x18\x3d", AIR_PART_COSE, "EXTRA_HEADER"); /* crit */
    HEADER("\xa3\x01\x27\x03\x18\x3d\x61\x78\x00", AIR_PART_COSE, "EXTRA_HEADER");
    HEADER("\xa2\x01\x27\x01\x27", AIR_PART_COSE, "NOT_COSE_SIGN1");         /* twice */
    HEADER("\xa2\x01\x27\x03\x19\x00\x3d", AIR_PART_COSE, "NOT_COSE_SIGN1"); /* too long a head */
    HEADER("\x82\x01\x27", AIR_PART_COSE, "NOT_COSE_SIGN1");
    HEADER("\xbf\x01\x27\x03\x18\x3d\xff", AIR_PART_COSE, "NOT_COSE_SIGN1");
}

static void a_wrong_algorithm_still_gives_the_claims(void **state)
{
    (void)state;
    struct air_reading r;
    BUF_AUTO receipt = BUF(4096);
    BUF_AUTO payload = BUF(4096);
    golden_payload(&payload);
    envelope(&receipt, BYTES_LIT("\xa2\x01\x26\x03\x18\x3d"), buf_view(&payload));
    air_read_parts(buf_view(&receipt), &r);
    CHECK(r.has_claims);
    CHECK_BYTES(r.claims.model_id, BYTES_LIT("minilm-l6-v2"));
}

static void a_payload_must_be_there(void **state)
{
    (void)state;
    BUF_AUTO receipt = BUF(4096);
    envelope(&receipt, BYTES_ARRAY(PROTECTED), (bytes){ 0 });
    check_refused(buf_view(&receipt), AIR_PART_PAYLOAD, "NONE");
    buf_truncate(&receipt, 0);
    CHECK_OK(buf_add(&receipt, BYTES_LIT("\xd2\x84\x46\xa2\x01\x27\x03\x18\x3d\xa0\xf6")));
    CHECK_OK(cbor_put_bytes(&receipt, BYTES_ARRAY(SIGNATURE)));
    check_refused(buf_view(&receipt), AIR_PART_PAYLOAD, "NONE"); /* nil */
}

static void the_payload_is_one_map(void **state)
{
    (void)state;
    BUF_AUTO payload = BUF(4096);
    check_payload_refused(BYTES_LIT("\x80"), "NOT_A_MAP");
    check_payload_refused(BYTES_LIT("\xff"), "NOT_A_MAP");
    check_payload_refused(BYTES_LIT("\xbf\xff"), "NOT_A_MAP");                 /* indefinite */
    check_payload_refused(BYTES_LIT("\xb8\x02\x01\x02\x03\x04"), "NOT_A_MAP"); /* long head */
    check_payload_refused(BYTES_LIT("\xa0"), "MISSING_CLAIM:iss");
    golden_payload(&payload);
    CHECK_OK(buf_add_u8(&payload, 0));
    check_payload_refused(buf_view(&payload), "TRAILING_BYTES");
}

static void every_required_claim_must_be_there(void **state)
{
    static const struct {
        int64_t key;
        const char *name;
    } CLAIMS[] = { { 1, "iss" },
                   { 6, "iat" },
                   { 7, "cti" },
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
                   { -65548, "security_mode" } };
    (void)state;
    for (size_t i = 0; i < sizeof CLAIMS / sizeof CLAIMS[0]; i++) {
        char fault[AIR_FAULT_MAX];
        BUF_AUTO payload = BUF(4096);
        golden_payload(&payload);
        struct map m = map_apart(buf_view(&payload));
        map_remove(&m, map_place(&m, CLAIMS[i].key));
        (void)snprintf(fault, sizeof fault, "MISSING_CLAIM:%s", CLAIMS[i].name);
        check_map_refused(&m, fault);
    }
}

static void no_claim_may_come_twice(void **state)
{
    (void)state;
    BUF_AUTO payload = BUF(4096);
    golden_payload(&payload);
    struct map whole = map_apart(buf_view(&payload));
    map_remove(&whole, map_place(&whole, 10)); /* room for one more within the closed map's size */
    for (size_t i = 0; i < whole.n; i++) {
        struct map m = whole;
        struct air_reading r;
        BUF_AUTO spoilt = BUF(8192);
        BUF_AUTO receipt = BUF(8192);
        map_insert(&m, i, m.entries[i]);
        map_together(&spoilt, &m);
        envelope(&receipt, BYTES_ARRAY(PROTECTED), buf_view(&spoilt));
        air_read_parts(buf_view(&receipt), &r);
        CHECK(r.state[AIR_PART_CLAIMS] == AIR_PART_BAD);
        CHECK(bytes_starts(bytes_str(r.fault[AIR_PART_CLAIMS]), BYTES_LIT("DUPLICATE_CLAIM:")));
    }
}

static void the_map_is_closed(void **state)
{
    static const char *const KEYS[] = { "\x02", "\x39\xff\xff", "\x3a\x00\x01\x00\x0d",
                                        "\x3a\x00\x01\x00\x3e" };
    static const size_t LENS[] = { 1, 3, 5, 5 };
    (void)state;
    BUF_AUTO payload = BUF(4096);
    golden_payload(&payload);
    struct map whole = map_apart(buf_view(&payload));
    struct map full = whole;
    map_insert(&full, full.n,
               (struct entry){ BYTES_LIT("\x3a\x00\x01\x00\x0d"), BYTES_LIT("\x00") });
    check_map_refused(&full, "UNKNOWN_CLAIM"); /* by its size */
    map_remove(&whole, map_place(&whole, 10));
    for (size_t i = 0; i < 4; i++) {
        struct map m = whole;
        map_insert(&m, 0, (struct entry){ bytes_of(KEYS[i], LENS[i]), BYTES_LIT("\x00") });
        check_map_refused(&m, "UNKNOWN_CLAIM");
    }
    map_insert(&whole, 0, (struct entry){ BYTES_LIT("\x63iss"), BYTES_LIT("\x61x") });
    check_map_refused(&whole, "BAD_KEY"); /* not an integer */
}

static void a_key_has_one_spelling(void **state)
{
    (void)state;
    BUF_AUTO payload = BUF(4096);
    golden_payload(&payload);
    struct map m = map_apart(buf_view(&payload));
    m.entries[map_place(&m, 6)].key = BYTES_LIT("\x18\x06");
    check_map_refused(&m, "BAD_KEY");
}

static void values_have_their_types(void **state)
{
    (void)state;
    VALUE(1, "\x41x", "WRONG_TYPE:iss");
    VALUE(1, "\xf6", "WRONG_TYPE:iss");
    VALUE(6, "\x61x", "WRONG_TYPE:iat");
    VALUE(6, "\x20", "WRONG_TYPE:iat");
    VALUE(6, "\xc2\x41\x01", "WRONG_TYPE:iat"); /* a bignum */
    VALUE(6, "\xf5", "WRONG_TYPE:iat");
    VALUE(7, "\x61x", "WRONG_TYPE:cti");
    VALUE(10, "\xf6", "WRONG_TYPE:eat_nonce");
    VALUE(265, "\x01", "WRONG_TYPE:eat_profile");
    VALUE(-65539, "\x80", "WRONG_TYPE:model_hash");
    VALUE(-65543, "\x80", "WRONG_TYPE:enclave_measurements");
    VALUE(-65548, "\x00", "WRONG_TYPE:security_mode");
}

static void values_have_one_spelling(void **state)
{
    (void)state;
    VALUE(1, "\x78\x01x", "BAD_CBOR:iss");
    VALUE(1, "\x7f\x61x\xff", "BAD_CBOR:iss");
    VALUE(1, "\x62\xc3\x28", "BAD_CBOR:iss"); /* not UTF-8 */
    VALUE(6, "\x18\x01", "BAD_CBOR:iat");
    VALUE(6, "\xfb\x41\xd9\xef\x7b\x08\x00\x00\x00", "BAD_CBOR:iat"); /* a float */
    VALUE(-65545, "\x1b\x00\x00\x00\x00\x00\x00\x00\x2a", "BAD_CBOR:sequence_number");
    VALUE(-65543, "\xbf\xff", "BAD_CBOR:enclave_measurements");
}

static void values_have_their_bounds(void **state)
{
    (void)state;
    VALUE(1, "\x60", "BAD_TEXT_LENGTH:iss");
    VALUE(-65549, "\x60", "BAD_TEXT_LENGTH:model_hash_scheme");
    VALUE(-65549, "\x63md5", "UNKNOWN_MODEL_HASH_SCHEME");
    VALUE(6, "\x00", "ZERO:iat");
    VALUE(7,
          "\x4f"
          "123456789012345",
          "BAD_CTI_LENGTH");
    VALUE(7,
          "\x51"
          "12345678901234567",
          "BAD_CTI_LENGTH");
    VALUE(10,
          "\x47"
          "1234567",
          "BAD_NONCE_LENGTH");
    VALUE(10, "\x40", "BAD_NONCE_LENGTH");
    VALUE(265, "\x61x", "WRONG_PROFILE");
    VALUE(-65539, "\x41x", "BAD_HASH_LENGTH:model_hash");
    VALUE(-65541, "\x40", "BAD_HASH_LENGTH:response_hash");
}

static void check_text_bound(int64_t key, size_t max, const char *fault)
{
    for (size_t len = max; len <= max + 1; len++) {
        BUF_AUTO text = BUF(512);
        BUF_AUTO value = BUF(512);
        BUF_AUTO payload = BUF(4096);
        BUF_AUTO spoilt = BUF(4096);
        BUF_AUTO receipt = BUF(4096);
        struct air_claims claims;
        CHECK_OK(buf_add_zeros(&text, len));
        CHECK_OK(cbor_put_text(&value, buf_view(&text)));
        golden_payload(&payload);
        struct map m = map_apart(buf_view(&payload));
        m.entries[map_place(&m, key)].value = buf_view(&value);
        map_together(&spoilt, &m);
        envelope(&receipt, BYTES_ARRAY(PROTECTED), buf_view(&spoilt));
        if (len == max)
            CHECK_OK(air_read(buf_view(&receipt), &claims));
        else
            check_refused(buf_view(&receipt), AIR_PART_CLAIMS, fault);
    }
}

static void texts_are_accepted_at_their_bound_and_not_above(void **state)
{
    (void)state;
    check_text_bound(1, AIR_ISS_MAX, "BAD_TEXT_LENGTH:iss");
    check_text_bound(-65537, AIR_MODEL_ID_MAX, "BAD_TEXT_LENGTH:model_id");
    check_text_bound(-65538, AIR_MODEL_VERSION_MAX, "BAD_TEXT_LENGTH:model_version");
    check_text_bound(-65544, AIR_POLICY_VERSION_MAX, "BAD_TEXT_LENGTH:policy_version");
    check_text_bound(-65548, AIR_SECURITY_MODE_MAX, "BAD_TEXT_LENGTH:security_mode");
}

static void keys_out_of_order_are_named_but_read(void **state)
{
    (void)state;
    BUF_AUTO payload = BUF(4096);
    golden_payload(&payload);
    struct map whole = map_apart(buf_view(&payload));
    for (size_t i = 0; i + 1 < whole.n; i++) {
        struct map m = whole;
        struct air_reading r;
        BUF_AUTO spoilt = BUF(4096);
        BUF_AUTO receipt = BUF(4096);
        map_swap(&m, i, i + 1);
        map_together(&spoilt, &m);
        envelope(&receipt, BYTES_ARRAY(PROTECTED), buf_view(&spoilt));
        check_refused(buf_view(&receipt), AIR_PART_ENCODING, "KEY_ORDER:claims");
        air_read_parts(buf_view(&receipt), &r);
        CHECK(r.has_claims && r.state[AIR_PART_CLAIMS] == AIR_PART_GOOD);
    }
}

/* ---- the measurement map ---- */

static void golden_measurements(struct buf *payload, struct map *inner)
{
    struct air_claims c = golden_claims_of(AIR_TYPE_NITRO, false);
    CHECK_OK(air_write_payload(payload, &c));
    struct map m = map_apart(buf_view(payload));
    *inner = map_apart(m.entries[map_place(&m, -65543)].value);
}

static void check_measurements_refused(const struct map *inner, const char *fault)
{
    BUF_AUTO value = BUF(4096);
    map_together(&value, inner);
    check_value_refused(-65543, buf_view(&value), fault);
}

static void the_measurement_map_is_closed_and_complete(void **state)
{
    static const char *const MISSING[] = { "MISSING_CLAIM:pcr0", "MISSING_CLAIM:pcr1",
                                           "MISSING_CLAIM:pcr2" };
    (void)state;
    struct map whole, m;
    BUF_AUTO payload = BUF(4096);
    golden_measurements(&payload, &whole);
    assert_int_equal(whole.n, 7);
    for (size_t i = 0; i < 3; i++) {
        m = whole;
        map_remove(&m, i);
        check_measurements_refused(&m, MISSING[i]);
    }
    m = whole;
    map_remove(&m, 6);
    check_measurements_refused(&m, "MISSING_CLAIM:measurement_type");
    map_insert(&m, 0, m.entries[0]);
    check_measurements_refused(&m, "DUPLICATE_MEASUREMENT_KEY");
    m = whole;
    m.entries[3].key = BYTES_LIT("\x64pcr5");
    check_measurements_refused(&m, "UNKNOWN_MEASUREMENT_KEY");
    m.entries[3].key = BYTES_LIT("\x03");
    check_measurements_refused(&m, "MEASUREMENT_KEY_NOT_TEXT");
    m = whole;
    map_insert(&m, 7, (struct entry){ BYTES_LIT("\x61x"), BYTES_LIT("\x00") });
    check_measurements_refused(&m, "UNKNOWN_MEASUREMENT_KEY");
    m = whole;
    m.entries[3].value = BYTES_LIT("\xf6");
    check_measurements_refused(&m, "WRONG_TYPE:enclave_measurements");
    m.entries[3].value = BYTES_LIT("\x61x");
    check_measurements_refused(&m, "WRONG_TYPE:enclave_measurements");
    m.entries[3].value = BYTES_LIT("\x58\x01x");
    check_measurements_refused(&m, "BAD_CBOR:enclave_measurements");
    m = whole;
    m.entries[6].value = BYTES_LIT("\x6dtdx-mrtd-rtmr");
    check_measurements_refused(&m, "TDX_PCR8_FORBIDDEN");
}

static void measurement_keys_out_of_order_are_named(void **state)
{
    (void)state;
    struct map inner;
    BUF_AUTO payload = BUF(4096);
    BUF_AUTO value = BUF(4096);
    BUF_AUTO spoilt = BUF(4096);
    BUF_AUTO receipt = BUF(4096);
    golden_measurements(&payload, &inner);
    map_swap(&inner, 0, 6);
    map_together(&value, &inner);
    struct map m = map_apart(buf_view(&payload));
    m.entries[map_place(&m, -65543)].value = buf_view(&value);
    map_together(&spoilt, &m);
    envelope(&receipt, BYTES_ARRAY(PROTECTED), buf_view(&spoilt));
    check_refused(buf_view(&receipt), AIR_PART_ENCODING, "KEY_ORDER:enclave_measurements");
}

/* Any register length can be read: it is layer 3 that objects, with a code of its own. */
static void a_register_of_another_length_is_read(void **state)
{
    (void)state;
    struct map inner;
    struct air_claims claims;
    BUF_AUTO payload = BUF(4096);
    BUF_AUTO value = BUF(4096);
    BUF_AUTO spoilt = BUF(4096);
    BUF_AUTO receipt = BUF(4096);
    golden_measurements(&payload, &inner);
    inner.entries[0].value = BYTES_LIT("\x40");
    map_together(&value, &inner);
    struct map m = map_apart(buf_view(&payload));
    m.entries[map_place(&m, -65543)].value = buf_view(&value);
    map_together(&spoilt, &m);
    envelope(&receipt, BYTES_ARRAY(PROTECTED), buf_view(&spoilt));
    CHECK_OK(air_read(buf_view(&receipt), &claims));
    CHECK(claims.registers[AIR_PCR0].at != NULL && claims.registers[AIR_PCR0].len == 0);
}

/* ---- our own profile ---- */

static const char *const OWN_TYPES[] = { AIR_TYPE_NITRO, AIR_TYPE_TDX, AIR_TYPE_SNP,
                                         AIR_TYPE_AZURE_SNP, AIR_TYPE_GCP };

static struct map own_map(struct buf *payload, const char *type, bool with_gpu)
{
    struct air_claims c = golden_claims_of(type, with_gpu);
    buf_truncate(payload, 0);
    CHECK_OK(air_write_payload(payload, &c));
    return map_apart(buf_view(payload));
}

static void reads_what_was_written_in_our_own_profile(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(OWN_TYPES); i++) {
        BUF_AUTO payload = BUF(8192);
        BUF_AUTO again = BUF(8192);
        BUF_AUTO receipt = BUF(8192);
        struct air_claims read;
        (void)own_map(&payload, OWN_TYPES[i], true);
        envelope(&receipt, BYTES_ARRAY(PROTECTED), buf_view(&payload));
        CHECK_OK(air_read(buf_view(&receipt), &read));
        CHECK(read.profile == AIR_IN_OWN && read.gpu.gpus == 8 && read.gpu.switches == 4);
        CHECK_OK(air_write_payload(&again, &read));
        CHECK_BYTES(buf_view(&again), buf_view(&payload));
    }
}

/* A verifier of AIR v1 has a list of one profile; to it this is another word, and so a refusal. Under
 * the other's word each claim set is refused as well. */
static void neither_profile_passes_for_the_other(void **state)
{
    (void)state;
    static const char v1[] = "\x78\x21" AIR_PROFILE;
    static const char own[] = "\x78\x2d" AIR_PROFILE_OWN;
    static const char other[] = "\x78\x2durn:uuid:2c7f3bb5-9406-4da3-9905-328dcd6f31bf";
    BUF_AUTO payload = BUF(8192);
    struct map m = own_map(&payload, AIR_TYPE_SNP, false);
    size_t at = map_place(&m, 265);
    CHECK_BYTES(m.entries[at].value, bytes_str(own));
    m.entries[at].value = bytes_str(v1);
    check_map_refused(&m, "MISSING_CLAIM:pcr0");
    m.entries[at].value = bytes_str(other);
    check_map_refused(&m, "WRONG_PROFILE");

    m = own_map(&payload, AIR_TYPE_AZURE_SNP, false);
    m.entries[at].value = bytes_str(v1);
    check_map_refused(&m, "UNKNOWN_MEASUREMENT_KEY");

    m = own_map(&payload, AIR_TYPE_TDX, true);
    m.entries[at].value = bytes_str(v1);
    check_map_refused(&m, "UNKNOWN_CLAIM");

    m = own_map(&payload, AIR_TYPE_TDX, false);
    CHECK_BYTES(m.entries[at].value, bytes_str(v1));
    m.entries[at].value = bytes_str(own);
    check_map_refused(&m, "MISSING_CLAIM:gpu");
}

static void check_own_measurements_refused(const struct map *inner, const char *fault)
{
    BUF_AUTO payload = BUF(8192);
    BUF_AUTO value = BUF(8192);
    struct map m = own_map(&payload, AIR_TYPE_SNP, false);
    map_together(&value, inner);
    m.entries[map_place(&m, -65543)].value = buf_view(&value);
    check_map_refused(&m, fault);
}

static void the_measurement_map_of_snp_is_closed_and_complete(void **state)
{
    (void)state;
    static const char *const FAULTS[] = {
        "MISSING_CLAIM:image_id",    "MISSING_CLAIM:family_id",     "MISSING_CLAIM:host_data",
        "MISSING_CLAIM:measurement", "MISSING_CLAIM:id_key_digest", "MISSING_CLAIM:measurement_type"
    };
    BUF_AUTO payload = BUF(8192);
    struct map whole = own_map(&payload, AIR_TYPE_SNP, false), m;
    whole = map_apart(whole.entries[map_place(&whole, -65543)].value);
    assert_int_equal(whole.n, 7);
    for (size_t i = 0; i < ARRAY_LEN(FAULTS); i++) {
        m = whole;
        map_remove(&m, i);
        check_own_measurements_refused(&m, FAULTS[i]);
    }
    m = whole;
    map_insert(&m, 0, (struct entry){ BYTES_LIT("\x64pcr0"), BYTES_LIT("\x41x") });
    check_own_measurements_refused(&m, "UNKNOWN_MEASUREMENT_KEY");
    m = whole;
    map_insert(&m, 0,
               (struct entry){ BYTES_LIT("\x67"
                                         "chip_id"),
                               BYTES_LIT("\x41x") });
    check_own_measurements_refused(&m, "UNKNOWN_MEASUREMENT_KEY");
    m = whole;
    map_insert(&m, 7, m.entries[6]);
    check_own_measurements_refused(&m, "DUPLICATE_MEASUREMENT_KEY");
}

static void an_azure_receipt_has_some_register_of_the_guest(void **state)
{
    (void)state;
    BUF_AUTO payload = BUF(8192);
    BUF_AUTO value = BUF(8192);
    struct map m = own_map(&payload, AIR_TYPE_AZURE_SNP, false);
    struct map inner = map_apart(m.entries[map_place(&m, -65543)].value);
    for (unsigned i = AIR_PCR0; i <= AIR_PCR23; i++)
        map_remove(&inner, 0);
    map_together(&value, &inner);
    m.entries[map_place(&m, -65543)].value = buf_view(&value);
    check_map_refused(&m, "MISSING_CLAIM:pcr0");
}

#define GPU_HASH "0123456789abcdef0123456789abcdef"
#define GPU(gpus, switches)                                                                        \
    "\xa3\x64gpus" gpus "\x68switches" switches                                                    \
    "\x6d"                                                                                         \
    "evidence_hash\x58\x20" GPU_HASH

static void check_gpu(bytes value, const char *fault)
{
    BUF_AUTO payload = BUF(8192);
    BUF_AUTO spoilt = BUF(8192);
    BUF_AUTO receipt = BUF(8192);
    struct air_claims read;
    struct map m = own_map(&payload, AIR_TYPE_SNP, true);
    m.entries[map_place(&m, -70001)].value = value;
    if (fault != NULL) {
        check_map_refused(&m, fault);
        return;
    }
    map_together(&spoilt, &m);
    envelope(&receipt, BYTES_ARRAY(PROTECTED), buf_view(&spoilt));
    CHECK_OK(air_read(buf_view(&receipt), &read));
}

static void the_gpu_claim_has_one_form(void **state)
{
    (void)state;
    check_gpu(BYTES_LIT(GPU("\x01", "\x00")), NULL);
    check_gpu(BYTES_LIT(GPU("\x10", "\x10")), NULL);
    check_gpu(BYTES_LIT(GPU("\x00", "\x00")), "BAD_GPU");
    check_gpu(BYTES_LIT(GPU("\x11", "\x00")), "BAD_GPU");
    check_gpu(BYTES_LIT(GPU("\x01", "\x11")), "BAD_GPU");
    check_gpu(BYTES_LIT(GPU("\x18\x01", "\x00")), "BAD_GPU");
    check_gpu(BYTES_LIT(GPU("\x20", "\x00")), "BAD_GPU");
    check_gpu(BYTES_LIT("\xa2\x64gpus\x01\x68switches\x00"), "BAD_GPU");
    check_gpu(BYTES_LIT("\xa3\x68switches\x00\x64gpus\x01\x6d"
                        "evidence_hash\x58\x20" GPU_HASH),
              "BAD_GPU");
    check_gpu(BYTES_LIT("\xa3\x64gpus\x01\x68switches\x00\x6d"
                        "evidence_hash\x41x"),
              "BAD_GPU");
    check_gpu(BYTES_LIT("\xa0"), "BAD_GPU");
    check_gpu(BYTES_LIT("\x01"), "WRONG_TYPE:gpu");
    check_gpu(BYTES_LIT("\xf6"), "WRONG_TYPE:gpu");
}

int main(void)
{
    CHECK_OK(crypto_init());
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_was_written),
        cmocka_unit_test(a_size_limit_comes_first),
        cmocka_unit_test(every_prefix_is_refused),
        cmocka_unit_test(only_one_envelope_is_accepted),
        cmocka_unit_test(the_unprotected_map_is_empty),
        cmocka_unit_test(the_protected_header_is_one_byte_string),
        cmocka_unit_test(a_wrong_algorithm_still_gives_the_claims),
        cmocka_unit_test(a_payload_must_be_there),
        cmocka_unit_test(the_payload_is_one_map),
        cmocka_unit_test(every_required_claim_must_be_there),
        cmocka_unit_test(no_claim_may_come_twice),
        cmocka_unit_test(the_map_is_closed),
        cmocka_unit_test(a_key_has_one_spelling),
        cmocka_unit_test(values_have_their_types),
        cmocka_unit_test(values_have_one_spelling),
        cmocka_unit_test(values_have_their_bounds),
        cmocka_unit_test(texts_are_accepted_at_their_bound_and_not_above),
        cmocka_unit_test(keys_out_of_order_are_named_but_read),
        cmocka_unit_test(the_measurement_map_is_closed_and_complete),
        cmocka_unit_test(measurement_keys_out_of_order_are_named),
        cmocka_unit_test(a_register_of_another_length_is_read),
        cmocka_unit_test(reads_what_was_written_in_our_own_profile),
        cmocka_unit_test(neither_profile_passes_for_the_other),
        cmocka_unit_test(the_measurement_map_of_snp_is_closed_and_complete),
        cmocka_unit_test(an_azure_receipt_has_some_register_of_the_guest),
        cmocka_unit_test(the_gpu_claim_has_one_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
