/* A pool and the servers it connects to, on one loop, over unix sockets. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "gateway/pool.h"
#include "tests/unit/gateway/verdicts.h"
#include "tests/unit/gateway/worker_sets.h"

enum { GUARD_MS = 30000, SERVERS = 3, FAILURES = 3 };

struct fixture {
    struct loop *loop;
    struct loop_hook hook;
    struct loop_timer guard;
    bool (*done)(struct fixture *f);
    char folder[64];
    char addresses[SERVERS][96];
    const char *workers[SERVERS];
    struct worker_set *set; /* of the next view */
    struct link_listener *servers[SERVERS];
    struct pool *pool;
    size_t ready, want, accepted, lost;
    enum balance_state states[SERVERS]; /* as told */
    uint8_t salt;                       /* of identities */
    bool one_identity;                  /* several ways to one worker */
};

static void on_guard(struct loop_timer *t)
{
    (void)t;
    fail_msg("the loop waits for something that does not come");
}

static void on_turn(struct loop_hook *h)
{
    struct fixture *f = CONTAINER_OF(h, struct fixture, hook);
    if (f->done != NULL && f->done(f))
        loop_stop(f->loop);
}

static void until(struct fixture *f, bool (*done)(struct fixture *f))
{
    f->done = done;
    loop_timer_start(f->loop, &f->guard, GUARD_MS, on_guard);
    if (!done(f))
        loop_run(f->loop);
    loop_timer_stop(&f->guard);
    f->done = NULL;
}

static void turns(struct fixture *f)
{
    for (int i = 0; i < 10; i++) {
        loop_stop(f->loop);
        loop_run(f->loop);
    }
}

static void on_request(struct link *k, void *owner, struct link_stream *s,
                       const struct link_request *req)
{
    struct fixture *f = owner;
    (void)k;
    (void)s;
    (void)req;
    f->accepted++;
}

static const struct link_events SERVER = { .request = on_request };

static void on_closed(struct link_stream *s, enum link_close why)
{
    struct fixture *f = link_stream_owner(s);
    f->lost += why == LINK_LOST || why == LINK_REFUSED;
}

static const struct link_events STREAMS = { .closed = on_closed };

static void on_ready(void *owner)
{
    struct fixture *f = owner;
    f->ready++;
}

static void on_changed(void *owner, const struct balance_change *change)
{
    struct fixture *f = owner;
    CHECK(change->from != change->to);
    if (change->place >= SERVERS)
        return;
    CHECK(f->states[change->place] == change->from);
    f->states[change->place] = change->to;
}

static void listen_at(struct fixture *f, size_t i, uint32_t streams_max)
{
    struct sock_addr addr;
    const struct link_limits limits = { .streams_max = streams_max };
    CHECK_OK(sock_addr_read(bytes_str(f->addresses[i]), &addr));
    CHECK_OK(link_listen(&f->servers[i], f->loop, &addr, NULL, &limits, &SERVER, f));
}

static void set_up(struct fixture *f, uint32_t streams_max)
{
    *f = (struct fixture){ 0 };
    CHECK_OK(loop_new(&f->loop));
    loop_hook_add(f->loop, &f->hook, 200, on_turn);
    (void)snprintf(f->folder, sizeof f->folder, "/tmp/sealgate-pool-XXXXXX");
    CHECK(mkdtemp(f->folder) != NULL);
    for (size_t i = 0; i < SERVERS; i++) {
        (void)snprintf(f->addresses[i], sizeof f->addresses[i], "unix:%s/%zu", f->folder, i);
        f->workers[i] = f->addresses[i];
        listen_at(f, i, streams_max);
    }
    f->set = worker_set_of(NULL, f->workers, SERVERS);
    const struct pool_settings settings = {
        .streams = &STREAMS,
        .balance = { .failures = FAILURES, .out_ms = 3600000, .out_max_ms = 3600000 },
        .ready = on_ready,
        .changed = on_changed,
        .owner = f
    };
    CHECK_OK(pool_new(&f->pool, f->loop, &settings));
}

