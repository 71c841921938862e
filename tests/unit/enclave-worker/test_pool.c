/*
 * A keeper and workers of its pool on one loop, over a unix socket; and sealed requests to a worker
 * whose keeper is there, gone, or another one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "crypto/tls.h"
#include "enclave-worker/pool.h"
#include "tests/unit/enclave-worker/stage.h"

enum { QUESTIONS = 300, DATE_WINDOW_S = 120 };

#define KEY_HEX "a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7"
#define TOKEN_HEX                                                                                  \
    "3c469e9d6c5875d37a43f353d4f88e61fcf812c66eee3457465a40b0da4153e0" /* of "token" */
#define OTHER_HEX "b7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7"

static char folder[] = "/tmp/sealgate-pool-XXXXXX";
static char address[64];

/* A worker as far as the pool goes. */
struct peer {
    struct keys *keys;
    struct pool *pool;
};

static struct pool_key key_of(const char *hex)
{
    struct pool_key key;
    CHECK_OK(pool_key_read(bytes_str(hex), &key));
    return key;
}

static void peer_open(struct peer *p, struct stage *s, const char *hex, bool keeps,
                      uint32_t grace_s)
{
    const struct pool_key key = key_of(hex);
    struct sock_addr addr;
    const struct keys_settings keys = {
        .worker_name = "w2", .life_s = 3600, .ahead_s = 300, .grace_s = grace_s, .pooled = true
    };
    CHECK_OK(sock_addr_read(bytes_str(address), &addr));
    CHECK_OK(keys_new(&p->keys, s->loop, &keys));
    CHECK(!keys_ready(p->keys) && keys_list(p->keys).len == 0);
    CHECK_OK(keys_share(p->keys, &key));
    const struct pool_settings settings = { .set = { .key = &key,
                                                     .key_life_s = 3600,
                                                     .key_grace_s = grace_s,
                                                     .date_window_s = DATE_WINDOW_S,
                                                     .entries_max = 1000 },
                                            .listen = keeps ? &addr : NULL,
                                            .keeper = keeps ? NULL : &addr,
                                            .keys = p->keys };
    CHECK_OK(pool_new(&p->pool, s->loop, &settings));
    CHECK(pool_ready(p->pool) == keeps);
}

static void peer_close(struct peer *p, struct stage *s)
{
    pool_free(p->pool);
    stage_turns(s);
    keys_free(p->keys);
    *p = (struct peer){ 0 };
}

static bool ready(struct stage *s, void *arg)
{
    const struct peer *p = arg;
    (void)s;
    return pool_ready(p->pool);
}

static bool away(struct stage *s, void *arg)
{
    return !ready(s, arg);
}

/* ---- questions ---- */

struct question {
    struct pool_question base;
    enum pool_verdict verdict;
    bool answered;
    size_t place; /* in which answers came */
};

static size_t answers;

static void on_answer(struct pool_question *q, enum pool_verdict verdict)
{
    struct question *own = CONTAINER_OF(q, struct question, base);
    CHECK(!own->answered);
    own->answered = true;
    own->verdict = verdict;
    own->place = ++answers;
}

static uint8_t newest_id(const struct peer *p)
{
    return keys_list_bare(p->keys).at[0];
}

static void ask(struct peer *p, struct question *q, uint32_t who)
{
    struct pool_ask a = { .date = clock_wall_s() };
    *q = (struct question){ 0 };
    memcpy(a.digest, &who, sizeof who);
    CHECK(keys_tag(p->keys, newest_id(p), a.tag));
    if (pool_judge(p->pool, &q->base, &a, on_answer, &q->verdict))
        q->answered = true;
}

static bool is_answered(struct stage *s, void *arg)
{
    const struct question *q = arg;
    (void)s;
    return q->answered;
}

static enum pool_verdict verdict_on(struct stage *s, struct peer *p, uint32_t who)
{
    struct question q;
    ask(p, &q, who);
    stage_until(s, is_answered, &q);
    return q.verdict;
}

/* ---- */

