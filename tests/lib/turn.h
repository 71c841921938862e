/*
 * tests/lib/turn.h - a loop in a test, turn by turn.
 */
#pragma once

#include <poll.h>

#include "base/clock.h"
#include "base/loop.h"
#include "tests/lib/law.h"

static inline void turn_once(struct loop *l)
{
    loop_stop(l);
    loop_run(l);
}

/* Turns until that is so; fails the test when it takes longer than ms. */
#define TURN_UNTIL(l, ms, what)                                                                    \
    do {                                                                                           \
        uint64_t turn_end_ms = clock_steady_ms() + (ms);                                           \
        while (turn_once(l), !(what)) {                                                            \
            if (clock_steady_ms() > turn_end_ms)                                                   \
                fail_msg("waited too long for " #what);                                            \
            (void)poll(NULL, 0, 1);                                                                \
        }                                                                                          \
    } while (0)
