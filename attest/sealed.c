#include "attest/sealed.h"

#include "base/attr.h"
#include "crypto/aead.h"
#include "crypto/hkdf.h"
#include "crypto/secret.h"

#define LABEL "sealgate/sealed/v1"

enum { KEY_LEN = 32, NAME_MAX = 3 * 4 + sizeof LABEL + SEALED_VENDOR_MAX + SEALED_KEY_ID_MAX };

_Static_assert((int)SEALED_OVERHEAD == (int)AEAD_NONCE_LEN + (int)AEAD_TAG_LEN, "and nothing else");

struct sealed_key {
    uint8_t key[KEY_LEN];
    uint8_t name[NAME_MAX];
    size_t name_len;
};

static bool is_name_byte(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
}

bool sealed_key_id_good(bytes key_id)
{
    bool good = key_id.len > 0 && key_id.len <= SEALED_KEY_ID_MAX;
    for (size_t i = 0; good && i < key_id.len; i++)
        good = is_name_byte(key_id.at[i]);
    return good;
}

static err put_name(struct buf *out, bytes vendor, bytes key_id)
{
    const bytes parts[] = { BYTES_LIT(LABEL), vendor, key_id };
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        TRY(buf_add_u32be(out, (uint32_t)parts[i].len));
        TRY(buf_add(out, parts[i]));
    }
    return OK;
}

static bool is_zero(bytes root)
{
    static const uint8_t zeros[SEALED_ROOT_LEN];
    return secret_equal(root, BYTES_ARRAY(zeros));
}

static err derive(struct sealed_key *k, bytes vendor, bytes key_id, bytes root)
{
    SECRET_BYTES(prk, HKDF_PRK_LEN);
    BUF_AUTO name = BUF(NAME_MAX);
    TRY(put_name(&name, vendor, key_id));
    memcpy(k->name, name.at, name.len);
    k->name_len = name.len;
    hkdf_extract(BYTES_LIT(LABEL), root, prk);
    return hkdf_expand(prk, buf_view(&name), k->key, KEY_LEN);
}

err sealed_key_new(struct sealed_key **out, bytes vendor, bytes key_id, bytes root)
{
    void *k;
    ENSURE(vendor.len > 0 && vendor.len <= SEALED_VENDOR_MAX, MALFORMED);
    ENSURE(sealed_key_id_good(key_id), MALFORMED);
    ENSURE(root.len == SEALED_ROOT_LEN && !is_zero(root), MALFORMED);
    TRY(secret_new(&k, sizeof(struct sealed_key)));
    err e = derive(k, vendor, key_id, root);
    if (!err_is_ok(e)) {
        secret_free(k);
        return e;
    }
    *out = k;
    return OK;
}

void sealed_key_free(struct sealed_key *k)
{
    secret_free(k);
}

static bytes name_of(const struct sealed_key *k)
{
    return bytes_of(k->name, k->name_len);
}

err sealed_write(const struct sealed_key *k, bytes secret, struct buf *out)
{
    struct aead *aead;
    uint8_t *room;
    ENSURE(secret.len <= SEALED_SECRET_MAX, LIMIT);
    TRY(buf_reserve(out, SEALED_OVERHEAD + secret.len, &room));
    TRY(crypto_random(room, AEAD_NONCE_LEN));
    TRY(aead_new(&aead, AEAD_AES_256_GCM, true, BYTES_ARRAY(k->key)));
    err e = aead_seal(aead, room, name_of(k), secret, room + AEAD_NONCE_LEN);
    aead_free(aead);
    if (err_is_ok(e))
        buf_commit(out, SEALED_OVERHEAD + secret.len);
    return e;
}

err sealed_read(const struct sealed_key *k, bytes sealed, struct buf *out)
{
    struct aead *aead;
    uint8_t *room;
    bytes ciphertext = bytes_slice(sealed, AEAD_NONCE_LEN, sealed.len);
    ENSURE(sealed.len >= SEALED_OVERHEAD, CRYPTO);
    ENSURE(sealed.len <= SEALED_OVERHEAD + SEALED_SECRET_MAX, CRYPTO);
    TRY(buf_reserve(out, ciphertext.len - AEAD_TAG_LEN, &room));
    TRY(aead_new(&aead, AEAD_AES_256_GCM, false, BYTES_ARRAY(k->key)));
    err e = aead_open(aead, sealed.at, name_of(k), ciphertext, room);
    aead_free(aead);
    if (err_is_ok(e))
        buf_commit(out, ciphertext.len - AEAD_TAG_LEN);
    return e;
}