static void workers_of_a_pool_have_the_same_keys_and_one_memory(void **state)
{
    (void)state;
    struct stage s;
    struct peer keeper, a, b;
    stage_open(&s, NULL);
    peer_open(&keeper, &s, KEY_HEX, true, 120);
    peer_open(&a, &s, KEY_HEX, false, 120);
    peer_open(&b, &s, KEY_HEX, false, 120);
    stage_until(&s, ready, &a);
    stage_until(&s, ready, &b);
    CHECK(keys_list(a.keys).len > 0);
    CHECK_BYTES(keys_list(a.keys), keys_list(keeper.keys));
    CHECK_BYTES(keys_list(b.keys), keys_list(keeper.keys));
    CHECK(!bytes_equal(keys_statement(a.keys), keys_statement(b.keys)));

    CHECK(verdict_on(&s, &a, 1) == POOL_FRESH);
    CHECK(verdict_on(&s, &b, 1) == POOL_SEEN);
    CHECK(verdict_on(&s, &keeper, 1) == POOL_SEEN);
    CHECK(verdict_on(&s, &keeper, 2) == POOL_FRESH);
    CHECK(verdict_on(&s, &a, 2) == POOL_SEEN);
    peer_close(&b, &s);
    peer_close(&a, &s);
    peer_close(&keeper, &s);
    stage_close(&s);
}

static void questions_of_one_turn_are_answered_in_their_order(void **state)
{
    (void)state;
    static struct question q[QUESTIONS];
    struct stage s;
    struct peer keeper, a;
    stage_open(&s, NULL);
    peer_open(&keeper, &s, KEY_HEX, true, 120);
    peer_open(&a, &s, KEY_HEX, false, 120);
    stage_until(&s, ready, &a);
    answers = 0;
    for (uint32_t i = 0; i < QUESTIONS; i++)
        ask(&a, &q[i], i / 2);
    /* Some do not want to know any more, the first and the last among them. */
    for (uint32_t i = 0; i < QUESTIONS; i += 23)
        pool_question_forget(&q[i].base);
    pool_question_forget(&q[QUESTIONS - 1].base);
    stage_until(&s, is_answered, &q[QUESTIONS - 2]);
    stage_turns(&s);
    size_t place = 0;
    for (uint32_t i = 0; i < QUESTIONS; i++) {
        bool forgotten = i % 23 == 0 || i == QUESTIONS - 1;
        CHECK(q[i].answered == !forgotten);
        if (forgotten)
            continue;
        CHECK(q[i].place == ++place);
        CHECK(q[i].verdict == (i % 2 == 0 ? POOL_FRESH : POOL_SEEN));
    }
    CHECK(verdict_on(&s, &a, QUESTIONS) == POOL_FRESH);
    peer_close(&a, &s);
    peer_close(&keeper, &s);
    stage_close(&s);
}

static void without_a_keeper_nothing_is_fresh_and_a_new_one_brings_new_keys(void **state)
{
    (void)state;
    struct question q;
    struct stage s;
    struct peer keeper, a;
    BUF_AUTO old = BUF(4096);
    uint8_t tag[POOL_TAG_LEN];
    stage_open(&s, NULL);
    peer_open(&keeper, &s, KEY_HEX, true, 120);
    peer_open(&a, &s, KEY_HEX, false, 120);
    stage_until(&s, ready, &a);
    CHECK_OK(buf_add(&old, keys_list(a.keys)));
    CHECK(keys_tag(a.keys, newest_id(&a), tag));
    CHECK(verdict_on(&s, &a, 1) == POOL_FRESH);

    ask(&a, &q, 2);
    CHECK(!q.answered);
    peer_close(&keeper, &s);
    stage_until(&s, away, &a);
    CHECK(q.answered && q.verdict == POOL_NOTHING);
    CHECK(verdict_on(&s, &a, 3) == POOL_NOTHING);

    peer_open(&keeper, &s, KEY_HEX, true, 120);
    stage_until(&s, ready, &a);
    CHECK(!bytes_equal(keys_list(a.keys), buf_view(&old)));
    CHECK_BYTES(keys_list(a.keys), keys_list(keeper.keys));
    /* It does not know what the first one saw, nor the keys that it was sealed to. */
    struct pool_ask late = { .date = clock_wall_s() };
    struct question asked = { 0 };
    memcpy(late.tag, tag, sizeof tag);
    CHECK(!pool_judge(a.pool, &asked.base, &late, on_answer, &asked.verdict));
    stage_until(&s, is_answered, &asked);
    CHECK(asked.verdict == POOL_UNKNOWN);
    CHECK(verdict_on(&s, &a, 1) == POOL_FRESH);
    peer_close(&a, &s);
    peer_close(&keeper, &s);
    stage_close(&s);
}

