#include "attest/snp_attest.h"

#include "attest/snp_table.h"
#include "attest/snp_verify.h"
#include "base/attr.h"
#include "base/mem.h"
#include "crypto/secret.h"

struct snp_attester {
    struct attester base;
    struct snp_attest_settings settings;
};

/* The tree alone says nothing about whose it is; the device does. */
enum snp_way snp_attest_way(const struct snp_attest_settings *s)
{
    bool guest = snp_guest_present(&s->guest);
    if (guest && s->tsm.base != NULL && tsm_present(s->tsm.base))
        return SNP_WAY_TSM;
    return guest ? SNP_WAY_GUEST : SNP_WAY_NONE;
}

static err by_device(const struct snp_attest_settings *s, const uint8_t *report_data,
                     struct buf *report, struct buf *table)
{
    uint32_t vmpl = s->vmpl == SNP_VMPL_DEFAULT ? 0 : (uint32_t)s->vmpl;
    return snp_guest_report(&s->guest, report_data, vmpl, report, table);
}

/* A tree that turns out to be somebody else's is no way, but the device may be one. */
static err make_report(const struct snp_attest_settings *s, const uint8_t *report_data,
                       struct buf *report, struct buf *table)
{
    struct tsm_ask ask = {
        .provider = "sev_guest", .inblob = report_data, .privlevel = s->vmpl, .want_auxblob = true
    };
    if (snp_attest_way(s) != SNP_WAY_TSM)
        return by_device(s, report_data, report, table);
    err e = tsm_report(&s->tsm, &ask, report, table);
    if (e.code != ERR_UNSUPPORTED)
        return e;
    buf_truncate(report, 0);
    buf_truncate(table, 0);
    return by_device(s, report_data, report, table);
}

_Static_assert((int)SNP_VMPL_DEFAULT == (int)TSM_PRIVLEVEL_NONE, "one word for the kernel's own");

static err check_report(bytes report, const uint8_t *report_data)
{
    struct snp_report r;
    err e = snp_report_read(report, &r);
    ENSURE(e.code != ERR_UNSUPPORTED, UNSUPPORTED);
    TRY(e);
    ENSURE(secret_equal(r.report_data, bytes_of(report_data, SNP_REPORT_DATA_LEN)), UNAVAILABLE);
    return OK;
}

/* The table without what no verifier reads: entries of other kinds, and the rest of its pages. One
 * that cannot be read is worth as much as none. */
static err clean_table(bytes table, struct buf *out)
{
    struct snp_table all;
    struct snp_entry used[SNP_ENTRIES_MAX];
    size_t n = 0;
    if (!err_is_ok(snp_table_read(table, &all)))
        return OK;
    for (size_t i = 0; i < all.n; i++) {
        if (all.entries[i].kind != SNP_ENTRY_OTHER)
            used[n++] = all.entries[i];
    }
    return n > 0 ? snp_table_write(out, used, n) : OK;
}

static err add_collateral(const struct snp_attest_settings *s, bytes report, bytes table,
                          int64_t now, struct buf *out)
{
    BUF_AUTO clean = BUF(SNP_TABLE_MAX);
    TRY(clean_table(table, &clean));
    if (s->collateral != NULL)
        return s->collateral(s->collateral_owner, report, buf_view(&clean), now, out);
    return buf_add(out, buf_view(&clean));
}

static err quote(struct attester *a, const struct attester_ask *ask, struct buf *evidence,
                 struct buf *collateral)
{
    const struct snp_attester *self = CONTAINER_OF(a, struct snp_attester, base);
    BUF_AUTO table = BUF(SNP_TABLE_MAX);
    TRY(make_report(&self->settings, ask->report_data, evidence, &table));
    TRY(check_report(buf_view(evidence), ask->report_data));
    return add_collateral(&self->settings, buf_view(evidence), buf_view(&table), ask->now,
                          collateral);
}

static void release(struct attester *a)
{
    mem_free(CONTAINER_OF(a, struct snp_attester, base));
}

static const struct attester_kind kind = {
    .platform = SNP_PLATFORM,
    .trust = TRUST_HARDWARE,
    .quote = quote,
    .free = release,
};

err snp_attester_new(struct attester **out, const struct snp_attest_settings *settings)
{
    struct snp_attester *self;
    ENSURE(snp_attest_way(settings) != SNP_WAY_NONE, UNAVAILABLE);
    ENSURE(settings->vmpl >= SNP_VMPL_DEFAULT && settings->vmpl <= (int)SNP_VMPL_MAX, CONFIG);
    TRY(mem_new(&self));
    self->base.kind = &kind;
    self->settings = *settings;
    *out = &self->base;
    return OK;
}
