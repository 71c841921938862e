#include "attest/nitro_policy.h"

#include "attest/policy_read.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/hash.h"

static err read_extra_roots(const struct policy_reading *r, const struct yaml *node,
                            const char *key, void *into)
{
    struct nitro_policy *p = into;
    struct policy_item item = { SHA256_LEN, 0, "give each certificate's SHA-256 as 64 hex digits" };
    TRY(policy_read_list(r, node, key, item, &p->extra_roots));
    if (p->extra_roots.n > NITRO_EXTRA_ROOTS_MAX)
        return policy_refuse(r, node, key, "too many roots");
    return OK;
}

static const struct policy_key section_keys[] = {
    { "extra_roots", read_extra_roots },
};

err nitro_policy_read(const struct policy_reading *r, const struct yaml *node, const char *key)
{
    TRY(mem_new(&r->policy->nitro));
    return policy_read_map(r, node, key, section_keys, ARRAY_LEN(section_keys), r->policy->nitro);
}

void nitro_policy_free(struct policy *p)
{
    if (p->nitro == NULL)
        return;
    policy_list_clear(&p->nitro->extra_roots);
    mem_free(p->nitro);
    p->nitro = NULL;
}

err nitro_policy_explain(const struct policy *p, struct buf *out)
{
    if (p->nitro == NULL || !policy_names_platform(p, BYTES_LIT("nitro")))
        return OK;
    for (size_t i = 0; i < p->nitro->extra_roots.n; i++) {
        TRY(buf_add_str(out, "WARNING: nitro documents of this EXTRA ROOT are accepted: "));
        TRY(text_hex_encode(out, buf_view(&p->nitro->extra_roots.items[i])));
        TRY(buf_add_u8(out, '\n'));
    }
    return OK;
}
