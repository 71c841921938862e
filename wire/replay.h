/*
 * wire/replay.h - remembers which encapsulated keys were seen, for a window of time, in bounded
 * memory.
 *
 * Two generations, each one window long: an entry is remembered for at least one window and at most
 * two. Entries are 64-bit hashes under a random key, so nobody outside can make two collide; a
 * false "seen" has a chance of about count / 2^64. One thread.
 */
#pragma once

#include "base/bytes.h"
#include "base/err.h"

enum {
    REPLAY_ENTRIES_MAX = 1 << 24,
};

/* Zero refuses. */
enum replay_verdict {
    REPLAY_FULL = 0, /* no room to remember it, so it may not pass */
    REPLAY_SEEN,
    REPLAY_FRESH, /* and from now on seen */
};

struct replay;

/*
 * Room for `max` entries of each generation (1 to REPLAY_ENTRIES_MAX, ERR_LIMIT else). window_s
 * must be at least the time in which one message could be accepted twice: with dates allowed D
 * seconds off either way, 2 * D.
 */
err replay_new(struct replay **out, uint32_t window_s, size_t max);

/* `now` in seconds of a clock that does not jump; if it runs backwards nothing is forgotten. */
enum replay_verdict replay_check_insert(struct replay *r, bytes enc, int64_t now);

/* How many entries are held now. */
size_t replay_count(const struct replay *r);

void replay_free(struct replay *r);