static void tear_down(struct fixture *f)
{
    pool_free(f->pool);
    worker_set_unref(f->set);
    for (size_t i = 0; i < SERVERS; i++) {
        link_listener_free(f->servers[i]);
        (void)unlink(f->addresses[i] + sizeof "unix:" - 1);
    }
    turns(f);
    loop_hook_remove(&f->hook);
    loop_free(f->loop);
    (void)rmdir(f->folder);
}

static bool ups_came(struct fixture *f)
{
    return f->ready >= f->want;
}

/* life_s[i] of 0: not trusted. Waits until every trusted worker is connected. */
static void trust(struct fixture *f, const int64_t *life_s)
{
    static const uint8_t document[VERDICT_DIGEST_LEN] = { 1 };
    struct trust_view *view;
    CHECK_OK(trust_view_new(&view, f->set));
    f->want = f->ready + 1;
    for (size_t i = 0; i < f->set->n; i++) {
        if (life_s[i] == 0)
            continue;
        struct verdict v;
        verdict_plain(&v, life_s[i]);
        v.identity[1] = f->one_identity ? 0 : (uint8_t)i;
        v.identity[2] = f->salt;
        CHECK_OK(trusted_new(&view->workers[i], f->set->at[i].place, &v, document, clock_wall_s()));
        verdict_clear(&v);
    }
    pool_update(f->pool, view);
    CHECK(pool_view(f->pool) == view && f->ready == f->want);
    trust_view_unref(view);
}

static void trust_and_connect(struct fixture *f, const int64_t *life_s)
{
    size_t n = 0;
    trust(f, life_s);
    for (size_t i = 0; i < f->set->n; i++)
        n += life_s[i] != 0;
    f->want += n;
    until(f, ups_came);
}

static struct pool_worker *choose(struct fixture *f, size_t avoid)
{
    const struct pool_want want = { .avoid = avoid };
    return pool_choose(f->pool, &want);
}

static size_t place_of(struct pool_worker *w)
{
    return pool_worker_trusted(w)->place;
}

static void there_is_nobody_before_somebody_is_trusted(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, 10);
    CHECK(choose(&f, SIZE_MAX) == NULL && !pool_is_ready(f.pool));
    CHECK(pool_view(f.pool) == NULL && !pool_is_full(f.pool));
    trust(&f, (const int64_t[]){ 0, 100, 0 });
    CHECK(choose(&f, SIZE_MAX) == NULL && !pool_is_ready(f.pool)); /* not connected yet */
    CHECK(!pool_is_full(f.pool));
    f.want = f.ready + 1;
    until(&f, ups_came);
    CHECK(place_of(choose(&f, SIZE_MAX)) == 1 && pool_is_ready(f.pool));
    tear_down(&f);
}

static void requests_are_spread_over_all(void **state)
{
    (void)state;
    struct fixture f;
    size_t counts[SERVERS] = { 0 };
    set_up(&f, 1000);
    trust_and_connect(&f, (const int64_t[]){ 100, 100, 100 });
    for (int i = 0; i < 300; i++) {
        struct pool_worker *w = choose(&f, SIZE_MAX);
        pool_worker_add(w, 1);
        counts[place_of(w)]++;
    }
    for (size_t i = 0; i < SERVERS; i++)
        CHECK(counts[i] > 90 && counts[i] < 110);
    tear_down(&f);
}

static struct pool_worker *second(struct fixture *f)
{
    return pool_find(f->pool, BYTES_LIT("07010000"), SIZE_MAX);
}

static void take_second_out(struct fixture *f)
{
    for (int i = 0; i < FAILURES; i++)
        pool_worker_note(second(f), BALANCE_FAILED);
    CHECK(f->states[1] == BALANCE_OPEN);
}

