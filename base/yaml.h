/*
 * base/yaml.h - a strict, small reading of YAML for files that people write: a tree with line numbers.
 *
 * Lists, maps and scalars only. Anchors, aliases, tags, several documents, keys that are not plain
 * words, and a key that comes twice are refused; so is anything over the limits. Scalars stay text:
 * what `yes` or `010` means is for the caller to say. A borrowed view lives as long as the tree.
 */
#pragma once

#include "base/buf.h"

enum { YAML_TEXT_MAX = 1024 * 1024, YAML_DEPTH_MAX = 16, YAML_NODES_MAX = 65536 };

enum yaml_kind { YAML_NONE = 0, YAML_SCALAR, YAML_LIST, YAML_MAP };

struct yaml;      /* a document */
struct yaml_node; /* a borrow from it */

/* An empty document has no root. ERR_CONFIG, and one line `LINE: what is wrong` in *message, for
 * text that is not acceptable; ERR_LIMIT over YAML_TEXT_MAX. */
err yaml_read(struct yaml **out, bytes text, struct buf *message);
void yaml_free(struct yaml *y);

/* NULL for an empty document. */
const struct yaml_node *yaml_root(const struct yaml *y);

/* Of NULL: YAML_NONE, line 0, length 0, empty text, NULL. */
enum yaml_kind yaml_kind(const struct yaml_node *n);
unsigned yaml_line(const struct yaml_node *n); /* from 1 */

/* Items of a list, pairs of a map; 0 of a scalar. */
size_t yaml_len(const struct yaml_node *n);

/* The i-th item of a list, or the value of the i-th pair of a map; NULL out of range. */
const struct yaml_node *yaml_at(const struct yaml_node *n, size_t i);

/* The key of the i-th pair of a map. */
bytes yaml_key(const struct yaml_node *n, size_t i);

/* A map's value by key, or NULL. */
const struct yaml_node *yaml_get(const struct yaml_node *map, const char *key);

/* A scalar's text. */
bytes yaml_text(const struct yaml_node *n);

/* True for a plain scalar that stands for nothing: empty, `~` or `null`. */
bool yaml_is_null(const struct yaml_node *n);
