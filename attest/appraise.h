/*
 * attest/appraise.h - one report about any evidence this program can judge, for people and scripts.
 *
 * For the command line and the gateway's page: vendor evidence as the vendor made it, or a Sealgate
 * evidence document or bundle, with or without a policy. Nothing on the way of a prompt uses this:
 * that is attest/verify.h. Nothing is fetched, nothing is remembered.
 *
 *     tdx       a quote; collateral: attest/tdx_collateral.h as one, or its parts: TCB info, QE
 *               identity (JSON), their issuer chain (PEM; two: in that order), both lists (DER)
 *     snp       a report, with the host's certificate table behind it if there is one; collateral:
 *               such a table, or certificates (DER or PEM) and the list of the ARK (DER)
 *     nitro     a document; it has all of its certificates inside
 *     sealgate  attest/bundle.h, either form; the collateral is inside
 *
 * Which of these it is, is told by its first bytes, never by trying which verifies. What a part of
 * the collateral is, likewise.
 *
 * VERIFIED: every check passed, apart from those that nobody asked for or that the platform does
 * not have. Without a policy that means genuine hardware in a good state by the platform's strict
 * defaults, and says nothing about which program runs in it. REFUSED: some check failed.
 * NOT_DECIDED: nothing failed, but something needed to decide is not there. Simulated evidence is
 * never verified without a policy that names it.
 */
#pragma once

#include "attest/policy.h"
#include "attest/verdict.h"

enum appraise_platform {
    APPRAISE_AUTO = 0,
    APPRAISE_TDX,
    APPRAISE_SNP,
    APPRAISE_NITRO,
    APPRAISE_SEALGATE,
    APPRAISE_PLATFORMS
};

enum appraise_outcome { APPRAISE_NOT_DECIDED = 0, APPRAISE_REFUSED, APPRAISE_VERIFIED };

/* The questions that are answered one by one. */
enum appraise_answer {
    APPRAISE_ANSWER_PLATFORM = 0, /* genuine hardware, in a state that is accepted */
    APPRAISE_ANSWER_USER_DATA,    /* carries exactly the user data expected */
    APPRAISE_ANSWER_CHAIN,        /* certificates lead to a pinned root, none is revoked */
    APPRAISE_ANSWER_FRESHNESS,    /* its age, where the evidence tells it */
    APPRAISE_ANSWERS
};

enum {
    APPRAISE_EVIDENCE_MAX = 1024 * 1024,
    APPRAISE_COLLATERAL_MAX = 16, /* parts */
    APPRAISE_CHECKS_MAX = 64,
    APPRAISE_FIELDS_MAX = 80,
    APPRAISE_VALUE_MAX = 4096,
    APPRAISE_TEXT_MAX = 256 * 1024 /* of what the writers append */
};

struct appraise_settings {
    enum appraise_platform platform; /* APPRAISE_AUTO: by its first bytes */
    bytes collateral[APPRAISE_COLLATERAL_MAX];
    size_t collateral_n;
    const struct policy *policy; /* NULL: the platforms' strict defaults, any measurements */
    bool ask_user_data;
    bytes user_data;   /* TDX, SNP: report data, all 64 bytes; Nitro: the field user_data */
    int64_t max_age_s; /* 0: any; evidence from the future is refused all the same */
    int64_t now;       /* Unix seconds */
};

/* All strings are static. */
struct appraise_check {
    const char *name;
    enum verdict_status status;
    const char *reason;
    const char *sentence;
    enum appraise_answer part; /* which answer it counts for */
    bool settled;              /* a skip that leaves nothing open */
};

struct appraise_field {
    const char *name; /* static */
    struct buf value; /* owned; text */
};

struct appraise_finding {
    enum verdict_status status;
    const char *reason;
    const char *sentence;
};

/* Zero is "not decided". Large: not for the stack. Field values are what the evidence says: proved
 * only when the answers `platform` and `chain` pass. */
struct appraisal {
    enum appraise_outcome outcome;
    const char *platform; /* static: "tdx", "sev-snp", ...; NULL: not known */
    struct appraise_check checks[APPRAISE_CHECKS_MAX];
    size_t checks_n;
    struct appraise_finding answers[APPRAISE_ANSWERS];
    struct appraise_field fields[APPRAISE_FIELDS_MAX];
    size_t fields_n;
    struct verdict_rule rules[VERDICT_RULES_MAX]; /* of the policy, when there was one */
    size_t rules_n;
    int64_t at; /* judged as of this time */
};

/* *out need not be initialised, is always set, and is for appraise_clear(). An err means only that
 * it could not be worked out (ERR_NOMEM, ERR_INTERNAL); the outcome is then not decided. */
err appraise(bytes evidence, const struct appraise_settings *settings, struct appraisal *out);
void appraise_clear(struct appraisal *a);

/* "auto", "tdx", "snp" or "sev-snp", "nitro", "sealgate". */
bool appraise_platform_read(bytes word, enum appraise_platform *out);

/* By structure; APPRAISE_AUTO when it is none of them. */
enum appraise_platform appraise_recognise(bytes evidence);

const char *appraise_outcome_word(enum appraise_outcome o); /* "not_decided", ... */
const char *appraise_answer_word(enum appraise_answer a);   /* "platform", ... */

/* Readable text, ends with a line feed. */
err appraise_text(const struct appraisal *a, struct buf *out);

/* One JSON object. */
err appraise_json(const struct appraisal *a, struct buf *out);
