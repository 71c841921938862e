/*
 * api/responses_fault.h - what is wrong with a request to /v1/responses, and where.
 *
 * The modules responses_* return ERR_MALFORMED with a fault noted in it, and any other err without.
 */
#pragma once

#include "api/error.h"

enum { RESPONSES_PARAM_MAX = 128, RESPONSES_ABOUT_MAX = 64 };

struct responses_fault {
    enum error_cause cause;              /* ERROR_INTERNAL: none noted */
    char param[RESPONSES_PARAM_MAX];     /* such as input[3].content[0].type */
    char about[RESPONSES_ABOUT_MAX + 1]; /* the word that is not known, cut; or "" */
};

/* Notes it and returns ERR_MALFORMED. The format gives the parameter. */
err responses_blame(struct responses_fault *fault, enum error_cause cause, const char *format, ...)
    PRINTF_LIKE(3, 4);

/* The same for a word that is not known: it is shown if it is plain ASCII. */
err responses_blame_word(struct responses_fault *fault, enum error_cause cause, bytes word,
                         const char *format, ...) PRINTF_LIKE(4, 5);

/* What to tell the client about `e`, which a responses_* module returned. Borrows from fault. */
struct api_error responses_error(const struct responses_fault *fault, err e);
