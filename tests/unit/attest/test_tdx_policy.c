#include "attest/tdx_policy.h"
#include "attest/tdx_verify.h"
#include "base/text.h"
#include "crypto/init.h"
#include "tests/lib/law.h"

#define HEX16 "00112233445566778899aabbccddeeff"
#define HEX48 HEX16 HEX16 HEX16
#define HEAD "platforms: [tdx]\nmeasurements: { mrtd: [" HEX48 "], mrservicetd: [" HEX48 "] }\n"
#define BARE "platforms: [tdx]\nmeasurements: { mrtd: [" HEX48 "] }\n"

static err read_section(struct policy **out, const char *head, const char *section,
                        struct buf *message)
{
    BUF_AUTO yaml = BUF(64 * 1024);
    CHECK_OK(buf_addf(&yaml, "%s%s", head, section));
    return policy_read(out, buf_view(&yaml), "p", message);
}

static void every_key_is_read(void **state)
{
    (void)state;
    struct policy *p;
    CHECK_OK(read_section(&p, HEAD,
                          "tdx:\n"
                          "  tcb_statuses: [UpToDate, SWHardeningNeeded, OutOfDate]\n"
                          "  advisories: [INTEL-SA-00960, INTEL-SA-00982]\n"
                          "  minimum_tcb_evaluation: 17\n"
                          "  sept_ve_disable: any\n"
                          "  migratable: true\n"
                          "  ppids: [" HEX16 "]\n"
                          "  events: { compose-hash: [0102, 03], app-id: [04] }\n"
                          "  boot_digests: { rtmr1: [" HEX48 "] }\n"
                          "  extra_roots: [" HEX16 HEX16 "]\n",
                          NULL));
    const struct tdx_policy *t = p->tdx;
    CHECK(t->statuses == (1U << TDX_STATUS_UP_TO_DATE | 1U << TDX_STATUS_SW_HARDENING |
                          1U << TDX_STATUS_OUT_OF_DATE));
    CHECK(t->advisories.n == 2 && !t->any_advisory && t->minimum_evaluation == 17);
    CHECK(t->any_sept_ve && t->migratable && t->ppids.n == 1 && t->roots.n == 1);
    CHECK(t->events_n == 2 && t->events[0].payloads.n == 2);
    assert_string_equal(t->events[0].name, "compose-hash");
    CHECK(policy_list_has(&t->events[0].payloads, BYTES_LIT("\x01\x02")));
    CHECK(tdx_policy_explains(t, 1) && tdx_policy_explains(t, 3) && !tdx_policy_explains(t, 0));
    policy_free(p);
}

static void what_it_accepts_is_said_in_words(void **state)
{
    (void)state;
    struct policy *p;
    BUF_AUTO text = BUF(16 * 1024);
    CHECK_OK(read_section(&p, HEAD,
                          "tdx: { tcb_statuses: [OutOfDate], advisories: any, "
                          "events: { app-id: [04] }, extra_roots: [" HEX16 HEX16 "] }\n",
                          NULL));
    CHECK_OK(policy_explain(p, &text));
    static const char *const want[] = { "WARNING: trusts ROOTS BESIDES INTEL'S",
                                        "tdx tcb statuses: UpToDate OutOfDate\n",
                                        "tdx advisories: any\n",
                                        "tdx event app-id once",
                                        "tdx sept_ve_disable: required\n",
                                        "tdx migratable: refused\n" };
    for (size_t i = 0; i < ARRAY_LEN(want); i++)
        CHECK(text_find(buf_view(&text), bytes_str(want[i])) < text.len);
    policy_free(p);
}

static void without_a_section_the_strictest_holds(void **state)
{
    (void)state;
    struct policy *p;
    BUF_AUTO text = BUF(16 * 1024);
    CHECK_OK(read_section(&p, BARE, "", NULL));
    CHECK(p->tdx == NULL);
    CHECK_OK(policy_explain(p, &text));
    CHECK(text_find(buf_view(&text), BYTES_LIT("tdx tcb statuses: UpToDate\n")) < text.len);
    policy_free(p);
}

