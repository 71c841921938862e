/*
 * base/notify.h - tells the service manager how far this process is: sd_notify(3)'s protocol, one datagram to
 * the unix socket in $NOTIFY_SOCKET.
 */
#pragma once

#include "base/err.h"

#define NOTIFY_READY "READY=1"
#define NOTIFY_STOPPING "STOPPING=1"

/* To the manager that started us; without one nothing happens. What cannot be said is passed over: the
 * manager has its own time limits. Reads the environment: for the control thread. */
void notify_manager(const char *state);

/* To this address: a path, or a name in the abstract space behind an @. MALFORMED: it is neither, or too
 * long for a socket's address; SYSTEM: nobody listens there. */
err notify_send(const char *address, const char *state);
