#include "attest/nitro.h"

#include "attest/nitro_policy.h"
#include "attest/nitro_verify.h"
#include "attest/policy.h"
#include "base/mem.h"

enum { REGISTERS = 16, MS_PER_S = 1000 };

static const struct verifier_register registers[REGISTERS] = {
    { .name = "pcr0", .len = NITRO_PCR_LEN },
    { .name = "pcr1", .len = NITRO_PCR_LEN, .secondary = true },
    { .name = "pcr2", .len = NITRO_PCR_LEN, .secondary = true },
    { .name = "pcr3", .len = NITRO_PCR_LEN, .secondary = true },
    { .name = "pcr4", .len = NITRO_PCR_LEN, .secondary = true },
    { .name = "pcr5", .len = NITRO_PCR_LEN, .secondary = true },
    { .name = "pcr6", .len = NITRO_PCR_LEN, .secondary = true },
    { .name = "pcr7", .len = NITRO_PCR_LEN, .secondary = true },
    { .name = "pcr8", .len = NITRO_PCR_LEN },
    { .name = "pcr9", .len = NITRO_PCR_LEN, .secondary = true },
    { .name = "pcr10", .len = NITRO_PCR_LEN, .secondary = true },
    { .name = "pcr11", .len = NITRO_PCR_LEN, .secondary = true },
    { .name = "pcr12", .len = NITRO_PCR_LEN, .secondary = true },
    { .name = "pcr13", .len = NITRO_PCR_LEN, .secondary = true },
    { .name = "pcr14", .len = NITRO_PCR_LEN, .secondary = true },
    { .name = "pcr15", .len = NITRO_PCR_LEN, .secondary = true },
};

/* --- what the frame is told -------------------------------------------------------------------- */

enum reason nitro_reason_kind(enum nitro_reason r)
{
    switch (r) {
    case NITRO_OK:
        return REASON_PASSED;
    case NITRO_UNCHECKED:
        return REASON_UNCHECKED;
    case NITRO_UNTRUSTED_ROOT:
    case NITRO_LEAF_SIGNATURE:
    case NITRO_CHAIN_SIGNATURE:
    case NITRO_CHAIN:
    case NITRO_CERTIFICATE:
    case NITRO_CABUNDLE:
        return REASON_BAD_CHAIN;
    case NITRO_TIME:
        return REASON_EXPIRED;
    case NITRO_COSE_SIGNATURE:
        return REASON_BAD_SIGNATURE;
    case NITRO_DEBUG_MODE:
        return REASON_DEBUG_ENABLED;
    case NITRO_STALE:
        return REASON_TOO_OLD;
    case NITRO_FUTURE:
        return REASON_FROM_THE_FUTURE;
    case NITRO_MALFORMED:
    case NITRO_ALGORITHM:
    case NITRO_UNPROTECTED:
    case NITRO_DUPLICATE_KEY:
    case NITRO_MISSING_MODULE_ID:
    case NITRO_MISSING_DIGEST:
    case NITRO_MISSING_TIMESTAMP:
    case NITRO_MISSING_PCRS:
    case NITRO_MISSING_CERTIFICATE:
    case NITRO_MISSING_CABUNDLE:
    case NITRO_MODULE_ID:
    case NITRO_DIGEST:
    case NITRO_TIMESTAMP:
    case NITRO_PCRS:
    case NITRO_PUBLIC_KEY:
    case NITRO_USER_DATA:
    case NITRO_NONCE:
    case NITRO_MEASUREMENT:
        return REASON_MALFORMED;
    }
    return REASON_UNCHECKED;
}

static struct verifier_outcome outcome_of(const struct nitro_check *check)
{
    return (struct verifier_outcome){ check->status, nitro_reason_kind(check->reason) };
}

/* The frame has one check for the chain and what it signs. */
static struct verifier_outcome signature_outcome(const struct nitro_result *r)
{
    const struct nitro_check *chain = &r->checks[NITRO_CHECK_CHAIN];
    return outcome_of(chain->status == VERDICT_PASS ? &r->checks[NITRO_CHECK_SIGNATURE] : chain);
}

static void report_registers(const struct nitro_doc *d, struct verifier_facts *facts)
{
    for (size_t i = 0; i < REGISTERS; i++) {
        if (d->pcrs[i].len != NITRO_PCR_LEN)
            continue;
        struct verdict_register *to = &facts->registers[facts->registers_n++];
        to->name = registers[i].name;
        to->len = NITRO_PCR_LEN;
        memcpy(to->value, d->pcrs[i].at, NITRO_PCR_LEN);
    }
}

