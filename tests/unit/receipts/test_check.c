#include "base/json.h"
#include "base/text.h"
#include "crypto/init.h"
#include "receipts/check.h"
#include "tests/unit/receipts/golden.h"

enum { NOW = 1740500000 };

static const uint8_t OURS[] = { 0xa2, 0x01, 0x27, 0x03, 0x18, 0x3d };

/* The golden claims, signed, and what a check of them says. */
struct scene {
    struct signing_key *key;
    struct air_claims claims;
    struct air_policy policy;
    struct air_report *report; /* one for all scenes: it is large */
    struct buf receipt;
};

static struct air_report latest_report;

static struct scene scene_new(void)
{
    return (struct scene){ .key = golden_key(0x2a),
                           .claims = golden_claims(),
                           .report = &latest_report,
                           .receipt = BUF(AIR_RECEIPT_MAX + 1) };
}

static void scene_clear(struct scene *s)
{
    buf_clear(&s->receipt);
    signing_key_free(s->key);
}

#define SCENE(name) __attribute__((cleanup(scene_clear))) struct scene name = scene_new()

static bytes public_key(const struct scene *s)
{
    return bytes_of(signing_key_public(s->key), AIR_KEY_LEN);
}

static void look(struct scene *s)
{
    air_check(buf_view(&s->receipt), public_key(s), &s->policy, s->report);
}

static void sign_and_look(struct scene *s)
{
    buf_truncate(&s->receipt, 0);
    CHECK_OK(air_write(&s->receipt, &s->claims, s->key));
    look(s);
}

/* Signs what air_write() would refuse: a payload with one entry replaced. */
static void sign_spoilt(struct scene *s, int64_t key, bytes value)
{
    BUF_AUTO payload = BUF(AIR_RECEIPT_MAX);
    BUF_AUTO spoilt = BUF(AIR_RECEIPT_MAX);
    CHECK_OK(air_write_payload(&payload, &s->claims));
    struct map m = map_apart(buf_view(&payload));
    m.entries[map_place(&m, key)].value = value;
    map_together(&spoilt, &m);
    buf_truncate(&s->receipt, 0);
    CHECK_OK(cose_sign1_write(&s->receipt, BYTES_ARRAY(OURS), buf_view(&spoilt), s->key));
    look(s);
}

/* This failure, and no other. */
static void check_only_failure(const struct scene *s, int layer, const char *check,
                               const char *code)
{
    const struct finding *f = air_report_find(s->report, check);
    CHECK(f != NULL);
    assert_int_equal(f->status, FINDING_FAIL);
    assert_string_equal(f->code, code);
    assert_int_equal(f->layer, layer);
    assert_int_equal(s->report->failed_layer, layer);
    CHECK(!s->report->verified);
    assert_string_equal(air_report_word(s->report), check);
    for (size_t i = 0; i < s->report->n; i++)
        if (&s->report->findings[i] != f && s->report->findings[i].status == FINDING_FAIL)
            fail_msg("%s failed as well", s->report->findings[i].check);
}

static void check_verified(const struct scene *s)
{
    if (!s->report->verified)
        fail_msg("%s", air_report_word(s->report));
    assert_int_equal(s->report->failed_layer, 0);
    assert_string_equal(air_report_word(s->report), "verified");
}

static void check_status(const struct scene *s, const char *check, enum finding_status status)
{
    const struct finding *f = air_report_find(s->report, check);
    CHECK(f != NULL);
    assert_int_equal(f->status, status);
}

