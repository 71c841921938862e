/* Genuine evidence of the shared vectors, and a worker's document made here, as one report. */
#include "attest/appraise.h"
#include "attest/bundle.h"
#include "attest/snp_table.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/init.h"
#include "tests/lib/law.h"
#include "tests/unit/attest/scene.h"

#define ZEROS                                                                                      \
    "000000000000000000000000000000000000000000000000"                                             \
    "000000000000000000000000000000000000000000000000"

enum { FILES = 8, FILE_MAX = 1024 * 1024, LIST_MAX = 4 * 1024 * 1024 };

static struct appraisal report;
static struct appraise_settings settings;
static struct buf evidence;
static struct buf files[FILES];
static size_t files_n;

static void forget(void)
{
    for (size_t i = 0; i < FILES; i++)
        buf_clear(&files[i]);
    buf_clear(&evidence);
    files_n = 0;
    settings = (struct appraise_settings){ 0 };
}

static enum appraise_outcome judge(bytes in)
{
    appraise_clear(&report);
    CHECK_OK(appraise(in, &settings, &report));
    return report.outcome;
}

/* --- the shared cases ------------------------------------------------------------------------- */

static struct buf list;
static struct json *cases;
static const char *set;

static bool open_set(const char *name)
{
    BUF_AUTO path = BUF(4096);
    if (law_vectors() == NULL) {
        print_message("SKIPPED: NO VECTORS, NO GENUINE EVIDENCE WAS LOOKED AT\n");
        return false;
    }
    set = name;
    list = BUF(LIST_MAX);
    CHECK_OK(buf_addf(&path, "%s/attest/%s/cases.json", law_vectors(), set));
    law_read_file(&list, buf_str(&path));
    CHECK_OK(json_read(&cases, buf_view(&list), 16));
    CHECK(json_len(json_get(cases, "cases")) > 0);
    return true;
}

static void close_set(void)
{
    json_free(cases);
    buf_clear(&list);
    forget();
    appraise_clear(&report);
}

static void read_into(struct buf *to, bytes name)
{
    BUF_AUTO path = BUF(4096);
    *to = BUF(FILE_MAX);
    CHECK_OK(buf_addf(&path, "%s/attest/%s/%.*s", law_vectors(), set, (int)name.len,
                      (const char *)name.at));
    law_read_file(to, buf_str(&path));
}

static void add_collateral(const struct json *name)
{
    bytes text;
    if (!json_text(name, &text))
        return;
    CHECK(files_n < FILES);
    read_into(&files[files_n], text);
    settings.collateral[settings.collateral_n++] = buf_view(&files[files_n++]);
}

static bool is_word(const struct json *one, const char *key, const char *word)
{
    bytes text;
    return json_text(json_get(one, key), &text) && bytes_equal(text, bytes_str(word));
}

static void load(const struct json *one)
{
    static const char *const keys[] = { "quote", "report", "doc" };
    bytes name;
    forget();
    for (size_t i = 0; i < 3; i++) {
        if (json_text(json_get(one, keys[i]), &name))
            read_into(&evidence, name);
    }
    CHECK(json_i64(json_get(one, "verify_time"), &settings.now));
    struct json_pair p = { 0 };
    while (json_next(json_get(one, "collateral"), &p))
        add_collateral(p.value);
    add_collateral(json_get(one, "leaf"));
    for (size_t i = 0; i < json_len(json_get(one, "chain")); i++)
        add_collateral(json_at(json_get(one, "chain"), i));
    add_collateral(json_get(one, "crl"));
}

static const struct json *find_case(const char *id)
{
    const struct json *all = json_get(cases, "cases");
    for (size_t i = 0; i < json_len(all); i++) {
        if (is_word(json_at(all, i), "id", id))
            return json_at(all, i);
    }
    fail_msg("no case %s", id);
    return NULL;
}

