/*
 * attest/collateral.h - what vendors publish to check evidence with: which pieces of it a bundle
 * needs and does not bring, where each is fetched, what an answer has to look like, how long it
 * holds, how it is kept, and how the pieces become the `collateral` that verifiers take.
 *
 * Pure: no network, no files, no clock. Nothing here decides about evidence; a piece that passes
 * collateral_check() is genuine and current, and the verifier checks it all the same. Only the roots
 * that are pinned in this program count, not those a policy adds.
 *
 * Sources: Intel PCS API version 4 and its caches (PCCS), AMD 57230 (VCEK and KDS), RFC 6960 and
 * NVIDIA's local_gpu_verifier (names of manifests).
 *
 *     kind         service  path                                              name, as in the key
 *     TCB_INFO     Intel    /tdx/certification/v4/tcb?fmspc=                  tdx-tcb-info-FMSPC
 *     QE_IDENTITY  Intel    /tdx/certification/v4/qe/identity                 tdx-qe-identity
 *     PCK_CRL      Intel    /sgx/certification/v4/pckcrl?ca=&encoding=der     tdx-pck-crl-platform
 *     ROOT_CRL     Intel    IntelSGXRootCA.der, of a cache rootcacrl          tdx-root-crl
 *     SNP_CHAIN    AMD      /{vcek,vlek}/v1/LINE/cert_chain                   snp-chain-vcek-milan
 *     SNP_CRL      AMD      /vcek/v1/LINE/crl                                 snp-crl-milan
 *     SNP_VCEK     AMD      /vcek/v1/LINE/CHIP?blSPL=&teeSPL=&snpSPL=&ucodeSPL=
 *                                                                snp-vcek-milan-CHIP-3-0-8-115
 *     NVGPU_OCSP   NVIDIA   / (POST of a request)                     nvgpu-ocsp-SHA256
 *     NVGPU_RIM    NVIDIA   /v1/rim/ID                                nvgpu-rim-ID
 *     NVGPU_JWKS   NVIDIA   /.well-known/jwks.json                    nvgpu-jwks
 *     NVGPU_NRAS   NVIDIA   /v4/attest/gpu (POST of the evidence)     nvgpu-nras-GPUS-NONCE-SHA256
 *
 * The last two are not kept, since they belong to one look at one worker, and nobody has signed the
 * keys: they are as good as the connection they came over.
 */
#pragma once

#include "attest/bundle.h"
#include "attest/nvgpu_bundle.h"
#include "attest/policy.h"
#include "attest/tdx_collateral.h"

enum collateral_kind {
    COLLATERAL_NONE = 0,
    COLLATERAL_TCB_INFO,
    COLLATERAL_QE_IDENTITY,
    COLLATERAL_PCK_CRL,
    COLLATERAL_ROOT_CRL,
    COLLATERAL_SNP_CHAIN, /* ASK or ASVK, and ARK */
    COLLATERAL_SNP_CRL,
    COLLATERAL_SNP_VCEK,
    COLLATERAL_NVGPU_OCSP, /* about one certificate of a GPU or switch */
    COLLATERAL_NVGPU_RIM,  /* a manifest, XML */
    COLLATERAL_NVGPU_JWKS, /* keys of NVIDIA's Remote Attestation Service */
    COLLATERAL_NVGPU_NRAS, /* its answer about the GPUs of one bundle */
    COLLATERAL_KINDS
};

enum collateral_service {
    COLLATERAL_INTEL = 0,
    COLLATERAL_AMD,
    COLLATERAL_NVIDIA_OCSP,
    COLLATERAL_NVIDIA_RIM,
    COLLATERAL_NVIDIA_NRAS,
    COLLATERAL_SERVICES
};

#define COLLATERAL_INTEL_BASE "https://api.trustedservices.intel.com"
#define COLLATERAL_AMD_BASE "https://kdsintf.amd.com"
#define COLLATERAL_NVIDIA_OCSP_BASE "https://ocsp.ndis.nvidia.com"
#define COLLATERAL_NVIDIA_RIM_BASE "https://rim.attestation.nvidia.com"
#define COLLATERAL_NVIDIA_NRAS_BASE "https://nras.attestation.nvidia.com"