static void a_good_receipt_is_verified_with_every_check_listed(void **state)
{
    static const char *const CHECKS[] = { "SIZE",
                                          "COSE_DECODE",
                                          "UNPROTECTED",
                                          "ALG",
                                          "CONTENT_TYPE",
                                          "PAYLOAD",
                                          "CLAIMS_DECODE",
                                          "ENCODING",
                                          "EAT_PROFILE",
                                          "SIG",
                                          "CTI",
                                          "MHASH_PRESENT",
                                          "MEAS",
                                          "MTYPE",
                                          "MHASH_SCHEME",
                                          "SECURITY_MODE",
                                          "FRESH",
                                          "MHASH",
                                          "RHASH",
                                          "OHASH",
                                          "ADHASH",
                                          "MODEL",
                                          "SECURITY_MODE_POLICY",
                                          "PLATFORM",
                                          "NONCE",
                                          "REPLAY",
                                          "PROVENANCE" };
    (void)state;
    SCENE(s);
    sign_and_look(&s);
    check_verified(&s);
    assert_int_equal(s.report->n, sizeof CHECKS / sizeof CHECKS[0]);
    for (size_t i = 0; i < s.report->n; i++)
        assert_string_equal(s.report->findings[i].check, CHECKS[i]);
    CHECK(air_report_find(s.report, "NO_SUCH_CHECK") == NULL);
    CHECK_BYTES(s.report->claims.model_id, BYTES_LIT("minilm-l6-v2"));
}

static void a_zeroed_report_is_not_verified(void **state)
{
    (void)state;
    struct air_report report = { 0 };
    CHECK(!report.verified);
    assert_string_equal(air_report_word(&report), "unchecked");
}

static void no_policy_asks_nothing_but_refuses_evaluation(void **state)
{
    (void)state;
    SCENE(s);
    sign_and_look(&s);
    air_check(buf_view(&s.receipt), public_key(&s), NULL, s.report);
    check_verified(&s);
    check_status(&s, "FRESH", FINDING_SKIP);
    check_status(&s, "SECURITY_MODE_POLICY", FINDING_PASS);
    s.claims.security_mode = BYTES_LIT(AIR_MODE_EVALUATION);
    sign_and_look(&s);
    check_only_failure(&s, 4, "SECURITY_MODE_POLICY", "EVALUATION_MODE_REJECTED");
}

static void any_flipped_bit_is_refused(void **state)
{
    (void)state;
    SCENE(s);
    sign_and_look(&s);
    check_verified(&s);
    for (size_t bit = 0; bit < 8 * s.receipt.len; bit++) {
        s.receipt.at[bit / 8] ^= (uint8_t)(1U << bit % 8);
        look(&s);
        s.receipt.at[bit / 8] ^= (uint8_t)(1U << bit % 8);
        CHECK(!s.report->verified);
        CHECK(s.report->failed_layer > 0);
    }
}

static void another_key_is_refused(void **state)
{
    (void)state;
    SCENE(s);
    sign_and_look(&s);
    struct signing_key *other = golden_key(1);
    signing_key_free(s.key);
    s.key = other;
    look(&s);
    check_only_failure(&s, 2, "SIG", "SIG_FAILED");
    air_check(buf_view(&s.receipt), (bytes){ 0 }, NULL, s.report);
    check_only_failure(&s, 2, "SIG", "SIG_FAILED");
}

static void a_signature_of_another_length_is_named(void **state)
{
    (void)state;
    SCENE(s);
    struct cose_sign1 parts;
    BUF_AUTO cut = BUF(4096);
    sign_and_look(&s);
    CHECK_OK(cose_sign1_read(buf_view(&s.receipt), &parts));
    parts.signature.len = 63;
    CHECK_OK(cose_sign1_put(&cut, &parts));
    air_check(buf_view(&cut), public_key(&s), NULL, s.report);
    check_only_failure(&s, 2, "SIG", "BAD_SIG_LENGTH");
}

static void a_wrong_algorithm_is_layer_one_although_the_signature_holds(void **state)
{
    (void)state;
    SCENE(s);
    BUF_AUTO payload = BUF(4096);
    CHECK_OK(air_write_payload(&payload, &s.claims));
    CHECK_OK(cose_sign1_write(&s.receipt, BYTES_LIT("\xa2\x01\x26\x03\x18\x3d"), buf_view(&payload),
                              s.key));
    look(&s);
    check_only_failure(&s, 1, "ALG", "BAD_ALG");
    check_status(&s, "SIG", FINDING_PASS);
    buf_truncate(&s.receipt, 0);
    CHECK_OK(cose_sign1_write(&s.receipt, BYTES_LIT("\xa2\x01\x27\x03\x18\x3c"), buf_view(&payload),
                              s.key));
    look(&s);
    check_only_failure(&s, 1, "CONTENT_TYPE", "BAD_CONTENT_TYPE");
}

