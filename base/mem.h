/*
 * base/mem.h - the only place that asks the system for memory.
 *
 * Everything is treated as if it held a prompt: it comes zeroed and is wiped when it goes. The same
 * three functions are handed to the libraries that let one choose (jansson, nghttp2, libcurl). A
 * test can make the n-th request fail.
 */
#pragma once

#include <stddef.h>

#include "base/attr.h"
#include "base/err.h"

/* Zeroed memory, or NULL. */
void *mem_alloc(size_t size);
void *mem_alloc_array(size_t n, size_t size);

/* The same, but not zeroed: for a caller that shows nobody what it has not written. */
void *mem_alloc_raw(size_t size);

/* Like realloc(), but old bytes are never left behind and new ones are zero. */
void *mem_realloc(void *at, size_t size);

/* Wipes and releases. NULL is allowed. */
void mem_free(void *at);

char *mem_strdup(const char *text);

/* For a struct of ours: TRY(mem_new(&x)) with *x zeroed, or ERR_NOMEM. */
/* NOLINTNEXTLINE(readability-identifier-naming): reads and is used like a function */
#define mem_new(out)                                                                               \
    ({                                                                                             \
        *(out) = mem_alloc(sizeof **(out));                                                        \
        *(out) ? OK : err_raise(ERR_NOMEM, __FILE__, __func__, __LINE__);                          \
    })

/* Call once at program start: fewer page faults for big buffers. */
void mem_tune(void);

/* Tests only: the n-th request of this thread from now (0 = the next) fails, once; negative: none.
 */
void mem_fail_at(long n);

/* Tests only: requests made by this thread since its start. */
unsigned long mem_requests(void);
