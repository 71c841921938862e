/*
 * api/tool_deltas_read.h - where things stand in the JSON of an event, for api/tool_deltas: only
 * borrowed places, no tree.
 */
#pragma once

#include "api/scan.h"
#include "api/tool_deltas.h"

/* kind 0: it is not there. */
struct place {
    enum scan_token kind;
    const uint8_t *key; /* its opening quote */
    bytes value;        /* all of it, quotes included */
    bytes text;         /* of a string: inside the quotes, still escaped */
};

struct want {
    const char *name;
    struct place *place;
};

/* Finds members of an object. False for what is no object, and when one of them comes twice: then
 * nobody can say which one a client takes. */
bool places_find(bytes object, const struct want *wants, size_t n);

/* The items of an array, if all are objects: init gives false for what is no array. */
bool places_begin(struct scan *array, bytes value);
bool places_next(struct scan *array, bytes *object);

static inline bool place_is_set(const struct place *p)
{
    return p->kind != 0 && p->kind != SCAN_NULL;
}

/* A delta of a tool call as it came, and what is taken from it. */
struct delta {
    bytes object;
    struct place index, id, type, function, name, arguments;
    bool numbered;
    uint64_t number;
    bytes id_text, name_text; /* escaped, cut to TOOL_DELTAS_TEXT_MAX; empty: none */
    bool has_arguments;
};

/* False for what is none, or has a member twice. */
bool delta_read(struct delta *d, bytes object);

/* How far a call's arguments have come. */
struct progress {
    size_t depth;
    bool begun, in_text, escaped;
};

void progress_follow(struct progress *p, const struct delta *d);
bool progress_is_complete(const struct progress *p);
