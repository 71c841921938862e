/*
 * base/json.h - JSON (RFC 8259) as a tree to read, and a writer that needs no tree.
 *
 * Reading is strict: UTF-8, no repeated keys, nothing behind the value, integers that fit 64 signed
 * bits, a depth that the caller bounds. All memory of a tree comes from base/mem and is wiped when
 * it goes. A tree may be read by several threads at once.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

enum {
    JSON_DEPTH_MAX = 64,              /* the most that json_read() may be asked for */
    JSON_TEXT_MAX = 64 * 1024 * 1024, /* bytes of input */
};

/* A value. Only json_read() makes one; the others below are borrows of its parts. */
struct json;

enum json_kind {
    JSON_KIND_NONE = 0, /* no value: what json_kind(NULL) says */
    JSON_KIND_NULL,
    JSON_KIND_BOOL,
    JSON_KIND_INTEGER,
    JSON_KIND_REAL,
    JSON_KIND_TEXT,
    JSON_KIND_ARRAY,
    JSON_KIND_OBJECT,
};

/*
 * The whole of `text` as one value of any kind. An array or object in another counts one level;
 * ERR_LIMIT above depth_max levels (which must be 1 to JSON_DEPTH_MAX) or above JSON_TEXT_MAX bytes,
 * ERR_MALFORMED for all else that is not accepted.
 */
err json_read(struct json **out, bytes text, size_t depth_max);
void json_free(struct json *root);

/* All of these accept NULL and any kind, so that look-ups can be nested without checks between. */
enum json_kind json_kind(const struct json *value);
const struct json *json_get(const struct json *object, const char *key); /* NULL: none */
const struct json *json_at(const struct json *array, size_t i);          /* NULL: none */
size_t json_len(const struct json *value); /* items of an array, pairs of an object, else 0 */

/* False, with *out untouched, when the value is of another kind. Text may hold NUL. */
bool json_text(const struct json *value, bytes *out);
bool json_bool(const struct json *value, bool *out);
bool json_i64(const struct json *value, int64_t *out);
bool json_u64(const struct json *value, uint64_t *out);
bool json_f64(const struct json *value, double *out); /* an integer too */

/* The text of an object's member, or empty; and whether a value is there and not null. */
bytes json_text_of(const struct json *object, const char *key);
bool json_is_set(const struct json *value);

/* The pairs of an object in the order they were written: for (struct json_pair p = { 0 };
 * json_next(object, &p);) */
struct json_pair {
    bytes key;
    const struct json *value;
    void *at; /* private */
};
bool json_next(const struct json *object, struct json_pair *pair);

/* Appends the value without white space, so that json_read() gives the same value again. */
err json_write(struct buf *out, const struct json *value);

/*
 * The writer. It puts the commas; the first failure sticks and is returned by json_end(), so that
 * no call between needs a check. Every function takes the key, which is NULL in an array, at the
 * top and after json_key().
 *
 *     struct json_out j = JSON_OUT(&body);
 *     json_begin_object(&j, NULL);
 *     json_put_str(&j, "object", "list");
 *     json_begin_array(&j, "data");
 *     json_close(&j);
 *     json_close(&j);
 *     TRY(json_end(&j));
 */
struct json_out {
    struct buf *to;
    size_t depth;
    uint64_t arrays; /* bit d: the container at depth d is an array */
    bool comma;
    bool keyed;
    err failed;
};

#define JSON_OUT(buffer) ((struct json_out){ .to = (buffer) })

void json_begin_object(struct json_out *j, const char *key);
void json_begin_array(struct json_out *j, const char *key);
void json_close(struct json_out *j); /* the innermost that is open */

/* A key that is not known at compile time. */
void json_key(struct json_out *j, bytes key);

void json_put_text(struct json_out *j, const char *key, bytes v);      /* not UTF-8: U+FFFD */
void json_put_str(struct json_out *j, const char *key, const char *v); /* NULL: null */
void json_put_u64(struct json_out *j, const char *key, uint64_t v);
void json_put_i64(struct json_out *j, const char *key, int64_t v);
void json_put_f64(struct json_out *j, const char *key, double v); /* not finite: null */
void json_put_bool(struct json_out *j, const char *key, bool v);
void json_put_null(struct json_out *j, const char *key);
void json_put_hex(struct json_out *j, const char *key, bytes v);
void json_put_raw(struct json_out *j, const char *key, bytes v); /* is JSON already */

/* ERR_INTERNAL when a container is still open, a key was missing or one too many. */
err json_end(const struct json_out *j);
