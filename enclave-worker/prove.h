/*
 * enclave-worker/prove.h - evidence for whoever asks, and the one document that receipts refer to.
 *
 * Asking a TEE for evidence may block, so a thread of its own does it, one question after the other.
 * At start one document is made for a nonce of our own; its digest is the receipts'
 * attestation_doc_hash, and its registers, read back out of the document, are the receipts'
 * measurements.
 */
#pragma once

#include "attest/attester.h"
#include "attest/verdict.h"
#include "base/loop.h"

struct prove;
struct prove_job;
struct gpu;
struct signing_key;

enum {
    PROVE_JOBS_MAX = 64,        /* questions waiting; more are ERR_LIMIT */
    PROVE_PER_SECOND = 20,      /* questions accepted in a second, in the long run */
    PROVE_EACH_PER_SECOND = 10, /* of each asker; see enclave-worker/share.h */
};

struct prove_settings {
    struct attester *attester;          /* taken, also on failure */
    const struct signing_key *identity; /* must outlive it */
    bytes claims;                       /* encoded; copied */
    const struct gpu *gpu;              /* NULL: none; must outlive it */
};

/* ERR_UNTRUSTED: the TEE's own document does not hold, even in its own eyes; *message (NULL: not
 * wanted) then says what is wrong with it. Else as the attester: ERR_UNAVAILABLE when the platform
 * does not answer. */
err prove_new(struct prove **out, struct loop *loop, const struct prove_settings *settings,
              struct buf *message);

/* Waits for the question that is being answered, and delivers what was posted to the loop, which must
 * not be running. NULL is allowed. */
void prove_free(struct prove *p);

/* The evidence document of this worker, its SHA-256, and what its evidence says. */
bytes prove_document(const struct prove *p);
const uint8_t *prove_digest(const struct prove *p);
const struct verdict *prove_verdict(const struct prove *p);

/* Called on the loop with an evidence document for the nonce, borrowed for the time of the call. */
typedef void prove_fn(void *owner, err e, bytes document);

/* ERR_LIMIT when there are too many questions, or too many of this asker, whom any number tells apart;
 * ERR_MALFORMED for a nonce of a wrong length. */
err prove_ask(struct prove *p, uint64_t asker, bytes nonce, prove_fn *fn, void *owner,
              struct prove_job **out);

/* fn will not be called. */
void prove_forget(struct prove_job *job);