static void another_pool_key_or_other_times_join_nothing(void **state)
{
    (void)state;
    struct stage s;
    struct peer keeper, stranger, other_times, last;
    stage_open(&s, NULL);
    peer_open(&keeper, &s, KEY_HEX, true, 120);
    peer_open(&stranger, &s, OTHER_HEX, false, 120);
    peer_open(&other_times, &s, KEY_HEX, false, 121);
    peer_open(&last, &s, KEY_HEX, false, 120);
    stage_until(&s, ready, &last);
    stage_turns(&s);
    CHECK(!pool_ready(stranger.pool) && !keys_ready(stranger.keys));
    CHECK(!pool_ready(other_times.pool) && !keys_ready(other_times.keys));
    CHECK(verdict_on(&s, &last, 1) == POOL_FRESH);
    peer_close(&last, &s);
    peer_close(&other_times, &s);
    peer_close(&stranger, &s);
    peer_close(&keeper, &s);
    stage_close(&s);
}
enum { NOW = 3600 * 1000 + 1800, LIFE_S = 3600 };

/* Keys of a chain, at a time that is said. */
static struct keys *joined(struct stage *s, const struct pool_chain *chain, int64_t now)
{
    struct keys *k;
    const struct pool_key key = key_of(KEY_HEX);
    const struct keys_settings settings = {
        .worker_name = "w2", .life_s = LIFE_S, .ahead_s = 300, .grace_s = 0, .pooled = true
    };
    CHECK_OK(keys_new(&k, s->loop, &settings));
    CHECK_OK(keys_share(k, &key));
    CHECK_OK(keys_join(k, chain, now));
    return k;
}

static void a_chain_that_is_said_again_changes_nothing_but_the_time(void **state)
{
    (void)state;
    struct stage s;
    BUF_AUTO first = BUF(4096);
    struct pool_chain chain = { .epoch = 1000, .first_id = 3, .link = { 1 } };
    struct pool_chain later = chain;
    stage_open(&s, NULL);
    struct keys *k = joined(&s, &chain, NOW);
    CHECK_OK(buf_add(&first, keys_list(k)));
    uint64_t generation = keys_generation(k);
    for (int64_t off = -1; off <= 1; off++)
        CHECK_OK(keys_join(k, &chain, NOW + off));
    CHECK(keys_generation(k) == generation);
    CHECK_BYTES(keys_list(k), buf_view(&first));

    /* The next epoch, told by the chain as it was, or as it is then; then a second back. */
    CHECK_OK(keys_join(k, &chain, NOW + 1800));
    CHECK(keys_generation(k) == generation + 1 && !bytes_equal(keys_list(k), buf_view(&first)));
    pool_chain_step(&later);
    CHECK_OK(keys_join(k, &later, NOW + 1800));
    CHECK_OK(keys_join(k, &chain, NOW + 1799));
    CHECK(keys_generation(k) == generation + 1 && keys_ready(k));
    CHECK(keys_list_bare(k).at[0] == (uint8_t)(3 + 1001));

    /* Another chain is another pool, whatever its time. */
    chain.link[0]++;
    CHECK_OK(keys_join(k, &chain, NOW));
    CHECK(keys_generation(k) == generation + 2);
    CHECK(keys_list_bare(k).at[0] == (uint8_t)(3 + 1000));
    CHECK(!bytes_equal(keys_list(k), buf_view(&first)));
    keys_free(k);
    stage_close(&s);
}

static void the_list_names_the_next_key_before_its_time(void **state)
{
    (void)state;
    struct stage s;
    const struct pool_chain chain = { .epoch = 1000, .link = { 1 } };
    struct key_config configs[4];
    size_t n = 0;
    stage_open(&s, NULL);
    struct keys *k = joined(&s, &chain, 3600 * 1001 - 310);
    CHECK_OK(keylist_read(keys_list(k), KEYLIST_PREFIXED, configs, 4, &n));
    CHECK(n == 1 && configs[0].id == (uint8_t)1000);
    /* It opens already: others' clocks are not quite the same. */
    CHECK(ohttp_keys_private(keys_ohttp(k), (uint8_t)1001) != NULL);
    CHECK_OK(keys_join(k, &chain, 3600 * 1001 - 300));
    CHECK_OK(keylist_read(keys_list(k), KEYLIST_PREFIXED, configs, 4, &n));
    CHECK(n == 2 && configs[0].id == (uint8_t)1001 && configs[1].id == (uint8_t)1000);
    CHECK_OK(keys_join(k, &chain, 3600 * 1001));
    CHECK_OK(keylist_read(keys_list(k), KEYLIST_PREFIXED, configs, 4, &n));
    CHECK(n == 1 && configs[0].id == (uint8_t)1001);
    CHECK(ohttp_keys_private(keys_ohttp(k), (uint8_t)1000) == NULL);
    CHECK(ohttp_keys_private(keys_ohttp(k), (uint8_t)1002) != NULL);
    keys_free(k);
    stage_close(&s);
}

