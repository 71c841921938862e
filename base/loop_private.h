/*
 * base/loop_private.h - what the files of base/loop share; nobody else includes it. Whoever calls
 * out of a callback of libuv marks the loop as dirty first, so that the turn gets its end.
 */
#pragma once

#include <stdatomic.h>
#include <uv.h>

#include "base/heap.h"
#include "base/loop.h"

enum { LOOP_PARKED_N = 256 };

struct loop_signal {
    uv_signal_t handle;
    loop_signal_fn *fn;
    void *owner;
};

struct loop {
    uv_loop_t uv; /* its data is the loop */
    uv_timer_t alarm;
    uv_async_t bell;
    uv_prepare_t before;
    uv_check_t after;
    uv_idle_t hurry;

    struct heap timers;
    bool timers_running;

    struct loop_task soon, last; /* heads of circular lists */
    struct loop_hook *hooks, *hook_next;
    bool dirty; /* the end of the turn has something to do */
    bool again;
    bool running, stopping;

    _Atomic(struct loop_mail *) mail; /* newest first */

    struct loop_fd *parked[LOOP_PARKED_N];
    struct loop_signal signals[LOOP_SIGNALS_MAX];
    size_t signals_n;
    uint8_t *scratch;
};

/* loop_turn.c: before anything is deferred; and all that a turn has to do at its end. */
void loop_init_turn(struct loop *l);
void loop_end_turn(struct loop *l);

/* loop_fd.c: the close callback of a uv_poll, which releases its loop_fd. */
void loop_on_fd_closed(uv_handle_t *handle);
