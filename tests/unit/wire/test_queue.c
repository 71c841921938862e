#include "base/mem.h"
#include "tests/lib/law.h"
#include "wire/queue.h"
#include "wire/stream.h"

static void gives_back_in_order_whatever_came_how(void **state)
{
    (void)state;
    for (size_t cut = 1; cut < 40; cut++) {
        struct queue q = { 0 };
        BUF_AUTO want = BUF(1 << 20);
        BUF_AUTO got = BUF(1 << 20);
        for (size_t i = 0; i < 50; i++) {
            BUF_AUTO part = BUF(1000);
            for (size_t j = 0; j < i * 13 % 700; j++)
                CHECK_OK(buf_add_u8(&part, (uint8_t)(i + j)));
            CHECK_OK(buf_add(&want, buf_view(&part)));
            if (i % 3 == 0) {
                CHECK_OK(queue_take(&q, &part));
                CHECK(part.len == 0 && part.at == NULL);
            } else {
                CHECK_OK(queue_add(&q, buf_view(&part)));
            }
            if (i % cut == 0)
                CHECK_OK(queue_move(&q, q.len / 2, &got));
        }
        while (q.len > 0)
            CHECK_OK(queue_move(&q, q.len < cut ? q.len : cut, &got));
        CHECK_BYTES(buf_view(&got), buf_view(&want));
        queue_clear(&q);
        queue_clear(&q);
    }
}

static void keeps_its_limit(void **state)
{
    (void)state;
    struct queue q = { 0 };
    BUF_AUTO big = BUF(LINK_QUEUE_MAX + 1);
    BUF_AUTO out = BUF(LINK_QUEUE_MAX);
    CHECK_OK(buf_add_zeros(&big, LINK_QUEUE_MAX + 1));
    CHECK_ERR(queue_add(&q, buf_view(&big)), LIMIT);
    CHECK_ERR(queue_take(&q, &big), LIMIT);
    CHECK(q.len == 0 && big.len == LINK_QUEUE_MAX + 1);
    buf_truncate(&big, LINK_QUEUE_MAX);
    CHECK_OK(queue_take(&q, &big));
    CHECK_ERR(queue_add(&q, BYTES_LIT("x")), LIMIT);
    CHECK_OK(queue_move(&q, 1, &out));
    CHECK_OK(queue_add(&q, BYTES_LIT("x")));
    CHECK(q.len == LINK_QUEUE_MAX);
    queue_clear(&q);
}

static err use(void *arg)
{
    (void)arg;
    struct queue q = { 0 };
    BUF_AUTO whole = BUF(100);
    BUF_AUTO out = BUF(1000);
    err e = buf_add_zeros(&whole, 50);
    if (err_is_ok(e))
        e = queue_add(&q, BYTES_LIT("abc"));
    if (err_is_ok(e))
        e = queue_take(&q, &whole);
    if (err_is_ok(e))
        e = queue_move(&q, 53, &out);
    queue_clear(&q);
    return e;
}

static void survives_every_failing_allocation(void **state)
{
    (void)state;
    law_every_allocation_fails_once(use, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_back_in_order_whatever_came_how),
        cmocka_unit_test(keeps_its_limit),
        cmocka_unit_test(survives_every_failing_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
