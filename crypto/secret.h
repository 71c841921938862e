/*
 * crypto/secret.h - memory for secrets, their comparison and their end; and random bytes.
 */
#pragma once

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"

/* Time depends on the lengths only. False for different lengths. Two empty ones are equal. */
bool secret_equal(bytes a, bytes b);

/* Overwrites with zeros, and is never optimised away. NULL with len 0 is allowed. */
void secret_wipe(void *at, size_t len);

/* Zeroed memory for keys that live long: locked against swapping where the system lets us, left out
 * of core dumps, with guard pages around it. It costs whole pages and system calls, so keys of one
 * request do not belong here. */
err secret_new(void **out, size_t size);

/* Wipes and releases. NULL is allowed. */
void secret_free(void *at);

/* From the kernel's generator. ERR_SYSTEM when there is none; *out is then all zero. */
err crypto_random(void *out, size_t len);

struct secret_guard {
    void *at;
    size_t len;
};

static inline void secret_guard_end(const struct secret_guard *g)
{
    secret_wipe(g->at, g->len);
}

#define SECRET_UNUSED __attribute__((unused)) /* clang 14 does not see the clean-up as a use */

/* A zeroed local variable, or byte array, that is wiped when its scope ends, on every way out. */
#define SECRET(type, name)                                                                         \
    type name = { 0 };                                                                             \
    CLEANUP(secret_guard_end)                                                                      \
    SECRET_UNUSED const struct secret_guard name##_guard = { &(name), sizeof(name) }
#define SECRET_BYTES(name, length)                                                                 \
    uint8_t name[length] = { 0 };                                                                  \
    CLEANUP(secret_guard_end)                                                                      \
    SECRET_UNUSED const struct secret_guard name##_guard = { (name), sizeof(name) }
