#include "crypto/token.h"
#include "tests/lib/law.h"

/* SHA-256 of "sesame" and of "open". */
#define SESAME "d0c04f4b1951e4aeaaec8223ed2039e542f3aae805a6fa7f6d794e5afff5d272"

static void finds_a_token_by_its_digest(void **state)
{
    (void)state;
    struct token_set s = { 0 };
    BUF_AUTO message = BUF(256);
    CHECK_OK(token_set_read(&s, BYTES_LIT("# people\n\n" SESAME " ali-baba\r\n"), &message));
    CHECK(s.n == 1);
    const struct token *t = token_set_find(&s, BYTES_LIT("sesame"));
    assert_non_null(t);
    assert_string_equal(t->name, "ali-baba");
    CHECK(token_set_find(&s, BYTES_LIT("sesam")) == NULL);
    CHECK(token_set_find(&s, BYTES_LIT("")) == NULL);
    token_set_clear(&s);
    CHECK(token_set_find(&s, BYTES_LIT("sesame")) == NULL);
}

static void names_the_line_that_is_wrong(void **state)
{
    (void)state;
    static const char *const bad[] = { "\nsesame\n", "\n" SESAME "x\n", "\n" SESAME " a b\n",
                                       "# only\n#comments\n" };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct token_set s = { 0 };
        BUF_AUTO message = BUF(256);
        CHECK_ERR(token_set_read(&s, bytes_str(bad[i]), &message), CONFIG);
        CHECK(bytes_starts(buf_view(&message), BYTES_LIT("2: ")));
    }
}

static void takes_the_token_out_of_the_field(void **state)
{
    (void)state;
    CHECK_BYTES(token_of_authorization(BYTES_LIT("Bearer abc")), BYTES_LIT("abc"));
    CHECK_BYTES(token_of_authorization(BYTES_LIT("bearer  abc ")), BYTES_LIT("abc"));
    CHECK(token_of_authorization(BYTES_LIT("Basic abc")).len == 0);
    CHECK(token_of_authorization(BYTES_LIT("Bearer")).len == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_a_token_by_its_digest),
        cmocka_unit_test(names_the_line_that_is_wrong),
        cmocka_unit_test(takes_the_token_out_of_the_field),
    };
    return cmocka_run_group_tests_name("crypto/token", tests, NULL, NULL);
}
