#include "attest/verifier.h"

#include "attest/azure_hcl_verify.h"
#include "attest/enrolment.h"
#include "attest/gcp.h"
#include "attest/nitro.h"
#include "attest/simulated.h"
#include "attest/snp_verify.h"
#include "attest/tdx.h"

/* One line per platform. An entry points to NULL when the build leaves that platform out. */
static const struct verifier *const *const verifiers[] = {
    &azure_verifier,     &enrolled_verifier, &gcp_verifier, &nitro_verifier,
    &simulated_verifier, &snp_verifier,      &tdx_verifier,
};

const struct verifier *verifier_find(bytes platform)
{
    for (size_t i = 0; i < ARRAY_LEN(verifiers); i++) {
        const struct verifier *v = *verifiers[i];
        if (v != NULL && bytes_equal(platform, bytes_str(v->platform)))
            return v;
    }
    return NULL;
}

const struct verifier_register *verifier_register(const struct verifier *v, bytes name)
{
    for (size_t i = 0; i < v->registers_n; i++) {
        if (bytes_equal(name, bytes_str(v->registers[i].name)))
            return &v->registers[i];
    }
    return NULL;
}
