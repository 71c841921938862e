#include "attest/enrolled_policy.h"
#include "base/text.h"
#include "tests/lib/law.h"

#define HEAD "platforms: [enrolled]\nmeasurements: { binary_hash: [" HASH "] }\n"
#define HASH "1122334455667788112233445566778811223344556677881122334455667788"
#define KEY "04" HASH HASH

static void keys_are_read_and_told(void **state)
{
    (void)state;
    struct policy *p = NULL;
    BUF_AUTO text = BUF(4096);
    CHECK_OK(policy_read(&p, BYTES_LIT(HEAD "enrolled: { keys: [" KEY "] }\n"), "p", NULL));
    CHECK(p->enrolled->keys.n == 1 && p->enrolled->keys.items[0].len == 65);
    CHECK_OK(policy_explain(p, &text));
    CHECK(text_find(buf_view(&text), BYTES_LIT("enrolled key: " KEY)) < text.len);
    policy_free(p);
}

static void without_keys_nothing_is_accepted_and_that_is_said(void **state)
{
    (void)state;
    struct policy *p = NULL;
    BUF_AUTO text = BUF(4096);
    CHECK_OK(policy_read(&p, BYTES_LIT(HEAD), "p", NULL));
    CHECK_OK(policy_explain(p, &text));
    CHECK(text_find(buf_view(&text), BYTES_LIT("NONE")) < text.len);
    policy_free(p);
}

static void what_is_not_right_is_refused_with_its_line(void **state)
{
    (void)state;
    static const char *const rows[] = {
        HEAD "enrolled: {}\n",
        HEAD "enrolled: [1]\n",
        HEAD "enrolled: { keys: [" HASH "] }\n",
        HEAD "enrolled: { keys: [" KEY "], more: 1 }\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct policy *p = NULL;
        BUF_AUTO message = BUF(1024);
        CHECK_ERR(policy_read(&p, bytes_str(rows[i]), "p", &message), CONFIG);
        CHECK(bytes_starts(buf_view(&message), BYTES_LIT("p:3:")));
    }
}

static void at_most_so_many_keys(void **state)
{
    (void)state;
    for (size_t n = ENROLLED_KEYS_MAX; n <= ENROLLED_KEYS_MAX + 1; n++) {
        struct policy *p = NULL;
        BUF_AUTO yaml = BUF(64 * 1024);
        CHECK_OK(buf_add_str(&yaml, HEAD "enrolled: { keys: ["));
        for (size_t i = 0; i < n; i++)
            CHECK_OK(buf_addf(&yaml, "%s04" HASH "%.62s%02zx", i > 0 ? ", " : "", HASH, i));
        CHECK_OK(buf_add_str(&yaml, "] }\n"));
        err e = policy_read(&p, buf_view(&yaml), "p", NULL);
        CHECK(err_is_ok(e) == (n == ENROLLED_KEYS_MAX));
        policy_free(p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_read_and_told),
        cmocka_unit_test(without_keys_nothing_is_accepted_and_that_is_said),
        cmocka_unit_test(what_is_not_right_is_refused_with_its_line),
        cmocka_unit_test(at_most_so_many_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
