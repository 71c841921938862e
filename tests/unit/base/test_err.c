#include <string.h>

#include "base/err.h"
#include "tests/lib/law.h"

static err fails(void)
{
    FAIL(TIMEOUT);
}

static err passes_on(void)
{
    TRY(fails());
    return OK;
}

static err ensures(int holds)
{
    ENSURE(holds, DENIED);
    return OK;
}

static void remembers_where_it_was_raised(void **state)
{
    (void)state;
    CHECK_ERR(passes_on(), TIMEOUT);
    CHECK(err_origin()->code == ERR_TIMEOUT);
    assert_string_equal(err_origin()->func, "fails");
    CHECK(strstr(err_origin()->file, "test_err.c") != NULL);
    CHECK_ERR(ensures(0), DENIED);
    assert_string_equal(err_origin()->func, "ensures");
    CHECK_OK(ensures(1));
}

static void has_a_word_and_a_text_for_every_kind(void **state)
{
    (void)state;
    for (int code = ERR_OK; code <= ERR_INTERNAL; code++) {
        const err e = { (enum err_code)code };
        CHECK(strlen(err_text(e)) > 0 && strcmp(err_text(e), "unknown error") != 0);
        CHECK(strcmp(err_word(e), "UNKNOWN") != 0);
        CHECK(err_is_ok(e) == (code == 0));
    }
    const err none = { (enum err_code)(ERR_INTERNAL + 1) };
    assert_string_equal(err_word(none), "UNKNOWN");
    assert_string_equal(err_text(none), "unknown error");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(remembers_where_it_was_raised),
        cmocka_unit_test(has_a_word_and_a_text_for_every_kind),
    };
    return cmocka_run_group_tests_name("base/err", tests, NULL, NULL);
}