static void layer_one_names_what_it_could_not_read(void **state)
{
    (void)state;
    SCENE(s);
    look(&s); /* nothing at all */
    check_only_failure(&s, 1, "COSE_DECODE", "COSE_DECODE_FAILED");
    CHECK(!s.report->has_claims);
    check_status(&s, "SIG", FINDING_SKIP);
    CHECK_OK(buf_add_zeros(&s.receipt, AIR_RECEIPT_MAX + 1));
    look(&s);
    check_only_failure(&s, 1, "SIZE", "RECEIPT_TOO_LARGE");
    buf_truncate(&s.receipt, 0);
    CHECK_OK(cose_sign1_write(&s.receipt, BYTES_ARRAY(OURS), BYTES_LIT("\x80"), s.key));
    look(&s);
    check_only_failure(&s, 1, "CLAIMS_DECODE", "PAYLOAD_NOT_MAP");
    sign_spoilt(&s, 6, BYTES_LIT("\x00"));
    check_only_failure(&s, 1, "CLAIMS_DECODE", "PAYLOAD_NOT_MAP");
    assert_string_equal(air_report_find(s.report, "CLAIMS_DECODE")->detail, "ZERO:iat");
}

static void keys_out_of_order_do_not_stop_the_other_checks(void **state)
{
    (void)state;
    SCENE(s);
    BUF_AUTO payload = BUF(4096);
    BUF_AUTO spoilt = BUF(4096);
    CHECK_OK(air_write_payload(&payload, &s.claims));
    struct map m = map_apart(buf_view(&payload));
    map_swap(&m, 0, 5);
    map_together(&spoilt, &m);
    CHECK_OK(cose_sign1_write(&s.receipt, BYTES_ARRAY(OURS), buf_view(&spoilt), s.key));
    look(&s);
    check_only_failure(&s, 1, "ENCODING", "NOT_DETERMINISTIC");
    check_status(&s, "SIG", FINDING_PASS);
    check_status(&s, "SECURITY_MODE", FINDING_PASS);
}

static void layer_three_looks_at_the_claims(void **state)
{
    static const uint8_t ZEROS[34] = { 0x58, 0x20 };
    (void)state;
    SCENE(s);
    BUF_AUTO cti = BUF(32);
    CHECK_OK(buf_add_u8(&cti, 0x50));
    CHECK_OK(buf_add_zeros(&cti, 16));
    sign_spoilt(&s, 7, buf_view(&cti));
    check_only_failure(&s, 3, "CTI", "BAD_CTI_LENGTH");
    sign_spoilt(&s, -65539, BYTES_ARRAY(ZEROS));
    check_only_failure(&s, 3, "MHASH_PRESENT", "ZERO_MODEL_HASH");
    sign_spoilt(&s, -65548, BYTES_LIT("\x6bGatewayOnly"));
    check_only_failure(&s, 3, "SECURITY_MODE", "UNKNOWN_SECURITY_MODE:GatewayOnly");
}

static void spoil_measurement(struct scene *s, size_t at, bytes value)
{
    BUF_AUTO payload = BUF(4096);
    BUF_AUTO inner = BUF(4096);
    CHECK_OK(air_write_payload(&payload, &s->claims));
    struct map m = map_apart(buf_view(&payload));
    struct map measurements = map_apart(m.entries[map_place(&m, -65543)].value);
    measurements.entries[at].value = value;
    map_together(&inner, &measurements);
    sign_spoilt(s, -65543, buf_view(&inner));
}

static void layer_three_looks_at_the_measurements(void **state)
{
    (void)state;
    SCENE(s);
    BUF_AUTO value = BUF(64);
    CHECK_OK(cbor_put_bytes(&value, bytes_of(golden_registers[0], 32)));
    spoil_measurement(&s, 0, buf_view(&value));
    check_only_failure(&s, 3, "MEAS", "BAD_MEASUREMENT_LENGTH");
    spoil_measurement(&s, 2, BYTES_LIT("\x40"));
    check_only_failure(&s, 3, "MEAS", "BAD_MEASUREMENT_LENGTH");
    spoil_measurement(&s, 3, BYTES_LIT("\x67sev-snp"));
    check_only_failure(&s, 3, "MTYPE", "UNKNOWN_MTYPE:sev-snp");
}

