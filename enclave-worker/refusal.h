/*
 * enclave-worker/refusal.h - what an engine refuses with, as the error object that all clients read.
 *
 * Engines say errors in forms of their own: {"error":"text"}, {"message":"text",...}, {"detail":"text"}
 * or {"detail":[{"msg":"text"},...]}. SDKs read the member "error" of the body and its "message", and of
 * anything else they show nothing. Pure but for memory.
 */
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

enum { REFUSAL_MESSAGE_MAX = 4096 }; /* bytes of an engine's message; longer ones are cut */

/* True for {"error":{"message":"text",...}}, and what else has an object under "error". */
bool refusal_is_nested(bytes body);

/* Appends the error object of that type around the message that a body of another form has;
 * ERR_MALFORMED, and nothing appended, when none is found in it, or only the status in words. */
err refusal_nest(bytes body, const char *type, struct buf *out);
