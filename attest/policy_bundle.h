/*
 * attest/policy_bundle.h - a policy with a version, an end, and signatures: one text file.
 *
 *     sealgate-policy-bundle-v1
 *     version: 7
 *     created: 2026-11-20T12:00:00Z
 *     expires: 2027-02-20T00:00:00Z
 *     length: 51
 *
 *     <the policy's bytes, 51 of them, exactly as they were signed>
 *     signature: <64 hex digits: an Ed25519 public key> <128 hex digits: its signature>
 *
 * In this order and spelling and no other; each line ends with a line feed, and one more stands
 * behind the policy. What is signed is every byte in front of the first signature's line. The first
 * line keeps apart what one key may sign elsewhere. PROTOCOL.md has an example.
 *
 * The policy in it is attest/policy.h; lines in messages about it count from the file's first.
 */
#pragma once

#include "attest/policy.h"
#include "crypto/hash.h"
#include "crypto/sign.h"

enum {
    POLICY_BUNDLE_MAX = 260 * 1024,
    POLICY_BUNDLE_POLICY_MAX = 255 * 1024,
    POLICY_BUNDLE_SIGNATURES_MAX = 8,
    POLICY_BUNDLE_SKEW_S = 300 /* how far `created` may lie ahead of our clock */
};

#define POLICY_BUNDLE_VERSION_MAX ((uint64_t)999999999999999)

struct policy_signature {
    uint8_t key[ED25519_PK_LEN];
    uint8_t signature[ED25519_SIG_LEN];
};

/* bytes are borrowed. */
struct policy_bundle {
    uint64_t version; /* 1 to POLICY_BUNDLE_VERSION_MAX */
    int64_t created;  /* Unix seconds, like `expires`, which is later */
    int64_t expires;  /* not to be used from then on */
    bytes policy;
    bytes signed_part;
    struct policy_signature signatures[POLICY_BUNDLE_SIGNATURES_MAX]; /* each by another key */
    size_t signatures_n;
};

/* Does the file begin like a bundle, of this or another form? No policy alone does. */
bool policy_bundle_is(bytes file);

/* Form only. ERR_UNSUPPORTED: a bundle of another form. ERR_LIMIT: over a _MAX. */
err policy_bundle_read(bytes file, struct policy_bundle *out);

/* Appends a bundle with one signature. ERR_LIMIT, or ERR_MALFORMED for a version of 0, an end that is
 * not behind the beginning, an empty policy, or times outside the years 1970 to 9999. Whether the
 * policy reads is for the caller. */
err policy_bundle_write(struct buf *out, const struct policy_bundle *b,
                        const struct signing_key *key);

/* Appends the same bundle with one more signature. ERR_EXISTS: that key has signed it. */
err policy_bundle_sign(struct buf *out, bytes file, const struct signing_key *key);

/* --- a policy file of either form --- */

/* Public keys of which each must have signed. None: a policy without signatures is accepted, too. */
struct policy_keys {
    uint8_t at[POLICY_BUNDLE_SIGNATURES_MAX][ED25519_PK_LEN];
    size_t n;
};

/* 64 hex digits; the same key counts once. ERR_MALFORMED, or ERR_LIMIT for too many. */
err policy_keys_add(struct policy_keys *keys, bytes hex);

#define POLICY_OUTCOME_LIST(X)                                                                     \
    X(UNREAD, "unreadable")           /* nothing to read there */                                  \
    X(ACCEPTED, "accepted")           /* reads, and is signed as asked */                          \
    X(MALFORMED, "malformed")         /* not a policy, or not a bundle */                          \
    X(UNSIGNED, "unsigned")           /* a key that must have signed has not */                    \
    X(BAD_SIGNATURE, "bad_signature") /* some signature does not verify */                         \
    X(EXPIRED, "expired")                                                                          \
    X(EARLY, "not_yet_valid")   /* made in the future, by our clock */                             \
    X(OLDER, "older")           /* than one that was in force; not by policy_open() */             \
    X(UNKEPT, "not_remembered") /* its version could not be written down; likewise */

enum policy_outcome {
#define X(name, word) POLICY_##name,
    POLICY_OUTCOME_LIST(X)
#undef X
        POLICY_OUTCOMES
};

/* What is known of a policy file besides the policy. */
struct policy_facts {
    bool is_bundle;
    uint64_t version; /* of bundles, as all below but the digest */
    int64_t created;
    int64_t expires; /* 0: never */
    size_t signatures_n;
    uint8_t digest[SHA256_LEN]; /* of the signed part, or of the policy alone */
};

/* Everything is borrowed. */
struct policy_ask {
    bytes file;
    const char *name; /* for messages */
    const struct policy_keys *keys;
    int64_t now;
    struct buf *message; /* NULL: not wanted */
};

struct policy_opened {
    struct policy *policy; /* for policy_free(); NULL unless outcome is POLICY_ACCEPTED */
    enum policy_outcome outcome;
    struct policy_facts facts; /* as far as the file could be read */
};

/* Judges a policy file of either form. Unless it is accepted *message has a line for people. Every
 * signature must verify, asked for or not. *out is always set. ERR_NOMEM alone. */
err policy_open(const struct policy_ask *ask, struct policy_opened *out);