static void receipts_of_our_own_profile_are_checked_in_all_layers(void **state)
{
    (void)state;
    SCENE(s);
    BUF_AUTO value = BUF(64);
    s.claims = golden_claims_of(AIR_TYPE_SNP, true);
    s.policy.platform = BYTES_LIT(AIR_TYPE_SNP);
    s.policy.require_provenance = true;
    sign_and_look(&s);
    check_verified(&s);
    CHECK(s.report->claims.gpu.gpus == 8);
    for (size_t i = 0; i < 8 * s.receipt.len; i++) {
        s.receipt.at[i / 8] ^= (uint8_t)(1U << i % 8);
        look(&s);
        CHECK(!s.report->verified);
        s.receipt.at[i / 8] ^= (uint8_t)(1U << i % 8);
    }
    CHECK_OK(cbor_put_bytes(&value, bytes_of(golden_registers[0], 32)));
    spoil_measurement(&s, 3, buf_view(&value));
    check_only_failure(&s, 3, "MEAS", "BAD_MEASUREMENT_LENGTH");
    s.policy.platform = (bytes){ 0 };
    spoil_measurement(&s, 5, BYTES_LIT("\x66sev-es"));
    check_only_failure(&s, 3, "MTYPE", "UNKNOWN_MTYPE:sev-es");
}

static void zero_measurements_of_snp_are_no_provenance(void **state)
{
    (void)state;
    static const uint8_t zeros[48];
    SCENE(s);
    s.claims = golden_claims_of(AIR_TYPE_SNP, false);
    s.claims.registers[AIR_MEASUREMENT] = BYTES_ARRAY(zeros);
    s.policy.require_provenance = true;
    sign_and_look(&s);
    check_only_failure(&s, 4, "PROVENANCE", "ZERO_MEASUREMENTS");
}

static void foreign_values_in_codes_are_cut_and_printable(void **state)
{
    (void)state;
    SCENE(s);
    BUF_AUTO value = BUF(1024);
    spoil_measurement(&s, 3, BYTES_LIT("\x69\x1b[31m\n\xc3\xa4x"));
    check_only_failure(&s, 3, "MTYPE", "UNKNOWN_MTYPE:?[31m???x");
    CHECK_OK(buf_add(&value, BYTES_LIT("\x79\x02\x00")));
    for (unsigned i = 0; i < 512; i++)
        CHECK_OK(buf_add_u8(&value, 'x'));
    spoil_measurement(&s, 3, buf_view(&value));
    assert_int_equal(strlen(air_report_find(s.report, "MTYPE")->code), FINDING_CODE_MAX - 1);
}

static void several_failures_are_all_reported(void **state)
{
    (void)state;
    SCENE(s);
    sign_spoilt(&s, -65548, BYTES_LIT("\x6bGatewayOnly"));
    signing_key_free(s.key);
    s.key = golden_key(1);
    s.policy.model_id = BYTES_LIT("another");
    look(&s);
    check_status(&s, "SIG", FINDING_FAIL);
    check_status(&s, "SECURITY_MODE", FINDING_FAIL);
    check_status(&s, "MODEL", FINDING_FAIL);
    assert_int_equal(s.report->failed_layer, 2);
    assert_string_equal(air_report_word(s.report), "SIG");
}

/* ---- layer 4 ---- */

#define POLICY_HOLDS(set)                                                                          \
    do {                                                                                           \
        SCENE(s);                                                                                  \
        struct air_policy *p = &s.policy;                                                          \
        (void)p;                                                                                   \
        set;                                                                                       \
        sign_and_look(&s);                                                                         \
        check_verified(&s);                                                                        \
    } while (0)
