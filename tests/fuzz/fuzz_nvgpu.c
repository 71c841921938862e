/* GPU evidence: a device's report, a bundle of them, a manifest, an OCSP answer, an NRAS answer. What
 * reads borrows from the input and has one encoding; nothing is accepted that the vendor did not
 * sign. */
#include <stdlib.h>

#include "attest/nvgpu_bundle.h"
#include "attest/nvgpu_nras.h"
#include "attest/nvgpu_rim.h"
#include "base/mem.h"
#include "crypto/init.h"
#include "crypto/ocsp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LARGE = 1024 * 1024 };

static void must(bool holds)
{
    if (!holds)
        abort();
}

static bool within(bytes part, bytes whole)
{
    return part.len == 0 || (part.at >= whole.at && part.at + part.len <= whole.at + whole.len);
}

static void report(bytes in)
{
    static struct nvgpu_report r;
    uint8_t pdis[NVGPU_PDIS_MAX][NVGPU_PDI_LEN];
    if (!nvgpu_parse(in, &r))
        return;
    must(within(r.signed_part, in) && within(r.signature, in));
    must(r.signature.len == NVGPU_SIGNATURE_LEN && r.request_nonce.len == NVGPU_NONCE_LEN);
    for (size_t i = 0; i < r.fields_n; i++)
        must(within(r.fields[i].value, in));
    must(nvgpu_switch_pdis(&r, pdis) <= NVGPU_PDIS_MAX);
    must(nvgpu_gpu_pdis(&r, pdis) <= NVGPU_PDIS_MAX);
}

static void bundle(bytes in)
{
    static struct nvgpu_bundle b;
    BUF_AUTO out = BUF(LARGE);
    if (err_is_ok(nvgpu_bundle_read(in, &b)))
        must(err_is_ok(nvgpu_bundle_write(&out, &b)) && bytes_equal(buf_view(&out), in));
}

/* At a time when no genuine manifest is valid. */
static void manifest(bytes in)
{
    struct nvgpu_settings s = { .at_s = 0 };
    struct nvgpu_rim *rim = mem_alloc(sizeof *rim);
    must(rim != NULL && err_is_ok(nvgpu_rim_verify(in, &s, rim)));
    must(!rim->accepted);
    nvgpu_rim_clear(rim);
    mem_free(rim);
}

static void answers(bytes in)
{
    static const uint8_t nonce[NRAS_NONCE_LEN];
    struct nras_result r;
    enum ocsp_outcome outcome;
    struct ocsp_query o = { .response = in, .certificate = in, .issuer = in };
    struct nras_query q = { .answer = in,
                            .jwks = BYTES_LIT("{\"keys\":[]}"),
                            .issuer = BYTES_LIT("i"),
                            .nonce = BYTES_ARRAY(nonce),
                            .expected_gpus = 1 };
    must(err_is_ok(ocsp_check(&o, &outcome)) && outcome != OCSP_IS_GOOD);
    must(err_is_ok(nras_verify(&q, &r)) && r.reason != NRAS_OK);
    nras_clear(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool ready;
    bytes in = bytes_of(data, size);
    if (!ready)
        must(err_is_ok(crypto_init()));
    ready = true;
    report(in);
    bundle(in);
    manifest(in);
    answers(in);
    return 0;
}
