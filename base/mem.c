#include "base/mem.h"

#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static _Thread_local long fail_at = -1;
static _Thread_local unsigned long requests;

static int must_fail(void)
{
    requests++;
    if (fail_at < 0)
        return 0;
    return fail_at-- == 0;
}

void *mem_alloc(size_t size)
{
    return mem_alloc_array(1, size);
}

void *mem_alloc_array(size_t n, size_t size)
{
    size_t all;
    if (must_fail() || __builtin_mul_overflow(n, size, &all))
        return NULL;
    return calloc(1, all > 0 ? all : 1);
}

void *mem_alloc_raw(size_t size)
{
    return must_fail() ? NULL : malloc(size > 0 ? size : 1);
}

/* Not realloc(): it may move the block and leave the old bytes behind in the heap. */
void *mem_realloc(void *at, size_t size)
{
    if (at == NULL)
        return mem_alloc(size);
    size_t had = malloc_usable_size(at);
    if (size > 0 && size <= had && size >= had / 2)
        return at;
    void *moved = mem_alloc(size);
    if (moved == NULL)
        return NULL;
    memcpy(moved, at, had < size ? had : size);
    mem_free(at);
    return moved;
}

/* The size goes through a volatile so that the compiler does not hold it against the request's. */
void mem_free(void *at)
{
    if (at == NULL)
        return;
    volatile size_t size = malloc_usable_size(at);
    explicit_bzero(at, size);
    free(at);
}

char *mem_strdup(const char *text)
{
    size_t len = strlen(text);
    char *copy = mem_alloc(len + 1);
    if (copy != NULL)
        memcpy(copy, text, len + 1);
    return copy;
}

/* mallopt() is not thread-safe: hence the rule to call this before there are threads. */
void mem_tune(void)
{
    (void)mallopt(M_MMAP_THRESHOLD, 64 * 1024 * 1024); /* NOLINT(concurrency-mt-unsafe) */
    (void)mallopt(M_MXFAST, 0);
    (void)mallopt(M_TRIM_THRESHOLD, 16 * 1024 * 1024); /* NOLINT(concurrency-mt-unsafe) */
}

void mem_fail_at(long n)
{
    fail_at = n;
}

unsigned long mem_requests(void)
{
    return requests;
}
