#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "attest/policy_bundle.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "crypto/init.h"
#include "gateway/keeper.h"
#include "tests/lib/law.h"
#include "tests/lib/turn.h"

enum { PATIENCE_MS = 20000, LIFE_S = 1000 };

static const char ANY[] = "platforms: [simulated]\nmeasurements: any\n";
static const char ONE[] = "platforms: [simulated]\nmeasurements: any\nworker_names: [one]\n";
static const char BROKEN[] = "platforms: [simulated]\n";

static char folder[64];
static char path[128];
static char state_path[128];
static struct loop *loop;
static struct metering metering;
static struct metrics_block *block;
static struct keeper *keeper;
static struct signing_key *keys[2];
static struct buf hex[2];
static const char *key_texts[2];
static struct config_list no_keys;
static struct config_list first_key = { .at = key_texts, .n = 1 };
static unsigned changes, notes;
static const struct policy *given;
static const struct policy *before; /* was in force when `changed` was called */

static void on_changed(void *owner, const struct policy *policy)
{
    CHECK(owner == &changes);
    changes++;
    given = policy;
    if (before != NULL)
        CHECK(before->platforms_n == 1); /* not yet released */
    before = policy;
}

static void on_noted(void *owner)
{
    CHECK(owner == &changes);
    notes++;
}

static err begin(const struct config_list *must_sign, struct buf *message)
{
    err e = keeper_open(&keeper, loop,
                        &(struct keeper_settings){ .path = path,
                                                   .keys = must_sign,
                                                   .state = state_path,
                                                   .metering = &metering,
                                                   .block = block,
                                                   .changed = on_changed,
                                                   .noted = on_noted,
                                                   .owner = &changes },
                        message);
    changes = notes = 0;
    given = before = err_is_ok(e) ? keeper_policy(keeper) : NULL;
    return e;
}

static void again(const struct config_list *must_sign)
{
    keeper_close(keeper);
    keeper = NULL;
    CHECK_OK(begin(must_sign, NULL));
}

static void refused(const struct config_list *must_sign, const char *why)
{
    BUF_AUTO message = BUF(CONFIG_MESSAGE_MAX);
    keeper_close(keeper);
    keeper = NULL;
    CHECK_ERR(begin(must_sign, &message), CONFIG);
    CHECK(text_find(buf_view(&message), bytes_str(why)) < message.len);
}

static void put(const char *text)
{
    CHECK_OK(file_write(path, bytes_str(text)));
}

static void put_signed(uint64_t version, const char *policy, size_t key)
{
    BUF_AUTO out = BUF(POLICY_BUNDLE_MAX);
    const struct policy_bundle b = { .version = version,
                                     .created = clock_wall_s(),
                                     .expires = clock_wall_s() + LIFE_S,
                                     .policy = bytes_str(policy) };
    CHECK_OK(policy_bundle_write(&out, &b, keys[key]));
    CHECK_OK(file_write(path, buf_view(&out)));
}

/* Of a number in the metrics' text. */
static bool shows(const char *line)
{
    BUF_AUTO text = BUF(METRICS_TEXT_MAX);
    CHECK_OK(metrics_render(metering.set, &text));
    return text_find(buf_view(&text), bytes_str(line)) < text.len;
}

static bool says(const char *what)
{
    BUF_AUTO text = BUF(4096);
    struct json_out j = JSON_OUT(&text);
    json_begin_object(&j, NULL);
    keeper_write(keeper, &j);
    json_close(&j);
    CHECK_OK(json_end(&j));
    return text_find(buf_view(&text), bytes_str(what)) < text.len;
}

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/sealgate-keeper-XXXXXX");
    CHECK(mkdtemp(folder) != NULL);
    (void)snprintf(path, sizeof path, "%s/policy", folder);
    (void)snprintf(state_path, sizeof state_path, "%s/state", folder);
    CHECK_OK(loop_new(&loop));
    CHECK_OK(metering_init(&metering));
    CHECK_OK(metrics_block(metering.set, &block));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    keeper_close(keeper);
    keeper = NULL;
    metering_clear(&metering);
    loop_free(loop);
    (void)unlink(path);
    (void)unlink(state_path);
    CHECK(rmdir(folder) == 0);
    clock_shift_wall_s(0);
    return 0;
}

static void a_changed_file_is_put_in_force(void **state)
{
    (void)state;
    put(ANY);
    again(&no_keys);
    CHECK(keeper_policy(keeper)->worker_names.n == 0 && says("\"signed\":false"));
    put(ONE);
    TURN_UNTIL(loop, PATIENCE_MS, changes == 1);
    CHECK(given == keeper_policy(keeper) && given->worker_names.n == 1 && notes == 0);
    CHECK(shows("sealgate_policy_loads_total{outcome=\"accepted\"} 1"));
    CHECK(shows("sealgate_policy_in_force 1"));
}

static void what_does_not_read_leaves_the_present_one(void **state)
{
    (void)state;
    put(ANY);
    again(&no_keys);
    const struct policy *present = keeper_policy(keeper);
    put(BROKEN);
    TURN_UNTIL(loop, PATIENCE_MS, notes == 1);
    CHECK(changes == 0 && keeper_policy(keeper) == present &&
          says("\"latest_load\":\"malformed\""));
    CHECK(says("\"in_force\":true") && unlink(path) == 0);
    keeper_reload(keeper);
    CHECK(notes == 2 && changes == 0 && says("\"latest_load\":\"unreadable\""));
    put(ANY);
    keeper_reload(keeper);
    CHECK(notes == 3 && changes == 0 && says("\"latest_load\":\"accepted\""));
    CHECK(keeper_policy(keeper) == present);
    CHECK(shows("sealgate_policy_loads_total{outcome=\"malformed\"} 1"));
}

