/*
 * base/config_value.h - one setting's text, number and unit. Private to the files of base/config.
 */
#pragma once

#include "base/config.h"

struct config_chunk {
    struct config_chunk *next;
};

enum config_from { CONFIG_FROM_DEFAULT = 0, CONFIG_FROM_FILE, CONFIG_FROM_ENV, CONFIG_FROM_FLAG };

struct config_source {
    enum config_from from;
    unsigned line; /* of the file */
};

/* Zeroed memory that goes with config_clear(); NULL when there is none. */
void *config_keep(struct config *c, size_t size);

/* The same for a copy of text with a NUL behind it. */
char *config_keep_text(struct config *c, bytes text);

/*
 * Fills the row's field from one text; of a list, appends the items between commas, or the whole
 * text when `whole`. ERR_CONFIG with "... is not a size; write ..." appended to *why.
 */
err config_value_read(struct config *c, const struct config_row *row, bytes text, bool whole,
                      void *settings, struct buf *why);

/* Makes the field what it is without any source and without a default. */
void config_value_clear(const struct config_row *row, void *settings);

/* True for a field that holds no text and no item. */
bool config_value_is_empty(const struct config_row *row, const void *settings);

/* Items of a list. */
size_t config_items(const struct config_row *row, const void *settings);

/* Appends PREFIX_MAX_BODY, and max-body, for max_body. */
err config_env_name(const struct config_program *program, const char *name, struct buf *out);
err config_flag_name(const char *name, struct buf *out);

/* Appends " VALUE\n" as it stands behind the key and its colon in YAML; a list in lines. */
err config_value_write(const struct config_row *row, const void *settings, struct buf *out);

/* Appends a number of the row's type with the largest unit that fits. */
err config_number_write(enum config_type type, uint64_t v, struct buf *out);

/* The next item of a list with commas. False when there is none left. */
bool config_item_take(bytes *list, bytes *item);

/* Changes between two words, each at most CONFIG_DISTANCE_MAX long, and SIZE_MAX when longer. */
enum { CONFIG_DISTANCE_MAX = 64 };
size_t config_distance(const char *a, const char *b);

/* True when b is near enough to a that one may have meant it; *best is the least distance so far,
 * and is lowered. */
bool config_is_nearer(const char *a, const char *b, size_t *best);
