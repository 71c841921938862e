/*
 * gateway/trust.h - asks workers for evidence, judges it, and tells the shards whom to use.
 *
 * Lives on the control thread, off every request's path. For each worker: a connection, a fresh
 * nonce, the verdict by the policy, the document that its receipts will refer to, and a new look
 * before anything expires. A worker that is refused is out at once; one that cannot be reached
 * stays in until its keys expire.
 */
#pragma once

#include "attest/policy.h"
#include "base/log.h"
#include "base/loop.h"
#include "gateway/trusted.h"
#include "receipts/store.h"

struct trust;
struct supply;
struct tls_context;
struct json_out;

struct trust_settings {
    struct worker_set *workers;  /* to begin with; counted */
    struct tls_context *tls;     /* for tls:// workers; borrowed */
    const struct policy *policy; /* borrowed, until trust_use_policy() */
    uint64_t refresh_s;
    struct supply *supply; /* completes collateral; NULL: what is carried has to do; borrowed */
    struct store *store;   /* for evidence documents; borrowed */
    struct log *log;       /* borrowed */
    /* Called on the control thread with a new view, borrowed for the time of the call. */
    void (*published)(void *owner, struct trust_view *view);
    /* Adds to the object of the page what is known of the policy. NULL: nothing. */
    void (*describe)(void *owner, struct json_out *j);
    void *owner;
};

/* Starts asking at once. Settings are copied. */
err trust_new(struct trust **out, struct loop *loop, const struct trust_settings *settings);
void trust_free(struct trust *t);

/* Another policy, borrowed from now on; NULL: none, so no worker is accepted or asked. Every worker in
 * use is judged by it at once, from the evidence that it was accepted for; one that does not fit is
 * withdrawn (gateway/trusted.h) when this returns. All are asked for new evidence then. */
void trust_use_policy(struct trust *t, const struct policy *policy);

/* Another set of workers, counted: those that joined are verified before anybody uses them, those that
 * left are forgotten, and a view of the rest is published when this returns. */
void trust_use_workers(struct trust *t, struct worker_set *workers);

/* Publishes again: what `describe` says has changed. */
void trust_publish(struct trust *t);

/* A worker's keys were found stale by somebody: look again soon. The control thread only. Nothing
 * happens when nobody has that place any more. */
void trust_hurry(struct trust *t, size_t place);
