/*
 * gateway/shards.h - all shards of a gateway: opened, started, told and ended together. On the
 * control thread.
 */
#pragma once

#include "gateway/setup.h"
#include "gateway/shard.h"

/* Zeroed is none. */
struct shards {
    struct shard *at[SETUP_SHARDS_MAX];
    size_t n;
    size_t running;
};

/* As many as the settings say, all listening. *common, whose held_max is set here to what one of them
 * may hold, stays the caller's and outlives them. ERR_CONFIG with what to do in *message; what was
 * opened is there for shards_free(). */
err shards_open(struct shards *s, struct shard_common *common, struct buf *message);

/* All or none: those that run already are told to end at once. */
err shards_start(struct shards *s);

/* As shard_post_*(), to all. An error is that of the last one which had one. */
void shards_post_view(struct shards *s, struct trust_view *view);
void shards_post_findings(struct shards *s, struct findings *findings);
err shards_post_admit(struct shards *s, struct admit *admit);

/* As shard_post_drain(), for all. */
void shards_drain(struct shards *s);

/* From shard_common's `ended`: true when that was the last one. */
bool shards_end_one(struct shards *s);

/* As shard_free(), for all. */
void shards_free(struct shards *s);
