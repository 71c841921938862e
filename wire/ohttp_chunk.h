/*
 * wire/ohttp_chunk.h - one direction of a sealed message: its chunks, sealed or opened in order.
 *
 * For wire/ohttp.c, which puts the two directions of an exchange together; wire/ehbp.c has the ciphers in
 * common with it. A chunked message
 * is { varint(len) || sealed }*, then varint(0) || final, where the final chunk runs to the end of
 * the body. An unchunked message is one chunk without a length and with empty aad.
 */
#pragma once

#include "crypto/hpke.h"
#include "wire/ohttp.h"
#include "wire/varint.h"

/* One direction's keys: an HPKE context for a request, an AEAD and a counter for a response. */
struct chunk_cipher {
    struct hpke *hpke; /* borrowed */
    struct aead *aead; /* owned */
    uint8_t base_nonce[AEAD_NONCE_LEN];
    uint64_t seq;
};

bool chunk_cipher_ready(const struct chunk_cipher *c);

/* As hpke_seal() and hpke_open(): the next message of this direction. */
err chunk_cipher_seal(struct chunk_cipher *c, bytes aad, bytes plain, uint8_t *out);
err chunk_cipher_open(struct chunk_cipher *c, bytes aad, bytes sealed, uint8_t *out);

/* Wipes, and releases the AEAD. */
void chunk_cipher_clear(struct chunk_cipher *c);

struct chunk_sealer {
    struct chunk_cipher cipher;
    bytes lead; /* borrowed; still to be written in front */
    uint64_t used;
    bool ended;
};

/* See ohttp_client_seal(). After an error the sealer is of no use. */
err chunk_sealer_put(struct chunk_sealer *s, enum ohttp_variant variant, bytes plain, bool final,
                     struct buf *out);

enum chunk_at {
    CHUNK_AT_LENGTH,
    CHUNK_IN_CHUNK,
    CHUNK_IN_FINAL, /* until the end of the body; an unchunked message begins here */
    CHUNK_AT_END,
};

struct chunk_opener {
    struct chunk_cipher cipher;
    enum chunk_at at;
    enum ohttp_variant variant;
    struct ohttp_limits limits;
    struct varint_reader length;
    size_t chunk_len;   /* sealed */
    struct buf pending; /* of the chunk at hand, when it came in pieces */
    uint64_t used;
    bool verified; /* a chunk has opened */
};

/* Limits may be set until the beginning. */
void chunk_opener_limit(struct chunk_opener *o, const struct ohttp_limits *given);
void chunk_opener_begin(struct chunk_opener *o, enum ohttp_variant variant);

/* See ohttp_client_open(). Complete when o->at is CHUNK_AT_END. */
err chunk_opener_put(struct chunk_opener *o, bytes in, bool end, struct buf *plain_out);

/* Wipes. */
void chunk_opener_clear(struct chunk_opener *o);