/* What a case asks beyond genuine evidence is nothing this report is asked here. */
static bool asks_more(const struct json *one)
{
    const struct json *policy = json_get(one, "policy");
    return json_len(policy) > 0 && json_get(policy, "max_vmpl") == NULL;
}

static size_t run_set(const char *name)
{
    size_t verified = 0;
    if (!open_set(name))
        skip();
    const struct json *all = json_get(cases, "cases");
    for (size_t i = 0; i < json_len(all); i++) {
        const struct json *one = json_at(all, i);
        load(one);
        enum appraise_outcome got = judge(buf_view(&evidence));
        verified += got == APPRAISE_VERIFIED;
        if (is_word(one, "expect", "reject") && !asks_more(one) && got == APPRAISE_VERIFIED)
            fail_msg("%s: case %zu is verified", name, i);
        if (is_word(one, "expect", "accept") && is_word(one, "kind", "genuine") &&
            report.answers[APPRAISE_ANSWER_CHAIN].status != VERDICT_PASS)
            fail_msg("%s: the chain of case %zu is not", name, i);
    }
    close_set();
    return verified;
}

static void genuine_evidence_is_verified_and_none_that_was_spoilt(void **state)
{
    (void)state;
    CHECK(run_set("tdx") >= 2);
    CHECK(run_set("sev-snp") >= 2);
    CHECK(run_set("nitro") >= 3);
}

/* --- what is asked ---------------------------------------------------------------------------- */

static bytes field(const char *name)
{
    for (size_t i = 0; i < report.fields_n; i++) {
        if (strcmp(report.fields[i].name, name) == 0)
            return buf_view(&report.fields[i].value);
    }
    return (bytes){ 0 };
}

static const struct {
    const char *set;
    const char *id;
    const char *data;
    const char *other;
    enum appraise_platform platform;
} SAMPLES[] = {
    { "tdx", "v4-b0c06f-uptodate", "report_data", "fmspc", APPRAISE_TDX },
    { "sev-snp", "turin-v5", "report_data", "chip_id", APPRAISE_SNP },
    { "nitro", "prod-2023-01-tls-spki", "user_data", "pcr0", APPRAISE_NITRO },
};
enum { SAMPLES_N = sizeof SAMPLES / sizeof SAMPLES[0] };

static void open_sample(size_t i)
{
    if (!open_set(SAMPLES[i].set))
        skip();
    load(find_case(SAMPLES[i].id));
    if (judge(buf_view(&evidence)) == APPRAISE_VERIFIED)
        return;
    BUF_AUTO text = BUF(APPRAISE_TEXT_MAX);
    CHECK_OK(appraise_text(&report, &text));
    fail_msg("%s", buf_str(&text));
}

static void user_data_has_to_be_the_same_to_the_last_byte(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLES_N; i++) {
        BUF_AUTO data = BUF(FILE_MAX);
        open_sample(i);
        CHECK(report.answers[APPRAISE_ANSWER_USER_DATA].status == VERDICT_SKIP);
        CHECK(field(SAMPLES[i].other).len > 0);
        CHECK_OK(text_hex_decode(&data, field(SAMPLES[i].data)));
        settings.ask_user_data = true;
        settings.user_data = buf_view(&data);
        CHECK(judge(buf_view(&evidence)) == APPRAISE_VERIFIED);
        CHECK(report.answers[APPRAISE_ANSWER_USER_DATA].status == VERDICT_PASS);
        settings.user_data.len--;
        CHECK(judge(buf_view(&evidence)) == APPRAISE_REFUSED);
        CHECK(report.answers[APPRAISE_ANSWER_USER_DATA].status == VERDICT_FAIL);
        CHECK(report.answers[APPRAISE_ANSWER_PLATFORM].status == VERDICT_PASS);
        settings.user_data.len = 0;
        CHECK(judge(buf_view(&evidence)) == APPRAISE_REFUSED);
        data.at[0] ^= 1;
        settings.user_data = buf_view(&data);
        CHECK(judge(buf_view(&evidence)) == APPRAISE_REFUSED);
        close_set();
    }
}

