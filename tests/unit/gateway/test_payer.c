#include "base/text.h"
#include "gateway/payer.h"
#include "tests/lib/law.h"

#define KEY                                                                                        \
    "{\"sha256\":\"d0c04f4b1951e4aeaaec8223ed2039e542f3aae805a6fa7f6d794e5afff5d272\",\"name\":"   \
    "\"a\","                                                                                       \
    "\"models\":[\"m\"],\"concurrency\":1,\"tokens_per_minute\":10}"

static const struct allowance_use NOTHING = { 0 };
static const struct allowance_use NINE = { 5, 4, true };

static void read_key(struct token_set *set)
{
    BUF_AUTO message = BUF(1024);
    CHECK_OK(token_set_read(set, BYTES_LIT(KEY), &message));
}

static void nobody_may_ask_for_all(void **state)
{
    (void)state;
    struct payer p = { 0 };
    struct api_error error;
    CHECK(payer_enter(&p, BYTES_LIT("any"), &error));
    CHECK(!p.entered && p.limits.n == 0);
    payer_leave(&p, &NOTHING);
}

static void a_key_keeps_to_its_rules(void **state)
{
    (void)state;
    struct token_set set = { 0 };
    struct api_error error;
    read_key(&set);
    struct payer p = { .key = &set.at[0] };
    struct payer second = { .key = &set.at[0] };
    CHECK(!payer_enter(&p, BYTES_LIT("other"), &error));
    CHECK(error.cause == ERROR_MODEL_NOT_ALLOWED && !p.entered && p.limits.n == 0);
    CHECK(payer_enter(&p, BYTES_LIT("m"), &error));
    CHECK(p.entered && p.limits.n == 3);
    CHECK(!payer_enter(&second, BYTES_LIT("m"), &error));
    CHECK(error.cause == ERROR_RATE_LIMIT && error.retry_after_s == 1 && second.limits.n == 3);
    payer_leave(&second, &NOTHING); /* has no place to give back */
    CHECK(!payer_enter(&second, BYTES_LIT("m"), &error));
    payer_leave(&p, &NINE);
    payer_leave(&p, &NINE);                              /* once */
    CHECK(payer_enter(&second, BYTES_LIT("m"), &error)); /* one of ten is left */
    payer_leave(&second, &NOTHING);
    token_set_clear(&set);
}

static void a_key_deletes_its_own_models_only(void **state)
{
    (void)state;
    struct token_set set = { 0 };
    struct api_error error;
    const struct payer nobody = { 0 };
    read_key(&set);
    const struct payer p = { .key = &set.at[0] };
    CHECK(payer_may_delete(&nobody, BYTES_LIT("any"), &error));
    CHECK(payer_may_delete(&p, (bytes){ 0 }, &error)); /* nothing is deleted */
    CHECK(payer_may_delete(&p, BYTES_LIT("%6d"), &error));
    CHECK(!payer_may_delete(&p, BYTES_LIT("m%"), &error));
    CHECK(!payer_may_delete(&p, BYTES_LIT("n"), &error));
    CHECK(error.cause == ERROR_MODEL_NOT_ALLOWED);
    CHECK_BYTES(error.about, BYTES_LIT("n"));
    token_set_clear(&set);
}

/* Whoever's tokens or requests at a time are limited: they could not be counted. */
static void limited_keys_have_nothing_made_in_the_background(void **state)
{
    (void)state;
    struct token_set set = { 0 };
    struct api_error error;
    const struct payer nobody = { 0 };
    read_key(&set);
    const struct payer p = { .key = &set.at[0] };
    CHECK(payer_may_background(&nobody, true, &error));
    CHECK(payer_may_background(&p, false, &error));
    CHECK(!payer_may_background(&p, true, &error));
    CHECK(error.cause == ERROR_BACKGROUND);
    CHECK_BYTES(error.param, BYTES_LIT("background"));
    allowance_set(p.key->allowance, &(struct allowance_limits){ .concurrency = 1 });
    CHECK(!payer_may_background(&p, true, &error));
    allowance_set(p.key->allowance, &(struct allowance_limits){ .requests_per_minute = 1 });
    CHECK(payer_may_background(&p, true, &error));
    token_set_clear(&set);
}

static void what_was_used_is_shown(void **state)
{
    (void)state;
    struct token_set set = { 0 };
    struct api_error error;
    BUF_AUTO text = BUF(65536);
    read_key(&set);
    struct payer p = { .key = &set.at[0] };
    CHECK(payer_enter(&p, BYTES_LIT("m"), &error));
    payer_leave(&p, &(struct allowance_use){ 3, 4, false });
    CHECK_OK(token_set_render(&set, &text));
    CHECK(text_find(buf_view(&text),
                    BYTES_LIT("sealgate_key_tokens_total{key=\"a\",type=\"output\"} 4\n")) <
          text.len);
    token_set_clear(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_may_ask_for_all),
        cmocka_unit_test(a_key_keeps_to_its_rules),
        cmocka_unit_test(a_key_deletes_its_own_models_only),
        cmocka_unit_test(limited_keys_have_nothing_made_in_the_background),
        cmocka_unit_test(what_was_used_is_shown),
    };
    return cmocka_run_group_tests_name("gateway/payer", tests, NULL, NULL);
}
