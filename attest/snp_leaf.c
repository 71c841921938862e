#include "attest/snp_leaf.h"

#include "base/attr.h"

#define OID(tail) "1.3.6.1.4.1.3704.1." tail

enum { DER_INTEGER = 0x02, DER_OCTETS = 0x04, DER_IA5 = 0x16 };

/* A DER value of that type with a short length and nothing behind it. */
static err content_of(bytes der, uint8_t type, bytes *out)
{
    ENSURE(der.len >= 2 && der.at[0] == type && der.at[1] < 0x80, MALFORMED);
    ENSURE(der.len - 2 == der.at[1], MALFORMED);
    *out = bytes_slice(der, 2, der.len);
    return OK;
}

/* 0 to 255 in its one encoding. */
static err small_integer(bytes der, uint8_t *out)
{
    bytes n;
    TRY(content_of(der, DER_INTEGER, &n));
    ENSURE(n.len == 1 || (n.len == 2 && n.at[0] == 0 && n.at[1] >= 0x80), MALFORMED);
    ENSURE(n.len == 2 || n.at[0] < 0x80, MALFORMED);
    *out = n.at[n.len - 1];
    return OK;
}

static err must_have(err e)
{
    ENSURE(e.code != ERR_NOT_FOUND, MALFORMED);
    return e;
}

static err read_small(const struct x509_chain *chain, const char *oid, bool optional, uint8_t *out)
{
    bytes value;
    err e = x509_extension(chain, 0, oid, &value);
    if (optional && e.code == ERR_NOT_FOUND)
        return OK;
    TRY(must_have(e));
    return small_integer(value, out);
}

static err read_text(const struct x509_chain *chain, const char *oid, char *out, size_t most)
{
    bytes value;
    bytes text;
    TRY(must_have(x509_extension(chain, 0, oid, &value)));
    TRY(content_of(value, DER_IA5, &text));
    ENSURE(text.len > 0 && text.len <= most, MALFORMED);
    for (size_t i = 0; i < text.len; i++)
        ENSURE(text.at[i] >= 0x20 && text.at[i] < 0x7f, MALFORMED);
    memcpy(out, text.at, text.len);
    out[text.len] = '\0';
    return OK;
}

/* Which extension holds which byte of a TCB. The reserved ones count as 0 where they are absent. */
struct part {
    const char *oid;
    bool reserved;
};

static const struct part milan_parts[SNP_TCB_LEN] = {
    { OID("3.1"), false }, { OID("3.2"), false }, { OID("3.4"), true },  { OID("3.5"), true },
    { OID("3.6"), true },  { OID("3.7"), true },  { OID("3.3"), false }, { OID("3.8"), false },
};

static const struct part turin_parts[SNP_TCB_LEN] = {
    { OID("3.9"), false }, { OID("3.1"), false }, { OID("3.2"), false }, { OID("3.3"), false },
    { OID("3.5"), true },  { OID("3.6"), true },  { OID("3.7"), true },  { OID("3.8"), false },
};

static err read_tcb(const struct x509_chain *chain, enum snp_product p, struct snp_tcb *out)
{
    const struct part *parts = p == SNP_TURIN ? turin_parts : milan_parts;
    for (size_t i = 0; i < SNP_TCB_LEN; i++)
        TRY(read_small(chain, parts[i].oid, parts[i].reserved, &out->raw[i]));
    return OK;
}

static bool is_hwid_len(size_t len)
{
    return len == SNP_CHIP_ID_LEN || len == SNP_HWID_TURIN_LEN;
}

/* Most certificates have the bytes as they are, some in an OCTET STRING: its length tells. */
static err read_hwid(const struct x509_chain *chain, struct snp_leaf *out)
{
    bytes id;
    TRY(must_have(x509_extension(chain, 0, OID("4"), &id)));
    if (!is_hwid_len(id.len))
        TRY(content_of(id, DER_OCTETS, &id));
    ENSURE(is_hwid_len(id.len), MALFORMED);
    memcpy(out->hwid, id.at, id.len);
    out->hwid_len = id.len;
    return OK;
}

static err read_kind(const struct x509_chain *chain, struct snp_leaf *out)
{
    bytes name;
    TRY(must_have(x509_common_name(chain, 0, &name)));
    out->vlek = bytes_equal(name, BYTES_LIT("SEV-VLEK"));
    ENSURE(out->vlek || bytes_equal(name, BYTES_LIT("SEV-VCEK")), MALFORMED);
    return OK;
}

static err read_dates(const struct x509_chain *chain, struct snp_leaf *out)
{
    struct x509_about about;
    TRY(x509_about(chain, 0, &about));
    out->not_before = about.not_before;
    out->not_after = about.not_after;
    return OK;
}

err snp_leaf_read(const struct x509_chain *chain, struct snp_leaf *out)
{
    *out = (struct snp_leaf){ 0 };
    TRY(read_kind(chain, out));
    TRY(read_small(chain, OID("1"), false, &out->structure));
    TRY(read_text(chain, OID("2"), out->product_name, SNP_PRODUCT_NAME_MAX));
    out->product = snp_product_of_name(bytes_str(out->product_name));
    TRY(read_tcb(chain, out->product, &out->tcb));
    TRY(read_dates(chain, out));
    return out->vlek ? read_text(chain, OID("5"), out->csp_id, SNP_CSP_TEXT_MAX)
                     : read_hwid(chain, out);
}