static void exactly_one_of_keeping_and_asking_is_to_be_chosen(void **state)
{
    (void)state;
    struct stage s;
    struct sock_addr addr;
    struct pool *p = NULL;
    const struct pool_key key = key_of(KEY_HEX);
    stage_open(&s, NULL);
    CHECK_OK(sock_addr_read(bytes_str(address), &addr));
    struct pool_settings settings = { .set = { .key = &key, .key_life_s = 1, .entries_max = 1 },
                                      .keys = s.worker.keys };
    CHECK_ERR(pool_new(&p, s.loop, &settings), CONFIG);
    settings.listen = settings.keeper = &addr;
    CHECK_ERR(pool_new(&p, s.loop, &settings), CONFIG);
    CHECK(p == NULL);
    pool_free(NULL);
    /* Keys that are the worker's own cannot join. */
    const struct pool_chain chain = { .epoch = 1 };
    CHECK_ERR(keys_share(s.worker.keys, &key), INTERNAL);
    CHECK_ERR(keys_join(s.worker.keys, &chain, 1), INTERNAL);
    stage_close(&s);
}

/* ---- somebody who has the pool key and does not speak as he should ---- */

struct raw {
    struct link *link;
    struct tls_context *tls;
    struct link_stream *stream;
    const char *path;
    bytes says;
    bool closed;
};

static void raw_up(struct link *k, void *owner)
{
    struct raw *r = owner;
    const struct link_request request = { .method = BYTES_LIT("POST"), .path = bytes_str(r->path) };
    CHECK_OK(link_submit(k, &request, &r->stream, r));
    CHECK_OK(link_stream_write(r->stream, r->says, false));
}

static void raw_data(struct link_stream *stream, bytes in)
{
    link_stream_consume(stream, in.len);
}

static void raw_closed(struct link_stream *stream, enum link_close why)
{
    struct raw *r = link_stream_owner(stream);
    (void)why;
    r->closed = true;
}

static const struct link_events RAW = { .up = raw_up, .data = raw_data, .closed = raw_closed };

static bool is_closed(struct stage *s, void *arg)
{
    const struct raw *r = arg;
    (void)s;
    return r->closed;
}

static void say(struct stage *s, const char *path, bytes says)
{
    uint8_t psk[POOL_KEY_LEN];
    const struct pool_key key = key_of(KEY_HEX);
    struct raw r = { .path = path, .says = says };
    struct link_settings settings = { 0 };
    pool_key_psk(&key, psk);
    const struct tls_settings tls = { .psk = BYTES_ARRAY(psk), .alpn = "h2" };
    CHECK_OK(tls_context_new(&r.tls, &tls, false));
    CHECK_OK(sock_addr_read(bytes_str(address), &settings.addr));
    settings.addr.tls = true;
    settings.tls = r.tls;
    CHECK_OK(link_open(&r.link, s->loop, &settings, &RAW, &r));
    stage_until(s, is_closed, &r);
    link_close(r.link);
    stage_turns(s);
    tls_context_free(r.tls);
}

static void a_keeper_ends_streams_that_make_no_sense_and_serves_the_others(void **state)
{
    (void)state;
    struct stage s;
    struct peer keeper, a;
    BUF_AUTO answer = BUF(64);
    const struct pool_answer lie = { .number = 1, .verdict = POOL_FRESH };
    CHECK_OK(pool_answer_write(&answer, &lie));
    stage_open(&s, NULL);
    peer_open(&keeper, &s, KEY_HEX, true, 120);
    peer_open(&a, &s, KEY_HEX, false, 120);
    stage_until(&s, ready, &a);
    say(&s, POOL_PATH, BYTES_LIT("\xff"));
    say(&s, POOL_PATH, buf_view(&answer));
    say(&s, "/other", BYTES_LIT(""));
    CHECK(verdict_on(&s, &a, 1) == POOL_FRESH);
    peer_close(&a, &s);
    peer_close(&keeper, &s);
    stage_close(&s);
}

/* ---- sealed requests ---- */

static const struct stage_request PLAIN = { .body = { (const uint8_t *)"{\"model\":\"m\"}", 13 } };

static const char *pool_flags[] = { "--pool-key-file=" KEY_HEX, NULL, NULL, NULL };
static char keeper_flag[96];

