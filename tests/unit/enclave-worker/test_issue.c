/* prove, keys and issue together: what they make must hold in the eyes of the verifiers. */
#include "attest/claims.h"
#include "attest/simulated.h"
#include "attest/statement.h"
#include "attest/verify.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/yaml.h"
#include "crypto/hpke.h"
#include "crypto/init.h"
#include "crypto/sign.h"
#include "enclave-worker/issue.h"
#include "enclave-worker/keys.h"
#include "enclave-worker/prove.h"
#include "receipts/check.h"
#include "tests/lib/law.h"

struct scene {
    struct loop *loop;
    struct keys *keys;
    struct prove *prove;
    struct issuer *issuer;
    struct manifest manifest;
    struct buf bundle;
};

static const struct keys_settings KEYS = {
    .worker_name = "w1", .life_s = 3600, .ahead_s = 300, .grace_s = 120
};

static void set_up(struct scene *s)
{
    struct simulated_registers registers;
    struct attester *attester;
    BUF_AUTO encoded = BUF(CLAIMS_MAX);
    static const uint8_t digest[32] = { 1, 2, 3 };
    const struct claims claims = { .model = BYTES_LIT("m"),
                                   .worker = BYTES_LIT("w1"),
                                   .software = BYTES_LIT("0.1.0"),
                                   .model_version = BYTES_LIT("v") };
    *s = (struct scene){ .bundle = BUF(BUNDLE_MAX) };
    CHECK_OK(crypto_init());
    CHECK_OK(loop_new(&s->loop));
    CHECK_OK(keys_new(&s->keys, s->loop, &KEYS));
    CHECK_OK(claims_write(&encoded, &claims));
    simulated_measure(BYTES_LIT("image"), &registers);
    CHECK_OK(simulated_attester_new(&attester, &registers));
    const struct prove_settings proof = { .attester = attester,
                                          .identity = keys_identity(s->keys),
                                          .claims = buf_view(&encoded) };
    CHECK_OK(prove_new(&s->prove, s->loop, &proof, NULL));
    const struct issuer_settings settings = { .identity = keys_identity(s->keys),
                                              .evidence = prove_verdict(s->prove),
                                              .manifest = &s->manifest,
                                              .issuer = "tester",
                                              .settings_digest = digest,
                                              .engine = BYTES_LIT("demo") };
    CHECK_OK(issuer_new(&s->issuer, &settings));
}

static void tear_down(struct scene *s)
{
    issuer_free(s->issuer);
    prove_free(s->prove);
    loop_deliver(s->loop);
    keys_free(s->keys);
    loop_free(s->loop);
    buf_clear(&s->bundle);
}

static void receipts_satisfy_the_strict_verifier(void **state)
{
    (void)state;
    struct scene s;
    struct air_report report;
    static const uint8_t asked[32] = { 7 }, answered[32] = { 8 };
    uint8_t cti[AIR_CTI_LEN];
    set_up(&s);
    for (uint64_t i = 1; i <= 3; i++) {
        BUF_AUTO receipt = BUF(AIR_RECEIPT_MAX);
        CHECK_OK(issue_cti(cti));
        CHECK((cti[6] & 0xf0) == 0x40 && (cti[8] & 0xc0) == 0x80);
        const struct issue_facts facts = { .cti = cti,
                                           .model = BYTES_LIT("asked/model"),
                                           .request_hash = asked,
                                           .response_hash = answered,
                                           .nonce = BYTES_LIT("12345678"),
                                           .execution_ms = 5,
                                           .now = clock_wall_s() };
        CHECK_OK(issue_receipt(s.issuer, &facts, &receipt));
        const struct air_policy policy = {
            .now = clock_wall_s(),
            .max_age_s = 60,
            .clock_skew_s = 60,
            .request_hash = BYTES_ARRAY(asked),
            .response_hash = BYTES_ARRAY(answered),
            .attestation_doc_hash = bytes_of(prove_digest(s.prove), 32),
            .model_id = BYTES_LIT("asked/model"),
            .nonce = BYTES_LIT("12345678"),
            .allow_evaluation = true,
        };
        air_check(buf_view(&receipt), bytes_of(signing_key_public(keys_identity(s.keys)), 32),
                  &policy, &report);
        CHECK(report.verified);
        CHECK(report.claims.sequence_number == i);
        CHECK(report.claims.memory_peak_mb > 0);
        CHECK_BYTES(report.claims.security_mode, BYTES_LIT("evaluation"));
        CHECK_BYTES(report.claims.registers[AIR_PCR0],
                    verdict_register(prove_verdict(s.prove), "pcr0"));
    }
    tear_down(&s);
}

