/*
 * An ask goes through the needs of its plan in their order. Each is at hand, on its way, or not to be
 * had now, which ends the ask. When a fetch fails, or the last one that an ask waits for ends, that ask
 * looks again. What came is put
 * beside what is at hand and takes its place only when an ask, which knows who must have issued it,
 * finds it good: so a wrong answer costs nothing but a wait, and never drives out a right one.
 */
#include "gateway/supply.h"

#include "base/attr.h"
#include "base/clock.h"
#include "base/mem.h"
#include "crypto/secret.h"
#include "gateway/fetch.h"
#include "gateway/shelf.h"

enum { DOUBLINGS_MAX = 12, HTTP_OK = 200, HTTP_NOT_FOUND = 404, HTTP_TOO_MANY = 429 };

/* One version of a piece. */
struct copy {
    struct buf body; /* empty: there is none */
    struct buf chain;
    int64_t fetched_at;
};

struct item {
    struct supply *supply;
    struct item *next;
    struct collateral_need need;
    struct copy have; /* was good when it was last looked at */
    struct copy came; /* fetched, not yet looked at */
    bool shelf_read;
    struct fetch *fetch; /* NULL: none under way */
    unsigned failures;   /* in a row */
    err trouble;         /* the latest */
    uint64_t retry_at_ms;
    uint64_t used_ms;
};

struct supply {
    struct loop *loop;
    struct log *log;
    struct fetcher *fetcher; /* NULL: offline */
    struct shelf *shelf;     /* NULL: none */
    struct buf base[COLLATERAL_SERVICES];
    uint64_t quiet_until_ms[COLLATERAL_SERVICES]; /* a service asked to be left alone */
    struct item *items;
    size_t items_n;
    struct supply_ask *asks;
    uint64_t requests;
};

static const struct word WORDS[COLLATERAL_KINDS] = {
    [COLLATERAL_NONE] = WORD_INIT("none"),
    [COLLATERAL_TCB_INFO] = WORD_INIT("tdx-tcb-info"),
    [COLLATERAL_QE_IDENTITY] = WORD_INIT("tdx-qe-identity"),
    [COLLATERAL_PCK_CRL] = WORD_INIT("tdx-pck-crl"),
    [COLLATERAL_ROOT_CRL] = WORD_INIT("tdx-root-crl"),
    [COLLATERAL_SNP_CHAIN] = WORD_INIT("snp-chain"),
    [COLLATERAL_SNP_CRL] = WORD_INIT("snp-crl"),
    [COLLATERAL_SNP_VCEK] = WORD_INIT("snp-vcek"),
    [COLLATERAL_NVGPU_OCSP] = WORD_INIT("nvgpu-ocsp"),
    [COLLATERAL_NVGPU_RIM] = WORD_INIT("nvgpu-rim"),
    [COLLATERAL_NVGPU_JWKS] = WORD_INIT("nvgpu-jwks"),
    [COLLATERAL_NVGPU_NRAS] = WORD_INIT("nvgpu-nras"),
};

/* ---- copies ---- */

static struct copy copy_for(enum collateral_kind kind)
{
    return (struct copy){ .body = BUF(collateral_body_max(kind)),
                          .chain = BUF(COLLATERAL_CHAIN_MAX) };
}

static void copy_clear(struct copy *c)
{
    buf_clear(&c->body);
    buf_clear(&c->chain);
    c->fetched_at = 0;
}

static struct collateral_piece view(const struct copy *c)
{
    return (struct collateral_piece){ buf_view(&c->body), buf_view(&c->chain) };
}

/* ---- items ---- */

static void item_free(struct item *i)
{
    fetch_cancel(i->fetch);
    copy_clear(&i->have);
    copy_clear(&i->came);
    mem_free(i);
}

static bool wants(const struct supply_ask *a, const struct item *i)
{
    for (size_t n = 0; n < a->plan.n; n++) {
        if (strcmp(a->plan.needs[n].key, i->need.key) == 0)
            return true;
    }
    return false;
}

