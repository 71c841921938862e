/*
 * attest/event_log.h - the logs that explain how a TD's runtime registers (RTMRs) came to be.
 *
 * A log proves nothing by itself: replayed, it must give the registers of a verified quote. Two
 * kinds are read: the firmware's (CCEL; TCG PC Client Platform Firmware Profile, crypto agile form)
 * and that of dstack (a JSON list).
 *
 *     RTMR = SHA-384( RTMR || digest ), from 48 zero bytes, for each event of that register
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

enum {
    EVENT_LOG_MAX = 256 * 1024,
    EVENT_RTMRS = 4,
    EVENT_DIGEST_LEN = 48,
    EVENT_COUNT_MAX = 2048,
    EVENT_ALGORITHMS_MAX = 8,
    EVENT_NAME_MAX = 64,
    EVENT_DSTACK_RUNTIME = 0x08000001 /* type of the events whose digest is of name and payload */
};

struct event_rtmrs {
    uint8_t value[EVENT_RTMRS][EVENT_DIGEST_LEN];
    size_t events[EVENT_RTMRS]; /* how many extended it */
};

/* One event. All borrowed. */
struct event {
    unsigned rtmr;
    uint32_t type;
    bytes digest; /* 48 bytes */
    bytes name;   /* dstack only */
    bytes data;   /* the firmware's event data, or dstack's payload, decoded */
};

/* Asked for each event that extends a register, in the order of the log. The views last as long as
 * the call. */
typedef err event_fn(void *owner, const struct event *e);

/* ERR_MALFORMED, ERR_LIMIT. Events of the log's header kind (EV_NO_ACTION), and those that belong
 * to MRTD, extend nothing. What fills the buffer behind the last event is all FF or all zero. */
err event_ccel_replay(bytes log, struct event_rtmrs *out, event_fn *each, void *owner);

/* The same for dstack's. ERR_CRYPTO: a runtime event's digest is not that of its name and payload,
 * SHA-384( type as four bytes, little endian || ":" || name || ":" || payload ). */
err event_dstack_replay(bytes log, struct event_rtmrs *out, event_fn *each, void *owner);
