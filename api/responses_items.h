/*
 * api/responses_items.h - the items that were an answer's input, as GET /v1/responses/{id}/input_items
 * lists them: each with an id and a type, texts as parts. Pure.
 */
#pragma once

#include "base/buf.h"

struct json;

enum {
    RESPONSES_LIST_DEFAULT = 20, /* items of a list, unless asked for otherwise */
    RESPONSES_LIST_MAX = 100
};

/* Appends the items, commas between them. input: a text, an array of items, or NULL; items that have
 * no id get one made of the answer's. */
err responses_items_write(struct buf *out, const struct json *input, const char *answer_id);

struct responses_list {
    size_t limit; /* 1 to RESPONSES_LIST_MAX */
    bool ascending;
    bytes after; /* an item's id: begin behind it; empty: at the beginning */
};

/* Reads limit, order and after. False, with *param naming it, for a value that cannot be. */
bool responses_list_read(struct responses_list *list, bytes query, const char **param);

/* Appends the list object. items: as responses_items_write() wrote them. */
err responses_list_write(struct buf *out, bytes items, const struct responses_list *list);
