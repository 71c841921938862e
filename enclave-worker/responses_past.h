/*
 * enclave-worker/responses_past.h - what a request to the Responses API refers to and is kept:
 * the response that comes before, and single items by their ids.
 */
#pragma once

#include "api/responses_ask.h"
#include "enclave-worker/responses_job.h"

struct past {
    const struct responses_jobs *jobs;
    const uint8_t *owner; /* STORE_OWNER_LEN bytes; borrowed */
    struct store_found found;
    struct json *items; /* all that came before, or NULL */

    /* The record that was looked into last. */
    char seen[RESPONSES_ID_MAX + 1];
    struct json *seen_items;
};

/* Fetches what previous_response_id stands for, and puts the items that the input refers to in their
 * places. ERR_MALFORMED with a fault when one of them is not kept for this owner. */
err past_find(struct past *p, struct responses_ask *ask, struct responses_fault *fault);

/* Of zeroed storage, too. */
void past_clear(struct past *p);
