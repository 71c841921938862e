#include "base/attr.h"
#include "gateway/findings.h"
#include "tests/lib/law.h"

static void reads_the_names_of_a_list(void **state)
{
    (void)state;
    struct model_list l = { 0 };
    CHECK_OK(
        model_list_read(&l, BYTES_LIT("{\"object\":\"list\",\"data\":[{\"id\":\"a\",\"x\":[1]},"
                                      "{\"id\":\"b/c:7b\"},{\"id\":\"\\u00e9\"}]}")));
    CHECK(l.known && l.n == 3);
    CHECK(model_list_has(&l, BYTES_LIT("a")) && model_list_has(&l, BYTES_LIT("b/c:7b")));
    CHECK(model_list_has(&l, BYTES_LIT("\xc3\xa9")));
    CHECK(!model_list_has(&l, BYTES_LIT("b/c")) && !model_list_has(&l, BYTES_LIT("b/c:7b ")));
    CHECK(!model_list_has(&l, (bytes){ 0 }));
    model_list_clear(&l);
    CHECK(!l.known && !model_list_has(&l, BYTES_LIT("a")));
}

static void an_empty_list_is_known(void **state)
{
    (void)state;
    struct model_list l = { 0 };
    struct model_list none = { 0 };
    CHECK_OK(model_list_read(&l, BYTES_LIT("{\"data\":[]}")));
    CHECK(l.known && l.n == 0 && !model_list_equal(&l, &none));
    model_list_clear(&l);
}

static void what_is_no_list_changes_nothing(void **state)
{
    (void)state;
    static const char *const bad[] = { "",
                                       "{}",
                                       "[]",
                                       "{\"data\":{}}",
                                       "{\"data\":[\"a\"]}",
                                       "{\"data\":[{\"name\":\"a\"}]}",
                                       "{\"data\":[{\"id\":1}]}",
                                       "{\"data\":[{\"id\":\"a\"}]" };
    struct model_list l = { 0 };
    CHECK_OK(model_list_read(&l, BYTES_LIT("{\"data\":[{\"id\":\"a\"}]}")));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        CHECK_ERR(model_list_read(&l, bytes_str(bad[i])), MALFORMED);
        CHECK(l.n == 1 && model_list_has(&l, BYTES_LIT("a")));
    }
    model_list_clear(&l);
}

static void write_list(struct buf *text, size_t n)
{
    CHECK_OK(buf_add_str(text, "{\"data\":["));
    for (size_t i = 0; i < n; i++)
        CHECK_OK(buf_addf(text, "%s{\"id\":\"m%zu\"}", i > 0 ? "," : "", i));
    CHECK_OK(buf_add_str(text, "]}"));
}

static void as_many_as_there_may_be_and_one_more(void **state)
{
    (void)state;
    struct model_list l = { 0 };
    BUF_AUTO most = BUF(FINDINGS_LIST_MAX);
    BUF_AUTO over = BUF(FINDINGS_LIST_MAX);
    write_list(&most, FINDINGS_MODELS_MAX);
    write_list(&over, FINDINGS_MODELS_MAX + 1);
    CHECK_OK(model_list_read(&l, buf_view(&most)));
    CHECK(l.n == FINDINGS_MODELS_MAX && model_list_has(&l, BYTES_LIT("m4095")));
    CHECK_ERR(model_list_read(&l, buf_view(&over)), LIMIT);
    model_list_clear(&l);
}

static void findings_are_known_by_place_and_identity_and_kept_by_reference(void **state)
{
    (void)state;
    struct findings *f;
    struct worker_finding one = { .identity = { 1 }, .sick = true };
    struct worker_finding two = { .place = 1, .identity = { 2 } };
    const uint8_t other[VERDICT_KEY_LEN] = { 3 };
    CHECK_OK(model_list_read(&two.models, BYTES_LIT("{\"data\":[{\"id\":\"a\"}]}")));
    CHECK_OK(findings_new(&f));
    CHECK_OK(findings_add(f, &one));
    CHECK_OK(findings_add(f, &two));
    findings_unref(findings_ref(f));
    model_list_clear(&two.models);
    CHECK(findings_of(f, 0, one.identity)->sick && !findings_of(f, 0, one.identity)->models.known);
    CHECK(!findings_of(f, 1, two.identity)->sick);
    CHECK(model_list_has(&findings_of(f, 1, two.identity)->models, BYTES_LIT("a")));
    CHECK(findings_of(f, 0, other) == NULL && findings_of(NULL, 0, other) == NULL);
    CHECK(findings_of(f, 1, one.identity) == NULL && findings_of(f, 0, two.identity) == NULL);
    while (f->n < WORKERS_MAX)
        CHECK_OK(findings_add(f, &one));
    CHECK_ERR(findings_add(f, &one), LIMIT);
    findings_unref(f);
    findings_unref(NULL);
}

static err make_and_drop(void *arg)
{
    struct findings *f;
    struct worker_finding one = { .identity = { 1 } };
    (void)arg;
    TRY(model_list_read(&one.models, BYTES_LIT("{\"data\":[{\"id\":\"a\"}]}")));
    err e = findings_new(&f);
    if (e.code == ERR_OK) {
        e = findings_add(f, &one);
        findings_unref(f);
    }
    model_list_clear(&one.models);
    return e;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    law_every_allocation_fails_once(make_and_drop, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_the_names_of_a_list),
        cmocka_unit_test(an_empty_list_is_known),
        cmocka_unit_test(what_is_no_list_changes_nothing),
        cmocka_unit_test(as_many_as_there_may_be_and_one_more),
        cmocka_unit_test(findings_are_known_by_place_and_identity_and_kept_by_reference),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