static void the_platform_is_told_by_structure_and_another_one_named_refuses(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLES_N; i++) {
        open_sample(i);
        CHECK(appraise_recognise(buf_view(&evidence)) == SAMPLES[i].platform);
        for (enum appraise_platform p = APPRAISE_TDX; p < APPRAISE_PLATFORMS; p++) {
            settings.platform = p;
            CHECK((judge(buf_view(&evidence)) == APPRAISE_VERIFIED) == (p == SAMPLES[i].platform));
        }
        close_set();
    }
    CHECK(appraise_recognise((bytes){ 0 }) == APPRAISE_AUTO);
    CHECK(judge(BYTES_LIT("neither of them")) == APPRAISE_NOT_DECIDED);
    CHECK(report.platform == NULL);
}

/* What stands in the signed part or is the signature; every 11th byte, so that it does not take
 * minutes: the verifiers' own tests take all of them. */
static void a_flipped_bit_is_never_verified(void **state)
{
    (void)state;
    static const size_t ends[SAMPLES_N] = { 48 + 584 + 4 + 64, 672 + 48, SIZE_MAX };
    for (size_t i = 0; i < SAMPLES_N; i++) {
        open_sample(i);
        for (size_t at = 0; at < evidence.len && at < ends[i]; at += 11) {
            evidence.at[at] ^= (uint8_t)(1U << at % 8);
            if (judge(buf_view(&evidence)) == APPRAISE_VERIFIED)
                fail_msg("%s: byte %zu", SAMPLES[i].id, at);
            evidence.at[at] ^= (uint8_t)(1U << at % 8);
        }
        CHECK(judge(buf_view(&evidence)) == APPRAISE_VERIFIED);
        close_set();
    }
}

static void without_its_collateral_nothing_is_decided(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        open_sample(i);
        size_t n = settings.collateral_n;
        for (size_t left = 0; left < n; left++) {
            bytes last = settings.collateral[n - 1];
            bytes kept = settings.collateral[left];
            settings.collateral[left] = last;
            settings.collateral_n = n - 1;
            CHECK(judge(buf_view(&evidence)) != APPRAISE_VERIFIED);
            settings.collateral[left] = kept;
            settings.collateral_n = n;
        }
        settings.collateral_n = 0;
        CHECK(judge(buf_view(&evidence)) == APPRAISE_NOT_DECIDED);
        CHECK(report.answers[APPRAISE_ANSWER_PLATFORM].status == VERDICT_SKIP);
        settings.collateral[0] = BYTES_LIT("no collateral");
        settings.collateral_n = 1;
        CHECK(judge(buf_view(&evidence)) == APPRAISE_NOT_DECIDED);
        evidence.at[100] ^= 1;
        CHECK(judge(buf_view(&evidence)) != APPRAISE_VERIFIED);
        close_set();
    }
}

static void an_snp_report_may_have_its_certificate_table_behind_it(void **state)
{
    (void)state;
    struct snp_entry entries[] = { { SNP_ENTRY_VCEK, { 0 } },
                                   { SNP_ENTRY_CRL, { 0 } },
                                   { SNP_ENTRY_ASK, { 0 } },
                                   { SNP_ENTRY_ARK, { 0 } } };
    open_sample(1);
    CHECK(settings.collateral_n == 4);
    entries[0].data = settings.collateral[0];
    entries[1].data = settings.collateral[3];
    entries[2].data = settings.collateral[1];
    entries[3].data = settings.collateral[2];
    CHECK_OK(snp_table_write(&evidence, entries, 4));
    settings.collateral_n = 0;
    CHECK(judge(buf_view(&evidence)) == APPRAISE_VERIFIED);
    evidence.at[evidence.len - 1] ^= 1;
    CHECK(judge(buf_view(&evidence)) == APPRAISE_REFUSED);
    close_set();
}