#define POLICY_REFUSES(set, check, code)                                                           \
    do {                                                                                           \
        SCENE(s);                                                                                  \
        struct air_policy *p = &s.policy;                                                          \
        (void)p;                                                                                   \
        set;                                                                                       \
        sign_and_look(&s);                                                                         \
        check_only_failure(&s, 4, check, code);                                                    \
    } while (0)

static void freshness_has_two_sides(void **state)
{
    (void)state;
    POLICY_HOLDS(p->now = NOW; p->max_age_s = 10);
    POLICY_HOLDS(p->now = NOW + 10; p->max_age_s = 10);
    POLICY_REFUSES(p->now = NOW + 11; p->max_age_s = 10, "FRESH", "TIMESTAMP_STALE");
    POLICY_REFUSES(p->now = NOW + 11; p->max_age_s = 10;
                   p->clock_skew_s = 60, "FRESH", "TIMESTAMP_STALE");
    POLICY_HOLDS(p->now = NOW - 5; p->max_age_s = 10; p->clock_skew_s = 5);
    POLICY_REFUSES(p->now = NOW - 6; p->max_age_s = 10;
                   p->clock_skew_s = 5, "FRESH", "TIMESTAMP_FUTURE");
    POLICY_REFUSES(p->now = NOW - 1, "FRESH", "TIMESTAMP_FUTURE"); /* whatever the age limit */
    POLICY_HOLDS(p->now = INT64_MAX);                              /* no limit: any age */
    POLICY_HOLDS(p->now = 1; p->clock_skew_s = UINT64_MAX);        /* saturates */
    POLICY_HOLDS(p->now = NOW + 5; p->max_age_s = UINT64_MAX);
}

static void an_age_limit_needs_a_clock_and_stops_layer_four(void **state)
{
    (void)state;
    SCENE(s);
    s.policy.max_age_s = 10;
    s.policy.model_id = BYTES_LIT("another");
    sign_and_look(&s);
    check_only_failure(&s, 4, "FRESH", "CLOCK_ERROR");
    check_status(&s, "MODEL", FINDING_SKIP);
    s.policy.now = -1;
    sign_and_look(&s);
    check_only_failure(&s, 4, "FRESH", "CLOCK_ERROR");
}

static uint8_t other_hash[AIR_HASH_LEN];

static void expected_hashes_must_be_equal(void **state)
{
    (void)state;
    struct air_claims c = golden_claims();
    POLICY_HOLDS(p->model_hash = BYTES_ARRAY(c.model_hash);
                 p->request_hash = BYTES_ARRAY(c.request_hash);
                 p->response_hash = BYTES_ARRAY(c.response_hash);
                 p->attestation_doc_hash = BYTES_ARRAY(c.attestation_doc_hash));
    bytes other = BYTES_ARRAY(other_hash);
    POLICY_REFUSES(p->model_hash = other, "MHASH", "MODEL_HASH_MISMATCH");
    POLICY_REFUSES(p->request_hash = other, "RHASH", "REQUEST_HASH_MISMATCH");
    POLICY_REFUSES(p->response_hash = other, "OHASH", "RESPONSE_HASH_MISMATCH");
    POLICY_REFUSES(p->attestation_doc_hash = other, "ADHASH", "ATTESTATION_DOC_HASH_MISMATCH");
    POLICY_REFUSES(p->model_hash = bytes_of(c.model_hash, 31), "MHASH", "MODEL_HASH_MISMATCH");
}

static void expected_words_must_be_equal(void **state)
{
    (void)state;
    POLICY_HOLDS(p->model_id = BYTES_LIT("minilm-l6-v2"));
    POLICY_REFUSES(p->model_id = BYTES_LIT("minilm-l6-v"), "MODEL", "MODEL_ID_MISMATCH");
    POLICY_HOLDS(p->platform = BYTES_LIT("any"));
    POLICY_HOLDS(p->platform = BYTES_LIT(AIR_TYPE_NITRO));
    POLICY_REFUSES(p->platform = BYTES_LIT(AIR_TYPE_TDX), "PLATFORM", "PLATFORM_MISMATCH");
}

