#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "tests/lib/law.h"

static char folder[] = "/tmp/sealgate-file-XXXXXX";
static char path[64];

static int make_folder(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    (void)snprintf(path, sizeof path, "%s/f", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    (void)unlink(path);
    return rmdir(folder);
}

static void reads_back_what_it_wrote(void **state)
{
    (void)state;
    BUF_AUTO b = BUF(64);
    struct stat st;
    CHECK_OK(file_write(path, BYTES_LIT("old, longer content")));
    CHECK_OK(file_write(path, BYTES_LIT(" token \r\nrest")));
    CHECK_OK(file_read(&b, path));
    CHECK_BYTES(buf_view(&b), BYTES_LIT(" token \r\nrest"));
    CHECK(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600);
    buf_truncate(&b, 0);
    CHECK_OK(file_read_line(&b, path));
    CHECK_BYTES(buf_view(&b), BYTES_LIT("token"));
}

static void keeps_the_limit(void **state)
{
    (void)state;
    BUF_AUTO b = BUF(4);
    CHECK_OK(file_write(path, BYTES_LIT("1234")));
    CHECK_OK(file_read(&b, path));
    CHECK_OK(file_write(path, BYTES_LIT("12345")));
    buf_truncate(&b, 0);
    CHECK_ERR(file_read(&b, path), LIMIT);
}

static void says_that_a_file_is_not_there(void **state)
{
    (void)state;
    BUF_AUTO b = BUF(4);
    CHECK_ERR(file_read(&b, "/nonexistent/file"), NOT_FOUND);
    CHECK_ERR(file_write("/nonexistent/file", BYTES_LIT("x")), SYSTEM);
}

static void says_of_which_setting_the_file_is_and_what_is_wrong_with_it(void **state)
{
    (void)state;
    BUF_AUTO message = BUF(256);
    CHECK_OK(file_check(&message, NULL, "policy"));
    CHECK_OK(file_check(&message, "/dev/null", "policy"));
    CHECK(message.len == 0);
    CHECK_ERR(file_check(&message, "/nonexistent/file", "policy"), CONFIG);
    CHECK_BYTES(buf_view(&message),
                BYTES_LIT("/nonexistent/file: cannot be read: there is no such file "
                          "(policy)"));
    CHECK(strcmp(file_trouble((err){ ERR_DENIED }), file_trouble((err){ ERR_SYSTEM })) != 0);
    CHECK(strcmp(file_trouble((err){ ERR_LIMIT }), file_trouble((err){ ERR_SYSTEM })) != 0);
}

static void a_file_that_changed_is_told_when_it_stands_still(void **state)
{
    (void)state;
    struct file_watch w = { .path = path };
    CHECK_OK(file_write(path, BYTES_LIT("one")));
    file_watch_read(&w);
    CHECK(!file_watch_changed(&w) && !file_watch_changed(&w));
    CHECK_OK(file_write(path, BYTES_LIT("another")));
    CHECK(!file_watch_changed(&w)); /* it may still be written */
    CHECK_OK(file_write(path, BYTES_LIT("another one")));
    CHECK(!file_watch_changed(&w));
    CHECK(file_watch_changed(&w) && file_watch_changed(&w)); /* until it is read */
    file_watch_read(&w);
    CHECK(!file_watch_changed(&w));
    CHECK(unlink(path) == 0);
    CHECK(!file_watch_changed(&w) && file_watch_changed(&w));
    file_watch_read(&w);
    CHECK(!file_watch_changed(&w));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_back_what_it_wrote),
        cmocka_unit_test(keeps_the_limit),
        cmocka_unit_test(says_that_a_file_is_not_there),
        cmocka_unit_test(says_of_which_setting_the_file_is_and_what_is_wrong_with_it),
        cmocka_unit_test(a_file_that_changed_is_told_when_it_stands_still),
    };
    return cmocka_run_group_tests_name("base/file", tests, make_folder, remove_folder);
}
