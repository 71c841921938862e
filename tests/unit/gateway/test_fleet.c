/* Addresses that say whatever a test wants about the workers behind them. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "gateway/fleet.h"
#include "tests/lib/turn.h"
#include "tests/unit/gateway/verdicts.h"
#include "tests/unit/gateway/worker_sets.h"
#include "wire/link.h"
#include "wire/names.h"

enum { PATIENCE_MS = 30000, ASK_MS = 20, HOSTS = 2 };

struct host_stage {
    struct link_listener *listener;
    unsigned status;
    struct buf body;
    size_t asked;
};

static char folder[] = "/tmp/sealgate-fleet-XXXXXX";
static char texts[HOSTS][64];
static const char *addresses[HOSTS];
static struct loop *loop;
static struct fleet *fleet;
static struct worker_set *set; /* of the addresses */
static struct host_stage hosts[HOSTS];
static unsigned changes;

static void on_request(struct link *k, void *owner, struct link_stream *s,
                       const struct link_request *req)
{
    struct host_stage *h = owner;
    (void)k;
    CHECK_BYTES(req->method, BYTES_LIT("GET"));
    CHECK_BYTES(req->path, BYTES_LIT("/.well-known/sealgate-workers"));
    h->asked++;
    CHECK_OK(link_respond(s, h->status, NULL, 0, false));
    CHECK_OK(link_stream_write(s, buf_view(&h->body), true));
}

static const struct link_events EVENTS = { .request = on_request };

static void listen_at(size_t i)
{
    struct sock_addr addr;
    CHECK_OK(sock_addr_read(bytes_str(texts[i]), &addr));
    CHECK_OK(link_listen(&hosts[i].listener, loop, &addr, NULL, &(struct link_limits){ 0 }, &EVENTS,
                         &hosts[i]));
}

static int open_stage(void **state)
{
    (void)state;
    changes = 0;
    CHECK_OK(loop_new(&loop));
    for (size_t i = 0; i < HOSTS; i++) {
        hosts[i] = (struct host_stage){ .status = 404, .body = BUF(1 << 20) };
        (void)snprintf(texts[i], sizeof texts[i], "unix:%s/%zu", folder, i);
        addresses[i] = texts[i];
        listen_at(i);
    }
    return 0;
}

static int close_stage(void **state)
{
    (void)state;
    fleet_free(fleet);
    fleet = NULL;
    for (size_t i = 0; i < HOSTS; i++) {
        link_listener_free(hosts[i].listener);
        buf_clear(&hosts[i].body);
        (void)unlink(texts[i] + sizeof "unix:" - 1);
    }
    turn_once(loop);
    worker_set_unref(set);
    set = NULL;
    loop_free(loop);
    return 0;
}

static void on_changed(void *owner)
{
    CHECK(owner == &changes);
    changes++;
}

static void start(size_t n, uint64_t again_ms)
{
    set = worker_set_of(NULL, addresses, n);
    const struct fleet_settings settings = { .addresses = set,
                                             .ask_ms = ASK_MS,
                                             .again_ms = again_ms,
                                             .changed = on_changed,
                                             .owner = &changes };
    CHECK_OK(fleet_new(&fleet, loop, &settings));
}

static void say(size_t i, unsigned status, const char *body)
{
    hosts[i].status = status;
    buf_truncate(&hosts[i].body, 0);
    CHECK_OK(buf_add_str(&hosts[i].body, body));
}

/* The tags first, first + 1, ... */
static void say_tags(size_t i, unsigned first, unsigned n)
{
    say(i, 200, "");
    for (unsigned k = first; k < first + n; k++)
        CHECK_OK(buf_addf(&hosts[i].body, "%016x\n", k));
}

/* Until it was asked so many times more, and has what was said. */
static void answers(size_t i, size_t n)
{
    size_t until = hosts[i].asked + n + 1; /* the next question comes behind an answer */
    TURN_UNTIL(loop, PATIENCE_MS, hosts[i].asked >= until);
}

/* The number of the address, and of a tag. */
static bool is_set(const char *expected)
{
    BUF_AUTO text = BUF(8192);
    const struct worker_set *now = fleet_set(fleet);
    for (size_t i = 0; i < now->n; i++) {
        const struct worker_wish *w = &now->at[i].wish;
        CHECK_OK(buf_addf(&text, "%s%c", i > 0 ? " " : "",
                          now->at[i].text[strlen(now->at[i].text) - 1]));
        if (worker_tag_is(&w->tag))
            CHECK_OK(buf_addf(&text, "+%c", w->tag.text[ROSTER_TAG_LEN - 1]));
    }
    return bytes_equal(buf_view(&text), bytes_str(expected));
}

