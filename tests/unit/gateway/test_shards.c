#include <stdio.h>

#include "base/attr.h"
#include "base/sock.h"
#include "crypto/init.h"
#include "gateway/shards.h"
#include "tests/lib/law.h"

enum { N = 3 };

struct fixture {
    struct config config;
    struct gateway_settings settings;
    struct metering metering;
    struct admit *admit;
    struct store *store;
    struct loop *control;
    struct loop_timer guard;
    struct shard_common common;
    struct shards shards;
    unsigned ended; /* how many have said so */
    unsigned last;  /* how often it was the last one */
    struct buf message;
};

static void on_ended(void *owner)
{
    struct fixture *f = owner;
    f->ended++;
    if (!shards_end_one(&f->shards))
        return;
    f->last++;
    loop_stop(f->control);
}

static void on_stale(void *owner, size_t place)
{
    (void)owner;
    (void)place;
}

static void on_guard(struct loop_timer *t)
{
    (void)t;
    fail_msg("shards do not end");
}

static int set_up(void **state)
{
    static struct fixture f;
    static const struct store_settings store = { .path = ":memory:" };
    struct token_set none = { 0 };
    f = (struct fixture){ .message = BUF(CONFIG_MESSAGE_MAX) };
    CHECK_OK(crypto_init());
    /* With port 0 each shard gets a port of its own, which no other test can have taken. */
    CHECK_OK(config_read(&f.config, &gateway_program, &f.settings,
                         BYTES_LIT("listen: 127.0.0.1:0\nshards: 3\nheld_max: 1GiB\n"), "g.yaml",
                         &f.message));
    CHECK_OK(metering_init(&f.metering));
    CHECK_OK(admit_new(&f.admit, &f.settings.hosts, &f.settings.cors_origins, &none));
    CHECK_OK(store_open(&f.store, &store));
    CHECK_OK(loop_new(&f.control));
    loop_timer_start(f.control, &f.guard, 30000, on_guard);
    f.common = (struct shard_common){ .settings = &f.settings,
                                      .admit = f.admit,
                                      .metering = &f.metering,
                                      .store = f.store,
                                      .control = f.control,
                                      .stale = on_stale,
                                      .ended = on_ended,
                                      .owner = &f };
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    store_close(f->store);
    shards_free(&f->shards);
    shards_free(&f->shards);
    loop_timer_stop(&f->guard);
    loop_deliver(f->control);
    loop_free(f->control);
    admit_unref(f->admit);
    metering_clear(&f->metering);
    config_clear(&f->config);
    buf_clear(&f->message);
    return 0;
}

static void as_many_as_asked_for_share_what_is_held(void **state)
{
    struct fixture *f = *state;
    CHECK_OK(shards_open(&f->shards, &f->common, &f->message));
    assert_int_equal(f->shards.n, N);
    CHECK(f->common.held_max == f->settings.held_max / N);
}

static void each_can_hold_one_request(void **state)
{
    struct fixture *f = *state;
    f->settings.held_max = f->settings.body_max;
    CHECK_OK(shards_open(&f->shards, &f->common, &f->message));
    CHECK(f->common.held_max == f->settings.body_max);
}

static void an_address_that_is_taken_is_refused(void **state)
{
    struct fixture *f = *state;
    struct sock_addr at = { 0 };
    BUF_AUTO text = BUF(64);
    int fd = -1;
    CHECK_OK(sock_addr_read(BYTES_LIT("127.0.0.1:0"), &at));
    CHECK_OK(sock_listen(&at, 0, &fd));
    CHECK_OK(sock_bound(fd, &at));
    CHECK_OK(buf_addf(&text, "127.0.0.1:%u", (unsigned)at.port));
    f->settings.listen = buf_str(&text);
    CHECK_ERR(shards_open(&f->shards, &f->common, &f->message), CONFIG);
    CHECK(bytes_starts(buf_view(&f->message), buf_view(&text)) && f->shards.n == 0);
    sock_close(&fd);
}

static void they_end_when_told_and_the_last_one_is_known(void **state)
{
    struct fixture *f = *state;
    CHECK_OK(shards_open(&f->shards, &f->common, &f->message));
    CHECK_OK(shards_start(&f->shards));
    assert_int_equal(f->shards.running, N);
    shards_drain(&f->shards);
    loop_run(f->control);
    assert_int_equal(f->ended, N);
    assert_int_equal(f->last, 1);
}

/* Each that was told has a reference, until it ends. */
static void all_hear_who_may_ask(void **state)
{
    struct fixture *f = *state;
    struct token_set none = { 0 };
    struct admit *fresh;
    CHECK_OK(shards_open(&f->shards, &f->common, &f->message));
    CHECK_OK(shards_start(&f->shards));
    CHECK_OK(admit_new(&fresh, &f->settings.hosts, &f->settings.cors_origins, &none));
    CHECK_OK(shards_post_admit(&f->shards, fresh));
    shards_drain(&f->shards);
    loop_run(f->control);
    CHECK(f->shards.at[0]->admit == fresh && f->shards.at[N - 1]->admit == fresh);
    admit_unref(fresh);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(as_many_as_asked_for_share_what_is_held),
        TEST(each_can_hold_one_request),
        TEST(an_address_that_is_taken_is_refused),
        TEST(they_end_when_told_and_the_last_one_is_known),
        TEST(all_hear_who_may_ask),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
