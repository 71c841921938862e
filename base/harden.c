#include "base/harden.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

err harden_process(void)
{
    const struct rlimit none = { 0, 0 };
    ENSURE(setrlimit(RLIMIT_CORE, &none) == 0, SYSTEM);
    ENSURE(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0, SYSTEM);
    ENSURE(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, SYSTEM);
    (void)umask(077);
    ENSURE(signal(SIGPIPE, SIG_IGN) != SIG_ERR, SYSTEM);
    return OK;
}

err harden_allow_files(void)
{
    struct rlimit files;
    ENSURE(getrlimit(RLIMIT_NOFILE, &files) == 0, SYSTEM);
    files.rlim_cur = files.rlim_max;
    ENSURE(setrlimit(RLIMIT_NOFILE, &files) == 0, SYSTEM);
    return OK;
}
