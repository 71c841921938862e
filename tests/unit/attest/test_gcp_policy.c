#include "attest/gcp_policy.h"
#include "base/text.h"
#include "tests/lib/law.h"

#define HEAD "platforms: [gcp-confidential-space]\nmeasurements: { image_digest: [" ROOT "] }\n"
#define ROOT "1122334455667788112233445566778811223344556677881122334455667788"

static struct policy *read_policy(const char *section)
{
    struct policy *p = NULL;
    BUF_AUTO yaml = BUF(4096);
    CHECK_OK(buf_addf(&yaml, HEAD "%s", section));
    CHECK_OK(policy_read(&p, buf_view(&yaml), "p", NULL));
    return p;
}

static void without_a_section_any_hardware_and_the_pinned_root(void **state)
{
    (void)state;
    struct policy *p = read_policy("");
    BUF_AUTO text = BUF(4096);
    CHECK(p->gcp == NULL);
    CHECK(gcp_policy_takes(p->gcp, BYTES_LIT("GCP_AMD_SEV")));
    CHECK_OK(policy_explain(p, &text));
    CHECK(text_find(buf_view(&text), BYTES_LIT("Google's word")) < text.len);
    CHECK(text_find(buf_view(&text), BYTES_LIT("EXTRA ROOT")) == text.len);
    policy_free(p);
}

static void the_hardware_can_be_chosen(void **state)
{
    (void)state;
    struct policy *p = read_policy("gcp: { hwmodels: [intel-tdx, amd-sev-snp] }\n");
    CHECK(gcp_policy_takes(p->gcp, BYTES_LIT("GCP_INTEL_TDX")));
    CHECK(gcp_policy_takes(p->gcp, BYTES_LIT("GCP_AMD_SEV_SNP")));
    CHECK(!gcp_policy_takes(p->gcp, BYTES_LIT("GCP_AMD_SEV")));
    CHECK(!gcp_policy_takes(p->gcp, BYTES_LIT("GCP_INTEL_TD")));
    CHECK(!gcp_policy_takes(p->gcp, (bytes){ 0 }));
    policy_free(p);
}

static void extra_roots_are_loud(void **state)
{
    (void)state;
    struct policy *p = read_policy("gcp: { extra_roots: [" ROOT "] }\n");
    BUF_AUTO text = BUF(4096);
    CHECK(p->gcp->extra_roots.n == 1);
    CHECK_OK(policy_explain(p, &text));
    CHECK(text_find(buf_view(&text), BYTES_LIT("EXTRA ROOT")) < text.len);
    policy_free(p);
}

static void what_is_not_right_is_refused_with_its_line(void **state)
{
    (void)state;
    static const char *const rows[] = {
        HEAD "gcp: [1]\n",
        HEAD "gcp: { hwmodels: [sgx] }\n",
        HEAD "gcp: { hwmodels: [] }\n",
        HEAD "gcp: { extra_roots: [" ROOT "00] }\n",
        HEAD "gcp: { audience: x }\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct policy *p = NULL;
        BUF_AUTO message = BUF(1024);
        CHECK_ERR(policy_read(&p, bytes_str(rows[i]), "p", &message), CONFIG);
        CHECK(bytes_starts(buf_view(&message), BYTES_LIT("p:3:")));
    }
}

static void at_most_so_many_roots(void **state)
{
    (void)state;
    for (size_t n = GCP_EXTRA_ROOTS_MAX; n <= GCP_EXTRA_ROOTS_MAX + 1; n++) {
        struct policy *p = NULL;
        BUF_AUTO yaml = BUF(8192);
        CHECK_OK(buf_add_str(&yaml, HEAD "gcp: { extra_roots: ["));
        for (size_t i = 0; i < n; i++)
            CHECK_OK(buf_addf(&yaml,
                              "%s%02zx"
                              "%.62s",
                              i > 0 ? ", " : "", i + 1, ROOT));
        CHECK_OK(buf_add_str(&yaml, "] }\n"));
        err e = policy_read(&p, buf_view(&yaml), "p", NULL);
        CHECK(err_is_ok(e) == (n == GCP_EXTRA_ROOTS_MAX));
        policy_free(p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_section_any_hardware_and_the_pinned_root),
        cmocka_unit_test(the_hardware_can_be_chosen),
        cmocka_unit_test(extra_roots_are_loud),
        cmocka_unit_test(what_is_not_right_is_refused_with_its_line),
        cmocka_unit_test(at_most_so_many_roots),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
