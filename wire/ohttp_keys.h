/*
 * wire/ohttp_keys.h - a server's private keys: the present one and those still accepted, by id.
 *
 * One thread. Keys are wiped when they are retired.
 */
#pragma once

#include "wire/keylist.h"

struct hpke_private_key;

enum { OHTTP_KEYS_MAX = 8 };

struct ohttp_keys;

struct ohttp_key_settings {
    uint8_t id;
    struct key_suite suites[KEYLIST_SUITES_MAX];
    size_t suites_n;
    int64_t not_after; /* Unix seconds */
};

err ohttp_keys_new(struct ohttp_keys **out);

/*
 * Takes *key on success. ERR_EXISTS when the id is in use, ERR_LIMIT over OHTTP_KEYS_MAX,
 * ERR_UNSUPPORTED when there is no suite or one is not known here.
 */
err ohttp_keys_add(struct ohttp_keys *keys, const struct ohttp_key_settings *settings,
                   struct hpke_private_key *key);

/* Wipes every key whose not_after is before now; the number of those. */
size_t ohttp_keys_retire(struct ohttp_keys *keys, int64_t now);

/* The key itself, borrowed until it is retired. NULL: no such id. */
const struct hpke_private_key *ohttp_keys_private(const struct ohttp_keys *keys, uint8_t id);

/* The public side of one key, for publishing; public_key borrows from the key. False: no such id. */
bool ohttp_keys_find(const struct ohttp_keys *keys, uint8_t id, struct key_config *out);

size_t ohttp_keys_count(const struct ohttp_keys *keys);

void ohttp_keys_free(struct ohttp_keys *keys);
