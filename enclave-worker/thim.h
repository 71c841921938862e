/*
 * enclave-worker/thim.h - the certificates of an Azure VM's SNP report, as Azure itself serves them to
 * the VM (Trusted Hardware Identity Management, http://169.254.169.254/metadata/THIM/amd/certification,
 * header `Metadata: true`): JSON with vcekCert and certificateChain in PEM.
 *
 * Nothing of the answer is believed here: gateways verify it like a table from the host, and fetch
 * from AMD what is missing. So no answer is no failure; evidence then goes without certificates.
 */
#pragma once

#include "attest/snp_parse.h"
#include "base/buf.h"
#include "base/log.h"

struct thim;

enum {
    THIM_ANSWER_MAX = 64 * 1024, /* genuine ones: 6 KiB */
    THIM_PATIENCE_MS = 3000,
    THIM_FRESH_S = 24 * 3600, /* certificates are asked for anew after this, */
    THIM_PAUSE_S = 60         /* and where there was no answer, not before this */
};

/* url: http://..., copied; ERR_CONFIG for anything else. log: borrowed. */
err thim_new(struct thim **out, const char *url, struct log *log);
void thim_free(struct thim *t); /* NULL is allowed */

/* A snp_collateral_fn (attest/snp_attest.h) whose owner is the struct thim. Asks when there are no
 * certificates yet, they are old, or the report is of another chip or patch level; appends a table
 * (attest/snp_table.h), or nothing. Blocks for THIM_PATIENCE_MS at most; one caller at a time.
 * ERR_NOMEM. */
err thim_collateral(void *thim, bytes report, bytes table, int64_t now, struct buf *out);

/* Appends the table of an answer's certificates. ERR_STALE: they are of another level (tcbm) than the
 * one that the report was signed at, as after an update of the host's firmware. ERR_MALFORMED: no such JSON,
 * or no certificates. ERR_TRUNCATED: one has no end. ERR_LIMIT: too many of them, or too large. */
err thim_read(bytes answer, const struct snp_tcb *reported, struct buf *table);
