/* Part of vec_protocol.c: what a bundle carries of vendors, and secrets sealed to a TEE. */
#include <stdio.h>

#include "attest/azure_hcl_verify.h"
#include "attest/collateral.h"
#include "attest/nvgpu_bundle.h"
#include "attest/sealed.h"
#include "attest/snp_table.h"
#include "attest/tdx_collateral.h"
#include "base/attr.h"
#include "crypto/hash.h"
#include "tests/vectors/vec_protocol.h"

enum { CONTAINER_MAX = 64 * 1024 };

/* ---- AMD SEV-SNP, and below Azure's paravisor ---- */

void run_snp_table(struct block *b)
{
    static const struct {
        enum snp_entry_kind kind;
        const char *name;
    } rows[] = { { SNP_ENTRY_VCEK, "vcek" },
                 { SNP_ENTRY_VLEK, "vlek" },
                 { SNP_ENTRY_ASK, "ask" },
                 { SNP_ENTRY_ARK, "ark" },
                 { SNP_ENTRY_CRL, "crl" } };
    struct snp_entry entries[ARRAY_LEN(rows)];
    struct snp_table back;
    BUF_AUTO out = BUF(CONTAINER_MAX);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        entries[i] = (struct snp_entry){ .kind = rows[i].kind, .data = block_get(b, rows[i].name) };
    block_good(b, snp_table_write(&out, entries, ARRAY_LEN(rows)), "table");
    block_same(b, buf_view(&out), "table");
    block_good(b, snp_table_read(block_get(b, "table"), &back), "table");
    for (size_t i = 0; i < ARRAY_LEN(rows) && i < back.n; i++) {
        block_same(b, back.entries[i].data, rows[i].name);
        if (back.entries[i].kind != rows[i].kind)
            block_fail(b, "another kind", bytes_str(rows[i].name));
    }
}

/* Its parts are long, so the example says how long each is and what byte fills it. */
static bytes filled(struct block *b, struct buf *hold, const char *name)
{
    char line[32];
    *hold = BUF(CONTAINER_MAX);
    (void)snprintf(line, sizeof line, "%s_length", name);
    block_good(b, buf_add_zeros(hold, (size_t)block_number(b, line)), name);
    (void)snprintf(line, sizeof line, "%s_byte", name);
    bytes fill = block_get(b, line);
    if (fill.len == 1 && hold->len > 0)
        memset(hold->at, fill.at[0], hold->len);
    return buf_view(hold);
}

void run_azure_evidence(struct block *b)
{
    static const char *const names[] = { "hcl", "pcrs", "quote", "signature" };
    struct buf parts[ARRAY_LEN(names)];
    uint8_t digest[SHA256_LEN];
    struct azure_evidence back;
    BUF_AUTO out = BUF(CONTAINER_MAX);
    const struct azure_evidence given = { .hcl = filled(b, &parts[0], names[0]),
                                          .pcrs = filled(b, &parts[1], names[1]),
                                          .quote = filled(b, &parts[2], names[2]),
                                          .signature = filled(b, &parts[3], names[3]) };
    block_good(b, azure_evidence_write(&out, &given), "evidence");
    sha256_of(buf_view(&out), digest);
    block_same(b, BYTES_ARRAY(digest), "evidence_sha256");
    block_good(b, azure_evidence_read(buf_view(&out), &back), "evidence");
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        buf_clear(&parts[i]);
}

/* ---- Intel TDX ---- */

void run_tdx_collateral(struct block *b)
{
    struct tdx_collateral back;
    BUF_AUTO out = BUF(CONTAINER_MAX);
    const struct tdx_collateral given = { .ccel = block_get(b, "ccel"),
                                          .pck_crl = block_get(b, "pck_crl"),
                                          .version = TDX_COLLATERAL_VERSION,
                                          .root_crl = block_get(b, "root_crl"),
                                          .tcb_info = block_get(b, "tcb_info"),
                                          .dstack_log = block_get(b, "dstack_log"),
                                          .qe_identity = block_get(b, "qe_identity"),
                                          .tcb_info_chain = block_get(b, "tcb_info_chain"),
                                          .qe_identity_chain = block_get(b, "qe_identity_chain") };
    block_good(b, tdx_collateral_write(&out, &given), "collateral");
    block_same(b, buf_view(&out), "collateral");
    block_good(b, tdx_collateral_read(block_get(b, "collateral"), &back), "collateral");
    block_same(b, back.tcb_info, "tcb_info");
}

