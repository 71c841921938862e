#include "base/json.h"
#include "crypto/init.h"
#include "receipts/air.h"
#include "receipts/check.h"
#include "tests/unit/receipts/golden.h"

static void the_golden_claims_give_the_published_bytes(void **state)
{
    (void)state;
    uint8_t digest[SHA256_LEN];
    BUF_AUTO expected = BUF(64);
    BUF_AUTO payload = BUF(4096);
    BUF_AUTO receipt = BUF(4096);
    struct air_claims c = golden_claims();
    struct signing_key *key = golden_key(0x2a);
    CHECK_OK(air_write_payload(&payload, &c));
    assert_int_equal(payload.len, 519);
    CHECK_OK(air_write(&receipt, &c, key));
    assert_int_equal(receipt.len, 598);
    law_hex(&expected, "d02df7ffe569f76d88f31f0e472afd019bb484cafd579023163c97fea0eca1ac");
    sha256_of(buf_view(&receipt), digest);
    CHECK_BYTES(BYTES_ARRAY(digest), buf_view(&expected));
    signing_key_free(key);
}

static void the_map_head_counts_what_is_there(void **state)
{
    (void)state;
    struct air_claims c = golden_claims();
    BUF_AUTO out = BUF(4096);
    CHECK_OK(air_write_payload(&out, &c));
    assert_int_equal(out.at[0], 0xb0);
    c.nonce_len = AIR_NONCE_MIN;
    buf_truncate(&out, 0);
    CHECK_OK(air_write_payload(&out, &c));
    assert_int_equal(out.at[0], 0xb1);
    c.model_hash_scheme = BYTES_LIT(AIR_SCHEME_SINGLE);
    buf_truncate(&out, 0);
    CHECK_OK(air_write_payload(&out, &c));
    assert_int_equal(out.at[0], 0xb2);
    struct map m = map_apart(buf_view(&out));
    assert_int_equal(map_place(&m, 10), 3);
    assert_int_equal(map_place(&m, 265), 4);
    assert_int_equal(map_place(&m, -65549), 17);
}

static void registers_stand_in_their_order(void **state)
{
    (void)state;
    struct air_claims c = golden_claims_of(AIR_TYPE_NITRO, false);
    BUF_AUTO out = BUF(4096);
    CHECK_OK(air_write_payload(&out, &c));
    struct map m = map_apart(buf_view(&out));
    bytes inner = m.entries[map_place(&m, -65543)].value;
    struct map measurements = map_apart(inner);
    static const char *const ORDER[] = {
        "pcr0", "pcr1", "pcr2", "pcr3", "pcr4", "pcr8", "measurement_type"
    };
    assert_int_equal(measurements.n, 7);
    for (size_t i = 0; i < 7; i++) {
        bytes key = measurements.entries[i].key, text;
        CHECK_OK(cbor_take_text(&key, &text));
        CHECK_BYTES(text, bytes_str(ORDER[i]));
    }
}

#define BREAKS(change)                                                                             \
    do {                                                                                           \
        struct air_claims c = golden_claims();                                                     \
        CHECK_OK(air_validate(&c));                                                                \
        change;                                                                                    \
        CHECK_ERR(air_validate(&c), MALFORMED);                                                    \
    } while (0)
#define HOLDS(change)                                                                              \
    do {                                                                                           \
        struct air_claims c = golden_claims();                                                     \
        change;                                                                                    \
        CHECK_OK(air_validate(&c));                                                                \
    } while (0)

static uint8_t letters[512];

static bytes text_of(size_t len)
{
    memset(letters, 'x', sizeof letters);
    return bytes_of(letters, len);
}

