#include "attest/azure_attest.h"

#include "attest/azure_hcl_verify.h"
#include "base/attr.h"
#include "base/mem.h"
#include "crypto/secret.h"

struct azure_attester {
    struct attester base;
    struct azure_attest_settings settings;
};

static err read_hcl(const struct tpm *t, struct buf *out, struct azure_hcl *hcl)
{
    TRY(tpm_nv_read(t, AZURE_NV_REPORT, out));
    TRY(azure_hcl_read(buf_view(out), hcl));
    ENSURE(hcl->report_type == AZURE_REPORT_SNP, UNSUPPORTED);
    return OK;
}

static err carries(const struct azure_hcl *hcl, const uint8_t *user_data, bool *out)
{
    struct azure_runtime runtime;
    err e = azure_runtime_read(hcl->json, &runtime);
    *out = err_is_ok(e) &&
           secret_equal(BYTES_ARRAY(runtime.user_data), bytes_of(user_data, AZURE_USER_DATA_LEN));
    azure_runtime_clear(&runtime);
    return e;
}

/* The paravisor makes a new report a while after the user data were written. */
static err fresh_hcl(const struct tpm *t, const uint8_t *user_data, struct buf *out,
                     struct azure_hcl *hcl)
{
    TRY(tpm_nv_write(t, AZURE_NV_USER_DATA, bytes_of(user_data, AZURE_USER_DATA_LEN)));
    for (unsigned i = 0; i < AZURE_TRIES; i++) {
        bool fresh = false;
        buf_truncate(out, 0);
        TRY(read_hcl(t, out, hcl));
        TRY(carries(hcl, user_data, &fresh));
        if (fresh)
            return OK;
        tpm_wait(t, AZURE_WAIT_MS);
    }
    FAIL(UNAVAILABLE);
}

static err make_evidence(const struct azure_attester *self, const struct attester_ask *ask,
                         struct azure_hcl *hcl, struct buf *report, struct buf *out)
{
    const struct tpm *t = &self->settings.tpm;
    struct tpm_quoted quoted;
    bytes qualifying = bytes_of(ask->report_data, AZURE_QUALIFYING_LEN);
    TRY(fresh_hcl(t, ask->report_data, report, hcl));
    err e = tpm_quote(t, AZURE_AK, qualifying, &quoted);
    if (err_is_ok(e))
        e = azure_evidence_write(
            out, &(struct azure_evidence){ .hcl = buf_view(report),
                                           .pcrs = buf_view(&quoted.pcrs),
                                           .quote = buf_view(&quoted.quote),
                                           .signature = buf_view(&quoted.signature) });
    tpm_quoted_clear(&quoted);
    return e;
}

static err quote(struct attester *a, const struct attester_ask *ask, struct buf *evidence,
                 struct buf *collateral)
{
    const struct azure_attester *self = CONTAINER_OF(a, struct azure_attester, base);
    const struct azure_attest_settings *s = &self->settings;
    struct azure_hcl hcl;
    BUF_AUTO report = BUF(TPM_NV_MAX);
    TRY(make_evidence(self, ask, &hcl, &report, evidence));
    if (s->collateral == NULL)
        return OK;
    return s->collateral(s->collateral_owner, hcl.report, (bytes){ 0 }, ask->now, collateral);
}

_Static_assert((int)BINDING_LEN == (int)AZURE_USER_DATA_LEN, "the binding is the user data");

static void release(struct attester *a)
{
    mem_free(CONTAINER_OF(a, struct azure_attester, base));
}

static const struct attester_kind kind = {
    .platform = AZURE_PLATFORM,
    .trust = TRUST_HARDWARE,
    .quote = quote,
    .free = release,
};

err azure_attester_new(struct attester **out, const struct azure_attest_settings *settings)
{
    struct azure_attester *self;
    struct azure_hcl hcl;
    BUF_AUTO report = BUF(TPM_NV_MAX);
    ENSURE(settings->tpm.exchange != NULL || tpm_present(&settings->tpm), UNAVAILABLE);
    TRY(read_hcl(&settings->tpm, &report, &hcl));
    TRY(mem_new(&self));
    self->base.kind = &kind;
    self->settings = *settings;
    *out = &self->base;
    return OK;
}