static void scene_open(struct stage *s, struct peer *keeper)
{
    (void)snprintf(keeper_flag, sizeof keeper_flag, "--replay-keeper=%s", address);
    pool_flags[1] = keeper_flag;
    stage_open(s, pool_flags);
    peer_open(keeper, s, KEY_HEX, true, 120);
    struct peer own = { .keys = s->worker.keys, .pool = s->worker.pool };
    stage_until(s, ready, &own);
}

static bool is_asked(struct stage *s, void *arg)
{
    const size_t *n = arg;
    return s->starts == *n;
}

static void replay(struct stage *s, const struct stage_ask *first, struct stage_ask *again)
{
    *again = *first;
    again->stream = NULL;
    again->ended = again->closed = false;
    again->outer = again->status = 0;
    again->clear = again->plain = again->content = again->receipt = BUF(1 << 20);
    stage_send(s, again, 0, again->sealed.len, true);
    stage_answer(s, again);
    buf_clear(&again->clear);
    buf_clear(&again->plain);
    buf_clear(&again->content);
    buf_clear(&again->receipt);
}

static void a_request_of_the_pool_is_answered_once(void **state)
{
    (void)state;
    struct stage s;
    struct peer keeper;
    struct stage_ask first, again;
    size_t one = 1;
    scene_open(&s, &keeper);
    stage_ask(&s, &first, OHTTP_CHUNKED, &PLAIN);
    stage_until(&s, is_asked, &one);
    replay(&s, &first, &again);
    CHECK(again.outer == 200 && again.status == 409);
    CHECK(s.starts == 1);
    stage_ask_clear(&first);
    peer_close(&keeper, &s);
    stage_close(&s);
}

/* By the keeper. */
static uint64_t remembered(struct stage *s, struct peer *keeper)
{
    BUF_AUTO text = BUF(METRICS_TEXT_MAX);
    const char name[] = "\nsealgate_worker_pool_entries ";
    pool_measure(keeper->pool, s->worker.metrics.block, &s->worker.metrics.pool);
    CHECK_OK(metrics_render(s->worker.metrics.set, &text));
    const char *at = strstr(buf_str(&text), name);
    uint64_t n = 0;
    CHECK(at != NULL);
    at += sizeof name - 1;
    CHECK(text_u64(bytes_of(at, strcspn(at, "\n")), &n));
    return n;
}

/* Whoever has no token takes no room at the keeper either. */
static void what_may_not_be_asked_is_not_asked_of_the_keeper(void **state)
{
    (void)state;
    struct stage s;
    struct peer keeper;
    struct stage_ask ask;
    size_t one = 1;
    struct stage_request right = PLAIN;
    right.authorization = "Bearer token";
    pool_flags[2] = "--tokens-file=" TOKEN_HEX;
    scene_open(&s, &keeper);
    pool_flags[2] = NULL;
    stage_ask(&s, &ask, OHTTP_CHUNKED, &PLAIN);
    stage_answer(&s, &ask);
    CHECK(ask.outer == 200 && ask.status == 401);
    CHECK(remembered(&s, &keeper) == 0);
    stage_ask_clear(&ask);
    stage_ask(&s, &ask, OHTTP_CHUNKED, &right);
    stage_until(&s, is_asked, &one);
    CHECK(remembered(&s, &keeper) == 1);
    stage_ask_clear(&ask);
    peer_close(&keeper, &s);
    stage_close(&s);
}

/* Its end is there before the keeper has answered, or long after. */
static void however_a_request_is_cut_the_engine_is_asked_once(void **state)
{
    (void)state;
    struct stage s;
    struct peer keeper;
    size_t n = 0;
    scene_open(&s, &keeper);
    for (size_t step = 1; step < 400; step = step * 3 + 1) {
        struct stage_ask ask;
        stage_seal(&s, &ask, OHTTP_CHUNKED, &PLAIN);
        for (size_t at = 0; at < ask.sealed.len; at += step)
            stage_send(&s, &ask, at, step, at + step >= ask.sealed.len);
        n++;
        stage_until(&s, is_asked, &n);
        stage_ask_clear(&ask);
        stage_turns(&s);
    }
    peer_close(&keeper, &s);
    stage_close(&s);
}

static void check_clear(struct stage *s, unsigned status)
{
    struct stage_ask ask;
    size_t before = s->starts;
    stage_ask(s, &ask, OHTTP_CHUNKED, &PLAIN);
    stage_answer(s, &ask);
    CHECK(ask.outer == status);
    CHECK(strcmp(ask.media, "application/problem+json") == 0);
    CHECK(s->starts == before);
    stage_ask_clear(&ask);
}

