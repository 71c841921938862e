#include "attest/policy.h"
#include "base/text.h"
#include "tests/lib/law.h"
#include "tests/unit/attest/scene.h"

#define A16 "aaaaaaaaaaaaaaaa"
#define A96 A16 A16 A16 A16 A16 A16
#define B64                                                                                        \
    "bbbbbbbbbbbbbbbb"                                                                             \
    "bbbbbbbbbbbbbbbb"                                                                             \
    "bbbbbbbbbbbbbbbb"                                                                             \
    "bbbbbbbbbbbbbbbb"
#define Z16 "0000000000000000"
#define Z96 Z16 Z16 Z16 Z16 Z16 Z16

static const char whole[] =
    "platforms: [simulated]\n"
    "measurements:\n"
    "  pcr0: [" A96 ", " A96
    "]\n"
    "  simulated: { pcr1: [" A96
    "] }\n"
    "operator_keys: [" B64
    "]\n"
    "model_digests: [" B64
    "]\n"
    "worker_names: [one, two]\n"
    "minimum_software: 0.2.0\n"
    "max_age: 2h\n"
    "clock_skew: 5m\n";

static void reads_every_setting(void **state)
{
    (void)state;
    struct policy *p;
    CHECK_OK(policy_read(&p, bytes_str(whole), "p", NULL));
    CHECK(p->platforms_n == 1 && policy_names_platform(p, BYTES_LIT("simulated")));
    CHECK(p->registers_n == 2 && !p->any_measurements);
    assert_string_equal(p->registers[0].name, "pcr0");
    CHECK(p->registers[0].platform == NULL && p->registers[0].values.n == 2);
    assert_string_equal(p->registers[1].platform, "simulated");
    CHECK(p->operator_keys.n == 1 && p->model_digests.n == 1 && p->worker_names.n == 2);
    CHECK(policy_list_has(&p->worker_names, BYTES_LIT("two")));
    CHECK(!policy_list_has(&p->worker_names, BYTES_LIT("tw")));
    CHECK(!policy_list_has(&p->worker_names, (bytes){ 0 }));
    CHECK_BYTES(buf_view(&p->minimum_software), BYTES_LIT("0.2.0"));
    CHECK(p->max_age_s == 7200 && p->skew_s == 300);
    policy_free(p);
}

static void has_careful_defaults(void **state)
{
    (void)state;
    struct policy *p;
    CHECK_OK(policy_read(&p, BYTES_LIT("platforms: [simulated]\nmeasurements: any\n"), "p", NULL));
    CHECK(p->any_measurements && p->registers_n == 0);
    CHECK(p->max_age_s == POLICY_AGE_S_DEFAULT && p->skew_s == POLICY_SKEW_S_DEFAULT);
    CHECK(p->operator_keys.n == 0 && p->minimum_software.len == 0);
    policy_free(p);
    policy_free(NULL);
}

#define HEAD "platforms: [simulated]\n"
#define TAIL "measurements: any\n"

