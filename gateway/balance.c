#include "gateway/balance.h"

#include "base/attr.h"

/* ---- small things ---- */

static uint64_t bit(size_t place)
{
    return (uint64_t)1 << place;
}

/* splitmix64 (Steele, Lea, Flood 2014). Not a secret. */
static uint64_t chance(struct balance *b, uint64_t below)
{
    uint64_t z = b->seed += 0x9e3779b97f4a7c15U;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return (z ^ (z >> 31)) % below;
}

static struct balance_worker *worker_at(struct balance *b, size_t place)
{
    return &b->workers[place % BALANCE_PLACES_MAX];
}

void balance_init(struct balance *b, const struct balance_settings *settings, uint64_t seed)
{
    *b = (struct balance){ .settings = *settings, .seed = seed };
    for (size_t i = 0; i < BALANCE_PLACES_MAX; i++)
        balance_forget(b, i);
}

/* ---- states ---- */

static enum balance_state state_of(const struct balance_worker *w, uint64_t now_ms)
{
    if (!w->joined)
        return BALANCE_GONE;
    if (w->sick)
        return BALANCE_SICK;
    if (w->state == BALANCE_OPEN && now_ms >= w->until_ms)
        return BALANCE_HALF_OPEN;
    if (w->state == BALANCE_EJECTED && now_ms >= w->until_ms)
        return BALANCE_IN_USE;
    return w->state;
}

enum balance_state balance_state(const struct balance *b, size_t place, uint64_t now_ms)
{
    return state_of(&b->workers[place % BALANCE_PLACES_MAX], now_ms);
}

static uint64_t out_ms(const struct balance *b, uint32_t outs)
{
    uint64_t ms = b->settings.out_ms;
    for (uint32_t i = 1; i < outs && ms < b->settings.out_max_ms; i++)
        ms *= 2;
    return ms < b->settings.out_max_ms ? ms : b->settings.out_max_ms;
}

/* Whoever stayed in use for as long as he may be out has a clean record. */
static void put_out(const struct balance *b, struct balance_worker *w, enum balance_state state,
                    uint64_t now_ms)
{
    if (w->state == BALANCE_IN_USE && now_ms - w->since_ms > b->settings.out_max_ms)
        w->outs = 0;
    w->outs++;
    w->row = 0;
    w->state = state;
    w->until_ms = now_ms + out_ms(b, w->outs);
    w->trial_ms = 0;
    w->counts[0] = w->counts[1] = (struct balance_count){ 0 };
}

static void put_in(struct balance_worker *w, uint64_t since_ms)
{
    w->state = BALANCE_IN_USE;
    w->since_ms = since_ms;
    w->row = 0;
}

/* An ejection ends by itself. */
static void catch_up(struct balance_worker *w, uint64_t now_ms)
{
    if (w->state == BALANCE_EJECTED && now_ms >= w->until_ms)
        put_in(w, w->until_ms);
}

void balance_join(struct balance *b, size_t place, uint64_t now_ms)
{
    struct balance_worker *w = worker_at(b, place);
    w->joined = true;
    if (w->state == BALANCE_IN_USE)
        w->since_ms = now_ms;
}

void balance_leave(struct balance *b, size_t place)
{
    worker_at(b, place)->joined = false;
}

void balance_forget(struct balance *b, size_t place)
{
    struct balance_worker *w = worker_at(b, place);
    *w = (struct balance_worker){
        .state = BALANCE_IN_USE, .weight = w->weight, .load = w->load, .told = w->told
    };
}

void balance_set_weight(struct balance *b, size_t place, uint16_t weight)
{
    worker_at(b, place)->weight = weight;
}

void balance_set_sick(struct balance *b, size_t place, bool sick, uint64_t now_ms)
{
    struct balance_worker *w = worker_at(b, place);
    if (w->sick && !sick)
        put_in(w, now_ms);
    w->sick = sick;
}

/* ---- choosing ---- */

/* The slower the start, the fewer steps of it are done. */
static uint64_t steps_of(const struct balance *b, const struct balance_worker *w, uint64_t now_ms)
{
    uint64_t age_ms = now_ms - w->since_ms;
    if (w->state != BALANCE_IN_USE || age_ms >= b->settings.slow_ms)
        return BALANCE_SLOW_STEPS;
    return 1 + age_ms * (BALANCE_SLOW_STEPS - 1) / b->settings.slow_ms;
}

/* What share of all there is is his, in no unit. */
static uint64_t size_of(const struct balance *b, size_t place, uint64_t now_ms)
{
    const struct balance_worker *w = &b->workers[place];
    uint64_t weight = w->weight > 0 ? (uint64_t)w->weight * BALANCE_WEIGHT_PARTS : 1;
    return weight * steps_of(b, w, now_ms);
}

