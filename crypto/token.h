/*
 * crypto/token.h - bearer tokens, known only by their SHA-256.
 *
 * A token file has one token per line: 64 hex digits, then optionally blanks and a name of
 * [A-Za-z0-9._-] for the log. Empty lines and lines that begin with '#' are skipped. Tokens should
 * be random and long: a plain SHA-256 does not slow down guessing.
 */
#pragma once

#include "base/buf.h"
#include "crypto/hash.h"

enum { TOKENS_MAX = 4096, TOKEN_NAME_MAX = 63, TOKEN_FILE_MAX = 1024 * 1024 };

struct token {
    uint8_t digest[SHA256_LEN];
    char name[TOKEN_NAME_MAX + 1]; /* may be empty */
};

/* Immutable once read; may be used by many threads. */
struct token_set {
    struct token *at;
    size_t n;
};

/* ERR_CONFIG, with "LINE: what is wrong" in *message. A set without a token is ERR_CONFIG as well:
 * it would lock everybody out. */
err token_set_read(struct token_set *out, bytes file, struct buf *message);
void token_set_clear(struct token_set *s);

/* The token's entry or NULL. Takes the same time whichever entry matches. */
const struct token *token_set_find(const struct token_set *s, bytes token);

/* What is behind "Bearer " (any case, RFC 6750), or empty. */
bytes token_of_authorization(bytes field);
