/*
 * gateway/quarantine.h - why a worker is not in use, as one word of a closed set.
 *
 * The same word stands in the log, in metrics and in /v1/attestation. Pure.
 */
#pragma once

#include "attest/verdict.h"
#include "base/log.h"

/* Besides the checks of a verdict, by whose names they are called. */
#define QUARANTINE_LIST(X)                                                                         \
    X(NONE, "none")               /* in use, or nobody is there */                                 \
    X(NOT_ASKED, "not_asked")     /* not yet, or there is no policy in force */                    \
    X(UNREACHABLE, "unreachable") /* no connection, or it broke */                                 \
    X(TIMEOUT, "timeout")                                                                          \
    X(MALFORMED, "malformed")   /* an answer that is none */                                       \
    X(COLLATERAL, "collateral") /* its vendor's, or its document, cannot be judged now */          \
    X(OTHER, "other")           /* trouble of ours */

enum quarantine {
#define X(name, word) QUARANTINE_##name,
    QUARANTINE_LIST(X)
#undef X
        QUARANTINE_CHECK, /* and one for each check of a verdict, that one failed */
    QUARANTINE_REASONS = QUARANTINE_CHECK + VERDICT_CHECKS
};

/* Label values. */
extern const char *const quarantine_words[QUARANTINE_REASONS];
struct word quarantine_word(enum quarantine reason);

/* There is no verdict. */
enum quarantine quarantine_of(err trouble);
/* Of one that does not accept: the last check that failed, as the others depend on those before. */
enum quarantine quarantine_of_verdict(const struct verdict *v);

/* The evidence proves nothing of anybody, whatever the policy. */
bool quarantine_is_false(const struct verdict *v);
