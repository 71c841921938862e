#include "attest/event_log.h"
#include "base/json.h"
#include "base/text.h"
#include "crypto/init.h"
#include "tests/unit/attest/tdx_scene.h"

#define FIFTH_REGISTER                                                                             \
    "[{\"imr\":4,\"event_type\":1,\"event\":\"\",\"digest\":\"\",\"event_payload\":\"\"}]"

struct count {
    size_t all;
    size_t compose;
    struct buf payload;
};

static err count_event(void *owner, const struct event *e)
{
    struct count *c = owner;
    c->all++;
    if (!bytes_equal(e->name, BYTES_LIT("compose-hash")))
        return OK;
    c->compose++;
    return buf_add(&c->payload, e->data);
}

static void the_boot_log_of_a_genuine_td_gives_its_registers(void **state)
{
    (void)state;
    struct buf log, quote;
    struct event_rtmrs r;
    struct tdx_quote q;
    struct tdx_faults faults = { 0 };
    struct count c = { .payload = BUF(64) };
    if (law_vectors() == NULL)
        skip();
    tdx_scene_read(&log, "ccel/ccel_data.bin");
    tdx_scene_read(&quote, "quotes/v4-00806f-gcp-uptodate.bin");
    tdx_quote_read(buf_view(&quote), &q, &faults);
    CHECK_OK(event_ccel_replay(buf_view(&log), &r, count_event, &c));
    CHECK_BYTES(BYTES_ARRAY(r.value[0]), tdx_quote_field(&q, TDX_RTMR0));
    CHECK_BYTES(BYTES_ARRAY(r.value[1]), tdx_quote_field(&q, TDX_RTMR1));
    CHECK_BYTES(BYTES_ARRAY(r.value[2]), tdx_quote_field(&q, TDX_RTMR2));
    CHECK(r.events[3] == 0 && c.all == r.events[0] + r.events[1] + r.events[2] && c.all > 30);
    buf_clear(&quote);
    buf_clear(&log);
}

/* Where the last event ends and the filling begins. */
static size_t end_of_events(bytes log)
{
    size_t n = log.len;
    while (n > 0 && log.at[n - 1] == 0xff)
        n--;
    return n;
}

static void any_prefix_that_ends_inside_an_event_is_malformed(void **state)
{
    (void)state;
    struct buf log;
    struct event_rtmrs whole, r;
    if (law_vectors() == NULL)
        skip();
    tdx_scene_read(&log, "ccel/ccel_data.bin");
    CHECK_OK(event_ccel_replay(buf_view(&log), &whole, NULL, NULL));
    size_t end = end_of_events(buf_view(&log)), fine = 0;
    for (size_t n = 0; n < end; n++) {
        err e = event_ccel_replay(bytes_of(log.at, n), &r, NULL, NULL);
        CHECK(e.code == ERR_OK || e.code == ERR_MALFORMED);
        if (e.code == ERR_OK) {
            fine++;
            CHECK(memcmp(r.value, whole.value, sizeof r.value) != 0);
        }
    }
    CHECK(fine >= whole.events[0] && fine < 64);
    CHECK_OK(event_ccel_replay(bytes_of(log.at, end), &r, NULL, NULL));
    buf_clear(&log);
}

static void what_fills_the_buffer_is_all_ones_or_all_zero(void **state)
{
    (void)state;
    struct buf log;
    struct event_rtmrs r;
    if (law_vectors() == NULL)
        skip();
    tdx_scene_read(&log, "ccel/ccel_data.bin");
    size_t end = end_of_events(buf_view(&log));
    memset(log.at + end, 0, log.len - end);
    CHECK_OK(event_ccel_replay(buf_view(&log), &r, NULL, NULL));
    memset(log.at + end, 0xff, log.len - end);
    log.at[log.len - 1] = 0;
    CHECK_ERR(event_ccel_replay(buf_view(&log), &r, NULL, NULL), MALFORMED);
    buf_clear(&log);
}

