/* A policy file: refused with a message, or complete and never wider than it says. */
#include <stdlib.h>

#include "attest/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void check_policy(const struct policy *p)
{
    BUF_AUTO text = BUF(64 * 1024 * 1024);
    must(p->platforms_n > 0 && p->platforms_n <= POLICY_PLATFORMS_MAX);
    must(p->any_measurements != (p->registers_n > 0));
    must(p->max_age_s <= POLICY_AGE_S_MAX && p->skew_s <= POLICY_SKEW_S_MAX);
    for (size_t i = 0; i < p->registers_n; i++) {
        must(p->registers[i].values.n > 0);
        must(!policy_list_has(&p->registers[i].values, (bytes){ 0 }));
    }
    must(!policy_list_has(&p->operator_keys, (bytes){ 0 }));
    bytes least = buf_view(&p->minimum_software);
    must(least.len == 0 || policy_software_reaches(least, least));
    must(err_is_ok(policy_explain(p, &text)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct policy *p = NULL;
    BUF_AUTO message = BUF(4096);
    err e = policy_read(&p, bytes_of(data, size), "policy", &message);
    must((p != NULL) == err_is_ok(e));
    must(err_is_ok(e) || (e.code == ERR_CONFIG && message.len > 0));
    if (p != NULL)
        check_policy(p);
    policy_free(p);
    return 0;
}
