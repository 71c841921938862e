#include "attest/tdx_attest.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "attest/collateral.h"
#include "attest/event_log.h"
#include "attest/tdx.h"
#include "base/attr.h"
#include "base/mem.h"
#include "crypto/secret.h"

enum { READ_STEP = 4096 };

struct tdx_attester {
    struct attester base;
    struct tdx_attest_settings settings;
};

enum tdx_way tdx_attest_way(const struct tdx_attest_settings *s)
{
    if (s->tsm.base != NULL && tsm_present(s->tsm.base) && tdx_guest_present(&s->guest))
        return TDX_WAY_TSM;
    return tdx_guest_present(&s->guest) ? TDX_WAY_GUEST : TDX_WAY_NONE;
}

/* A kernel that has the tree but cannot quote through it may still give a TDREPORT. */
static err make_quote(const struct tdx_attest_settings *s, const uint8_t *report_data,
                      struct buf *out)
{
    struct tsm_ask ask = { .provider = "tdx_guest",
                           .inblob = report_data,
                           .privlevel = TSM_PRIVLEVEL_NONE };
    if (tdx_attest_way(s) == TDX_WAY_TSM)
        return tsm_report(&s->tsm, &ask, out, NULL);
    return tdx_guest_quote(&s->guest, report_data, out);
}

/* The kernel's buffer is as large as a quote can be; what fills it up need not travel. */
static err cut_quote(const uint8_t *report_data, struct buf *quote)
{
    struct tdx_quote q;
    struct tdx_faults faults = { 0 };
    tdx_quote_read(buf_view(quote), &q, &faults);
    bytes bound = tdx_quote_field(&q, TDX_REPORT_DATA);
    ENSURE(q.pck_chain.len > 0, MALFORMED);
    ENSURE(secret_equal(bound, bytes_of(report_data, TDX_REPORT_DATA_LEN)), UNAVAILABLE);
    if (q.trailing_zeros)
        buf_truncate(quote, quote->len - q.trailing);
    return OK;
}

/* --- collateral ------------------------------------------------------------------------------ */

static err read_log(int fd, struct buf *out)
{
    for (;;) {
        uint8_t part[READ_STEP];
        ssize_t n = read(fd, part, sizeof part);
        ENSURE(n >= 0, SYSTEM);
        if (n == 0)
            return OK;
        TRY(buf_add(out, bytes_of(part, (size_t)n)));
    }
}

/* FF fills the table behind the last event; one such end is enough to tell it. */
static void cut_log(struct buf *log)
{
    enum { END_LEN = 8 };
    size_t n = log->len;
    while (n > 0 && log->at[n - 1] == 0xff)
        n--;
    if (log->len - n > END_LEN)
        buf_truncate(log, n + END_LEN);
}

/* A log that is not there, or larger than can travel, is left out: only a policy that expects one
 * refuses then. */
static err add_log(const char *path, struct buf *log)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return OK;
    err e = read_log(fd, log);
    (void)close(fd);
    if (e.code == ERR_LIMIT || e.code == ERR_SYSTEM) {
        buf_truncate(log, 0);
        return OK;
    }
    cut_log(log);
    if (log->len > TDX_LOG_MAX)
        buf_truncate(log, 0);
    return e;
}

/* What the source gave; without one only what the machine itself can say, and the gateway has to
 * fetch the rest. */
static err take_given(const struct tdx_attester *self, bytes quote, int64_t now, struct buf *given,
                      struct tdx_collateral *out)
{
    const struct tdx_attest_settings *s = &self->settings;
    *out = (struct tdx_collateral){ .version = TDX_COLLATERAL_VERSION };
    if (s->collateral == NULL)
        return OK;
    TRY(s->collateral(s->collateral_owner, quote, now, given));
    return tdx_collateral_read(buf_view(given), out);
}

static err make_collateral(const struct tdx_attester *self, bytes quote, int64_t now,
                           struct buf *out)
{
    const struct tdx_attest_settings *s = &self->settings;
    BUF_AUTO given = BUF(BUNDLE_COLLATERAL_MAX);
    BUF_AUTO log = BUF(EVENT_LOG_MAX);
    struct tdx_collateral c;
    TRY(take_given(self, quote, now, &given, &c));
    TRY(add_log(s->ccel != NULL ? s->ccel : TDX_CCEL, &log));
    if (c.ccel.len == 0)
        c.ccel = buf_view(&log);
    if (s->collateral != NULL)
        return tdx_collateral_write(out, &c);
    return c.ccel.len > 0 ? collateral_write_partial(out, &c) : OK;
}

/* --- attester -------------------------------------------------------------------------------- */

static err quote(struct attester *a, const struct attester_ask *ask, struct buf *evidence,
                 struct buf *collateral)
{
    const struct tdx_attester *self = CONTAINER_OF(a, struct tdx_attester, base);
    TRY(make_quote(&self->settings, ask->report_data, evidence));
    TRY(cut_quote(ask->report_data, evidence));
    return make_collateral(self, buf_view(evidence), ask->now, collateral);
}

static void release(struct attester *a)
{
    mem_free(CONTAINER_OF(a, struct tdx_attester, base));
}

static const struct attester_kind kind = {
    .platform = TDX_PLATFORM,
    .trust = TRUST_HARDWARE,
    .quote = quote,
    .free = release,
};

err tdx_attester_new(struct attester **out, const struct tdx_attest_settings *settings)
{
    struct tdx_attester *self;
    ENSURE(tdx_attest_way(settings) != TDX_WAY_NONE, UNAVAILABLE);
    TRY(mem_new(&self));
    self->base.kind = &kind;
    self->settings = *settings;
    *out = &self->base;
    return OK;
}
