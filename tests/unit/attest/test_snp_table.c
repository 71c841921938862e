#include "attest/snp_parse.h"
#include "attest/snp_table.h"
#include "crypto/crl.h"
#include "crypto/pem.h"
#include "tests/lib/law.h"

#define BLOCK(text) "-----BEGIN CERTIFICATE-----\n" text "\n-----END CERTIFICATE-----\n"

static void what_is_written_is_read_again(void **state)
{
    (void)state;
    const struct snp_entry entries[] = {
        { SNP_ENTRY_VCEK, BYTES_LIT("leaf") }, { SNP_ENTRY_VLEK, BYTES_LIT("other leaf") },
        { SNP_ENTRY_ASK, BYTES_LIT("ask") },   { SNP_ENTRY_ARK, BYTES_LIT("ark") },
        { SNP_ENTRY_CRL, BYTES_LIT("crl") },
    };
    struct snp_table t;
    for (size_t n = 0; n <= ARRAY_LEN(entries); n++) {
        BUF_AUTO table = BUF(4096);
        CHECK_OK(snp_table_write(&table, entries, n));
        CHECK_OK(snp_table_read(buf_view(&table), &t));
        CHECK(t.n == n);
        for (size_t i = 0; i < n; i++) {
            CHECK(t.entries[i].kind == entries[i].kind);
            CHECK_BYTES(t.entries[i].data, entries[i].data);
        }
        for (size_t len = 1; len < table.len; len++) /* a part of a table is none */
            CHECK(!err_is_ok(snp_table_read(bytes_of(table.at, len), &t)) && t.n == 0);
    }
}

/* One entry for four bytes at that offset, then the entry of zeros and four bytes. */
static err read_one(uint32_t offset, uint32_t len, struct snp_table *t)
{
    uint8_t in[24 + 24 + 4] = { 0x63, 0xda };
    for (size_t i = 0; i < 4; i++) {
        in[16 + i] = (uint8_t)(offset >> 8 * i);
        in[20 + i] = (uint8_t)(len >> 8 * i);
    }
    return snp_table_read(BYTES_ARRAY(in), t);
}

static void offsets_and_lengths_stay_inside(void **state)
{
    (void)state;
    struct snp_table t;
    CHECK_OK(read_one(48, 4, &t));
    CHECK(t.n == 1 && t.entries[0].kind == SNP_ENTRY_OTHER);
    CHECK_OK(read_one(51, 1, &t));
    CHECK_ERR(read_one(48, 5, &t), MALFORMED);
    CHECK_ERR(read_one(52, 1, &t), MALFORMED);
    CHECK_ERR(read_one(48, 0, &t), MALFORMED);
    CHECK_ERR(read_one(47, 1, &t), MALFORMED); /* into the entries */
    CHECK_ERR(read_one(UINT32_MAX, 1, &t), MALFORMED);
    CHECK_ERR(read_one(48, UINT32_MAX, &t), MALFORMED);
    CHECK_ERR(read_one(UINT32_MAX, UINT32_MAX, &t), MALFORMED);
}

static void the_limits_are_taken_and_one_more_is_refused(void **state)
{
    (void)state;
    struct snp_entry entries[SNP_ENTRIES_MAX + 1];
    struct snp_table t;
    BUF_AUTO table = BUF(SNP_TABLE_MAX + 1);
    for (size_t i = 0; i < ARRAY_LEN(entries); i++)
        entries[i] = (struct snp_entry){ SNP_ENTRY_ASK, BYTES_LIT("x") };
    CHECK_OK(snp_table_write(&table, entries, SNP_ENTRIES_MAX));
    CHECK_OK(snp_table_read(buf_view(&table), &t));
    CHECK(t.n == SNP_ENTRIES_MAX);
    CHECK_ERR(snp_table_write(&table, entries, SNP_ENTRIES_MAX + 1), LIMIT);
    CHECK_OK(buf_add_zeros(&table, SNP_TABLE_MAX - table.len));
    CHECK_OK(snp_table_read(buf_view(&table), &t));
    CHECK_OK(buf_add_u8(&table, 0));
    CHECK_ERR(snp_table_read(buf_view(&table), &t), LIMIT);
    buf_truncate(&table, 0);
    for (size_t i = 0; i < 24 * (SNP_ENTRIES_MAX + 3); i++)
        CHECK_OK(buf_add_u8(&table, 0xff));
    CHECK(!err_is_ok(snp_table_read(buf_view(&table), &t)));
    buf_truncate(&table, 0);
    entries[0].kind = SNP_ENTRY_OTHER;
    CHECK_ERR(snp_table_write(&table, entries, 1), UNSUPPORTED);
    entries[0] = (struct snp_entry){ SNP_ENTRY_ASK, { 0 } };
    CHECK_ERR(snp_table_write(&table, entries, 1), MALFORMED);
}

static void certificates_are_sorted_by_kind(void **state)
{
    (void)state;
    struct snp_collateral c = { 0 };
    CHECK_OK(snp_collateral_add(&c, SNP_ENTRY_VCEK, BYTES_LIT(BLOCK("AQID") BLOCK("BA=="))));
    CHECK_OK(snp_collateral_add(&c, SNP_ENTRY_ASK, BYTES_LIT("\x30 ask")));
    CHECK_OK(snp_collateral_add(&c, SNP_ENTRY_ARK, BYTES_LIT(BLOCK("BQ=="))));
    CHECK_OK(snp_collateral_add(&c, SNP_ENTRY_OTHER, BYTES_LIT("anything")));
    CHECK_OK(snp_collateral_add(&c, SNP_ENTRY_CRL, BYTES_LIT("list")));
    CHECK_BYTES(c.vcek, BYTES_LIT("\1\2\3"));
    CHECK(c.vlek.len == 0 && c.issuers_n == 3);
    CHECK_BYTES(c.issuers[0], BYTES_LIT("\4"));
    CHECK_BYTES(c.issuers[1], BYTES_LIT("\x30 ask"));
    CHECK_BYTES(c.issuers[2], BYTES_LIT("\5"));
    CHECK_BYTES(c.crl, BYTES_LIT("list"));
    snp_collateral_clear(&c);
    CHECK(c.vcek.len == 0 && c.held_n == 0);
}

