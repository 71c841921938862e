#include "enclave-worker/responses_store.h"

#include "base/mem.h"
#include "crypto/aead.h"
#include "crypto/secret.h"

enum { BUCKETS = 4096, LENGTH_LEN = 4 };

struct record {
    struct record *next;          /* in its bucket */
    struct record *older, *newer; /* in the list of all */
    uint64_t until_ms;
    uint8_t owner[STORE_OWNER_LEN];
    uint8_t nonce[AEAD_NONCE_LEN];
    struct buf id;
    struct buf sealed;
};

struct responses_store {
    struct responses_store_settings settings;
    uint8_t *key; /* AEAD_KEY_MAX bytes of locked memory */
    uint64_t sealed_n;
    uint64_t size;     /* of all records */
    uint64_t reserved; /* of what is in the making; with size never over settings.size_max */
    size_t count;
    struct record *oldest, *newest;
    struct record *buckets[BUCKETS];
};

err responses_store_new(struct responses_store **out,
                        const struct responses_store_settings *settings)
{
    struct responses_store *s;
    void *key = NULL;
    TRY(mem_new(&s));
    s->settings = *settings;
    err e = secret_new(&key, AEAD_KEY_MAX);
    if (e.code == ERR_OK)
        e = crypto_random(key, AEAD_KEY_MAX);
    if (e.code != ERR_OK) {
        secret_free(key);
        mem_free(s);
        return e;
    }
    s->key = key;
    *out = s;
    return OK;
}

/* ---- records ---- */

/* Ids are random, so that their sum spreads well enough (FNV-1a). */
static size_t bucket_of(bytes id)
{
    uint32_t sum = 2166136261U;
    for (size_t i = 0; i < id.len; i++)
        sum = (sum ^ id.at[i]) * 16777619U;
    return sum % BUCKETS;
}

static uint64_t cost_of(const struct record *r)
{
    return STORE_RECORD_COST + r->id.len + r->sealed.len;
}

static void record_free(struct record *r)
{
    buf_clear(&r->id);
    buf_clear(&r->sealed);
    mem_free(r);
}

static void take_out(struct responses_store *s, struct record *r)
{
    struct record **at = &s->buckets[bucket_of(buf_view(&r->id))];
    while (*at != r)
        at = &(*at)->next;
    *at = r->next;
    *(r->older != NULL ? &r->older->newer : &s->oldest) = r->newer;
    *(r->newer != NULL ? &r->newer->older : &s->newest) = r->older;
    s->size -= cost_of(r);
    s->count--;
    record_free(r);
}

static void put_in(struct responses_store *s, struct record *r)
{
    struct record **bucket = &s->buckets[bucket_of(buf_view(&r->id))];
    r->next = *bucket;
    *bucket = r;
    r->older = s->newest;
    *(s->newest != NULL ? &s->newest->newer : &s->oldest) = r;
    s->newest = r;
    s->size += cost_of(r);
    s->count++;
}

void responses_store_free(struct responses_store *s)
{
    if (s == NULL)
        return;
    while (s->oldest != NULL)
        take_out(s, s->oldest);
    secret_free(s->key);
    mem_free(s);
}

/* All live equally long, so the oldest are the first to go. */
void responses_store_expire(struct responses_store *s, uint64_t now_ms)
{
    while (s->oldest != NULL && s->oldest->until_ms <= now_ms)
        take_out(s, s->oldest);
}

static struct record *find(struct responses_store *s, bytes id,
                           const uint8_t owner[static STORE_OWNER_LEN], uint64_t now_ms)
{
    responses_store_expire(s, now_ms);
    for (struct record *r = s->buckets[bucket_of(id)]; r != NULL; r = r->next) {
        if (bytes_equal(buf_view(&r->id), id))
            return secret_equal(BYTES_ARRAY(r->owner), bytes_of(owner, STORE_OWNER_LEN)) ? r : NULL;
    }
    return NULL;
}

/* ---- sealing ---- */

/* The owner and the id: a record cannot be taken for another. */
static err write_aad(const struct record *r, struct buf *out)
{
    TRY(buf_add(out, BYTES_ARRAY(r->owner)));
    return buf_add(out, buf_view(&r->id));
}

static err run_aead(const struct responses_store *s, const struct record *r, bool seals, bytes in,
                    uint8_t *out)
{
    struct aead *a = NULL;
    BUF_AUTO aad = BUF(1024);
    TRY(write_aad(r, &aad));
    TRY(aead_new(&a, AEAD_AES_256_GCM, seals, bytes_of(s->key, AEAD_KEY_MAX)));
    err e = seals ? aead_seal(a, r->nonce, buf_view(&aad), in, out)
                  : aead_open(a, r->nonce, buf_view(&aad), in, out);
    aead_free(a);
    return e;
}