static void one_that_fails_is_left_alone_and_that_is_told(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, 1000);
    trust_and_connect(&f, (const int64_t[]){ 100, 100, 100 });
    CHECK(f.states[1] == BALANCE_IN_USE && pool_has_room(f.pool));
    struct pool_worker *w = second(&f);
    take_second_out(&f);
    for (int i = 0; i < 100; i++)
        CHECK(place_of(choose(&f, SIZE_MAX)) != 1);
    CHECK(!pool_worker_is_well(w) && pool_worker_is_well(choose(&f, SIZE_MAX)));
    CHECK(pool_worker_usable(w)); /* for those who want nobody else */
    trust(&f, (const int64_t[]){ 0, 100, 0 });
    CHECK(choose(&f, SIZE_MAX) == w); /* there is nobody else */
    tear_down(&f);
}

static void another_process_at_the_same_place_starts_afresh(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, 1000);
    trust_and_connect(&f, (const int64_t[]){ 100, 100, 0 });
    take_second_out(&f);
    trust(&f, (const int64_t[]){ 100, 100, 0 });
    CHECK(f.states[1] == BALANCE_OPEN);
    f.salt = 9;
    trust(&f, (const int64_t[]){ 100, 100, 0 });
    CHECK(f.states[1] == BALANCE_IN_USE);
    tear_down(&f);
}

static void those_of_a_later_priority_wait_until_the_first_are_not_well(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, 1000);
    f.set->at[0].wish.priority = 20;
    f.set->at[1].wish.priority = 10;
    f.set->at[2].wish.priority = 30;
    trust_and_connect(&f, (const int64_t[]){ 100, 100, 100 });
    for (int i = 0; i < 100; i++)
        CHECK(place_of(choose(&f, SIZE_MAX)) == 1);
    CHECK(place_of(choose(&f, 1)) == 0);
    take_second_out(&f);
    for (int i = 0; i < 100; i++)
        CHECK(place_of(choose(&f, SIZE_MAX)) == 0);
    CHECK(place_of(choose(&f, 0)) == 2);
    tear_down(&f);
}

/* Also of who is there already: weights come with each view. */
static void of_the_first_who_weighs_more_gets_more(void **state)
{
    (void)state;
    struct fixture f;
    size_t got[3] = { 0 };
    set_up(&f, 1000);
    trust_and_connect(&f, (const int64_t[]){ 100, 100, 100 });
    f.set->at[0].wish.weight = 0;
    f.set->at[2].wish.weight = 8;
    trust(&f, (const int64_t[]){ 100, 100, 100 });
    for (int i = 0; i < 900; i++)
        got[place_of(choose(&f, SIZE_MAX))]++;
    CHECK(got[0] < 50 && got[1] > 50 && got[1] < 200 && got[2] > 700);
    tear_down(&f);
}

/* What a probe found out about the worker at that place; NULL: it has no list. */
static void find_out(struct findings *f, size_t place, bool sick, const char *models)
{
    struct worker_finding finding = { .place = place,
                                      .identity = { 7, (uint8_t)place },
                                      .sick = sick };
    if (models != NULL)
        CHECK_OK(model_list_read(&finding.models, bytes_str(models)));
    CHECK_OK(findings_add(f, &finding));
    model_list_clear(&finding.models);
}

static struct pool_worker *choose_for(struct fixture *f, const char *model)
{
    const struct pool_want want = { .avoid = SIZE_MAX, .model = bytes_str(model) };
    return pool_choose(f->pool, &want);
}

static void a_model_is_asked_of_who_has_it(void **state)
{
    (void)state;
    struct fixture f;
    struct findings *found;
    const struct pool_want all = { .avoid = SIZE_MAX, .all_models = true };
    size_t seen = 0;
    size_t of_a = 0;
    set_up(&f, 1000);
    trust_and_connect(&f, (const int64_t[]){ 100, 100, 100 });
    CHECK_OK(findings_new(&found));
    find_out(found, 0, false, "{\"data\":[{\"id\":\"a\"}]}");
    find_out(found, 1, false, "{\"data\":[{\"id\":\"b\"},{\"id\":\"c\"}]}");
    find_out(found, 2, false, NULL);
    pool_use_findings(f.pool, found);
    findings_unref(found);
    for (int i = 0; i < 100; i++) {
        CHECK(place_of(choose_for(&f, "a")) != 1 && place_of(choose_for(&f, "c")) != 0);
        of_a |= (size_t)1 << place_of(choose_for(&f, "a"));
        CHECK(place_of(pool_choose(f.pool, &all)) == 1);
        seen |=
            (size_t)1 << place_of(choose_for(&f, "d")); /* nobody lists it: anybody may have it */
    }
    CHECK(seen == 7 && of_a == 5); /* of whom no list is known may have any */
    trust(&f, (const int64_t[]){ 100, -1, 100 });
    CHECK(place_of(choose_for(&f, "b")) == 2); /* who has it cannot be used; this one may have it */
    trust(&f, (const int64_t[]){ 100, -1, 0 });
    CHECK(choose_for(&f, "b") == NULL && place_of(choose_for(&f, "d")) == 0);
    tear_down(&f);
}