static bool is_wanted(const struct supply *s, const struct item *i)
{
    for (const struct supply_ask *a = s->asks; a != NULL; a = a->next) {
        if (wants(a, i))
            return true;
    }
    return false;
}

/* The one used longest ago that nobody needs now. */
static struct item **find_idle(struct supply *s)
{
    struct item **oldest = NULL;
    for (struct item **at = &s->items; *at != NULL; at = &(*at)->next) {
        if ((*at)->fetch != NULL || is_wanted(s, *at))
            continue;
        if (oldest == NULL || (*at)->used_ms < (*oldest)->used_ms)
            oldest = at;
    }
    return oldest;
}

static err make_room(struct supply *s)
{
    if (s->items_n < SUPPLY_PIECES_MAX)
        return OK;
    struct item **at = find_idle(s);
    ENSURE(at != NULL, LIMIT);
    struct item *gone = *at;
    *at = gone->next;
    item_free(gone);
    s->items_n--;
    return OK;
}

static err item_new(struct supply *s, const struct collateral_need *need, struct item **out)
{
    struct item *i;
    TRY(make_room(s));
    TRY(mem_new(&i));
    i->supply = s;
    i->need = *need;
    i->have = copy_for(need->kind);
    i->came = copy_for(need->kind);
    i->next = s->items;
    s->items = i;
    s->items_n++;
    *out = i;
    return OK;
}

static err item_for(struct supply *s, const struct collateral_need *need, struct item **out)
{
    struct item *i = s->items;
    while (i != NULL && strcmp(i->need.key, need->key) != 0)
        i = i->next;
    if (i == NULL)
        TRY(item_new(s, need, &i));
    i->used_ms = loop_now_ms(s->loop);
    *out = i;
    return OK;
}

/* ---- the folder ---- */

static err read_entry(struct item *i, bytes file)
{
    struct collateral_entry entry;
    TRY(collateral_entry_read(file, &i->need, &entry));
    TRY(buf_add(&i->have.body, entry.body));
    TRY(buf_add(&i->have.chain, entry.chain));
    i->have.fetched_at = (int64_t)entry.fetched_at;
    return OK;
}

static void take_from_shelf(struct item *i)
{
    BUF_AUTO file = BUF(COLLATERAL_ENTRY_MAX);
    i->shelf_read = true;
    if (i->supply->shelf == NULL || collateral_is_fleeting(i->need.kind))
        return;
    err e = shelf_read(i->supply->shelf, i->need.key, &file);
    if (err_is_ok(e))
        e = read_entry(i, buf_view(&file));
    if (err_is_ok(e))
        return;
    copy_clear(&i->have);
    if (e.code != ERR_NOT_FOUND)
        LOG_WARN(i->supply->log, "kept collateral cannot be read",
                 F_WORD_OF("kind", WORDS[i->need.kind]), F_ERR(e));
}

static err write_entry(const struct item *i, int64_t expires, struct buf *out)
{
    struct collateral_piece piece = view(&i->have);
    const struct collateral_entry entry = {
        .key = bytes_str(i->need.key),
        .body = piece.body,
        .kind = bytes_str(collateral_kind_word(i->need.kind)),
        .chain = piece.chain,
        .version = COLLATERAL_ENTRY_VERSION,
        .expires_at = (uint64_t)expires,
        .fetched_at = (uint64_t)i->have.fetched_at,
    };
    return collateral_entry_write(out, &entry);
}

/* A folder that cannot be written to costs a fetch after the next start. */
static void put_on_shelf(const struct item *i, int64_t expires)
{
    BUF_AUTO file = BUF(COLLATERAL_ENTRY_MAX);
    if (i->supply->shelf == NULL || collateral_is_fleeting(i->need.kind))
        return;
    err e = write_entry(i, expires, &file);
    if (err_is_ok(e))
        e = shelf_write(i->supply->shelf, i->need.key, buf_view(&file));
    if (!err_is_ok(e))
        LOG_WARN(i->supply->log, "collateral cannot be kept",
                 F_WORD_OF("kind", WORDS[i->need.kind]), F_ERR(e));
}

