#include "tests/unit/attest/fake_tpm.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "crypto/hash.h"
#include "tests/lib/law.h"

enum { NO_SUCH_HANDLE = 0x18b };

static struct fake_tpm *of(const struct tpm *t)
{
    return t->self;
}

static struct fake_tpm_index *find(struct fake_tpm *t, uint32_t index)
{
    for (size_t i = 0; i < FAKE_TPM_INDICES; i++) {
        if (t->indices[i].index == index)
            return &t->indices[i];
    }
    return NULL;
}

struct buf *fake_tpm_index(struct fake_tpm *t, uint32_t index)
{
    struct fake_tpm_index *i = find(t, index);
    if (i == NULL)
        i = find(t, 0);
    CHECK(i != NULL);
    if (i->index == 0)
        *i = (struct fake_tpm_index){ index, BUF(TPM_NV_MAX + 1) };
    return &i->content;
}

static uint32_t take32(bytes *in)
{
    uint32_t v = 0;
    CHECK(bytes_take_u32be(in, &v));
    return v;
}

static uint16_t take16(bytes *in)
{
    uint16_t v = 0;
    CHECK(bytes_take_u16be(in, &v));
    return v;
}

static bytes take_sized(bytes *in)
{
    bytes v = { 0 };
    CHECK(bytes_take(in, take16(in), &v));
    return v;
}

/* The empty password, as one session. */
static void take_password(bytes *in)
{
    CHECK(take32(in) == 9 && take32(in) == 0x40000009 && take16(in) == 0);
    CHECK(bytes_starts(*in, BYTES_LIT("\0\0\0")));
    *in = bytes_slice(*in, 3, in->len);
}

static void put_sized(struct buf *out, bytes b)
{
    CHECK_OK(buf_add_u16be(out, (uint16_t)b.len));
    CHECK_OK(buf_add(out, b));
}

/* --- commands: parameters in, parameters out, result back ------------------------------------ */

static uint32_t nv_read_public(struct fake_tpm *t, bytes in, struct buf *out)
{
    uint32_t index = take32(&in);
    struct fake_tpm_index *i = find(t, index);
    if (i == NULL)
        return NO_SUCH_HANDLE;
    CHECK_OK(buf_add_u16be(out, 14));
    CHECK_OK(buf_add_u32be(out, index));
    CHECK_OK(buf_add_u16be(out, 0x000b));
    CHECK_OK(buf_add_u32be(out, 0x00020002));
    CHECK_OK(buf_add_u16be(out, 0));
    CHECK_OK(buf_add_u16be(out, (uint16_t)i->content.len));
    put_sized(out, BYTES_LIT("its name"));
    return 0;
}

static uint32_t nv_read(struct fake_tpm *t, bytes in, struct buf *out)
{
    CHECK(take32(&in) == 0x40000001);
    struct fake_tpm_index *i = find(t, take32(&in));
    take_password(&in);
    uint16_t len = take16(&in);
    uint16_t offset = take16(&in);
    CHECK(i != NULL && in.len == 0 && len <= TPM_NV_PART);
    put_sized(out, bytes_slice(buf_view(&i->content), offset, len));
    return 0;
}

static uint32_t nv_define(struct fake_tpm *t, bytes in)
{
    CHECK(take32(&in) == 0x40000001);
    take_password(&in);
    CHECK(take_sized(&in).len == 0);
    bytes area = take_sized(&in);
    CHECK(in.len == 0 && area.len == 14);
    uint32_t index = take32(&area);
    CHECK(find(t, index) == NULL);
    CHECK(take16(&area) == 0x000b && take32(&area) == 0x00020002 && take16(&area) == 0);
    CHECK_OK(buf_add_zeros(fake_tpm_index(t, index), take16(&area)));
    return 0;
}

static uint32_t nv_write(struct fake_tpm *t, bytes in)
{
    CHECK(take32(&in) == 0x40000001);
    uint32_t index = take32(&in);
    struct fake_tpm_index *i = find(t, index);
    take_password(&in);
    bytes content = take_sized(&in);
    CHECK(i != NULL && take16(&in) == 0 && in.len == 0);
    CHECK(content.len <= i->content.len);
    memcpy(i->content.at, content.at, content.len);
    if (t->written != NULL)
        t->written(t, index);
    return 0;
}

static uint32_t pcr_read(struct fake_tpm *t, bytes in, struct buf *out)
{
    bytes selection = in;
    CHECK(take32(&in) == 1 && take16(&in) == 0x000b && in.len == 4 && in.at[0] == 3);
    CHECK_OK(buf_add_u32be(out, 77)); /* update counter */
    CHECK_OK(buf_add(out, selection));
    CHECK_OK(buf_add_u32be(out, 8));
    for (size_t i = 0; i < TPM_PCRS; i++) {
        if ((in.at[1 + i / 8] >> i % 8 & 1) != 0)
            put_sized(out, BYTES_ARRAY(t->pcrs[i]));
    }
    return 0;
}

static void put_signature(const struct fake_tpm *t, bytes message, struct buf *out)
{
    uint8_t sig[512];
    size_t len = sizeof sig;
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    CHECK(EVP_DigestSignInit(md, NULL, EVP_sha256(), NULL, t->ak) == 1);
    CHECK(EVP_DigestSign(md, sig, &len, message.at, message.len) == 1);
    EVP_MD_CTX_free(md);
    CHECK_OK(buf_add_u16be(out, t->scheme != 0 ? t->scheme : 0x0014));
    CHECK_OK(buf_add_u16be(out, 0x000b));
    put_sized(out, bytes_of(sig, len));
}

