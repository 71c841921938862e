#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "tests/lib/law.h"

static err read_text(struct json **out, const char *text)
{
    return json_read(out, bytes_str(text), 8);
}

static void reads_every_kind(void **state)
{
    (void)state;
    struct json *root;
    bytes text;
    int64_t i;
    uint64_t u;
    double f;
    bool b;
    CHECK_OK(read_text(&root,
                       "{\"t\":\"a\\u0000b\",\"i\":-5,\"f\":2.5,\"b\":true,\"n\":null,"
                       "\"a\":[1,[2]],\"u\":9223372036854775807}"));
    CHECK(json_kind(root) == JSON_KIND_OBJECT && json_len(root) == 7);
    CHECK(json_text(json_get(root, "t"), &text));
    CHECK_BYTES(text, BYTES_LIT("a\0b"));
    CHECK(json_i64(json_get(root, "i"), &i) && i == -5);
    CHECK(!json_u64(json_get(root, "i"), &u));
    CHECK(json_u64(json_get(root, "u"), &u) && u == INT64_MAX);
    CHECK(json_f64(json_get(root, "f"), &f) && f == 2.5);
    CHECK(json_f64(json_get(root, "i"), &f) && f == -5.0);
    CHECK(json_bool(json_get(root, "b"), &b) && b);
    CHECK(json_kind(json_get(root, "n")) == JSON_KIND_NULL);
    CHECK(json_i64(json_at(json_at(json_get(root, "a"), 1), 0), &i) && i == 2);
    json_free(root);
}

static void looks_up_nothing_in_nothing(void **state)
{
    (void)state;
    struct json *root;
    int64_t i = 7;
    CHECK_OK(read_text(&root, "[1]"));
    CHECK(json_get(json_at(json_get(root, "x"), 3), "y") == NULL);
    CHECK(json_at(root, 1) == NULL && json_get(root, "0") == NULL);
    CHECK(json_kind(NULL) == JSON_KIND_NONE && json_len(NULL) == 0);
    CHECK(!json_i64(NULL, &i) && i == 7);
    json_free(root);
    json_free(NULL);
}

static void refuses_what_is_not_one_strict_value(void **state)
{
    (void)state;
    static const char *const bad[] = { "",       " ",         "{",          "[1,]",
                                       "{}x",    "{} {}",     "{\"a\":1,}", "{\"a\":1,\"a\":2}",
                                       "nul",    "01",        "+1",         "1.",
                                       "1e999",  "'a'",       "\"\xff\"",   "\"\\ud800\"",
                                       "\"\n\"", "// c\n1",   "NaN",        "9223372036854775808",
                                       "[1 2]",  "{\"a\" 1}", "\"\\x41\"",  "\xef\xbb\xbf{}" };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct json *root = NULL;
        CHECK_ERR(read_text(&root, bad[i]), MALFORMED);
        CHECK(root == NULL);
    }
}

static void refuses_every_cut(void **state)
{
    (void)state;
    static const char text[] = "{\"a\":[1,\"x\\u00fc\",{\"b\":null}]}";
    for (size_t cut = 0; cut < sizeof text - 1; cut++) {
        struct json *root;
        CHECK_ERR(json_read(&root, bytes_of(text, cut), 8), MALFORMED);
    }
}

static void nest(struct buf *b, size_t depth)
{
    for (size_t i = 0; i < depth; i++)
        CHECK_OK(buf_add_str(b, i % 2 ? "{\"]}\\\"[\":" : "["));
    CHECK_OK(buf_add_str(b, "0"));
    for (size_t i = depth; i-- > 0;)
        CHECK_OK(buf_add_str(b, i % 2 ? "}" : "]"));
}

static void bounds_the_depth(void **state)
{
    (void)state;
    static const size_t depths[] = { 1, 2, 7, JSON_DEPTH_MAX };
    for (size_t i = 0; i < ARRAY_LEN(depths); i++) {
        struct json *root;
        BUF_AUTO at = BUF(4096);
        BUF_AUTO above = BUF(4096);
        nest(&at, depths[i]);
        nest(&above, depths[i] + 1);
        CHECK_OK(json_read(&root, buf_view(&at), depths[i]));
        json_free(root);
        CHECK_ERR(json_read(&root, buf_view(&above), depths[i]), LIMIT);
    }
    struct json *root;
    CHECK_ERR(json_read(&root, BYTES_LIT("1"), 0), INTERNAL);
    CHECK_ERR(json_read(&root, BYTES_LIT("1"), JSON_DEPTH_MAX + 1), INTERNAL);
}

