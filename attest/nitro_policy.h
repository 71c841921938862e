/*
 * attest/nitro_policy.h - what a user accepts of AWS Nitro beyond measurements: the section `nitro`
 * of a policy (attest/policy.h).
 *
 *     nitro:
 *       extra_roots: [<hex of 32>]   # SHA-256 of further root certificates; default none
 *
 * An extra root is for a laboratory: whoever has its key can make any document. The root of AWS is
 * always pinned, and debug enclaves are never accepted: there is no key for them.
 */
#pragma once

#include "attest/policy.h"

enum { NITRO_EXTRA_ROOTS_MAX = 8 };

struct nitro_policy {
    struct policy_list extra_roots;
};

struct policy_reading;
struct yaml;

/* For the table of sections in attest/policy.c. */
err nitro_policy_read(const struct policy_reading *r, const struct yaml *node, const char *key);
void nitro_policy_free(struct policy *p);
err nitro_policy_explain(const struct policy *p, struct buf *out);
