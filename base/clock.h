/*
 * base/clock.h - time comes from here, so that a test can turn it by hand.
 *
 * Steady time never jumps and is for durations and timers. Wall time is Unix time and is for dates
 * that other people read. Thread-safe.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Milliseconds and microseconds of a clock that never jumps; the start is arbitrary. */
uint64_t clock_steady_ms(void);
uint64_t clock_steady_us(void);

/* Seconds since 1970, UTC. */
int64_t clock_wall_s(void);

/* Milliseconds since 1970, UTC. */
int64_t clock_wall_ms(void);

/* Wall time as RFC 3339 has it: "2026-11-20T08:51:13.042Z". Years 0 to 9999; others are clamped. */
enum { CLOCK_UTC_TEXT_LEN = 25 };
void clock_utc_text(int64_t wall_ms, char out[static CLOCK_UTC_TEXT_LEN]);

/* Notices that the wall clock was set by more than CLOCK_SET_S, or that the machine slept. For one
 * thread. */
enum { CLOCK_SET_S = 5 };
struct clock_watch {
    int64_t ahead_s; /* of the wall clock before the steady one */
};
void clock_watch_begin(struct clock_watch *w);
/* True when it happened since the latest call of either. */
bool clock_watch_was_set(struct clock_watch *w);

/* CPU time of this process in microseconds. */
uint64_t clock_cpu_us(void);

/* Tests only: wall time is moved by so many seconds from the system's. */
void clock_shift_wall_s(int64_t by);
