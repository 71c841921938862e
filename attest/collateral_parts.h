/*
 * attest/collateral_parts.h - what the files of attest/collateral share. For attest/collateral.c,
 * attest/collateral_tdx.c and attest/collateral_snp.c only.
 */
#pragma once

#include "attest/collateral.h"
#include "crypto/pem.h"
#include "crypto/x509.h"

/* Something that is not as it must be, as opposed to memory that ran out. */
bool collateral_is_fault(err e);

/* The next need of a plan, with what is printed for its key and path. */
err collateral_want(struct collateral_plan *plan, enum collateral_kind kind, int issuer,
                    const struct buf *key, const struct buf *path);

/* Certificates in PEM, or one in DER. For pem_clear() whatever comes back. */
err collateral_certs(struct pem_certs *out, bytes in);

/* Brings *expires down to the end of the chain's first certificate to expire. */
err collateral_chain_expires(const struct x509_chain *chain, int64_t *expires);

/* A whole list of the issuer (DER) that is current. */
err collateral_check_crl(bytes list, bytes issuer, int64_t now, int64_t *expires);

typedef err collateral_check_fn(const struct collateral_need *need,
                                const struct collateral_piece *piece, bytes issuer, int64_t now,
                                int64_t *expires);
collateral_check_fn collateral_check_tcb_info, collateral_check_qe_identity,
    collateral_check_pck_crl, collateral_check_root_crl, collateral_check_snp_chain,
    collateral_check_snp_crl, collateral_check_snp_vcek, collateral_check_nvgpu_ocsp,
    collateral_check_nvgpu_rim, collateral_check_nvgpu_jwks, collateral_check_nvgpu_nras;

err collateral_plan_tdx(struct collateral_plan *out, const struct bundle *b, int64_t now);
err collateral_join_tdx(struct buf *out, const struct collateral_plan *plan, const struct bundle *b,
                        const struct collateral_piece *pieces);
err collateral_plan_snp(struct collateral_plan *out, const struct bundle *b, int64_t now);
err collateral_join_snp(struct buf *out, const struct collateral_plan *plan, const struct bundle *b,
                        const struct collateral_piece *pieces);

/* A no-op without a policy for GPUs or without their evidence. */
err collateral_plan_nvgpu(struct collateral_plan *out, const struct bundle *b,
                          const struct policy *policy, int64_t now);

/* The keys of NVIDIA's service and its answer about the GPUs, of that chip. ERR_UNSUPPORTED: it knows
 * no such chips. */
err collateral_plan_nras(struct collateral_plan *plan, const struct nvgpu_bundle *b, bytes chip,
                         bytes nonce);
err collateral_request_nvgpu_ocsp(struct buf *out, bytes pair);

/* The manifest in an answer of the RIM service, or the answer itself when it is XML. */
err collateral_take_nvgpu_rim(bytes body, struct buf *out);

/* The piece for the need of that kind, or NULL. */
const struct collateral_piece *collateral_piece_of(const struct collateral_plan *plan,
                                                   const struct collateral_piece *pieces,
                                                   enum collateral_kind kind);