/* ---- failures ---- */

/* Half of the time is fixed, half is chance, so that gateways do not come back all at once. */
static uint64_t back_off_ms(unsigned failures)
{
    uint16_t chance = 0;
    unsigned doublings = failures < DOUBLINGS_MAX ? failures : DOUBLINGS_MAX;
    uint64_t ms = (uint64_t)SUPPLY_RETRY_MIN_MS << doublings;
    if (ms > SUPPLY_RETRY_MAX_MS)
        ms = SUPPLY_RETRY_MAX_MS;
    (void)crypto_random(&chance, sizeof chance);
    return ms / 2 + ms / 2 * chance / UINT16_MAX;
}

static void note_failure(struct item *i, err why, uint64_t at_least_ms)
{
    uint64_t wait_ms = back_off_ms(i->failures);
    if (wait_ms < at_least_ms)
        wait_ms = at_least_ms;
    i->failures++;
    i->trouble = why;
    i->retry_at_ms = loop_now_ms(i->supply->loop) + wait_ms;
    LOG_WARN(i->supply->log, "collateral cannot be fetched", F_WORD_OF("kind", WORDS[i->need.kind]),
             F_ERR(why), F_U64("retry_ms", wait_ms));
}

static bool is_overload(unsigned status)
{
    return status == HTTP_TOO_MANY || (status >= 500 && status <= 599);
}

static uint64_t asked_ms(const struct fetch_answer *answer)
{
    if (answer->retry_after_s <= 0)
        return 0;
    uint64_t ms = (uint64_t)answer->retry_after_s * 1000;
    return ms < SUPPLY_RETRY_AFTER_MAX_MS ? ms : SUPPLY_RETRY_AFTER_MAX_MS;
}

static uint64_t *quiet_of(const struct item *i)
{
    return &i->supply->quiet_until_ms[collateral_service_of(i->need.kind)];
}

/* A service that is overloaded is asked for nothing else either. */
static void note_refusal(struct item *i, const struct fetch_answer *answer)
{
    bool overload = is_overload(answer->status);
    enum err_code code = answer->status == HTTP_NOT_FOUND ? ERR_NOT_FOUND : ERR_UNAVAILABLE;
    note_failure(i, err_raise(code, __FILE__, __func__, __LINE__), overload ? asked_ms(answer) : 0);
    if (overload && i->retry_at_ms > *quiet_of(i))
        *quiet_of(i) = i->retry_at_ms;
}

/* ---- fetching ---- */

static void advance_who_waited(struct supply *s, const struct item *i, bool failed);

static err take_answer(struct item *i, const struct fetch_answer *answer)
{
    copy_clear(&i->came);
    TRY(collateral_take(i->need.kind, answer->body, answer->field, &i->came.body, &i->came.chain));
    i->came.fetched_at = clock_wall_s();
    return OK;
}

static void on_fetched(void *owner, err e, const struct fetch_answer *answer)
{
    struct item *i = owner;
    i->fetch = NULL;
    if (err_is_ok(e) && answer->status != HTTP_OK) {
        note_refusal(i, answer);
    } else {
        if (err_is_ok(e))
            e = take_answer(i, answer);
        if (!err_is_ok(e)) {
            copy_clear(&i->came);
            note_failure(i, e, 0);
        }
    }
    advance_who_waited(i->supply, i, i->came.body.len == 0);
}