static void a_reload_is_at_once(void **state)
{
    (void)state;
    put(ANY);
    again(&no_keys);
    put(ONE);
    keeper_reload(keeper);
    CHECK(changes == 1 && given->worker_names.n == 1);
}

static void who_must_sign_has_to(void **state)
{
    (void)state;
    put(ANY);
    refused(&first_key, "not signed");
    put_signed(1, ANY, 1);
    refused(&first_key, "must have signed");
    put_signed(1, ANY, 0);
    again(&first_key);
    put_signed(2, ONE, 1);
    keeper_reload(keeper);
    CHECK(changes == 0 && says("\"latest_load\":\"unsigned\"") && says("\"version\":1"));
    put(ONE);
    keeper_reload(keeper);
    CHECK(changes == 0 && says("\"latest_load\":\"unsigned\""));
    put_signed(2, ONE, 0);
    keeper_reload(keeper);
    CHECK(changes == 1 && says("\"version\":2") && shows("sealgate_policy_version 2"));
}

static void an_older_version_is_refused_after_a_restart_as_well(void **state)
{
    (void)state;
    put_signed(5, ANY, 0);
    again(&first_key);
    put_signed(4, ONE, 0);
    keeper_reload(keeper);
    CHECK(changes == 0 && notes == 1 && says("\"latest_load\":\"older\"") && says("\"version\":5"));
    refused(&first_key, "later version");
    put_signed(5, ONE, 0);
    refused(&first_key, "later version");
    put_signed(6, ONE, 0);
    again(&first_key);
    CHECK(says("\"version\":6"));
}

static void the_same_version_may_come_again(void **state)
{
    (void)state;
    put_signed(5, ANY, 0);
    again(&first_key);
    keeper_reload(keeper);
    CHECK(changes == 0 && notes == 1 && says("\"latest_load\":\"accepted\""));
    again(&first_key);
    CHECK(says("\"version\":5"));
}

static void a_memory_that_is_not_ours_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = { "", "5\n",
                                       "sealgate-policy-state-v1\nversion: 5\nsigned: ab\n" };
    put_signed(5, ANY, 0);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        CHECK_OK(file_write(state_path, bytes_str(bad[i])));
        refused(&first_key, "policy_state");
    }
}

static void what_cannot_be_remembered_is_not_put_in_force(void **state)
{
    (void)state;
    put_signed(5, ANY, 0);
    (void)snprintf(state_path, sizeof state_path, "%s/no/state", folder);
    refused(&first_key, "cannot be written");
    put(ANY);
    again(&no_keys);
}

static void it_ends_in_time(void **state)
{
    (void)state;
    put_signed(5, ANY, 0);
    again(&first_key);
    clock_shift_wall_s(LIFE_S - 1);
    turn_once(loop);
    CHECK(changes == 0);
    clock_shift_wall_s(LIFE_S + 1);
    TURN_UNTIL(loop, PATIENCE_MS, changes == 1);
    CHECK(given == NULL && keeper_policy(keeper) == NULL && says("\"in_force\":false"));
    CHECK(shows("sealgate_policy_in_force 0"));
    keeper_reload(keeper);
    CHECK(changes == 1 && says("\"latest_load\":\"expired\""));
    refused(&first_key, "expired");
    put_signed(6, ANY, 0);
    again(&first_key);
    CHECK(keeper_policy(keeper) != NULL);
}

static void a_later_one_comes_back_after_the_end(void **state)
{
    (void)state;
    put_signed(5, ANY, 0);
    again(&first_key);
    clock_shift_wall_s(LIFE_S + 1);
    TURN_UNTIL(loop, PATIENCE_MS, changes == 1);
    before = NULL;
    put_signed(6, ONE, 0);
    TURN_UNTIL(loop, PATIENCE_MS, changes == 2);
    CHECK(given != NULL && given == keeper_policy(keeper) && says("\"in_force\":true"));
}

static void keys_are_hex(void **state)
{
    (void)state;
    static const char *const bad[] = { "policy.pub" };
    const struct config_list list = { .at = bad, .n = 1 };
    put(ANY);
    refused(&list, "policy_key");
}

static int make_keys(void **state)
{
    (void)state;
    CHECK_OK(crypto_init());
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        uint8_t seed[ED25519_SEED_LEN] = { (uint8_t)(i + 1) };
        CHECK_OK(signing_key_from_seed(&keys[i], BYTES_ARRAY(seed)));
        hex[i] = BUF(64);
        CHECK_OK(text_hex_encode(&hex[i], bytes_of(signing_key_public(keys[i]), ED25519_PK_LEN)));
        key_texts[i] = buf_str(&hex[i]);
    }
    return 0;
}

static int free_keys(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        signing_key_free(keys[i]);
        buf_clear(&hex[i]);
    }
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_changed_file_is_put_in_force),
        TEST(what_does_not_read_leaves_the_present_one),
        TEST(a_reload_is_at_once),
        TEST(who_must_sign_has_to),
        TEST(an_older_version_is_refused_after_a_restart_as_well),
        TEST(the_same_version_may_come_again),
        TEST(a_memory_that_is_not_ours_is_refused),
        TEST(what_cannot_be_remembered_is_not_put_in_force),
        TEST(it_ends_in_time),
        TEST(a_later_one_comes_back_after_the_end),
        TEST(keys_are_hex),
    };
    return cmocka_run_group_tests(tests, make_keys, free_keys);
}