static void every_text_has_its_bounds(void **state)
{
    (void)state;
    HOLDS(c.iss = text_of(AIR_ISS_MAX));
    BREAKS(c.iss = text_of(AIR_ISS_MAX + 1));
    BREAKS(c.iss = text_of(0));
    HOLDS(c.model_id = text_of(AIR_MODEL_ID_MAX));
    BREAKS(c.model_id = text_of(AIR_MODEL_ID_MAX + 1));
    BREAKS(c.model_id = text_of(0));
    HOLDS(c.model_version = text_of(AIR_MODEL_VERSION_MAX));
    BREAKS(c.model_version = text_of(AIR_MODEL_VERSION_MAX + 1));
    BREAKS(c.model_version = text_of(0));
    HOLDS(c.policy_version = text_of(AIR_POLICY_VERSION_MAX));
    BREAKS(c.policy_version = text_of(AIR_POLICY_VERSION_MAX + 1));
    BREAKS(c.policy_version = text_of(0));
    BREAKS(c.security_mode = text_of(0));
    BREAKS(c.security_mode = text_of(AIR_SECURITY_MODE_MAX + 1));
    BREAKS(c.model_hash_scheme = text_of(AIR_MODEL_HASH_SCHEME_MAX + 1));
    BREAKS(c.iss = BYTES_LIT("\xff"));
    BREAKS(c.model_id = BYTES_LIT("\xc0\x80"));
}

static void only_known_words_are_signed(void **state)
{
    (void)state;
    HOLDS(c.security_mode = BYTES_LIT(AIR_MODE_EVALUATION));
    BREAKS(c.security_mode = BYTES_LIT("GatewayOnly"));
    HOLDS(c.model_hash_scheme = BYTES_LIT(AIR_SCHEME_CONCAT));
    HOLDS(c.model_hash_scheme = BYTES_LIT(AIR_SCHEME_MANIFEST));
    BREAKS(c.model_hash_scheme = BYTES_LIT("sha512"));
    HOLDS(c.measurement_type = BYTES_LIT(AIR_TYPE_TDX));
    BREAKS(c.measurement_type = BYTES_LIT("sev-snp"));
    BREAKS(c.measurement_type = (bytes){ 0 });
}

static void nothing_that_must_be_there_is_zero(void **state)
{
    (void)state;
    BREAKS(c.iat = 0);
    HOLDS(c.iat = UINT64_MAX);
    BREAKS(memset(c.cti, 0, sizeof c.cti));
    BREAKS(memset(c.model_hash, 0, sizeof c.model_hash));
    HOLDS(memset(c.request_hash, 0, sizeof c.request_hash));
    HOLDS(memset(c.attestation_doc_hash, 0, sizeof c.attestation_doc_hash));
    HOLDS(c.sequence_number = 0);
}

static void the_nonce_has_its_bounds(void **state)
{
    (void)state;
    HOLDS(c.nonce_len = 0);
    BREAKS(c.nonce_len = AIR_NONCE_MIN - 1);
    HOLDS(c.nonce_len = AIR_NONCE_MIN);
    HOLDS(c.nonce_len = AIR_NONCE_MAX);
    BREAKS(c.nonce_len = AIR_NONCE_MAX + 1);
}

static void registers_have_their_rules(void **state)
{
    (void)state;
    BREAKS(c.registers[AIR_PCR0] = (bytes){ 0 });
    BREAKS(c.registers[AIR_PCR2] = (bytes){ 0 });
    BREAKS(c.registers[AIR_PCR1].len = 47);
    BREAKS(c.registers[AIR_PCR1] = text_of(49));
    HOLDS(c.registers[AIR_PCR8] = BYTES_ARRAY(golden_registers[AIR_PCR8]));
    BREAKS(c.registers[AIR_PCR3] = text_of(32));
    HOLDS(c.measurement_type = BYTES_LIT(AIR_TYPE_TDX);
          c.registers[AIR_PCR3] = BYTES_ARRAY(golden_registers[AIR_PCR3]);
          c.registers[AIR_PCR4] = BYTES_ARRAY(golden_registers[AIR_PCR4]));
    BREAKS(c.measurement_type = BYTES_LIT(AIR_TYPE_TDX);
           c.registers[AIR_PCR8] = BYTES_ARRAY(golden_registers[AIR_PCR8]));
}

