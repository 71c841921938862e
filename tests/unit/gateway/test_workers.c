#include <stdio.h>

#include "gateway/workers.h"
#include "tests/unit/gateway/worker_sets.h"
#include "wire/link.h"

static struct worker_wish wish(const char *address, const char *name, uint16_t priority)
{
    struct worker_wish w;
    CHECK_OK(worker_wish_read(bytes_str(address), &w));
    (void)snprintf(w.tls_name, sizeof w.tls_name, "%s", name);
    w.priority = priority;
    return w;
}

static bool is_at(const struct worker_set *s, size_t i, size_t place, const char *address)
{
    return i < s->n && s->at[i].place == place && strcmp(s->at[i].text, address) == 0;
}

static void the_first_set_has_places_in_order(void **state)
{
    (void)state;
    static const char *const at[] = { "a:1", "tls://b:2", "unix:/c", "vsock:3:4" };
    struct worker_set *s = worker_set_of(NULL, at, 4);
    for (size_t i = 0; i < 4; i++)
        CHECK(is_at(s, i, i, at[i]) && worker_set_find(s, i) == &s->at[i]);
    CHECK(s->n == 4 && worker_set_find(s, 4) == NULL);
    worker_set_unref(s);
}

/* And without one. */
static void another_tag_is_another_worker(void **state)
{
    (void)state;
    struct worker_wish wishes[3] = { wish("a:1", "", 0), wish("a:1", "", 0), wish("a:1", "", 0) };
    struct worker_change change;
    struct worker_set *a, *b;
    CHECK_OK(worker_tag_read(BYTES_LIT("0000000000000001"), &wishes[1].tag));
    CHECK_OK(worker_tag_read(BYTES_LIT("0000000000000002"), &wishes[2].tag));
    CHECK_OK(worker_set_next(&a, NULL, wishes, 3, &change));
    CHECK(a->n == 3 && change.joined == 3);
    CHECK_OK(worker_set_next(&b, a, &wishes[1], 2, &change));
    CHECK(is_at(b, 0, 1, "a:1") && is_at(b, 1, 2, "a:1") && b->n == 2 && change.left == 1);
    CHECK(worker_tag_equal(&b->at[1].wish.tag, &wishes[2].tag));
    worker_set_unref(a);
    worker_set_unref(b);
}

static void who_stays_keeps_its_place_whatever_the_order(void **state)
{
    (void)state;
    struct worker_set *a = worker_set_of(NULL, (const char *const[]){ "a:1", "b:1", "c:1" }, 3);
    struct worker_set *b = worker_set_of(a, (const char *const[]){ "d:1", "c:1", "a:1" }, 3);
    CHECK(b->n == 3 && is_at(b, 0, 0, "a:1") && is_at(b, 1, 2, "c:1") && is_at(b, 2, 3, "d:1"));
    worker_set_unref(a);
    worker_set_unref(b);
}

static void a_place_is_never_given_again(void **state)
{
    (void)state;
    struct worker_set *s = worker_set_of(NULL, (const char *const[]){ "a:1" }, 1);
    for (size_t i = 1; i < 200; i++) {
        struct worker_set *none = worker_set_of(s, NULL, 0);
        CHECK(none->n == 0);
        worker_set_unref(s);
        s = worker_set_of(none, (const char *const[]){ "a:1" }, 1);
        CHECK(s->n == 1 && is_at(s, 0, i, "a:1"));
        worker_set_unref(none);
    }
    worker_set_unref(s);
}

static void says_what_has_changed(void **state)
{
    (void)state;
    struct worker_change c;
    struct worker_set *a, *b;
    struct worker_wish w[2] = { wish("a:1", "", 0), wish("b:1", "", 0) };
    CHECK_OK(worker_set_next(&a, NULL, w, 2, &c));
    CHECK(c.changed && c.joined == 2 && c.left == 0 && c.over == 0);
    CHECK_OK(worker_set_next(&b, a, w, 2, &c));
    CHECK(!c.changed && c.joined == 0 && c.left == 0);
    worker_set_unref(b);
    w[1] = wish("c:1", "", 0);
    CHECK_OK(worker_set_next(&b, a, w, 2, &c));
    CHECK(c.changed && c.joined == 1 && c.left == 1);
    worker_set_unref(b);
    w[1] = wish("b:1", "", 7);
    CHECK_OK(worker_set_next(&b, a, w, 2, &c));
    CHECK(c.changed && c.joined == 0 && c.left == 0);
    CHECK(b->at[1].place == 1 && b->at[1].wish.priority == 7);
    worker_set_unref(b);
    w[1] = wish("b:1", "", 0);
    w[1].weight = 3;
    CHECK_OK(worker_set_next(&b, a, w, 2, &c));
    CHECK(c.changed && c.joined == 0 && c.left == 0);
    CHECK(b->at[0].wish.weight == 1 && b->at[1].place == 1 && b->at[1].wish.weight == 3);
    worker_set_unref(b);
    CHECK_OK(worker_set_next(&b, NULL, NULL, 0, &c));
    CHECK(c.changed && b->n == 0);
    worker_set_unref(b);
    worker_set_unref(a);
}

