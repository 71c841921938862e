/*
 * A sealed body at the server's end, under a fixed key. An even first byte: the rest is the body as it
 * stands. Law: it makes no difference how it is cut, and only known refusals come out. An odd one:
 * the rest is text to be sealed, with one byte of the body changed where the next two bytes say.
 * Law: unchanged it opens to the text; changed it is refused and shows no more than a part of it.
 */
#include <stdlib.h>

#include "crypto/aead.h"
#include "crypto/init.h"
#include "wire/ehbp.h"
#include "wire/keylist.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FRAME_MAX = 1 << 16 };

static struct hpke_private_key *key, *other;
static struct key_config config;

static void demand(bool what)
{
    if (!what)
        abort();
}

static void set_up(void)
{
    static const uint8_t sk[32] = { 1, 2, 3 }, other_sk[32] = { 4, 5, 6 };
    if (key != NULL)
        return;
    demand(crypto_init().code == ERR_OK);
    demand(hpke_key_load(&key, KEM_X25519_HKDF_SHA256, BYTES_ARRAY(sk)).code == ERR_OK);
    demand(hpke_key_load(&other, KEM_X25519_HKDF_SHA256, BYTES_ARRAY(other_sk)).code == ERR_OK);
    config = (struct key_config){ .kem = KEM_X25519_HKDF_SHA256,
                                  .public_key = hpke_key_public(key),
                                  .suites = { { HPKE_KDF_HKDF_SHA256, AEAD_AES_256_GCM } },
                                  .suites_n = 1 };
}

static struct ehbp_client *client(char field[static EHBP_HEX_LEN + 1])
{
    static const uint8_t sk[32] = { 7, 8, 9 };
    const struct hpke_ephemeral given = { .sk = BYTES_ARRAY(sk) };
    struct ehbp_client *c;
    demand(ehbp_client_new(&c, &config, &given).code == ERR_OK);
    ehbp_client_key(c, field);
    return c;
}

static err open_in_steps(const char *field, bytes body, size_t step, struct buf *plain)
{
    struct ehbp_server *s;
    const struct hpke_private_key *const keys[] = { other, key };
    err e = ehbp_server_new(&s, keys, 2, bytes_str(field), FRAME_MAX);
    demand(e.code == ERR_OK);
    do {
        bytes piece = bytes_slice(body, 0, step);
        body = bytes_slice(body, piece.len, body.len);
        e = ehbp_server_open(s, piece, body.len == 0, plain);
    } while (e.code == ERR_OK && body.len > 0);
    demand(e.code == ERR_OK || e.code == ERR_CRYPTO || e.code == ERR_MALFORMED ||
           e.code == ERR_TRUNCATED || e.code == ERR_LIMIT);
    demand(e.code != ERR_OK || ehbp_server_verified(s));
    ehbp_server_free(s);
    return e;
}

static void check_body(bytes body)
{
    char field[EHBP_HEX_LEN + 1];
    BUF_AUTO whole = BUF(1 << 24);
    BUF_AUTO slow = BUF(1 << 24);
    ehbp_client_free(client(field));
    err a = open_in_steps(field, body, body.len + 1, &whole);
    err b = open_in_steps(field, body, 1, &slow);
    demand(a.code == b.code && bytes_equal(buf_view(&whole), buf_view(&slow)));
}

static void check_sealed(bytes text, size_t at, uint8_t change)
{
    char field[EHBP_HEX_LEN + 1];
    BUF_AUTO body = BUF(1 << 24);
    BUF_AUTO plain = BUF(1 << 24);
    struct ehbp_client *c = client(field);
    demand(ehbp_client_seal(c, text, &body).code == ERR_OK);
    ehbp_client_free(c);
    if (body.len == 0)
        return;
    body.at[at % body.len] ^= change;
    err e = open_in_steps(field, buf_view(&body), 1000, &plain);
    demand((e.code == ERR_OK) == (change == 0));
    demand(bytes_starts(text, buf_view(&plain)));
    demand(change != 0 || plain.len == text.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t mode;
    uint16_t at = 0;
    bytes in = bytes_of(data, size);
    set_up();
    if (!bytes_take_u8(&in, &mode))
        return 0;
    if (mode % 2 == 0)
        check_body(in);
    else if (bytes_take_u16be(&in, &at))
        check_sealed(in, at, mode >> 1);
    return 0;
}
