/*
 * receipts/fresh.h - the ids of the latest records, in memory until they are written together.
 *
 * A bounded table from 64-bit hashes to record numbers. A hash may come many times. Entries keep the
 * order in which they were added, so that those of a failed transaction can be cut off again. What is
 * found is a hint: the caller compares the record's real id. One thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum { FRESH_MAX = 12288 /* entries */ };

struct fresh;

err fresh_new(struct fresh **out);
void fresh_free(struct fresh *f);

/* LIMIT at FRESH_MAX. */
err fresh_add(struct fresh *f, int64_t hash, int64_t seq);

size_t fresh_len(const struct fresh *f);

/* Entry i, 0 being the oldest. i must be under fresh_len(). */
void fresh_entry(const struct fresh *f, size_t i, int64_t *hash, int64_t *seq);

/* Drops all entries but the first len. */
void fresh_cut(struct fresh *f, size_t len);

/* The records with that hash, newest first: start with *at = 0; false when there are no more. */
bool fresh_next(const struct fresh *f, int64_t hash, size_t *at, int64_t *seq);
