/*
 * api/responses_item.h - one output item of an answer of the Responses API, and the events of its
 * life. Only for api/responses_reply.
 */
#pragma once

#include "api/responses_reply.h"

struct json_out;

err responses_item_new(struct responses_item **out, enum responses_kind kind, size_t index);
void responses_item_free(struct responses_item *item);
size_t responses_item_size(const struct responses_item *item); /* bytes of memory */

/* The item is there now. */
err responses_item_announce(struct responses_reply *r, struct responses_item *item);

/* More text for its part of that kind; another part that is open is closed. */
err responses_item_say(struct responses_reply *r, struct responses_item *item,
                       enum responses_part part, bytes text, const struct json *logprobs);

/* More of a call; it is announced once its name is known. */
err responses_item_call(struct responses_reply *r, struct responses_item *item,
                        const struct responses_call_piece *piece);

/* Closes its part and itself; complete, unless the answer was cut. ERR_MALFORMED for a call without
 * a name. */
err responses_item_close(struct responses_reply *r, struct responses_item *item);

/* An event's beginning, up to its sequence number, and its end. */
err responses_event_begin(struct responses_reply *r, struct json_out *j, const char *name);
err responses_event_end(struct responses_reply *r, struct json_out *j);
