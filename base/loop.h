/*
 * base/loop.h - the event loop: readiness of descriptors, timers, the end of a turn, mail from
 * other threads, signals, work that may block, name look-ups.
 *
 * One loop per thread; every function but loop_post() belongs to the thread that runs the loop. A
 * turn is: due timers, then ready descriptors and mail, then the end: deferred tasks, hooks in
 * their order (both once more if asked), and the tasks deferred to the very last, so that all that
 * a turn has to send leaves in one piece. Callbacks may close, stop, cancel or re-arm anything,
 * their own object too.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/heap.h"

struct loop;
struct sockaddr_storage;

enum { LOOP_SCRATCH_LEN = 64 * 1024, LOOP_ADDRS_MAX = 16 };

err loop_new(struct loop **out);

/* Every owner has closed its objects before; what is deferred still runs here, descriptors left
 * open are forgotten (never closed). Waits for look-ups under way. Undelivered mail stays with its
 * sender. NULL is allowed. */
void loop_free(struct loop *l);

/* Turns until loop_stop(); the turn that calls it is completed first. A stop before loop_run()
 * makes that run return after one turn that does not wait. May be run again. */
void loop_run(struct loop *l);
void loop_stop(struct loop *l);

/* Steady milliseconds, taken once per turn; for differences on this loop only. */
uint64_t loop_now_ms(const struct loop *l);

/* LOOP_SCRATCH_LEN bytes for the use of one callback until it returns (or calls another one). */
uint8_t *loop_scratch(struct loop *l);

/* ---- descriptors, level-triggered ---- */

enum { LOOP_READ = 1U, LOOP_WRITE = 2U, LOOP_HANGUP = 4U };

struct loop_fd;
typedef void loop_fd_fn(void *owner, unsigned ready);

/* fd is non-blocking and stays the caller's; it is watched by one loop_fd at a time and closed only
 * after loop_fd_close(). Nothing is wanted at first. */
err loop_fd_open(struct loop_fd **out, struct loop *l, int fd, loop_fd_fn *fn, void *owner);

/* Which of LOOP_READ, LOOP_WRITE, LOOP_HANGUP to wait for; 0 for none. An error on the descriptor
 * is reported as everything wanted: the next read or write tells what it is. Cheap when nothing
 * changes. */
err loop_fd_want(struct loop_fd *f, unsigned events);

/* fn is not called after this returns, not even for what is ready already. NULL is allowed. */
void loop_fd_close(struct loop_fd *f);

/* ---- timers: embedded in their owner, no allocation, zeroed is stopped ---- */

struct loop_timer;
typedef void loop_timer_fn(struct loop_timer *t);

struct loop_timer {
    struct loop *loop; /* NULL when stopped */
    loop_timer_fn *fn;
    struct heap_node due; /* ranked by loop_now_ms() of then */
};

/* Once, delay_ms after loop_now_ms(); an active timer is re-armed. Timers due at the same
 * millisecond run in no promised order. fn may start it again, or release its owner. */
void loop_timer_start(struct loop *l, struct loop_timer *t, uint64_t delay_ms, loop_timer_fn *fn);
void loop_timer_stop(struct loop_timer *t);
bool loop_timer_active(const struct loop_timer *t);

/* Until it runs; 0 when it is due or stopped. */
uint64_t loop_timer_left_ms(const struct loop_timer *t);

/* ---- the end of a turn ---- */

struct loop_hook;
typedef void loop_hook_fn(struct loop_hook *h);

struct loop_hook {
    struct loop *loop; /* NULL when not added */
    loop_hook_fn *fn;
    struct loop_hook *next;
    int order;
};

/* The order of a hook that runs once, after everything else that a turn does: to write the log. */
enum { LOOP_ORDER_END = INT32_MAX };

/* Runs at the end of every turn, lower orders first, equal orders in the order they were added. */
void loop_hook_add(struct loop *l, struct loop_hook *h, int order, loop_hook_fn *fn);
void loop_hook_remove(struct loop_hook *h);

/* Tasks and hooks are run once more in this turn: asked by a hook, before the last tasks; asked by
 * one of these, after them. Asked for again then, the next turn comes at once, without waiting. */
void loop_again(struct loop *l);

struct loop_task;
typedef void loop_task_fn(struct loop_task *t);

struct loop_task {
    struct loop *loop; /* NULL when not queued */
    loop_task_fn *fn;
    struct loop_task *next, *prev;
};

/* Once, at the end of this turn, before the hooks; in the order of deferring. Nothing happens when
 * it is queued already. Deferred by a hook, it runs in the second round of the same turn; outside a
 * turn, in the next one, which does not wait. */
void loop_defer(struct loop *l, struct loop_task *t, loop_task_fn *fn);

/* The same, but after all hooks: to send what the turn has gathered. Deferred by a last task itself,
 * it runs in the next turn, which comes at once. */
void loop_defer_last(struct loop *l, struct loop_task *t, loop_task_fn *fn);
void loop_defer_cancel(struct loop_task *t);

/* ---- mail from any thread ---- */

/* Embedded in a message that belongs to the receiver from loop_post() on. */
struct loop_mail {
    struct loop_mail *next;
    void (*deliver)(struct loop_mail *m);
};

/* Any thread. Mail of one sender arrives in order, during a turn of the loop. The loop must outlive
 * the call. */
void loop_post(struct loop *l, struct loop_mail *m);

/* Delivers what was posted so far, at once: for the way down, when the loop no longer runs and its
 * senders have stopped. */
void loop_deliver(struct loop *l);

/* ---- signals ---- */

/* fn runs in a turn of the loop, for as long as the loop lives. A second call for the same signal
 * replaces the first. At most LOOP_SIGNALS_MAX of them. */
enum { LOOP_SIGNALS_MAX = 8 };
typedef void loop_signal_fn(void *owner, int signum);
err loop_on_signal(struct loop *l, int signum, loop_signal_fn *fn, void *owner);

/* ---- what may block, off the loop's thread ---- */

struct loop_job;
typedef void loop_job_fn(struct loop_job *j);

/* Embedded in what the two functions share; only `work` looks at that until `done` comes. */
struct loop_job {
    loop_job_fn *work; /* on another thread, of which there are few */
    loop_job_fn *done; /* on the loop's, in a later turn, or from loop_free(), which waits for it */
};

/* SYSTEM or NOMEM: neither is called. */
err loop_start_job(struct loop *l, struct loop_job *j);

/* ---- names to addresses, off the loop's thread ---- */

struct loop_lookup;
/* addrs: at most LOOP_ADDRS_MAX stream addresses, borrowed for the call, in the order to try them.
 * e is OK with n > 0, NOT_FOUND when the name is known not to be, else UNAVAILABLE. */
typedef void loop_lookup_fn(void *owner, err e, const struct sockaddr_storage *addrs, size_t n);

/* done is called once, never from inside this call; *out is valid until then. Numeric hosts and
 * localhost ask nobody. host and port are copied. */
err loop_resolve(struct loop_lookup **out, struct loop *l, const char *host, const char *port,
                 loop_lookup_fn *done, void *owner);
/* done is not called any more. NULL is allowed. */
void loop_resolve_cancel(struct loop_lookup *k);
