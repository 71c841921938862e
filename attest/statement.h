/*
 * attest/statement.h - the identity's signed word on which sealing keys are its own, and how long.
 *
 * COSE_Sign1 (RFC 9052), tag 18, Ed25519. Protected header exactly
 * {1: -8, 3: "application/vnd.sealgate.key-statement+cbor"}, unprotected header empty, external
 * data empty. The content type differs from that of receipts, which the same identity signs, and
 * it is under the signature: neither can be taken for the other. Payload: a deterministic CBOR map
 *
 *     "worker"      name  1..64
 *     "ehbp_key"    bytes 1..64    optional; the key configuration that EHBP's clients get, as
 *                                  published
 *     "key_list"    bytes 1..8192  an application/ohttp-keys list, as published
 *     "not_after"   uint           Unix seconds
 *     "generation"  uint           of the key list, counting up from boot
 *     "not_before"  uint           Unix seconds, before not_after
 *
 * Rotation of the sealing keys needs a new statement, never a new quote.
 */
#pragma once

#include <stdint.h>

#include "base/buf.h"

struct signing_key;

enum {
    STATEMENT_WORKER_MAX = 64,
    STATEMENT_KEY_LIST_MAX = 8192,
    STATEMENT_EHBP_KEY_MAX = 64,
    STATEMENT_LIFETIME_S_MAX = 7 * 24 * 3600
};

/* All borrowed. */
struct statement {
    bytes worker;
    bytes ehbp_key; /* empty: none */
    bytes key_list;
    uint64_t not_after;
    uint64_t generation;
    uint64_t not_before;
};

/* Appends the signed statement. ERR_LIMIT when it lasts longer than STATEMENT_LIFETIME_S_MAX,
 * ERR_MALFORMED when not_before is not before not_after. */
err statement_write(struct buf *out, const struct statement *s, const struct signing_key *identity);

/* Form only. ERR_UNSUPPORTED for a COSE_Sign1 whose protected header is another one. */
err statement_read(bytes in, struct statement *out);

/* Form and signature: ERR_CRYPTO when identity (32 bytes) did not sign it. Dates are not looked
 * at. */
err statement_verify(bytes in, bytes identity, struct statement *out);

enum statement_time { STATEMENT_EXPIRED = 0, STATEMENT_EARLY, STATEMENT_CURRENT };

/* Current from not_before - skew_s to before not_after + skew_s. now is Unix seconds. */
enum statement_time statement_time(const struct statement *s, int64_t now, uint32_t skew_s);