static void put_register_of(struct verdict *v, const char *name, size_t len, uint8_t fill)
{
    struct verdict_register *r = &v->registers[v->registers_n++];
    r->name = name;
    r->len = len;
    memset(r->value, fill, len);
}

static void put_register(struct verdict *v, const char *name, uint8_t fill)
{
    put_register_of(v, name, AIR_REGISTER_LEN, fill);
}

static void registers_of_each_platform_stand_where_the_format_has_them(void **state)
{
    (void)state;
    static const char *const nitro[] = { "pcr0", "pcr1", "pcr2", "pcr3", "pcr4", "pcr5", "pcr8" };
    static const char *const tdx[] = { "mrtd", "rtmr0", "rtmr1", "rtmr2", "rtmr3" };
    struct air_claims claims = { 0 };
    struct verdict v = { .platform = "nitro", .trust = TRUST_HARDWARE, .document_digest = { 9 } };
    for (size_t i = 0; i < ARRAY_LEN(nitro); i++)
        put_register(&v, nitro[i], (uint8_t)(nitro[i][3] - '0'));
    CHECK_OK(issue_set_evidence(&claims, &v));
    CHECK_BYTES(claims.measurement_type, BYTES_LIT(AIR_TYPE_NITRO));
    CHECK_BYTES(claims.security_mode, BYTES_LIT(AIR_MODE_PRODUCTION));
    CHECK(claims.registers[AIR_PCR0].at[0] == 0 && claims.registers[AIR_PCR4].at[0] == 4);
    CHECK(claims.registers[AIR_PCR8].at[0] == 8 && claims.attestation_doc_hash[0] == 9);

    v = (struct verdict){ .platform = "tdx", .trust = TRUST_HARDWARE };
    for (size_t i = 0; i < ARRAY_LEN(tdx); i++)
        put_register(&v, tdx[i], (uint8_t)(i + 1));
    CHECK_OK(issue_set_evidence(&claims, &v));
    CHECK_BYTES(claims.measurement_type, BYTES_LIT(AIR_TYPE_TDX));
    CHECK(claims.registers[AIR_PCR0].at[0] == 1 && claims.registers[AIR_PCR4].at[0] == 5);
    CHECK(claims.registers[AIR_PCR8].at == NULL);

    CHECK(claims.profile == AIR_IN_V1 && claims.gpu.gpus == 0);

    v.platform = "another";
    CHECK_ERR(issue_set_evidence(&claims, &v), UNSUPPORTED);
    v.platform = NULL;
    CHECK_ERR(issue_set_evidence(&claims, &v), UNSUPPORTED);
}

static void snp_verdict(struct verdict *v, const char *platform)
{
    *v =
        (struct verdict){ .platform = platform, .trust = TRUST_HARDWARE, .document_digest = { 9 } };
    put_register_of(v, "measurement", 48, 1);
    put_register_of(v, "host_data", 32, 2);
    put_register_of(v, "id_key_digest", 48, 3);
    put_register_of(v, "family_id", 16, 4);
    put_register_of(v, "image_id", 16, 5);
    put_register_of(v, "chip_id", 64, 6);
}

