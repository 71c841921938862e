/*
 * enclave-worker/responses_followup.h - what comes after an answer of the Responses API: GET, DELETE,
 * POST .../cancel and GET .../input_items of /v1/responses/{id}.
 */
#pragma once

#include "enclave-worker/responses_job.h"

struct followup {
    bytes method;
    bytes target; /* with query */
    uint8_t owner[STORE_OWNER_LEN];
};

/*
 * Fills in the answer; or lets the follower follow a job, whose `to` is set. An id that is unknown,
 * gone, or somebody else's is a 404.
 */
err followup_answer(struct responses_jobs *jobs, const struct followup *f,
                    struct responses_follower *follower);
