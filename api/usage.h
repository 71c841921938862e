/*
 * api/usage.h - how many tokens a request came to: by the engine's word, and else counted.
 *
 * Pure; no allocation.
 */
#pragma once

#include "api/peek.h"
#include "base/allowance.h"

enum {
    USAGE_BYTES_PER_TOKEN = 4, /* of a prompt, where nobody says better */
    USAGE_OBJECT_MAX = 4096    /* bytes of a "usage" that usage_seek() reads */
};

/* Zero is nothing seen. */
struct usage {
    bool known; /* the engine said so; the last word counts */
    uint64_t prompt_tokens;
    uint64_t answer_tokens;
    uint64_t pieces; /* events with content: about one token each */
};

/* An answer, or an event of one; `delta`: an event that carries content. */
void usage_see(struct usage *u, const struct peek_answer *seen, bool delta);

/* Looks for the last "usage" in a part of an answer, for who has no whole JSON in hand. */
void usage_seek(struct usage *u, bytes text);

/* With prompt_len bytes of request, where nothing is known. */
struct allowance_use usage_sum(const struct usage *u, size_t prompt_len);
