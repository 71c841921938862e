#include "attest/snp_policy.h"

#include "attest/policy_read.h"
#include "base/mem.h"

#define ALL_PRODUCTS (1U << SNP_MILAN | 1U << SNP_GENOA | 1U << SNP_TURIN)

const struct snp_policy snp_policy_default = {
    .products = ALL_PRODUCTS,
    .keys = 1U << SNP_KEY_VCEK | 1U << SNP_KEY_VLEK,
    .reported.part = { [SNP_MILAN] = { [SNP_SNP] = 24 }, [SNP_GENOA] = { [SNP_SNP] = 23 } },
    .smt = true,
};

static const char *const product_words[] = { "milan", "genoa", "turin", NULL };
static const char *const key_words[] = { "vcek", "vlek", NULL };
static const char *const part_words[] = { "fmc", "bootloader", "tee", "snp", "microcode", NULL };
static const char *const require_words[] = {
    "alias_check", "ecc", "tsme", "rapl_disabled", "ciphertext_hiding", "single_socket", NULL
};

_Static_assert(ARRAY_LEN(product_words) == SNP_PRODUCTS, "a word for each product, and NULL");
_Static_assert(ARRAY_LEN(part_words) == SNP_PARTS + 1, "a word for each part, and NULL");

/* --- minimums -------------------------------------------------------------------------------- */

struct line_minimum {
    enum snp_product product;
    uint8_t *part;
};

static err read_part(const struct policy_reading *r, const struct yaml *node, const char *key,
                     void *into)
{
    const struct line_minimum *line = into;
    uint64_t n = 0;
    size_t i = 0;
    while (!bytes_equal(bytes_str(key), bytes_str(part_words[i])))
        i++;
    if (snp_tcb_place(line->product, (enum snp_part)i) < 0)
        return policy_refuse(r, node, key, "this product line has no such part");
    TRY(policy_read_u64(r, node, key, UINT8_MAX, &n));
    line->part[i] = (uint8_t)n;
    return OK;
}

static const struct policy_key part_keys[] = {
    { "fmc", read_part }, { "bootloader", read_part }, { "tee", read_part },
    { "snp", read_part }, { "microcode", read_part },
};

static err read_line(const struct policy_reading *r, const struct yaml *node, const char *key,
                     void *into)
{
    struct snp_minimum *minimum = into;
    unsigned p = 0;
    while (!bytes_equal(bytes_str(key), bytes_str(product_words[p])))
        p++;
    struct line_minimum line = { (enum snp_product)(p + 1), minimum->part[p + 1] };
    memset(line.part, 0, SNP_PARTS);
    return policy_read_map(r, node, key, part_keys, ARRAY_LEN(part_keys), &line);
}

static const struct policy_key line_keys[] = {
    { "milan", read_line },
    { "genoa", read_line },
    { "turin", read_line },
};

static err read_minimum(const struct policy_reading *r, const struct yaml *node, const char *key,
                        struct snp_minimum *out)
{
    return policy_read_map(r, node, key, line_keys, ARRAY_LEN(line_keys), out);
}

/* --- the keys -------------------------------------------------------------------------------- */

static err read_reported(const struct policy_reading *r, const struct yaml *node, const char *key,
                         void *into)
{
    struct snp_policy *p = into;
    return read_minimum(r, node, key, &p->reported);
}

static err read_launch(const struct policy_reading *r, const struct yaml *node, const char *key,
                       void *into)
{
    struct snp_policy *p = into;
    return read_minimum(r, node, key, &p->launch);
}

static err read_committed(const struct policy_reading *r, const struct yaml *node, const char *key,
                          void *into)
{
    struct snp_policy *p = into;
    return read_minimum(r, node, key, &p->committed);
}

static err read_products(const struct policy_reading *r, const struct yaml *node, const char *key,
                         void *into)
{
    struct snp_policy *p = into;
    TRY(policy_read_words(r, node, key, product_words, &p->products));
    p->products <<= 1; /* SNP_UNKNOWN has no word */
    return OK;
}

static err read_keys(const struct policy_reading *r, const struct yaml *node, const char *key,
                     void *into)
{
    struct snp_policy *p = into;
    return policy_read_words(r, node, key, key_words, &p->keys);
}

static err read_csp_ids(const struct policy_reading *r, const struct yaml *node, const char *key,
                        void *into)
{
    struct snp_policy *p = into;
    struct policy_item item = { 0, SNP_CSP_ID_MAX, "give each id as the certificate has it" };
    return policy_read_list(r, node, key, item, &p->csp_ids);
}

