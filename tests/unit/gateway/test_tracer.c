#include "base/loop.h"
#include "crypto/init.h"
#include "gateway/tracer.h"
#include "tests/unit/gateway/vendor.h"

enum { GUARD_MS = 20000 };

struct stage {
    struct loop *loop;
    struct vendor vendor;
    struct tracer *tracer;
    struct loop_timer guard;
    struct loop_hook hook;
    unsigned until_asked;
    uint64_t until_dropped;
};

static void on_guard(struct loop_timer *t)
{
    (void)t;
    fail_msg("nothing happened");
}

static void on_turn(struct loop_hook *h)
{
    struct stage *s = CONTAINER_OF(h, struct stage, hook);
    if (s->vendor.asked >= s->until_asked && tracer_dropped(s->tracer) >= s->until_dropped)
        loop_stop(s->loop);
}

static void until(struct stage *s, unsigned asked, uint64_t dropped)
{
    s->until_asked = asked;
    s->until_dropped = dropped;
    loop_timer_start(s->loop, &s->guard, GUARD_MS, on_guard);
    loop_run(s->loop);
    loop_timer_stop(&s->guard);
}

static void open_stage(struct stage *s)
{
    char url[128];
    struct buf text = BUF(sizeof url);
    *s = (struct stage){ 0 };
    CHECK_OK(crypto_init());
    CHECK_OK(loop_new(&s->loop));
    vendor_open(&s->vendor, s->loop, NULL);
    CHECK_OK(buf_addf(&text, "%s/", s->vendor.base));
    const struct tracer_settings settings = { .url = buf_str(&text), .service = "test" };
    CHECK_OK(tracer_new(&s->tracer, s->loop, &settings));
    buf_clear(&text);
    loop_hook_add(s->loop, &s->hook, 0, on_turn);
}

static void close_stage(struct stage *s)
{
    loop_hook_remove(&s->hook);
    loop_deliver(s->loop);
    tracer_free(s->tracer);
    vendor_close(&s->vendor);
    loop_free(s->loop);
}

static const struct otlp_span SPAN = { .name = "chat", .kind = OTLP_SERVER };

static void delivers_spans_together(void **state)
{
    (void)state;
    static struct stage s;
    BUF_AUTO body = BUF(65536);
    const struct otlp_span both[] = { SPAN, SPAN };
    open_stage(&s);
    CHECK_OK(otlp_write(&body, "test", both, 2));
    struct vendor_route *r =
        vendor_route_post(&s.vendor, OTLP_PATH, buf_view(&body), BYTES_LIT("{}"));
    tracer_post(s.tracer, &SPAN);
    tracer_post(s.tracer, &SPAN);
    until(&s, 1, 0);
    CHECK(r->asked == 1 && tracer_dropped(s.tracer) == 0);
    close_stage(&s);
}

static void keeps_an_id_of_its_own(void **state)
{
    (void)state;
    static struct stage s;
    BUF_AUTO body = BUF(65536);
    char id[] = "req_1";
    struct otlp_span span = SPAN;
    span.attributes[span.attributes_n++] = (struct otlp_attribute){ ACCOUNT_REQUEST_ID, id, 0 };
    open_stage(&s);
    CHECK_OK(otlp_write(&body, "test", &span, 1));
    struct vendor_route *r =
        vendor_route_post(&s.vendor, OTLP_PATH, buf_view(&body), BYTES_LIT("{}"));
    tracer_post(s.tracer, &span);
    memset(id, 'x', 5);
    until(&s, 1, 0);
    CHECK(r->asked == 1);
    close_stage(&s);
}

static void drops_what_nobody_takes(void **state)
{
    (void)state;
    static struct stage s;
    open_stage(&s); /* answers 404 */
    tracer_post(s.tracer, &SPAN);
    until(&s, 1, 1);
    CHECK(tracer_dropped(s.tracer) == 1);
    close_stage(&s);
}

static void holds_no_more_than_its_queue(void **state)
{
    (void)state;
    static struct stage s;
    open_stage(&s);
    for (size_t i = 0; i < TRACER_QUEUE_MAX; i++)
        tracer_post(s.tracer, &SPAN);
    CHECK(tracer_dropped(s.tracer) == 0);
    tracer_post(s.tracer, &SPAN);
    CHECK(tracer_dropped(s.tracer) == 1);
    close_stage(&s);
}

static void wants_an_address(void **state)
{
    (void)state;
    struct loop *loop;
    struct tracer *t;
    CHECK_OK(loop_new(&loop));
    const struct tracer_settings settings = { .url = "localhost:4318", .service = "test" };
    CHECK_ERR(tracer_new(&t, loop, &settings), CONFIG);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(delivers_spans_together), cmocka_unit_test(keeps_an_id_of_its_own),
        cmocka_unit_test(drops_what_nobody_takes), cmocka_unit_test(holds_no_more_than_its_queue),
        cmocka_unit_test(wants_an_address),
    };
    return cmocka_run_group_tests_name("gateway/tracer", tests, NULL, NULL);
}