static void a_keeper_that_goes_while_it_is_asked_leads_to_a_refusal_in_the_clear(void **state)
{
    (void)state;
    struct stage s;
    struct peer keeper;
    struct stage_ask ask;
    scene_open(&s, &keeper);
    stage_seal(&s, &ask, OHTTP_CHUNKED, &PLAIN);
    stage_send(&s, &ask, 0, ask.sealed.len, true);
    /* Its listener is gone before the loop turns once more. */
    pool_free(keeper.pool);
    keeper.pool = NULL;
    stage_answer(&s, &ask);
    CHECK(ask.outer == 503 && s.starts == 0);
    struct peer own = { .keys = s.worker.keys, .pool = s.worker.pool };
    stage_until(&s, away, &own);
    check_clear(&s, 503);
    stage_ask_clear(&ask);
    peer_close(&keeper, &s);

    peer_open(&keeper, &s, KEY_HEX, true, 120);
    stage_until(&s, ready, &own);
    size_t one = 1;
    stage_ask(&s, &ask, OHTTP_CHUNKED, &PLAIN);
    stage_until(&s, is_asked, &one);
    stage_ask_clear(&ask);
    peer_close(&keeper, &s);
    stage_close(&s);
}

static void refuse_sealed(struct stage *s, const struct stage_request *r, unsigned status)
{
    struct stage_ask ask;
    stage_ask(s, &ask, OHTTP_CHUNKED, r);
    stage_answer(s, &ask);
    CHECK(ask.outer == 200 && ask.status == status);
    CHECK(s->starts == 0);
    stage_ask_clear(&ask);
}

static void a_request_without_a_date_or_with_an_old_one_is_refused(void **state)
{
    (void)state;
    struct stage s;
    struct peer keeper;
    struct stage_request r = PLAIN;
    scene_open(&s, &keeper);
    r.no_date = true;
    refuse_sealed(&s, &r, 400);
    r.no_date = false;
    r.date_off = -DATE_WINDOW_S - 30;
    refuse_sealed(&s, &r, 400);
    r.date_off = DATE_WINDOW_S + 30;
    refuse_sealed(&s, &r, 400);
    peer_close(&keeper, &s);
    stage_close(&s);
}

static void a_client_that_leaves_while_the_keeper_is_asked_leaves_nothing_behind(void **state)
{
    (void)state;
    struct stage s;
    struct peer keeper;
    scene_open(&s, &keeper);
    for (int turns = 0; turns < 8; turns++) {
        struct stage_ask ask;
        stage_ask(&s, &ask, OHTTP_CHUNKED, &PLAIN);
        for (int i = 0; i < turns; i++) {
            loop_stop(s.loop);
            loop_run(s.loop);
        }
        stage_ask_clear(&ask);
        stage_turns(&s);
    }
    peer_close(&keeper, &s);
    stage_close(&s);
}

static int setup(void **state)
{
    (void)state;
    CHECK(mkdtemp(folder) != NULL);
    (void)snprintf(address, sizeof address, "unix:%s/keeper", folder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    (void)unlink(address + sizeof "unix:" - 1);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(workers_of_a_pool_have_the_same_keys_and_one_memory),
        cmocka_unit_test(questions_of_one_turn_are_answered_in_their_order),
        cmocka_unit_test(without_a_keeper_nothing_is_fresh_and_a_new_one_brings_new_keys),
        cmocka_unit_test(another_pool_key_or_other_times_join_nothing),
        cmocka_unit_test(a_chain_that_is_said_again_changes_nothing_but_the_time),
        cmocka_unit_test(the_list_names_the_next_key_before_its_time),
        cmocka_unit_test(exactly_one_of_keeping_and_asking_is_to_be_chosen),
        cmocka_unit_test(a_keeper_ends_streams_that_make_no_sense_and_serves_the_others),
        cmocka_unit_test(a_request_of_the_pool_is_answered_once),
        cmocka_unit_test(what_may_not_be_asked_is_not_asked_of_the_keeper),
        cmocka_unit_test(however_a_request_is_cut_the_engine_is_asked_once),
        cmocka_unit_test(a_keeper_that_goes_while_it_is_asked_leads_to_a_refusal_in_the_clear),
        cmocka_unit_test(a_request_without_a_date_or_with_an_old_one_is_refused),
        cmocka_unit_test(a_client_that_leaves_while_the_keeper_is_asked_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