static void bounds_the_input(void **state)
{
    (void)state;
    struct json *root;
    BUF_AUTO b = BUF(JSON_TEXT_MAX + 1);
    uint8_t *room;
    CHECK_OK(buf_reserve(&b, JSON_TEXT_MAX + 1, &room));
    memset(room, ' ', JSON_TEXT_MAX + 1);
    room[0] = '1';
    buf_commit(&b, JSON_TEXT_MAX);
    CHECK_OK(json_read(&root, buf_view(&b), 1));
    json_free(root);
    buf_commit(&b, 1);
    CHECK_ERR(json_read(&root, buf_view(&b), 1), LIMIT);
}

static void walks_pairs_in_their_order(void **state)
{
    (void)state;
    static const char *const keys[] = { "z", "a", "m" };
    struct json *root;
    size_t n = 0;
    CHECK_OK(read_text(&root, "{\"z\":0,\"a\":1,\"m\":2}"));
    for (struct json_pair p = { 0 }; json_next(root, &p); n++) {
        int64_t i;
        CHECK_BYTES(p.key, bytes_str(keys[n]));
        CHECK(json_i64(p.value, &i) && i == (int64_t)n);
    }
    CHECK(n == 3);
    struct json_pair p = { 0 };
    CHECK(!json_next(NULL, &p));
    json_free(root);
}

static void writes_what_it_read(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{\"a\":[1,-2,\"x\\\"\\\\\\n\xc3\xbc\",{}],\"b\":{\"c\":null},\"d\":[true,false]}",
        "[]",
        "\"s\"",
        "0",
        "0.10000000000000001",
        "null",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct json *root;
        BUF_AUTO b = BUF(256);
        CHECK_OK(read_text(&root, texts[i]));
        CHECK_OK(json_write(&b, root));
        CHECK_BYTES(buf_view(&b), bytes_str(texts[i]));
        BUF_AUTO small = BUF(b.len - 1);
        CHECK_ERR(json_write(&small, root), LIMIT);
        CHECK(small.len == 0);
        json_free(root);
    }
}

static void writes_without_a_tree(void **state)
{
    (void)state;
    BUF_AUTO b = BUF(1024);
    struct json_out j = JSON_OUT(&b);
    json_begin_object(&j, NULL);
    json_put_str(&j, "s", "a\"b");
    json_put_str(&j, "none", NULL);
    json_put_u64(&j, "u", UINT64_MAX);
    json_put_i64(&j, "i", INT64_MIN);
    json_put_bool(&j, "t", true);
    json_begin_array(&j, "a");
    json_put_f64(&j, NULL, 0.1);
    json_put_f64(&j, NULL, 1e300);
    json_put_f64(&j, NULL, (double)NAN);
    json_begin_object(&j, NULL);
    json_close(&j);
    json_begin_array(&j, NULL);
    json_close(&j);
    json_close(&j);
    json_key(&j, BYTES_LIT("k\n"));
    json_put_hex(&j, NULL, BYTES_LIT("\x01\xff"));
    json_put_raw(&j, "r", BYTES_LIT("[0]"));
    json_put_null(&j, "n");
    json_close(&j);
    CHECK_OK(json_end(&j));
    CHECK_BYTES(buf_view(&b),
                BYTES_LIT("{\"s\":\"a\\\"b\",\"none\":null,\"u\":18446744073709551615,"
                          "\"i\":-9223372036854775808,\"t\":true,\"a\":[0.1,1e+300,null,{},[]],"
                          "\"k\\n\":\"01ff\",\"r\":[0],\"n\":null}"));
}

static void notices_its_misuse(void **state)
{
    (void)state;
    BUF_AUTO b = BUF(1024);
    struct json_out missing_key = JSON_OUT(&b);
    json_begin_object(&missing_key, NULL);
    json_put_null(&missing_key, NULL);
    CHECK_ERR(json_end(&missing_key), INTERNAL);
    struct json_out key_in_array = JSON_OUT(&b);
    json_begin_array(&key_in_array, NULL);
    json_put_null(&key_in_array, "k");
    CHECK_ERR(json_end(&key_in_array), INTERNAL);
    struct json_out open = JSON_OUT(&b);
    json_begin_array(&open, NULL);
    CHECK_ERR(json_end(&open), INTERNAL);
    struct json_out closed_twice = JSON_OUT(&b);
    json_begin_array(&closed_twice, NULL);
    json_close(&closed_twice);
    json_close(&closed_twice);
    CHECK_ERR(json_end(&closed_twice), INTERNAL);
    struct json_out two_values = JSON_OUT(&b);
    json_put_null(&two_values, NULL);
    json_put_null(&two_values, NULL);
    CHECK_ERR(json_end(&two_values), INTERNAL);
    struct json_out dangling = JSON_OUT(&b);
    json_begin_object(&dangling, NULL);
    json_key(&dangling, BYTES_LIT("k"));
    json_close(&dangling);
    CHECK_ERR(json_end(&dangling), INTERNAL);
    struct json_out empty = JSON_OUT(&b);
    CHECK_ERR(json_end(&empty), INTERNAL);
}

