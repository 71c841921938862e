#include "attest/enrolled_policy.h"

#include "attest/enrolled.h"
#include "attest/policy_read.h"
#include "base/mem.h"
#include "base/text.h"

static err read_keys(const struct policy_reading *r, const struct yaml *node, const char *key,
                     void *into)
{
    struct enrolled_policy *p = into;
    struct policy_item item = { ENROLLED_KEY_LEN, 0, "give each key as 130 hex digits" };
    TRY(policy_read_list(r, node, key, item, &p->keys));
    if (p->keys.n > ENROLLED_KEYS_MAX)
        return policy_refuse(r, node, key, "too many keys");
    return OK;
}

static const struct policy_key section_keys[] = { { "keys", read_keys } };

err enrolled_policy_read(const struct policy_reading *r, const struct yaml *node, const char *key)
{
    TRY(mem_new(&r->policy->enrolled));
    TRY(policy_read_map(r, node, key, section_keys, ARRAY_LEN(section_keys), r->policy->enrolled));
    if (r->policy->enrolled->keys.n == 0)
        return policy_refuse(r, node, key, "name at least one key under `keys`");
    return OK;
}

void enrolled_policy_free(struct policy *p)
{
    if (p->enrolled == NULL)
        return;
    policy_list_clear(&p->enrolled->keys);
    mem_free(p->enrolled);
    p->enrolled = NULL;
}

err enrolled_policy_explain(const struct policy *p, struct buf *out)
{
    if (!policy_names_platform(p, BYTES_LIT("enrolled")))
        return OK;
    TRY(buf_add_str(out, "NOTE: enrolled is the word of who holds a key, no hardware evidence\n"));
    for (size_t i = 0; p->enrolled != NULL && i < p->enrolled->keys.n; i++) {
        TRY(buf_add_str(out, "enrolled key: "));
        TRY(text_hex_encode(out, buf_view(&p->enrolled->keys.items[i])));
        TRY(buf_add_u8(out, '\n'));
    }
    return p->enrolled != NULL ? OK
                               : buf_add_str(out, "enrolled key: NONE, so nothing is accepted\n");
}
