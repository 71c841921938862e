/*
 * gateway/supply.h - has at hand what vendors publish to check evidence with (attest/collateral.h).
 *
 * Lives on the control thread, off every request's path. A piece is fetched once for all who wait
 * for it, kept in memory and in a folder over a restart, and checked whenever it is used, wherever it
 * comes from. While it holds it is used without asking anybody; when it is due, it is fetched anew
 * beside that, and the present one serves until the new one has proved good. A service that says it
 * is overloaded is left alone for as long as it asks, others that fail for a time that doubles, with
 * jitter. Nothing is fetched when offline: then the folder has it or nobody.
 */
#pragma once

#include "attest/collateral.h"
#include "base/log.h"
#include "base/loop.h"

struct supply;

enum {
    SUPPLY_PIECES_MAX = 256,                /* in memory; the one used longest ago goes first */
    SUPPLY_RETRY_MIN_MS = 1000,             /* after a first failure */
    SUPPLY_RETRY_MAX_MS = 600000,           /* after many */
    SUPPLY_RETRY_AFTER_MAX_MS = 3600 * 1000 /* what a service may ask for */
};

struct supply_settings {
    const char *folder;  /* where pieces are kept; NULL: nowhere */
    const char *intel;   /* base URL; NULL: COLLATERAL_INTEL_BASE */
    const char *amd;     /* base URL; NULL: COLLATERAL_AMD_BASE */
    const char *ocsp;    /* base URL; NULL: COLLATERAL_NVIDIA_OCSP_BASE */
    const char *rim;     /* base URL; NULL: COLLATERAL_NVIDIA_RIM_BASE */
    const char *nras;    /* base URL; NULL: COLLATERAL_NVIDIA_NRAS_BASE */
    const char *ca_path; /* roots for all services; NULL: the system's */
    bool offline;        /* needs a folder, which is then only read */
    uint64_t connect_ms; /* 0: 10 s */
    uint64_t whole_ms;   /* of one answer; 0: 30 s */
    struct log *log;     /* borrowed */
};

/* Copies the settings. ERR_CONFIG: the folder or ca_path cannot be used, offline without a folder, or
 * a base that is no URL. */
err supply_open(struct supply **out, struct loop *loop, const struct supply_settings *settings);

/* Every ask has ended or was cancelled. NULL is allowed. */
void supply_close(struct supply *s);

struct supply_ask;

/* Once, never from inside supply_ask(), unless cancelled. OK: judge the bundle with `collateral` in
 * place of what it carries and with `gpu` beside it; empty: with what it carries. Else a piece cannot be had now: NOT_FOUND
 * (nobody has it), UNAVAILABLE (overloaded, or nobody there), STALE (offline, and it has expired),
 * TIMEOUT, or what was wrong with the answer. */
typedef void supply_done_fn(struct supply_ask *ask, err e, bytes collateral, bytes gpu);

/* Embedded in its owner; zeroed is idle. All of it is private. */
struct supply_ask {
    struct supply *supply; /* NULL when idle */
    struct supply_ask *next;
    struct supply_ask **prev;
    supply_done_fn *done;
    struct bundle bundle;
    struct collateral_plan plan;
    struct loop_task task;
};

/* The bytes of the bundle are borrowed until the end, the policy (which says what GPU evidence needs;
 * NULL: nothing) for the call. ERR_NOMEM, and done is not called then. */
err supply_ask(struct supply *s, struct supply_ask *ask, const struct bundle *bundle,
               const struct policy *policy, supply_done_fn *done);
void supply_cancel(struct supply_ask *ask);

/* Requests sent since the start, and those of them that still wait for their answer. */
uint64_t supply_requests(const struct supply *s);
size_t supply_under_way(const struct supply *s);

/* Pieces in memory, those that could not be had included. */
size_t supply_pieces(const struct supply *s);
