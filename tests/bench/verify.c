/*
 * What it costs to verify one worker's genuine evidence with all of its collateral, in CPU time on
 * one core: one JSON object of microseconds, with the signatures that most of it is made of. Every
 * time of a verifier is of a verification that accepts.
 *
 *     bench-verify FOLDER        of the published vectors: .../vectors/attest
 */
#include <stdio.h>
#include <stdlib.h>

#include "attest/azure_hcl_verify.h"
#include "attest/nitro_verify.h"
#include "attest/nvgpu_node.h"
#include "attest/nvgpu_rim.h"
#include "attest/tdx_collateral.h"
#include "attest/tdx_verify.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "crypto/init.h"
#include "crypto/ocsp.h"
#include "crypto/pem.h"

enum {
    SLICE_US = 100 * 1000, /* of one measurement; the least of SLICES counts */
    SLICES = 3,
    FILE_MAX = 256 * 1024,
    SUMMER_2025 = 1751328000,    /* 2025-07-01T00:00:00Z */
    AUGUST_2025 = 1755777600,    /* 2025-08-21T12:00:00Z */
    CHRISTMAS_2025 = 1766668538, /* 2025-12-25T13:15:38Z */
    ANSWERS = 3,
    MANIFESTS = 2
};

static const char *folder;

static void demand(err e)
{
    if (e.code == ERR_OK)
        return;
    (void)fprintf(stderr, "bench-verify: %s at %s:%d\n", err_word(e), err_origin()->file,
                  err_origin()->line);
    exit(1);
}

static void demand_accepted(bool accepted, const char *what)
{
    if (accepted)
        return;
    (void)fprintf(stderr, "bench-verify: the genuine %s is refused\n", what);
    exit(1);
}

/* For the life of the program. */
static bytes load(const char *name)
{
    BUF_AUTO path = BUF(4096);
    struct buf out = BUF(FILE_MAX);
    demand(buf_addf(&path, "%s/%s", folder, name));
    demand(file_read(&out, buf_str(&path)));
    return buf_view(&out);
}

/* ---- Intel TDX ---- */

static bytes tdx_quote_bytes;
static struct buf tdx_kept = BUF(1024 * 1024);

static void load_tdx(void)
{
    bytes chain = load("tdx/collateral/2025-06-b0c06f/tcb_signing_chain.pem");
    const struct tdx_collateral c = {
        .version = TDX_COLLATERAL_VERSION,
        .pck_crl = load("tdx/collateral/2025-06-b0c06f/pck_crl.der"),
        .root_crl = load("tdx/collateral/2025-06-b0c06f/root_ca_crl.der"),
        .tcb_info = load("tdx/collateral/2025-06-b0c06f/tcb_info.json"),
        .qe_identity = load("tdx/collateral/2025-06-b0c06f/qe_identity.json"),
        .tcb_info_chain = chain,
        .qe_identity_chain = chain,
    };
    tdx_quote_bytes = load("tdx/quotes/v4-b0c06f-uptodate.bin");
    demand(tdx_collateral_write(&tdx_kept, &c));
}

static void verify_tdx(void)
{
    static struct tdx_result result;
    struct tdx_collateral c;
    demand(tdx_collateral_read(buf_view(&tdx_kept), &c));
    demand(tdx_verify(
        &(struct tdx_input){ .quote = tdx_quote_bytes, .collateral = &c, .now = SUMMER_2025 },
        &result));
    demand_accepted(result.accepted, "TDX quote");
}

/* ---- AMD SEV-SNP, and Azure's ---- */

static bytes snp_bytes;
static struct buf snp_kept = BUF(SNP_TABLE_MAX), azure_kept = BUF(SNP_TABLE_MAX);
static struct azure_evidence azure;

static void write_table(struct buf *out, const char *leaf)
{
    const struct snp_entry entries[] = {
        { SNP_ENTRY_VCEK, load(leaf) },
        { SNP_ENTRY_ASK, load("sev-snp/roots/ask_milan.pem") },
        { SNP_ENTRY_ARK, load("sev-snp/roots/ark_milan.pem") },
        { SNP_ENTRY_CRL, load("sev-snp/crl/milan-2025.der") },
    };
    demand(snp_table_write(out, entries, sizeof entries / sizeof entries[0]));
}