enum {
    COLLATERAL_CPU_NEEDS_MAX = 4,
    COLLATERAL_NEEDS_MAX = COLLATERAL_CPU_NEEDS_MAX + NVGPU_OCSP_MAX + NVGPU_RIMS_MAX + 2,
    COLLATERAL_KEY_MAX = 199,
    COLLATERAL_PATH_MAX = 255,
    COLLATERAL_URL_MAX = 2048,
    COLLATERAL_BODY_MAX = 1024 * 1024, /* of any kind; collateral_body_max() has the tighter ones */
    COLLATERAL_CHAIN_MAX = TDX_CHAIN_MAX,
    COLLATERAL_HEADER_MAX = 3 * COLLATERAL_CHAIN_MAX, /* percent-encoded */
    COLLATERAL_OCSP_MAX = 8 * 1024,                   /* genuine ones: 1 KiB */
    COLLATERAL_RIM_MAX = 192 * 1024,     /* genuine ones: 21 KiB, and a third more as they come */
    COLLATERAL_REQUEST_MAX = 512 * 1024, /* genuine ones, of 8 GPUs: 100 KiB */
    COLLATERAL_ASKED_MAX = COLLATERAL_REQUEST_MAX + 256 * 1024, /* a pair: 1.3 KiB */
    COLLATERAL_FLEETING_S = 60,
    COLLATERAL_GPU_MAX =
        NVGPU_OCSP_MAX * COLLATERAL_OCSP_MAX + NVGPU_RIMS_MAX * COLLATERAL_RIM_MAX + 2 * 256 * 1024,
    COLLATERAL_ENTRY_MAX = COLLATERAL_BODY_MAX + COLLATERAL_CHAIN_MAX + 1024,
    COLLATERAL_ENTRY_VERSION = 1 /* frozen */
};

/* ---- what is needed ---- */

struct collateral_need {
    enum collateral_kind kind;
    char key[COLLATERAL_KEY_MAX + 1];   /* [a-z0-9-]; the same thing has the same key for ever */
    char path[COLLATERAL_PATH_MAX + 1]; /* below the service's base URL */
    int issuer; /* the earlier need whose body has who issued this; -1: the plan has it */
    size_t asked_at, asked_len; /* in plan->asked */
};

struct collateral_plan {
    struct collateral_need *needs; /* owned: COLLATERAL_NEEDS_MAX, or NULL when n is 0 */
    size_t cpu_n; /* those for the CPU's evidence come first; the rest is for the GPUs' */
    size_t n;
    struct buf issuer; /* owned: certificates, PEM or one DER, that were verified already */
    struct buf asked;  /* owned: what questions are made of. Of NVGPU_OCSP a certificate and its
                          issuer, DER; of NVGPU_NRAS its JSON */
};

/* What a bundle's evidence needs beyond the collateral that it carries and that holds at that time.
 * Nothing for a platform that has none, and for evidence that no collateral could help: a chain in
 * it that does not hold, an unknown product line. For GPUs only what the policy's `nvidia` asks for;
 * policy NULL: nothing. *out is always set, for collateral_plan_clear(). An err is for memory only. */
err collateral_plan_make(struct collateral_plan *out, const struct bundle *b,
                         const struct policy *policy, int64_t now);
void collateral_plan_clear(struct collateral_plan *plan);

/* The `issuer` that collateral_check() takes for a need whose own is -1. */
bytes collateral_plan_issuer(const struct collateral_plan *plan, size_t need);

/* What collateral_request() takes. */
bytes collateral_plan_asked(const struct collateral_plan *plan, size_t need);

/* ---- from a service ---- */

/* "TCB_INFO" and so on as a word for logs; a static text in lower case. */
const char *collateral_kind_word(enum collateral_kind kind);
enum collateral_service collateral_service_of(enum collateral_kind kind);
size_t collateral_body_max(enum collateral_kind kind); /* bytes of an answer */