static void dstacks_log_gives_the_registers_and_the_events(void **state)
{
    (void)state;
    struct buf log, quote, app;
    struct event_rtmrs r;
    struct tdx_quote q;
    struct tdx_faults faults = { 0 };
    uint8_t digest[32];
    struct count c = { .payload = BUF(64) };
    if (law_vectors() == NULL)
        skip();
    tdx_scene_read(&log, "dstack/event_log.json");
    tdx_scene_read(&quote, "dstack/quote_ratls.bin");
    tdx_scene_read(&app, "dstack/app_compose.txt");
    tdx_quote_read(buf_view(&quote), &q, &faults);
    CHECK_OK(event_dstack_replay(buf_view(&log), &r, count_event, &c));
    CHECK_BYTES(BYTES_ARRAY(r.value[0]), tdx_quote_field(&q, TDX_RTMR0));
    CHECK_BYTES(BYTES_ARRAY(r.value[1]), tdx_quote_field(&q, TDX_RTMR1));
    CHECK_BYTES(BYTES_ARRAY(r.value[2]), tdx_quote_field(&q, TDX_RTMR2));
    CHECK_BYTES(BYTES_ARRAY(r.value[3]), tdx_quote_field(&q, TDX_RTMR3));
    sha256_of(buf_view(&app), digest);
    CHECK(c.compose == 1);
    CHECK_BYTES(buf_view(&c.payload), BYTES_ARRAY(digest));
    buf_clear(&c.payload);
    buf_clear(&app);
    buf_clear(&quote);
    buf_clear(&log);
}

static void edited_logs_of_dstack_do_not_replay(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        bool digest;
    } rows[] = { { "dstack/neg-event-payload-edited.json", true },
                 { "dstack/neg-event-appended.json", false },
                 { "dstack/neg-event-removed.json", false } };
    struct buf log, good;
    struct event_rtmrs r, want;
    if (law_vectors() == NULL)
        skip();
    tdx_scene_read(&good, "dstack/event_log.json");
    CHECK_OK(event_dstack_replay(buf_view(&good), &want, NULL, NULL));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        tdx_scene_read(&log, rows[i].path);
        err e = event_dstack_replay(buf_view(&log), &r, NULL, NULL);
        if (rows[i].digest)
            CHECK_ERR(e, CRYPTO);
        else {
            CHECK_OK(e);
            CHECK(memcmp(r.value[3], want.value[3], sizeof r.value[3]) != 0);
        }
        buf_clear(&log);
    }
    buf_clear(&good);
}

static void what_is_no_log_is_refused(void **state)
{
    (void)state;
    struct event_rtmrs r;
    static const char *const bad[] = { "{}", "[1]", "[{}]", "[[[[[[]]]]]]", FIFTH_REGISTER };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        CHECK(!err_is_ok(event_dstack_replay(bytes_str(bad[i]), &r, NULL, NULL)));
    CHECK_ERR(event_ccel_replay(BYTES_LIT(""), &r, NULL, NULL), MALFORMED);
    CHECK_OK(event_dstack_replay(BYTES_LIT("[]"), &r, NULL, NULL));
}

static void the_limit_is_taken_and_one_more_is_refused(void **state)
{
    (void)state;
    struct event_rtmrs r;
    struct buf log = BUF(EVENT_LOG_MAX + 1);
    CHECK_OK(buf_add_str(&log, "[]"));
    while (log.len < EVENT_LOG_MAX)
        CHECK_OK(buf_add_u8(&log, ' '));
    CHECK_OK(event_dstack_replay(buf_view(&log), &r, NULL, NULL));
    CHECK_ERR(event_ccel_replay(buf_view(&log), &r, NULL, NULL), MALFORMED);
    CHECK_OK(buf_add_u8(&log, ' '));
    CHECK_ERR(event_dstack_replay(buf_view(&log), &r, NULL, NULL), LIMIT);
    CHECK_ERR(event_ccel_replay(buf_view(&log), &r, NULL, NULL), LIMIT);
    buf_clear(&log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_boot_log_of_a_genuine_td_gives_its_registers),
        cmocka_unit_test(any_prefix_that_ends_inside_an_event_is_malformed),
        cmocka_unit_test(what_fills_the_buffer_is_all_ones_or_all_zero),
        cmocka_unit_test(dstacks_log_gives_the_registers_and_the_events),
        cmocka_unit_test(edited_logs_of_dstack_do_not_replay),
        cmocka_unit_test(what_is_no_log_is_refused),
        cmocka_unit_test(the_limit_is_taken_and_one_more_is_refused),
    };
    if (!err_is_ok(crypto_init()))
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
