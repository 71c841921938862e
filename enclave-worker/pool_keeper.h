/*
 * enclave-worker/pool_keeper.h - the one place where the workers of a pool ask whether a request was
 * seen before: pool_set.h behind a listener.
 *
 * HTTP/2 over TLS 1.3 with a key made of the pool key; one stream for each worker, which carries
 * frames of wire/pool_frame.h both ways. Belongs to the loop's thread.
 */
#pragma once

#include "base/loop.h"
#include "enclave-worker/pool_set.h"
#include "wire/link.h"

#define POOL_PATH "/pool/v1"

enum { POOL_MEMBERS_MAX = 1024 };

struct log;
struct pool_keeper;

/* A keeper is a worker itself: this is how it learns what it tells the others. */
typedef void pool_welcome_fn(void *owner, const struct pool_welcome *w);

struct pool_keeper_settings {
    struct pool_set_settings set;
    const struct sock_addr *listen; /* without the mark for TLS: there is always one */
    struct log *log;
    pool_welcome_fn *welcome;
    void *owner;
};

/* Calls welcome() before it returns. Errors of pool_set_new() and link_listen(). */
err pool_keeper_new(struct pool_keeper **out, struct loop *loop,
                    const struct pool_keeper_settings *settings);
/* NULL is allowed. The loop has to turn once more before it is freed. */
void pool_keeper_free(struct pool_keeper *k);

/* For the worker that keeps. */
enum pool_verdict pool_keeper_judge(struct pool_keeper *k, const struct pool_ask *ask);

size_t pool_keeper_members(const struct pool_keeper *k);
size_t pool_keeper_entries(const struct pool_keeper *k);