/* The header field of an answer that is wanted besides its body, or NULL. */
const char *collateral_header(enum collateral_kind kind);

/* Appends the URL. base is a service's, such as COLLATERAL_INTEL_BASE; a slash at its end does not
 * matter, and one that ends in /sgx/certification/v4 is taken as the one without. ERR_LIMIT. */
err collateral_url(struct buf *out, bytes base, const struct collateral_need *need);

/* Appends what is sent there, by POST, and returns its media type; NULL for what is got by GET. */
err collateral_request(struct buf *out, const struct collateral_need *need, bytes asked,
                       const char **media);

/* Belongs to one look: not kept over a restart, and used for COLLATERAL_FLEETING_S at most. */
bool collateral_is_fleeting(enum collateral_kind kind);

/* A piece in the form it is kept and used in. Borrowed. */
struct collateral_piece {
    bytes
        body; /* JSON as received; CRLs, VCEK and OCSP in DER; a chain in PEM; a manifest in XML */
    bytes chain; /* PEM; only of TCB info and QE identity */
};

/* Turns an answer into that form: a list in hex or PEM or a certificate in PEM, as caches have them, into
 * DER; a percent-encoded chain into PEM; a manifest out of its JSON. ERR_MALFORMED, ERR_LIMIT. */
err collateral_take(enum collateral_kind kind, bytes body, bytes header, struct buf *body_out,
                    struct buf *chain_out);

/* A revocation list in PEM or hex, as tools and caches save them, becomes one in DER; anything else
 * stays as it is. For files that somebody names without saying what they are. ERR_NOMEM. */
err collateral_list_as_der(struct buf *part);

/* Is it what the need asks for, signed by whom it must be, and valid at that time? issuer: see
 * collateral_need. *expires is then the first date that passes, in Unix seconds. ERR_STALE: a date.
 * ERR_UNTRUSTED, ERR_CRYPTO, ERR_MALFORMED, ERR_UNSUPPORTED, ERR_LIMIT: anything else. */
err collateral_check(const struct collateral_need *need, const struct collateral_piece *piece,
                     bytes issuer, int64_t now, int64_t *expires);

/* When a piece is to be fetched anew, although it still holds: what tells of revocation and of new
 * levels after half a day, and all of it before it expires. */
int64_t collateral_refresh_at(enum collateral_kind kind, int64_t fetched_at, int64_t expires);

/* ---- kept ---- */

/* A deterministic CBOR map {"key", "body", "kind", "chain", "version", "expires_at", "fetched_at"}.
 * Dates are Unix seconds. Whoever reads one has to check it again: it proves nothing. */
struct collateral_entry {
    bytes key;
    bytes body;
    bytes kind; /* collateral_kind_word() */
    bytes chain;
    uint64_t version;
    uint64_t expires_at;
    uint64_t fetched_at;
};

err collateral_entry_write(struct buf *out, const struct collateral_entry *entry);

/* All of in. ERR_UNTRUSTED: it is an entry of something else than the need. */
err collateral_entry_read(bytes in, const struct collateral_need *need,
                          struct collateral_entry *out);

/* ---- together ---- */

/* Appends the whole collateral for the verifier of b's platform: what the bundle carries, completed
 * by one piece per need of its plan. Nothing when the CPU's evidence needs nothing. */
err collateral_join(struct buf *out, const struct collateral_plan *plan, const struct bundle *b,
                    const struct collateral_piece *pieces);

/* The same for the GPUs' (attest/nvgpu_bundle.h), without what the bundle carries. At most
 * COLLATERAL_GPU_MAX and a little. */
err collateral_join_gpu(struct buf *out, const struct collateral_plan *plan,
                        const struct collateral_piece *pieces);

/* Appends TDX collateral of which a part is left out (empty), such as all but the logs. For bundles
 * whose collateral somebody else completes; no verifier accepts it as it is. */
err collateral_write_partial(struct buf *out, const struct tdx_collateral *c);
