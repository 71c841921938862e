/*
 * crypto/init.h - makes the libraries under this folder ready, and lets a thread go.
 *
 * Every program calls crypto_init() once, on its first thread, before anything else of crypto. It
 * fetches the algorithms that are used per message, so that no message pays for a look-up.
 */
#pragma once

#include "base/err.h"

/* Repeatable. ERR_INTERNAL when a library lacks an algorithm; nothing of crypto may be used then. */
err crypto_init(void);

/* Wipes and releases what this thread kept for reuse (cipher contexts, ephemeral keys). Call it as
 * the last thing of every thread that used aead or hpke; using them again afterwards is allowed. */
void crypto_thread_end(void);