/* ---- our own profile ---- */

#define OWN_BREAKS(type, with_gpu, change)                                                         \
    do {                                                                                           \
        struct air_claims c = golden_claims_of(type, with_gpu);                                    \
        CHECK_OK(air_validate(&c));                                                                \
        change;                                                                                    \
        CHECK_ERR(air_validate(&c), MALFORMED);                                                    \
    } while (0)

static void what_a_profile_can_say_is_not_said_in_the_other(void **state)
{
    (void)state;
    OWN_BREAKS(AIR_TYPE_SNP, false, c.profile = AIR_IN_V1);
    OWN_BREAKS(AIR_TYPE_SNP, true, c.profile = AIR_IN_V1);
    OWN_BREAKS(AIR_TYPE_AZURE_SNP, false, c.profile = AIR_IN_V1);
    OWN_BREAKS(AIR_TYPE_GCP, false, c.profile = AIR_IN_V1);
    OWN_BREAKS(AIR_TYPE_TDX, false, c.profile = AIR_IN_OWN);
    OWN_BREAKS(AIR_TYPE_NITRO, false, c.profile = AIR_IN_OWN);
    OWN_BREAKS(AIR_TYPE_TDX, true, c.profile = AIR_IN_V1);
    OWN_BREAKS(AIR_TYPE_NITRO, true, c.gpu = (struct air_gpu){ 0 });
}

static void registers_of_snp_have_their_rules(void **state)
{
    (void)state;
    static const uint8_t more[64] = { 1 };
    OWN_BREAKS(AIR_TYPE_SNP, false, c.registers[AIR_MEASUREMENT] = (bytes){ 0 });
    OWN_BREAKS(AIR_TYPE_SNP, false, c.registers[AIR_HOST_DATA] = (bytes){ 0 });
    OWN_BREAKS(AIR_TYPE_SNP, false, c.registers[AIR_HOST_DATA] = bytes_of(more, 48));
    OWN_BREAKS(AIR_TYPE_SNP, false, c.registers[AIR_IMAGE_ID].len--);
    OWN_BREAKS(AIR_TYPE_SNP, false, c.registers[AIR_FAMILY_ID].len++);
    OWN_BREAKS(AIR_TYPE_SNP, false, c.registers[AIR_PCR0] = bytes_of(more, 32));
    OWN_BREAKS(AIR_TYPE_SNP, false, c.measurement_type = BYTES_LIT("sev"));
    OWN_BREAKS(AIR_TYPE_AZURE_SNP, false, c.registers[AIR_PCR23] = bytes_of(more, 48));
    OWN_BREAKS(AIR_TYPE_AZURE_SNP, false, memset(c.registers, 0, AIR_IMAGE_ID * sizeof(bytes)));
    struct air_claims c = golden_claims_of(AIR_TYPE_SNP, false);
    c.registers[AIR_AUTHOR_KEY_DIGEST] = (bytes){ 0 };
    CHECK_OK(air_validate(&c));
}

static void gpus_are_counted_within_bounds(void **state)
{
    (void)state;
    OWN_BREAKS(AIR_TYPE_SNP, true, c.gpu.gpus = AIR_GPUS_MAX + 1);
    OWN_BREAKS(AIR_TYPE_SNP, true, c.gpu.switches = AIR_GPUS_MAX + 1);
    OWN_BREAKS(AIR_TYPE_SNP, true, c.gpu.gpus = 0);
    struct air_claims c = golden_claims_of(AIR_TYPE_SNP, true);
    c.gpu.gpus = c.gpu.switches = AIR_GPUS_MAX;
    CHECK_OK(air_validate(&c));
    c.gpu.switches = 0;
    CHECK_OK(air_validate(&c));
}

