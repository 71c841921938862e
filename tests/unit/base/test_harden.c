#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/harden.h"
#include "tests/lib/law.h"

static bool is_hardened(void)
{
    struct rlimit core;
    struct sigaction pipe;
    if (!err_is_ok(harden_process()))
        return false;
    if (getrlimit(RLIMIT_CORE, &core) != 0 || core.rlim_cur != 0 || core.rlim_max != 0)
        return false;
    if (prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0 || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
        return false;
    if (sigaction(SIGPIPE, NULL, &pipe) != 0 || pipe.sa_handler != SIG_IGN)
        return false;
    return umask(0) == 077;
}

/* In a child: a process cannot be softened again. Twice: the second call must not fail. */
static void leaves_no_way_to_look_inside(void **state)
{
    (void)state;
    int status;
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0)
        _exit(is_hardened() && is_hardened() ? 0 : 1);
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void allows_as_many_files_as_the_system_does(void **state)
{
    (void)state;
    struct rlimit files;
    CHECK(getrlimit(RLIMIT_NOFILE, &files) == 0);
    files.rlim_cur = files.rlim_max / 2;
    CHECK(setrlimit(RLIMIT_NOFILE, &files) == 0);
    CHECK_OK(harden_allow_files());
    CHECK(getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur == files.rlim_max);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leaves_no_way_to_look_inside),
        cmocka_unit_test(allows_as_many_files_as_the_system_does),
    };
    return cmocka_run_group_tests_name("base/harden", tests, NULL, NULL);
}
