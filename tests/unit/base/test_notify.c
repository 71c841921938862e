#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/notify.h"
#include "tests/lib/law.h"

/* The manager's end; name: as in the environment. */
static int manager(const char *name)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    memcpy(at.sun_path, name, strlen(name));
    if (name[0] == '@')
        at.sun_path[0] = '\0';
    CHECK(bind(fd, (const struct sockaddr *)&at,
               (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))) == 0);
    return fd;
}

static void check_heard(int fd, const char *what)
{
    char in[64];
    ssize_t n = recv(fd, in, sizeof in, 0);
    CHECK(n >= 0);
    CHECK_BYTES(bytes_of(in, (size_t)n), bytes_str(what));
}

static void is_heard_under_a_path_and_under_an_abstract_name(void **state)
{
    (void)state;
    char folder[] = "/tmp/sealgate-notify-XXXXXX";
    char names[2][64];
    CHECK(mkdtemp(folder) != NULL);
    (void)snprintf(names[0], sizeof names[0], "%s/n", folder);
    (void)snprintf(names[1], sizeof names[1], "@%s", folder);
    for (size_t i = 0; i < 2; i++) {
        int fd = manager(names[i]);
        CHECK_OK(notify_send(names[i], NOTIFY_READY));
        check_heard(fd, "READY=1");
        CHECK(setenv("NOTIFY_SOCKET", names[i], 1) == 0);
        notify_manager(NOTIFY_STOPPING);
        check_heard(fd, "STOPPING=1");
        (void)close(fd);
    }
    (void)unlink(names[0]);
    (void)rmdir(folder);
}

static void says_nothing_where_nobody_listens(void **state)
{
    (void)state;
    char longest[200];
    memset(longest, 'x', sizeof longest - 1);
    longest[0] = '/';
    longest[sizeof longest - 1] = '\0';
    CHECK_ERR(notify_send("/nonexistent/notify", NOTIFY_READY), SYSTEM);
    CHECK_ERR(notify_send("relative", NOTIFY_READY), MALFORMED);
    CHECK_ERR(notify_send("", NOTIFY_READY), MALFORMED);
    CHECK_ERR(notify_send(longest, NOTIFY_READY), MALFORMED);
    CHECK(unsetenv("NOTIFY_SOCKET") == 0);
    notify_manager(NOTIFY_READY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_heard_under_a_path_and_under_an_abstract_name),
        cmocka_unit_test(says_nothing_where_nobody_listens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
