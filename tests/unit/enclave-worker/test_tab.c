#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "enclave-worker/tab.h"
#include "tests/lib/law.h"

static const struct allowance_limits ONE = { .tokens_per_minute = 100, .concurrency = 1 };
static const struct allowance_use USE = { 3, 4, false };

static struct allowance *allowance(const struct allowance_limits *limits)
{
    struct allowance *a;
    CHECK_OK(allowance_new(&a, BYTES_LIT("alice"), limits));
    return a;
}

static bool is_free(struct allowance *a)
{
    struct allowance_view view;
    bool in = allowance_enter(a, clock_steady_us(), &view);
    if (in)
        allowance_leave(a);
    return in;
}

static bool has_paid(struct allowance *a, const char *input, const char *output)
{
    BUF_AUTO text = BUF(8192);
    char want[256];
    CHECK_OK(allowance_render(&a, 1, &text));
    (void)snprintf(want, sizeof want, "{key=\"alice\",type=\"input\"} %s\n", input);
    bool in = strstr(buf_str(&text), want) != NULL;
    (void)snprintf(want, sizeof want, "{key=\"alice\",type=\"output\"} %s\n", output);
    return in && strstr(buf_str(&text), want) != NULL;
}

static void holds_its_place_until_it_is_settled(void **state)
{
    (void)state;
    struct allowance *a = allowance(&ONE);
    struct allowance_view view;
    struct tab tab = { 0 };
    CHECK(tab_enter(&tab, a, clock_steady_us(), &view) && tab_is_limited(&tab));
    struct tab taken = tab_take(&tab);
    CHECK(!tab_is_limited(&tab) && tab.allowance == NULL && taken.background);
    tab_settle(&tab, 200, &USE); /* owes nothing any more */
    CHECK(!is_free(a) && has_paid(a, "0", "0"));
    tab_settle(&taken, 200, &USE);
    tab_settle(&taken, 200, &USE); /* once */
    CHECK(is_free(a) && has_paid(a, "3", "4"));
    allowance_unref(a);
}

static void who_was_not_let_in_owes_nothing(void **state)
{
    (void)state;
    struct allowance *a = allowance(&ONE);
    struct allowance_view view;
    struct tab in = { 0 };
    struct tab out = { 0 };
    CHECK(tab_enter(&in, a, clock_steady_us(), &view));
    CHECK(!tab_enter(&out, a, clock_steady_us(), &view));
    tab_settle(&out, 429, &USE);
    CHECK(!is_free(a) && has_paid(a, "0", "0"));
    tab_settle(&in, 200, &(struct allowance_use){ 0 });
    CHECK(is_free(a) && has_paid(a, "0", "0"));
    allowance_unref(a);
}

static void is_limited_by_what_counts_while_it_runs(void **state)
{
    (void)state;
    static const struct {
        struct allowance_limits limits;
        bool limited;
    } rows[] = { { { 0 }, false },
                 { { .requests_per_minute = 1 }, false },
                 { { .tokens_per_minute = 1 }, true },
                 { { .concurrency = 1 }, true } };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct allowance *a = allowance(&rows[i].limits);
        struct allowance_view view;
        struct tab tab = { 0 };
        CHECK(tab_enter(&tab, a, clock_steady_us(), &view));
        CHECK(tab_is_limited(&tab) == rows[i].limited);
        tab_settle(&tab, 200, &USE);
        allowance_unref(a);
    }
}

static void writes_one_line_without_content(void **state)
{
    (void)state;
    int ends[2];
    char line[512] = { 0 };
    struct log *log;
    struct allowance *a = allowance(&ONE);
    struct allowance_view view;
    assert_int_equal(pipe(ends), 0);
    CHECK_OK(log_open(&log, ends[1], LOG_LEVEL_INFO));
    struct tab tab = { .log = log, .route = WORD("responses") };
    CHECK(log_id_set(&tab.request, BYTES_LIT("r-1")));
    CHECK(tab_enter(&tab, a, clock_steady_us(), &view));
    tab = tab_take(&tab);
    tab_settle(&tab, 200, &USE);
    tab_settle(&tab, 200, &USE);
    log_close(log);
    (void)close(ends[1]);
    ssize_t n = read(ends[0], line, sizeof line - 1);
    (void)close(ends[0]);
    CHECK(n > 0 && strchr(line, '\n') == line + n - 1);
    CHECK(strstr(line,
                 "\"key\":\"alice\",\"request\":\"r-1\",\"route\":\"responses\",\"status\":200,"
                 "\"input_tokens\":3,\"output_tokens\":4,\"estimated\":false,"
                 "\"background\":true,\"ms\":") != NULL);
    allowance_unref(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holds_its_place_until_it_is_settled),
        cmocka_unit_test(who_was_not_let_in_owes_nothing),
        cmocka_unit_test(is_limited_by_what_counts_while_it_runs),
        cmocka_unit_test(writes_one_line_without_content),
    };
    return cmocka_run_group_tests_name("enclave-worker/tab", tests, NULL, NULL);
}
