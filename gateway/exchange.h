/*
 * gateway/exchange.h - one sealed request's life on the client's side; the table is in
 * exchange_table.h.
 */
#pragma once

#include "gateway/shard.h"

/* Makes an exchange the owner of the request, which the front just delivered. Answers by itself when
 * that cannot be. */
void exchange_start(struct shard *s, struct front_request *r, const struct route_match *match,
                    const struct token *key);

/* The callbacks of the pool's streams. */
extern const struct link_events exchange_link_events;

/* A worker may be available now: those who wait for one try again. */
void exchange_wake(struct shard *s);
