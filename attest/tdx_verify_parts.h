/*
 * attest/tdx_verify_parts.h - what the files of the TDX verification share. For
 * attest/tdx_verify.c, attest/tdx_levels.c and attest/tdx_logs.c only.
 */
#pragma once

#include "attest/tdx_verify.h"
#include "crypto/crl.h"
#include "crypto/pem.h"

struct tdx_work {
    const struct tdx_input *input;
    const struct tdx_policy *policy; /* never NULL */
    struct tdx_result *result;
    struct x509_root roots[TDX_ROOTS_MAX];
    size_t roots_n;
    struct pem_certs pck_certs;
    struct x509_chain *pck; /* NULL: not trusted */
    struct tdx_qe_report qe;
    struct crl *root_crl; /* NULL: not to be believed */
    struct crl *pck_crl;
    struct x509_chain *tcb_signer;
    struct x509_chain *qe_signer; /* may be the same one */
    struct tdx_tcb_info *tcb;     /* NULL: not to be believed */
    struct tdx_qe_identity *identity;
};

void tdx_fault(struct tdx_work *w, enum tdx_fault f);
bool tdx_fault_if(struct tdx_work *w, bool wrong, enum tdx_fault f); /* gives back wrong */

/* Without faults the check counts as passed from here on. */
void tdx_reached(struct tdx_work *w, enum tdx_check check);

/* An err to pass on, not to note. */
bool tdx_is_fatal(err e);

/* Collateral has to be renewed at that time. */
void tdx_expires(struct tdx_work *w, int64_t at);

/* The chain of who signed TCB info or QE identity; *out stays NULL when it is not trusted. */
err tdx_check_signer(struct tdx_work *w, bytes pem, struct x509_chain **out);

/* TCB info, QE identity, levels, status and advisories. */
err tdx_check_collateral(struct tdx_work *w);

/* The logs that came along, against the registers and the policy. */
err tdx_check_logs(struct tdx_work *w);
bool tdx_log_expected(const struct tdx_policy *p);
