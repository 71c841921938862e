/* base/attr.h - the compiler attributes and small macros this project uses, by meaning. */
#pragma once

#include <stddef.h>

#define CLEANUP(fn) __attribute__((cleanup(fn)))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* For libraries whose parameters lack a const, and for releasing what is lent out as const. */
static inline void *unconst(const void *at)
{
    union {
        const void *in;
        void *out;
    } u = { .in = at };
    return u.out;
}

/* The struct that holds *ptr as its field `member`. */
#define CONTAINER_OF(ptr, type, member)                                                            \
    ((type *)unconst((const char *)(ptr)-offsetof(type, member)))