static void what_is_not_valid_is_not_signed(void **state)
{
    (void)state;
    struct signing_key *key = golden_key(1);
    struct air_claims c = golden_claims();
    BUF_AUTO out = BUF(4096);
    c.iat = 0;
    CHECK_OK(buf_add_str(&out, "before"));
    CHECK_ERR(air_write(&out, &c, key), MALFORMED);
    CHECK_ERR(air_write_payload(&out, &c), MALFORMED);
    CHECK_BYTES(buf_view(&out), BYTES_LIT("before"));
    signing_key_free(key);
}

static void out_of_room_leaves_the_buffer_as_it_was(void **state)
{
    (void)state;
    struct signing_key *key = golden_key(1);
    struct air_claims c = golden_claims();
    for (size_t max = 6; max < 6 + 519; max += 37) {
        BUF_AUTO out = BUF(max);
        CHECK_OK(buf_add_str(&out, "before"));
        CHECK_ERR(air_write(&out, &c, key), LIMIT);
        CHECK_BYTES(buf_view(&out), BYTES_LIT("before"));
        CHECK_ERR(air_write_payload(&out, &c), LIMIT);
        CHECK_BYTES(buf_view(&out), BYTES_LIT("before"));
    }
    signing_key_free(key);
}

/* ---- random claims ---- */

static uint64_t random_state = 0x9e3779b97f4a7c15;

static uint64_t any(uint64_t below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state % below;
}

static void fill_any(uint8_t *at, size_t len)
{
    for (size_t i = 0; i < len; i++)
        at[i] = (uint8_t)any(256);
    at[0] |= 1;
}

static uint64_t any_number(void)
{
    uint64_t v = any(UINT64_MAX);
    return v >> any(64);
}

static char any_texts[6][AIR_ISS_MAX];

static bytes any_text(unsigned slot, size_t max)
{
    size_t len = 1 + any(any(4) == 0 ? max : 24);
    for (size_t i = 0; i < len; i++)
        any_texts[slot][i] = (char)any(128);
    return bytes_of(any_texts[slot], len);
}

/* Of any platform, with GPUs or without, and any of the registers that may be absent. */
static void fill_registers(struct air_claims *c)
{
    static const char *const TYPES[] = { AIR_TYPE_NITRO, AIR_TYPE_TDX, AIR_TYPE_SNP,
                                         AIR_TYPE_AZURE_SNP, AIR_TYPE_GCP };
    const struct air_type *type = air_type_find(bytes_str(TYPES[any(ARRAY_LEN(TYPES))]));
    c->measurement_type = bytes_str(type->name);
    for (size_t i = 0; i < type->slots_n; i++) {
        const struct air_slot *slot = &type->slots[i];
        fill_any(golden_registers[slot->at], slot->len);
        if (slot->required || slot->at == AIR_PCR7 || any(2) == 0)
            c->registers[slot->at] = bytes_of(golden_registers[slot->at], slot->len);
    }
    if (any(2) == 0) {
        c->gpu.gpus = 1 + any(AIR_GPUS_MAX);
        c->gpu.switches = any(AIR_GPUS_MAX + 1);
        fill_any(c->gpu.evidence_hash, AIR_HASH_LEN);
    }
    c->profile = air_type_profile(type, c->gpu.gpus > 0);
}

