#include "base/heap.h"
#include "tests/lib/law.h"

enum { MANY = 300, STEPS = 20000, RANKS = 40 };

/* What a heap does, done slowly: a node is in it or is not. */
struct model {
    struct heap heap;
    struct heap_node nodes[MANY];
    bool in[MANY];
};

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 8;
}

static void add(struct model *m, size_t i, uint64_t rank)
{
    m->nodes[i].rank = rank;
    m->in[i] = true;
    heap_add(&m->heap, &m->nodes[i]);
}

static void take_out(struct model *m, size_t i)
{
    heap_remove(&m->heap, &m->nodes[i]);
    m->in[i] = false;
}

/* UINT64_MAX when there is none; no test uses that as a rank of its own. */
static uint64_t lowest(const struct model *m)
{
    uint64_t rank = UINT64_MAX;
    for (size_t i = 0; i < MANY; i++)
        if (m->in[i] && m->nodes[i].rank < rank)
            rank = m->nodes[i].rank;
    return rank;
}

static void agree(const struct model *m)
{
    const struct heap_node *first = m->heap.first;
    CHECK((first != NULL ? first->rank : UINT64_MAX) == lowest(m));
    CHECK(first == NULL || m->in[first - m->nodes]);
}

/* How many came out; each was in, and none before one of a lower rank. */
static size_t drain(struct model *m)
{
    size_t n = 0;
    for (; m->heap.first != NULL; n++) {
        agree(m);
        take_out(m, (size_t)(m->heap.first - m->nodes));
    }
    agree(m);
    return n;
}

static void an_empty_one_has_no_first(void **state)
{
    (void)state;
    struct heap h = { 0 };
    struct heap_node only = { .rank = 7 };
    heap_add(&h, &only);
    CHECK(h.first == &only);
    heap_remove(&h, &only);
    CHECK(h.first == NULL);
}

static void the_lowest_rank_is_first_in_whatever_order_they_came(void **state)
{
    (void)state;
    static struct model m;
    m = (struct model){ 0 };
    for (size_t i = 0; i < MANY; i++)
        add(&m, i, i * 7919 % MANY);
    assert_int_equal(drain(&m), MANY);
}

static void the_greatest_rank_there_is_comes_last(void **state)
{
    (void)state;
    struct heap h = { 0 };
    struct heap_node last = { .rank = UINT64_MAX }, none = { .rank = 0 };
    heap_add(&h, &last);
    heap_add(&h, &none);
    CHECK(h.first == &none);
    heap_remove(&h, &none);
    CHECK(h.first == &last);
}

static void any_node_can_be_removed_at_any_time(void **state)
{
    (void)state;
    static struct model m;
    m = (struct model){ 0 };
    uint32_t seed = 1;
    for (size_t step = 0; step < STEPS; step++) {
        size_t i = next_random(&seed) % MANY;
        if (m.in[i])
            take_out(&m, i);
        else
            add(&m, i, next_random(&seed) % RANKS);
        /* Taking the first out is what gives the others their shape. */
        if (step % 3 == 0 && m.heap.first != NULL)
            take_out(&m, (size_t)(m.heap.first - m.nodes));
        agree(&m);
    }
    size_t left = 0;
    for (size_t i = 0; i < MANY; i++)
        left += m.in[i] ? 1 : 0;
    CHECK(left > 0);
    assert_int_equal(drain(&m), left);
}

static void a_removed_node_may_come_back_with_another_rank(void **state)
{
    (void)state;
    static struct model m;
    m = (struct model){ 0 };
    for (size_t i = 0; i < 3; i++)
        add(&m, i, i + 1);
    take_out(&m, 0);
    add(&m, 0, 9);
    CHECK(m.heap.first == &m.nodes[1]);
    assert_int_equal(drain(&m), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_one_has_no_first),
        cmocka_unit_test(the_lowest_rank_is_first_in_whatever_order_they_came),
        cmocka_unit_test(the_greatest_rank_there_is_comes_last),
        cmocka_unit_test(any_node_can_be_removed_at_any_time),
        cmocka_unit_test(a_removed_node_may_come_back_with_another_rank),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