static void age_is_judged_where_the_evidence_tells_it(void **state)
{
    (void)state;
    open_sample(2);
    CHECK(report.answers[APPRAISE_ANSWER_FRESHNESS].status == VERDICT_SKIP);
    settings.max_age_s = 24 * 3600;
    CHECK(judge(buf_view(&evidence)) == APPRAISE_VERIFIED);
    CHECK(report.answers[APPRAISE_ANSWER_FRESHNESS].status == VERDICT_PASS);
    settings.now += 25L * 3600;
    CHECK(judge(buf_view(&evidence)) == APPRAISE_REFUSED);
    CHECK(report.answers[APPRAISE_ANSWER_FRESHNESS].status != VERDICT_PASS);
    close_set();
    open_sample(0);
    settings.max_age_s = 60;
    CHECK(judge(buf_view(&evidence)) == APPRAISE_REFUSED);
    close_set();
}

/* --- policies --------------------------------------------------------------------------------- */

static enum appraise_outcome judge_by(const char *head, const char *hex)
{
    BUF_AUTO yaml = BUF(4096);
    BUF_AUTO message = BUF(4096);
    struct policy *p = NULL;
    CHECK_OK(buf_addf(&yaml, "%s%s%s", head, hex, hex[0] != '\0' ? "]\n" : ""));
    err e = policy_read(&p, buf_view(&yaml), "policy", &message);
    if (e.code != ERR_OK)
        fail_msg("%s", buf_str(&message));
    settings.policy = p;
    enum appraise_outcome o = judge(buf_view(&evidence));
    settings.policy = NULL;
    policy_free(p);
    return o;
}

static void a_policy_names_platform_and_registers(void **state)
{
    (void)state;
    BUF_AUTO pcr0 = BUF(256);
    open_sample(2);
    CHECK_OK(buf_add(&pcr0, field("pcr0")));
    const char *hex = buf_str(&pcr0);
    CHECK(judge_by("platforms: [nitro]\nmeasurements:\n  pcr0: [", hex) == APPRAISE_VERIFIED);
    CHECK(judge_by("platforms: [sev-snp, nitro]\nmeasurements:\n  pcr0: [", hex) ==
          APPRAISE_VERIFIED);
    CHECK(judge_by("platforms: [nitro]\nworker_names: [w1]\nmeasurements:\n  pcr0: [", hex) ==
          APPRAISE_REFUSED);
    pcr0.at[0] = pcr0.at[0] == '0' ? '1' : '0';
    CHECK(judge_by("platforms: [nitro]\nmeasurements:\n  pcr0: [", buf_str(&pcr0)) ==
          APPRAISE_REFUSED);
    CHECK(judge_by("platforms: [simulated]\nmeasurements: any\n", "") == APPRAISE_REFUSED);
    close_set();
}

static void hardware_whose_collateral_came_in_parts_meets_a_policy_too(void **state)
{
    (void)state;
    BUF_AUTO hex = BUF(256);
    open_sample(1);
    CHECK_OK(buf_add(&hex, field("measurement")));
    CHECK(judge_by("platforms: [sev-snp]\nmeasurements:\n  measurement: [", buf_str(&hex)) ==
          APPRAISE_VERIFIED);
    hex.at[7] = hex.at[7] == '0' ? '1' : '0';
    CHECK(judge_by("platforms: [sev-snp]\nmeasurements:\n  measurement: [", buf_str(&hex)) ==
          APPRAISE_REFUSED);
    close_set();
    buf_truncate(&hex, 0);
    open_sample(0);
    CHECK_OK(buf_add(&hex, field("mrtd")));
    BUF_AUTO all = BUF(4096);
    static const char *const registers[] = { "mrtd",  "rtmr0",      "rtmr1",   "rtmr2",
                                             "rtmr3", "mrconfigid", "mrowner", "mrownerconfig" };
    CHECK_OK(buf_add_str(&all, "platforms: [tdx]\nmeasurements:\n"));
    for (size_t i = 0; i < sizeof registers / sizeof registers[0]; i++) {
        bytes value = field(registers[i]);
        if (value.len == 0 || text_find(BYTES_LIT(ZEROS), value) == 0)
            continue; /* zero is what one that is not named has to be */
        CHECK_OK(buf_addf(&all, "  %s: [", registers[i]));
        CHECK_OK(buf_add(&all, value));
        CHECK_OK(buf_add_str(&all, "]\n"));
    }
    CHECK(judge_by(buf_str(&all), "") == APPRAISE_VERIFIED);
    /* The other registers are not named. */
    CHECK(judge_by("platforms: [tdx]\nmeasurements:\n  mrtd: [", buf_str(&hex)) ==
          APPRAISE_REFUSED);
    close_set();
}