static const struct {
    const char *yaml;
    const char *message; /* beginning */
} bad[] = {
    { "", "p:1: platforms: missing" },
    { "platforms: [simulated]\n", "p:1: measurements: missing" },
    { TAIL, "p:1: platforms: missing" },
    { "- simulated\n", "p:1: policy: " },
    { HEAD TAIL "max_agee: 1m\n", "p:3: max_agee: no such setting" },
    { HEAD TAIL "max_age: 1m\nmax_age: 1m\n", "p:4: " },
    { "platforms: []\n" TAIL, "p:1: platforms: give a list" },
    { "platforms: simulated\n" TAIL, "p:1: platforms: give a list" },
    { "platforms: [other]\n" TAIL, "p:1: platforms: this program cannot" },
    { "platforms: [[simulated]]\n" TAIL, "p:1: platforms: this program cannot" },
    { "platforms: [simulated, simulated]\n" TAIL, "p:1: platforms: named twice" },
    { HEAD "measurements: none\n", "p:2: measurements: give a map" },
    { HEAD "measurements:\n", "p:2: measurements: give a map" },
    { HEAD "measurements: {}\n", "p:2: measurements: give a map" },
    { HEAD "measurements: [pcr0]\n", "p:2: measurements: give a map" },
    { HEAD "measurements:\n  pcr9: [" A96 "]\n", "p:3: measurements: no platform" },
    { HEAD "measurements:\n  pcr0: " A96 "\n", "p:3: pcr0: give a list" },
    { HEAD "measurements:\n  pcr0: []\n", "p:3: pcr0: give a list" },
    { HEAD "measurements:\n  pcr0:\n", "p:3: pcr0: give a list" },
    { HEAD "measurements:\n  pcr0: [" A96 "aa]\n", "p:3: pcr0: give the register" },
    { HEAD "measurements:\n  pcr0: [" B64 "]\n", "p:3: pcr0: give the register" },
    { HEAD "measurements:\n  pcr0: [" Z96 "]\n", "p:3: pcr0: give the register" },
    { HEAD "measurements:\n  pcr0: ['']\n", "p:3: pcr0: give the register" },
    { HEAD "measurements:\n  other: { pcr0: [" A96 "] }\n", "p:3: measurements: name this" },
    { HEAD "measurements:\n  simulated:\n    pcr9: [" A96 "]\n", "p:4: measurements: no plat" },
    { HEAD "measurements:\n  simulated: {}\n", "p:2: measurements: name at least" },
    { HEAD TAIL "operator_keys: [" A16 "]\n", "p:3: operator_keys: give each" },
    { HEAD TAIL "operator_keys: []\n", "p:3: operator_keys: give a list" },
    { HEAD TAIL "model_digests: [x]\n", "p:3: model_digests: give each" },
    { HEAD TAIL "worker_names: w\n", "p:3: worker_names: give a list" },
    { HEAD TAIL "worker_names: [[w]]\n", "p:3: worker_names: give each" },
    { HEAD TAIL "worker_names: [" A96 "]\n", "p:3: worker_names: give each" },
    { HEAD TAIL "minimum_software: new\n", "p:3: minimum_software: give a version" },
    { HEAD TAIL "minimum_software:\n", "p:3: minimum_software: give a version" },
    { HEAD TAIL "max_age: 10\n", "p:3: max_age: give a number" },
    { HEAD TAIL "max_age: m\n", "p:3: max_age: give a number" },
    { HEAD TAIL "max_age: -1m\n", "p:3: max_age: give a number" },
    { HEAD TAIL "max_age: 31d\n", "p:3: max_age: too long" },
    { HEAD TAIL "max_age: 99999999999999999999d\n", "p:3: max_age: give a number" },
    { HEAD TAIL "clock_skew: 301s\n", "p:3: clock_skew: too long" },
    { HEAD TAIL "clock_skew: [60s]\n", "p:3: clock_skew: give a number" },
    { "platforms: &a [simulated]\n" TAIL, "p:1: " },
};

static void refuses_with_the_line_and_what_to_do(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct policy *p = NULL;
        BUF_AUTO message = BUF(512);
        err e = policy_read(&p, bytes_str(bad[i].yaml), "p", &message);
        if (e.code != ERR_CONFIG || p != NULL)
            fail_msg("case %zu: %s", i, err_word(e));
        if (!bytes_starts(buf_view(&message), bytes_str(bad[i].message)))
            fail_msg("case %zu: %s", i, buf_str(&message));
        CHECK(message.at[message.len - 1] != '\n');
        CHECK_ERR(policy_read(&p, bytes_str(bad[i].yaml), "p", NULL), CONFIG);
    }
}

static void takes_settings_at_their_limits(void **state)
{
    (void)state;
    struct policy *p;
    CHECK_OK(policy_read(&p, BYTES_LIT(HEAD TAIL "max_age: 30d\nclock_skew: 300s\n"), "p", NULL));
    CHECK(p->max_age_s == POLICY_AGE_S_MAX && p->skew_s == POLICY_SKEW_S_MAX);
    policy_free(p);
}

static void write_names(struct buf *out, size_t n)
{
    buf_truncate(out, 0);
    CHECK_OK(buf_add_str(out, HEAD TAIL "worker_names:\n"));
    for (size_t i = 0; i < n; i++)
        CHECK_OK(buf_addf(out, "  - w%zu\n", i));
}