/* As trust would say it; who: is_set()'s word for it, NULL for nobody. */
static void trust_one(const char *address, const char *tag)
{
    static const uint8_t document[VERDICT_DIGEST_LEN];
    struct trust_view *view;
    struct verdict v;
    verdict_plain(&v, 100);
    CHECK_OK(trust_view_new(&view, fleet_set(fleet)));
    for (size_t i = 0; i < view->set->n; i++) {
        const struct worker_entry *e = &view->set->at[i];
        if (address != NULL && strcmp(e->text, address) == 0 && strcmp(e->wish.tag.text, tag) == 0)
            CHECK_OK(trusted_new(&view->workers[i], e->place, &v, document, 0));
    }
    verdict_clear(&v);
    fleet_note(fleet, view);
    trust_view_unref(view);
    turn_once(loop);
    turn_once(loop);
}

#define TAG_1 "0000000000000001"
#define TAG_2 "0000000000000002"

static void what_is_no_relay_is_itself_and_left_alone_for_a_while(void **state)
{
    (void)state;
    start(1, ASK_MS);
    CHECK(is_set("0"));
    answers(0, 2);
    CHECK(is_set("0") && changes == 0);
    fleet_free(fleet);
    worker_set_unref(set);
    start(1, 3600000);
    size_t asked = hosts[0].asked;
    TURN_UNTIL(loop, PATIENCE_MS,
               hosts[0].asked == asked + 1 && link_listener_links(hosts[0].listener) == 0);
}

static void one_that_becomes_a_relay_is_found_out(void **state)
{
    (void)state;
    start(1, ASK_MS);
    answers(0, 1);
    say_tags(0, 1, 2);
    TURN_UNTIL(loop, PATIENCE_MS, is_set("0 0+1 0+2"));
}

static void workers_behind_a_relay_take_its_place_once_one_is_trusted(void **state)
{
    (void)state;
    say_tags(0, 1, 2);
    start(1, ASK_MS);
    CHECK(is_set("0"));
    TURN_UNTIL(loop, PATIENCE_MS, is_set("0 0+1 0+2"));
    CHECK(changes == 1);
    trust_one(texts[0], "");
    CHECK(is_set("0 0+1 0+2") && changes == 1);
    trust_one(texts[0], TAG_2);
    CHECK(is_set("0+1 0+2") && changes == 2);
    trust_one(texts[0], TAG_1);
    CHECK(is_set("0+1 0+2") && changes == 2);
    trust_one(NULL, NULL);
    CHECK(is_set("0+1 0+2 0") && changes == 3);
}

static void who_is_not_listed_any_more_leaves_after_a_few_answers(void **state)
{
    (void)state;
    say_tags(0, 1, 2);
    start(1, ASK_MS);
    TURN_UNTIL(loop, PATIENCE_MS, is_set("0 0+1 0+2"));
    say_tags(0, 2, 2);
    size_t before = hosts[0].asked;
    TURN_UNTIL(loop, PATIENCE_MS, is_set("0 0+1 0+2 0+3"));
    TURN_UNTIL(loop, PATIENCE_MS, is_set("0 0+2 0+3"));
    CHECK(hosts[0].asked >= before + FLEET_MISSES_MAX);
    say(0, 200, "");
    TURN_UNTIL(loop, PATIENCE_MS, is_set("0"));
}

static void one_that_is_listed_now_and_then_stays(void **state)
{
    (void)state;
    say_tags(0, 1, 1);
    start(1, ASK_MS);
    TURN_UNTIL(loop, PATIENCE_MS, is_set("0 0+1"));
    unsigned at = changes;
    for (int i = 0; i < 4; i++) {
        size_t asked = hosts[0].asked;
        say(0, 200, "");
        TURN_UNTIL(loop, PATIENCE_MS, hosts[0].asked == asked + FLEET_MISSES_MAX - 1);
        say_tags(0, 1, 1);
        TURN_UNTIL(loop, PATIENCE_MS, hosts[0].asked >= asked + FLEET_MISSES_MAX);
    }
    answers(0, 1);
    CHECK(is_set("0 0+1") && changes == at);
}

