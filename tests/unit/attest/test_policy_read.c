/* The readers that policies of all platforms share; lists and words are read through policies. */
#include "attest/policy_read.h"
#include "tests/lib/law.h"

static struct buf message;

static err number(const char *yaml, uint64_t most, uint64_t *out)
{
    struct yaml *root;
    struct policy_reading r = { .name = "p", .message = &message };
    buf_clear(&message);
    message = BUF(1024);
    CHECK_OK(yaml_read(&root, bytes_str(yaml), "p", NULL));
    err e = policy_read_u64(&r, yaml_get(root, "n"), "n", most, out);
    yaml_free(root);
    return e;
}

static void a_number_is_taken_up_to_its_bound(void **state)
{
    (void)state;
    uint64_t n = 7;
    CHECK_OK(number("n: 12", 12, &n));
    CHECK(n == 12);
    n = 7;
    CHECK_ERR(number("n: 13", 12, &n), CONFIG);
    CHECK_BYTES(buf_view(&message), BYTES_LIT("p:1: n: too large"));
    CHECK_ERR(number("n: 1x", 12, &n), CONFIG);
    CHECK_ERR(number("n: [1]", 12, &n), CONFIG);
    CHECK_ERR(number("n:", 12, &n), CONFIG);
    CHECK_BYTES(buf_view(&message), BYTES_LIT("p:1: n: give a number"));
    CHECK(n == 7);
    buf_clear(&message);
}

static err set_bool(const struct policy_reading *r, const struct yaml *node, const char *key,
                    void *into)
{
    return policy_read_bool(r, node, key, into);
}

static err read_map(const char *yaml, bool *out)
{
    static const struct policy_key keys[] = { { "on", set_bool } };
    struct yaml *root;
    struct policy_reading r = { .name = "p" };
    CHECK_OK(yaml_read(&root, bytes_str(yaml), "p", NULL));
    err e = policy_read_map(&r, yaml_get(root, "m"), "m", keys, ARRAY_LEN(keys), out);
    yaml_free(root);
    return e;
}

static void a_map_has_only_known_keys_and_at_least_one(void **state)
{
    (void)state;
    bool on = false;
    CHECK_OK(read_map("m: { on: true }", &on));
    CHECK(on);
    CHECK_OK(read_map("m: { on: false }", &on));
    CHECK(!on);
    CHECK_ERR(read_map("m: { on: maybe }", &on), CONFIG);
    CHECK_ERR(read_map("m: { off: true }", &on), CONFIG);
    CHECK_ERR(read_map("m: {}", &on), CONFIG);
    CHECK_ERR(read_map("m: [on]", &on), CONFIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_number_is_taken_up_to_its_bound),
        cmocka_unit_test(a_map_has_only_known_keys_and_at_least_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
