/*
 * receipts/air_shown.h - what evidence shows, in the terms of a receipt: to be said in one, and to be
 * compared with one. Nothing in a receipt's own checks knows the evidence, and this folder does not
 * know its formats: whoever knows both fills a struct air_shown.
 */
#pragma once

#include "receipts/air.h"

/* All borrowed. */
struct air_shown {
    bytes platform; /* as evidence documents call it; "simulated" shows itself as Nitro's */
    bool hardware;  /* not simulated */
    const uint8_t *document; /* SHA-256 of the evidence document */
    struct air_gpu gpu;

    /* The register of that name in the evidence, or an empty view; borrowed for as long as *shown. */
    bytes (*find)(const void *owner, const char *name);
    const void *owner;
};

/* Puts all of it into *claims, and the profile that follows from it. ERR_UNSUPPORTED: no profile can
 * express that platform's registers. */
err air_show(struct air_claims *claims, const struct air_shown *shown);

/* NULL when a receipt's document, type, registers, GPUs and security mode are those of the evidence;
 * else the first that is not, as a static sentence. */
const char *air_shown_mismatch(const struct air_claims *claims, const struct air_shown *shown);
