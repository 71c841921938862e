#include "attest/snp_policy.h"
#include "base/text.h"
#include "tests/lib/law.h"

#define HEAD "platforms: [simulated]\nmeasurements: any\n"

static err read_policy(struct policy **out, const char *section, struct buf *message)
{
    BUF_AUTO yaml = BUF(4096);
    CHECK_OK(buf_addf(&yaml, "%s%s", HEAD, section));
    return policy_read(out, buf_view(&yaml), "p", message);
}

static void without_a_section_the_defaults_are_strict(void **state)
{
    (void)state;
    struct policy *p;
    const struct snp_policy *d = &snp_policy_default;
    CHECK_OK(read_policy(&p, "", NULL));
    CHECK(p->snp == NULL);
    policy_free(p);
    CHECK(d->max_vmpl == 0 && !d->cxl && d->csp_ids.n == 0);
    CHECK(d->reported.part[SNP_MILAN][SNP_SNP] == 24);
    CHECK(d->reported.part[SNP_GENOA][SNP_SNP] == 23);
}

static void reads_every_setting(void **state)
{
    (void)state;
    struct policy *p;
    CHECK_OK(read_policy(&p,
                         "snp:\n"
                         "  products: [genoa, turin]\n"
                         "  keys: [vlek]\n"
                         "  csp_ids: [CN=a, CN=b]\n"
                         "  max_vmpl: 3\n"
                         "  minimum_guest_svn: 4294967295\n"
                         "  minimum_tcb: { turin: { fmc: 1, snp: 2, microcode: 255 } }\n"
                         "  minimum_launch_tcb: { milan: { bootloader: 4, tee: 1 } }\n"
                         "  minimum_committed_tcb: { genoa: { snp: 30 } }\n"
                         "  smt: false\n"
                         "  cxl: true\n"
                         "  require: [alias_check, single_socket]\n",
                         NULL));
    const struct snp_policy *s = p->snp;
    CHECK(s->products == (1U << SNP_GENOA | 1U << SNP_TURIN) && s->keys == 1U << SNP_KEY_VLEK);
    CHECK(s->csp_ids.n == 2 && policy_list_has(&s->csp_ids, BYTES_LIT("CN=b")));
    CHECK(s->max_vmpl == 3 && s->minimum_guest_svn == UINT32_MAX && !s->smt && s->cxl);
    CHECK(s->reported.part[SNP_TURIN][SNP_FMC] == 1 && s->reported.part[SNP_TURIN][SNP_SNP] == 2 &&
          s->reported.part[SNP_TURIN][SNP_MICROCODE] == 255);
    CHECK(s->reported.part[SNP_MILAN][SNP_SNP] == 24); /* other lines keep their default */
    CHECK(s->launch.part[SNP_MILAN][SNP_BOOTLOADER] == 4);
    CHECK(s->launch.part[SNP_MILAN][SNP_TEE] == 1);
    CHECK(s->committed.part[SNP_GENOA][SNP_SNP] == 30);
    CHECK(s->require == (SNP_REQUIRE_ALIAS_CHECK | SNP_REQUIRE_SINGLE_SOCKET));
    policy_free(p);
}

static void a_minimum_that_is_given_replaces_the_default_of_its_line(void **state)
{
    (void)state;
    struct policy *p;
    CHECK_OK(read_policy(&p, "snp: { minimum_tcb: { milan: { microcode: 200 } } }\n", NULL));
    CHECK(p->snp->reported.part[SNP_MILAN][SNP_SNP] == 0);
    CHECK(p->snp->reported.part[SNP_MILAN][SNP_MICROCODE] == 200);
    CHECK(p->snp->reported.part[SNP_GENOA][SNP_SNP] == 23);
    policy_free(p);
}

static void anything_else_is_refused_with_its_line(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "snp: none\n",
        "snp: {}\n",
        "snp: { debug: true }\n",
        "snp: { products: [] }\n",
        "snp: { products: [rome] }\n",
        "snp: { keys: vcek }\n",
        "snp: { csp_ids: [''] }\n",
        "snp: { max_vmpl: 4 }\n",
        "snp: { max_vmpl: -1 }\n",
        "snp: { minimum_guest_svn: 4294967296 }\n",
        "snp: { minimum_tcb: { rome: { snp: 1 } } }\n",
        "snp: { minimum_tcb: { milan: { fmc: 1 } } }\n",
        "snp: { minimum_tcb: { milan: { snp: 256 } } }\n",
        "snp: { minimum_tcb: { milan: { snp: } } }\n",
        "snp: { minimum_tcb: { milan: 24 } }\n",
        "snp: { smt: yes }\n",
        "snp: { require: [everything] }\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct policy *p = NULL;
        BUF_AUTO message = BUF(1024);
        CHECK_ERR(read_policy(&p, bad[i], &message), CONFIG);
        CHECK(p == NULL && bytes_starts(buf_view(&message), BYTES_LIT("p:3: ")));
    }
}

static void says_what_it_asks(void **state)
{
    (void)state;
    static const char *const platforms[] = { "sev-snp" };
    struct policy p = { .platforms_n = 1 };
    BUF_AUTO text = BUF(4096);
    p.platforms[0] = platforms[0];
    CHECK_OK(snp_policy_explain(&p, &text));
    bytes said = buf_view(&text);
    CHECK(text_find(said, BYTES_LIT("snp tcb milan snp: at least 24\n")) < said.len);
    CHECK(text_find(said, BYTES_LIT("snp vmpl: at most 0\n")) < said.len);
    CHECK(text_find(said, BYTES_LIT("snp require: none\n")) < said.len);
    buf_truncate(&text, 0);
    p.platforms_n = 0;
    CHECK_OK(snp_policy_explain(&p, &text));
    CHECK(text.len == 0);
}

static err read_once(void *arg)
{
    struct policy *p;
    (void)arg;
    BUF_AUTO yaml = BUF(4096);
    TRY(buf_add_str(&yaml, HEAD "snp: { csp_ids: [a, b], minimum_tcb: { milan: { snp: 2 } } }\n"));
    TRY(policy_read(&p, buf_view(&yaml), "p", NULL));
    policy_free(p);
    return OK;
}

static void every_allocation_fails_once(void **state)
{
    (void)state;
    law_every_allocation_fails_once(read_once, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_section_the_defaults_are_strict),
        cmocka_unit_test(reads_every_setting),
        cmocka_unit_test(a_minimum_that_is_given_replaces_the_default_of_its_line),
        cmocka_unit_test(anything_else_is_refused_with_its_line),
        cmocka_unit_test(says_what_it_asks),
        cmocka_unit_test(every_allocation_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