static void evaluation_must_be_allowed_or_asked_for(void **state)
{
    (void)state;
    bytes evaluation = BYTES_LIT(AIR_MODE_EVALUATION), production = BYTES_LIT(AIR_MODE_PRODUCTION);
    POLICY_REFUSES(s.claims.security_mode = evaluation, "SECURITY_MODE_POLICY",
                   "EVALUATION_MODE_REJECTED");
    POLICY_HOLDS(s.claims.security_mode = evaluation; p->allow_evaluation = true);
    POLICY_HOLDS(s.claims.security_mode = evaluation; p->security_mode = evaluation);
    POLICY_HOLDS(p->security_mode = production);
    POLICY_REFUSES(p->security_mode = evaluation, "SECURITY_MODE_POLICY", "SECURITY_MODE_MISMATCH");
    POLICY_REFUSES(s.claims.security_mode = evaluation; p->security_mode = production;
                   p->allow_evaluation = true, "SECURITY_MODE_POLICY", "SECURITY_MODE_MISMATCH");
}

static void a_nonce_must_be_there_and_equal(void **state)
{
    (void)state;
    bytes zeros = bytes_of(other_hash, AIR_NONCE_MIN);
    POLICY_REFUSES(p->require_nonce = true, "NONCE", "NONCE_MISSING");
    POLICY_REFUSES(p->nonce = zeros, "NONCE", "NONCE_MISSING");
    POLICY_HOLDS(s.claims.nonce_len = AIR_NONCE_MIN; p->require_nonce = true);
    POLICY_HOLDS(s.claims.nonce_len = AIR_NONCE_MIN; p->nonce = zeros);
    POLICY_HOLDS(s.claims.nonce_len = AIR_NONCE_MIN);
    POLICY_REFUSES(s.claims.nonce_len = AIR_NONCE_MIN + 1;
                   p->nonce = zeros, "NONCE", "NONCE_MISMATCH");
    POLICY_REFUSES(s.claims.nonce_len = AIR_NONCE_MIN; s.claims.nonce[0] = 1;
                   p->nonce = zeros, "NONCE", "NONCE_MISMATCH");
}

static bool seen_before(void *owner, const uint8_t cti[static AIR_CTI_LEN])
{
    struct air_claims c = golden_claims();
    CHECK_BYTES(bytes_of(cti, AIR_CTI_LEN), BYTES_ARRAY(c.cti));
    return (*(unsigned *)owner)++ > 0;
}

static void a_receipt_seen_before_is_refused(void **state)
{
    (void)state;
    unsigned times = 0;
    POLICY_HOLDS(p->seen = seen_before; p->owner = &times);
    POLICY_REFUSES(p->seen = seen_before; p->owner = &times, "REPLAY", "REPLAY_CTI");
}

static void provenance_wants_more_than_zeros(void **state)
{
    static uint8_t zeros[AIR_REGISTER_LEN];
    (void)state;
    POLICY_HOLDS(p->require_provenance = true);
    POLICY_HOLDS(memset(s.claims.attestation_doc_hash, 0, AIR_HASH_LEN));
    POLICY_REFUSES(p->require_provenance = true;
                   memset(s.claims.attestation_doc_hash, 0, AIR_HASH_LEN), "PROVENANCE",
                   "ZERO_ATTESTATION_DOC_HASH");
    POLICY_REFUSES(p->require_provenance = true; memset(s.claims.request_hash, 0, AIR_HASH_LEN),
                                                 "PROVENANCE", "ZERO_REQUEST_HASH");
    POLICY_REFUSES(p->require_provenance = true; s.claims.registers[AIR_PCR0] = BYTES_ARRAY(zeros),
                                                 "PROVENANCE", "ZERO_MEASUREMENTS");
}

/* ---- reports ---- */

static bool has(const struct buf *text, const char *part)
{
    return text_find(buf_view(text), bytes_str(part)) < text->len;
}