static err start_fetch(struct item *i, bytes asked)
{
    struct supply *s = i->supply;
    const char *media;
    BUF_AUTO url = BUF(COLLATERAL_URL_MAX);
    BUF_AUTO content = BUF(COLLATERAL_REQUEST_MAX);
    bytes base = buf_view(&s->base[collateral_service_of(i->need.kind)]);
    TRY(collateral_url(&url, base, &i->need));
    ENSURE(buf_str(&url) != NULL, NOMEM);
    TRY(collateral_request(&content, &i->need, asked, &media));
    const struct fetch_request request = { .url = buf_str(&url),
                                           .field = collateral_header(i->need.kind),
                                           .field_max = COLLATERAL_HEADER_MAX,
                                           .body_max = collateral_body_max(i->need.kind),
                                           .media = media,
                                           .content = buf_view(&content) };
    TRY(fetch_start(&i->fetch, s->fetcher, &request, on_fetched, i));
    s->requests++;
    return OK;
}

static bool may_fetch(const struct item *i)
{
    uint64_t now = loop_now_ms(i->supply->loop);
    return i->supply->fetcher != NULL && i->fetch == NULL && now >= i->retry_at_ms &&
           now >= *quiet_of(i);
}

static void fetch_if_may(struct item *i, bytes asked)
{
    if (!may_fetch(i))
        return;
    err e = start_fetch(i, asked);
    if (!err_is_ok(e))
        note_failure(i, e, 0);
}

/* ---- one need of an ask ---- */

enum supply_state { STATE_FAILED = 0, STATE_WAITING, STATE_HAVE };

static err check(const struct item *i, const struct copy *c, bytes issuer, int64_t *expires)
{
    struct collateral_piece piece = view(c);
    return collateral_check(&i->need, &piece, issuer, clock_wall_s(), expires);
}

/* What came takes the place of what is at hand, if it is good. */
static void look_at_what_came(struct item *i, bytes issuer)
{
    int64_t expires;
    if (i->came.body.len == 0)
        return;
    err e = check(i, &i->came, issuer, &expires);
    if (!err_is_ok(e)) {
        copy_clear(&i->came);
        note_failure(i, e, 0);
        return;
    }
    struct copy old = i->have;
    i->have = i->came;
    i->came = old;
    copy_clear(&i->came);
    i->failures = 0;
    i->trouble = OK;
    i->retry_at_ms = 0;
    LOG_INFO(i->supply->log, "collateral fetched", F_WORD_OF("kind", WORDS[i->need.kind]),
             F_I64("expires_at", expires));
    put_on_shelf(i, expires);
}

static bool is_past(const struct item *i)
{
    int64_t age = clock_wall_s() - i->have.fetched_at;
    return collateral_is_fleeting(i->need.kind) && (age < 0 || age > COLLATERAL_FLEETING_S);
}

/* True when what is at hand is good; it is dropped when it is not. */
static bool has_good(struct item *i, bytes issuer, bytes asked)
{
    int64_t expires;
    bool look = !i->shelf_read || i->supply->fetcher == NULL;
    if (i->have.body.len == 0 && look)
        take_from_shelf(i);
    if (is_past(i))
        copy_clear(&i->have);
    if (i->have.body.len == 0)
        return false;
    err e = check(i, &i->have, issuer, &expires);
    if (!err_is_ok(e)) {
        i->trouble = e;
        copy_clear(&i->have);
        return false;
    }
    if (!collateral_is_fleeting(i->need.kind) &&
        clock_wall_s() >= collateral_refresh_at(i->need.kind, i->have.fetched_at, expires))
        fetch_if_may(i, asked);
    return true;
}

static err why_not(const struct item *i)
{
    if (!err_is_ok(i->trouble))
        return i->trouble;
    ENSURE(i->supply->fetcher == NULL, UNAVAILABLE);
    FAIL(NOT_FOUND);
}

static enum supply_state obtain(struct item *i, bytes issuer, bytes asked, err *why)
{
    look_at_what_came(i, issuer);
    if (has_good(i, issuer, asked))
        return STATE_HAVE;
    fetch_if_may(i, asked);
    if (i->fetch != NULL)
        return STATE_WAITING;
    *why = why_not(i);
    return STATE_FAILED;
}

