/*
 * attest/tdx_verify.h - is this quote from a genuine, current TD, and what does it say?
 *
 * A pure function of the quote, its collateral, the rules and a time. Every check that can be made
 * is made, whatever failed before, so that all that is wrong is listed at once and a lax policy can
 * be studied on the same evidence; `accepted` needs all of them to pass. What the quote binds
 * (report data) and its registers are not compared here.
 *
 * Choices where others are possible:
 *   - behind the signature data zero bytes are accepted (buffers of a fixed size), others refuse;
 *   - the quote must carry the whole PCK chain, leaf, CA, pinned root, in that order: a chain
 *     without its root is refused, although the root is known, because no genuine quote lacks it;
 *   - certificates are accepted as PEM only (certification data type 5);
 *   - of a TD 1.5 both TEE_TCB_SVN and TEE_TCB_SVN2 are evaluated: the status is that of the
 *     launch, made worse where the present module's is Revoked or not known; `relaunch_advised`
 *     tells that only the launch is out of date;
 *   - advisories and the TCB date are of the levels that decided: those of the platform first, then
 *     of the module and the quoting enclave, each advisory once.
 */
#pragma once

#include "attest/event_log.h"
#include "attest/tdx_collateral.h"
#include "attest/tdx_parse.h"
#include "attest/tdx_pck.h"
#include "attest/tdx_tcb.h"
#include "attest/verdict.h"
#include "crypto/x509.h"

struct tdx_policy;

/* "CN=Intel SGX Root CA, O=Intel Corporation, L=Santa Clara, ST=CA, C=US", 2018-05-21 to
 * 2049-12-31. From https://certificates.trustedservices.intel.com/; SHA-256 of the certificate. */
extern const struct x509_root tdx_intel_root;

enum { TDX_ADVISORIES_MAX = 96, TDX_ADVISORY_LEN_MAX = 31, TDX_ROOTS_MAX = X509_ROOTS_MAX };

struct tdx_input {
    bytes quote;
    const struct tdx_collateral *collateral; /* NULL: there is none, which refuses */
    const struct tdx_policy *policy;         /* NULL: the strictest */
    int64_t now;                             /* Unix seconds */
};

struct tdx_advisory {
    char id[TDX_ADVISORY_LEN_MAX + 1];
};

/* Large: not for the stack. Borrows from the quote only. Values are what the evidence says; they
 * are proved when the checks they come from passed. */
struct tdx_result {
    bool accepted;
    struct tdx_faults faults;
    enum verdict_status checks[TDX_CHECKS];

    struct tdx_quote quote;
    bool qe_known; /* the QE report could be read */
    uint16_t qe_isvsvn;
    uint16_t qe_isvprodid;
    bool pck_known; /* from a verified chain */
    struct tdx_pck pck;

    /* From verified collateral; TDX_STATUS_NONE: not known. */
    char module_id[8]; /* "TDX_01"; "v0" for the module of version 0; empty: not known */
    enum tdx_status module_status; /* none for the module of version 0 */
    enum tdx_status qe_status;
    enum tdx_status platform_status;
    enum tdx_status status; /* all three together */
    bool relaunch_advised;
    char tcb_date[24];
    struct tdx_advisory advisories[TDX_ADVISORIES_MAX];
    size_t advisories_n;
    uint64_t evaluation; /* the lower of the two numbers */
    int64_t expires; /* Unix seconds: the first of the collateral's dates to pass; 0: not known */

    bool log_replayed; /* a log explains the registers */
};

/* Which platform made a quote, for those who fetch collateral for it: from its PCK certificate,
 * whose chain has to hold at that time. `processor` tells whose list of revoked certificates it is:
 * that of the Processor CA, else of the Platform CA. ERR_MALFORMED, ERR_UNTRUSTED. */
err tdx_quote_platform(bytes quote, int64_t now, struct tdx_pck *out, bool *processor);

/* *out is always set. An err means only that it could not be worked out (ERR_NOMEM, ERR_INTERNAL),
 * and the result is then a refusal. */
err tdx_verify(const struct tdx_input *input, struct tdx_result *out);