/* In whole requests of the smaller one: until the larger one has as many more as it is larger, neither is
 * busier, and chance has chosen by size already. */
static bool is_busier(const struct balance *b, size_t one, size_t two, uint64_t now_ms)
{
    uint64_t size1 = size_of(b, one, now_ms);
    uint64_t size2 = size_of(b, two, now_ms);
    uint64_t smaller = size1 < size2 ? size1 : size2;
    return b->workers[one].load * smaller / size1 > b->workers[two].load * smaller / size2;
}

/* The lowest bit that is set; there is one. */
static size_t first(uint64_t places)
{
    return (size_t)__builtin_ctzll(places);
}

/* One of these, the larger ones more often. */
static size_t by_chance(struct balance *b, uint64_t places, uint64_t now_ms)
{
    uint64_t all = 0;
    for (uint64_t left = places; left != 0; left &= left - 1)
        all += size_of(b, first(left), now_ms);
    uint64_t at = chance(b, all);
    for (uint64_t left = places;; left &= left - 1) {
        uint64_t size = size_of(b, first(left), now_ms);
        if (at < size)
            return first(left);
        at -= size;
    }
}

/* The freer of two taken by chance. */
static size_t of_two(struct balance *b, uint64_t places, uint64_t now_ms)
{
    size_t one = by_chance(b, places, now_ms);
    uint64_t others = places & ~bit(one);
    if (others == 0)
        return one;
    size_t two = by_chance(b, others, now_ms);
    return is_busier(b, one, two, now_ms) ? two : one;
}

static bool awaits_trial(const struct balance_worker *w, uint64_t now_ms)
{
    return state_of(w, now_ms) == BALANCE_HALF_OPEN && now_ms >= w->trial_ms;
}

bool balance_is_well(const struct balance *b, size_t place, uint64_t now_ms)
{
    const struct balance_worker *w = &b->workers[place % BALANCE_PLACES_MAX];
    return state_of(w, now_ms) == BALANCE_IN_USE || awaits_trial(w, now_ms);
}

/* Lower is better. Ejected ones do answer sometimes. */
static unsigned rank_of(const struct balance_worker *w, uint64_t now_ms)
{
    switch (state_of(w, now_ms)) {
    case BALANCE_IN_USE:
        return 0;
    case BALANCE_EJECTED:
        return 1;
    case BALANCE_HALF_OPEN:
        return awaits_trial(w, now_ms) ? 2 : 3;
    case BALANCE_OPEN:
    case BALANCE_SICK:
    case BALANCE_GONE:
    case BALANCE_STATES:
        break;
    }
    return 3;
}

static uint64_t joined(const struct balance *b)
{
    uint64_t places = 0;
    for (size_t i = 0; i < BALANCE_PLACES_MAX; i++)
        places |= b->workers[i].joined ? bit(i) : 0;
    return places;
}

static uint64_t awaiting_trial(const struct balance *b, uint64_t places, uint64_t now_ms)
{
    uint64_t found = 0;
    for (uint64_t left = places; left != 0; left &= left - 1) {
        size_t i = first(left);
        found |= awaits_trial(&b->workers[i], now_ms) ? bit(i) : 0;
    }
    return found;
}

static uint64_t best_of(struct balance *b, uint64_t places, uint64_t now_ms)
{
    unsigned best = UINT32_MAX;
    uint64_t found = 0;
    for (uint64_t left = places; left != 0; left &= left - 1) {
        size_t i = first(left);
        unsigned rank = rank_of(&b->workers[i], now_ms);
        if (rank > best)
            continue;
        found = rank < best ? bit(i) : found | bit(i);
        best = rank;
    }
    return found;
}

size_t balance_choose(struct balance *b, const struct balance_want *want, uint64_t now_ms)
{
    uint64_t all = want->usable & joined(b);
    uint64_t places = (all & ~want->avoid) != 0 ? all & ~want->avoid : all;
    if (places == 0)
        return SIZE_MAX;
    for (uint64_t left = places; left != 0; left &= left - 1)
        catch_up(&b->workers[first(left)], now_ms);
    uint64_t trials = want->avoid == 0 ? awaiting_trial(b, places, now_ms) : 0;
    return of_two(b, trials != 0 ? trials : best_of(b, places, now_ms), now_ms);
}

void balance_begin(struct balance *b, size_t place, uint64_t now_ms)
{
    struct balance_worker *w = worker_at(b, place);
    w->load++;
    if (awaits_trial(w, now_ms))
        w->trial_ms = now_ms + b->settings.out_max_ms;
}

void balance_end(struct balance *b, size_t place)
{
    struct balance_worker *w = worker_at(b, place);
    if (w->load > 0)
        w->load--;
}

void balance_set_load(struct balance *b, size_t place, size_t load)
{
    worker_at(b, place)->load = load < UINT32_MAX ? (uint32_t)load : UINT32_MAX;
}

