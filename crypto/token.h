/*
 * crypto/token.h - bearer tokens, known only by their SHA-256.
 *
 * A token file has one token per line: 64 hex digits, then optionally blanks and a name of
 * [A-Za-z0-9._-] for the log. A line may as well be a JSON object, which can set rules:
 *
 *     {"sha256": "...", "name": "alice", "models": ["gpt-4o", "qwen*"], "requests_per_minute": 60,
 *      "tokens_per_minute": 100000, "concurrency": 4}
 *
 * All but sha256 may be left out, and is then not limited; an asterisk stands for any text. Keys of
 * one name are one caller's: they share what they may use, so their numbers must be the same. Empty
 * lines and lines that begin with '#' are skipped. Tokens should be random and long: a plain SHA-256
 * does not slow down guessing.
 */
#pragma once

#include "base/allowance.h"
#include "base/buf.h"
#include "crypto/hash.h"

enum {
    TOKENS_MAX = 4096,
    TOKEN_NAME_MAX = 63,
    TOKEN_MODELS_MAX = 256, /* of one token's rules */
    TOKEN_FILE_MAX = 1024 * 1024
};

struct json;

struct token {
    uint8_t digest[SHA256_LEN];
    char name[TOKEN_NAME_MAX + 1]; /* may be empty */
    struct json *rules;            /* the line, or NULL */
    struct allowance *allowance;   /* its caller's; without a name, one is made of the digest */
    bool first;                    /* of those with this allowance */
};

/* Immutable once read, but for the allowances; may be used by many threads. */
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

/* Whether anything is limited for it: its models, or how much it may use. */
bool token_has_rules(const struct token *t);

/* Whether requests with that token may name the model. */
bool token_allows(const struct token *t, bytes model);

/* Callers that were there before, by their names, go on with what they have used; their limits are
 * the new ones. Before the set is shared. */
void token_set_inherit(struct token_set *s, const struct token_set *before);

/* The metrics of all allowances, see allowance_render(). */
err token_set_render(const struct token_set *s, struct buf *out);

/* What is behind "Bearer " (any case, RFC 6750), or empty. */
bytes token_of_authorization(bytes field);
