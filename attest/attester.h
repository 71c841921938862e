/*
 * attest/attester.h - makes evidence inside a TEE. One kind per platform.
 *
 * The worker asks its attester for an evidence document per nonce and joins the present key
 * statement to it with bundle_join(). May block (the kernel or a quoting service is asked), so it
 * is called off the loop's thread, one call at a time.
 */
#pragma once

#include "attest/binding.h"
#include "attest/bundle.h"
#include "attest/verdict.h"

struct attester;

/* What a platform may need besides the report data; Nitro signs all three. */
struct attester_ask {
    const uint8_t *report_data; /* BINDING_LEN bytes */
    bytes identity;
    bytes nonce;
    int64_t now;
};

struct attester_kind {
    const char *platform;
    enum trust_level trust;

    /* Appends the platform's document over ask->report_data, and collateral if it has some. Called
     * by attester_document() only. ERR_UNAVAILABLE when the platform cannot answer now. */
    err (*quote)(struct attester *a, const struct attester_ask *ask, struct buf *evidence,
                 struct buf *collateral);

    /* Called once, by attester_free(). */
    void (*free)(struct attester *a);
};

/* Embedded in each platform's own struct. */
struct attester {
    const struct attester_kind *kind;
};

/* Appends an evidence document for this identity, nonce and encoded claims. now is Unix seconds. */
struct attester_subject {
    bytes identity;
    bytes nonce;
    bytes claims;
};
err attester_document(struct attester *a, const struct attester_subject *subject, int64_t now,
                      struct buf *out);

/* The same with GPU evidence, which was collected before for nvgpu_nonce() of this nonce and identity
 * (attest/nvgpu_bundle.h) and which the report data covers. Empty: none. */
err attester_document_with_gpu(struct attester *a, const struct attester_subject *subject,
                               bytes gpu_evidence, int64_t now, struct buf *out);

/* NULL is allowed. */
void attester_free(struct attester *a);