static void writer_keeps_its_first_failure(void **state)
{
    (void)state;
    BUF_AUTO small = BUF(3);
    struct json_out j = JSON_OUT(&small);
    json_begin_array(&j, NULL);
    json_put_str(&j, NULL, "long");
    json_close(&j);
    json_close(&j);
    CHECK_ERR(json_end(&j), LIMIT);
}

static err write_levels(size_t levels)
{
    BUF_AUTO b = BUF(1024);
    struct json_out j = JSON_OUT(&b);
    for (size_t i = 0; i < levels; i++)
        json_begin_array(&j, NULL);
    for (size_t i = 0; i < levels; i++)
        json_close(&j);
    return json_end(&j);
}

static void writer_bounds_its_depth(void **state)
{
    (void)state;
    CHECK_OK(write_levels(JSON_DEPTH_MAX));
    CHECK_ERR(write_levels(JSON_DEPTH_MAX + 1), LIMIT);
}

static err read_and_write(void *arg)
{
    struct json *root;
    BUF_AUTO b = BUF(4096);
    TRY(read_text(&root, arg));
    err e = json_write(&b, root);
    json_free(root);
    return e;
}

static void survives_every_failing_allocation(void **state)
{
    (void)state;
    char text[] = "{\"a\":[1,2.5,\"x\",{\"b\":null}],\"c\":{\"d\":true}}";
    law_every_allocation_fails_once(read_and_write, text);
}

/* A string that ends just where the library's buffer for it has to grow, and could not. */
static void loses_no_end_of_a_string_for_want_of_memory(void **state)
{
    (void)state;
    enum { LENGTHS = 140 };
    char text[LENGTHS + 8];
    for (int n = 1; n <= LENGTHS; n++) {
        char letters[LENGTHS + 1];
        memset(letters, 'x', (size_t)n);
        letters[n] = '\0';
        (void)snprintf(text, sizeof text, "[\"%s\"]", letters);
        law_every_allocation_fails_once(read_and_write, text);
    }
}

static void tells_what_is_set(void **state)
{
    (void)state;
    struct json *root;
    CHECK_OK(json_read(&root, BYTES_LIT("{\"a\":\"x\",\"b\":null,\"c\":false,\"d\":\"\"}"), 4));
    CHECK_BYTES(json_text_of(root, "a"), BYTES_LIT("x"));
    for (const char *key = "bcde"; *key != '\0'; key++) {
        const char name[] = { *key, '\0' };
        assert_int_equal(json_text_of(root, name).len, 0);
        assert_int_equal(json_is_set(json_get(root, name)), *key == 'c' || *key == 'd');
    }
    assert_int_equal(json_text_of(NULL, "a").len, 0);
    CHECK(!json_is_set(NULL));
    json_free(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_kind),
        cmocka_unit_test(looks_up_nothing_in_nothing),
        cmocka_unit_test(refuses_what_is_not_one_strict_value),
        cmocka_unit_test(refuses_every_cut),
        cmocka_unit_test(bounds_the_depth),
        cmocka_unit_test(bounds_the_input),
        cmocka_unit_test(walks_pairs_in_their_order),
        cmocka_unit_test(writes_what_it_read),
        cmocka_unit_test(writes_without_a_tree),
        cmocka_unit_test(notices_its_misuse),
        cmocka_unit_test(writer_keeps_its_first_failure),
        cmocka_unit_test(writer_bounds_its_depth),
        cmocka_unit_test(tells_what_is_set),
        cmocka_unit_test(survives_every_failing_allocation),
        cmocka_unit_test(loses_no_end_of_a_string_for_want_of_memory),
    };
    return cmocka_run_group_tests_name("base/json", tests, NULL, NULL);
}
