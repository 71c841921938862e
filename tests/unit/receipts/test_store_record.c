#include "receipts/store_record.h"
#include "tests/lib/law.h"

static void an_id_is_printable_and_bounded(void **state)
{
    (void)state;
    char id[STORE_ID_MAX + 1] = "", text[STORE_ID_MAX + 2];
    memset(text, 'x', sizeof text);
    CHECK(store_id_set(id, bytes_of(text, STORE_ID_MAX)));
    CHECK(strlen(id) == STORE_ID_MAX);
    CHECK(!store_id_set(id, bytes_of(text, STORE_ID_MAX + 1)));
    CHECK(!store_id_set(id, BYTES_LIT("")));
    CHECK(!store_id_set(id, BYTES_LIT("a b")));
    CHECK(!store_id_set(id, BYTES_LIT("a\0b")));
    CHECK(!store_id_set(id, BYTES_LIT("\x7f")));
    CHECK(!store_id_set(id, BYTES_LIT("\xc3\xa4")));
    CHECK(strlen(id) == STORE_ID_MAX);
}

static void a_new_record_is_empty_and_takes_a_receipt_of_the_limit(void **state)
{
    (void)state;
    struct store_record *r = NULL;
    CHECK_OK(store_record_new(&r));
    CHECK(r->receipt.len == 0 && r->receipt_id[0] == 0 && r->created == 0 && !r->refused);
    CHECK_OK(buf_add_zeros(&r->receipt, STORE_RECEIPT_MAX));
    CHECK_ERR(buf_add_zeros(&r->receipt, 1), LIMIT);
    store_record_free(r);
    store_record_free(NULL);
}

static void a_look_up_goes_with_what_it_has_found(void **state)
{
    (void)state;
    struct store_query *q = NULL;
    CHECK_OK(store_query_new(&q));
    CHECK(q->kind == STORE_BY_ID && q->found == NULL);
    CHECK_OK(store_record_new(&q->found));
    CHECK_OK(buf_add_zeros(&q->found->receipt, 10));
    CHECK_OK(buf_add_zeros(&q->evidence, STORE_EVIDENCE_MAX));
    CHECK_ERR(buf_add_zeros(&q->evidence, 1), LIMIT);
    store_query_free(q); /* leaves nothing behind: the leak checker looks */
    store_query_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_id_is_printable_and_bounded),
        cmocka_unit_test(a_new_record_is_empty_and_takes_a_receipt_of_the_limit),
        cmocka_unit_test(a_look_up_goes_with_what_it_has_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
