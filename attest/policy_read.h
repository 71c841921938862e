/*
 * attest/policy_read.h - for the files that read a part of a policy: what they have in common.
 *
 * Every refusal is ERR_CONFIG and leaves one line in the message. A platform's own rules are a
 * section of the policy, a map under the section's key: a row in the table of attest/policy.c and a
 * reader in attest/<platform>_policy.c.
 */
#pragma once

#include "attest/policy.h"
#include "base/yaml.h"

struct policy_reading {
    struct policy *policy;
    const char *name;
    struct buf *message; /* NULL: not wanted */
};

/* Says where and what, then refuses. A message that does not fit is left out. */
err policy_refuse(const struct policy_reading *r, const struct yaml *at, const char *key,
                  const char *what);

/* What the items of a list must be: hex of so many bytes, not all zero, or with len 0 a text of at
 * most text_max bytes. */
struct policy_item {
    size_t len;
    size_t text_max;
    const char *what; /* what to do about one that is not */
};

/* At least one item. *out is owned by the caller also on failure: policy_list_clear(). */
err policy_read_list(const struct policy_reading *r, const struct yaml *node, const char *key,
                     struct policy_item item, struct policy_list *out);
void policy_list_clear(struct policy_list *list);

/* A decimal number of at most `most`. */
err policy_read_u64(const struct policy_reading *r, const struct yaml *node, const char *key,
                    uint64_t most, uint64_t *out);

/* true or false */
err policy_read_bool(const struct policy_reading *r, const struct yaml *node, const char *key,
                     bool *out);

/* A list of words out of `words`, which ends with NULL; bit i of *out stands for words[i]. */
err policy_read_words(const struct policy_reading *r, const struct yaml *node, const char *key,
                      const char *const *words, unsigned *out);

/* The settings of a map, by a table: each known key at most once (base/yaml.h sees to it), none
 * unknown. `into` is what the readers fill. */
struct policy_key {
    const char *key;
    err (*read)(const struct policy_reading *r, const struct yaml *node, const char *key,
                void *into);
};
err policy_read_map(const struct policy_reading *r, const struct yaml *node, const char *key,
                    const struct policy_key *keys, size_t n, void *into);