static void one_that_is_sick_by_a_probes_word_gets_nothing(void **state)
{
    (void)state;
    struct fixture f;
    struct findings *found;
    set_up(&f, 1000);
    trust_and_connect(&f, (const int64_t[]){ 100, 100, 0 });
    CHECK_OK(findings_new(&found));
    find_out(found, 1, true, NULL);
    pool_use_findings(f.pool, found);
    findings_unref(found);
    CHECK(f.states[1] == BALANCE_SICK && f.states[0] == BALANCE_IN_USE);
    for (int i = 0; i < 100; i++)
        CHECK(place_of(choose(&f, SIZE_MAX)) == 0);
    f.salt = 9; /* another process at the same place */
    trust(&f, (const int64_t[]){ 100, 100, 0 });
    CHECK(f.states[1] == BALANCE_IN_USE);
    tear_down(&f);
}

static bool second_is_down(struct fixture *f)
{
    return !pool_worker_usable(pool_find(f->pool, BYTES_LIT("07010000"), SIZE_MAX));
}

static void the_one_that_gave_an_id_is_found_by_its_tag(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, 100);
    trust_and_connect(&f, (const int64_t[]){ 100, 100, 0 });
    CHECK(place_of(pool_find(f.pool, BYTES_LIT("07000000"), SIZE_MAX)) == 0);
    CHECK(place_of(pool_find(f.pool, BYTES_LIT("07010000"), SIZE_MAX)) == 1);
    CHECK(pool_worker_usable(pool_find(f.pool, BYTES_LIT("07010000"), SIZE_MAX)));
    CHECK(pool_find(f.pool, BYTES_LIT("07020000"), SIZE_MAX) == NULL);
    CHECK(pool_find(f.pool, BYTES_LIT("0701000"), SIZE_MAX) == NULL);
    CHECK(pool_find(f.pool, (bytes){ 0 }, SIZE_MAX) == NULL);
    link_listener_free(f.servers[1]);
    f.servers[1] = NULL;
    until(&f, second_is_down);
    CHECK(pool_find(f.pool, BYTES_LIT("07010000"), SIZE_MAX) != NULL);
    tear_down(&f);
}

static bool first_is_down(struct fixture *f)
{
    return place_of(pool_find(f->pool, BYTES_LIT("07000000"), SIZE_MAX)) != 0;
}

static void of_several_ways_to_it_one_is_found_that_can_be_used(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, 100);
    f.one_identity = true;
    trust_and_connect(&f, (const int64_t[]){ 100, 100, 0 });
    CHECK(place_of(pool_find(f.pool, BYTES_LIT("07000000"), SIZE_MAX)) == 0);
    CHECK(place_of(pool_find(f.pool, BYTES_LIT("07000000"), 1)) == 0);
    CHECK(place_of(pool_find(f.pool, BYTES_LIT("07000000"), 0)) == 1);
    link_listener_free(f.servers[0]);
    f.servers[0] = NULL;
    until(&f, first_is_down);
    CHECK(place_of(pool_find(f.pool, BYTES_LIT("07000000"), 1)) == 1);
    tear_down(&f);
}