/* ---- asks ---- */

static void unlink_ask(struct supply_ask *a)
{
    loop_defer_cancel(&a->task);
    *a->prev = a->next;
    if (a->next != NULL)
        a->next->prev = a->prev;
    collateral_plan_clear(&a->plan);
    *a = (struct supply_ask){ 0 };
}

void supply_cancel(struct supply_ask *ask)
{
    if (ask->supply != NULL)
        unlink_ask(ask);
}

/* What belonged to one look and nobody waits for. */
static void drop_fleeting(struct supply *s)
{
    for (struct item **at = &s->items; *at != NULL;) {
        struct item *i = *at;
        if (!collateral_is_fleeting(i->need.kind) || i->need.kind == COLLATERAL_NVGPU_JWKS ||
            i->fetch != NULL || i->failures > 0 || is_wanted(s, i)) {
            at = &i->next;
            continue;
        }
        *at = i->next;
        item_free(i);
        s->items_n--;
    }
}

/* The owner may use the ask for the next one, or free it. */
static void end_ask(struct supply_ask *a, err e, const struct buf *cpu, const struct buf *gpu)
{
    supply_done_fn *done = a->done;
    bool good = err_is_ok(e);
    struct supply *s = a->supply;
    unlink_ask(a);
    drop_fleeting(s);
    done(a, e, good ? buf_view(cpu) : (bytes){ 0 }, good ? buf_view(gpu) : (bytes){ 0 });
}

struct found {
    struct collateral_piece pieces[COLLATERAL_NEEDS_MAX];
    bool known[COLLATERAL_NEEDS_MAX];
    bool waiting; /* for one of them at least */
};

/* A need whose issuer is still on its way waits with it. */
static err look_at_need(struct supply_ask *a, size_t at, struct found *found)
{
    const struct collateral_need *need = &a->plan.needs[at];
    struct item *i;
    err why = OK;
    bytes issuer = collateral_plan_issuer(&a->plan, at);
    if (need->issuer >= 0 && !found->known[need->issuer]) {
        found->waiting = true;
        return OK;
    }
    if (need->issuer >= 0)
        issuer = found->pieces[need->issuer].body;
    TRY(item_for(a->supply, need, &i));
    enum supply_state state = obtain(i, issuer, collateral_plan_asked(&a->plan, at), &why);
    if (state == STATE_FAILED)
        return why;
    found->known[at] = state == STATE_HAVE;
    if (found->known[at])
        found->pieces[at] = view(&i->have);
    else
        found->waiting = true;
    return OK;
}

static void advance(struct supply_ask *a)
{
    struct found found = { 0 };
    BUF_AUTO cpu = BUF(BUNDLE_COLLATERAL_MAX);
    BUF_AUTO gpu = BUF(2 * (size_t)COLLATERAL_GPU_MAX);
    err e = OK;
    for (size_t i = 0; err_is_ok(e) && i < a->plan.n; i++)
        e = look_at_need(a, i, &found);
    if (err_is_ok(e) && found.waiting)
        return;
    if (err_is_ok(e))
        e = collateral_join(&cpu, &a->plan, &a->bundle, found.pieces);
    if (err_is_ok(e))
        e = collateral_join_gpu(&gpu, &a->plan, found.pieces);
    end_ask(a, e, &cpu, &gpu);
}

static void on_task(struct loop_task *t)
{
    advance(CONTAINER_OF(t, struct supply_ask, task));
}

/* For something, that is, and not only for a newer one of what is at hand. */
static bool waits(const struct supply *s, const struct supply_ask *a)
{
    for (const struct item *i = s->items; i != NULL; i = i->next) {
        if (i->fetch != NULL && i->have.body.len == 0 && wants(a, i))
            return true;
    }
    return false;
}