static void the_text_report_says_what_and_why(void **state)
{
    (void)state;
    SCENE(s);
    BUF_AUTO text = BUF(1 << 16);
    sign_and_look(&s);
    CHECK_OK(air_report_text(&text, s.report));
    CHECK(has(&text, "pass  2  SIG                   the key signed it\n"));
    CHECK(has(&text, "skip  4  NONCE                 it has the nonce that was sent\n"));
    CHECK(!has(&text, "(null)"));
    CHECK(has(&text, "receipt: verified\n"));
    CHECK(!has(&text, "why:"));
    buf_truncate(&text, 0);
    s.policy.require_nonce = true;
    sign_and_look(&s);
    CHECK_OK(air_report_text(&text, s.report));
    CHECK(has(&text, "NONCE_MISSING"));
    CHECK(has(&text, "why: The receipt holds no nonce"));
    CHECK(has(&text, "receipt: refused at layer 4\n"));
}

static void the_json_report_can_be_read(void **state)
{
    (void)state;
    SCENE(s);
    struct json *o = NULL;
    int64_t layer;
    bool verified;
    bytes code;
    BUF_AUTO text = BUF(1 << 16);
    s.policy.require_nonce = true;
    sign_and_look(&s);
    CHECK_OK(air_report_json(&text, s.report));
    CHECK_OK(json_read(&o, buf_view(&text), 8));
    CHECK(json_bool(json_get(o, "verified"), &verified) && !verified);
    CHECK(json_i64(json_get(o, "failed_layer"), &layer) && layer == 4);
    assert_int_equal(json_len(json_get(o, "findings")), s.report->n);
    CHECK(json_text(json_get(json_at(json_get(o, "findings"), 24), "code"), &code));
    CHECK_BYTES(code, BYTES_LIT("NONCE_MISSING"));
    CHECK(json_kind(json_get(json_get(o, "claims"), "iss")) == JSON_KIND_TEXT);
    json_free(o);
    buf_truncate(&text, 0);
    buf_truncate(&s.receipt, 0);
    look(&s);
    CHECK_OK(air_report_json(&text, s.report));
    CHECK_OK(json_read(&o, buf_view(&text), 8));
    CHECK(json_kind(json_get(o, "claims")) == JSON_KIND_NULL);
    json_free(o);
}

static err report_once(void *arg)
{
    const struct air_report *report = arg;
    BUF_AUTO out = BUF(1 << 17);
    TRY(air_report_text(&out, report));
    return air_report_json(&out, report);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    SCENE(s);
    s.policy.require_nonce = true;
    sign_and_look(&s);
    law_every_allocation_fails_once(report_once, s.report);
}

int main(void)
{
    CHECK_OK(crypto_init());
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_receipt_is_verified_with_every_check_listed),
        cmocka_unit_test(a_zeroed_report_is_not_verified),
        cmocka_unit_test(no_policy_asks_nothing_but_refuses_evaluation),
        cmocka_unit_test(any_flipped_bit_is_refused),
        cmocka_unit_test(another_key_is_refused),
        cmocka_unit_test(a_signature_of_another_length_is_named),
        cmocka_unit_test(a_wrong_algorithm_is_layer_one_although_the_signature_holds),
        cmocka_unit_test(layer_one_names_what_it_could_not_read),
        cmocka_unit_test(keys_out_of_order_do_not_stop_the_other_checks),
        cmocka_unit_test(layer_three_looks_at_the_claims),
        cmocka_unit_test(layer_three_looks_at_the_measurements),
        cmocka_unit_test(receipts_of_our_own_profile_are_checked_in_all_layers),
        cmocka_unit_test(zero_measurements_of_snp_are_no_provenance),
        cmocka_unit_test(foreign_values_in_codes_are_cut_and_printable),
        cmocka_unit_test(several_failures_are_all_reported),
        cmocka_unit_test(freshness_has_two_sides),
        cmocka_unit_test(an_age_limit_needs_a_clock_and_stops_layer_four),
        cmocka_unit_test(expected_hashes_must_be_equal),
        cmocka_unit_test(expected_words_must_be_equal),
        cmocka_unit_test(evaluation_must_be_allowed_or_asked_for),
        cmocka_unit_test(a_nonce_must_be_there_and_equal),
        cmocka_unit_test(a_receipt_seen_before_is_refused),
        cmocka_unit_test(provenance_wants_more_than_zeros),
        cmocka_unit_test(the_text_report_says_what_and_why),
        cmocka_unit_test(the_json_report_can_be_read),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
