/* attest/appraise_parts.h - what the files of attest/appraise.h share; for nobody else. */
#pragma once

#include "attest/appraise.h"
#include "attest/binding.h"
#include "attest/bundle.h"
#include "attest/snp_table.h"
#include "attest/tdx_collateral.h"
#include "attest/verifier.h"

/* One appraisal under way. */
struct appraise_work {
    const struct appraise_settings *settings;
    struct appraisal *out;
    bytes evidence;             /* of the vendor */
    bool accepted;              /* the vendor's verifier said so */
    bool data_known;            /* report data could be read */
    bytes report_data;          /* or Nitro's user data; borrows from evidence */
    uint8_t bound[BINDING_LEN]; /* where report_data may point */
    int64_t evidence_at;        /* Unix seconds; 0: the evidence does not say */
    struct buf frame;           /* owned; collateral in the form that attest/verifier.h takes */
};

typedef err appraise_vendor(struct appraise_work *w);

void appraise_check(struct appraise_work *w, const struct appraise_check *check);
/* The same with a word of attest/reason.h. */
void appraise_note(struct appraise_work *w, const char *name, enum appraise_answer part,
                   enum verdict_status status, enum reason why);

/* Empty values are left out. */
err appraise_field_hex(struct appraise_work *w, const char *name, bytes value);
err appraise_field_text(struct appraise_work *w, const char *name, bytes value);
err appraise_field_u64(struct appraise_work *w, const char *name, uint64_t value);

/* After frame was written: what is too large for it is no collateral there. */
err appraise_frame(struct appraise_work *w, err written);

/* Compares with the policy what any evidence can meet; only with a policy, after the vendor's. */
err appraise_by_policy(struct appraise_work *w);

/* A Sealgate document or bundle. */
err appraise_sealgate(struct appraise_work *w);

/* The vendor's checks for the verifier's word of a platform; NULL: none here. */
appraise_vendor *appraise_vendor_of(bytes platform);

/* A vendor's evidence: its checks, its fields, what it binds. */
appraise_vendor appraise_tdx;
appraise_vendor appraise_snp;
appraise_vendor appraise_nitro;

/* --- collateral, told apart by structure (appraise_gather.c) --- */

/* False when a part is none that this platform knows, or is there twice, or something is missing;
 * *why then says which. */
bool appraise_gather_tdx(const struct appraise_settings *s, struct tdx_collateral *out,
                         enum reason *why);

/* ERR_NOMEM apart, *why is REASON_PASSED or what is wrong with a part. Give *out to
 * snp_collateral_clear(). table: what stood behind the report. */
err appraise_gather_snp(const struct appraise_settings *s, bytes table, struct snp_collateral *out,
                        enum reason *why);
