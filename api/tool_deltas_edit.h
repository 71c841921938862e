/*
 * api/tool_deltas_edit.h - changes to an event's text, gathered in any order and carried out in one
 * go, for api/tool_deltas.
 */
#pragma once

#include "api/tool_deltas_read.h"

/* What is to change; at most TOOL_DELTAS_EDITS_MAX, in any order, none over another. */
struct edits {
    size_t n;
    bool overflow;
    struct buf text; /* of all of them */
    struct edit {
        const uint8_t *from, *to; /* is replaced; from == to: is put in there */
        size_t at, len;           /* by this part of the text */
    } list[TOOL_DELTAS_EDITS_MAX];
};

void edits_init(struct edits *e);
void edits_clear(struct edits *e);
err edits_add(struct edits *e, bytes what, bytes by);
/* The value, which is JSON, as a string with it inside. */
err edits_quote(struct edits *e, bytes value);
/* A member with its comma. */
err edits_remove(struct edits *e, bytes object, const struct place *member);
/* A member that is there gets this value; one that is not is added to *missing, which is put in front
 * of the object's members by edits_put(). */
err edits_set(struct edits *e, const struct place *p, const char *name, bytes value,
              struct buf *missing);
err edits_put(struct edits *e, bytes object, const struct buf *missing);
/* Appends `in` with the changes. */
err edits_write(const struct edits *e, bytes in, struct buf *out);
