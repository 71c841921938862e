#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "enclave-worker/demo_schema.h"
#include "tests/lib/law.h"

/* What is made of a schema; a static copy. */
static const char *made_of(const char *schema)
{
    static char text[65536];
    struct json *root = NULL;
    BUF_AUTO out = BUF(sizeof text - 1);
    CHECK_OK(json_read(&root, bytes_str(schema), JSON_DEPTH_MAX));
    CHECK_OK(demo_schema_write(&out, root, root));
    json_free(root);
    memcpy(text, out.at, out.len);
    text[out.len] = '\0';
    struct json *again = NULL;
    CHECK_OK(json_read(&again, bytes_str(text), JSON_DEPTH_MAX));
    json_free(again);
    return text;
}

static void makes_values_of_every_type(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        { "{\"type\":\"string\"}", "\"demo\"" },
        { "{\"type\":\"integer\"}", "1" },
        { "{\"type\":\"number\",\"minimum\":2.5}", "2.5" },
        { "{\"type\":\"integer\",\"maximum\":-3}", "-3" },
        { "{\"type\":\"integer\",\"exclusiveMinimum\":7}", "8" },
        { "{\"type\":\"boolean\"}", "true" },
        { "{\"type\":\"null\"}", "null" },
        { "{\"type\":[\"null\",\"boolean\"]}", "true" },
        { "{\"type\":\"string\",\"enum\":[\"a\\\"b\",\"c\"]}", "\"a\\\"b\"" },
        { "{\"const\":{\"x\":[1]}}", "{\"x\":[1]}" },
        { "{\"type\":\"string\",\"default\":\"d\"}", "\"d\"" },
        { "{\"type\":\"string\",\"minLength\":6}", "\"demoxx\"" },
        { "{\"type\":\"string\",\"maxLength\":2}", "\"de\"" },
        { "{\"type\":\"string\",\"format\":\"date\"}", "\"2026-01-01\"" },
        { "{\"type\":\"array\",\"items\":{\"type\":\"integer\"}}", "[1]" },
        { "{\"type\":\"array\",\"minItems\":2,\"items\":{\"type\":\"boolean\"}}", "[true,true]" },
        { "{\"type\":\"array\",\"minItems\":0}", "[]" },
        { "{\"items\":{\"type\":\"integer\"}}", "[1]" },
        { "{}", "null" },
        { "true", "null" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_string_equal(made_of(rows[i][0]), rows[i][1]);
}

static void writes_what_is_required_and_no_more(void **state)
{
    (void)state;
    assert_string_equal(made_of("{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"},"
                                "\"b\":{\"type\":\"integer\"},\"c\":{\"type\":\"object\","
                                "\"required\":[\"d\"],\"properties\":{\"d\":{\"type\":\"array\","
                                "\"items\":{\"type\":\"boolean\"}}}}},"
                                "\"required\":[\"c\",\"a\"]}"),
                        "{\"c\":{\"d\":[true]},\"a\":\"demo\"}");
    assert_string_equal(made_of("{\"type\":\"object\",\"properties\":{\"a\":{}}}"), "{}");
    assert_string_equal(made_of("{\"type\":\"object\",\"required\":[\"x\",5]}"), "{\"x\":null}");
}

static void follows_references_and_alternatives(void **state)
{
    (void)state;
    assert_string_equal(
        made_of("{\"type\":\"object\",\"required\":[\"a\",\"b\"],\"properties\":{"
                "\"a\":{\"$ref\":\"#/$defs/name\"},\"b\":{\"anyOf\":[{\"type\":\"integer\"},"
                "{\"type\":\"null\"}]}},\"$defs\":{\"name\":{\"type\":\"string\"}}}"),
        "{\"a\":\"demo\",\"b\":1}");
    assert_string_equal(made_of("{\"$ref\":\"#/nowhere\"}"), "null");
    assert_string_equal(made_of("{\"$ref\":\"http://elsewhere/\"}"), "null");
    assert_string_equal(made_of("{\"$ref\":\"#\"}"), "null");
}

/* A schema that contains itself ends at the limit, in well-formed JSON. */
static void ends_where_a_schema_does_not(void **state)
{
    (void)state;
    const char *text = made_of("{\"type\":\"array\",\"items\":{\"$ref\":\"#\"}}");
    assert_int_equal(strspn(text, "["), DEMO_SCHEMA_DEPTH_MAX);
    CHECK(strncmp(text + DEMO_SCHEMA_DEPTH_MAX, "null]", 5) == 0);
}

static void keeps_its_limits(void **state)
{
    (void)state;
    char schema[128];
    for (int n = DEMO_SCHEMA_ITEMS_MAX; n <= DEMO_SCHEMA_ITEMS_MAX + 1; n++) {
        (void)snprintf(schema, sizeof schema,
                       "{\"type\":\"array\",\"minItems\":%d,\"items\":{\"const\":0}}", n);
        assert_int_equal(strlen(made_of(schema)), 2 * DEMO_SCHEMA_ITEMS_MAX + 1);
    }
    for (int n = DEMO_SCHEMA_LENGTH_MAX; n <= DEMO_SCHEMA_LENGTH_MAX + 1; n++) {
        (void)snprintf(schema, sizeof schema, "{\"type\":\"string\",\"minLength\":%d}", n);
        assert_int_equal(strlen(made_of(schema)), DEMO_SCHEMA_LENGTH_MAX + 2);
    }
    /* 64 to the power of 15 items do not fit: an error, not a hang. */
    struct json *root = NULL;
    BUF_AUTO out = BUF(4096);
    CHECK_OK(json_read(&root,
                       BYTES_LIT("{\"type\":\"array\",\"minItems\":64,\"items\":{\"$ref\":\"#\"}}"),
                       JSON_DEPTH_MAX));
    CHECK_ERR(demo_schema_write(&out, root, root), LIMIT);
    json_free(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(makes_values_of_every_type),
        cmocka_unit_test(writes_what_is_required_and_no_more),
        cmocka_unit_test(follows_references_and_alternatives),
        cmocka_unit_test(ends_where_a_schema_does_not),
        cmocka_unit_test(keeps_its_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
