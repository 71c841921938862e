#include "attest/gcp_policy.h"

#include "attest/policy_read.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/hash.h"

static const char *const model_words[] = { "intel-tdx", "amd-sev", "amd-sev-snp", NULL };
static const char *const model_claims[] = { "GCP_INTEL_TDX", "GCP_AMD_SEV", "GCP_AMD_SEV_SNP" };

_Static_assert(ARRAY_LEN(model_words) == ARRAY_LEN(model_claims) + 1, "a word for each, and NULL");

bool gcp_policy_takes(const struct gcp_policy *policy, bytes hwmodel)
{
    if (policy == NULL || policy->hwmodels == 0)
        return true;
    for (size_t i = 0; i < ARRAY_LEN(model_claims); i++) {
        if (bytes_equal(hwmodel, bytes_str(model_claims[i])))
            return (policy->hwmodels >> i & 1U) != 0;
    }
    return false;
}

static err read_hwmodels(const struct policy_reading *r, const struct yaml *node, const char *key,
                         void *into)
{
    return policy_read_words(r, node, key, model_words, &((struct gcp_policy *)into)->hwmodels);
}

static err read_extra_roots(const struct policy_reading *r, const struct yaml *node,
                            const char *key, void *into)
{
    struct gcp_policy *p = into;
    struct policy_item item = { SHA256_LEN, 0, "give each certificate's SHA-256 as 64 hex digits" };
    TRY(policy_read_list(r, node, key, item, &p->extra_roots));
    if (p->extra_roots.n > GCP_EXTRA_ROOTS_MAX)
        return policy_refuse(r, node, key, "too many roots");
    return OK;
}

static const struct policy_key section_keys[] = {
    { "hwmodels", read_hwmodels },
    { "extra_roots", read_extra_roots },
};

err gcp_policy_read(const struct policy_reading *r, const struct yaml *node, const char *key)
{
    TRY(mem_new(&r->policy->gcp));
    return policy_read_map(r, node, key, section_keys, ARRAY_LEN(section_keys), r->policy->gcp);
}

void gcp_policy_free(struct policy *p)
{
    if (p->gcp == NULL)
        return;
    policy_list_clear(&p->gcp->extra_roots);
    mem_free(p->gcp);
    p->gcp = NULL;
}

static err explain_models(unsigned set, struct buf *out)
{
    TRY(buf_add_str(out, "gcp hardware, by Google's word:"));
    for (size_t i = 0; model_words[i] != NULL; i++) {
        if (set == 0 || (set >> i & 1U) != 0)
            TRY(buf_addf(out, " %s", model_words[i]));
    }
    return buf_add_u8(out, '\n');
}

err gcp_policy_explain(const struct policy *p, struct buf *out)
{
    if (!policy_names_platform(p, BYTES_LIT("gcp-confidential-space")))
        return OK;
    TRY(buf_add_str(out, "NOTE: gcp-confidential-space is Google's word, no hardware evidence\n"));
    TRY(explain_models(p->gcp != NULL ? p->gcp->hwmodels : 0, out));
    for (size_t i = 0; p->gcp != NULL && i < p->gcp->extra_roots.n; i++) {
        TRY(buf_add_str(out, "WARNING: gcp tokens of this EXTRA ROOT are accepted: "));
        TRY(text_hex_encode(out, buf_view(&p->gcp->extra_roots.items[i])));
        TRY(buf_add_u8(out, '\n'));
    }
    return OK;
}
