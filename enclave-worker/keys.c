/*
 * The list that is published holds the newest key first, and behind it the one before, as long as
 * that is still current. So a client that takes the first never seals to a key in its last minutes.
 *
 *     key 1  |------------------ life ------------------|-- grace --|
 *     key 2                                  |- ahead ---|---------- life ------ ...
 *     list    1 . . . . . . . . . . . . . . . 2,1 . . . . 2 . . .
 */
#include "enclave-worker/keys.h"

#include "attest/statement.h"
#include "base/clock.h"
#include "base/mem.h"
#include "crypto/hpke.h"
#include "crypto/secret.h"
#include "wire/ehbp.h"

enum { LIST_MAX = 1024, STATEMENT_MAX = 4096, BACKDATE_S = 60, POOL_TICK_MS = 1000 };

/* What keys of a pool are made of; in secret memory. */
struct shared {
    struct pool_key key;
    struct pool_chain chain; /* at the oldest epoch that is open */
    struct pool_epoch epochs[OHTTP_KEYS_MAX];
    size_t epochs_n;
    int64_t ahead_s; /* of the pool's clock before the steady one */
    uint64_t first;  /* epoch that leads the list now */
};

struct keys {
    struct loop *loop;
    struct keys_settings settings;
    struct signing_key *identity;
    struct shared *shared; /* NULL: no pool, or not yet */
    struct ohttp_keys *ohttp;
    struct ohttp_keys *ehbp; /* under the same ids; NULL: no such door */
    struct loop_timer timer;
    struct buf list;
    struct buf bare;
    struct buf ehbp_config;
    struct buf statement;
    uint8_t newest_id;
    int64_t newest_until; /* Unix seconds: the end of its life, without grace */
    bool has_previous;
    uint8_t previous_id;
    int64_t previous_until;
    uint64_t generation;
    int64_t ahead_s; /* of the wall clock before the steady one, at most so far */
};

static const struct key_suite SUITES[] = {
    { HPKE_KDF_HKDF_SHA256, AEAD_AES_256_GCM },
    { HPKE_KDF_HKDF_SHA256, AEAD_AES_128_GCM },
    { HPKE_KDF_HKDF_SHA256, AEAD_CHACHA20_POLY1305 },
};

/* Takes the key, also on failure. */
static err hold(struct ohttp_keys *into, const struct ohttp_key_settings *settings,
                struct hpke_private_key *key)
{
    err e = ohttp_keys_add(into, settings, key);
    if (e.code != ERR_OK)
        hpke_key_free(key);
    return e;
}

static err generate(struct ohttp_keys *into, const struct ohttp_key_settings *settings)
{
    struct hpke_private_key *key = NULL;
    TRY(hpke_key_generate(&key, KEM_X25519_HKDF_SHA256));
    return hold(into, settings, key);
}

static void retire(struct keys *k, int64_t now)
{
    (void)ohttp_keys_retire(k->ohttp, now);
    if (k->ehbp != NULL)
        (void)ohttp_keys_retire(k->ehbp, now);
}

static struct ohttp_key_settings key_settings(const struct keys *k, uint8_t id, int64_t until)
{
    struct ohttp_key_settings settings = {
        .id = id,
        .suites_n = ARRAY_LEN(SUITES),
        .not_after = until + (int64_t)k->settings.grace_s,
    };
    memcpy(settings.suites, SUITES, sizeof SUITES);
    return settings;
}

static err add_key(struct keys *k, int64_t from)
{
    int64_t until = from + (int64_t)k->settings.life_s;
    struct ohttp_key_settings settings = key_settings(k, (uint8_t)(k->newest_id + 1), until);

    retire(k, clock_wall_s());
    if (k->ehbp != NULL && ohttp_keys_private(k->ehbp, settings.id) == NULL)
        TRY(generate(k->ehbp, &settings));
    TRY(generate(k->ohttp, &settings));
    k->has_previous = k->generation > 0;
    k->previous_id = k->newest_id;
    k->previous_until = k->newest_until;
    k->newest_id = settings.id;
    k->newest_until = until;
    return OK;
}

