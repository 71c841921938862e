#include "attest/snp_table.h"

#include "crypto/crl.h"
#include "crypto/pem.h"

enum { GUID_LEN = 16, ENTRY_LEN = 24 };

static const uint8_t guids[SNP_ENTRY_KINDS][GUID_LEN] = {
    [SNP_ENTRY_VCEK] = { 0x63, 0xda, 0x75, 0x8d, 0xe6, 0x64, 0x45, 0x64, 0xad, 0xc5, 0xf4, 0xb9,
                         0x3b, 0xe8, 0xac, 0xcd },
    [SNP_ENTRY_VLEK] = { 0xa8, 0x07, 0x4b, 0xc2, 0xa2, 0x5a, 0x48, 0x3e, 0xaa, 0xe6, 0x39, 0xc0,
                         0x45, 0xa0, 0xb8, 0xa1 },
    [SNP_ENTRY_ASK] = { 0x4a, 0xb7, 0xb3, 0x79, 0xbb, 0xac, 0x4f, 0xe4, 0xa0, 0x2f, 0x05, 0xae,
                        0xf3, 0x27, 0xc7, 0x82 },
    [SNP_ENTRY_ARK] = { 0xc0, 0xb4, 0x06, 0xa4, 0xa8, 0x03, 0x49, 0x52, 0x97, 0x43, 0x3f, 0xb6,
                        0x01, 0x4c, 0xd0, 0xae },
    [SNP_ENTRY_CRL] = { 0x92, 0xf8, 0x1b, 0xc3, 0x58, 0x11, 0x4d, 0x3d, 0x97, 0xff, 0xd1, 0x9f,
                        0x88, 0xdc, 0x67, 0xea },
};

static enum snp_entry_kind kind_of(bytes guid)
{
    for (unsigned i = SNP_ENTRY_OTHER + 1; i < SNP_ENTRY_KINDS; i++) {
        if (bytes_equal(guid, BYTES_ARRAY(guids[i])))
            return (enum snp_entry_kind)i;
    }
    return SNP_ENTRY_OTHER;
}

static bool is_zero(bytes in)
{
    uint8_t any = 0;
    for (size_t i = 0; i < in.len; i++)
        any |= in.at[i];
    return any == 0;
}

static size_t u32le(const uint8_t *p)
{
    return p[0] | (size_t)p[1] << 8 | (size_t)p[2] << 16 | (size_t)p[3] << 24;
}

/* Where the entries end, the one of zeros included. */
static err find_end(bytes in, size_t *end)
{
    for (size_t at = 0; at <= SNP_ENTRIES_MAX * ENTRY_LEN; at += ENTRY_LEN) {
        bytes entry = bytes_slice(in, at, ENTRY_LEN);
        ENSURE(entry.len == ENTRY_LEN, TRUNCATED);
        if (!is_zero(entry))
            continue;
        *end = at + ENTRY_LEN;
        return OK;
    }
    FAIL(LIMIT);
}

/* The entry at `at` is inside; `end` is where data may begin. */
static err read_entry(bytes in, size_t at, size_t end, struct snp_entry *out)
{
    const uint8_t *entry = in.at + at;
    size_t offset = u32le(entry + GUID_LEN);
    size_t len = u32le(entry + GUID_LEN + 4);
    ENSURE(offset >= end && len > 0, MALFORMED);
    ENSURE(offset <= in.len && len <= in.len - offset, MALFORMED);
    out->kind = kind_of(bytes_of(entry, GUID_LEN));
    out->data = bytes_slice(in, offset, len);
    return OK;
}

err snp_table_read(bytes in, struct snp_table *out)
{
    size_t end = 0;
    *out = (struct snp_table){ 0 };
    if (in.len == 0)
        return OK;
    ENSURE(in.len <= SNP_TABLE_MAX, LIMIT);
    TRY(find_end(in, &end));
    size_t n = end / ENTRY_LEN - 1;
    for (size_t i = 0; i < n; i++)
        TRY(read_entry(in, i * ENTRY_LEN, end, &out->entries[i]));
    out->n = n;
    return OK;
}

/* --- writing --------------------------------------------------------------------------------- */

