/*
 * enclave-worker/secrets.h - the files with secrets that a worker reads at start: as they are, or as
 * `sealgate seal` made them for this TEE (attest/sealed.h).
 *
 * Either all of them are sealed or none is, so that nobody can put a file of his own in the place of a
 * sealed one.
 */
#pragma once

#include "base/buf.h"

struct secrets;

/* All borrowed for the call. */
struct secrets_settings {
    bool sealed;          /* false: the rest is not looked at */
    const char *platform; /* of this worker's own evidence */
    const char *key_id;
    const char *key_service; /* NULL: none */
    const char *key_file;    /* NULL: none */
};

/* Asks for the key, when one is needed; may block. ERR_CONFIG, with what to do in *message;
 * ERR_NOMEM. */
err secrets_open(struct secrets **out, const struct secrets_settings *settings,
                 struct buf *message);

/* NULL is allowed. */
void secrets_close(struct secrets *s);

/* Appends the secret in that file; on failure *out is as before. ERR_CONFIG, with the file's name in
 * *message: it cannot be read, is too long for out, or is not sealed to this TEE. */
err secrets_read(const struct secrets *s, const char *path, struct buf *out, struct buf *message);

/* The same of its first line, without blanks at its ends. */
err secrets_read_line(const struct secrets *s, const char *path, struct buf *out,
                      struct buf *message);