static void what_air_v1_cannot_say_is_said_in_our_own_profile(void **state)
{
    (void)state;
    struct air_claims claims = { 0 };
    static struct verdict v;
    snp_verdict(&v, "sev-snp");
    CHECK_OK(issue_set_evidence(&claims, &v));
    CHECK(claims.profile == AIR_IN_OWN && claims.gpu.gpus == 0);
    CHECK_BYTES(claims.measurement_type, BYTES_LIT(AIR_TYPE_SNP));
    CHECK_BYTES(claims.security_mode, BYTES_LIT(AIR_MODE_PRODUCTION));
    CHECK(claims.registers[AIR_MEASUREMENT].at[0] == 1 &&
          claims.registers[AIR_HOST_DATA].len == 32);
    CHECK(claims.registers[AIR_AUTHOR_KEY_DIGEST].at == NULL);

    snp_verdict(&v, "azure-sev-snp");
    put_register_of(&v, "pcr4", 32, 7);
    CHECK_OK(issue_set_evidence(&claims, &v));
    CHECK_BYTES(claims.measurement_type, BYTES_LIT(AIR_TYPE_AZURE_SNP));
    CHECK(claims.registers[AIR_PCR4].at[0] == 7 && claims.registers[AIR_PCR0].at == NULL);

    v = (struct verdict){ .platform = "tdx",
                          .trust = TRUST_HARDWARE,
                          .gpu = { .gpus = 2, .switches = 1, .digest = { 8 } } };
    put_register(&v, "mrtd", 1);
    CHECK_OK(issue_set_evidence(&claims, &v));
    CHECK(claims.profile == AIR_IN_OWN && claims.gpu.gpus == 2 && claims.gpu.switches == 1);
    CHECK(claims.gpu.evidence_hash[0] == 8 && claims.registers[AIR_MEASUREMENT].at == NULL);
}

/* An issuer over evidence of any platform writes what the strict check accepts. */
static void receipts_of_snp_with_gpus_satisfy_the_strict_verifier(void **state)
{
    (void)state;
    struct issuer *issuer;
    struct signing_key *key;
    struct manifest manifest = { 0 };
    struct air_report report;
    BUF_AUTO receipt = BUF(AIR_RECEIPT_MAX);
    static const uint8_t digest[32] = { 1 }, hash[32] = { 7 }, cti[AIR_CTI_LEN] = { 3 };
    static struct verdict v;
    snp_verdict(&v, "sev-snp");
    v.gpu = (struct verdict_gpu){ .gpus = 8, .digest = { 5 } };
    CHECK_OK(crypto_init());
    CHECK_OK(signing_key_generate(&key));
    const struct issuer_settings settings = { .identity = key,
                                              .evidence = &v,
                                              .manifest = &manifest,
                                              .issuer = "tester",
                                              .settings_digest = digest,
                                              .engine = BYTES_LIT("demo") };
    CHECK_OK(issuer_new(&issuer, &settings));
    const struct issue_facts facts = {
        .cti = cti, .request_hash = hash, .response_hash = hash, .now = clock_wall_s()
    };
    CHECK_OK(issue_receipt(issuer, &facts, &receipt));
    const struct air_policy policy = { .now = facts.now,
                                       .max_age_s = 60,
                                       .attestation_doc_hash = BYTES_ARRAY(v.document_digest),
                                       .platform = BYTES_LIT(AIR_TYPE_SNP) };
    air_check(buf_view(&receipt), bytes_of(signing_key_public(key), 32), &policy, &report);
    CHECK(report.verified && report.claims.profile == AIR_IN_OWN && report.claims.gpu.gpus == 8);
    CHECK_BYTES(report.claims.registers[AIR_MEASUREMENT], verdict_register(&v, "measurement"));
    issuer_free(issuer);
    signing_key_free(key);
}

static void on_document(void *owner, err e, bytes document)
{
    struct scene *s = owner;
    CHECK_OK(e);
    CHECK_OK(bundle_join(&s->bundle, document, keys_statement(s->keys)));
    loop_stop(s->loop);
}

