/* tests/unit/gateway/worker_sets.h - sets of workers made of addresses. */
#pragma once

#include "gateway/workers.h"
#include "tests/lib/law.h"

/* before may be NULL. */
static inline struct worker_set *worker_set_of(const struct worker_set *before,
                                               const char *const *addresses, size_t n)
{
    static struct worker_wish wishes[WORKERS_MAX];
    struct worker_change change;
    struct worker_set *set;
    CHECK(n <= WORKERS_MAX);
    for (size_t i = 0; i < n; i++)
        CHECK_OK(worker_wish_read(bytes_str(addresses[i]), &wishes[i]));
    CHECK_OK(worker_set_next(&set, before, wishes, n, &change));
    return set;
}