static void load_snp(void)
{
    snp_bytes = load("sev-snp/reports/milan-v2.bin");
    write_table(&snp_kept, "sev-snp/reports/milan-v2.vek.der");
}

/* The report is older than the firmware that the defaults ask for. */
static struct snp_settings snp_settings_lax(void)
{
    static struct snp_policy lax;
    lax = snp_policy_default;
    lax.reported = (struct snp_minimum){ 0 };
    return (struct snp_settings){ .policy = &lax, .now = SUMMER_2025 };
}

static void verify_snp(void)
{
    struct snp_result result;
    struct snp_collateral c = { 0 };
    const struct snp_settings settings = snp_settings_lax();
    demand(snp_collateral_read(&c, buf_view(&snp_kept)));
    demand(snp_verify(snp_bytes, &c, &settings, &result));
    demand_accepted(result.accepted, "SEV-SNP report");
    snp_collateral_clear(&c);
}

static void load_azure(void)
{
    static struct buf pcrs = BUF(AZURE_PCRS_MAX);
    bytes rest = load("sev-snp/azure/tpm_pcrs_sha256.txt");
    while (rest.len > 0) {
        size_t n = text_find(rest, BYTES_LIT("\n"));
        demand(text_hex_decode(&pcrs, bytes_slice(rest, 0, n)));
        rest = bytes_slice(rest, n + 1, rest.len);
    }
    azure = (struct azure_evidence){ .hcl = load("sev-snp/azure/hcl_report.bin"),
                                     .pcrs = buf_view(&pcrs),
                                     .quote = load("sev-snp/azure/tpm_quote.msg"),
                                     .signature = load("sev-snp/azure/tpm_quote.sig") };
    write_table(&azure_kept, "sev-snp/azure/vcek.der");
}

static void verify_azure(void)
{
    static struct azure_result result;
    struct snp_collateral c = { 0 };
    const struct snp_settings settings = snp_settings_lax();
    demand(snp_collateral_read(&c, buf_view(&azure_kept)));
    demand(azure_verify(&azure, &c, &settings, &result));
    demand_accepted(result.accepted, "evidence of Azure");
    snp_collateral_clear(&c);
}

/* ---- AWS Nitro ---- */

static bytes nitro_bytes;

static void load_nitro(void)
{
    nitro_bytes = load("nitro/docs/prod-2025-12-us-east-1.cbor");
}

static void verify_nitro(void)
{
    static struct nitro_result result;
    demand(nitro_verify(nitro_bytes, &(struct nitro_settings){ .at_s = CHRISTMAS_2025 }, &result));
    demand_accepted(result.accepted, "Nitro document");
}

/* ---- NVIDIA ---- */

static struct nvgpu_device gpu;
static struct pem_certs gpu_certs;
static struct nvgpu_settings gpu_settings = { .at_s = AUGUST_2025 };
static bytes gpu_answers[ANSWERS], gpu_manifests[MANIFESTS];

static void load_nvidia(void)
{
    static struct nvgpu_report report;
    gpu = (struct nvgpu_device){ .kind = NVGPU_GPU,
                                 .evidence = load("nvidia/gpu/gh100-550.90.07.evidence.bin") };
    demand(pem_read_certs(&gpu_certs, load("nvidia/gpu/gh100-550.90.07.chain.pem")));
    for (; gpu.certs_n < gpu_certs.n; gpu.certs_n++)
        gpu.certs[gpu.certs_n] = gpu_certs.certs[gpu.certs_n];
    demand_accepted(nvgpu_parse(gpu.evidence, &report), "GPU report");
    gpu_settings.nonce = report.request_nonce;
    gpu_answers[0] = load("nvidia/ocsp/device-brom.der");
    gpu_answers[1] = load("nvidia/ocsp/device-provisioner.der");
    gpu_answers[2] = load("nvidia/ocsp/device-identity.der");
    gpu_manifests[0] = load("nvidia/rim/driver-gh100-550.90.07.xml");
    gpu_manifests[1] = load("nvidia/rim/vbios-1010-0200-882-96009f0001.xml");
}

