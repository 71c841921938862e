/*
 * attest/snp_table.h - the certificate table a host hands to its SNP guests, and what is in it.
 *
 * Entries of 24 bytes {GUID, offset u32, length u32, little endian, from the table's start} up to one
 * of zeros (GHCB specification, AMD 56421, section 4.1.8.1). It is what the kernel gives as auxblob or
 * with SNP_GET_EXT_REPORT, and what travels as `collateral` of the platform `sev-snp`. The host wrote
 * it, so it is a hint: nothing in it is believed before it is verified. A revocation list may stand
 * in it as one more entry; hosts do not put one there, so who fetches it adds it.
 */
#pragma once

#include "base/buf.h"

enum {
    SNP_TABLE_MAX = 128 * 1024,
    SNP_ENTRIES_MAX = 16,
    SNP_ISSUERS_MAX = 8, /* certificates above the leaf, duplicates included */
    SNP_CERT_MAX = 16 * 1024
};

enum snp_entry_kind {
    SNP_ENTRY_OTHER = 0, /* a GUID this program has no use for */
    SNP_ENTRY_VCEK,
    SNP_ENTRY_VLEK,
    SNP_ENTRY_ASK, /* or ASVK */
    SNP_ENTRY_ARK,
    SNP_ENTRY_CRL,
    SNP_ENTRY_KINDS
};

struct snp_entry {
    enum snp_entry_kind kind;
    bytes data; /* borrowed */
};

struct snp_table {
    struct snp_entry entries[SNP_ENTRIES_MAX];
    size_t n;
};

/* ERR_MALFORMED: data that is empty, reaches beyond the end or into the entries. ERR_TRUNCATED: no
 * entry of zeros. ERR_LIMIT: too large, or too many entries. Bytes nobody points to are ignored; no
 * bytes at all are an empty table. */
err snp_table_read(bytes in, struct snp_table *out);

/* Appends a table with these entries; SNP_ENTRY_OTHER is ERR_UNSUPPORTED. */
err snp_table_write(struct buf *out, const struct snp_entry *entries, size_t n);

/* Certificates in DER, taken out of a table or given one by one. */
struct snp_collateral {
    bytes vcek; /* empty: none; likewise below */
    bytes vlek;
    bytes issuers[SNP_ISSUERS_MAX]; /* in no order */
    size_t issuers_n;
    bytes crl;
    struct buf held[SNP_ENTRIES_MAX]; /* private: what had to be decoded */
    size_t held_n;
};

/* Both: *c is zeroed or was filled before; give it to snp_collateral_clear() whatever comes back.
 * Certificates may be DER or PEM; behind a leaf in PEM its issuers may follow. Borrows DER.
 * ERR_MALFORMED: no PEM where PEM begins, or a second leaf of a kind or list. ERR_LIMIT: too many or
 * too large. What a certificate says is not looked at. */
err snp_collateral_add(struct snp_collateral *c, enum snp_entry_kind kind, bytes cert);
err snp_collateral_read(struct snp_collateral *c, bytes table);
void snp_collateral_clear(struct snp_collateral *c);
