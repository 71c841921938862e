#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "enclave-worker/setup.h"
#include "tests/lib/law.h"

struct fixture {
    struct config config;
    struct worker_settings settings;
    struct setup_engines with;
    struct engine *engine;
    struct engines *table;
    struct buf message;
    char folder[64]; /* for the files that settings name */
};

static int set_up(void **state)
{
    static struct fixture f;
    static const struct responses_jobs_settings none = { .tag = "00000000" };
    f = (struct fixture){ .message = BUF(CONFIG_MESSAGE_MAX), .folder = "/tmp/test-setup-XXXXXX" };
    CHECK(mkdtemp(f.folder) != NULL);
    f.with.settings = &f.settings;
    CHECK_OK(loop_new(&f.with.loop));
    CHECK_OK(responses_jobs_new(&f.with.jobs, f.with.loop, &none));
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    if (f->engine != NULL)
        engine_free(f->engine);
    engines_free(f->table);
    responses_jobs_free(f->with.jobs);
    loop_free(f->with.loop);
    config_clear(&f->config);
    buf_clear(&f->message);
    CHECK(rmdir(f->folder) == 0);
    return 0;
}

static err open_with(struct fixture *f, const char *yaml)
{
    CHECK_OK(config_read(&f->config, &worker_program, &f->settings, bytes_str(yaml), "w.yaml",
                         &f->message));
    return setup_engines(&f->with, &f->engine, &f->table, &f->message);
}

static void refused(struct fixture *f, const char *yaml, const char *why)
{
    CHECK_ERR(open_with(f, yaml), CONFIG);
    assert_string_equal(buf_str(&f->message), why);
    CHECK(f->engine == NULL);
}

/* With a file of engines, and further settings. */
static err open_with_file(struct fixture *f, const char *more, const char *content)
{
    char path[128], yaml[512];
    (void)snprintf(path, sizeof path, "%s/engines.yaml", f->folder);
    (void)snprintf(yaml, sizeof yaml, "engines: %s\n%s", path, more);
    CHECK_OK(file_write(path, bytes_str(content)));
    err e = open_with(f, yaml);
    CHECK(unlink(path) == 0);
    return e;
}

static void one_engine_is_asked_without_a_table(void **state)
{
    struct fixture *f = *state;
    CHECK_OK(open_with(f, "engine: http://127.0.0.1:1\n"));
    CHECK(f->table == NULL);
    CHECK_BYTES(engine_describe(f->engine), BYTES_LIT("engine http http://127.0.0.1:1"));
}

static void a_url_says_which_kind_it_is(void **state)
{
    struct fixture *f = *state;
    CHECK_OK(open_with(f, "engine: https://host/prefix/v1\n"));
    CHECK_BYTES(engine_describe(f->engine), BYTES_LIT("engine http https://host/prefix"));
}

static void what_is_no_engine_is_refused(void **state)
{
    struct fixture *f = *state;
    refused(f, "engine: gopher://host\n",
            "engine: must be demo, http://HOST:PORT, https://HOST:PORT or unix:PATH, with a "
            "token_file that can be read");
}

static void a_file_that_is_not_there_is_refused(void **state)
{
    struct fixture *f = *state;
    refused(f, "engines: /no/such/file\n",
            "/no/such/file: cannot be read: there is no such file (engines)");
}

static const char two_engines[] =
    "engines:\n"
    "  - {name: a, url: demo, models: [m]}\n"
    "  - {name: b, url: \"http://127.0.0.1:1\", models: [n], token_file: /no/such/token}\n";

static void one_that_cannot_be_opened_closes_the_others(void **state)
{
    struct fixture *f = *state;
    CHECK_ERR(open_with_file(f, "", two_engines), CONFIG);
    CHECK(f->engine == NULL && f->table != NULL);
    assert_string_equal(buf_str(&f->message),
                        "b: must be demo, http://HOST:PORT, https://HOST:PORT or unix:PATH, with a "
                        "token_file that can be read");
}

static void what_is_sealed_is_not_read_in_plain(void **state)
{
    struct fixture *f = *state;
    CHECK_ERR(open_with_file(f, "secrets: sealed\n", two_engines), CONFIG);
    CHECK(strstr(buf_str(&f->message), "a token_file here cannot be sealed yet") != NULL);
}

static void several_are_asked_as_one(void **state)
{
    struct fixture *f = *state;
    CHECK_OK(open_with_file(f, "",
                            "engines:\n"
                            "  - {name: a, url: demo, models: [m]}\n"
                            "  - {name: b, url: demo, models: [n]}\n"));
    CHECK(f->engine != NULL && f->table != NULL && f->table->entries_n == 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(one_engine_is_asked_without_a_table),
        TEST(a_url_says_which_kind_it_is),
        TEST(what_is_no_engine_is_refused),
        TEST(a_file_that_is_not_there_is_refused),
        TEST(one_that_cannot_be_opened_closes_the_others),
        TEST(what_is_sealed_is_not_read_in_plain),
        TEST(several_are_asked_as_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
