/*
 * gateway/page.h - what the gateway answers itself: health, metrics, workers, receipts, and refusals.
 */
#pragma once

#include "api/error.h"
#include "gateway/shard.h"

/* Makes a page the owner of the request, which the front just delivered, and answers it. */
void page_start(struct shard *s, struct front_request *r, const struct route_match *match);

/* The same for a request that gets an error and nothing else. */
void page_refuse(struct shard *s, struct front_request *r, const struct route_match *match,
                 const struct api_error *error);

/* The same for a browser's question whether it may ask (CORS preflight). */
void page_preflight(struct shard *s, struct front_request *r, const struct route_match *match);
