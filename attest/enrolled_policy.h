/*
 * attest/enrolled_policy.h - whose statements a user accepts: the section `enrolled` of a policy
 * (attest/policy.h). Without it nobody's.
 *
 *     enrolled:
 *       keys: [<hex of 65>]   # required; P-256 points, uncompressed (04...), of keys that were enrolled
 */
#pragma once

#include "attest/policy.h"

enum { ENROLLED_KEYS_MAX = 64 };

struct enrolled_policy {
    struct policy_list keys;
};

struct policy_reading;
struct yaml;

/* For the table of sections in attest/policy.c. */
err enrolled_policy_read(const struct policy_reading *r, const struct yaml *node, const char *key);
void enrolled_policy_free(struct policy *p);
err enrolled_policy_explain(const struct policy *p, struct buf *out);