/* Report data stays zero, which nothing is bound to, when what stands beside it disagrees. */
static void report_binding(const struct nitro_doc *d, const struct bundle *b,
                           struct verifier_facts *facts)
{
    if (d->user_data.value.len == BINDING_LEN && bytes_equal(d->public_key.value, b->identity) &&
        bytes_equal(d->nonce.value, b->nonce))
        memcpy(facts->report_data, d->user_data.value.at, BINDING_LEN);
}

static void report(const struct nitro_result *r, const struct bundle *b,
                   struct verifier_facts *facts)
{
    facts->form = outcome_of(&r->checks[NITRO_CHECK_FORM]);
    facts->subject = r->reason == NITRO_OK ? NULL : nitro_reason_word(r->reason);
    facts->signature = signature_outcome(r);
    facts->debug = outcome_of(&r->checks[NITRO_CHECK_DEBUG]);
    facts->tcb = (struct verifier_outcome){ VERDICT_SKIP, REASON_NOT_APPLICABLE };
    if (facts->signature.status != VERDICT_PASS)
        return;
    facts->evidence_at = (int64_t)(r->doc.timestamp_ms / MS_PER_S);
    report_registers(&r->doc, facts);
    report_binding(&r->doc, b, facts);
}

/* The pinned root, and those that the policy names loudly. */
static size_t roots_of(const struct policy *p,
                       struct x509_root roots[static NITRO_EXTRA_ROOTS_MAX + 1])
{
    size_t n = 0;
    roots[n++] = nitro_aws_root;
    for (size_t i = 0; p->nitro != NULL && i < p->nitro->extra_roots.n; i++)
        memcpy(roots[n++].sha256, p->nitro->extra_roots.items[i].at, SHA256_LEN);
    return n;
}

static err examine(const struct bundle *b, const struct policy *policy, int64_t now,
                   struct verifier_facts *facts)
{
    struct nitro_result *r;
    if (b->collateral.len > 0) {
        facts->form = (struct verifier_outcome){ VERDICT_FAIL, REASON_SURPLUS };
        return OK;
    }
    TRY(mem_new(&r));
    struct x509_root roots[NITRO_EXTRA_ROOTS_MAX + 1];
    struct nitro_settings s = {
        .roots = roots, .roots_n = roots_of(policy, roots), .at_s = now, .skew_s = policy->skew_s
    };
    err e = nitro_verify(b->evidence, &s, r);
    if (err_is_ok(e))
        report(r, b, facts);
    mem_free(r);
    return e;
}

static int64_t says_when(bytes evidence)
{
    struct nitro_doc doc;
    return nitro_parse(evidence, &doc) == NITRO_OK ? (int64_t)(doc.timestamp_ms / 1000) : 0;
}

static const struct verifier verifier = {
    .platform = NITRO_PLATFORM,
    .trust = TRUST_HARDWARE,
    .registers = registers,
    .registers_n = REGISTERS,
    .no_tcb = true,
    .examine = examine,
    .says_when = says_when,
};

const struct verifier *const nitro_verifier = &verifier;

/* --- attester ---------------------------------------------------------------------------------- */

struct nitro_attester {
    struct attester base;
    struct nsm_device device;
};

static err quote(struct attester *a, const struct attester_ask *ask, struct buf *evidence,
                 struct buf *collateral)
{
    const struct nitro_attester *self = CONTAINER_OF(a, struct nitro_attester, base);
    (void)collateral;
    return nsm_attest(&self->device,
                      &(struct nsm_ask){ .user_data = bytes_of(ask->report_data, BINDING_LEN),
                                         .nonce = ask->nonce,
                                         .public_key = ask->identity },
                      evidence);
}

static void release(struct attester *a)
{
    mem_free(CONTAINER_OF(a, struct nitro_attester, base));
}

static const struct attester_kind kind = {
    .platform = NITRO_PLATFORM,
    .trust = TRUST_HARDWARE,
    .quote = quote,
    .free = release,
};

err nitro_attester_new(struct attester **out, const struct nsm_device *device)
{
    struct nitro_attester *self;
    TRY(mem_new(&self));
    self->base.kind = &kind;
    self->device = *device;
    *out = &self->base;
    return OK;
}