/* ---- outcomes ---- */

static void turn_windows(struct balance *b, uint64_t now_ms)
{
    uint64_t age_ms = now_ms - b->window_ms;
    if (age_ms < BALANCE_WINDOW_MS)
        return;
    for (size_t i = 0; i < BALANCE_PLACES_MAX; i++) {
        struct balance_count *c = b->workers[i].counts;
        c[1] = age_ms < 2 * BALANCE_WINDOW_MS ? c[0] : (struct balance_count){ 0 };
        c[0] = (struct balance_count){ 0 };
    }
    b->window_ms = now_ms - age_ms % BALANCE_WINDOW_MS;
}

static struct balance_count recent(const struct balance_worker *w)
{
    const struct balance_count *c = w->counts;
    return (struct balance_count){ c[0].all + c[1].all, c[0].bad + c[1].bad,
                                   c[0].failed + c[1].failed };
}

static struct balance_count recent_of_others(const struct balance *b,
                                             const struct balance_worker *w)
{
    struct balance_count sum = { 0 };
    for (size_t i = 0; i < BALANCE_PLACES_MAX; i++) {
        const struct balance_worker *o = &b->workers[i];
        if (o == w || !o->joined)
            continue;
        struct balance_count c = recent(o);
        sum.all += c.all;
        sum.bad += c.bad;
        sum.failed += c.failed;
    }
    return sum;
}

static bool half_are_out(const struct balance *b, uint64_t now_ms)
{
    size_t all = 0;
    size_t out = 0;
    for (size_t i = 0; i < BALANCE_PLACES_MAX; i++) {
        enum balance_state state = balance_state(b, i, now_ms);
        all += state != BALANCE_GONE;
        out += state != BALANCE_GONE && state != BALANCE_IN_USE;
    }
    return 2 * (out + 1) > all;
}

static bool is_outlier(const struct balance *b, const struct balance_worker *w, uint64_t now_ms)
{
    struct balance_count own = recent(w);
    struct balance_count others = recent_of_others(b, w);
    if (own.all < BALANCE_RATIO_MIN || others.all < BALANCE_RATIO_MIN || half_are_out(b, now_ms))
        return false;
    uint64_t own_percent = (uint64_t)own.bad * 100 / own.all;
    uint64_t others_percent = (uint64_t)others.bad * 100 / others.all;
    return own_percent >= others_percent + BALANCE_OUTLIER_PERCENT;
}

static bool fails_too_often(const struct balance *b, const struct balance_worker *w)
{
    struct balance_count own = recent(w);
    uint64_t failures = b->settings.failures > 0 ? b->settings.failures : 1;
    return w->row >= failures ||
           (own.all >= BALANCE_RATIO_MIN &&
            (uint64_t)own.failed * 100 >= (uint64_t)own.all * BALANCE_RATIO_PERCENT);
}

/* What was asked before the circuit opened may still be answered: then a trial is due at once. */
static void note_well(struct balance_worker *w, uint64_t now_ms)
{
    enum balance_state state = state_of(w, now_ms);
    w->row = 0;
    if (state == BALANCE_HALF_OPEN)
        put_in(w, now_ms);
    else if (state == BALANCE_OPEN)
        w->until_ms = now_ms;
}

static void note_failed(const struct balance *b, struct balance_worker *w, uint64_t now_ms)
{
    w->row++;
    if (w->state == BALANCE_OPEN ? now_ms >= w->until_ms : fails_too_often(b, w))
        put_out(b, w, BALANCE_OPEN, now_ms);
}

void balance_note(struct balance *b, size_t place, enum balance_outcome outcome, uint64_t now_ms)
{
    struct balance_worker *w = worker_at(b, place);
    turn_windows(b, now_ms);
    catch_up(w, now_ms);
    if (outcome == BALANCE_NOTHING) {
        w->trial_ms = 0;
        return;
    }
    w->counts[0].all++;
    w->counts[0].bad += outcome != BALANCE_WELL;
    w->counts[0].failed += outcome == BALANCE_FAILED;
    if (outcome == BALANCE_FAILED)
        note_failed(b, w, now_ms);
    else
        note_well(w, now_ms);
    if (w->state == BALANCE_IN_USE && outcome != BALANCE_WELL && is_outlier(b, w, now_ms))
        put_out(b, w, BALANCE_EJECTED, now_ms);
}

/* ---- telling ---- */

bool balance_change(struct balance *b, uint64_t now_ms, struct balance_change *out)
{
    for (size_t i = 0; i < BALANCE_PLACES_MAX; i++) {
        struct balance_worker *w = &b->workers[i];
        enum balance_state state = state_of(w, now_ms);
        if (state == w->told)
            continue;
        *out = (struct balance_change){ .place = i, .from = w->told, .to = state };
        w->told = state;
        return true;
    }
    return false;
}
