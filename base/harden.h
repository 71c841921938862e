/*
 * base/harden.h - what every program does first, before it reads anything from outside.
 */
#pragma once

#include "base/err.h"

/*
 * No core dumps, no attaching by other processes of the same user, no new privileges, files made
 * for the owner only (umask 077), and SIGPIPE ignored so that a lost peer is an error code. Memory
 * is not locked as a whole: keys are, in crypto/secret. ERR_SYSTEM when the kernel refuses a part.
 */
err harden_process(void);

/* As many open files as the system lets this process have: a server holds one or two per client, and
 * the usual soft limit of 1024 is soon reached. ERR_SYSTEM when the kernel refuses. */
err harden_allow_files(void);