/* --- Sealgate's own --------------------------------------------------------------------------- */

static void simulated_evidence_needs_a_policy_that_names_it(void **state)
{
    (void)state;
    struct scene s;
    scene_open(&s);
    scene_make(&s);
    forget();
    settings.now = SCENE_NOW;
    bytes both[] = { buf_view(&s.document), buf_view(&s.bundle) };
    for (size_t i = 0; i < 2; i++) {
        settings.policy = NULL;
        CHECK(appraise_recognise(both[i]) == APPRAISE_SEALGATE);
        CHECK(judge(both[i]) == APPRAISE_REFUSED);
        settings.policy = s.policy;
        CHECK(judge(both[i]) == APPRAISE_VERIFIED);
        assert_string_equal(report.platform, "simulated");
        CHECK_BYTES(field("trust"), BYTES_LIT("simulated"));
    }
    for (size_t at = 0; at < s.document.len; at++) {
        s.document.at[at] ^= 1;
        CHECK(judge(buf_view(&s.document)) != APPRAISE_VERIFIED);
        s.document.at[at] ^= 1;
    }
    scene_close(&s);
    appraise_clear(&report);
    forget();
}

static enum verdict_status status_of(const char *name)
{
    for (size_t i = 0; i < report.checks_n; i++) {
        if (strcmp(report.checks[i].name, name) == 0)
            return report.checks[i].status;
    }
    fail_msg("no check %s", name);
    return VERDICT_FAIL;
}

/* Somebody else's genuine evidence in a document of one's own. */
static void a_document_around_evidence_that_does_not_bind_it_is_refused(void **state)
{
    (void)state;
    struct scene s;
    struct bundle b;
    BUF_AUTO document = BUF(BUNDLE_MAX);
    BUF_AUTO collateral = BUF(BUNDLE_COLLATERAL_MAX);
    scene_open(&s);
    scene_make(&s);
    open_sample(1);
    CHECK_OK(evidence_document_read(buf_view(&s.document), &b));
    const struct snp_entry entries[] = { { SNP_ENTRY_VCEK, settings.collateral[0] },
                                         { SNP_ENTRY_ASK, settings.collateral[1] },
                                         { SNP_ENTRY_ARK, settings.collateral[2] },
                                         { SNP_ENTRY_CRL, settings.collateral[3] } };
    CHECK_OK(snp_table_write(&collateral, entries, 4));
    settings.collateral_n = 0;
    b.platform = BYTES_LIT("sev-snp");
    b.evidence = buf_view(&evidence);
    b.collateral = buf_view(&collateral);
    CHECK_OK(evidence_document_write(&document, &b));
    CHECK(judge(buf_view(&document)) == APPRAISE_REFUSED);
    assert_string_equal(report.platform, "sev-snp");
    CHECK(status_of("report-signature") == VERDICT_PASS);
    CHECK(status_of("binding") == VERDICT_FAIL);
    CHECK(report.answers[APPRAISE_ANSWER_CHAIN].status == VERDICT_PASS);
    settings.policy = s.policy;
    CHECK(judge(buf_view(&document)) == APPRAISE_REFUSED);
    CHECK(status_of("report-signature") == VERDICT_PASS);
    CHECK(status_of("sealgate-binding") == VERDICT_FAIL);
    CHECK(status_of("sealgate-measurements") == VERDICT_SKIP);
    close_set();
    scene_close(&s);
}

