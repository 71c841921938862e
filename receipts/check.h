/*
 * receipts/check.h - is this receipt good? A list of named findings, and one verdict.
 *
 * Layers: 1 form, 2 signature, 3 claims, 4 policy. Once layer 1 gave claims all layers run, so that
 * one report can name several faults. (verified, layer) is the contract; codes are those of the AIR
 * specification where it has one. A pure function of its arguments: no clock, no I/O. Whether the
 * evidence behind the key is genuine is not asked here.
 */
#pragma once

#include "receipts/air.h"

enum { FINDING_CODE_MAX = 96, FINDING_DETAIL_MAX = 64, FINDINGS_MAX = 32 };

enum finding_status { FINDING_SKIP = 0, FINDING_PASS, FINDING_FAIL };

struct finding {
    const char *check; /* "SIG", a literal */
    enum finding_status status;
    int layer;
    char code[FINDING_CODE_MAX]; /* on failure; a foreign value in it is cut and made printable */
    char detail[FINDING_DETAIL_MAX]; /* on failure, may be empty */
};

/* An empty or zero field asks nothing, except where it says so. All borrowed. */
struct air_policy {
    int64_t now;           /* Unix seconds; 0: no clock, so no date is checked */
    uint64_t max_age_s;    /* 0: any age. With no clock a limit here fails as CLOCK_ERROR */
    uint64_t clock_skew_s; /* how far iat may lie ahead of now; checked whatever max_age_s is */
    bytes model_hash;      /* 32 bytes; so are the next three */
    bytes request_hash;
    bytes response_hash;
    bytes attestation_doc_hash;
    bytes model_id;
    bytes security_mode;
    bool allow_evaluation; /* false: evaluation is refused unless security_mode asks for it */
    bytes platform;        /* a measurement type; "any" asks nothing */
    bytes nonce;
    bool require_nonce;      /* some nonce must be there, even if `nonce` is empty */
    bool require_provenance; /* refuse all-zero request and document hashes and first register */
    bool (*seen)(void *owner, const uint8_t cti[static AIR_CTI_LEN]); /* true: a replay */
    void *owner;
};

struct air_report {
    struct finding findings[FINDINGS_MAX];
    size_t n;
    bool verified;            /* false until every critical check passed and none failed */
    bool has_claims;          /* claims below may be shown; only to be believed when verified */
    int failed_layer;         /* of the first failure; 0: none */
    struct air_claims claims; /* borrowed from the receipt */
};

/* key: the 32 bytes of the Ed25519 public key. policy NULL: nothing asked (evaluation refused). */
void air_check(bytes receipt, bytes key, const struct air_policy *policy, struct air_report *out);

/* The finding of that check, or NULL. */
const struct finding *air_report_find(const struct air_report *report, const char *check);

/* One word for a log line: the first failure's check, or "verified". */
const char *air_report_word(const struct air_report *report);

/* What a code means and what to do about it, for people; by the part before ':'. Never NULL. */
struct finding_help {
    const char *code;
    const char *why;
    const char *fix;
};
const struct finding_help *finding_help(const char *code);

/* One line per finding and what it asks, failures with why and fix, and a verdict line at the end. */
err air_report_text(struct buf *out, const struct air_report *report);

/* {"verified":bool,"failed_layer":n|null,"findings":[{check,layer,status,code,detail,why,fix}],
 * "claims":{...}|null} */
err air_report_json(struct buf *out, const struct air_report *report);
