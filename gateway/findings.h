/*
 * gateway/findings.h - what probes found out about workers: whether they do their work, and which models
 * they list. Told to the shards as a snapshot that never changes, counted by reference.
 *
 * A worker is known by its identity, not by its place: what was found out about one process says nothing
 * about another.
 */
#pragma once

#include <stdatomic.h>

#include "attest/verdict.h"
#include "base/buf.h"
#include "gateway/workers.h"

enum {
    FINDINGS_MODELS_MAX = 4096,         /* of one worker */
    FINDINGS_NAMES_MAX = 256 * 1024,    /* bytes of their names */
    FINDINGS_LIST_MAX = 4 * 1024 * 1024 /* bytes of a list as it comes */
};

/* Zero: not known, so that it may have any. */
struct model_list {
    bool known;
    size_t n;
    struct buf names; /* each behind two bytes of its length */
};

/* The names out of the answer to GET /v1/models, {"data":[{"id":NAME},...]}. *out is replaced; on an error
 * (MALFORMED, LIMIT, NOMEM) it is unchanged. */
err model_list_read(struct model_list *out, bytes text);
void model_list_clear(struct model_list *l);
bool model_list_has(const struct model_list *l, bytes model);
bool model_list_equal(const struct model_list *a, const struct model_list *b);

struct worker_finding {
    size_t place; /* one worker may be asked in several ways, of which one may fail */
    uint8_t identity[VERDICT_KEY_LEN];
    bool sick;
    struct model_list models;
};

struct findings {
    _Atomic uint32_t refs;
    size_t n;
    struct worker_finding at[WORKERS_MAX];
};

err findings_new(struct findings **out);
struct findings *findings_ref(struct findings *f); /* NULL gives NULL */
void findings_unref(struct findings *f);           /* NULL is allowed */

/* Before it is shown to anybody. Copies. ERR_LIMIT above WORKERS_MAX. */
err findings_add(struct findings *f, const struct worker_finding *finding);
/* Of that worker at that place. NULL: nothing is known. f may be NULL. */
const struct worker_finding *findings_of(const struct findings *f, size_t place,
                                         const uint8_t identity[static VERDICT_KEY_LEN]);
