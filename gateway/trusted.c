#include "gateway/trusted.h"

#include "base/mem.h"
#include "crypto/kem.h"
#include "receipts/air_shown.h"

enum { PAGE_MAX = 1024 * 1024 };

/* The first configuration of a KEM we know: workers publish the newest first. */
static err take_config(struct trusted *t)
{
    struct key_config configs[KEYLIST_CONFIGS_MAX];
    size_t n = 0;
    TRY(keylist_read(buf_view(&t->key_list), KEYLIST_PREFIXED, configs, KEYLIST_CONFIGS_MAX, &n));
    for (size_t i = 0; i < n; i++) {
        if (kem_find(configs[i].kem) == NULL)
            continue;
        t->config = configs[i];
        return key_config_hint(&t->config, t->hint);
    }
    FAIL(UNSUPPORTED);
}

err trusted_new(struct trusted **out, size_t place, const struct verdict *verdict,
                const uint8_t document[static VERDICT_DIGEST_LEN], int64_t now)
{
    struct trusted *t;
    ENSURE(verdict->accepted, UNTRUSTED);
    TRY(mem_new(&t));
    atomic_init(&t->refs, 1);
    atomic_init(&t->withdrawn, false);
    t->place = place;
    memcpy(t->name, verdict->worker, sizeof t->name);
    memcpy(t->identity, verdict->identity, sizeof t->identity);
    memcpy(t->document, document, sizeof t->document);
    t->evaluation = verdict->trust != TRUST_HARDWARE;
    t->verified_at = now;
    t->not_after = verdict->not_after;
    t->key_list = BUF(verdict->key_list.len);
    err e = buf_add(&t->key_list, buf_view(&verdict->key_list));
    if (e.code == ERR_OK)
        e = take_config(t);
    if (e.code != ERR_OK) {
        trusted_unref(t);
        return e;
    }
    *out = t;
    return OK;
}

void trusted_shown_of(struct trusted_shown *out, const struct verdict *document)
{
    out->platform = document->platform;
    out->hardware = document->trust == TRUST_HARDWARE;
    memcpy(out->registers, document->registers, sizeof out->registers);
    out->registers_n = document->registers_n;
    out->gpu = document->gpu;
}

static bytes find_register(const void *owner, const char *name)
{
    const struct trusted_shown *s = owner;
    for (size_t i = 0; i < s->registers_n; i++) {
        if (bytes_equal(bytes_str(s->registers[i].name), bytes_str(name)))
            return bytes_of(s->registers[i].value, s->registers[i].len);
    }
    return (bytes){ 0 };
}

const char *trusted_mismatch(const struct trusted *t, const struct air_claims *claims)
{
    const struct trusted_shown *s = &t->shown;
    struct air_shown shown = { .platform = bytes_str(s->platform),
                               .hardware = s->hardware,
                               .document = t->document,
                               .gpu = { .gpus = s->gpu.gpus, .switches = s->gpu.switches },
                               .find = find_register,
                               .owner = s };
    memcpy(shown.gpu.evidence_hash, s->gpu.digest, AIR_HASH_LEN);
    return air_shown_mismatch(claims, &shown);
}

struct trusted *trusted_ref(struct trusted *t)
{
    if (t != NULL)
        atomic_fetch_add(&t->refs, 1);
    return t;
}

void trusted_unref(struct trusted *t)
{
    if (t == NULL || atomic_fetch_sub(&t->refs, 1) != 1)
        return;
    buf_clear(&t->key_list);
    mem_free(t);
}

void trusted_withdraw(struct trusted *t)
{
    if (t != NULL)
        atomic_store(&t->withdrawn, true);
}

bool trusted_is_withdrawn(const struct trusted *t)
{
    return atomic_load(&t->withdrawn);
}

err trust_view_new(struct trust_view **out, struct worker_set *set)
{
    struct trust_view *v;
    TRY(mem_new(&v));
    atomic_init(&v->refs, 1);
    v->set = worker_set_ref(set);
    v->page = BUF(PAGE_MAX);
    *out = v;
    return OK;
}

struct trust_view *trust_view_ref(struct trust_view *v)
{
    if (v != NULL)
        atomic_fetch_add(&v->refs, 1);
    return v;
}

void trust_view_unref(struct trust_view *v)
{
    if (v == NULL || atomic_fetch_sub(&v->refs, 1) != 1)
        return;
    for (size_t i = 0; i < v->set->n; i++)
        trusted_unref(v->workers[i]);
    worker_set_unref(v->set);
    buf_clear(&v->page);
    mem_free(v);
}