static err appraise_once(void *arg)
{
    bytes *in = arg;
    BUF_AUTO text = BUF(APPRAISE_TEXT_MAX);
    err e = appraise(*in, &settings, &report);
    if (err_is_ok(e))
        e = appraise_text(&report, &text);
    if (err_is_ok(e))
        e = appraise_json(&report, &text);
    CHECK(err_is_ok(e) || report.outcome == APPRAISE_NOT_DECIDED || report.fields_n > 0);
    appraise_clear(&report);
    return e;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    open_sample(2);
    bytes in = buf_view(&evidence);
    appraise_clear(&report);
    law_every_allocation_fails_once(appraise_once, &in);
    close_set();
}

static void json_tells_what_text_tells(void **state)
{
    (void)state;
    BUF_AUTO text = BUF(APPRAISE_TEXT_MAX);
    struct json *j;
    open_sample(0);
    CHECK_OK(appraise_json(&report, &text));
    CHECK_OK(json_read(&j, buf_view(&text), 8));
    CHECK(is_word(j, "outcome", "verified"));
    CHECK(is_word(j, "platform", "tdx"));
    CHECK(json_len(json_get(j, "checks")) == report.checks_n);
    CHECK(is_word(json_get(json_get(j, "answers"), "certificate_chain"), "status", "pass"));
    CHECK(is_word(json_get(json_get(j, "answers"), "freshness"), "status", "skip"));
    CHECK(is_word(json_get(j, "fields"), "tcb_status", "UpToDate"));
    json_free(j);
    close_set();
}

static void too_much_evidence_is_refused(void **state)
{
    (void)state;
    BUF_AUTO large = BUF(APPRAISE_EVIDENCE_MAX + 1);
    forget();
    CHECK_OK(buf_add_zeros(&large, APPRAISE_EVIDENCE_MAX));
    settings.platform = APPRAISE_NITRO;
    CHECK(judge(buf_view(&large)) == APPRAISE_REFUSED);
    assert_string_equal(report.checks[0].name, "form");
    CHECK_OK(buf_add_zeros(&large, 1));
    CHECK(judge(buf_view(&large)) == APPRAISE_REFUSED);
    assert_string_equal(report.checks[0].name, "kind");
    forget();
    settings.collateral_n = APPRAISE_COLLATERAL_MAX + 1;
    CHECK(judge(BYTES_LIT("x")) == APPRAISE_REFUSED);
    forget();
    appraise_clear(&report);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(genuine_evidence_is_verified_and_none_that_was_spoilt),
        cmocka_unit_test(user_data_has_to_be_the_same_to_the_last_byte),
        cmocka_unit_test(the_platform_is_told_by_structure_and_another_one_named_refuses),
        cmocka_unit_test(a_flipped_bit_is_never_verified),
        cmocka_unit_test(without_its_collateral_nothing_is_decided),
        cmocka_unit_test(an_snp_report_may_have_its_certificate_table_behind_it),
        cmocka_unit_test(age_is_judged_where_the_evidence_tells_it),
        cmocka_unit_test(a_policy_names_platform_and_registers),
        cmocka_unit_test(hardware_whose_collateral_came_in_parts_meets_a_policy_too),
        cmocka_unit_test(simulated_evidence_needs_a_policy_that_names_it),
        cmocka_unit_test(a_document_around_evidence_that_does_not_bind_it_is_refused),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(json_tells_what_text_tells),
        cmocka_unit_test(too_much_evidence_is_refused),
    };
    CHECK_OK(crypto_init());
    return cmocka_run_group_tests(tests, NULL, NULL);
}
