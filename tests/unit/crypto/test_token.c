#include "base/text.h"
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

#define OPEN "2348f998744212575d85959674f9607ab26f67708a917157472832386337c904"
#define RULES(more) "{\"sha256\":\"" SESAME "\"" more "}"

static void a_line_may_have_rules(void **state)
{
    (void)state;
    struct token_set s = { 0 };
    BUF_AUTO message = BUF(1024);
    CHECK_OK(token_set_read(&s,
                            BYTES_LIT(OPEN "\n" RULES(",\"name\":\"ali\",\"models\":[\"gpt-4o\","
                                                      "\"qwen*\"],\"requests_per_minute\":60,"
                                                      "\"tokens_per_minute\":5,"
                                                      "\"concurrency\":2") "\n"),
                            &message));
    CHECK(s.n == 2);
    const struct token *t = token_set_find(&s, BYTES_LIT("sesame"));
    assert_non_null(t);
    assert_string_equal(t->name, "ali");
    assert_string_equal(allowance_name(t->allowance), "ali");
    const struct allowance_limits limits = allowance_limits_of(t->allowance);
    CHECK(limits.requests_per_minute == 60 && limits.tokens_per_minute == 5 &&
          limits.concurrency == 2);
    CHECK(token_allows(t, BYTES_LIT("gpt-4o")) && token_allows(t, BYTES_LIT("qwen3")));
    CHECK(!token_allows(t, BYTES_LIT("gpt-4")) && !token_allows(t, BYTES_LIT("")));
    CHECK(token_allows(&s.at[0], BYTES_LIT("any")));
    CHECK(token_has_rules(t) && !token_has_rules(&s.at[0]));
    assert_string_equal(allowance_name(s.at[0].allowance), "key-2348f998");
    token_set_clear(&s);
}

static void keys_of_one_name_share_one_allowance(void **state)
{
    (void)state;
    struct token_set s = { 0 };
    BUF_AUTO message = BUF(1024);
    BUF_AUTO text = BUF(65536);
    CHECK_OK(token_set_read(&s, BYTES_LIT(OPEN " ali\n" RULES(",\"name\":\"ali\"")), &message));
    CHECK(s.at[0].allowance == s.at[1].allowance && s.at[0].first && !s.at[1].first);
    CHECK_OK(token_set_render(&s, &text));
    size_t at = text_find(buf_view(&text), BYTES_LIT("requests_total{key=\"ali\"}"));
    CHECK(at < text.len);
    bytes behind = bytes_slice(buf_view(&text), at + 1, text.len);
    CHECK(text_find(behind, BYTES_LIT("requests_total{key=\"ali\"}")) == behind.len);
    token_set_clear(&s);
    CHECK_ERR(token_set_read(&s,
                             BYTES_LIT(OPEN " ali\n" RULES(",\"name\":\"ali\",\"concurrency\":1")),
                             &message),
              CONFIG);
    CHECK(bytes_starts(buf_view(&message), BYTES_LIT("2: keys of one name")));
}

static void names_the_rules_that_are_wrong(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "{}",
        "{\"sha256\":1}",
        "{\"sha256\":\"00\"}",
        RULES(",\"name\":\"a b\""),
        RULES(",\"model\":[]"),
        RULES(",\"models\":\"m\""),
        RULES(",\"models\":[1]"),
        RULES(",\"concurrency\":0"),
        RULES(",\"concurrency\":-1"),
        RULES(",\"concurrency\":1.5"),
        RULES(",\"requests_per_minute\":1000000001"),
        RULES(",\"tokens_per_minute\":\"1\""),
        RULES("") "x",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct token_set s = { 0 };
        BUF_AUTO message = BUF(1024);
        CHECK_ERR(token_set_read(&s, bytes_str(bad[i]), &message), CONFIG);
        CHECK(bytes_starts(buf_view(&message), BYTES_LIT("1: not a token's rules")));
    }
}

static void what_was_used_outlives_a_new_file(void **state)
{
    (void)state;
    struct token_set old = { 0 };
    struct token_set new = { 0 };
    BUF_AUTO message = BUF(1024);
    struct allowance_view view;
    CHECK_OK(token_set_read(&old, BYTES_LIT(RULES(",\"name\":\"ali\",\"requests_per_minute\":1")),
                            &message));
    CHECK(allowance_enter(old.at[0].allowance, 0, &view));
    CHECK_OK(token_set_read(
        &new,
        BYTES_LIT(OPEN " new\n" RULES(",\"name\":\"ali\",\"requests_per_minute\":2") "\n" RULES(
            ",\"name\":\"ali\",\"requests_per_minute\":2")),
        &message));
    token_set_inherit(&new, &old);
    CHECK(new.at[1].allowance == old.at[0].allowance &&new.at[2].allowance == old.at[0].allowance);
    CHECK(new.at[0].allowance != old.at[0].allowance);
    token_set_clear(&old);
    CHECK(allowance_limits_of(new.at[1].allowance).requests_per_minute == 2);
    CHECK(!allowance_enter(new.at[1].allowance, 0, &view)); /* a whole minute's worth of before */
    CHECK(allowance_enter(new.at[1].allowance, 31 * 1000000, &view));
    token_set_clear(&new);
}

static err read_once(void *arg)
{
    (void)arg;
    struct token_set s = { 0 };
    BUF_AUTO message = BUF(1024);
    err e = token_set_read(&s, BYTES_LIT(OPEN " a\n" RULES(",\"models\":[\"m\"]")), &message);
    token_set_clear(&s);
    return e;
}

static void survives_every_failing_allocation(void **state)
{
    (void)state;
    law_every_allocation_fails_once(read_once, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_a_token_by_its_digest),
        cmocka_unit_test(names_the_line_that_is_wrong),
        cmocka_unit_test(a_line_may_have_rules),
        cmocka_unit_test(keys_of_one_name_share_one_allowance),
        cmocka_unit_test(names_the_rules_that_are_wrong),
        cmocka_unit_test(what_was_used_outlives_a_new_file),
        cmocka_unit_test(survives_every_failing_allocation),
        cmocka_unit_test(takes_the_token_out_of_the_field),
    };
    return cmocka_run_group_tests_name("crypto/token", tests, NULL, NULL);
}
