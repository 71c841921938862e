/*
 * enclave-worker/keys.h - the worker's keys: the identity that signs, and the HPKE keys that open.
 *
 * The identity is made at boot and lives as long as the process. HPKE keys live `life_s`; the next
 * one is published `ahead_s` before the present one expires (first in the list, so that whoever
 * fetches the list picks it), and an expired one is still accepted for `grace_s`, then wiped. Key
 * ids start at a random value per boot and count up. None of them ever leaves the process.
 *
 * With `ehbp` there is a second HPKE key beside each, for the EHBP door alone: it comes and goes with
 * the first, and is in the same statement.
 *
 * Of a pool (keys_join()) every worker has the same HPKE keys, by epochs of the pool's own clock: there
 * is none before it has joined.
 */
#pragma once

#include "base/loop.h"
#include "crypto/sign.h"
#include "enclave-worker/pool_keys.h"
#include "wire/ohttp.h"

struct keys;

struct keys_settings {
    const char *worker_name; /* borrowed for the life of the keys */
    uint32_t life_s;
    uint32_t ahead_s;
    uint32_t grace_s;
    bool ehbp;
    bool pooled; /* it makes no keys of its own, and waits for keys_share() and keys_join() */
};

enum { KEYS_SET_BACK_S = 5 }; /* the wall clock may go back so far before keys are dropped */

/* Makes an identity and, unless it is to join a pool, the first HPKE key; rotates by itself on the
 * loop. */
err keys_new(struct keys **out, struct loop *loop, const struct keys_settings *settings);
void keys_free(struct keys *k);

/* The pool's key, copied; once. */
err keys_share(struct keys *k, const struct pool_key *key);

/* From now on keys are those of the chain, which is copied, and time goes on from now (Unix seconds, as
 * the pool's keeper has it) by the steady clock. What was there before opens nothing any more, if it is
 * not made by this chain too; along one chain time never goes back. ERR_INTERNAL before keys_share(). */
err keys_join(struct keys *k, const struct pool_chain *chain, int64_t now);

/* There is one that requests can be sealed to. */
bool keys_ready(const struct keys *k);

/* Which epoch the pool's key of that id belongs to, as keepers are told it. False: none does. */
bool keys_tag(const struct keys *k, uint8_t id, uint8_t tag[static POOL_TAG_LEN]);

/* Rotates if that is due, without waiting for the timer: a machine that slept wakes with keys that
 * have expired, and a timer that does not know of it. A clock that was set back drops all keys, since
 * replays could pass otherwise. To be called before keys are published or used. */
void keys_tend(struct keys *k);

const struct signing_key *keys_identity(const struct keys *k);

/* What requests may be sealed to now; borrowed, valid until the next turn of the loop. */
const struct ohttp_keys *keys_ohttp(const struct keys *k);

/* The private keys that EHBP requests may be sealed to now, the newest first: their number, 0 without
 * the door. Borrowed, valid until the next turn of the loop. */
size_t keys_ehbp(const struct keys *k, const struct hpke_private_key *out[static OHTTP_KEYS_MAX]);
/* What its clients get: the newest as a bare key configuration with id 0; empty without the door. */
bytes keys_ehbp_config(const struct keys *k);

/* How long one key may open requests, from its publication to its end, in seconds. */
uint32_t keys_span_s(const struct keys_settings *settings);

/* application/ohttp-keys, both forms; the COSE_Sign1 statement over the prefixed form. Borrowed,
 * valid until the next turn of the loop; empty while there is no key. */
bytes keys_list(const struct keys *k);
bytes keys_list_bare(const struct keys *k);
bytes keys_statement(const struct keys *k);

/* Counts the statements signed since boot. */
uint64_t keys_generation(const struct keys *k);
