/*
 * wire/ehbp_test.h - what published vectors fix that is random otherwise. For wire/ehbp.c and tests.
 */
#pragma once

#include "wire/ehbp.h"
#include "wire/ohttp_chunk.h"

/* The keys of a response from the exported secret; ERR_MALFORMED for lengths that are wrong. */
err ehbp_response_cipher(bytes secret, bytes enc, bytes nonce, bool seals,
                         struct chunk_cipher *out);

/* ehbp_server_nonce() with a nonce that is given. */
err ehbp_server_answer(struct ehbp_server *s, bytes nonce);