/* Never the same one twice: a counter. */
static void next_nonce(struct responses_store *s, uint8_t nonce[static AEAD_NONCE_LEN])
{
    uint64_t n = s->sealed_n++;
    memset(nonce, 0, AEAD_NONCE_LEN);
    for (size_t i = 0; i < sizeof n; i++)
        nonce[AEAD_NONCE_LEN - 1 - i] = (uint8_t)(n >> (8 * i));
}

/* Each part behind its length. */
static err join(const bytes parts[static STORE_PARTS], struct buf *out)
{
    for (size_t i = 0; i < STORE_PARTS; i++) {
        ENSURE(parts[i].len < UINT32_MAX, LIMIT);
        TRY(buf_add_u32be(out, (uint32_t)parts[i].len));
        TRY(buf_add(out, parts[i]));
    }
    return OK;
}

static err part(bytes plain, bytes parts[static STORE_PARTS])
{
    for (size_t i = 0; i < STORE_PARTS; i++) {
        uint32_t len;
        ENSURE(bytes_take_u32be(&plain, &len) && bytes_take(&plain, len, &parts[i]), INTERNAL);
    }
    return OK;
}

static err fill(struct responses_store *s, struct record *r, bytes id,
                const uint8_t owner[static STORE_OWNER_LEN], bytes plain)
{
    uint8_t *room;
    memcpy(r->owner, owner, STORE_OWNER_LEN);
    next_nonce(s, r->nonce);
    r->id = BUF(512);
    r->sealed = BUF(plain.len + AEAD_TAG_LEN);
    TRY(buf_add(&r->id, id));
    TRY(buf_reserve(&r->sealed, plain.len + AEAD_TAG_LEN, &room));
    TRY(run_aead(s, r, true, plain, room));
    buf_commit(&r->sealed, plain.len + AEAD_TAG_LEN);
    return OK;
}

/* ---- room ---- */

/* False when n bytes do not fit even with all records gone, which then stay. */
static bool make_room(struct responses_store *s, uint64_t n)
{
    uint64_t left = s->settings.size_max - s->reserved;
    if (n > left)
        return false;
    while (s->size > left - n)
        take_out(s, s->oldest);
    return true;
}

err responses_store_reserve(struct responses_store *s, uint64_t *reserved, uint64_t size)
{
    uint64_t before = *reserved;
    s->reserved -= before;
    if (!make_room(s, size)) {
        s->reserved += before;
        FAIL(LIMIT);
    }
    s->reserved += size;
    *reserved = size;
    return OK;
}

/* ---- the four operations ---- */

static size_t total_of(const bytes parts[static STORE_PARTS])
{
    size_t total = STORE_PARTS * LENGTH_LEN;
    for (size_t i = 0; i < STORE_PARTS; i++)
        total += parts[i].len;
    return total;
}

err responses_store_put(struct responses_store *s, bytes id,
                        const uint8_t owner[static STORE_OWNER_LEN],
                        const bytes parts[static STORE_PARTS], uint64_t now_ms)
{
    size_t total = total_of(parts);
    ENSURE(total + AEAD_TAG_LEN + id.len + STORE_RECORD_COST <= s->settings.size_max, LIMIT);
    BUF_AUTO plain = BUF(total);
    TRY(join(parts, &plain));
    struct record *r = mem_alloc(sizeof *r);
    ENSURE(r != NULL, NOMEM);
    err e = fill(s, r, id, owner, buf_view(&plain));
    if (e.code != ERR_OK) {
        record_free(r);
        return e;
    }
    struct record *before = find(s, id, owner, now_ms);
    if (before != NULL)
        take_out(s, before);
    if (!make_room(s, cost_of(r))) {
        record_free(r);
        FAIL(LIMIT);
    }
    r->until_ms = now_ms + s->settings.life_ms;
    put_in(s, r);
    return OK;
}

err responses_store_get(struct responses_store *s, bytes id,
                        const uint8_t owner[static STORE_OWNER_LEN], uint64_t now_ms,
                        struct store_found *out)
{
    uint8_t *room;
    *out = (struct store_found){ 0 };
    const struct record *r = find(s, id, owner, now_ms);
    ENSURE(r != NULL, NOT_FOUND);
    size_t len = r->sealed.len - AEAD_TAG_LEN;
    out->plain = BUF(len);
    TRY(buf_reserve(&out->plain, len, &room));
    TRY(run_aead(s, r, false, buf_view(&r->sealed), room));
    buf_commit(&out->plain, len);
    return part(buf_view(&out->plain), out->parts);
}

err responses_store_drop(struct responses_store *s, bytes id,
                         const uint8_t owner[static STORE_OWNER_LEN], uint64_t now_ms)
{
    struct record *r = find(s, id, owner, now_ms);
    ENSURE(r != NULL, NOT_FOUND);
    take_out(s, r);
    return OK;
}

uint64_t responses_store_size(const struct responses_store *s)
{
    return s->size + s->reserved;
}

size_t responses_store_count(const struct responses_store *s)
{
    return s->count;
}