static err write_statement(struct keys *k, int64_t now)
{
    const struct statement s = {
        .worker = bytes_str(k->settings.worker_name),
        .ehbp_key = buf_view(&k->ehbp_config),
        .key_list = buf_view(&k->list),
        .not_before = (uint64_t)(now - BACKDATE_S),
        .not_after = (uint64_t)k->newest_until,
        .generation = k->generation + 1,
    };
    buf_truncate(&k->statement, 0);
    TRY(statement_write(&k->statement, &s, k->identity));
    k->generation++;
    return OK;
}

/* EHBP knows no key ids, and one suite. */
static err publish_ehbp(struct keys *k)
{
    struct key_config config;
    const struct hpke_suite suite = ehbp_suite();
    if (k->ehbp == NULL)
        return OK;
    ENSURE(ohttp_keys_find(k->ehbp, k->newest_id, &config), INTERNAL);
    config.id = 0;
    config.suites[0] = (struct key_suite){ suite.kdf, suite.aead };
    config.suites_n = 1;
    buf_truncate(&k->ehbp_config, 0);
    return keylist_write(&k->ehbp_config, &config, 1, KEYLIST_BARE);
}

/* Writes the list, its bare form and the statement anew. */
static err publish(struct keys *k, int64_t now)
{
    struct key_config configs[2];
    size_t n = 0;
    ENSURE(ohttp_keys_find(k->ohttp, k->newest_id, &configs[n++]), INTERNAL);
    if (k->has_previous && now < k->previous_until &&
        ohttp_keys_find(k->ohttp, k->previous_id, &configs[n]))
        n++;
    buf_truncate(&k->list, 0);
    buf_truncate(&k->bare, 0);
    TRY(keylist_write(&k->list, configs, n, KEYLIST_PREFIXED));
    TRY(keylist_write(&k->bare, configs, 1, KEYLIST_BARE));
    TRY(publish_ehbp(k));
    return write_statement(k, now);
}

/* ---- keys of a pool ---- */

static int64_t pool_now(const struct keys *k)
{
    return k->shared->ahead_s + (int64_t)(clock_steady_ms() / 1000);
}

static const struct pool_epoch *find_epoch(const struct keys *k, uint64_t epoch)
{
    for (size_t i = 0; i < k->shared->epochs_n; i++)
        if (k->shared->epochs[i].epoch == epoch)
            return &k->shared->epochs[i];
    return NULL;
}

static err derive_key(struct keys *k, const struct pool_epoch *epoch)
{
    SECRET_BYTES(sk, KEM_SK_MAX);
    uint8_t pk[KEM_PK_MAX];
    const struct kem *kem = kem_find(KEM_X25519_HKDF_SHA256);
    struct hpke_private_key *key = NULL;
    ENSURE(kem != NULL, INTERNAL);
    TRY(kem_derive(kem, BYTES_ARRAY(epoch->ikm), sk, pk));
    TRY(hpke_key_load(&key, KEM_X25519_HKDF_SHA256, bytes_of(sk, kem->sk_len)));
    int64_t until = pool_epoch_end(epoch->epoch, k->settings.life_s);
    struct ohttp_key_settings settings = key_settings(k, epoch->id, until);
    return hold(k->ohttp, &settings, key);
}

/* Makes the keys of all epochs that are open, and nothing else is held. */
static err derive_keys(struct keys *k, const struct pool_span *span)
{
    struct shared *s = k->shared;
    SECRET(struct pool_chain, chain);
    (void)ohttp_keys_retire(k->ohttp, INT64_MAX);
    s->epochs_n = 0;
    ENSURE(pool_chain_reach(&s->chain, span->oldest), UNAVAILABLE);
    chain = s->chain;
    while (chain.epoch <= span->newest && s->epochs_n < OHTTP_KEYS_MAX) {
        pool_epoch_of(&chain, &s->key, &s->epochs[s->epochs_n]);
        err e = derive_key(k, &s->epochs[s->epochs_n]);
        secret_wipe(s->epochs[s->epochs_n].ikm, POOL_IKM_LEN);
        TRY(e);
        s->epochs_n++;
        pool_chain_step(&chain);
    }
    return OK;
}