static void a_bundle_for_a_nonce_is_accepted_for_that_nonce_only(void **state)
{
    (void)state;
    struct scene s;
    struct prove_job *job;
    struct policy *policy;
    struct verdict verdict;
    static const char yaml[] = "platforms: [simulated]\nmeasurements: any\n";
    set_up(&s);
    CHECK_ERR(prove_ask(s.prove, 1, BYTES_LIT("short"), on_document, &s, &job), MALFORMED);
    CHECK_OK(prove_ask(s.prove, 1, BYTES_LIT("0123456789abcdef"), on_document, &s, &job));
    loop_run(s.loop);
    CHECK_OK(policy_read(&policy, bytes_str(yaml), "test", NULL));
    struct verify_settings settings = { .policy = policy,
                                        .now = clock_wall_s(),
                                        .nonce = BYTES_LIT("0123456789abcdef") };
    CHECK_OK(attest_verify(buf_view(&s.bundle), &settings, &verdict));
    CHECK(verdict.accepted);
    CHECK_BYTES(buf_view(&verdict.key_list), keys_list(s.keys));
    CHECK(verdict.not_after > clock_wall_s() + 3000);
    verdict_clear(&verdict);
    settings.nonce = BYTES_LIT("fedcba9876543210");
    CHECK_OK(attest_verify(buf_view(&s.bundle), &settings, &verdict));
    CHECK(!verdict.accepted);
    verdict_clear(&verdict);
    policy_free(policy);
    tear_down(&s);
}

/* How many questions an asker may ask at once. */
static int ask_on(struct scene *s, uint64_t asker)
{
    struct prove_job *job;
    bytes nonce = BYTES_LIT("0123456789abcdef");
    int asked = 0;
    while (asked < 1000 && prove_ask(s->prove, asker, nonce, on_document, s, &job).code == ERR_OK) {
        prove_forget(job);
        asked++;
    }
    return asked;
}

static void too_many_questions_are_turned_away_of_one_asker_and_of_all(void **state)
{
    (void)state;
    struct scene s;
    int asked = 0;
    set_up(&s);
    int of_one = ask_on(&s, 1);
    CHECK(of_one >= PROVE_EACH_PER_SECOND && of_one < PROVE_PER_SECOND);
    CHECK(ask_on(&s, 2) >= PROVE_EACH_PER_SECOND); /* whom the first has left his share */
    for (uint64_t asker = 3; asker < 1000; asker++)
        asked += ask_on(&s, asker);
    CHECK(asked <= PROVE_JOBS_MAX + 1000);
    CHECK(ask_on(&s, 1) < PROVE_EACH_PER_SECOND);
    tear_down(&s);
}

/* The clock is turned by hand; the loop's timer sees to it within a turn or two. */
static struct loop *turned;

static void on_enough(struct loop_timer *t)
{
    (void)t;
    loop_stop(turned);
}

static void turn(struct loop *loop, uint64_t ms)
{
    struct loop_timer t = { 0 };
    turned = loop;
    loop_timer_start(loop, &t, ms, on_enough);
    loop_run(loop);
}

static void keys_rotate_ahead_and_old_ones_still_open(void **state)
{
    (void)state;
    struct loop *loop;
    struct keys *k;
    struct key_config before[2], after[2], later[2];
    size_t n;
    const struct keys_settings settings = {
        .worker_name = "w", .life_s = 3, .ahead_s = 2, .grace_s = 2
    };
    CHECK_OK(crypto_init());
    CHECK_OK(loop_new(&loop));
    CHECK_OK(keys_new(&k, loop, &settings));
    CHECK_OK(keylist_read(keys_list(k), KEYLIST_PREFIXED, before, 2, &n));
    CHECK(n == 1);
    uint8_t first = before[0].id;
    CHECK(keys_generation(k) == 1);

    clock_shift_wall_s(1); /* two seconds before the end of its life */
    for (int i = 0; i < 100 && keys_generation(k) < 2; i++)
        turn(loop, 50);
    CHECK_OK(keylist_read(keys_list(k), KEYLIST_PREFIXED, after, 2, &n));
    CHECK(n == 2 && after[0].id == (uint8_t)(first + 1) && after[1].id == first);
    CHECK_OK(keylist_read(keys_list_bare(k), KEYLIST_BARE, later, 2, &n));
    CHECK(later[0].id == (uint8_t)(first + 1));

    clock_shift_wall_s(5); /* its grace is just not over: it opens, but is not listed */
    for (int i = 0; i < 100 && keys_generation(k) < 4; i++)
        turn(loop, 50);
    CHECK_OK(keylist_read(keys_list(k), KEYLIST_PREFIXED, later, 2, &n));
    for (size_t i = 0; i < n; i++)
        CHECK(later[i].id != first);

    struct statement st;
    CHECK_OK(statement_verify(keys_statement(k), bytes_of(signing_key_public(keys_identity(k)), 32),
                              &st));
    CHECK_BYTES(st.key_list, keys_list(k));
    CHECK(st.generation == keys_generation(k));
    clock_shift_wall_s(0);
    keys_free(k);
    loop_free(loop);
}

