/*
 * A bucket is one word (GCRA): up to which time what was taken is paid for. A second ago at the most, so
 * that nothing is saved up for longer; another fits as long as its price leads to no time to come.
 */
#include "enclave-worker/share.h"

enum { SECOND_MS = 1000 };

void share_init(struct share *s, uint32_t all_per_s, uint32_t each_per_s, uint64_t seed)
{
    *s = (struct share){ .all_ms = SECOND_MS / all_per_s,
                         .each_ms = SECOND_MS / each_per_s,
                         .seed = seed };
}

/* The finalizer of MurmurHash3. */
static size_t slot_of(const struct share *s, uint64_t asker)
{
    uint64_t h = asker ^ s->seed;
    h = (h ^ (h >> 33)) * 0xff51afd7ed558ccdU;
    h = (h ^ (h >> 33)) * 0xc4ceb9fe1a85ec53U;
    return (h ^ (h >> 33)) % SHARE_SLOTS;
}

static void fill(uint64_t *paid_ms, uint64_t now_ms)
{
    if (*paid_ms + SECOND_MS < now_ms)
        *paid_ms = now_ms - SECOND_MS;
}

static bool has(uint64_t paid_ms, uint64_t cost_ms, uint64_t now_ms)
{
    return paid_ms + cost_ms <= now_ms;
}

bool share_take(struct share *s, uint64_t asker, uint64_t now_ms)
{
    size_t i = slot_of(s, asker);
    uint64_t *own_ms = &s->slots[i].paid_ms;
    fill(own_ms, now_ms);
    fill(&s->all_paid_ms, now_ms);
    bool is_owed = s->slots[i].last_ms + SECOND_MS <= now_ms;
    if (!has(*own_ms, s->each_ms, now_ms) || (!is_owed && !has(s->all_paid_ms, s->all_ms, now_ms)))
        return false;
    *own_ms += s->each_ms;
    s->slots[i].last_ms = now_ms;
    if (s->all_paid_ms < now_ms) /* a debt of one at the most */
        s->all_paid_ms += s->all_ms;
    return true;
}