static err publish_shared(struct keys *k, const struct pool_span *span, uint64_t first, int64_t now)
{
    const struct pool_epoch *newest = find_epoch(k, first);
    const struct pool_epoch *present = find_epoch(k, span->present);
    ENSURE(newest != NULL && present != NULL, INTERNAL);
    k->newest_id = newest->id;
    k->newest_until = pool_epoch_end(first, k->settings.life_s);
    k->has_previous = first != span->present;
    k->previous_id = present->id;
    k->previous_until = pool_epoch_end(span->present, k->settings.life_s);
    k->shared->first = first;
    return publish(k, now);
}

static void publish_nothing(struct keys *k)
{
    (void)ohttp_keys_retire(k->ohttp, INT64_MAX);
    k->shared->epochs_n = 0;
    buf_truncate(&k->list, 0);
    buf_truncate(&k->bare, 0);
    buf_truncate(&k->statement, 0);
}

static void tend_shared(struct keys *k, bool anew)
{
    int64_t now = pool_now(k);
    struct pool_span span = pool_span_at(now, k->settings.life_s, k->settings.grace_s);
    int64_t end = pool_epoch_end(span.present, k->settings.life_s);
    uint64_t first = now >= end - (int64_t)k->settings.ahead_s ? span.newest : span.present;
    bool turned =
        anew || k->shared->chain.epoch != span.oldest || find_epoch(k, span.newest) == NULL;
    err e = turned ? derive_keys(k, &span) : OK;
    if (e.code == ERR_OK && (turned || first != k->shared->first))
        e = publish_shared(k, &span, first, now);
    if (e.code != ERR_OK)
        publish_nothing(k);
}

err keys_share(struct keys *k, const struct pool_key *key)
{
    void *room;
    ENSURE(k->settings.pooled && k->shared == NULL, INTERNAL);
    TRY(secret_new(&room, sizeof *k->shared));
    k->shared = room;
    k->shared->key = *key;
    return OK;
}

/* One of the two, some steps on, is the other. */
static bool is_same_chain(const struct pool_chain *a, const struct pool_chain *b)
{
    SECRET(struct pool_chain, chain);
    bool a_first = a->epoch <= b->epoch;
    chain = a_first ? *a : *b;
    if (!pool_chain_reach(&chain, a_first ? b->epoch : a->epoch))
        return false;
    return a->first_id == b->first_id &&
           secret_equal(BYTES_ARRAY(chain.link),
                        a_first ? BYTES_ARRAY(b->link) : BYTES_ARRAY(a->link));
}

err keys_join(struct keys *k, const struct pool_chain *chain, int64_t now)
{
    ENSURE(k->shared != NULL, INTERNAL);
    struct shared *s = k->shared;
    int64_t ahead = now - (int64_t)(clock_steady_ms() / 1000);
    bool same = keys_ready(k) && is_same_chain(&s->chain, chain);
    if (!same)
        s->chain = *chain;
    /* Time does not go back along a chain, since its links are gone. */
    if (!same || ahead > s->ahead_s)
        s->ahead_s = ahead;
    tend_shared(k, !same);
    ENSURE(keys_ready(k), UNAVAILABLE);
    return OK;
}

bool keys_ready(const struct keys *k)
{
    return k->statement.len > 0;
}

bool keys_tag(const struct keys *k, uint8_t id, uint8_t tag[static POOL_TAG_LEN])
{
    for (size_t i = 0; k->shared != NULL && i < k->shared->epochs_n; i++) {
        if (k->shared->epochs[i].id != id)
            continue;
        memcpy(tag, k->shared->epochs[i].tag, POOL_TAG_LEN);
        return true;
    }
    return false;
}

/* ---- rotation ---- */

static void on_timer(struct loop_timer *t);

/* Wakes for whichever comes first: the next key's turn to be published, the end of the one before,
 * a key to wipe. A second of slack is nothing against lives of minutes. */
static void schedule(struct keys *k)
{
    if (k->settings.pooled) {
        loop_timer_start(k->loop, &k->timer, POOL_TICK_MS, on_timer);
        return;
    }
    int64_t now = clock_wall_s();
    int64_t next = k->newest_until - (int64_t)k->settings.ahead_s;
    if (k->has_previous && k->previous_until < next && k->previous_until > now)
        next = k->previous_until;
    int64_t wait_s = next > now ? next - now : 0;
    if (wait_s > 30)
        wait_s = 30;
    loop_timer_start(k->loop, &k->timer, wait_s > 0 ? (uint64_t)wait_s * 1000 : 100, on_timer);
}

