#include "crypto/pem_key.h"

#include "base/text.h"
#include "crypto/secret.h"

/* The DER in front of the 32 bytes, which are its end. */
static const uint8_t private_head[] = { 0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06,
                                        0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20 };
static const uint8_t public_head[] = { 0x30, 0x2a, 0x30, 0x05, 0x06, 0x03,
                                       0x2b, 0x65, 0x70, 0x03, 0x21, 0x00 };

struct form {
    bytes begin, head, end;
};

static const struct form private_form = {
    { (const uint8_t *)"-----BEGIN PRIVATE KEY-----\n", 28 },
    { private_head, sizeof private_head },
    { (const uint8_t *)"\n-----END PRIVATE KEY-----\n", 27 },
};
static const struct form public_form = {
    { (const uint8_t *)"-----BEGIN PUBLIC KEY-----\n", 27 },
    { public_head, sizeof public_head },
    { (const uint8_t *)"\n-----END PUBLIC KEY-----\n", 26 },
};

_Static_assert((int)ED25519_SEED_LEN == (int)ED25519_PK_LEN, "both forms end with 32 bytes");

static err write_form(struct buf *text, const struct form *f, bytes key)
{
    BUF_AUTO der = BUF(64);
    TRY(buf_add(&der, f->head));
    TRY(buf_add(&der, key));
    TRY(buf_add(text, f->begin));
    TRY(text_base64_encode(text, buf_view(&der)));
    return buf_add(text, f->end);
}

static err read_form(uint8_t key[static ED25519_PK_LEN], const struct form *f, bytes text)
{
    BUF_AUTO der = BUF(64);
    ENSURE(bytes_starts(text, f->begin) && bytes_ends(text, f->end) &&
               text.len >= f->begin.len + f->end.len,
           MALFORMED);
    size_t inside = text.len - f->begin.len - f->end.len;
    err e = text_base64_decode(&der, bytes_slice(text, f->begin.len, inside));
    ENSURE(e.code != ERR_LIMIT, MALFORMED);
    TRY(e);
    ENSURE(bytes_starts(buf_view(&der), f->head) && der.len == f->head.len + ED25519_PK_LEN,
           MALFORMED);
    memcpy(key, der.at + f->head.len, ED25519_PK_LEN);
    return OK;
}

err pem_key_make(struct signing_key **out, struct buf *text)
{
    SECRET_BYTES(seed, ED25519_SEED_LEN);
    TRY(crypto_random(seed, sizeof seed));
    TRY(write_form(text, &private_form, BYTES_ARRAY(seed)));
    return signing_key_from_seed(out, BYTES_ARRAY(seed));
}

err pem_key_read(struct signing_key **out, bytes text)
{
    SECRET_BYTES(seed, ED25519_SEED_LEN);
    TRY(read_form(seed, &private_form, text));
    return signing_key_from_seed(out, BYTES_ARRAY(seed));
}

err pem_public_write(struct buf *text, const uint8_t pk[static ED25519_PK_LEN])
{
    return write_form(text, &public_form, bytes_of(pk, ED25519_PK_LEN));
}

err pem_public_read(uint8_t pk[static ED25519_PK_LEN], bytes text)
{
    return read_form(pk, &public_form, text);
}