/* Which is the newest, and how many open. */
static size_t ehbp_keys(struct keys *k, struct buf *newest)
{
    const struct hpke_private_key *private[OHTTP_KEYS_MAX];
    struct key_config config;
    size_t n = 0, configs = 0;
    keys_tend(k);
    n = keys_ehbp(k, private);
    CHECK(n > 0);
    CHECK_OK(keylist_read(keys_ehbp_config(k), KEYLIST_BARE, &config, 1, &configs));
    CHECK_BYTES(config.public_key, hpke_key_public(private[0]));
    buf_truncate(newest, 0);
    CHECK_OK(buf_add(newest, config.public_key));
    return n;
}

static bool opens_still(struct keys *k, bytes public_key)
{
    const struct hpke_private_key *private[OHTTP_KEYS_MAX];
    keys_tend(k);
    for (size_t n = keys_ehbp(k, private); n > 0; n--) {
        if (bytes_equal(hpke_key_public(private[n - 1]), public_key))
            return true;
    }
    return false;
}

static void the_key_of_ehbp_rotates_along_and_is_in_the_statement(void **state)
{
    (void)state;
    struct loop *loop;
    struct keys *k;
    struct statement st;
    BUF_AUTO first = BUF(64);
    BUF_AUTO second = BUF(64);
    const struct keys_settings settings = {
        .worker_name = "w", .life_s = 100, .ahead_s = 10, .grace_s = 20, .ehbp = true
    };
    CHECK_OK(crypto_init());
    CHECK_OK(loop_new(&loop));
    CHECK_OK(keys_new(&k, loop, &settings));
    CHECK(ehbp_keys(k, &first) == 1);
    CHECK(keys_span_s(&settings) >= 130);

    clock_shift_wall_s(95);
    CHECK(ehbp_keys(k, &second) == 2);
    CHECK(!bytes_equal(buf_view(&first), buf_view(&second)));
    CHECK_OK(statement_verify(keys_statement(k), bytes_of(signing_key_public(keys_identity(k)), 32),
                              &st));
    CHECK_BYTES(st.ehbp_key, keys_ehbp_config(k));
    clock_shift_wall_s(115);
    CHECK(opens_still(k, buf_view(&first)));
    clock_shift_wall_s(125);
    CHECK(!opens_still(k, buf_view(&first)) && opens_still(k, buf_view(&second)));

    clock_shift_wall_s(60); /* set back: nothing from before opens any more */
    CHECK(!opens_still(k, buf_view(&second)));
    clock_shift_wall_s(0);
    keys_free(k);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(receipts_satisfy_the_strict_verifier),
        cmocka_unit_test(registers_of_each_platform_stand_where_the_format_has_them),
        cmocka_unit_test(what_air_v1_cannot_say_is_said_in_our_own_profile),
        cmocka_unit_test(receipts_of_snp_with_gpus_satisfy_the_strict_verifier),
        cmocka_unit_test(a_bundle_for_a_nonce_is_accepted_for_that_nonce_only),
        cmocka_unit_test(too_many_questions_are_turned_away_of_one_asker_and_of_all),
        cmocka_unit_test(keys_rotate_ahead_and_old_ones_still_open),
        cmocka_unit_test(the_key_of_ehbp_rotates_along_and_is_in_the_statement),
    };
    return cmocka_run_group_tests_name("enclave-worker/issue", tests, NULL, NULL);
}
