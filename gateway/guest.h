/*
 * gateway/guest.h - a request from a client, as the shard knows it, and how it is answered.
 *
 * Every request has a guest as its owner: an exchange, or a page. The guest holds what every answer
 * carries: the request id, and the fields that let a web page read it.
 */
#pragma once

#include "api/error.h"
#include "api/route.h"
#include "gateway/admit.h"
#include "gateway/front.h"
#include "gateway/payer.h"

struct shard;
struct guest;

enum { GUEST_ID_LEN = 28, GUEST_FIELDS_MAX = 8 + LIMITS_FIELDS_MAX, GUEST_MS_LEN = 20 };

struct guest_ops {
    void (*body)(struct guest *g, bytes piece);
    void (*body_end)(struct guest *g);
    void (*writable)(struct guest *g);
    void (*gone)(struct guest *g); /* last call */
    void (*done)(struct guest *g); /* last call */
};

struct guest {
    const struct guest_ops *ops;
    struct shard *shard;
    struct front_request *request; /* NULL after the last call */
    enum route_kind route;
    struct payer payer;
    uint64_t began_us;
    unsigned status; /* answered with; 0: not yet */
    char id[GUEST_ID_LEN + 1];
    char origin[ADMIT_ORIGIN_MAX + 1]; /* empty: no web page, or one that may not read */
};

/* Fills all but ops and payer, and makes it the request's owner, also on failure. Only out of front's request().
 */
err guest_init(struct guest *g, struct shard *shard, struct front_request *r,
               const struct route_match *match);

/* The fields every answer carries; returns how many, at most GUEST_FIELDS_MAX. */
size_t guest_fields(const struct guest *g, struct front_field out[static GUEST_FIELDS_MAX]);

/* Milliseconds since the request's head, for openai-processing-ms; a view of out. */
bytes guest_ms(const struct guest *g, char out[static GUEST_MS_LEN + 1]);

/* A whole answer. If that fails, the connection is broken off. */
void guest_answer(struct guest *g, unsigned status, const char *media, bytes body);
void guest_error(struct guest *g, const struct api_error *error);

/* Counts the request and writes its line in the log; once, in the last call. `gone`: the client left
 * before the end; `cut`: we broke off. */
void guest_settle(struct guest *g, bool gone, bool cut);
