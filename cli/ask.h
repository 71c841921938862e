/* cli/ask.h - asks a worker for its evidence. */
#pragma once

#include "cli/cli.h"

/* Appends its attestation bundle for that nonce, which is not judged. ca: roots (PEM) for a tls://
 * worker; NULL: the system's. Complains when there is no such answer. */
enum cli_exit ask_bundle(const char *address, const char *ca, bytes nonce, struct buf *bundle);
