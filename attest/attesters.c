#include "attest/attesters.h"

#include "attest/azure_hcl_verify.h"
#include "attest/gcp.h"
#include "attest/gcp_attest.h"
#include "attest/nitro.h"
#include "attest/snp_verify.h"
#include "attest/tdx.h"
#include "base/attr.h"

typedef err open_fn(struct attester **out, const struct attesters_settings *s);

static err open_nitro(struct attester **out, const struct attesters_settings *s)
{
    static const struct nsm_device device = { .path = NULL };
    (void)s;
    ENSURE(nsm_present(&device), UNAVAILABLE);
    return nitro_attester_new(out, &device);
}

static err open_tdx(struct attester **out, const struct attesters_settings *s)
{
    return tdx_attester_new(out, &(struct tdx_attest_settings){ .tsm = tsm_files(NULL),
                                                                .collateral = s->tdx_collateral,
                                                                .collateral_owner = s->tdx_owner });
}

static err open_snp(struct attester **out, const struct attesters_settings *s)
{
    return snp_attester_new(out, &(struct snp_attest_settings){ .tsm = tsm_files(NULL),
                                                                .vmpl = s->snp_vmpl,
                                                                .collateral = s->snp_collateral,
                                                                .collateral_owner = s->snp_owner });
}

static err open_azure(struct attester **out, const struct attesters_settings *s)
{
    return azure_attester_new(
        out, &(struct azure_attest_settings){ .collateral = s->azure_collateral,
                                              .collateral_owner = s->azure_owner });
}

static err open_gcp(struct attester **out, const struct attesters_settings *s)
{
    (void)s;
    return gcp_attester_new(out, &(struct gcp_attest_settings){ .socket = NULL });
}

static const struct {
    const char *platform;
    open_fn *open;
} rows[] = {
    { NITRO_PLATFORM, open_nitro }, { TDX_PLATFORM, open_tdx }, { SNP_PLATFORM, open_snp },
    { AZURE_PLATFORM, open_azure }, { GCP_PLATFORM, open_gcp },
};

err attesters_open(struct attester **out, const char *platform,
                   const struct attesters_settings *settings)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (bytes_equal(bytes_str(platform), bytes_str(rows[i].platform)))
            return rows[i].open(out, settings);
    }
    FAIL(UNSUPPORTED);
}

err attesters_open_any(struct attester **out, const struct attesters_settings *settings,
                       struct detect *found)
{
    TRY(detect_look(NULL, found));
    ENSURE(found->choice != NULL, NOT_FOUND);
    return attesters_open(out, found->choice, settings);
}
