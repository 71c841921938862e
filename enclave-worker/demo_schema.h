/*
 * enclave-worker/demo_schema.h - a JSON value that fits a JSON Schema, for the demo engine.
 *
 * Simple schemas: type, properties with required, items with minItems, enum, const, default,
 * minimum, minLength, the common formats, anyOf/oneOf/allOf (the first one), local $ref. Only what
 * is required is written. Whatever it does not understand becomes null. Pure.
 */
#pragma once

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

struct json;

enum {
    DEMO_SCHEMA_DEPTH_MAX = 16,    /* nesting of what is made; below it everything is null */
    DEMO_SCHEMA_ITEMS_MAX = 64,    /* items of one array */
    DEMO_SCHEMA_LENGTH_MAX = 1024, /* characters of one text */
};

/* Appends the value. `root` is where local references start, often the schema itself. ERR_LIMIT
 * when it does not fit the buf. */
err demo_schema_write(struct buf *out, const struct json *root, const struct json *schema);