/* As attest/nvgpu.c puts it together. */
static void verify_nvidia(void)
{
    static struct nvgpu_result result;
    static struct nvgpu_rim rims[MANIFESTS];
    demand(nvgpu_verify(&gpu, &gpu_settings, &result));
    demand_accepted(result.accepted, "GPU");
    for (size_t i = 0; i < ANSWERS; i++) {
        enum ocsp_outcome outcome;
        demand(ocsp_check(&(struct ocsp_query){ .response = gpu_answers[i],
                                                .certificate = gpu.certs[i + 1],
                                                .issuer = gpu.certs[i + 2],
                                                .at_s = AUGUST_2025 },
                          &outcome));
        demand_accepted(outcome == OCSP_IS_GOOD, "OCSP answer");
    }
    for (size_t i = 0; i < MANIFESTS; i++)
        demand(nvgpu_rim_verify(gpu_manifests[i], &gpu_settings, &rims[i]));
    demand_accepted(nvgpu_rim_compare(&result, NVGPU_GPU, rims, MANIFESTS, NULL) == NVGPU_OK,
                    "measurements");
    for (size_t i = 0; i < MANIFESTS; i++)
        nvgpu_rim_clear(&rims[i]);
}

/* ---- what they are made of ---- */

/* The quote's own signature, and the GPU's. */
static void verify_p256(void)
{
    enum { SIGNED = 48 + 584, KEY_LEN = 65, SIGNATURE_LEN = 64, LENGTH = 4 };
    uint8_t point[KEY_LEN] = { 4 };
    bytes rest = bytes_slice(tdx_quote_bytes, SIGNED + LENGTH, tdx_quote_bytes.len);
    demand_accepted(rest.at != NULL && rest.len >= SIGNATURE_LEN + KEY_LEN, "TDX quote");
    memcpy(point + 1, rest.at + SIGNATURE_LEN, KEY_LEN - 1);
    demand(verify_ecdsa(EC_P256, BYTES_ARRAY(point), bytes_slice(tdx_quote_bytes, 0, SIGNED),
                        bytes_slice(rest, 0, SIGNATURE_LEN), ECDSA_RAW));
}

static void verify_p384(void)
{
    static struct nvgpu_report report;
    static struct buf spki = BUF(1024);
    if (spki.len == 0) {
        demand_accepted(nvgpu_parse(gpu.evidence, &report), "GPU report");
        demand(x509_spki(gpu.certs[0], &spki));
    }
    demand(verify_ecdsa(EC_P384, buf_view(&spki), report.signed_part, report.signature, ECDSA_RAW));
}

/* ---- measuring ---- */

static double time_of(void (*part)(void))
{
    double least = 0;
    part();
    for (int i = 0; i < SLICES; i++) {
        uint64_t n = 0, us = 0, began = clock_cpu_us();
        for (; us < SLICE_US; us = clock_cpu_us() - began) {
            part();
            n++;
        }
        double each = (double)us / (double)n;
        if (i == 0 || each < least)
            least = each;
    }
    return least;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*load)(void);
        void (*verify)(void);
    } parts[] = {
        { "tdx", load_tdx, verify_tdx },
        { "sev_snp", load_snp, verify_snp },
        { "azure_sev_snp", load_azure, verify_azure },
        { "nitro", load_nitro, verify_nitro },
        { "nvidia", load_nvidia, verify_nvidia },
        { "ecdsa_p256", NULL, verify_p256 },
        { "ecdsa_p384", NULL, verify_p384 },
    };
    if (argc != 2)
        return 2;
    folder = argv[1];
    demand(crypto_init());
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (parts[i].load != NULL)
            parts[i].load();
        (void)printf("%s\"%s\":%.1f", i == 0 ? "{" : ",", parts[i].name, time_of(parts[i].verify));
    }
    (void)printf("}\n");
    crypto_thread_end();
    return 0;
}
