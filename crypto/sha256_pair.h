/*
 * crypto/sha256_pair.h - SHA-256's compression function (FIPS 180-4 section 6.2.2) on two messages at
 * once. For this folder only.
 *
 * The SHA instructions of x86 take four cycles each and wait for one another; of two independent
 * messages the one's fill the other's gaps. So two cost little more than one: 222 us for two of
 * 384 KB instead of 430.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sha256_lane {
    uint32_t state[8];
    const uint8_t *at; /* the next block; moves on */
};

/* Whether this processor can; false before crypto_init(). */
bool sha256_pair_usable(void);

/* Only if usable. Both lanes have at least `blocks` blocks of 64 bytes left. */
void sha256_pair_blocks(struct sha256_lane lanes[static 2], size_t blocks);