static void the_one_to_avoid_is_the_last_resort(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, 100);
    trust_and_connect(&f, (const int64_t[]){ 100, 100, 0 });
    CHECK(place_of(choose(&f, 0)) == 1);
    CHECK(place_of(choose(&f, 1)) == 0);
    trust(&f, (const int64_t[]){ 100, 0, 0 });
    CHECK(place_of(choose(&f, 0)) == 0);
    tear_down(&f);
}

static void who_is_trusted_no_more_is_cut_off(void **state)
{
    (void)state;
    struct fixture f;
    struct link_stream *stream;
    const struct link_request request = { .method = BYTES_LIT("POST"), .path = BYTES_LIT("/") };
    set_up(&f, 100);
    trust_and_connect(&f, (const int64_t[]){ 100, 0, 0 });
    struct pool_worker *w = choose(&f, SIZE_MAX);
    CHECK_OK(link_submit(pool_worker_link(w), &request, &stream, &f));
    turns(&f);
    CHECK(f.accepted == 1 && f.lost == 0);
    trust(&f, (const int64_t[]){ 0, 0, 0 });
    turns(&f);
    CHECK(f.lost == 1 && choose(&f, SIZE_MAX) == NULL && !pool_is_ready(f.pool));
    tear_down(&f);
}

static void withdraw(struct fixture *f, size_t i)
{
    trusted_withdraw(pool_view(f->pool)->workers[i]);
}

static void nothing_goes_to_who_was_withdrawn_before_the_next_view(void **state)
{
    (void)state;
    struct fixture f;
    size_t place;
    set_up(&f, 100);
    trust_and_connect(&f, (const int64_t[]){ 100, 100, 0 });
    withdraw(&f, 0);
    CHECK(place_of(choose(&f, SIZE_MAX)) == 1 && place_of(choose(&f, 1)) == 1);
    withdraw(&f, 1);
    CHECK(choose(&f, SIZE_MAX) == NULL && !pool_is_ready(f.pool));
    CHECK(!pool_is_full(f.pool) && !pool_has_expired(f.pool, &place));
    tear_down(&f);
}

static void what_is_under_way_at_one_that_was_withdrawn_may_finish(void **state)
{
    (void)state;
    struct fixture f;
    struct link_stream *stream;
    const struct link_request request = { .method = BYTES_LIT("POST"), .path = BYTES_LIT("/") };
    set_up(&f, 100);
    trust_and_connect(&f, (const int64_t[]){ 100, 0, 0 });
    struct pool_worker *w = choose(&f, SIZE_MAX);
    pool_worker_add(w, 1);
    CHECK_OK(link_submit(pool_worker_link(w), &request, &stream, &f));
    turns(&f);
    withdraw(&f, 0);
    trust(&f, (const int64_t[]){ 0, 0, 0 });
    trust(&f, (const int64_t[]){ 0, 0, 0 });
    turns(&f);
    CHECK(f.lost == 0 && link_is_up(pool_worker_link(w)));
    CHECK(choose(&f, SIZE_MAX) == NULL && !pool_is_ready(f.pool));
    pool_worker_add(w, -1);
    turns(&f);
    CHECK(pool_worker_link(w) == NULL && f.lost == 1);
    tear_down(&f);
}

static void what_is_under_way_is_cut_off_when_the_evidence_turns_out_to_be_false(void **state)
{
    (void)state;
    struct fixture f;
    struct link_stream *stream;
    struct trust_view *view;
    const struct link_request request = { .method = BYTES_LIT("POST"), .path = BYTES_LIT("/") };
    set_up(&f, 100);
    trust_and_connect(&f, (const int64_t[]){ 100, 0, 0 });
    struct pool_worker *w = choose(&f, SIZE_MAX);
    pool_worker_add(w, 1);
    CHECK_OK(link_submit(pool_worker_link(w), &request, &stream, &f));
    turns(&f);
    withdraw(&f, 0);
    trust(&f, (const int64_t[]){ 0, 0, 0 });
    turns(&f);
    CHECK(f.lost == 0);
    CHECK_OK(trust_view_new(&view, f.set));
    view->is_false = 2; /* somebody else's */
    pool_update(f.pool, view);
    trust_view_unref(view);
    turns(&f);
    CHECK(f.lost == 0);
    CHECK_OK(trust_view_new(&view, f.set));
    view->is_false = 1;
    pool_update(f.pool, view);
    trust_view_unref(view);
    turns(&f);
    CHECK(f.lost == 1 && pool_worker_link(w) == NULL);
    pool_worker_add(w, -1);
    turns(&f);
    tear_down(&f);
}

