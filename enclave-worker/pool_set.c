#include "enclave-worker/pool_set.h"

#include "crypto/secret.h"
#include "wire/ohttp_keys.h"
#include "wire/replay.h"

/* In secret memory as a whole. */
struct pool_set {
    struct pool_key key;
    struct pool_chain chain; /* at the oldest epoch that is open */
    uint32_t key_life_s, key_grace_s, date_window_s;
    size_t entries_max;
    struct replay *seen; /* NULL: there is no chain */
    int64_t now;
    uint64_t steady_s;
    struct pool_span span;
    uint8_t tags[OHTTP_KEYS_MAX][POOL_TAG_LEN]; /* from span.oldest to span.newest */
    size_t tags_n;
};

/* Of the epochs that are open now. */
static void read_tags(struct pool_set *s)
{
    SECRET(struct pool_chain, chain);
    SECRET(struct pool_epoch, epoch);
    chain = s->chain;
    s->tags_n = 0;
    while (chain.epoch <= s->span.newest && s->tags_n < OHTTP_KEYS_MAX) {
        pool_epoch_of(&chain, &s->key, &epoch);
        memcpy(s->tags[s->tags_n++], epoch.tag, POOL_TAG_LEN);
        pool_chain_step(&chain);
    }
}

static struct pool_span span_now(const struct pool_set *s)
{
    return pool_span_at(s->now, s->key_life_s, s->key_grace_s);
}

/* Zero dates off either way, and the second that is lost by counting whole ones. */
static err remember_anew(struct pool_set *s)
{
    replay_free(s->seen);
    s->seen = NULL;
    return replay_new(&s->seen, 2 * s->date_window_s + 1, s->entries_max);
}

static err begin(struct pool_set *s, int64_t wall_s)
{
    s->tags_n = 0;
    TRY(remember_anew(s));
    err e = crypto_random(s->chain.link, sizeof s->chain.link);
    if (e.code == ERR_OK)
        e = crypto_random(&s->chain.first_id, 1);
    if (e.code != ERR_OK) {
        replay_free(s->seen);
        s->seen = NULL;
        return e;
    }
    s->now = wall_s;
    s->span = span_now(s);
    s->chain.epoch = s->span.oldest;
    read_tags(s);
    return OK;
}

err pool_set_new(struct pool_set **out, const struct pool_set_settings *settings, int64_t wall_s)
{
    void *room;
    ENSURE(settings->key_life_s > 0, LIMIT);
    TRY(secret_new(&room, sizeof(struct pool_set)));
    struct pool_set *s = room;
    *s = (struct pool_set){ .key = *settings->key,
                            .key_life_s = settings->key_life_s,
                            .key_grace_s = settings->key_grace_s,
                            .date_window_s = settings->date_window_s,
                            .entries_max = settings->entries_max };
    err e = begin(s, wall_s);
    if (e.code != ERR_OK) {
        pool_set_free(s);
        return e;
    }
    *out = s;
    return OK;
}

void pool_set_free(struct pool_set *s)
{
    if (s == NULL)
        return;
    replay_free(s->seen);
    secret_free(s);
}

/* False when the chain is not to be followed so far. */
static bool follow(struct pool_set *s)
{
    struct pool_span span = span_now(s);
    if (span.oldest == s->span.oldest && span.newest == s->span.newest)
        return true;
    if (!pool_chain_reach(&s->chain, span.oldest))
        return false;
    s->span = span;
    read_tags(s);
    return true;
}

enum pool_tick pool_set_tick(struct pool_set *s, int64_t wall_s, uint64_t steady_s)
{
    uint64_t passed = steady_s - s->steady_s;
    bool first = s->steady_s == 0;
    bool back = wall_s < s->now - POOL_SET_BACK_S;
    bool leap = !first && wall_s > s->now && (uint64_t)(wall_s - s->now) > passed + 1;
    s->steady_s = steady_s;
    if (!back && wall_s > s->now)
        s->now = wall_s;
    if (back || s->seen == NULL || !follow(s)) {
        (void)begin(s, wall_s);
        return POOL_TICK_ANEW;
    }
    return leap ? POOL_TICK_LEAP : POOL_TICK_SAME;
}

static bool knows_tag(const struct pool_set *s, const uint8_t tag[static POOL_TAG_LEN])
{
    bool known = false;
    for (size_t i = 0; i < s->tags_n; i++)
        known |= secret_equal(bytes_of(tag, POOL_TAG_LEN), BYTES_ARRAY(s->tags[i]));
    return known;
}

static bool is_stale(const struct pool_set *s, int64_t date)
{
    uint64_t off = date > s->now ? (uint64_t)(date - s->now) : (uint64_t)(s->now - date);
    return off > s->date_window_s;
}

enum pool_verdict pool_set_judge(struct pool_set *s, const struct pool_ask *ask)
{
    if (s->seen == NULL || !knows_tag(s, ask->tag))
        return POOL_UNKNOWN;
    if (is_stale(s, ask->date))
        return POOL_STALE;
    switch (replay_check_insert(s->seen, BYTES_ARRAY(ask->digest), s->now)) {
    case REPLAY_FRESH:
        return POOL_FRESH;
    case REPLAY_SEEN:
        return POOL_SEEN;
    case REPLAY_FULL:
        break;
    }
    return POOL_FULL;
}

void pool_set_welcome(const struct pool_set *s, struct pool_welcome *out)
{
    *out = (struct pool_welcome){ .key_life_s = s->key_life_s,
                                  .key_grace_s = s->key_grace_s,
                                  .date_window_s = s->date_window_s,
                                  .now = s->now,
                                  .epoch = s->chain.epoch,
                                  .first_id = s->chain.first_id };
    memcpy(out->link, s->chain.link, sizeof out->link);
}

size_t pool_set_count(const struct pool_set *s)
{
    return s->seen != NULL ? replay_count(s->seen) : 0;
}