static struct air_claims any_claims(void)
{
    static const char *const SCHEMES[] = { "", AIR_SCHEME_SINGLE, AIR_SCHEME_CONCAT,
                                           AIR_SCHEME_MANIFEST };
    struct air_claims c = { .iss = any_text(0, AIR_ISS_MAX),
                            .iat = any_number() | 1,
                            .model_id = any_text(1, AIR_MODEL_ID_MAX),
                            .model_version = any_text(2, AIR_MODEL_VERSION_MAX),
                            .policy_version = any_text(3, AIR_POLICY_VERSION_MAX),
                            .sequence_number = any_number(),
                            .execution_time_ms = any_number(),
                            .memory_peak_mb = any_number() };
    fill_any(c.cti, sizeof c.cti);
    fill_any(c.model_hash, sizeof c.model_hash);
    fill_any(c.request_hash, sizeof c.request_hash);
    fill_any(c.response_hash, sizeof c.response_hash);
    fill_any(c.attestation_doc_hash, sizeof c.attestation_doc_hash);
    c.nonce_len = any(2) == 0 ? 0 : AIR_NONCE_MIN + any(AIR_NONCE_MAX - AIR_NONCE_MIN + 1);
    if (c.nonce_len > 0)
        fill_any(c.nonce, c.nonce_len);
    fill_registers(&c);
    c.security_mode = any(2) == 0 ? BYTES_LIT(AIR_MODE_PRODUCTION) : BYTES_LIT(AIR_MODE_EVALUATION);
    c.model_hash_scheme = bytes_str(SCHEMES[any(4)]);
    return c;
}

static void check_same_claims(const struct air_claims *a, const struct air_claims *b)
{
    BUF_AUTO x = BUF(1 << 16);
    BUF_AUTO y = BUF(1 << 16);
    CHECK_OK(air_write_payload(&x, a));
    CHECK_OK(air_write_payload(&y, b));
    CHECK_BYTES(buf_view(&x), buf_view(&y));
    CHECK_BYTES(a->iss, b->iss);
    CHECK_BYTES(a->model_hash_scheme, b->model_hash_scheme);
    CHECK(a->sequence_number == b->sequence_number && a->nonce_len == b->nonce_len);
    for (unsigned i = 0; i < AIR_REGISTERS; i++)
        CHECK((a->registers[i].at == NULL) == (b->registers[i].at == NULL));
    CHECK(a->profile == b->profile && a->gpu.gpus == b->gpu.gpus);
}

static void whatever_is_signed_is_accepted(void **state)
{
    (void)state;
    struct signing_key *key = golden_key(7);
    bytes pk = bytes_of(signing_key_public(key), AIR_KEY_LEN);
    const struct air_policy policy = { .allow_evaluation = true };
    for (unsigned i = 0; i < 2000; i++) {
        BUF_AUTO receipt = BUF(AIR_RECEIPT_MAX);
        struct air_claims c = any_claims();
        struct air_report report;
        CHECK_OK(air_write(&receipt, &c, key));
        air_check(buf_view(&receipt), pk, &policy, &report);
        if (!report.verified)
            fail_msg("receipt %u: %s", i, air_report_word(&report));
        check_same_claims(&c, &report.claims);
    }
    signing_key_free(key);
}

/* ---- views ---- */

static void the_receipt_id_is_the_hex_of_cti(void **state)
{
    (void)state;
    char id[AIR_ID_LEN + 1];
    struct air_claims c = golden_claims();
    air_id(&c, id);
    assert_string_equal(id, "0102030405060708090a0b0c0d0e0f10");
}

static void check_member(const struct json *o, const char *key, const char *expected)
{
    bytes text;
    CHECK(json_text(json_get(o, key), &text));
    CHECK_BYTES(text, bytes_str(expected));
}

static void the_json_view_has_every_claim(void **state)
{
    (void)state;
    struct air_claims c = golden_claims();
    struct json *o = NULL;
    uint64_t n;
    BUF_AUTO out = BUF(1 << 16);
    c.iss = BYTES_LIT("a \"quoted\" \n name");
    CHECK_OK(air_write_json(&out, &c));
    CHECK_OK(json_read(&o, buf_view(&out), 4));
    assert_int_equal(json_len(o), 18);
    check_member(o, "iss", "a \"quoted\" \n name");
    check_member(o, "cti_hex", "0102030405060708090a0b0c0d0e0f10");
    check_member(o, "eat_profile", AIR_PROFILE);
    check_member(o, "security_mode", "production");
    CHECK(json_u64(json_get(o, "iat"), &n) && n == 1740500000);
    CHECK(json_kind(json_get(o, "eat_nonce_hex")) == JSON_KIND_NULL);
    CHECK(json_kind(json_get(o, "model_hash_scheme")) == JSON_KIND_NULL);
    const struct json *m = json_get(o, "enclave_measurements");
    check_member(m, "measurement_type", "nitro-pcr");
    CHECK(json_kind(json_get(m, "pcr0_hex")) == JSON_KIND_TEXT);
    CHECK(json_kind(json_get(m, "pcr8_hex")) == JSON_KIND_NULL);
    json_free(o);
}

