/*
 * gateway/relay_route.h - what a relay does with a request, told by its head alone; and which fields
 * cross it.
 *
 * Pure. A relay passes on what is sealed and what workers publish. Everything that an OpenAI client
 * would send in the clear is refused before a byte of its body is read.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"

enum relay_kind {
    RELAY_REFUSED = 0, /* an API request that is not sealed */
    RELAY_UNKNOWN,
    RELAY_WRONG_METHOD,
    RELAY_SEALED, /* to the worker whose key it is sealed to */
    RELAY_EHBP,   /* an API request with a sealed body (wire/ehbp.h); nothing tells to whose key */
    RELAY_ASK,    /* to any worker: key list, attestation */
    RELAY_PROOF,  /* likewise, but it costs the worker a signature of its TEE */
    RELAY_EVIDENCE, /* to the worker that knows the document: all are asked */
    RELAY_HEALTH,
    RELAY_READY,
    RELAY_METRICS,
    RELAY_ROSTER, /* which workers there are */
    RELAY_KINDS
};

struct relay_route {
    enum relay_kind kind;
    const char *allow; /* with RELAY_WRONG_METHOD */
    /* One address is to get one worker on all its connections: what it seals to a key that it has
     * fetched must come to the worker that has this key. */
    bool by_address;
};

/* target: path and query as sent. has_key: it brings an Ehbp-Encapsulated-Key. */
struct relay_route relay_route_find(bytes method, bytes target, bool has_key);

/* The fields of a request that may be passed on, in lower case; NULL behind the last. */
extern const char *const relay_route_fields[];

/* Whether a field of a request of that kind, or of a worker's answer to one, is passed on. Lower case. */
bool relay_route_asks(enum relay_kind kind, bytes name);
bool relay_route_answers(enum relay_kind kind, bytes name);
