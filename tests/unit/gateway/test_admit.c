#include "gateway/admit.h"
#include "tests/lib/law.h"

static const char *const HOSTS[] = { "ai.example", "exact:81" };
static const char *const ORIGINS[] = { "https://chat.example" };
static const char *const ANY[] = { "*" };

static void names_that_are_not_ours_are_refused(void **state)
{
    (void)state;
    const struct config_list hosts = { HOSTS, 2 }, none = { 0 };
    const struct admit a = { .hosts = &hosts, .origins = &none };
    static const char *const good[] = { "127.0.0.1",     "127.0.0.1:8080", "[::1]:8080",
                                        "[::1]",         "localhost",      "LOCALHOST:80",
                                        "app.localhost", "ai.example",     "AI.Example:443",
                                        "exact:81",      "192.0.2.7:1" };
    static const char *const bad[] = { "",
                                       "evil.example",
                                       "evil.example:8080",
                                       "127.0.0.1.evil.example",
                                       "localhost.evil.example",
                                       "xai.example",
                                       "[::1",
                                       "[]",
                                       ":80",
                                       "notlocalhost",
                                       "1.2.3",
                                       "exact:82" };
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        CHECK(admit_host(&a, bytes_str(good[i])));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        CHECK(!admit_host(&a, bytes_str(bad[i])));
}

static void a_token_is_needed_once_there_are_any(void **state)
{
    (void)state;
    const struct token *key;
    const struct config_list none = { 0 };
    struct admit a = { .hosts = &none, .origins = &none };
    BUF_AUTO message = BUF(256);
    CHECK(admit_token(&a, (bytes){ 0 }, (bytes){ 0 }, &key) == ADMIT_WELCOME);
    CHECK_OK(token_set_read(
        &a.tokens, BYTES_LIT("d0c04f4b1951e4aeaaec8223ed2039e542f3aae805a6fa7f6d794e5afff5d272"),
        &message)); /* "sesame" */
    CHECK(admit_token(&a, (bytes){ 0 }, (bytes){ 0 }, &key) == ADMIT_NO_TOKEN);
    CHECK(admit_token(&a, BYTES_LIT("Bearer sesame"), (bytes){ 0 }, &key) == ADMIT_WELCOME);
    CHECK(key == &a.tokens.at[0]);
    CHECK(admit_token(&a, (bytes){ 0 }, BYTES_LIT("sesame"), &key) == ADMIT_WELCOME);
    CHECK(admit_token(&a, BYTES_LIT("Bearer sesam"), (bytes){ 0 }, &key) == ADMIT_BAD_TOKEN);
    CHECK(admit_token(&a, BYTES_LIT("Basic sesame"), (bytes){ 0 }, &key) == ADMIT_BAD_TOKEN);
    token_set_clear(&a.tokens);
}

static void origins_are_those_in_the_settings(void **state)
{
    (void)state;
    const struct config_list none = { 0 }, some = { ORIGINS, 1 }, any = { ANY, 1 };
    const struct admit closed = { .hosts = &none, .origins = &none };
    const struct admit one = { .hosts = &none, .origins = &some };
    const struct admit all = { .hosts = &none, .origins = &any };
    CHECK(!admit_origin(&closed, BYTES_LIT("https://chat.example")));
    CHECK(admit_origin(&one, BYTES_LIT("https://chat.example")));
    CHECK(!admit_origin(&one, BYTES_LIT("https://chat.example.evil")));
    CHECK(admit_origin(&all, BYTES_LIT("null")));
    CHECK(!admit_origin(&all, (bytes){ 0 }));
    static uint8_t longest[ADMIT_ORIGIN_MAX + 1];
    memset(longest, 'a', sizeof longest);
    CHECK(admit_origin(&all, bytes_of(longest, ADMIT_ORIGIN_MAX)));
    CHECK(!admit_origin(&all, bytes_of(longest, ADMIT_ORIGIN_MAX + 1)));
}

static void pages_of_other_origins_have_no_work_done(void **state)
{
    (void)state;
    const struct config_list none = { 0 }, some = { ORIGINS, 1 }, any = { ANY, 1 };
    struct admit one = { .hosts = &none, .origins = &some };
    const struct admit all = { .hosts = &none, .origins = &any };
    static const char *const pages[] = { "https://evil.example", "http://evil.example:8080", "null",
                                         "HTTPS://evil.example", "http://localhost:3000" };
    static const char *const programs[] = { "", "chrome-extension://abc", "app://obsidian.md",
                                            "https://chat.example" };
    BUF_AUTO message = BUF(256);
    for (size_t i = 0; i < ARRAY_LEN(pages); i++) {
        CHECK(!admit_work(&one, bytes_str(pages[i])));
        CHECK(admit_work(&all, bytes_str(pages[i])));
    }
    for (size_t i = 0; i < ARRAY_LEN(programs); i++)
        CHECK(admit_work(&one, bytes_str(programs[i])));
    CHECK_OK(token_set_read(
        &one.tokens, BYTES_LIT("d0c04f4b1951e4aeaaec8223ed2039e542f3aae805a6fa7f6d794e5afff5d272"),
        &message));
    CHECK(admit_work(&one, bytes_str(pages[0])));
    token_set_clear(&one.tokens);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_that_are_not_ours_are_refused),
        cmocka_unit_test(a_token_is_needed_once_there_are_any),
        cmocka_unit_test(origins_are_those_in_the_settings),
        cmocka_unit_test(pages_of_other_origins_have_no_work_done),
    };
    return cmocka_run_group_tests_name("gateway/admit", tests, NULL, NULL);
}
