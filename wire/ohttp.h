/*
 * wire/ohttp.h - Oblivious HTTP (RFC 9458) and its chunked form (draft-ietf-ohai-chunked-ohttp-08),
 * both ends, without I/O.
 *
 * One client or server object is one exchange and belongs to one thread. Whatever does not verify
 * is never shown. Every error is final: each further call gives the same error, and the secrets
 * are gone by then.
 *
 * Kinds of errors of the opening functions, for callers that answer peers:
 *   NOT_FOUND   the server has no such key, or does not offer that suite for it; found out before
 *               anything is decrypted
 *   TRUNCATED   the outer body ended, cleanly, before the sealed message did
 *   LIMIT       *plain_out is full, or the message longer than what is allowed
 *   CRYPTO, MALFORMED   all else that is the peer's fault: one answer for both
 *   NOMEM, INTERNAL     ours
 */
#pragma once

#include "wire/keylist.h"
#include "wire/ohttp_keys.h"

struct hpke_ephemeral;

enum {
    /* Plaintext of a chunk: what is sent, and what is accepted unless the caller allows more. */
    OHTTP_CHUNK_MAX = 16384,
    OHTTP_ACCEPT_MAX = 65536, /* the most a caller can allow */
    /* Sealed bytes of an unchunked message, which must be held whole, unless allowed otherwise. */
    OHTTP_PLAIN_MAX = 64 * 1024 * 1024 + 128 * 1024,
    /* Plaintext of one chunked message, either way: the bound of AES-128-GCM for one key. */
    OHTTP_MESSAGE_MAX = 1 << 30,
    OHTTP_HEADER_LEN = 7,
    OHTTP_NONCE_LEN_MAX = 32, /* of a response */
};

enum ohttp_variant {
    OHTTP_PLAIN,   /* message/ohttp-req, message/ohttp-res */
    OHTTP_CHUNKED, /* message/ohttp-chunked-req, message/ohttp-chunked-res */
};

enum ohttp_step {
    OHTTP_MORE, /* nothing wrong, not complete */
    OHTTP_DONE, /* the final chunk was opened and the outer body is at its end */
};

/* What one exchange accepts from its peer. Zero fields mean the defaults above. */
struct ohttp_limits {
    size_t chunk_max; /* plaintext bytes; above OHTTP_ACCEPT_MAX is the same as that */
    size_t plain_max; /* sealed bytes */
};

struct ohttp_client;

/*
 * Encapsulates to *config, which is copied as far as it is needed. ERR_NOT_FOUND when the
 * configuration does not offer HKDF-SHA256 with that aead, ERR_CRYPTO when its key is no good.
 * `given` is NULL outside tests.
 */
err ohttp_client_new(struct ohttp_client **out, enum ohttp_variant variant,
                     const struct key_config *config, uint16_t aead,
                     const struct hpke_ephemeral *given);

/* Before the first ohttp_client_open. */
void ohttp_client_limit(struct ohttp_client *c, const struct ohttp_limits *limits);

/*
 * Appends sealed bytes to *out; the first call's are led by header and enc. Chunked: cuts `plain`
 * into chunks of at most OHTTP_CHUNK_MAX; with `final` the last piece (all of it when it fits, and
 * possibly empty) becomes the final chunk, so an empty final chunk takes a call of its own. An
 * empty plain that is not final makes no chunk. Unchunked: exactly one call, final.
 * `plain` must not lie in *out. ERR_LIMIT when *out is full or the message too long; ERR_CLOSED
 * after the final call.
 */
err ohttp_client_seal(struct ohttp_client *c, bytes plain, bool final, struct buf *out);

/*
 * Takes the next bytes of the response's outer body, all of them, cut anywhere; appends the
 * plaintext of every chunk they complete to *plain_out. `end`: the outer body ended cleanly behind
 * `in` (which may be empty). On an error *plain_out may have grown by verified chunks only.
 */
err ohttp_client_open(struct ohttp_client *c, bytes in, bool end, struct buf *plain_out,
                      enum ohttp_step *step);

/* The encapsulated key, unique to the exchange. */
bytes ohttp_client_enc(const struct ohttp_client *c);
/* Empty until it has been received. */
bytes ohttp_client_response_nonce(const struct ohttp_client *c);
/* A value only the two ends of this exchange can compute (RFC 9180 section 5.3). */
err ohttp_client_export(const struct ohttp_client *c, bytes label, uint8_t *out, size_t len);

void ohttp_client_free(struct ohttp_client *c);

struct ohttp_server;

/* *keys must live until the first OHTTP_HEADER_LEN bytes and enc have been put in; may change. */
err ohttp_server_new(struct ohttp_server **out, enum ohttp_variant variant,
                     const struct ohttp_keys *keys);

/* Before the first ohttp_server_open. */
void ohttp_server_limit(struct ohttp_server *s, const struct ohttp_limits *limits);

/* The request's outer body; otherwise as ohttp_client_open. */
err ohttp_server_open(struct ohttp_server *s, bytes in, bool end, struct buf *plain_out,
                      enum ohttp_step *step);

/*
 * The response; led by its nonce, otherwise as ohttp_client_seal. Allowed as soon as a first chunk
 * has been opened; ERR_INTERNAL before.
 */
err ohttp_server_seal(struct ohttp_server *s, bytes plain, bool final, struct buf *out);

/* True once a chunk has opened: then, and not before, enc is worth remembering for replays. */
bool ohttp_server_verified(const struct ohttp_server *s);

/* Empty until they have been received; then valid as long as s. */
bytes ohttp_server_enc(const struct ohttp_server *s);
bool ohttp_server_key_id(const struct ohttp_server *s, uint8_t *id);
/* Memory that is held for sealed bytes that cannot be opened yet. */
size_t ohttp_server_pending(const struct ohttp_server *s);
/* Empty before the first ohttp_server_seal. */
bytes ohttp_server_response_nonce(const struct ohttp_server *s);
err ohttp_server_export(const struct ohttp_server *s, bytes label, uint8_t *out, size_t len);

void ohttp_server_free(struct ohttp_server *s);
