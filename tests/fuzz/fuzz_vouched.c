/* What somebody's word says: Google's tokens, statements of enrolled keys; and what machines read back of
 * their own evidence. Nobody's word is taken here: the policy names no root and no key. The first byte
 * says which platform. */
#include <stdlib.h>

#include "attest/policy.h"
#include "attest/verifier.h"
#include "base/attr.h"
#include "crypto/init.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { AT_S = 1757061000 /* when the recorded token is valid */ };

static const char *const platforms[] = { "gcp-confidential-space", "enrolled", "tdx", "sev-snp",
                                         "azure-sev-snp" };

static void must(bool holds)
{
    if (!holds)
        abort();
}

/* Without a signature that holds nothing is handed out. */
static void check_facts(const struct verifier *v, const struct verifier_facts *f)
{
    static const uint8_t zero[BINDING_LEN];
    must(f->registers_n <= v->registers_n);
    for (size_t i = 0; i < f->registers_n; i++)
        must(verifier_register(v, bytes_str(f->registers[i].name)) != NULL);
    if (f->form.status != VERDICT_PASS)
        must(bytes_equal(BYTES_ARRAY(f->report_data), BYTES_ARRAY(zero)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct policy policy = { .max_age_s = 600, .skew_s = 60 };
    static bool ready;
    if (!ready)
        must(err_is_ok(crypto_init()));
    ready = true;
    if (size == 0 || data[0] >= ARRAY_LEN(platforms))
        return 0;
    const struct verifier *v = verifier_find(bytes_str(platforms[data[0]]));
    const struct bundle b = { .platform = bytes_str(v->platform),
                              .evidence = bytes_of(data + 1, size - 1) };
    struct verifier_facts facts = { 0 };
    must(err_is_ok(v->examine(&b, &policy, AT_S, &facts)));
    check_facts(v, &facts);
    must(facts.signature.status != VERDICT_PASS);
    if (v->examine_own == NULL)
        return 0;
    facts = (struct verifier_facts){ 0 };
    must(err_is_ok(v->examine_own(&b, AT_S, &facts)));
    check_facts(v, &facts);
    return 0;
}
