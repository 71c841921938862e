/*
 * gateway/payer.h - whose key a request came with, what it may ask for, and what that came to.
 */
#pragma once

#include "api/limits.h"
#include "crypto/token.h"

/* Zero is nobody, who may ask for all. */
struct payer {
    const struct token *key; /* borrowed */
    bool entered;            /* it has its place, and pays behind */
    struct limits limits;    /* fields for the answer, from payer_enter() on */
};

/* Whether that model may be deleted; id is as in the request's path, and empty for other requests.
 * Else *error says why not, and borrows the id. */
bool payer_may_delete(const struct payer *p, bytes id, struct api_error *error);

/* Whether it may ask for an answer that is made in the background, which nobody here sees: not where
 * tokens or requests at a time are limited. Else *error says why not. */
bool payer_may_background(const struct payer *p, bool background, struct api_error *error);

/* True when the request may go on; else *error says why not, and borrows the model. */
bool payer_enter(struct payer *p, bytes model, struct api_error *error);

/* Pays and gives the place back; once, later calls do nothing. */
void payer_leave(struct payer *p, const struct allowance_use *use);
