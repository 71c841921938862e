/*
 * tests/vectors/vec.h - what the programs that run published vectors in JSON have in common.
 *
 * `vec_<set> FOLDER` runs every *.json of the folder, by what is in it and not by its name. It
 * prints a line `FAIL name: why` for each failure, a line `SKIP name: why` for what is not offered, a
 * line `CHOICE file: name: outcome` for what is the implementation's to define, and at the end `N passed, N failed, N skipped`. Exit status: 0, 1 when a case failed or there was
 * none, 77 when the folder is missing.
 */
#pragma once

#include <jansson.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"

struct vec;

/* One file's content. False: its format is unknown, which is a failed case. */
typedef bool vec_file_fn(struct vec *v, const json_t *root);

/* The whole of main(). */
int vec_main(int argc, char **argv, vec_file_fn *run);

/* A case: begin, any number of failures of which the first is printed, end. */
void vec_begin(struct vec *v, const char *format, ...) PRINTF_LIKE(2, 3);
void vec_fail(struct vec *v, const char *format, ...) PRINTF_LIKE(2, 3);
void vec_end(struct vec *v);
void vec_skip(struct vec *v, const char *why);

/* What came of a case that the vectors leave open: held to attest/README.md by choices.py. */
void vec_choice(const struct vec *v, bool accepted, const char *why);

/* Checks inside a case. The same is said again only in the failure's text. */
void vec_ok(struct vec *v, err e, const char *what);
void vec_refused(struct vec *v, err e, const char *what); /* ERR_CRYPTO and nothing else */
void vec_same(struct vec *v, bytes got, bytes want, const char *what);

/* The hex string obj[key], held by the vec until vec_end(). Missing or not hex: fails the case and is
 * empty. */
bytes vec_hex(struct vec *v, const json_t *obj, const char *key);
bool vec_has(const json_t *obj, const char *key);

/* The file at that path, relative to the folder of the JSON, held like vec_hex()'s. One that cannot be
 * read fails the case and is empty. */
bytes vec_file(struct vec *v, const char *path);

/* obj[key] as text; "" when there is none. */
const char *vec_text(const json_t *obj, const char *key);

/* obj[key] as a number, up to 2^64 - 1. Missing or something else: fails the case and is 0. */
uint64_t vec_u64(struct vec *v, const json_t *obj, const char *key);
