#include "wire/replay.h"

#include "base/mem.h"
#include "crypto/secret.h"

/*
 * A generation is an open-addressed table of hashes, at most half full, that starts small and
 * doubles. The hash 0 marks an empty place; a real hash of 0 is stored as 1.
 */
enum { SLOTS_MIN = 1024 };

struct generation {
    uint64_t *slots;
    size_t slots_n; /* a power of two, or 0 */
    size_t count;
};

struct replay {
    uint64_t key[2];
    uint32_t window_s;
    size_t max;
    bool started;
    int64_t since; /* when the present generation began */
    struct generation present;
    struct generation past;
};

static uint64_t rotate(uint64_t v, unsigned by)
{
    return v << by | v >> (64 - by);
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[0] = rotate(v[0], 32);
    v[2] += v[3];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[2] = rotate(v[2], 32);
}

static uint64_t load_le(const uint8_t *at, size_t n)
{
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++)
        v |= (uint64_t)at[i] << (8 * i);
    return v;
}

/* SipHash-2-4 (Aumasson, Bernstein 2012). */
static uint64_t siphash(const uint64_t key[2], bytes in)
{
    uint64_t v[4] = { key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d,
                      key[0] ^ 0x6c7967656e657261, key[1] ^ 0x7465646279746573 };
    uint64_t last = (uint64_t)in.len << 56;
    for (bytes word; in.len > 0;) {
        if (!bytes_take(&in, 8, &word)) {
            last |= load_le(in.at, in.len);
            break;
        }
        uint64_t m = load_le(word.at, 8);
        v[3] ^= m;
        sip_round(v);
        sip_round(v);
        v[0] ^= m;
    }
    v[3] ^= last;
    sip_round(v);
    sip_round(v);
    v[0] ^= last;
    v[2] ^= 0xff;
    for (int i = 0; i < 4; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* Where the hash is, or the empty place where it belongs. There is always one. */
static uint64_t *slot_of(const struct generation *g, uint64_t hash)
{
    size_t mask = g->slots_n - 1;
    size_t i = (size_t)hash & mask;
    while (g->slots[i] != 0 && g->slots[i] != hash)
        i = (i + 1) & mask;
    return &g->slots[i];
}

static bool holds(const struct generation *g, uint64_t hash)
{
    return g->slots_n > 0 && *slot_of(g, hash) == hash;
}

static void generation_clear(struct generation *g)
{
    mem_free(g->slots);
    *g = (struct generation){ 0 };
}

static bool generation_grow(struct generation *g)
{
    struct generation bigger = { .slots_n = g->slots_n > 0 ? g->slots_n * 2 : SLOTS_MIN };
    bigger.slots = mem_alloc_array(bigger.slots_n, sizeof *bigger.slots);
    if (bigger.slots == NULL)
        return false;
    for (size_t i = 0; i < g->slots_n; i++)
        if (g->slots[i] != 0)
            *slot_of(&bigger, g->slots[i]) = g->slots[i];
    bigger.count = g->count;
    generation_clear(g);
    *g = bigger;
    return true;
}

/* False when there is no room, by limit or by memory. */
static bool insert(struct generation *g, uint64_t hash, size_t max)
{
    if (g->count >= max)
        return false;
    if (g->count >= g->slots_n / 2 && !generation_grow(g))
        return false;
    *slot_of(g, hash) = hash;
    g->count++;
    return true;
}

static void turn(struct replay *r, int64_t now)
{
    if (!r->started) {
        r->started = true;
        r->since = now;
    }
    if (now < r->since || (uint64_t)now - (uint64_t)r->since < r->window_s)
        return;
    generation_clear(&r->past);
    if ((uint64_t)now - (uint64_t)r->since < (uint64_t)r->window_s * 2)
        r->past = r->present;
    else
        generation_clear(&r->present);
    r->present = (struct generation){ 0 };
    r->since = now;
}

err replay_new(struct replay **out, uint32_t window_s, size_t max)
{
    ENSURE(window_s > 0 && max > 0 && max <= REPLAY_ENTRIES_MAX, LIMIT);
    struct replay *r;
    TRY(mem_new(&r));
    r->window_s = window_s;
    r->max = max;
    err e = crypto_random(r->key, sizeof r->key);
    if (e.code != ERR_OK) {
        replay_free(r);
        return e;
    }
    *out = r;
    return OK;
}

enum replay_verdict replay_check_insert(struct replay *r, bytes enc, int64_t now)
{
    turn(r, now);
    uint64_t hash = siphash(r->key, enc);
    if (hash == 0)
        hash = 1;
    if (holds(&r->present, hash) || holds(&r->past, hash))
        return REPLAY_SEEN;
    return insert(&r->present, hash, r->max) ? REPLAY_FRESH : REPLAY_FULL;
}

size_t replay_count(const struct replay *r)
{
    return r->present.count + r->past.count;
}

void replay_free(struct replay *r)
{
    if (r == NULL)
        return;
    generation_clear(&r->present);
    generation_clear(&r->past);
    mem_free(r);
}
