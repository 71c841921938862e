/*
 * enclave-worker/tab.h - what a request owes: its place among those of its key, its tokens, and its
 * line in the log of usage.
 *
 * One owner at a time, who settles it once: the session, or whatever goes on working when the session
 * has its answer (tab_take). Zero owes nothing. One thread.
 */
#pragma once

#include "base/allowance.h"
#include "base/log.h"

struct tab {
    struct allowance *allowance; /* counted by reference; NULL: nobody's */
    bool placed;                 /* it let the request in, which is to be charged */
    bool background;
    struct log *log; /* NULL: no line; outlives the tab */
    struct log_id request;
    struct word route;
    uint64_t since_us; /* clock_steady_us() */
};

/* Takes its place; false when there is none. now_us: clock_steady_us(). */
bool tab_enter(struct tab *t, struct allowance *allowance, uint64_t now_us,
               struct allowance_view *view);

/* Whether its key has a limit of what is not over yet. */
bool tab_is_limited(const struct tab *t);

/* Moves it to somebody who works in the background; *t is zero then. */
struct tab tab_take(struct tab *t);

/* Gives the place back, charges, writes the line. *t is zero then. */
void tab_settle(struct tab *t, unsigned status, const struct allowance_use *use);
