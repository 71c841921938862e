#include "wire/keylist.h"

#include "base/text.h"
#include "crypto/hash.h"
#include "crypto/kem.h"

_Static_assert((int)KEY_CONFIG_DIGEST_LEN == (int)SHA256_LEN, "the digest is SHA-256");

enum { BARE_MAX = 1 + 2 + KEM_PK_MAX + 2 + 4 * KEYLIST_SUITES_MAX };

static err read_suites(bytes in, struct key_config *out)
{
    ENSURE(in.len > 0 && in.len % 4 == 0, MALFORMED);
    ENSURE(in.len / 4 <= KEYLIST_SUITES_MAX, LIMIT);
    for (out->suites_n = 0; in.len > 0; out->suites_n++) {
        struct key_suite *s = &out->suites[out->suites_n];
        ENSURE(bytes_take_u16be(&in, &s->kdf) && bytes_take_u16be(&in, &s->aead), MALFORMED);
    }
    return OK;
}

/* key_id(1) kem_id(2) public_key(Npk) algs_len(2) (kdf_id(2) aead_id(2))*; *known tells whether
 * the KEM is, without which nothing behind it can be read. */
static err read_config(bytes in, struct key_config *out, bool *known)
{
    *out = (struct key_config){ 0 };
    ENSURE(bytes_take_u8(&in, &out->id) && bytes_take_u16be(&in, &out->kem), MALFORMED);
    const struct kem *kem = kem_find(out->kem);
    *known = kem != NULL;
    if (kem == NULL)
        return OK;
    uint16_t suites_len;
    ENSURE(bytes_take(&in, kem->pk_len, &out->public_key), MALFORMED);
    ENSURE(bytes_take_u16be(&in, &suites_len) && suites_len == in.len, MALFORMED);
    return read_suites(in, out);
}

static err read_bare(bytes in, struct key_config *out)
{
    bool known = false;
    TRY(read_config(in, out, &known));
    ENSURE(known, UNSUPPORTED);
    return OK;
}

static err read_next(bytes *in, struct key_config *out, bool *known)
{
    uint16_t len;
    bytes one;
    ENSURE(bytes_take_u16be(in, &len) && bytes_take(in, len, &one), MALFORMED);
    return read_config(one, out, known);
}

static err read_list(bytes in, struct key_config *out, size_t max, size_t *n)
{
    ENSURE(in.len > 0, MALFORMED);
    while (in.len > 0) {
        struct key_config one;
        bool known = false;
        TRY(read_next(&in, &one, &known));
        if (!known)
            continue;
        ENSURE(*n < max, LIMIT);
        out[(*n)++] = one;
    }
    return OK;
}

err keylist_read(bytes in, enum keylist_form form, struct key_config *out, size_t max, size_t *n)
{
    size_t got = 0;
    if (form == KEYLIST_BARE) {
        ENSURE(max > 0, LIMIT);
        TRY(read_bare(in, &out[0]));
        got = 1;
    } else {
        TRY(read_list(in, out, max, &got));
    }
    *n = got;
    return OK;
}

static size_t bare_len(const struct key_config *c)
{
    return 1 + 2 + c->public_key.len + 2 + 4 * c->suites_n;
}

static err write_bare(struct buf *to, const struct key_config *c)
{
    const struct kem *kem = kem_find(c->kem);
    ENSURE(kem != NULL && c->public_key.len == kem->pk_len, MALFORMED);
    ENSURE(c->suites_n > 0 && c->suites_n <= KEYLIST_SUITES_MAX, MALFORMED);
    TRY(buf_add_u8(to, c->id));
    TRY(buf_add_u16be(to, c->kem));
    TRY(buf_add(to, c->public_key));
    TRY(buf_add_u16be(to, (uint16_t)(4 * c->suites_n)));
    for (size_t i = 0; i < c->suites_n; i++) {
        TRY(buf_add_u16be(to, c->suites[i].kdf));
        TRY(buf_add_u16be(to, c->suites[i].aead));
    }
    return OK;
}

static err write_list(struct buf *to, const struct key_config *configs, size_t n)
{
    ENSURE(n > 0, MALFORMED);
    for (size_t i = 0; i < n; i++) {
        ENSURE(bare_len(&configs[i]) <= BARE_MAX, MALFORMED);
        TRY(buf_add_u16be(to, (uint16_t)bare_len(&configs[i])));
        TRY(write_bare(to, &configs[i]));
    }
    return OK;
}

err keylist_write(struct buf *to, const struct key_config *configs, size_t n,
                  enum keylist_form form)
{
    size_t before = to->len;
    ENSURE(form == KEYLIST_PREFIXED || n == 1, MALFORMED);
    err e = form == KEYLIST_BARE ? write_bare(to, &configs[0]) : write_list(to, configs, n);
    if (e.code != ERR_OK)
        buf_truncate(to, before);
    return e;
}

bool key_config_offers(const struct key_config *config, uint16_t kdf, uint16_t aead)
{
    for (size_t i = 0; i < config->suites_n; i++)
        if (config->suites[i].kdf == kdf && config->suites[i].aead == aead)
            return true;
    return false;
}

err key_config_digest(const struct key_config *config, uint8_t digest[static KEY_CONFIG_DIGEST_LEN])
{
    BUF_AUTO bare = BUF(BARE_MAX);
    TRY(write_bare(&bare, config));
    sha256_of(buf_view(&bare), digest);
    return OK;
}

err key_config_hint(const struct key_config *config, char hint[static KEY_CONFIG_HINT_LEN + 1])
{
    uint8_t digest[KEY_CONFIG_DIGEST_LEN];
    BUF_AUTO text = BUF(KEY_CONFIG_HINT_LEN);
    TRY(key_config_digest(config, digest));
    TRY(text_base64url_encode(&text, bytes_of(digest, 16)));
    ENSURE(text.len == KEY_CONFIG_HINT_LEN, INTERNAL);
    memcpy(hint, text.at, text.len);
    hint[KEY_CONFIG_HINT_LEN] = 0;
    return OK;
}