static void one_that_was_withdrawn_and_is_trusted_again_keeps_its_connection(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, 100);
    trust_and_connect(&f, (const int64_t[]){ 100, 0, 0 });
    struct pool_worker *w = choose(&f, SIZE_MAX);
    struct link *link = pool_worker_link(w);
    pool_worker_add(w, 1);
    withdraw(&f, 0);
    trust(&f, (const int64_t[]){ 0, 0, 0 });
    trust(&f, (const int64_t[]){ 100, 0, 0 });
    CHECK(choose(&f, SIZE_MAX) == w && pool_worker_link(w) == link);
    pool_worker_add(w, -1);
    turns(&f);
    CHECK(choose(&f, SIZE_MAX) == w && pool_worker_link(w) == link);
    tear_down(&f);
}

/* The workers there are from the next view on. */
static void use(struct fixture *f, const char *const *workers, size_t n)
{
    struct worker_set *set = worker_set_of(f->set, workers, n);
    worker_set_unref(f->set);
    f->set = set;
}

static void who_left_finishes_and_gets_nothing_new(void **state)
{
    (void)state;
    struct fixture f;
    struct link_stream *stream;
    const struct link_request request = { .method = BYTES_LIT("POST"), .path = BYTES_LIT("/") };
    set_up(&f, 100);
    trust_and_connect(&f, (const int64_t[]){ 100, 100, 0 });
    struct pool_worker *w = choose(&f, 1);
    CHECK(place_of(w) == 0);
    pool_worker_add(w, 1);
    CHECK_OK(link_submit(pool_worker_link(w), &request, &stream, &f));
    turns(&f);
    use(&f, &f.workers[1], 1);
    for (int i = 0; i < 3; i++) {
        trust(&f, (const int64_t[]){ 100 });
        turns(&f);
        CHECK(f.lost == 0 && link_is_up(pool_worker_link(w)));
        CHECK(place_of(choose(&f, 1)) == 1); /* the last resort: there is no other */
        CHECK(pool_find(f.pool, BYTES_LIT("07000000"), SIZE_MAX) != w);
    }
    pool_worker_add(w, -1);
    turns(&f);
    CHECK(f.lost == 1 && link_listener_links(f.servers[0]) == 0);
    CHECK(link_listener_links(f.servers[1]) == 1);
    tear_down(&f);
}

static void who_left_idle_is_gone_at_once_and_who_comes_back_is_somebody_else(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, 100);
    trust_and_connect(&f, (const int64_t[]){ 100, 100, 100 });
    use(&f, f.workers, 1);
    trust(&f, (const int64_t[]){ 100 });
    turns(&f);
    CHECK(link_listener_links(f.servers[0]) == 1);
    CHECK(link_listener_links(f.servers[1]) == 0 && link_listener_links(f.servers[2]) == 0);
    use(&f, f.workers, SERVERS);
    trust(&f, (const int64_t[]){ 100, 0, 100 });
    f.want = f.ready + 1;
    until(&f, ups_came);
    CHECK(place_of(choose(&f, 0)) == 4 && f.set->at[2].place == 4);
    CHECK(link_listener_links(f.servers[1]) == 0 && link_listener_links(f.servers[2]) == 1);
    tear_down(&f);
}

static void a_pool_ends_with_somebody_still_leaving(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, 100);
    trust_and_connect(&f, (const int64_t[]){ 100, 100, 100 });
    pool_worker_add(choose(&f, SIZE_MAX), 1);
    pool_worker_add(choose(&f, SIZE_MAX), 1);
    use(&f, NULL, 0);
    trust(&f, NULL);
    CHECK(choose(&f, SIZE_MAX) == NULL && !pool_is_ready(f.pool) && !pool_is_full(f.pool));
    tear_down(&f);
}

