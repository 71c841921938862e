#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "gateway/shelf.h"
#include "tests/lib/law.h"
#include "tests/unit/gateway/vendor.h"

static char parent[64];
static char folder[128];

static int make_folder(void **state)
{
    (void)state;
    (void)snprintf(parent, sizeof parent, "/tmp/sealgate-shelf-XXXXXX");
    CHECK(mkdtemp(parent) != NULL);
    (void)snprintf(folder, sizeof folder, "%s/kept", parent);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    vendor_remove(parent);
    return 0;
}

static const char *path_of(const char *name)
{
    static char path[512];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void is_kept(struct shelf *s, const char *key, const char *content)
{
    BUF_AUTO out = BUF(64);
    CHECK_OK(shelf_read(s, key, &out));
    CHECK_BYTES(buf_view(&out), bytes_str(content));
}

static void keeps_over_a_restart_what_was_written(void **state)
{
    struct shelf *s;
    struct stat about;
    BUF_AUTO out = BUF(64);
    (void)state;
    CHECK_OK(shelf_open(&s, folder, false));
    CHECK(access(folder, F_OK) != 0);
    CHECK_ERR(shelf_read(s, "a", &out), NOT_FOUND);
    CHECK_OK(shelf_write(s, "a", BYTES_LIT("one")));
    CHECK_OK(shelf_write(s, "b", BYTES_LIT("two")));
    CHECK_OK(shelf_write(s, "a", BYTES_LIT("three")));
    shelf_close(s);
    CHECK(stat(folder, &about) == 0 && (about.st_mode & 0777) == 0700);
    CHECK(stat(path_of("a.cbor"), &about) == 0 && (about.st_mode & 0777) == 0600);
    CHECK_OK(shelf_open(&s, folder, false));
    is_kept(s, "a", "three");
    is_kept(s, "b", "two");
    shelf_drop(s, "a");
    CHECK_ERR(shelf_read(s, "a", &out), NOT_FOUND);
    shelf_close(s);
}

static void takes_no_key_that_could_leave_the_folder(void **state)
{
    struct shelf *s;
    char longest[SHELF_KEY_MAX + 2];
    BUF_AUTO out = BUF(64);
    (void)state;
    CHECK_OK(shelf_open(&s, folder, false));
    static const char *const wrong[] = {
        "", "..", "a/b", "/etc/passwd", "A", "a.b", "a b", "\x80"
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        CHECK_ERR(shelf_write(s, wrong[i], BYTES_LIT("x")), INTERNAL);
        CHECK_ERR(shelf_read(s, wrong[i], &out), INTERNAL);
    }
    memset(longest, 'a', sizeof longest);
    longest[SHELF_KEY_MAX + 1] = '\0';
    CHECK_ERR(shelf_write(s, longest, BYTES_LIT("x")), INTERNAL);
    longest[SHELF_KEY_MAX] = '\0';
    CHECK_OK(shelf_write(s, longest, BYTES_LIT("x")));
    is_kept(s, longest, "x");
    shelf_close(s);
}

static void lets_the_oldest_go(void **state)
{
    struct shelf *s;
    char key[32];
    BUF_AUTO out = BUF(64);
    (void)state;
    CHECK_OK(shelf_open(&s, folder, false));
    for (int i = 0; i < SHELF_FILES_MAX; i++) {
        (void)snprintf(key, sizeof key, "k%d", i);
        CHECK_OK(shelf_write(s, key, bytes_str(key)));
    }
    /* Make one the oldest beyond doubt; writing over another makes no room. */
    const struct timespec long_ago[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
    CHECK(utimensat(AT_FDCWD, path_of("k7.cbor"), long_ago, 0) == 0);
    CHECK_OK(shelf_write(s, "k8", BYTES_LIT("new")));
    is_kept(s, "k7", "k7");
    CHECK_OK(shelf_write(s, "one-more", BYTES_LIT("x")));
    CHECK_ERR(shelf_read(s, "k7", &out), NOT_FOUND);
    is_kept(s, "k6", "k6");
    is_kept(s, "one-more", "x");
    shelf_close(s);
}

static void only_reads_when_told_so(void **state)
{
    struct shelf *s;
    (void)state;
    CHECK_ERR(shelf_open(&s, folder, true), CONFIG);
    CHECK_OK(shelf_open(&s, folder, false));
    CHECK_OK(shelf_write(s, "a", BYTES_LIT("one")));
    shelf_close(s);
    CHECK_OK(shelf_open(&s, folder, true));
    CHECK_ERR(shelf_write(s, "a", BYTES_LIT("two")), DENIED);
    shelf_drop(s, "a");
    is_kept(s, "a", "one");
    shelf_close(s);
}

static void refuses_what_is_no_folder(void **state)
{
    struct shelf *s;
    (void)state;
    CHECK_OK(file_write(folder, BYTES_LIT("a file")));
    CHECK_ERR(shelf_open(&s, folder, false), CONFIG);
    CHECK_ERR(shelf_open(&s, folder, true), CONFIG);
    CHECK_ERR(shelf_open(&s, "", false), CONFIG);
    char path[SHELF_PATH_MAX + 1];
    memset(path, 'a', sizeof path);
    path[SHELF_PATH_MAX] = '\0';
    CHECK_ERR(shelf_open(&s, path, false), CONFIG);
}

static void sweeps_up_after_a_crash(void **state)
{
    struct shelf *s;
    (void)state;
    CHECK(mkdir(folder, 0700) == 0);
    CHECK_OK(file_write(path_of("a.cbor.123.new"), BYTES_LIT("half")));
    CHECK_OK(file_write(path_of("notes.txt"), BYTES_LIT("not ours")));
    CHECK_OK(shelf_open(&s, folder, false));
    CHECK(access(path_of("a.cbor.123.new"), F_OK) != 0);
    CHECK(access(path_of("notes.txt"), F_OK) == 0);
    shelf_close(s);
}

static void bounds_what_is_read(void **state)
{
    struct shelf *s;
    BUF_AUTO at = BUF(5);
    BUF_AUTO above = BUF(4);
    (void)state;
    CHECK_OK(shelf_open(&s, folder, false));
    CHECK_OK(shelf_write(s, "a", BYTES_LIT("12345")));
    CHECK_OK(shelf_read(s, "a", &at));
    CHECK_ERR(shelf_read(s, "a", &above), LIMIT);
    shelf_close(s);
}

static err write_and_read(void *arg)
{
    struct shelf *s;
    BUF_AUTO out = BUF(64);
    (void)arg;
    TRY(shelf_open(&s, folder, false));
    err e = shelf_write(s, "a", BYTES_LIT("one"));
    if (err_is_ok(e))
        e = shelf_read(s, "a", &out);
    shelf_close(s);
    return e;
}

static void survives_every_failed_allocation(void **state)
{
    (void)state;
    law_every_allocation_fails_once(write_and_read, NULL);
}

#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FOLDER(keeps_over_a_restart_what_was_written),
        WITH_FOLDER(takes_no_key_that_could_leave_the_folder),
        WITH_FOLDER(lets_the_oldest_go),
        WITH_FOLDER(only_reads_when_told_so),
        WITH_FOLDER(refuses_what_is_no_folder),
        WITH_FOLDER(sweeps_up_after_a_crash),
        WITH_FOLDER(bounds_what_is_read),
        WITH_FOLDER(survives_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