static void what_is_no_list_changes_nothing(void **state)
{
    (void)state;
    static const struct {
        unsigned status;
        const char *body;
    } odd[] = {
        { 200, "<html></html>" },
        { 200, TAG_2 },
        { 200, TAG_2 "\n" TAG_2 "\n" },
        { 503, "" },
        { 429, TAG_2 "\n" },
        { 401, "" },
        { 200, TAG_2 "\nnot a tag at all\n" },
    };
    say_tags(0, 1, 1);
    start(1, ASK_MS);
    TURN_UNTIL(loop, PATIENCE_MS, is_set("0 0+1"));
    unsigned at = changes;
    for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
        say(0, odd[i].status, odd[i].body);
        answers(0, FLEET_MISSES_MAX + 1);
        CHECK(is_set("0 0+1") && changes == at);
    }
    say_tags(0, 1, ROSTER_MAX + 1);
    answers(0, FLEET_MISSES_MAX + 1);
    say_tags(0, 1, 10000);
    answers(0, FLEET_MISSES_MAX + 1);
    CHECK(is_set("0 0+1") && changes == at);
    say(0, 404, "");
    TURN_UNTIL(loop, PATIENCE_MS, is_set("0"));
}

static void a_relay_that_is_away_keeps_its_workers(void **state)
{
    (void)state;
    say_tags(0, 1, 1);
    start(1, ASK_MS);
    TURN_UNTIL(loop, PATIENCE_MS, is_set("0 0+1"));
    link_listener_free(hosts[0].listener);
    hosts[0].listener = NULL;
    for (int i = 0; i < 300; i++) {
        turn_once(loop);
        (void)poll(NULL, 0, 1);
    }
    CHECK(is_set("0 0+1"));
    say_tags(0, 1, 2);
    listen_at(0);
    TURN_UNTIL(loop, PATIENCE_MS, is_set("0 0+1 0+2"));
}

/* However many one lists, and however early. */
static void no_relay_takes_the_room_of_another(void **state)
{
    (void)state;
    size_t of[HOSTS] = { 0 };
    say_tags(0, 100, ROSTER_MAX);
    start(1, ASK_MS);
    TURN_UNTIL(loop, PATIENCE_MS, fleet_set(fleet)->n == WORKERS_MAX);
    say_tags(1, 100, ROSTER_MAX);
    struct worker_set *both = worker_set_of(set, addresses, 2);
    fleet_use(fleet, both);
    worker_set_unref(set);
    set = both;
    CHECK(fleet_set(fleet)->n == WORKERS_MAX);
    answers(1, 1);
    TURN_UNTIL(loop, PATIENCE_MS, fleet_set(fleet)->n == WORKERS_MAX);
    for (size_t i = 0; i < WORKERS_MAX; i++) {
        const char *text = fleet_set(fleet)->at[i].text;
        of[text[strlen(text) - 1] - '0']++;
    }
    CHECK(of[0] == WORKERS_MAX / 2 && of[1] == WORKERS_MAX / 2);
}

static void an_address_that_leaves_takes_its_workers_along(void **state)
{
    (void)state;
    say_tags(0, 1, 1);
    say_tags(1, 1, 1);
    start(2, ASK_MS);
    TURN_UNTIL(loop, PATIENCE_MS, fleet_set(fleet)->n == 4);
    trust_one(texts[0], TAG_1);
    CHECK(fleet_set(fleet)->n == 3);
    struct worker_set *one = worker_set_of(set, &addresses[1], 1);
    fleet_use(fleet, one);
    worker_set_unref(set);
    set = one;
    CHECK(is_set("1 1+1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, open_stage, close_stage)
        T(what_is_no_relay_is_itself_and_left_alone_for_a_while),
        T(one_that_becomes_a_relay_is_found_out),
        T(workers_behind_a_relay_take_its_place_once_one_is_trusted),
        T(who_is_not_listed_any_more_leaves_after_a_few_answers),
        T(one_that_is_listed_now_and_then_stays),
        T(what_is_no_list_changes_nothing),
        T(a_relay_that_is_away_keeps_its_workers),
        T(no_relay_takes_the_room_of_another),
        T(an_address_that_leaves_takes_its_workers_along),
    };
    if (crypto_init().code != ERR_OK || mkdtemp(folder) == NULL)
        return 1;
    int failed = cmocka_run_group_tests_name("gateway/fleet", tests, NULL, NULL);
    (void)rmdir(folder);
    return failed;
}