/* ---- GPUs ---- */

/* One GPU and one switch, with two certificates each, one answer and one manifest. */
void run_gpu_evidence(struct block *b)
{
    static struct nvgpu_bundle given, back;
    uint8_t nonce[NVGPU_NONCE_LEN];
    BUF_AUTO out = BUF(CONTAINER_MAX);
    given = (struct nvgpu_bundle){ .ocsp_n = 1, .rims_n = 1, .devices_n = 2 };
    given.ocsp[0] = block_get(b, "ocsp");
    given.rims[0] = block_get(b, "rim");
    for (size_t i = 0; i < given.devices_n; i++) {
        struct nvgpu_device *d = &given.devices[i];
        d->kind = i == 0 ? NVGPU_GPU : NVGPU_SWITCH;
        d->evidence = block_value(b, "device", i, false);
        d->certs[0] = block_get(b, "leaf");
        d->certs[1] = block_get(b, "root");
        d->certs_n = 2;
    }
    block_good(b, nvgpu_bundle_write(&out, &given), "gpu_evidence");
    block_same(b, buf_view(&out), "gpu_evidence");
    block_good(b, nvgpu_bundle_read(block_get(b, "gpu_evidence"), &back), "gpu_evidence");
    nvgpu_nonce(block_get(b, "nonce"), block_get(b, "identity"), nonce);
    block_same(b, BYTES_ARRAY(nonce), "gpu_nonce");
}

/* ---- what is kept of vendors' answers ---- */

void run_collateral_entry(struct block *b)
{
    struct collateral_entry back;
    struct collateral_need need = { .kind = COLLATERAL_TCB_INFO };
    BUF_AUTO out = BUF(CONTAINER_MAX);
    const struct collateral_entry given = { .key = block_get(b, "key"),
                                            .body = block_get(b, "body"),
                                            .kind = block_get(b, "kind"),
                                            .chain = block_get(b, "chain"),
                                            .version = COLLATERAL_ENTRY_VERSION,
                                            .expires_at = block_number(b, "expires_at"),
                                            .fetched_at = block_number(b, "fetched_at") };
    (void)snprintf(need.key, sizeof need.key, "%.*s", (int)given.key.len,
                   (const char *)given.key.at);
    block_good(b, collateral_entry_write(&out, &given), "entry");
    block_same(b, buf_view(&out), "entry");
    block_good(b, collateral_entry_read(block_get(b, "entry"), &need, &back), "entry");
    block_same(b, back.body, "body");
}

/* ---- sealed secrets ---- */

/* The nonce is random, so the example is opened; what we seal ourselves has to open again. */
void run_sealed_secret(struct block *b)
{
    struct sealed_key *key = NULL;
    BUF_AUTO opened = BUF(SEALED_SECRET_MAX);
    BUF_AUTO sealed = BUF(SEALED_SECRET_MAX + SEALED_OVERHEAD);
    block_good(
        b,
        sealed_key_new(&key, block_get(b, "vendor"), block_get(b, "key_id"), block_get(b, "root")),
        "root");
    if (key == NULL)
        return;
    block_same(b, bytes_slice(block_get(b, "sealed"), 0, 12), "nonce");
    block_good(b, sealed_read(key, block_get(b, "sealed"), &opened), "sealed");
    block_same(b, buf_view(&opened), "secret");
    block_good(b, sealed_write(key, block_get(b, "secret"), &sealed), "secret");
    buf_truncate(&opened, 0);
    block_good(b, sealed_read(key, buf_view(&sealed), &opened), "secret");
    block_same(b, buf_view(&opened), "secret");
    sealed_key_free(key);
}