static void the_json_view_of_our_own_profile_has_its_members(void **state)
{
    (void)state;
    struct air_claims c = golden_claims_of(AIR_TYPE_SNP, true);
    struct json *o = NULL;
    uint64_t n;
    BUF_AUTO out = BUF(1 << 16);
    c.registers[AIR_AUTHOR_KEY_DIGEST] = (bytes){ 0 };
    CHECK_OK(air_write_json(&out, &c));
    CHECK_OK(json_read(&o, buf_view(&out), 4));
    assert_int_equal(json_len(o), 19);
    check_member(o, "eat_profile", AIR_PROFILE_OWN);
    const struct json *m = json_get(o, "enclave_measurements");
    assert_int_equal(json_len(m), 7);
    check_member(m, "measurement_type", "sev-snp");
    check_member(m, "image_id_hex", "19191919191919191919191919191919");
    CHECK(json_kind(json_get(m, "measurement_hex")) == JSON_KIND_TEXT);
    CHECK(json_kind(json_get(m, "author_key_digest_hex")) == JSON_KIND_NULL);
    CHECK(json_u64(json_get(json_get(o, "gpu"), "gpus"), &n) && n == 8);
    CHECK(json_u64(json_get(json_get(o, "gpu"), "switches"), &n) && n == 4);
    json_free(o);
    buf_truncate(&out, 0);
    c = golden_claims_of(AIR_TYPE_SNP, false);
    CHECK_OK(air_write_json(&out, &c));
    CHECK_OK(json_read(&o, buf_view(&out), 4));
    CHECK(json_kind(json_get(o, "gpu")) == JSON_KIND_NULL);
    json_free(o);
}

static err write_once(void *arg)
{
    BUF_AUTO out = BUF(1 << 16);
    struct air_claims c = golden_claims_of(AIR_TYPE_SNP, true);
    TRY(air_write(&out, &c, arg));
    return air_write_json(&out, &c);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    struct signing_key *key = golden_key(1);
    law_every_allocation_fails_once(write_once, key);
    signing_key_free(key);
}

int main(void)
{
    CHECK_OK(crypto_init());
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_golden_claims_give_the_published_bytes),
        cmocka_unit_test(the_map_head_counts_what_is_there),
        cmocka_unit_test(registers_stand_in_their_order),
        cmocka_unit_test(every_text_has_its_bounds),
        cmocka_unit_test(only_known_words_are_signed),
        cmocka_unit_test(nothing_that_must_be_there_is_zero),
        cmocka_unit_test(the_nonce_has_its_bounds),
        cmocka_unit_test(registers_have_their_rules),
        cmocka_unit_test(what_a_profile_can_say_is_not_said_in_the_other),
        cmocka_unit_test(registers_of_snp_have_their_rules),
        cmocka_unit_test(gpus_are_counted_within_bounds),
        cmocka_unit_test(what_is_not_valid_is_not_signed),
        cmocka_unit_test(out_of_room_leaves_the_buffer_as_it_was),
        cmocka_unit_test(whatever_is_signed_is_accepted),
        cmocka_unit_test(the_receipt_id_is_the_hex_of_cti),
        cmocka_unit_test(the_json_view_has_every_claim),
        cmocka_unit_test(the_json_view_of_our_own_profile_has_its_members),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