static uint32_t quote(struct fake_tpm *t, bytes in, struct buf *out)
{
    uint8_t digest[SHA256_LEN];
    struct buf *attest = &t->attest;
    uint32_t key = take32(&in);
    buf_truncate(attest, 0);
    if (key != t->key)
        return NO_SUCH_HANDLE;
    take_password(&in);
    bytes extra = take_sized(&in);
    CHECK(take16(&in) == 0x0010); /* the key's own scheme */
    if (t->extends > 0) {
        t->extends--;
        t->pcrs[16][0]++;
    }
    sha256_of(bytes_of(t->pcrs, sizeof t->pcrs), digest);
    CHECK_OK(buf_add(attest, BYTES_LIT("\xff"
                                       "TCG\x80\x18\0\2me")));
    put_sized(attest, extra);
    CHECK_OK(buf_add_zeros(attest, 17 + 8));
    CHECK_OK(buf_add(attest, in)); /* the selection */
    put_sized(attest, BYTES_ARRAY(digest));
    put_sized(out, buf_view(attest));
    put_signature(t, buf_view(attest), out);
    return 0;
}

static uint32_t run(struct fake_tpm *t, uint32_t code, bytes in, struct buf *out)
{
    if (t->busy > 0) {
        t->busy--;
        return 0x922;
    }
    if (t->result != 0)
        return t->result;
    switch (code) {
    case 0x12a:
        return nv_define(t, in);
    case 0x137:
        return nv_write(t, in);
    case 0x14e:
        return nv_read(t, in, out);
    case 0x158:
        return quote(t, in, out);
    case 0x169:
        return nv_read_public(t, in, out);
    case 0x17e:
        return pcr_read(t, in, out);
    default:
        fail_msg("no such command: %x", code);
        return 0;
    }
}

/* Its own room is taken beforehand: what fails to be allocated is the code's. */
static int exchange(const struct tpm *tpm, bytes command, struct buf *response)
{
    struct fake_tpm *t = of(tpm);
    struct buf *out = &t->out;
    bytes in = command;
    uint8_t *room = NULL;
    t->commands++;
    if (t->error != 0)
        return t->error;
    if (!err_is_ok(buf_reserve(response, TPM_MESSAGE_MAX, &room)))
        return 12; /* ENOMEM */
    buf_truncate(out, 0);
    uint16_t tag = take16(&in);
    CHECK(take32(&in) == command.len);
    uint32_t code = take32(&in);
    uint32_t result = run(t, code, in, out);
    bool sessions = tag == 0x8002 && result == 0;
    size_t size = 10 + (result == 0 ? out->len : 0) + (sessions ? 4 + 5 : 0);
    CHECK_OK(buf_add_u16be(response, sessions ? 0x8002 : 0x8001));
    CHECK_OK(buf_add_u32be(response, (uint32_t)size));
    CHECK_OK(buf_add_u32be(response, result));
    if (sessions)
        CHECK_OK(buf_add_u32be(response, (uint32_t)out->len));
    if (result == 0)
        CHECK_OK(buf_add(response, buf_view(out)));
    if (sessions)
        CHECK_OK(buf_add_zeros(response, 5));
    buf_truncate(response, response->len - (t->cut < response->len ? t->cut : response->len));
    return 0;
}

static void wait_in_vain(const struct tpm *t, unsigned ms)
{
    (void)ms;
    of(t)->waits++;
}

void fake_tpm_open(struct fake_tpm *t)
{
    BIGNUM *n = NULL;
    uint8_t raw[256];
    uint8_t *room = NULL;
    *t = (struct fake_tpm){ .tpm = { .exchange = exchange, .wait = wait_in_vain, .self = t },
                            .key = 0x81000003,
                            .ak = EVP_RSA_gen(2048),
                            .ak_n = BUF(256),
                            .attest = BUF(TPM_QUOTE_MAX),
                            .out = BUF(TPM_MESSAGE_MAX) };
    CHECK_OK(buf_reserve(&t->attest, TPM_QUOTE_MAX, &room));
    CHECK_OK(buf_reserve(&t->out, TPM_MESSAGE_MAX, &room));
    CHECK(t->ak != NULL && EVP_PKEY_get_bn_param(t->ak, OSSL_PKEY_PARAM_RSA_N, &n) == 1);
    CHECK(BN_bn2binpad(n, raw, sizeof raw) == sizeof raw);
    CHECK_OK(buf_add(&t->ak_n, BYTES_ARRAY(raw)));
    BN_free(n);
    for (size_t i = 0; i < TPM_PCRS; i++)
        memset(t->pcrs[i], (int)i, TPM_PCR_LEN);
}

void fake_tpm_close(struct fake_tpm *t)
{
    for (size_t i = 0; i < FAKE_TPM_INDICES; i++)
        buf_clear(&t->indices[i].content);
    buf_clear(&t->ak_n);
    buf_clear(&t->attest);
    buf_clear(&t->out);
    EVP_PKEY_free(t->ak);
}
