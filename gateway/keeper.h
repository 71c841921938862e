/*
 * gateway/keeper.h - keeps the policy in force: reads its file, follows it, remembers its version,
 * and ends it in time.
 *
 * Lives on the control thread. A new policy takes effect as a whole or not at all: one that does not
 * read, is not signed as asked, has expired, or is older than one that was in force leaves the
 * present one as it is. Read anew are a file that has changed and then stood still for KEEPER_LOOK_MS,
 * so that no half of a file is taken for a policy, and any file when somebody asks. When the policy
 * in force expires there is none.
 */
#pragma once

#include "attest/policy_bundle.h"
#include "base/config.h"
#include "base/json.h"
#include "base/log.h"
#include "base/loop.h"
#include "gateway/metering.h"

enum { KEEPER_LOOK_MS = 1000 };

struct keeper;

/* Everything is borrowed. */
struct keeper_settings {
    const char *path;               /* a policy file of either form, or the word "simulated" */
    const struct config_list *keys; /* in hex: each must have signed */
    const char *state; /* where the highest version is remembered; needed for bundles */
    struct log *log;
    const struct metering *metering;
    struct metrics_block *block;

    /* There is another policy, or none any more: NULL. The one before is gone when it returns. */
    void (*changed)(void *owner, const struct policy *policy);
    void (*noted)(void *owner); /* the policy is the same, but keeper_write() is not */
    void *owner;
};

/* Reads the policy; ERR_CONFIG with a message when it is not to be put in force. `changed` is not
 * called for the first one. */
err keeper_open(struct keeper **out, struct loop *loop, const struct keeper_settings *settings,
                struct buf *message);
void keeper_close(struct keeper *k); /* NULL is allowed */

/* Until the next turn of the loop; NULL: it has expired. */
const struct policy *keeper_policy(const struct keeper *k);

/* Reads the file again, now. */
void keeper_reload(struct keeper *k);

/* What is in force, as the value of "policy" in an open object. */
void keeper_write(const struct keeper *k, struct json_out *j);
