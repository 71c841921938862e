/*
 * tests/lib/law.h - what every unit test here includes: cmocka, our checks, and helpers for laws.
 *
 * Test names are sentences (refuses_what_can_never_be_a_chunk). Each test file has one main() with a
 * table of cmocka_unit_test()s.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants the four above first */
#include <cmocka.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

#define CHECK(cond) assert_true(cond)
#define CHECK_OK(expr) assert_string_equal(err_word(expr), "ok")
#define CHECK_ERR(expr, kind) assert_string_equal(err_word(expr), #kind)
#define CHECK_BYTES(a, b)                                                                          \
    do {                                                                                           \
        bytes check_a = (a), check_b = (b);                                                        \
        assert_int_equal(check_a.len, check_b.len);                                                \
        if (check_a.len > 0)                                                                       \
            assert_memory_equal(check_a.at, check_b.at, check_a.len);                              \
    } while (0)

/* The decoded bytes of a hex literal; fails the test when it is none. */
void law_hex(struct buf *out, const char *hex);

/* The folder of the published vectors, or NULL when it is not there (then print so, loudly, and
 * skip()). From SEALGATE_VECTORS. */
const char *law_vectors(void);

/* A whole file into *out. Fails the test when it cannot be read. */
void law_read_file(struct buf *out, const char *path);

/*
 * Every allocation fails once: calls run(arg) once to count its allocations, then again for each,
 * with that one failing. run() must return OK in the first run and in the others OK or NOMEM,
 * having released whatever it took.
 */
void law_every_allocation_fails_once(err (*run)(void *arg), void *arg);
