#include "base/mem.h"
#include "tests/lib/law.h"
#include "wire/queue.h"
#include "wire/stream.h"

static void leave(struct queue *q)
{
    queue_clear(q);
}

#define QUEUE_AUTO CLEANUP(leave) struct queue

static void fill(struct buf *b, size_t n, uint8_t first)
{
    uint8_t *room;
    CHECK_OK(buf_reserve(b, n, &room));
    for (size_t i = 0; i < n; i++)
        room[i] = (uint8_t)(first + i * 7);
    buf_commit(b, n);
}

/* Moves all that is queued, in steps of n. */
static void drain(struct queue *q, size_t n, struct buf *out)
{
    while (q->len > 0) {
        size_t before = q->len;
        size_t step = n < before ? n : before;
        CHECK_OK(queue_move(q, step, out));
        CHECK(q->len == before - step);
    }
}

static void gives_back_what_it_got_in_its_order(void **state)
{
    (void)state;
    static const size_t writes[] = { 1, 5, 100, 0, 4000, 20000, 3, 16384, 70000, 2 };
    static const size_t steps[] = { 1, 7, 4096, 16384, LINK_QUEUE_MAX };
    for (size_t s = 0; s < ARRAY_LEN(steps); s++) {
        QUEUE_AUTO q = { 0 };
        BUF_AUTO want = BUF(LINK_QUEUE_MAX);
        BUF_AUTO got = BUF(LINK_QUEUE_MAX);
        for (size_t i = 0; i < ARRAY_LEN(writes); i++) {
            BUF_AUTO part = BUF(LINK_QUEUE_MAX);
            fill(&part, writes[i], (uint8_t)i);
            CHECK_OK(buf_add(&want, buf_view(&part)));
            if (i % 2 == 0)
                CHECK_OK(queue_add(&q, buf_view(&part)));
            else
                CHECK_OK(queue_take(&q, &part));
            CHECK(q.len == want.len);
        }
        drain(&q, steps[s], &got);
        CHECK_BYTES(buf_view(&got), buf_view(&want));
    }
}

static void is_used_again_after_it_ran_empty(void **state)
{
    (void)state;
    QUEUE_AUTO q = { 0 };
    for (uint8_t round = 0; round < 5; round++) {
        BUF_AUTO part = BUF(LINK_QUEUE_MAX);
        BUF_AUTO want = BUF(LINK_QUEUE_MAX);
        BUF_AUTO got = BUF(LINK_QUEUE_MAX);
        fill(&part, round % 2 ? 10 : 9000, round);
        CHECK_OK(buf_add(&want, buf_view(&part)));
        CHECK_OK(buf_add(&want, BYTES_LIT("tail")));
        CHECK_OK(queue_take(&q, &part));
        CHECK_OK(queue_add(&q, BYTES_LIT("tail")));
        drain(&q, 3, &got);
        CHECK_BYTES(buf_view(&got), buf_view(&want));
    }
}

static void takes_over_a_buffer_without_copying_it(void **state)
{
    (void)state;
    QUEUE_AUTO q = { 0 };
    BUF_AUTO data = BUF(100000);
    fill(&data, 50000, 1);
    unsigned long before = mem_requests();
    CHECK_OK(queue_take(&q, &data));
    CHECK(mem_requests() == before + 1); /* the piece itself */
    CHECK(data.at == NULL && data.len == 0 && data.max == 100000);
    CHECK(q.len == 50000);
}

static void gathers_small_writes(void **state)
{
    (void)state;
    QUEUE_AUTO q = { 0 };
    CHECK_OK(queue_add(&q, BYTES_LIT("0123456789")));
    unsigned long before = mem_requests();
    for (int i = 0; i < 5; i++)
        CHECK_OK(queue_add(&q, BYTES_LIT("0123456789")));
    CHECK(mem_requests() == before);
}

static void bounds_what_waits(void **state)
{
    (void)state;
    QUEUE_AUTO q = { 0 };
    BUF_AUTO all = BUF(LINK_QUEUE_MAX);
    BUF_AUTO one = BUF(1);
    fill(&all, LINK_QUEUE_MAX, 0);
    fill(&one, 1, 0);
    CHECK_OK(queue_add(&q, buf_view(&all)));
    CHECK_ERR(queue_add(&q, buf_view(&one)), LIMIT);
    CHECK_ERR(queue_take(&q, &one), LIMIT);
    CHECK(q.len == LINK_QUEUE_MAX && one.len == 1);
    BUF_AUTO out = BUF(LINK_QUEUE_MAX);
    CHECK_OK(queue_move(&q, 1, &out));
    CHECK_OK(queue_take(&q, &one));
    CHECK(q.len == LINK_QUEUE_MAX);
}

static void takes_any_one_buffer_when_it_is_empty(void **state)
{
    (void)state;
    QUEUE_AUTO q = { 0 };
    BUF_AUTO big = BUF(2 * LINK_QUEUE_MAX);
    BUF_AUTO want = BUF(2 * LINK_QUEUE_MAX);
    BUF_AUTO out = BUF(2 * LINK_QUEUE_MAX);
    BUF_AUTO one = BUF(1);
    fill(&big, 2 * LINK_QUEUE_MAX, 0);
    fill(&want, 2 * LINK_QUEUE_MAX, 0);
    fill(&one, 1, 0);
    CHECK_OK(queue_take(&q, &big));
    CHECK(q.len == 2 * LINK_QUEUE_MAX && big.len == 0);
    CHECK_ERR(queue_take(&q, &one), LIMIT);
    CHECK_ERR(queue_add(&q, buf_view(&one)), LIMIT);
    CHECK_OK(queue_move(&q, LINK_QUEUE_MAX + 1, &out));
    CHECK_OK(queue_add(&q, buf_view(&one)));
    CHECK_OK(queue_move(&q, LINK_QUEUE_MAX - 1, &out));
    CHECK_BYTES(buf_view(&out), buf_view(&want));
}

static err write_both_ways(void *arg)
{
    (void)arg;
    QUEUE_AUTO q = { 0 };
    BUF_AUTO data = BUF(64);
    BUF_AUTO out = BUF(64);
    TRY(buf_add_str(&data, "taken"));
    size_t before = q.len;
    err e = queue_add(&q, BYTES_LIT("added"));
    CHECK(err_is_ok(e) || q.len == before);
    TRY(e);
    e = queue_take(&q, &data);
    CHECK(err_is_ok(e) || (q.len == 5 && data.len == 5));
    TRY(e);
    return queue_move(&q, q.len, &out);
}

static void survives_every_failing_allocation(void **state)
{
    (void)state;
    law_every_allocation_fails_once(write_both_ways, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_back_what_it_got_in_its_order),
        cmocka_unit_test(is_used_again_after_it_ran_empty),
        cmocka_unit_test(takes_over_a_buffer_without_copying_it),
        cmocka_unit_test(gathers_small_writes),
        cmocka_unit_test(bounds_what_waits),
        cmocka_unit_test(takes_any_one_buffer_when_it_is_empty),
        cmocka_unit_test(survives_every_failing_allocation),
    };
    return cmocka_run_group_tests_name("wire/queue", tests, NULL, NULL);
}