static void bounds_the_values_of_a_list(void **state)
{
    (void)state;
    struct policy *p;
    BUF_AUTO yaml = BUF(8192);
    write_names(&yaml, POLICY_VALUES_MAX);
    CHECK_OK(policy_read(&p, buf_view(&yaml), "p", NULL));
    CHECK(p->worker_names.n == POLICY_VALUES_MAX);
    policy_free(p);
    write_names(&yaml, POLICY_VALUES_MAX + 1);
    CHECK_ERR(policy_read(&p, buf_view(&yaml), "p", NULL), CONFIG);
}

static void write_registers(struct buf *out, size_t n)
{
    buf_truncate(out, 0);
    CHECK_OK(buf_add_str(out, HEAD "measurements:\n"));
    for (size_t i = 0; i < n; i++)
        CHECK_OK(buf_addf(out, "  pcr%zu: [" A96 "]\n", i));
}

/* With three registers known, written flat and by platform, six rules are the most there can be. */
static void every_register_can_have_a_rule(void **state)
{
    (void)state;
    struct policy *p;
    BUF_AUTO yaml = BUF(8192);
    write_registers(&yaml, 3);
    CHECK_OK(buf_add_str(&yaml, "  simulated: { pcr0: [" A96 "], pcr1: [" A96 "] }\n"));
    CHECK_OK(policy_read(&p, buf_view(&yaml), "p", NULL));
    CHECK(p->registers_n == 5);
    policy_free(p);
}

static void compares_versions_as_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *have;
        const char *least;
        bool reaches;
    } cases[] = {
        { "0.1.0", "0.1.0", true },
        { "0.1.1", "0.1.0", true },
        { "0.1.0", "0.1.1", false },
        { "0.10.0", "0.9.9", true },
        { "1", "0.9.9.9", true },
        { "0.1", "0.1.0", true },
        { "0.1", "0.1.0.1", false },
        { "0.1.0-rc1", "0.1.0", false },
        { "0.1.0", "0.1.0-rc1", true },
        { "0.1.0-rc1", "0.1.0-rc1", true },
        { "0.1.0-rc2", "0.1.0-rc1", false },
        { "0.1.1-rc1", "0.1.0", true },
        { "0.1.0+b7", "0.1.0", true },
        { "0.1.0-rc1+b7", "0.1.0-rc1", true },
        { "", "0.1.0", false },
        { "0.1.0", "", false },
        { "x", "x", false },
        { "1.2.3.4.5", "1", false },
        { "1.", "1", false },
        { "1..2", "1", false },
        { "1-", "1", false },
        { "1x", "1", false },
        { "999999999", "1", true },
        { "1000000000", "1", false },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        if (policy_software_reaches(bytes_str(cases[i].have), bytes_str(cases[i].least)) !=
            cases[i].reaches)
            fail_msg("%s reaches %s", cases[i].have, cases[i].least);
    }
}

static void explains_itself(void **state)
{
    (void)state;
    struct policy *p;
    BUF_AUTO out = BUF(8192);
    CHECK_OK(policy_read(&p, bytes_str(whole), "p", NULL));
    CHECK_OK(policy_explain(p, &out));
    static const char *const parts[] = { "platforms: simulated\n",
                                         "WARNING: accepts SIMULATED",
                                         "pcr0: one of\n    " A96,
                                         "simulated pcr1: one of\n",
                                         "worker name: one of\n    one\n    two\n",
                                         "software: 0.2.0 or later\n",
                                         "at most 7200 s old" };
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        CHECK(text_find(buf_view(&out), bytes_str(parts[i])) < out.len);
    policy_free(p);
}

static err read_once(void *arg)
{
    struct policy *p;
    (void)arg;
    TRY(policy_read(&p, bytes_str(whole), "p", NULL));
    policy_free(p);
    return OK;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    law_every_allocation_fails_once(read_once, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_setting),
        cmocka_unit_test(has_careful_defaults),
        cmocka_unit_test(refuses_with_the_line_and_what_to_do),
        cmocka_unit_test(takes_settings_at_their_limits),
        cmocka_unit_test(bounds_the_values_of_a_list),
        cmocka_unit_test(every_register_can_have_a_rule),
        cmocka_unit_test(compares_versions_as_numbers),
        cmocka_unit_test(explains_itself),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, scene_init_crypto, NULL);
}
