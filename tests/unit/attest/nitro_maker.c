#include "tests/unit/attest/nitro_maker.h"

#include "base/cbor.h"

enum { DAY = 86400, LARGE = 64 * 1024 };

static struct pki_cert *make(const char *name, const struct pki_cert *by, const char *constraints)
{
    return pki_new(&(struct pki_spec){ .name = name,
                                       .curve = "P-384",
                                       .digest = "SHA384",
                                       .issuer = by,
                                       .constraints = constraints,
                                       .from_s = NITRO_MAKER_NOW - DAY,
                                       .until_s = NITRO_MAKER_NOW + DAY });
}

void nitro_maker_open(struct nitro_maker *m)
{
    *m = (struct nitro_maker){ .timestamp_ms = NITRO_MAKER_NOW * 1000ULL,
                               .pcrs_n = 3,
                               .indefinite = true,
                               .document = BUF(LARGE) };
    m->root = make("root", NULL, "critical,CA:TRUE");
    m->issuer = make("issuer", m->root, "critical,CA:TRUE,pathlen:0");
    m->leaf = make("leaf", m->issuer, "critical,CA:FALSE");
    sha256_of(pki_der(m->root), m->pin.sha256);
    m->certificate = pki_der(m->leaf);
    m->cabundle[m->cabundle_n++] = pki_der(m->root);
    m->cabundle[m->cabundle_n++] = pki_der(m->issuer);
    for (size_t i = 0; i < 3; i++)
        memset(m->pcrs[i], (int)i + 1, NITRO_PCR_LEN);
}

void nitro_maker_close(struct nitro_maker *m)
{
    pki_free(m->leaf);
    pki_free(m->issuer);
    pki_free(m->root);
    buf_clear(&m->document);
}

static void put_key(struct buf *out, const char *key)
{
    CHECK_OK(cbor_put_text(out, bytes_str(key)));
}

static void put_optional(struct buf *out, const char *key, bytes value)
{
    put_key(out, key);
    CHECK_OK(value.at != NULL ? cbor_put_bytes(out, value) : cbor_put_null(out));
}

static void put_pcrs(struct buf *out, const struct nitro_maker *m)
{
    put_key(out, "pcrs");
    CHECK_OK(cbor_put_map(out, m->pcrs_n + (m->signer != 0)));
    for (size_t i = 0; i < m->pcrs_n; i++) {
        CHECK_OK(cbor_put_uint(out, i));
        CHECK_OK(cbor_put_bytes(out, BYTES_ARRAY(m->pcrs[i])));
    }
    if (m->signer == 0)
        return;
    uint8_t pcr8[NITRO_PCR_LEN];
    memset(pcr8, m->signer, sizeof pcr8);
    CHECK_OK(cbor_put_uint(out, 8));
    CHECK_OK(cbor_put_bytes(out, BYTES_ARRAY(pcr8)));
}

static void put_payload(struct buf *out, const struct nitro_maker *m)
{
    CHECK_OK(m->indefinite ? buf_add_u8(out, 0xbf) : cbor_put_map(out, 9));
    put_key(out, "module_id");
    CHECK_OK(cbor_put_text(out, BYTES_LIT("i-1-enc1")));
    put_key(out, "digest");
    CHECK_OK(cbor_put_text(out, BYTES_LIT("SHA384")));
    put_key(out, "timestamp");
    CHECK_OK(cbor_put_uint(out, m->timestamp_ms));
    put_pcrs(out, m);
    put_key(out, "certificate");
    CHECK_OK(cbor_put_bytes(out, m->certificate));
    put_key(out, "cabundle");
    CHECK_OK(cbor_put_array(out, m->cabundle_n));
    for (size_t i = 0; i < m->cabundle_n; i++)
        CHECK_OK(cbor_put_bytes(out, m->cabundle[i]));
    put_optional(out, "public_key", m->public_key);
    put_optional(out, "user_data", m->user_data);
    put_optional(out, "nonce", m->nonce);
    CHECK_OK(buf_add(out, m->surplus));
    if (m->indefinite)
        CHECK_OK(buf_add_u8(out, 0xff));
}

void nitro_maker_make(struct nitro_maker *m)
{
    uint8_t signature[96];
    bytes header = BYTES_LIT("\xa1\x01\x38\x22");
    BUF_AUTO payload = BUF(LARGE);
    BUF_AUTO tbs = BUF(LARGE);
    put_payload(&payload, m);
    CHECK_OK(cose_sign1_tbs(&tbs, header, (bytes){ 0 }, buf_view(&payload)));
    pki_sign_p384(m->leaf, buf_view(&tbs), signature);
    buf_truncate(&m->document, 0);
    CHECK_OK(cbor_put_array(&m->document, 4));
    CHECK_OK(cbor_put_bytes(&m->document, header));
    CHECK_OK(cbor_put_map(&m->document, 0));
    CHECK_OK(cbor_put_bytes(&m->document, buf_view(&payload)));
    CHECK_OK(cbor_put_bytes(&m->document, BYTES_ARRAY(signature)));
}