static void anything_else_is_refused_with_its_line(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "tdx: { tcb_statuses: [Revoked] }\n",
        "tdx: { tcb_statuses: [uptodate] }\n",
        "tdx: { tcb_statuses: [] }\n",
        "tdx: { advisories: all }\n",
        "tdx: { advisories: [] }\n",
        "tdx: { minimum_tcb_evaluation: many }\n",
        "tdx: { sept_ve_disable: no }\n",
        "tdx: { migratable: true }\n", /* mrservicetd is not named */
        "tdx: { ppids: [00] }\n",
        "tdx: { events: {} }\n",
        "tdx: { events: { a: [xyz] } }\n",
        "tdx: { events: { a: 00 } }\n",
        "tdx: { boot_digests: { rtmr3: [" HEX48 "] } }\n",
        "tdx: { boot_digests: { rtmr1: [" HEX16 "] } }\n",
        "tdx: { extra_roots: [" HEX16 "] }\n",
        "tdx: { debug: true }\n",
        "tdx: strict\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct policy *p = NULL;
        BUF_AUTO message = BUF(4096);
        CHECK_ERR(read_section(&p, BARE, bad[i], &message), CONFIG);
        CHECK(p == NULL && bytes_starts(buf_view(&message), BYTES_LIT("p:3: ")));
    }
}

static void limits_are_taken_and_one_more_is_refused(void **state)
{
    (void)state;
    for (size_t n = TDX_EVENT_RULES_MAX; n <= TDX_EVENT_RULES_MAX + 1; n++) {
        struct policy *p = NULL;
        BUF_AUTO section = BUF(4096);
        CHECK_OK(buf_add_str(&section, "tdx:\n  events:\n"));
        for (size_t i = 0; i < n; i++)
            CHECK_OK(buf_addf(&section, "    e%zu: [00]\n", i));
        err e = read_section(&p, BARE, buf_str(&section), NULL);
        CHECK(err_is_ok(e) == (n == TDX_EVENT_RULES_MAX));
        policy_free(p);
    }
    for (size_t n = EVENT_NAME_MAX; n <= EVENT_NAME_MAX + 1; n++) {
        struct policy *p = NULL;
        BUF_AUTO section = BUF(4096);
        CHECK_OK(buf_addf(&section, "tdx: { events: { %0*d: [00] } }\n", (int)n, 1));
        err e = read_section(&p, BARE, buf_str(&section), NULL);
        CHECK(err_is_ok(e) == (n == EVENT_NAME_MAX));
        policy_free(p);
    }
}

static void as_many_roots_as_fit_beside_intels_are_taken(void **state)
{
    (void)state;
    for (size_t n = TDX_ROOTS_MAX - 1; n <= TDX_ROOTS_MAX; n++) {
        struct policy *p = NULL;
        BUF_AUTO section = BUF(4096);
        CHECK_OK(buf_add_str(&section, "tdx: { extra_roots: ["));
        for (size_t i = 0; i < n; i++)
            CHECK_OK(buf_addf(&section, "%s%s%s", i > 0 ? ", " : "", HEX16, HEX16));
        CHECK_OK(buf_add_str(&section, "] }\n"));
        err e = read_section(&p, BARE, buf_str(&section), NULL);
        CHECK(err_is_ok(e) == (n < TDX_ROOTS_MAX));
        policy_free(p);
    }
}

static err read_once(void *arg)
{
    struct policy *p = NULL;
    BUF_AUTO yaml = BUF(4096);
    (void)arg;
    TRY(buf_add_str(&yaml,
                    HEAD "tdx: { advisories: [A], ppids: [" HEX16
                         "], events: { a: [00, 01] }, boot_digests: { rtmr0: [" HEX48 "] } }\n"));
    err e = policy_read(&p, buf_view(&yaml), "p", NULL);
    policy_free(p);
    return e;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    law_every_allocation_fails_once(read_once, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key_is_read),
        cmocka_unit_test(what_it_accepts_is_said_in_words),
        cmocka_unit_test(without_a_section_the_strictest_holds),
        cmocka_unit_test(anything_else_is_refused_with_its_line),
        cmocka_unit_test(limits_are_taken_and_one_more_is_refused),
        cmocka_unit_test(as_many_roots_as_fit_beside_intels_are_taken),
        cmocka_unit_test(every_allocation_may_fail),
    };
    if (!err_is_ok(crypto_init()))
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
