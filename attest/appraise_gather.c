/*
 * What is what, by its first bytes. Nothing here is believed: a part taken for another one does not
 * verify as that.
 */
#include "attest/appraise_parts.h"
#include "attest/snp_parse.h"
#include "attest/tdx_parse.h"
#include "base/attr.h"
#include "base/text.h"
#include "crypto/pem.h"

enum { TDX_TEE_TYPE = 0x81, DER_SEQUENCE = 0x30, DER_INTEGER = 0x02, DER_LONG = 0x80 };

static uint32_t u32le(bytes in, size_t at)
{
    return in.len < at + 4 ? 0
                           : (uint32_t)in.at[at] | (uint32_t)in.at[at + 1] << 8 |
                                 (uint32_t)in.at[at + 2] << 16 | (uint32_t)in.at[at + 3] << 24;
}

/* The version is two bytes, the key type behind it never zero; SNP's version is four bytes. */
static bool is_tdx_quote(bytes in)
{
    uint32_t head = u32le(in, 0);
    uint32_t version = head & 0xffff;
    return version >= 3 && version <= TDX_QUOTE_V5 && head >> 16 != 0 &&
           u32le(in, 4) == TDX_TEE_TYPE;
}

static bool is_snp_report(bytes in)
{
    uint32_t version = u32le(in, 0);
    return in.len >= SNP_REPORT_LEN && version >= SNP_VERSION_MIN && version <= SNP_VERSION_MAX;
}

/* array(4) of bytes that are a map {1: -35}. */
static bool is_nitro_document(bytes in)
{
    return bytes_starts(in, BYTES_LIT("\x84\x44\xa1\x01\x38\x22"));
}

/* A map whose first key is "nonce". */
static bool is_sealgate_bundle(bytes in)
{
    return in.len > 0 && in.at[0] >> 5 == 5 &&
           bytes_starts(bytes_slice(in, 1, in.len), BYTES_LIT("\x65nonce"));
}

enum appraise_platform appraise_recognise(bytes evidence)
{
    if (is_tdx_quote(evidence))
        return APPRAISE_TDX;
    if (is_snp_report(evidence))
        return APPRAISE_SNP;
    if (is_nitro_document(evidence))
        return APPRAISE_NITRO;
    return is_sealgate_bundle(evidence) ? APPRAISE_SEALGATE : APPRAISE_AUTO;
}

/* --- DER and PEM ------------------------------------------------------------------------------ */

static bool is_pem(bytes in)
{
    return bytes_starts(in, BYTES_LIT("-----BEGIN CERTIFICATE"));
}

/* Cuts tag and length off; 0 when it is not DER. */
static uint8_t der_enter(bytes *in)
{
    uint8_t tag;
    uint8_t len;
    bytes more;
    if (!bytes_take_u8(in, &tag) || !bytes_take_u8(in, &len))
        return 0;
    if (len >= DER_LONG && !bytes_take(in, len - DER_LONG, &more))
        return 0;
    return tag;
}

/* The first thing that is signed: of a list its version (an integer), of a certificate [0]. */
static bool is_crl(bytes in)
{
    if (der_enter(&in) != DER_SEQUENCE || der_enter(&in) != DER_SEQUENCE || in.len == 0)
        return false;
    return in.at[0] == DER_INTEGER;
}

static bool contains(bytes in, bytes what)
{
    return text_find(in, what) < in.len;
}

/* --- TDX -------------------------------------------------------------------------------------- */

static bool set_once(bytes *to, bytes part)
{
    if (to->len > 0)
        return false;
    *to = part;
    return true;
}

static bool place_tdx(bytes part, struct tdx_collateral *out)
{
    if (part.len == 0)
        return false;
    if (is_pem(part))
        return set_once(&out->tcb_info_chain, part) || set_once(&out->qe_identity_chain, part);
    if (is_crl(part))
        return set_once(
            contains(part, BYTES_LIT("Intel SGX Root CA")) ? &out->root_crl : &out->pck_crl, part);
    if (part.at[0] != '{')
        return false;
    bytes head = bytes_slice(part, 0, 64);
    if (contains(head, BYTES_LIT("\"tcbInfo\"")))
        return set_once(&out->tcb_info, part);
    return contains(head, BYTES_LIT("\"enclaveIdentity\"")) && set_once(&out->qe_identity, part);
}

static bool is_complete(const struct tdx_collateral *c)
{
    return c->pck_crl.len > 0 && c->root_crl.len > 0 && c->tcb_info.len > 0 &&
           c->qe_identity.len > 0 && c->tcb_info_chain.len > 0;
}

bool appraise_gather_tdx(const struct appraise_settings *s, struct tdx_collateral *out,
                         enum reason *why)
{
    *out = (struct tdx_collateral){ .version = TDX_COLLATERAL_VERSION };
    *why = REASON_MALFORMED;
    if (s->collateral_n == 1 && err_is_ok(tdx_collateral_read(s->collateral[0], out)))
        return true;
    *out = (struct tdx_collateral){ .version = TDX_COLLATERAL_VERSION };
    for (size_t i = 0; i < s->collateral_n; i++) {
        if (!place_tdx(s->collateral[i], out))
            return false;
    }
    if (out->qe_identity_chain.len == 0)
        out->qe_identity_chain = out->tcb_info_chain;
    *why = REASON_NO_COLLATERAL;
    return is_complete(out);
}

/* --- SNP -------------------------------------------------------------------------------------- */

/* Only leaves carry AMD's extensions, 1.3.6.1.4.1.3704.1; only those of a cloud its name, .5. */
static enum snp_entry_kind kind_of_der(bytes der)
{
    static const uint8_t cloud[] = { 0x2b, 6, 1, 4, 1, 0x9c, 0x78, 1, 5 };
    static const uint8_t amd[] = { 0x2b, 6, 1, 4, 1, 0x9c, 0x78, 1 };
    if (is_crl(der))
        return SNP_ENTRY_CRL;
    if (!contains(der, BYTES_ARRAY(amd)))
        return SNP_ENTRY_ASK;
    return contains(der, BYTES_ARRAY(cloud)) ? SNP_ENTRY_VLEK : SNP_ENTRY_VCEK;
}

static err kind_of_text(bytes pem, enum snp_entry_kind *out)
{
    struct pem_certs certs;
    err e = pem_read_certs(&certs, pem);
    if (err_is_ok(e))
        *out = kind_of_der(certs.certs[0]);
    pem_clear(&certs);
    return e;
}

/* The entries of a table begin with a GUID; a certificate or list in DER with a sequence. */
static err add_snp(struct snp_collateral *out, bytes part)
{
    enum snp_entry_kind kind = SNP_ENTRY_OTHER;
    ENSURE(part.len > 0, MALFORMED);
    if (is_pem(part))
        TRY(kind_of_text(part, &kind));
    else if (part.at[0] == DER_SEQUENCE)
        kind = kind_of_der(part);
    else
        return snp_collateral_read(out, part);
    return snp_collateral_add(out, kind, part);
}

err appraise_gather_snp(const struct appraise_settings *s, bytes table, struct snp_collateral *out,
                        enum reason *why)
{
    err e = snp_collateral_read(out, table);
    for (size_t i = 0; err_is_ok(e) && i < s->collateral_n; i++)
        e = add_snp(out, s->collateral[i]);
    ENSURE(e.code != ERR_NOMEM, NOMEM);
    *why = err_is_ok(e) ? REASON_PASSED : REASON_MALFORMED;
    return OK;
}
