#include "tests/unit/attest/recorded_gpu.h"

#include <stdio.h>

#include "attest/nvgpu_policy.h"
#include "base/mem.h"
#include "crypto/pem.h"
#include "tests/lib/law.h"

enum { FILE_MAX = 256 * 1024, PATH_LEN = 1024, AT_S = 1755777600 /* 2025-08-21T12:00:00Z */ };

#define PCR                                                                                        \
    "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff00112233445566778899aabbcc"   \
    "ddeeff"

static const char *const pieces[RECORDED_GPU_PIECES] = {
    "ocsp/device-brom.der", "ocsp/device-provisioner.der", "ocsp/device-identity.der",
    "rim/driver-gh100-550.90.07.xml", "rim/vbios-1010-0200-882-96009f0001.xml"
};

static struct buf read_one(const char *name)
{
    char path[PATH_LEN];
    struct buf out = BUF(FILE_MAX);
    (void)snprintf(path, sizeof path, "%s/attest/nvidia/%s", law_vectors(), name);
    law_read_file(&out, path);
    return out;
}

static struct buf read_part(const char *name, const char *part)
{
    char file[PATH_LEN];
    (void)snprintf(file, sizeof file, "%s.%s", name, part);
    return read_one(file);
}

void recorded_gpu_use(struct recorded_gpu *r, enum nvgpu_kind kind, const char *name)
{
    struct pem_certs certs;
    struct nvgpu_bundle *b;
    struct buf device = read_part(name, "evidence.bin"), chain = read_part(name, "chain.pem");
    buf_truncate(&r->evidence, 0);
    CHECK_OK(mem_new(&b));
    CHECK_OK(pem_read_certs(&certs, buf_view(&chain)));
    b->devices_n = 1;
    b->devices[0] = (struct nvgpu_device){ .kind = kind, .evidence = buf_view(&device) };
    for (; b->devices[0].certs_n < certs.n; b->devices[0].certs_n++)
        b->devices[0].certs[b->devices[0].certs_n] = certs.certs[b->devices[0].certs_n];
    CHECK_OK(nvgpu_bundle_write(&r->evidence, b));
    r->bundle.gpu_evidence = buf_view(&r->evidence);
    pem_clear(&certs);
    buf_clear(&chain);
    buf_clear(&device);
    mem_free(b);
}

bool recorded_gpu_open(struct recorded_gpu *out)
{
    if (law_vectors() == NULL)
        return false;
    *out = (struct recorded_gpu){ .at = AT_S, .evidence = BUF(FILE_MAX) };
    for (size_t i = 0; i < RECORDED_GPU_PIECES; i++)
        out->pieces[i] = read_one(pieces[i]);
    CHECK_OK(policy_read(&out->policy,
                         BYTES_LIT("platforms: [nitro]\nmeasurements: { pcr0: [" PCR "] }\n"
                                   "nvidia: { gpus: 1 }\n"),
                         "p", NULL));
    out->bundle =
        (struct bundle){ .platform = BYTES_LIT("nitro"), .evidence = BYTES_LIT("not looked at") };
    recorded_gpu_use(out, NVGPU_GPU, "gpu/gh100-550.90.07");
    return true;
}

void recorded_gpu_close(struct recorded_gpu *r)
{
    for (size_t i = 0; i < RECORDED_GPU_PIECES; i++)
        buf_clear(&r->pieces[i]);
    buf_clear(&r->evidence);
    policy_free(r->policy);
    *r = (struct recorded_gpu){ 0 };
}

void recorded_gpu_use_nras(struct recorded_gpu *r, struct buf *answer, struct buf *jwks)
{
    *answer = read_one("nras/claims-3.0-gh100.response.json");
    *jwks = read_one("nras/claims-3.0-gh100.jwks.json");
    r->at = RECORDED_GPU_NRAS_S;
    r->policy->nvidia->nras = true;
    r->policy->nvidia->revocation = r->policy->nvidia->manifests = false;
}

bytes recorded_gpu_piece(const struct recorded_gpu *r, const struct collateral_plan *plan,
                         size_t need)
{
    for (size_t i = 0; i < RECORDED_GPU_PIECES; i++) {
        int64_t expires;
        const struct collateral_piece piece = { .body = buf_view(&r->pieces[i]) };
        if (err_is_ok(collateral_check(&plan->needs[need], &piece,
                                       collateral_plan_issuer(plan, need), r->at, &expires)))
            return piece.body;
    }
    return (bytes){ 0 };
}