static void the_same_address_counts_once_and_by_its_name(void **state)
{
    (void)state;
    struct worker_change c;
    struct worker_set *a, *b;
    const struct worker_wish w[] = { wish("tls://a:1", "x", 1), wish("tls://a:1", "x", 2),
                                     wish("tls://a:1", "y", 3), wish("a:1", "x", 4) };
    CHECK_OK(worker_set_next(&a, NULL, w, 4, &c));
    CHECK(a->n == 3 && c.joined == 3 && a->at[0].wish.priority == 1);
    CHECK_OK(worker_set_next(&b, a, w, 4, &c));
    CHECK(!c.changed && b->n == 3 && b->at[0].wish.priority == 1);
    worker_set_unref(a);
    worker_set_unref(b);
}

static void what_is_over_the_limit_waits_behind_who_is_there(void **state)
{
    (void)state;
    static struct worker_wish w[WORKERS_MAX + 1];
    struct worker_change c;
    struct worker_set *a, *b;
    char address[32];
    for (size_t i = 0; i <= WORKERS_MAX; i++) {
        (void)snprintf(address, sizeof address, "h:%zu", i);
        w[i] = wish(address, "", 0);
    }
    CHECK_OK(worker_set_next(&a, NULL, w, WORKERS_MAX, &c));
    CHECK(a->n == WORKERS_MAX && c.over == 0);
    w[WORKERS_MAX] = w[0];
    w[0] = wish("new:1", "", 0);
    CHECK_OK(worker_set_next(&b, a, w, WORKERS_MAX + 1, &c));
    CHECK(b->n == WORKERS_MAX && c.over == 1 && !c.changed && is_at(b, 0, 0, "h:0"));
    worker_set_unref(b);
    CHECK_OK(worker_set_next(&b, a, w, WORKERS_MAX, &c));
    CHECK(b->n == WORKERS_MAX && c.over == 0 && c.joined == 1 && c.left == 1);
    CHECK(is_at(b, WORKERS_MAX - 1, WORKERS_MAX, "new:1"));
    worker_set_unref(a);
    worker_set_unref(b);
}

static void says_where_to_connect(void **state)
{
    (void)state;
    struct tls_context *tls = (struct tls_context *)(void *)&(int){ 0 };
    struct link_settings k = { .ping_ms = 5 };
    struct worker_entry e = { .wish = wish("tls://10.0.0.1:1", "w.example", 0) };
    worker_link(&e, tls, &k);
    CHECK(k.tls == tls && k.ping_ms == 5 && strcmp(k.addr.host, "10.0.0.1") == 0);
    CHECK(strcmp(k.server_name, "w.example") == 0);
    e.wish = wish("10.0.0.1:1", "", 0);
    worker_link(&e, tls, &k);
    CHECK(k.tls == NULL && k.server_name == NULL);
}

static void refuses_what_is_no_address(void **state)
{
    (void)state;
    struct worker_wish w;
    CHECK_ERR(worker_wish_read(BYTES_LIT("dns://a:1"), &w), CONFIG);
    CHECK_ERR(worker_wish_read(BYTES_LIT(""), &w), CONFIG);
}

static err make(void *arg)
{
    struct worker_set *s;
    struct worker_change c;
    TRY(worker_set_next(&s, NULL, arg, 1, &c));
    worker_set_unref(s);
    return OK;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    struct worker_wish w = wish("a:1", "", 0);
    law_every_allocation_fails_once(make, &w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_set_has_places_in_order),
        cmocka_unit_test(another_tag_is_another_worker),
        cmocka_unit_test(who_stays_keeps_its_place_whatever_the_order),
        cmocka_unit_test(a_place_is_never_given_again),
        cmocka_unit_test(says_what_has_changed),
        cmocka_unit_test(the_same_address_counts_once_and_by_its_name),
        cmocka_unit_test(what_is_over_the_limit_waits_behind_who_is_there),
        cmocka_unit_test(says_where_to_connect),
        cmocka_unit_test(refuses_what_is_no_address),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
