/*
 * attest/verify.h - bytes from a worker, a policy and a time in; a verdict out.
 *
 * The checks and their order are those of VERDICT_CHECK_LIST: form, the vendor's signature and
 * chain, binding to identity and nonce, debug and TCB, freshness, policy, then the key statement's
 * signature and dates. Nothing is fetched, nothing is remembered; the same arguments give the same
 * verdict for ever. Keys leave only in an accepted verdict.
 */
#pragma once

#include "attest/bundle.h"
#include "attest/policy.h"
#include "attest/verdict.h"

struct verify_settings {
    const struct policy *policy; /* NULL refuses everything */
    int64_t now;                 /* Unix seconds */
    bytes nonce;                 /* what was sent to this worker; empty refuses unless any_nonce */
    bytes identity;              /* must be this key; empty: any */

    /* From elsewhere, in the platform's form (attest/collateral.h): takes the place of what the bundle
     * carries. It counts for the checks only, the document's digest covers what the worker sent. */
    bytes collateral;
    bytes gpu_collateral; /* the same for GPU evidence, but beside what that carries */

    /* For documents that are looked at later, offline. The checks are then listed as skipped. */
    bool any_nonce;
    bool any_age; /* evidence from the future is refused all the same */

    /* Certificates and tokens are judged at the time that the evidence is signed with, if that is past:
     * a Nitro document's last for three hours, one of Confidential Space for one. For documents of an
     * identity that other, fresh evidence has proved, and for looking back: a signer's key that came
     * out after its end could date a document back. */
    bool own_time;
};

/*
 * Verifies a bundle (attest/bundle.h). *out need not be initialised and is always set; give it to
 * verdict_clear(). The outcome is out->accepted; an err means only that it could not be worked out
 * (ERR_NOMEM, ERR_INTERNAL), and the verdict is then a refusal.
 */
err attest_verify(bytes bundle, const struct verify_settings *settings, struct verdict *out);

/* The same for an evidence document: the two checks of the key statement are listed as skipped and
 * the verdict carries no keys to seal to. out->document_digest is what a receipt must name. */
err attest_verify_document(bytes document, const struct verify_settings *settings,
                           struct verdict *out);

/* The same for evidence whose companions came some other way; key_statement is ignored. */
err attest_verify_evidence(const struct bundle *parts, const struct verify_settings *settings,
                           struct verdict *out);
