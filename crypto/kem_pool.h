/*
 * crypto/kem_pool.h - ephemeral key pairs made ahead, per thread. For this folder only.
 */
#pragma once

#include "crypto/kem.h"

enum { KEM_POOL_MAX = 64, KEM_COUNT_MAX = 4 };

/* The i-th KEM of the table; NULL behind the last. */
const struct kem *kem_at(size_t i);

/* ERR_LIMIT: over KEM_POOL_MAX. */
err kem_pool_fill(size_t n);
size_t kem_pool_len(void);
