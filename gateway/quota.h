/*
 * gateway/quota.h - how much each caller may ask: requests per second, and requests at a time.
 *
 * A caller is any byte string: an address, a token's digest. Callers are kept as 64-bit hashes under
 * a random key, so that nobody can choose to share another's quota. The table has a fixed size;
 * where a bucket is full of callers with requests under way, a new one is refused.
 *
 * May be used by many threads: one lock, held for the time of a look-up.
 */
#pragma once

#include "base/bytes.h"
#include "base/err.h"

enum {
    QUOTA_CALLERS_MAX = 65536, /* that are told apart at a time */
    QUOTA_BURST_S = 2,         /* seconds' worth of requests that may be saved up */
};

struct quota;

/* rate: requests per second; at_once: requests under way. 0: no such limit. */
err quota_new(struct quota **out, uint64_t rate, uint64_t at_once);
/* NULL is allowed. */
void quota_free(struct quota *q);

enum quota_verdict { QUOTA_FULL = 0, QUOTA_TOO_FAST, QUOTA_FINE };

/* *ticket is for quota_leave(), which follows exactly once after QUOTA_FINE. A NULL quota has no
 * limits. now_ms is steady time. */
enum quota_verdict quota_enter(struct quota *q, bytes caller, uint64_t now_ms, uint64_t *ticket);
void quota_leave(struct quota *q, uint64_t ticket);
