/*
 * wire/ehbp.h - the Encrypted HTTP Body Protocol, v0.3.1 (Tinfoil), both ends, without I/O.
 *
 * Only bodies are sealed; method, path, fields and status are in the clear, and nobody vouches for
 * them. Suite: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM.
 *
 *     body      = { length (4 bytes, big-endian), sealed }*      a length of 0 carries nothing
 *     request   : HPKE base mode, info "ehbp request", empty aad, a sequence number per frame;
 *                 enc in the field Ehbp-Encapsulated-Key as 64 hex digits
 *     response  : secret = Export("ehbp response", 32), prk = Extract(enc || nonce, secret),
 *                 key = Expand(prk, "key", 32), base = Expand(prk, "nonce", 12), frame i under
 *                 base XOR i; the nonce of 32 bytes in the field Ehbp-Response-Nonce, in hex
 *
 * There is no end marker: a body cut between two frames cannot be told from a whole one. What it
 * carries must say its own end (the last event of a stream, a complete JSON document).
 *
 * One client or server object is one exchange and belongs to one thread. Every error is final. An
 * error is CRYPTO or MALFORMED for all that is the peer's fault (one answer for both, but see
 * ehbp_server_verified()), TRUNCATED for a body that ends inside a frame, LIMIT when *plain_out is
 * full or a frame longer than allowed, NOMEM or INTERNAL for what is ours.
 */
#pragma once

#include "base/buf.h"
#include "crypto/hpke.h"

struct key_config;

enum {
    EHBP_KEY_LEN = 32,
    EHBP_NONCE_LEN = 32,
    EHBP_HEX_LEN = 2 * EHBP_KEY_LEN,
    EHBP_KEYS_MAX = 8,                 /* a server tries */
    EHBP_FRAME_MAX = 64 * 1024 * 1024, /* plaintext; a whole body may come as one */
    EHBP_SENT_MAX = 16384,             /* plaintext of a frame that is sent */
};

/* "ehbp request"'s suite. */
struct hpke_suite ehbp_suite(void);

struct ehbp_server;

/* key_field is what Ehbp-Encapsulated-Key says. Nothing in a request tells which key it is sealed to:
 * the n of them, 1 to EHBP_KEYS_MAX, are tried on the first frame, in this order. They are needed for
 * the call only. frame_max: 0 is EHBP_FRAME_MAX, the most. ERR_MALFORMED or ERR_CRYPTO for a field
 * that is no key. */
err ehbp_server_new(struct ehbp_server **out, const struct hpke_private_key *const *keys, size_t n,
                    bytes key_field, size_t frame_max);

/* The next bytes of the request's body, all of them, cut anywhere; appends the plaintext of every
 * frame they complete. `end`: the body ended behind `in`. ERR_MALFORMED for a body without any
 * frame: then nothing vouches for the encapsulated key, and no answer may be sealed to it. */
err ehbp_server_open(struct ehbp_server *s, bytes in, bool end, struct buf *plain_out);

/* True once a frame has opened. Before that, an error may mean no more than a stale key. */
bool ehbp_server_verified(const struct ehbp_server *s);
/* Memory that is held for a frame that has not come to its end. */
size_t ehbp_server_pending(const struct ehbp_server *s);
/* The encapsulated key; EHBP_KEY_LEN bytes. */
bytes ehbp_server_enc(const struct ehbp_server *s);

/* The value of Ehbp-Response-Nonce, with a NUL. ERR_INTERNAL before the request is verified. */
err ehbp_server_nonce(struct ehbp_server *s, char field[static EHBP_HEX_LEN + 1]);

/* One or more frames of the response; ERR_INTERNAL before ehbp_server_nonce(). An empty `plain`
 * makes none. `plain` must not lie in *out. */
err ehbp_server_seal(struct ehbp_server *s, bytes plain, struct buf *out);

/* Ours, not EHBP's: appends what goes beside the body, once at most, under a key and a nonce of its
 * own, empty aad:
 *     key = Expand(prk, "sealgate receipt key", 32), nonce = Expand(prk, "sealgate receipt nonce", 12)
 * ERR_INTERNAL before ehbp_server_nonce(), and a second time. */
err ehbp_server_seal_receipt(struct ehbp_server *s, bytes receipt, struct buf *out);

/* NULL is allowed. */
void ehbp_server_free(struct ehbp_server *s);

struct ehbp_client;

/* `given` is NULL outside tests. ERR_NOT_FOUND when the configuration does not offer the suite. */
err ehbp_client_new(struct ehbp_client **out, const struct key_config *config,
                    const struct hpke_ephemeral *given);

/* The value of Ehbp-Encapsulated-Key, with a NUL. */
void ehbp_client_key(const struct ehbp_client *c, char field[static EHBP_HEX_LEN + 1]);
err ehbp_client_seal(struct ehbp_client *c, bytes plain, struct buf *out);

/* nonce_field is what Ehbp-Response-Nonce says; then the response's body. */
err ehbp_client_begin(struct ehbp_client *c, bytes nonce_field);
err ehbp_client_open(struct ehbp_client *c, bytes in, bool end, struct buf *plain_out);

/* What ehbp_server_seal_receipt() sealed; ERR_INTERNAL before ehbp_client_begin(). */
err ehbp_client_open_receipt(const struct ehbp_client *c, bytes sealed, struct buf *out);

/* NULL is allowed. */
void ehbp_client_free(struct ehbp_client *c);
