/*
 * wire/keylist.h - key configurations, media type application/ohttp-keys (RFC 9458 section 3).
 *
 * Pure. What is read here is public and not yet trusted: whoever uses it must know it to be bound
 * to an attestation.
 */
#pragma once

#include "base/buf.h"

enum {
    KEYLIST_SUITES_MAX = 16,  /* pairs of one configuration */
    KEYLIST_CONFIGS_MAX = 16, /* what a sensible caller makes room for */
    KEY_CONFIG_DIGEST_LEN = 32,
    KEY_CONFIG_HINT_LEN = 22, /* without its NUL */
};

struct key_suite {
    uint16_t kdf;
    uint16_t aead;
};

struct key_config {
    uint8_t id;
    uint16_t kem;
    bytes public_key; /* borrowed */
    struct key_suite suites[KEYLIST_SUITES_MAX];
    size_t suites_n;
};

/* The two forms in use; they are never guessed apart. */
enum keylist_form {
    KEYLIST_PREFIXED, /* a list, each configuration behind its length: RFC 9458 */
    KEYLIST_BARE,     /* exactly one configuration without a length: EHBP and older peers */
};

/*
 * Reads all or nothing into out[0..max) and *n; public keys borrow from `in`. Unknown pairs are
 * kept. In the prefixed form a configuration of an unknown KEM is left out, so *n may be 0; in the
 * bare form it is ERR_UNSUPPORTED. ERR_MALFORMED for any encoding error anywhere; ERR_LIMIT for
 * more than max configurations or KEYLIST_SUITES_MAX pairs.
 */
err keylist_read(bytes in, enum keylist_form form, struct key_config *out, size_t max, size_t *n);

/* Appends; ERR_MALFORMED when a configuration is none (unknown KEM, key length, no pair). */
err keylist_write(struct buf *to, const struct key_config *configs, size_t n,
                  enum keylist_form form);

/* Whether that pair is among the configuration's. */
bool key_config_offers(const struct key_config *config, uint16_t kdf, uint16_t aead);

/* SHA-256 of the bare configuration. Errors as keylist_write. */
err key_config_digest(const struct key_config *config,
                      uint8_t digest[static KEY_CONFIG_DIGEST_LEN]);

/* The value of the x-ohttp-key field: base64url of the digest's first 16 bytes, with a NUL. */
err key_config_hint(const struct key_config *config, char hint[static KEY_CONFIG_HINT_LEN + 1]);