/* Each in a task of its own, since owners may do to the list what they like. An ask looks at all that
 * it needs when it looks, so not after each of many answers. */
static void advance_who_waited(struct supply *s, const struct item *i, bool failed)
{
    for (struct supply_ask *a = s->asks; a != NULL; a = a->next) {
        if (wants(a, i) && (failed || !waits(s, a)))
            loop_defer(s->loop, &a->task, on_task);
    }
}

err supply_ask(struct supply *s, struct supply_ask *ask, const struct bundle *bundle,
               const struct policy *policy, supply_done_fn *done)
{
    ENSURE(ask->supply == NULL, INTERNAL);
    TRY(collateral_plan_make(&ask->plan, bundle, policy, clock_wall_s()));
    ask->supply = s;
    ask->bundle = *bundle;
    ask->done = done;
    ask->next = s->asks;
    ask->prev = &s->asks;
    if (ask->next != NULL)
        ask->next->prev = &ask->next;
    s->asks = ask;
    loop_defer(s->loop, &ask->task, on_task);
    return OK;
}

uint64_t supply_requests(const struct supply *s)
{
    return s->requests;
}

size_t supply_under_way(const struct supply *s)
{
    size_t n = 0;
    for (const struct item *i = s->items; i != NULL; i = i->next)
        n += i->fetch != NULL;
    return n;
}

size_t supply_pieces(const struct supply *s)
{
    return s->items_n;
}

/* ---- the whole ---- */

static err set_base(struct supply *s, enum collateral_service service, const char *given,
                    const char *fallback)
{
    const char *base = given != NULL ? given : fallback;
    s->base[service] = BUF(COLLATERAL_URL_MAX);
    ENSURE(fetch_is_base(base), CONFIG);
    return buf_add_str(&s->base[service], base);
}

static err set_up(struct supply *s, const struct supply_settings *settings)
{
    const struct fetcher_settings fetching = { .ca_path = settings->ca_path,
                                               .connect_ms = settings->connect_ms,
                                               .whole_ms = settings->whole_ms };
    ENSURE(settings->folder != NULL || !settings->offline, CONFIG);
    TRY(set_base(s, COLLATERAL_INTEL, settings->intel, COLLATERAL_INTEL_BASE));
    TRY(set_base(s, COLLATERAL_AMD, settings->amd, COLLATERAL_AMD_BASE));
    TRY(set_base(s, COLLATERAL_NVIDIA_OCSP, settings->ocsp, COLLATERAL_NVIDIA_OCSP_BASE));
    TRY(set_base(s, COLLATERAL_NVIDIA_RIM, settings->rim, COLLATERAL_NVIDIA_RIM_BASE));
    TRY(set_base(s, COLLATERAL_NVIDIA_NRAS, settings->nras, COLLATERAL_NVIDIA_NRAS_BASE));
    if (settings->folder != NULL)
        TRY(shelf_open(&s->shelf, settings->folder, settings->offline));
    return settings->offline ? OK : fetcher_new(&s->fetcher, s->loop, &fetching);
}

err supply_open(struct supply **out, struct loop *loop, const struct supply_settings *settings)
{
    struct supply *s;
    TRY(mem_new(&s));
    s->loop = loop;
    s->log = settings->log;
    err e = set_up(s, settings);
    if (!err_is_ok(e)) {
        supply_close(s);
        return e;
    }
    *out = s;
    return OK;
}

void supply_close(struct supply *s)
{
    if (s == NULL)
        return;
    while (s->asks != NULL)
        unlink_ask(s->asks);
    for (struct item *i; (i = s->items) != NULL;) {
        s->items = i->next;
        item_free(i);
    }
    fetcher_free(s->fetcher);
    shelf_close(s->shelf);
    for (size_t i = 0; i < COLLATERAL_SERVICES; i++)
        buf_clear(&s->base[i]);
    mem_free(s);
}
