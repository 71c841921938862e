#include "enclave-worker/engines.h"
#include "tests/lib/law.h"

#define TWO                                                                                        \
    "engines:\n"                                                                                   \
    "  - name: large\n"                                                                            \
    "    url: http://127.0.0.1:1\n"                                                                \
    "    models: [llama, \"qwen*\"]\n"                                                             \
    "    aliases: {gpt-4o: llama, o/1: llama}\n"                                                   \
    "    token_file: large.token\n"                                                                \
    "  - name: rest\n"                                                                             \
    "    url: unix:/run/rest\n"                                                                    \
    "    ca: rest.pem\n"                                                                           \
    "    models: [\"a*z\", qwen-mini, \"*\"]\n"

static const struct engines_name *find(const struct engines *e, const char *model)
{
    return engines_find(e, bytes_str(model));
}

static void finds_the_engine_of_a_model(void **state)
{
    (void)state;
    BUF_AUTO message = BUF(4096);
    struct engines *e;
    CHECK_OK(engines_read(&e, BYTES_LIT(TWO), "f", &message));
    CHECK(e->entries_n == 2 && e->names_n == 7);
    assert_string_equal(e->entries[0].token_file, "large.token");
    assert_string_equal(e->entries[1].ca, "rest.pem");
    CHECK(find(e, "llama")->entry == 0 && find(e, "llama")->target.len == 0);
    CHECK(find(e, "qwen3")->entry == 0 && find(e, "qwen")->entry == 0);
    CHECK(find(e, "qwen-mini")->entry == 1); /* written out, though a pattern stands before it */
    CHECK_BYTES(find(e, "gpt-4o")->target, BYTES_LIT("llama"));
    CHECK(find(e, "o/1")->entry == 0);
    CHECK_BYTES(find(e, "az")->name, BYTES_LIT("a*z"));
    CHECK(find(e, "whatever")->entry == 1 && find(e, "z")->name.len == 1);
    engines_free(e);
}

static void a_pattern_needs_room_for_both_its_ends(void **state)
{
    (void)state;
    BUF_AUTO message = BUF(4096);
    struct engines *e;
    CHECK_OK(engines_read(&e, BYTES_LIT("engines: [{name: a, url: demo, models: [\"ab*ba\"]}]"),
                          "f", &message));
    CHECK(find(e, "abba") != NULL && find(e, "abXba") != NULL);
    CHECK(find(e, "aba") == NULL && find(e, "ab") == NULL && find(e, "") == NULL);
    engines_free(e);
}

static void refuses_with_the_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } bad[] = {
        { "", "f:1: give a list" },
        { "engines: []", "f:1: give a list" },
        { "engines: [x]", "f:1: an engine is a map" },
        { "engines: [{name: a, url: b, models: [m]}]\nmore: 1", "f:1: give a list" },
        { "engines:\n  - name: a\n    url: b", "f:2: an engine needs" },
        { "engines:\n  - name: a\n    models: [m]", "f:2: an engine needs" },
        { "engines:\n  - name: a\n    url: b\n    model: m", "f:4: an engine has" },
        { "engines:\n  - name: a\n    url: b\n    models: m", "f:4: models: give a list" },
        { "engines:\n  - name: a\n    url: b\n    models: [[m]]", "f:4: models: give names" },
        { "engines:\n  - name: a\n    url: b\n    aliases: {\"a*\": m}", "f:4: an alias has" },
        { "engines:\n  - name: a\n    url: b\n    aliases: {a: \"m*\"}", "f:4: aliases: give the" },
        { "engines:\n  - name: a\n    url: b\n    aliases: [a]", "f:4: aliases: give a map" },
        { "engines:\n  - name: a\n    url: b\n    models: [m, m]", "f:4: this model is" },
        { "engines:\n  - name: a\n    url: [b]\n    models: [m]", "f:3: give a text" },
        { "engines:\n  - {name: a, url: b, models: [m]}\n  - {name: a, url: b, models: [n]}",
          "f:3: two engines" },
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        BUF_AUTO message = BUF(4096);
        struct engines *e;
        CHECK_ERR(engines_read(&e, bytes_str(bad[i].text), "f", &message), CONFIG);
        if (!bytes_starts(buf_view(&message), bytes_str(bad[i].message)))
            fail_msg("%s: %s", bad[i].text, buf_str(&message));
    }
}

static void has_limits(void **state)
{
    (void)state;
    for (size_t over = 0; over < 2; over++) {
        BUF_AUTO text = BUF(YAML_INPUT_MAX);
        BUF_AUTO message = BUF(4096);
        struct engines *e;
        CHECK_OK(buf_add_str(&text, "engines:\n"));
        for (size_t i = 0; i < ENGINES_MAX + over; i++)
            CHECK_OK(buf_addf(&text, "  - {name: e%zu, url: demo, models: [m%zu]}\n", i, i));
        err e1 = engines_read(&e, buf_view(&text), "f", &message);
        CHECK((e1.code == ERR_OK) == (over == 0));
        if (e1.code == ERR_OK)
            engines_free(e);
        buf_truncate(&text, 0);
        CHECK_OK(buf_add_str(&text, "engines: [{name: a, url: demo, models: [m"));
        for (size_t i = 1; i < ENGINES_NAMES_MAX + over; i++)
            CHECK_OK(buf_addf(&text, ", m%zu", i));
        CHECK_OK(buf_add_str(&text, "]}]"));
        e1 = engines_read(&e, buf_view(&text), "f", &message);
        CHECK((e1.code == ERR_OK) == (over == 0));
        if (e1.code == ERR_OK)
            engines_free(e);
        buf_truncate(&text, 0);
        CHECK_OK(buf_add_str(&text, "engines: [{name: a, url: demo, models: ["));
        for (size_t i = 0; i < ENGINES_NAME_MAX + over; i++)
            CHECK_OK(buf_add_u8(&text, 'm'));
        CHECK_OK(buf_add_str(&text, "]}]"));
        e1 = engines_read(&e, buf_view(&text), "f", &message);
        CHECK((e1.code == ERR_OK) == (over == 0));
        if (e1.code == ERR_OK)
            engines_free(e);
    }
}

static err read_once(void *arg)
{
    (void)arg;
    BUF_AUTO message = BUF(4096);
    struct engines *e;
    TRY(engines_read(&e, BYTES_LIT(TWO), "f", &message));
    engines_free(e);
    return OK;
}

static void survives_every_failing_allocation(void **state)
{
    (void)state;
    law_every_allocation_fails_once(read_once, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_engine_of_a_model),
        cmocka_unit_test(a_pattern_needs_room_for_both_its_ends),
        cmocka_unit_test(refuses_with_the_line),
        cmocka_unit_test(has_limits),
        cmocka_unit_test(survives_every_failing_allocation),
    };
    return cmocka_run_group_tests_name("enclave-worker/engines", tests, NULL, NULL);
}