static void a_second_leaf_or_list_and_too_much_are_refused(void **state)
{
    (void)state;
    struct snp_collateral c = { 0 };
    BUF_AUTO big = BUF(CRL_MAX + 1);
    CHECK_OK(buf_add_zeros(&big, CRL_MAX + 1));
    CHECK_OK(snp_collateral_add(&c, SNP_ENTRY_VCEK, bytes_of(big.at, SNP_CERT_MAX)));
    CHECK_ERR(snp_collateral_add(&c, SNP_ENTRY_VCEK, BYTES_LIT("x")), MALFORMED);
    CHECK_ERR(snp_collateral_add(&c, SNP_ENTRY_VLEK, bytes_of(big.at, SNP_CERT_MAX + 1)), LIMIT);
    CHECK_ERR(snp_collateral_add(&c, SNP_ENTRY_CRL, buf_view(&big)), LIMIT);
    CHECK_ERR(snp_collateral_add(&c, SNP_ENTRY_CRL, (bytes){ 0 }), MALFORMED);
    CHECK_OK(snp_collateral_add(&c, SNP_ENTRY_CRL, bytes_of(big.at, CRL_MAX)));
    CHECK_ERR(snp_collateral_add(&c, SNP_ENTRY_CRL, BYTES_LIT("x")), MALFORMED);
    for (size_t i = 0; i < SNP_ISSUERS_MAX; i++)
        CHECK_OK(snp_collateral_add(&c, SNP_ENTRY_ASK, BYTES_LIT("x")));
    CHECK_ERR(snp_collateral_add(&c, SNP_ENTRY_ASK, BYTES_LIT("x")), LIMIT);
    CHECK_ERR(snp_collateral_add(&c, SNP_ENTRY_ASK, BYTES_LIT("-----BEGIN CERTIFICATE-----")),
              TRUNCATED);
    snp_collateral_clear(&c);
}

static void read_file(struct buf *out, const char *folder, const char *name)
{
    BUF_AUTO path = BUF(1024);
    CHECK_OK(buf_addf(&path, "%s/attest/sev-snp/%s", folder, name));
    law_read_file(out, buf_str(&path));
}

static void genuine_tables_are_understood(void **state)
{
    (void)state;
    const char *folder = law_vectors();
    if (folder == NULL)
        skip();
    BUF_AUTO der = BUF(SNP_TABLE_MAX);
    BUF_AUTO pem = BUF(SNP_TABLE_MAX);
    struct snp_collateral c = { 0 };
    read_file(&der, folder, "auxblob/genoa-cert-table.bin");
    CHECK_OK(snp_collateral_read(&c, buf_view(&der)));
    CHECK(c.vcek.len > 0 && c.vlek.len == 0 && c.issuers_n == 2 && c.crl.len == 0 && c.held_n == 0);
    snp_collateral_clear(&c);
    read_file(&pem, folder, "configfs-tsm/auxblob");
    CHECK_OK(snp_collateral_read(&c, buf_view(&pem)));
    CHECK(c.vcek.len > 0 && c.issuers_n == 2 && c.held_n == 3);
    CHECK(c.vcek.at[0] == 0x30 && c.issuers[0].at[0] == 0x30);
    snp_collateral_clear(&c);
}

static void broken_tables_are_refused(void **state)
{
    (void)state;
    const char *folder = law_vectors();
    if (folder == NULL)
        skip();
    BUF_AUTO far = BUF(SNP_TABLE_MAX);
    BUF_AUTO endless = BUF(SNP_TABLE_MAX);
    struct snp_table t;
    read_file(&far, folder, "auxblob/neg-offset-out-of-range.bin");
    CHECK_ERR(snp_table_read(buf_view(&far), &t), MALFORMED);
    read_file(&endless, folder, "auxblob/neg-no-terminator.bin");
    CHECK_ERR(snp_table_read(buf_view(&endless), &t), TRUNCATED);
}

static err read_once(void *arg)
{
    struct snp_collateral c = { 0 };
    err e = snp_collateral_read(&c, buf_view(arg));
    snp_collateral_clear(&c);
    return e;
}

static void every_allocation_fails_once(void **state)
{
    (void)state;
    BUF_AUTO table = BUF(4096);
    const struct snp_entry entries[] = { { SNP_ENTRY_VCEK, BYTES_LIT(BLOCK("AQID")) },
                                         { SNP_ENTRY_ASK, BYTES_LIT(BLOCK("BA==")) } };
    CHECK_OK(snp_table_write(&table, entries, ARRAY_LEN(entries)));
    law_every_allocation_fails_once(read_once, &table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read_again),
        cmocka_unit_test(offsets_and_lengths_stay_inside),
        cmocka_unit_test(the_limits_are_taken_and_one_more_is_refused),
        cmocka_unit_test(certificates_are_sorted_by_kind),
        cmocka_unit_test(a_second_leaf_or_list_and_too_much_are_refused),
        cmocka_unit_test(genuine_tables_are_understood),
        cmocka_unit_test(broken_tables_are_refused),
        cmocka_unit_test(every_allocation_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