static err put_u32le(struct buf *out, size_t v)
{
    const uint8_t le[4] = { (uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16), (uint8_t)(v >> 24) };
    return buf_add(out, BYTES_ARRAY(le));
}

err snp_table_write(struct buf *out, const struct snp_entry *entries, size_t n)
{
    size_t offset = (n + 1) * ENTRY_LEN;
    ENSURE(n <= SNP_ENTRIES_MAX, LIMIT);
    for (size_t i = 0; i < n; i++) {
        ENSURE(entries[i].kind > SNP_ENTRY_OTHER && entries[i].kind < SNP_ENTRY_KINDS, UNSUPPORTED);
        ENSURE(entries[i].data.len > 0, MALFORMED);
        ENSURE(entries[i].data.len <= SNP_TABLE_MAX - offset, LIMIT);
        TRY(buf_add(out, BYTES_ARRAY(guids[entries[i].kind])));
        TRY(put_u32le(out, offset));
        TRY(put_u32le(out, entries[i].data.len));
        offset += entries[i].data.len;
    }
    TRY(buf_add_zeros(out, ENTRY_LEN));
    for (size_t i = 0; i < n; i++)
        TRY(buf_add(out, entries[i].data));
    return OK;
}

/* --- certificates ---------------------------------------------------------------------------- */

static err set_once(bytes *to, bytes value)
{
    ENSURE(to->len == 0, MALFORMED);
    *to = value;
    return OK;
}

static err add_der(struct snp_collateral *c, enum snp_entry_kind kind, bytes der)
{
    switch (kind) {
    case SNP_ENTRY_VCEK:
        return set_once(&c->vcek, der);
    case SNP_ENTRY_VLEK:
        return set_once(&c->vlek, der);
    case SNP_ENTRY_CRL:
        return set_once(&c->crl, der);
    case SNP_ENTRY_ASK:
    case SNP_ENTRY_ARK:
        ENSURE(c->issuers_n < SNP_ISSUERS_MAX, LIMIT);
        c->issuers[c->issuers_n++] = der;
        return OK;
    case SNP_ENTRY_OTHER:
    case SNP_ENTRY_KINDS:
        break;
    }
    return OK;
}

/* Keeps the decoded certificates where they stay as long as *c does. */
static err add_pem(struct snp_collateral *c, enum snp_entry_kind kind, const struct pem_certs *pem)
{
    ENSURE(c->held_n < SNP_ENTRIES_MAX, LIMIT);
    struct buf *held = &c->held[c->held_n++];
    *held = BUF(PEM_TEXT_MAX);
    TRY(buf_add(held, buf_view(&pem->der)));
    for (size_t i = 0; i < pem->n; i++) {
        size_t from = (size_t)(pem->certs[i].at - pem->der.at);
        bytes der = bytes_slice(buf_view(held), from, pem->certs[i].len);
        ENSURE(der.len <= SNP_CERT_MAX, LIMIT);
        TRY(add_der(c, i == 0 ? kind : SNP_ENTRY_ASK, der));
    }
    return OK;
}

err snp_collateral_add(struct snp_collateral *c, enum snp_entry_kind kind, bytes cert)
{
    struct pem_certs pem;
    bool list = kind == SNP_ENTRY_CRL;
    if (kind == SNP_ENTRY_OTHER)
        return OK;
    if (list || !pem_is_text(cert)) {
        ENSURE(cert.len <= (list ? (size_t)CRL_MAX : (size_t)SNP_CERT_MAX), LIMIT);
        ENSURE(cert.len > 0, MALFORMED);
        return add_der(c, kind, cert);
    }
    TRY(pem_read_certs(&pem, cert));
    err e = add_pem(c, kind, &pem);
    pem_clear(&pem);
    return e;
}

err snp_collateral_read(struct snp_collateral *c, bytes table)
{
    struct snp_table t;
    TRY(snp_table_read(table, &t));
    for (size_t i = 0; i < t.n; i++)
        TRY(snp_collateral_add(c, t.entries[i].kind, t.entries[i].data));
    return OK;
}

void snp_collateral_clear(struct snp_collateral *c)
{
    for (size_t i = 0; i < c->held_n; i++)
        buf_clear(&c->held[i]);
    *c = (struct snp_collateral){ 0 };
}
