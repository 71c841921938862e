/*
 * api/responses_custom.h - the input of a custom tool, out of the arguments {"input":"..."} that an
 * engine writes for the function that stands for it, as far as they have come.
 *
 * Takes the arguments in any split; the result never depends on it. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

enum responses_custom_state {
    CUSTOM_HEAD = 0, /* {"input": */
    CUSTOM_TEXT,
    CUSTOM_ESCAPE,
    CUSTOM_HEX,
    CUSTOM_DONE,
    CUSTOM_OTHER /* not of that form */
};

struct responses_custom {
    enum responses_custom_state state;
    unsigned matched; /* of the head */
    unsigned digits;
    uint32_t code;
    uint32_t high; /* a surrogate that waits for its other half */
};

/* Appends to out what of the input has become known. Zeroed storage is a fresh reader. */
err responses_custom_put(struct responses_custom *c, bytes arguments, struct buf *out);
