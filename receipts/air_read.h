/*
 * receipts/air_read.h - strict reading of a receipt: layer 1, and nothing about trust.
 *
 * Accepts one encoding only, the one air.h emits. What fails is kept apart by check, since a verifier
 * names it; a receipt with a wrong algorithm, content type or key order still gives its claims, so
 * that the later layers can speak as well. Bounded work, no recursion, no memory taken.
 */
#pragma once

#include "crypto/cose.h"
#include "receipts/air.h"

enum { AIR_FAULT_MAX = 64 };

/* The parts of layer 1, in the order they are looked at. */
enum air_part {
    AIR_PART_SIZE,
    AIR_PART_COSE,
    AIR_PART_UNPROTECTED,
    AIR_PART_ALG,
    AIR_PART_CONTENT_TYPE,
    AIR_PART_PAYLOAD,
    AIR_PART_CLAIMS,
    AIR_PART_ENCODING, /* map keys out of order */
    AIR_PARTS
};

enum air_part_state { AIR_PART_NOT_REACHED = 0, AIR_PART_GOOD, AIR_PART_BAD };

struct air_reading {
    struct cose_sign1 parts; /* borrowed from the receipt, as are the claims' texts and registers */
    struct air_claims claims;
    bool has_claims; /* claims may be looked at, even if some part is bad */
    enum air_part_state state[AIR_PARTS];
    /* for a bad part, what exactly: "MISSING_CLAIM:iss", "WRONG_TYPE:iat"; words of ours only */
    char fault[AIR_PARTS][AIR_FAULT_MAX];
};

/* Looks at everything it can reach. Says nothing about the signature. */
void air_read_parts(bytes receipt, struct air_reading *out);

/* The claims of a receipt that passes layer 1 as a whole; else MALFORMED. The signature is NOT
 * checked: for receipts that were verified before, or by check.h. Borrows from receipt. */
err air_read(bytes receipt, struct air_claims *out);
