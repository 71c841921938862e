/*
 * attest/verdict.h - what a verification found out.
 *
 * Zero is "refused, nothing checked". Every check is listed, in the order they are made; after the
 * first one that fails the rest are listed as skipped. A skipped check never counts as passed.
 */
#pragma once

#include <stdint.h>

#include "attest/reason.h"
#include "base/buf.h"

enum verdict_status { VERDICT_SKIP = 0, VERDICT_PASS, VERDICT_FAIL };

/* How much stands behind it. */
enum trust_level {
    TRUST_NONE = 0,
    TRUST_SIMULATED, /* nothing */
    TRUST_ENROLLED,  /* the word of who holds a key that was enrolled */
    TRUST_VOUCHED,   /* a cloud's word on its own machines */
    TRUST_HARDWARE   /* a vendor's keys in the hardware */
};

/* The checks, in their fixed order. */
#define VERDICT_CHECK_LIST(X)                                                                      \
    X(FORM, "form")                 /* bundle, claims and evidence are well-formed */              \
    X(SIGNATURE, "signature")       /* vendor's signature and chain */                             \
    X(BINDING, "binding")           /* report data = identity, nonce, claims, GPU evidence */      \
    X(IDENTITY, "identity")         /* is the identity the caller asked about */                   \
    X(NONCE, "nonce")               /* is the nonce the caller sent */                             \
    X(DEBUG, "debug")               /* not a debug TEE */                                          \
    X(TCB, "tcb")                   /* firmware and microcode levels */                            \
    X(GPU, "gpu")                   /* GPU evidence */                                             \
    X(FRESHNESS, "freshness")       /* age of the evidence */                                      \
    X(PLATFORM, "platform")         /* the policy names the platform */                            \
    X(MEASUREMENTS, "measurements") /* registers against the policy's values */                    \
    X(OPERATOR, "operator")         /* operator key */                                             \
    X(MODEL, "model")               /* model manifest digest */                                    \
    X(WORKER, "worker")             /* worker name */                                              \
    X(SOFTWARE, "software")         /* software version */                                         \
    X(STATEMENT, "statement")       /* key statement: form, signature, same worker */              \
    X(DATES, "dates")               /* key statement: within its dates */

enum verdict_check_id {
#define X(name, word) VERDICT_##name,
    VERDICT_CHECK_LIST(X)
#undef X
        VERDICT_CHECKS
};

enum {
    VERDICT_REGISTERS_MAX = 32,
    VERDICT_REGISTER_LEN_MAX = 64,
    VERDICT_RULES_MAX = 68,
    VERDICT_DIGEST_LEN = 32,
    VERDICT_KEY_LEN = 32,
    VERDICT_EHBP_KEY_MAX = 64,
    VERDICT_NAME_MAX = 64
};

/* All strings are static: fit for logs and metric labels. */
struct verdict_check {
    enum verdict_status status;
    const char *name;     /* "measurements" */
    const char *reason;   /* one word, such as "mismatch"; of a passed check "ok" */
    const char *sentence; /* for people */
    const char *advice;   /* what to do about it; empty for a passed one */
    const char *subject;  /* NULL, or the register that did not match */
};

struct verdict_register {
    const char *name; /* static: "pcr0" */
    size_t len;
    uint8_t value[VERDICT_REGISTER_LEN_MAX];
};

/* GPU evidence that the CPU's covers. */
struct verdict_gpu {
    uint32_t gpus; /* 0, and all else zero: there is none */
    uint32_t switches;
    uint8_t digest[VERDICT_DIGEST_LEN]; /* SHA-256 of it */
};

/* A rule of the policy beside what the evidence says. */
struct verdict_rule {
    const char *name; /* static: "pcr0", "worker_names" */
    enum verdict_status status;
    enum reason reason;
    uint16_t met; /* which of the policy's values, from 1; 0: none */
    uint16_t of;  /* how many it names */
};

struct verdict {
    bool accepted;
    enum trust_level trust; /* TRUST_NONE unless accepted */
    struct verdict_check checks[VERDICT_CHECKS];

    /* For people and logs. Known once `signature` passed, also when refused later. */
    const char *platform; /* static; NULL when not known */
    struct verdict_register registers[VERDICT_REGISTERS_MAX];
    size_t registers_n;
    int64_t evidence_at; /* Unix seconds by the evidence; 0 when it does not say */

    /* Those about registers once `signature` passed, those about claims once `binding` did. */
    struct verdict_rule rules[VERDICT_RULES_MAX];
    size_t rules_n;

    /* Only when accepted; else zero. Claims that are absent are zero or empty too. */
    uint8_t identity[VERDICT_KEY_LEN];
    uint8_t document_digest[VERDICT_DIGEST_LEN]; /* SHA-256 of the evidence document */
    uint8_t manifest_digest[VERDICT_DIGEST_LEN];
    uint8_t operator_key[VERDICT_KEY_LEN];
    char worker[VERDICT_NAME_MAX + 1];
    char software[VERDICT_NAME_MAX + 1];
    struct verdict_gpu gpu;

    /* Only when accepted, and only from a bundle (an evidence document has no key statement). */
    struct buf key_list; /* owned */
    uint8_t ehbp_key[VERDICT_EHBP_KEY_MAX];
    size_t ehbp_key_len; /* 0: it names none */
    int64_t not_before;
    int64_t not_after;
    uint64_t generation;
};

/* Releases what it owns; it is zero, so refused, afterwards. */
void verdict_clear(struct verdict *v);

/* The check that failed, or NULL. Of a zero verdict NULL as well: look at `accepted`. */
const struct verdict_check *verdict_failure(const struct verdict *v);

/* The register of that name, or an empty view. */
bytes verdict_register(const struct verdict *v, const char *name);

const char *verdict_check_name(enum verdict_check_id id); /* "form" */
const char *verdict_status_word(enum verdict_status s);   /* "skip", "pass", "fail" */
const char *trust_word(enum trust_level t);               /* "none", "simulated", "enrolled", ... */

/* Readable text, one line per check with its reason, the registers, and what to do about a failure.
 * Ends with a newline. Loud when simulated. */
err verdict_explain(const struct verdict *v, struct buf *out);

/* The same as one JSON object. */
err verdict_json(const struct verdict *v, struct buf *out);

/* The rules alone, in both forms; nothing when there are none. */
struct json_out;
err verdict_rules_explain(const struct verdict_rule *rules, size_t n, struct buf *out);
void verdict_rules_json(const struct verdict_rule *rules, size_t n, struct json_out *j);
