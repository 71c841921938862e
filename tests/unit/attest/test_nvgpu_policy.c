#include "attest/nvgpu_policy.h"
#include "base/text.h"
#include "tests/lib/law.h"

#define PCR                                                                                        \
    "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff00112233445566778899aabbcc"   \
    "ddeeff"
#define HEAD "platforms: [nitro]\nmeasurements: { pcr0: [" PCR "] }\n"

static err read_policy(struct policy **out, const char *section, struct buf *message)
{
    BUF_AUTO yaml = BUF(4096);
    CHECK_OK(buf_addf(&yaml, "%s%s", HEAD, section));
    return policy_read(out, buf_view(&yaml), "p", message);
}

static void what_is_not_said_is_strict(void **state)
{
    (void)state;
    struct policy *p;
    CHECK_OK(read_policy(&p, "", NULL));
    CHECK(p->nvidia == NULL);
    policy_free(p);
    CHECK_OK(read_policy(&p, "nvidia: { gpus: 8 }\n", NULL));
    CHECK(p->nvidia->gpus == 8 && p->nvidia->switches == 0);
    CHECK(p->nvidia->manifests && p->nvidia->revocation && !p->nvidia->nras);
    CHECK(p->nvidia->models.n == 0 && p->nvidia->minimum_driver.len == 0);
    policy_free(p);
}

static void every_setting_is_read_and_explained(void **state)
{
    (void)state;
    struct policy *p;
    BUF_AUTO text = BUF(4096);
    CHECK_OK(read_policy(&p,
                         "nvidia: { gpus: 16, switches: 4, models: [GH100, GB100], "
                         "minimum_driver: 550.90.07, manifests: false, revocation: false, "
                         "nras: true }\n",
                         NULL));
    CHECK(p->nvidia->gpus == NVGPU_DEVICES_MAX && p->nvidia->switches == 4);
    CHECK(p->nvidia->models.n == 2 && !p->nvidia->manifests && !p->nvidia->revocation);
    CHECK(p->nvidia->nras);
    CHECK_OK(policy_explain(p, &text));
    static const char *const lines[] = {
        "nvidia: exactly 16 GPUs and 4 switches\n", "nvidia model: GB100\n",
        "nvidia driver: at least 550.90.07\n",      "nvidia manifests: NOT COMPARED\n",
        "nvidia revocation: NOT CHECKED\n",         "nvidia service (NRAS): required\n"
    };
    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        CHECK(text_find(buf_view(&text), bytes_str(lines[i])) < text.len);
    policy_free(p);
}

static void anything_else_is_refused_with_its_line(void **state)
{
    (void)state;
    static const char *const bad[] = { "nvidia: {}\n",
                                       "nvidia: { switches: 4 }\n",
                                       "nvidia: { gpus: 0 }\n",
                                       "nvidia: { gpus: 17 }\n",
                                       "nvidia: { gpus: some }\n",
                                       "nvidia: { gpus: 1, models: [] }\n",
                                       "nvidia: { gpus: 1, models: [ABCDEFGHIJKLMNOPQ] }\n",
                                       "nvidia: { gpus: 1, minimum_driver: new }\n",
                                       "nvidia: { gpus: 1, manifests: maybe }\n",
                                       "nvidia: { gpus: 1, debug: true }\n",
                                       "nvidia: 8\n" };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct policy *p = NULL;
        BUF_AUTO message = BUF(4096);
        CHECK_ERR(read_policy(&p, bad[i], &message), CONFIG);
        CHECK(p == NULL && bytes_starts(buf_view(&message), BYTES_LIT("p:3: ")));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_said_is_strict),
        cmocka_unit_test(every_setting_is_read_and_explained),
        cmocka_unit_test(anything_else_is_refused_with_its_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
