/*
 * enclave-worker/share.h - who may have some of what there is little of, now.
 *
 * Pure; belongs to one thread. There is so much a second for all, and less for each asker. Whoever asked
 * for nothing during the last second gets the next all the same, also when others have used up what is for
 * all, so that nobody is starved by somebody who asks for ever. Askers are told apart by a number of the
 * caller's; two in SHARE_SLOTS may share a share.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SHARE_SLOTS = 256 };

/* Private. */
struct share {
    uint64_t all_ms, each_ms; /* what one costs, in milliseconds of a bucket of a second */
    uint64_t seed;
    uint64_t all_paid_ms; /* up to then what was taken by all is paid for */
    struct {
        uint64_t paid_ms; /* by the askers here */
        uint64_t last_ms; /* they took something */
    } slots[SHARE_SLOTS];
};

/* Rates from 1 to 1000. seed: so that nobody chooses with whom to share. */
void share_init(struct share *s, uint32_t all_per_s, uint32_t each_per_s, uint64_t seed);

/* True: one is taken. now_ms: steady time, at least 1000. */
bool share_take(struct share *s, uint64_t asker, uint64_t now_ms);