static void new_keys_leave_the_connection_alone(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, 100);
    trust_and_connect(&f, (const int64_t[]){ 100, 0, 0 });
    struct pool_worker *w = choose(&f, SIZE_MAX);
    struct trusted *before = trusted_ref(pool_worker_trusted(w));
    trust(&f, (const int64_t[]){ 200, 0, 0 });
    CHECK(choose(&f, SIZE_MAX) == w && pool_worker_trusted(w) != before);
    trusted_unref(before);
    tear_down(&f);
}

static void expired_keys_are_not_used_and_told(void **state)
{
    (void)state;
    struct fixture f;
    size_t place = 99;
    set_up(&f, 100);
    trust_and_connect(&f, (const int64_t[]){ 100, 100, 0 });
    CHECK(!pool_has_expired(f.pool, &place) && place == 99);
    trust(&f, (const int64_t[]){ 100, -1, 0 });
    CHECK(pool_has_expired(f.pool, &place) && place == 1);
    CHECK(place_of(choose(&f, SIZE_MAX)) == 0 && pool_is_ready(f.pool));
    trust(&f, (const int64_t[]){ -1, -1, 0 });
    CHECK(choose(&f, SIZE_MAX) == NULL && !pool_is_ready(f.pool));
    tear_down(&f);
}

static void full_is_something_else_than_absent(void **state)
{
    (void)state;
    struct fixture f;
    struct link_stream *stream;
    const struct link_request request = { .method = BYTES_LIT("POST"), .path = BYTES_LIT("/") };
    set_up(&f, 1);
    trust_and_connect(&f, (const int64_t[]){ 100, 0, 0 });
    CHECK(!pool_is_full(f.pool));
    struct pool_worker *w = choose(&f, SIZE_MAX);
    CHECK_OK(link_submit(pool_worker_link(w), &request, &stream, &f));
    CHECK(choose(&f, SIZE_MAX) == NULL && pool_is_full(f.pool));
    link_stream_reset(stream, LINK_CANCEL);
    CHECK(choose(&f, SIZE_MAX) == w && !pool_is_full(f.pool));
    tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_is_nobody_before_somebody_is_trusted),
        cmocka_unit_test(requests_are_spread_over_all),
        cmocka_unit_test(one_that_fails_is_left_alone_and_that_is_told),
        cmocka_unit_test(another_process_at_the_same_place_starts_afresh),
        cmocka_unit_test(a_model_is_asked_of_who_has_it),
        cmocka_unit_test(one_that_is_sick_by_a_probes_word_gets_nothing),
        cmocka_unit_test(those_of_a_later_priority_wait_until_the_first_are_not_well),
        cmocka_unit_test(of_the_first_who_weighs_more_gets_more),
        cmocka_unit_test(the_one_that_gave_an_id_is_found_by_its_tag),
        cmocka_unit_test(of_several_ways_to_it_one_is_found_that_can_be_used),
        cmocka_unit_test(the_one_to_avoid_is_the_last_resort),
        cmocka_unit_test(who_is_trusted_no_more_is_cut_off),
        cmocka_unit_test(nothing_goes_to_who_was_withdrawn_before_the_next_view),
        cmocka_unit_test(what_is_under_way_at_one_that_was_withdrawn_may_finish),
        cmocka_unit_test(what_is_under_way_is_cut_off_when_the_evidence_turns_out_to_be_false),
        cmocka_unit_test(one_that_was_withdrawn_and_is_trusted_again_keeps_its_connection),
        cmocka_unit_test(who_left_finishes_and_gets_nothing_new),
        cmocka_unit_test(who_left_idle_is_gone_at_once_and_who_comes_back_is_somebody_else),
        cmocka_unit_test(a_pool_ends_with_somebody_still_leaving),
        cmocka_unit_test(new_keys_leave_the_connection_alone),
        cmocka_unit_test(expired_keys_are_not_used_and_told),
        cmocka_unit_test(full_is_something_else_than_absent),
    };
    if (crypto_init().code != ERR_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