static err read_max_vmpl(const struct policy_reading *r, const struct yaml *node, const char *key,
                         void *into)
{
    struct snp_policy *p = into;
    uint64_t n = 0;
    TRY(policy_read_u64(r, node, key, SNP_VMPL_MAX, &n));
    p->max_vmpl = (uint32_t)n;
    return OK;
}

static err read_guest_svn(const struct policy_reading *r, const struct yaml *node, const char *key,
                          void *into)
{
    struct snp_policy *p = into;
    uint64_t n = 0;
    TRY(policy_read_u64(r, node, key, UINT32_MAX, &n));
    p->minimum_guest_svn = (uint32_t)n;
    return OK;
}

static err read_smt(const struct policy_reading *r, const struct yaml *node, const char *key,
                    void *into)
{
    struct snp_policy *p = into;
    return policy_read_bool(r, node, key, &p->smt);
}

static err read_cxl(const struct policy_reading *r, const struct yaml *node, const char *key,
                    void *into)
{
    struct snp_policy *p = into;
    return policy_read_bool(r, node, key, &p->cxl);
}

static err read_require(const struct policy_reading *r, const struct yaml *node, const char *key,
                        void *into)
{
    struct snp_policy *p = into;
    return policy_read_words(r, node, key, require_words, &p->require);
}

static const struct policy_key section_keys[] = {
    { "products", read_products },
    { "keys", read_keys },
    { "csp_ids", read_csp_ids },
    { "max_vmpl", read_max_vmpl },
    { "minimum_guest_svn", read_guest_svn },
    { "minimum_tcb", read_reported },
    { "minimum_launch_tcb", read_launch },
    { "minimum_committed_tcb", read_committed },
    { "smt", read_smt },
    { "cxl", read_cxl },
    { "require", read_require },
};

err snp_policy_read(const struct policy_reading *r, const struct yaml *node, const char *key)
{
    TRY(mem_new(&r->policy->snp));
    *r->policy->snp = snp_policy_default;
    return policy_read_map(r, node, key, section_keys, ARRAY_LEN(section_keys), r->policy->snp);
}

void snp_policy_free(struct policy *p)
{
    if (p->snp == NULL)
        return;
    policy_list_clear(&p->snp->csp_ids);
    mem_free(p->snp);
    p->snp = NULL;
}

/* --- in words -------------------------------------------------------------------------------- */

static err explain_words(const char *what, const char *const *words, unsigned set, struct buf *out)
{
    TRY(buf_addf(out, "snp %s:", what));
    for (size_t i = 0; words[i] != NULL; i++) {
        if ((set >> i & 1) != 0)
            TRY(buf_addf(out, " %s", words[i]));
    }
    return buf_add_str(out, set == 0 ? " none\n" : "\n");
}

static err explain_minimum(const char *what, const struct snp_minimum *m, struct buf *out)
{
    for (size_t p = 1; p < SNP_PRODUCTS; p++) {
        for (size_t i = 0; i < SNP_PARTS; i++) {
            if (m->part[p][i] > 0)
                TRY(buf_addf(out, "snp %s %s %s: at least %u\n", what, product_words[p - 1],
                             part_words[i], m->part[p][i]));
        }
    }
    return OK;
}

err snp_policy_explain(const struct policy *p, struct buf *out)
{
    const struct snp_policy *s = p->snp != NULL ? p->snp : &snp_policy_default;
    if (!policy_names_platform(p, BYTES_LIT("sev-snp")) &&
        !policy_names_platform(p, BYTES_LIT("azure-sev-snp")))
        return OK;
    TRY(explain_words("products", product_words, s->products >> 1, out));
    TRY(explain_words("keys", key_words, s->keys, out));
    for (size_t i = 0; i < s->csp_ids.n; i++) {
        TRY(buf_add_str(out, "snp cloud: "));
        TRY(buf_add(out, buf_view(&s->csp_ids.items[i])));
        TRY(buf_add_u8(out, '\n'));
    }
    TRY(buf_addf(out, "snp vmpl: at most %u\n", s->max_vmpl));
    TRY(buf_addf(out, "snp guest svn: at least %u\n", s->minimum_guest_svn));
    TRY(explain_minimum("tcb", &s->reported, out));
    TRY(explain_minimum("launch tcb", &s->launch, out));
    TRY(explain_minimum("committed tcb", &s->committed, out));
    TRY(buf_addf(out, "snp smt: %s\nsnp cxl: %s\n", s->smt ? "allowed" : "refused",
                 s->cxl ? "allowed" : "refused"));
    return explain_words("require", require_words, s->require, out);
}
