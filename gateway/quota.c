#include "gateway/quota.h"

#include <pthread.h>
#include <string.h>

#include "base/mem.h"
#include "crypto/hash.h"
#include "crypto/secret.h"

enum { WAYS = 8, BUCKETS = QUOTA_CALLERS_MAX / WAYS, KEY_LEN = 32, MILLI = 1000 };

struct caller {
    uint64_t hash; /* 0: free */
    uint64_t seen_ms;
    uint64_t tokens; /* thousandths of a request */
    uint64_t running;
};

struct quota {
    uint64_t rate;
    uint64_t at_once;
    uint8_t key[KEY_LEN];
    pthread_mutex_t lock; /* of the table */
    struct caller table[BUCKETS][WAYS];
};

err quota_new(struct quota **out, uint64_t rate, uint64_t at_once)
{
    struct quota *q;
    TRY(mem_new(&q));
    q->rate = rate;
    q->at_once = at_once;
    err e = crypto_random(q->key, sizeof q->key);
    if (e.code != ERR_OK || pthread_mutex_init(&q->lock, NULL) != 0) {
        mem_free(q);
        FAIL(SYSTEM);
    }
    *out = q;
    return OK;
}

void quota_free(struct quota *q)
{
    if (q == NULL)
        return;
    (void)pthread_mutex_destroy(&q->lock);
    secret_wipe(q->key, sizeof q->key);
    mem_free(q);
}

static uint64_t hash_of(const struct quota *q, bytes caller)
{
    uint8_t mac[SHA256_LEN];
    uint64_t hash;
    hmac_sha256(BYTES_ARRAY(q->key), caller, mac);
    memcpy(&hash, mac, sizeof hash);
    return hash != 0 ? hash : 1;
}

static uint64_t full_bucket(const struct quota *q)
{
    return q->rate * QUOTA_BURST_S * MILLI;
}

/* Of two threads the one that looked at the clock first may come second. */
static uint64_t since_ms(const struct caller *c, uint64_t now_ms)
{
    return now_ms > c->seen_ms ? now_ms - c->seen_ms : 0;
}

static void see(struct caller *c, uint64_t now_ms)
{
    if (now_ms > c->seen_ms)
        c->seen_ms = now_ms;
}

static void earn(const struct quota *q, struct caller *c, uint64_t now_ms)
{
    uint64_t past_ms = since_ms(c, now_ms);
    uint64_t most = full_bucket(q);
    uint64_t room = most - c->tokens;
    see(c, now_ms);
    c->tokens = past_ms >= (uint64_t)QUOTA_BURST_S * MILLI || past_ms * q->rate > room
                    ? most
                    : c->tokens + past_ms * q->rate;
}

/* The caller's place; else a free one, or that of somebody who asked nothing for a while. */
static struct caller *find(struct quota *q, uint64_t hash, uint64_t now_ms)
{
    struct caller *bucket = q->table[hash % BUCKETS];
    struct caller *place = NULL;
    for (size_t i = 0; i < WAYS; i++) {
        struct caller *c = &bucket[i];
        if (c->hash == hash)
            return c;
        bool idle = c->running == 0 &&
                    (c->hash == 0 || since_ms(c, now_ms) >= (uint64_t)QUOTA_BURST_S * MILLI);
        if (place == NULL && idle)
            place = c;
    }
    if (place != NULL)
        *place = (struct caller){ .hash = hash, .seen_ms = now_ms, .tokens = full_bucket(q) };
    return place;
}

static enum quota_verdict take(struct quota *q, struct caller *c, uint64_t now_ms)
{
    if (c == NULL || (q->at_once > 0 && c->running >= q->at_once))
        return QUOTA_FULL;
    if (q->rate > 0) {
        earn(q, c, now_ms);
        if (c->tokens < MILLI)
            return QUOTA_TOO_FAST;
        c->tokens -= MILLI;
    }
    see(c, now_ms);
    c->running++;
    return QUOTA_FINE;
}

enum quota_verdict quota_enter(struct quota *q, bytes caller, uint64_t now_ms, uint64_t *ticket)
{
    *ticket = 0;
    if (q == NULL)
        return QUOTA_FINE;
    *ticket = hash_of(q, caller);
    (void)pthread_mutex_lock(&q->lock);
    enum quota_verdict verdict = take(q, find(q, *ticket, now_ms), now_ms);
    (void)pthread_mutex_unlock(&q->lock);
    return verdict;
}

void quota_leave(struct quota *q, uint64_t ticket)
{
    if (q == NULL)
        return;
    struct caller *bucket = q->table[ticket % BUCKETS];
    (void)pthread_mutex_lock(&q->lock);
    for (size_t i = 0; i < WAYS; i++) {
        if (bucket[i].hash == ticket && bucket[i].running > 0) {
            bucket[i].running--;
            break;
        }
    }
    (void)pthread_mutex_unlock(&q->lock);
}
