#include "wire/ohttp_keys.h"

#include "base/mem.h"
#include "crypto/hpke.h"

struct key_entry {
    struct hpke_private_key *key;
    struct ohttp_key_settings settings;
};

struct ohttp_keys {
    struct key_entry entries[OHTTP_KEYS_MAX];
    size_t n;
};

err ohttp_keys_new(struct ohttp_keys **out)
{
    return mem_new(out);
}

static const struct key_entry *find_entry(const struct ohttp_keys *keys, uint8_t id)
{
    for (size_t i = 0; i < keys->n; i++)
        if (keys->entries[i].settings.id == id)
            return &keys->entries[i];
    return NULL;
}

static bool suites_are_known(const struct ohttp_key_settings *s, uint16_t kem)
{
    if (s->suites_n == 0 || s->suites_n > KEYLIST_SUITES_MAX)
        return false;
    for (size_t i = 0; i < s->suites_n; i++) {
        struct hpke_suite suite = { kem, s->suites[i].kdf, s->suites[i].aead };
        if (!hpke_suite_known(suite) || aead_key_len((enum aead_id)suite.aead) == 0)
            return false;
    }
    return true;
}

err ohttp_keys_add(struct ohttp_keys *keys, const struct ohttp_key_settings *settings,
                   struct hpke_private_key *key)
{
    ENSURE(suites_are_known(settings, hpke_key_kem(key)), UNSUPPORTED);
    ENSURE(find_entry(keys, settings->id) == NULL, EXISTS);
    ENSURE(keys->n < OHTTP_KEYS_MAX, LIMIT);
    keys->entries[keys->n++] = (struct key_entry){ key, *settings };
    return OK;
}

size_t ohttp_keys_retire(struct ohttp_keys *keys, int64_t now)
{
    size_t kept = 0;
    size_t had = keys->n;
    for (size_t i = 0; i < had; i++) {
        struct key_entry entry = keys->entries[i];
        if (entry.settings.not_after < now)
            hpke_key_free(entry.key);
        else
            keys->entries[kept++] = entry;
    }
    for (size_t i = kept; i < had; i++)
        keys->entries[i] = (struct key_entry){ 0 };
    keys->n = kept;
    return had - kept;
}

const struct hpke_private_key *ohttp_keys_private(const struct ohttp_keys *keys, uint8_t id)
{
    const struct key_entry *entry = find_entry(keys, id);
    return entry != NULL ? entry->key : NULL;
}

bool ohttp_keys_find(const struct ohttp_keys *keys, uint8_t id, struct key_config *out)
{
    const struct key_entry *entry = find_entry(keys, id);
    if (entry == NULL)
        return false;
    *out = (struct key_config){ .id = id,
                                .kem = hpke_key_kem(entry->key),
                                .public_key = hpke_key_public(entry->key),
                                .suites_n = entry->settings.suites_n };
    memcpy(out->suites, entry->settings.suites, sizeof out->suites);
    return true;
}

size_t ohttp_keys_count(const struct ohttp_keys *keys)
{
    return keys->n;
}

void ohttp_keys_free(struct ohttp_keys *keys)
{
    if (keys == NULL)
        return;
    for (size_t i = 0; i < keys->n; i++)
        hpke_key_free(keys->entries[i].key);
    mem_free(keys);
}
