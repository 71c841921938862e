/*
 * base/yaml.h - the part of YAML that settings and policies need, as a tree with line numbers.
 *
 * Maps, lists and text; one document. Anchors, aliases, tags, merge keys, repeated keys, keys that
 * are not plain text, and control characters in text are refused with a message. Every scalar is
 * text: the reader of the tree decides what it means.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

enum {
    YAML_INPUT_MAX = 256 * 1024, /* bytes */
    YAML_DEPTH_MAX = 8,          /* maps and lists inside each other */
    YAML_NODES_MAX = 4096,
};

enum yaml_kind {
    YAML_NOTHING = 0, /* an empty value, `~` or `null`, not quoted */
    YAML_TEXT,
    YAML_LIST,
    YAML_MAP,
};

struct yaml {
    enum yaml_kind kind;
    unsigned line;            /* of its key, or of its start; from 1 */
    const char *key;          /* in a map, else NULL */
    const char *text;         /* YAML_TEXT: UTF-8 without control characters; else "" */
    size_t n;                 /* items of a list, pairs of a map */
    const struct yaml *first; /* its first item or pair, in the order written */
    const struct yaml *next;  /* the next one beside it */
};

/*
 * ERR_MALFORMED, with a line "NAME:LINE: what is wrong; what to do" appended to *message (NULL: not
 * wanted). ERR_LIMIT above a limit, with a message too. An empty document is an empty map. Recursion
 * over the tree is bounded by YAML_DEPTH_MAX.
 */
err yaml_read(struct yaml **out, bytes text, const char *name, struct buf *message);
void yaml_free(struct yaml *root);

/* The value of that key, or NULL: also when map is NULL or no map. */
const struct yaml *yaml_get(const struct yaml *map, const char *key);

/* True for what a scalar may hold: UTF-8 without control characters. */
bool yaml_is_text(bytes text);

/* Appends `text` as a scalar that yaml_read() reads as the same text; quoted where that is needed.
 * The text must be UTF-8 without control characters: else ERR_MALFORMED. */
err yaml_put_text(struct buf *out, bytes text);
