#include "base/loop.h"
#include "crypto/init.h"
#include "gateway/relay_shard.h"
#include "tests/lib/law.h"
#include "tests/unit/gateway/worker_sets.h"

static void count(void *owner)
{
    (*(unsigned *)owner)++;
}

/* What it has to say is in its own memory: nobody may hear of it later. */
static void who_is_freed_has_said_that_it_ended(void **state)
{
    (void)state;
    static const char *const workers[] = { "127.0.0.1:1" };
    const struct gateway_settings settings = { .listen = "127.0.0.1:0",
                                               .body_max = 1024,
                                               .connections_max = 8,
                                               .idle_timeout = 1000,
                                               .head_timeout = 1000,
                                               .body_timeout = 1000,
                                               .answer_timeout = 1000,
                                               .drain_timeout = 1000 };
    unsigned ended = 0;
    atomic_size_t ready = 0;
    struct relay_shard *s;
    struct worker_set *set = worker_set_of(NULL, workers, 1);
    struct relay_common common = { .settings = &settings,
                                   .workers = set,
                                   .ready = &ready,
                                   .shards = 1,
                                   .ended = count,
                                   .owner = &ended };
    CHECK_OK(loop_new(&common.control));
    CHECK_OK(metrics_new(&common.metrics.set));
    CHECK_OK(relay_shard_new(&s, &common));
    CHECK_OK(relay_shard_start(s));
    relay_shard_post_workers(s, set);
    worker_set_unref(set);
    relay_shard_post_drain(s);
    relay_shard_post_drain(s);
    relay_shard_free(s);
    CHECK(ended == 1);
    loop_deliver(common.control);
    CHECK(ended == 1);
    metrics_free(common.metrics.set);
    loop_free(common.control);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_is_freed_has_said_that_it_ended),
    };
    if (crypto_init().code != ERR_OK)
        return 1;
    return cmocka_run_group_tests_name("gateway/relay_shard", tests, NULL, NULL);
}