static int64_t ahead_s(void)
{
    return clock_wall_s() - (int64_t)(clock_steady_ms() / 1000);
}

/* The date in a request and the memory of replays hold together only while time goes forward. Whoever
 * sets the clock back, and that may be the host, gets keys that open nothing from before. */
static void drop_keys_if_set_back(struct keys *k)
{
    int64_t ahead = ahead_s();
    if (ahead < k->ahead_s - KEYS_SET_BACK_S) {
        retire(k, INT64_MAX);
        k->newest_until = clock_wall_s();
        k->ahead_s = ahead;
    }
    if (ahead > k->ahead_s)
        k->ahead_s = ahead;
}

void keys_tend(struct keys *k)
{
    if (k->settings.pooled) {
        if (keys_ready(k))
            tend_shared(k, false);
        return;
    }
    drop_keys_if_set_back(k);
    int64_t now = clock_wall_s();
    bool due = now >= k->newest_until - (int64_t)k->settings.ahead_s;
    bool over = k->has_previous && now >= k->previous_until;
    if (due)
        (void)add_key(k, k->newest_until > now ? k->newest_until : now);
    if (over)
        k->has_previous = false;
    if (due || over)
        (void)publish(k, now);
    retire(k, now);
}

static void on_timer(struct loop_timer *t)
{
    struct keys *k = CONTAINER_OF(t, struct keys, timer);
    keys_tend(k);
    schedule(k);
}

static err make_first_key(struct keys *k)
{
    int64_t now = clock_wall_s();
    TRY(add_key(k, now));
    return publish(k, now);
}

err keys_new(struct keys **out, struct loop *loop, const struct keys_settings *settings)
{
    struct keys *k;
    TRY(mem_new(&k));
    k->loop = loop;
    k->settings = *settings;
    k->ahead_s = ahead_s();
    k->list = k->bare = k->ehbp_config = BUF(LIST_MAX);
    k->statement = BUF(STATEMENT_MAX);
    err e = crypto_random(&k->newest_id, 1);
    if (e.code == ERR_OK)
        e = signing_key_generate(&k->identity);
    if (e.code == ERR_OK)
        e = ohttp_keys_new(&k->ohttp);
    if (e.code == ERR_OK && settings->ehbp)
        e = ohttp_keys_new(&k->ehbp);
    if (e.code == ERR_OK)
        e = settings->pooled ? OK : make_first_key(k);
    if (e.code != ERR_OK) {
        keys_free(k);
        return e;
    }
    schedule(k);
    *out = k;
    return OK;
}

void keys_free(struct keys *k)
{
    if (k == NULL)
        return;
    loop_timer_stop(&k->timer);
    ohttp_keys_free(k->ohttp);
    ohttp_keys_free(k->ehbp);
    signing_key_free(k->identity);
    secret_free(k->shared);
    buf_clear(&k->list);
    buf_clear(&k->bare);
    buf_clear(&k->ehbp_config);
    buf_clear(&k->statement);
    mem_free(k);
}

const struct signing_key *keys_identity(const struct keys *k)
{
    return k->identity;
}

const struct ohttp_keys *keys_ohttp(const struct keys *k)
{
    return k->ohttp;
}

size_t keys_ehbp(const struct keys *k, const struct hpke_private_key *out[static OHTTP_KEYS_MAX])
{
    size_t n = 0;
    for (uint8_t back = 0; k->ehbp != NULL && back < OHTTP_KEYS_MAX; back++) {
        out[n] = ohttp_keys_private(k->ehbp, (uint8_t)(k->newest_id - back));
        n += out[n] != NULL;
    }
    return n;
}

bytes keys_ehbp_config(const struct keys *k)
{
    return buf_view(&k->ehbp_config);
}

uint32_t keys_span_s(const struct keys_settings *s)
{
    return s->ahead_s + s->life_s + s->grace_s + KEYS_SET_BACK_S + 1;
}

bytes keys_list(const struct keys *k)
{
    return buf_view(&k->list);
}

bytes keys_list_bare(const struct keys *k)
{
    return buf_view(&k->bare);
}

bytes keys_statement(const struct keys *k)
{
    return buf_view(&k->statement);
}

uint64_t keys_generation(const struct keys *k)
{
    return k->generation;
}
