/* Files are followed here; name servers that answer are in tests/unit/base/test_dns.c and end to end. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "gateway/discover.h"
#include "tests/lib/law.h"
#include "tests/lib/turn.h"

enum { PATIENCE_MS = 30000 };

static char folder[] = "/tmp/sealgate-discover-XXXXXX";
static char path[64], source[80];
static struct loop *loop;
static struct discover *discover;
static unsigned changes, notes;

static int open_stage(void **state)
{
    (void)state;
    changes = notes = 0;
    (void)snprintf(path, sizeof path, "%s/workers", folder);
    (void)snprintf(source, sizeof source, "file://%s", path);
    return loop_new(&loop).code == ERR_OK ? 0 : -1;
}

static int close_stage(void **state)
{
    (void)state;
    discover_free(discover);
    discover = NULL;
    loop_free(loop);
    (void)unlink(path);
    return 0;
}

static void on_changed(void *owner)
{
    CHECK(owner == &changes);
    changes++;
}

static void on_noted(void *owner)
{
    CHECK(owner == &changes);
    notes++;
}

static err start(const char *const *sources, size_t n, struct buf *message)
{
    static struct config_list list;
    list = (struct config_list){ sources, n };
    const struct discover_settings settings = { .sources = &list,
                                                .dns_server = "127.0.0.1:1",
                                                .refresh_ms = 200,
                                                .changed = on_changed,
                                                .noted = on_noted,
                                                .owner = &changes };
    return discover_new(&discover, loop, &settings, message);
}

static void put(const char *text)
{
    CHECK_OK(file_write(path, bytes_str(text)));
}

static bool is_set(const char *addresses)
{
    BUF_AUTO text = BUF(4096);
    const struct worker_set *set = discover_set(discover);
    for (size_t i = 0; i < set->n; i++)
        CHECK_OK(buf_addf(&text, "%zu=%s ", set->at[i].place, set->at[i].text));
    return bytes_equal(buf_view(&text), bytes_str(addresses));
}

static bool page_says(const char *words)
{
    BUF_AUTO page = BUF(4096);
    struct json_out j = JSON_OUT(&page);
    json_begin_object(&j, NULL);
    discover_write(discover, &j);
    json_close(&j);
    CHECK_OK(json_end(&j));
    return text_find(buf_view(&page), bytes_str(words)) < page.len;
}

static void addresses_and_files_are_known_at_once(void **state)
{
    (void)state;
    const char *const sources[] = { "a:1", source, "unix:/c" };
    put("b:1\na:1 # twice\nd:1\n");
    CHECK_OK(start(sources, 3, NULL));
    CHECK(is_set("0=a:1 1=b:1 2=d:1 3=unix:/c ") && changes == 0);
    CHECK(discover_count(discover, DISCOVER_WELL) == 3);
    CHECK(page_says("\"state\":\"ok\"") && page_says("\"source\":\"unix:/c\""));
}

static void a_file_is_followed_whether_replaced_or_rewritten(void **state)
{
    (void)state;
    const char *const sources[] = { source };
    put("a:1\n");
    CHECK_OK(start(sources, 1, NULL));
    put("a:1\nb:1\n");
    TURN_UNTIL(loop, PATIENCE_MS, is_set("0=a:1 1=b:1 "));
    FILE *f = fopen(path, "w");
    CHECK(f != NULL && fputs("c:1\nb:1\n", f) > 0 && fclose(f) == 0);
    TURN_UNTIL(loop, PATIENCE_MS, is_set("1=b:1 2=c:1 "));
    CHECK(changes == 2);
}

static void what_is_wrong_with_a_file_changes_nothing_and_is_told_once(void **state)
{
    (void)state;
    const char *const sources[] = { source };
    put("a:1\n");
    CHECK_OK(start(sources, 1, NULL));
    put("a:1\nnothing\n");
    TURN_UNTIL(loop, PATIENCE_MS, discover_count(discover, DISCOVER_MALFORMED) == 1);
    put("# nobody\n");
    TURN_UNTIL(loop, PATIENCE_MS, discover_count(discover, DISCOVER_NOTHING) == 1);
    CHECK(unlink(path) == 0);
    TURN_UNTIL(loop, PATIENCE_MS, discover_count(discover, DISCOVER_UNREADABLE) == 1);
    CHECK(is_set("0=a:1 ") && changes == 0 && notes == 3);
    CHECK(page_says("\"state\":\"unreadable\""));
    discover_reload(discover);
    discover_reload(discover);
    CHECK(notes == 3);
    put("b:1\n");
    discover_reload(discover);
    CHECK(is_set("1=b:1 ") && changes == 1 && discover_count(discover, DISCOVER_WELL) == 1);
}

static void a_file_that_is_not_there_yet_is_waited_for(void **state)
{
    (void)state;
    const char *const sources[] = { source };
    CHECK_OK(start(sources, 1, NULL));
    CHECK(is_set("") && discover_count(discover, DISCOVER_UNREADABLE) == 1);
    put("a:1\n");
    TURN_UNTIL(loop, PATIENCE_MS, is_set("0=a:1 "));
}

static void a_file_that_is_wrong_at_the_start_is_refused_by_its_line(void **state)
{
    (void)state;
    const char *const sources[] = { source };
    char wanted[128];
    BUF_AUTO message = BUF(1024);
    put("a:1\n\nnothing\n");
    CHECK_ERR(start(sources, 1, &message), CONFIG);
    (void)snprintf(wanted, sizeof wanted, "%s:3: ", path);
    CHECK(bytes_starts(buf_view(&message), bytes_str(wanted)));
}

static void name_servers_that_do_not_answer_change_nothing_and_are_told_once(void **state)
{
    (void)state;
    const char *const sources[] = { "a:1", "dns://w.test:1", "srv://_s._tcp.test" };
    CHECK_OK(start(sources, 3, NULL));
    CHECK(is_set("0=a:1 ") && discover_count(discover, DISCOVER_NOT_ASKED) == 2);
    TURN_UNTIL(loop, PATIENCE_MS, discover_count(discover, DISCOVER_UNAVAILABLE) == 2);
    CHECK(notes == 2);
    discover_reload(discover);
    discover_reload(discover);
    uint64_t until = clock_steady_ms() + 500; /* some more of them */
    while (clock_steady_ms() < until) {
        turn_once(loop);
        (void)poll(NULL, 0, 5);
    }
    CHECK(notes == 2 && changes == 0 && is_set("0=a:1 "));
}

static err make(void *arg)
{
    const char *const sources[] = { "a:1", source };
    (void)arg;
    err e = start(sources, 2, NULL);
    discover_free(discover);
    discover = NULL;
    return e;
}

/* A file that there is no memory for may be read later. */
static void survives_failing_allocations(void **state)
{
    (void)state;
    put("b:1\n");
    law_every_allocation_fails_once(make, NULL);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) != NULL ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_stage, close_stage)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(addresses_and_files_are_known_at_once),
        TEST(a_file_is_followed_whether_replaced_or_rewritten),
        TEST(what_is_wrong_with_a_file_changes_nothing_and_is_told_once),
        TEST(a_file_that_is_not_there_yet_is_waited_for),
        TEST(a_file_that_is_wrong_at_the_start_is_refused_by_its_line),
        TEST(name_servers_that_do_not_answer_change_nothing_and_are_told_once),
        TEST(survives_failing_allocations),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
