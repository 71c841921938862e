#include "attest/simulated.h"

#include "attest/envelope.h"
#include "attest/map.h"
#include "base/mem.h"
#include "crypto/hash.h"

#define CONTENT_TYPE "application/vnd.sealgate.simulated-evidence+cbor"
#define AT(member) offsetof(struct document, member)

/* The end of year 9999. */
#define UNIX_TIME_MAX 253402300799

_Static_assert(sizeof SIMULATED_SEED - 1 == ED25519_SEED_LEN, "the seed is one Ed25519 seed");
_Static_assert((int)SIMULATED_PCR_LEN == (int)SHA384_LEN, "a register is one SHA-384");

enum { DOCUMENT_MAX = 1024 };

/* The public key that belongs to SIMULATED_SEED. */
static const uint8_t published_key[ED25519_PK_LEN] = {
    0x35, 0x85, 0x73, 0xf7, 0x80, 0x8a, 0x60, 0x7a, 0xd9, 0x09, 0xa0, 0x04, 0xf4, 0xe7, 0xd6, 0xea,
    0x0c, 0xd8, 0x85, 0x96, 0x52, 0x64, 0x2c, 0xc1, 0xc9, 0xe7, 0xfe, 0xc1, 0xf3, 0x1e, 0x8c, 0xf6,
};

struct document {
    bytes pcr[SIMULATED_PCRS];
    uint64_t time;
    bytes notice;
    bytes report_data;
};

static const struct map_field fields[] = {
    { "pcr0", MAP_BYTES, false, AT(pcr[0]), SIMULATED_PCR_LEN, SIMULATED_PCR_LEN },
    { "pcr1", MAP_BYTES, false, AT(pcr[1]), SIMULATED_PCR_LEN, SIMULATED_PCR_LEN },
    { "pcr2", MAP_BYTES, false, AT(pcr[2]), SIMULATED_PCR_LEN, SIMULATED_PCR_LEN },
    { "time", MAP_UINT, false, AT(time), 1, UNIX_TIME_MAX },
    { "notice", MAP_TEXT, false, AT(notice), 1, sizeof SIMULATED_NOTICE - 1 },
    { "report_data", MAP_BYTES, false, AT(report_data), BINDING_LEN, BINDING_LEN },
};

static const struct verifier_register registers[SIMULATED_PCRS] = {
    { .name = "pcr0", .len = SIMULATED_PCR_LEN },
    { .name = "pcr1", .len = SIMULATED_PCR_LEN },
    { .name = "pcr2", .len = SIMULATED_PCR_LEN },
};

void simulated_measure(bytes image, struct simulated_registers *out)
{
    static const char *const prefixes[SIMULATED_PCRS] = { "sealgate/simulated/pcr0",
                                                          "sealgate/simulated/pcr1",
                                                          "sealgate/simulated/pcr2" };
    uint8_t digest[SHA384_LEN];
    sha384_of(image, digest);
    for (size_t i = 0; i < SIMULATED_PCRS; i++) {
        uint8_t joined[32 + SHA384_LEN];
        size_t n = strlen(prefixes[i]);
        memcpy(joined, prefixes[i], n);
        memcpy(joined + n, digest, sizeof digest);
        sha384_of(bytes_of(joined, n + sizeof digest), out->pcr[i]);
    }
}

struct simulated_attester {
    struct attester base;
    struct signing_key *key;
    struct simulated_registers registers;
};

static err quote(struct attester *a, const struct attester_ask *ask, struct buf *evidence,
                 struct buf *collateral)
{
    const struct simulated_attester *self = CONTAINER_OF(a, struct simulated_attester, base);
    BUF_AUTO payload = BUF(DOCUMENT_MAX);
    struct document d = { .time = ask->now > 0 ? (uint64_t)ask->now : 0,
                          .notice = BYTES_LIT(SIMULATED_NOTICE),
                          .report_data = bytes_of(ask->report_data, BINDING_LEN) };
    (void)collateral;
    for (size_t i = 0; i < SIMULATED_PCRS; i++)
        d.pcr[i] = BYTES_ARRAY(self->registers.pcr[i]);
    TRY(map_write(&payload, fields, ARRAY_LEN(fields), &d));
    return envelope_write(evidence, CONTENT_TYPE, buf_view(&payload), self->key);
}

static void release(struct attester *a)
{
    struct simulated_attester *self = CONTAINER_OF(a, struct simulated_attester, base);
    signing_key_free(self->key);
    mem_free(self);
}

static const struct attester_kind kind = {
    .platform = SIMULATED_PLATFORM,
    .trust = TRUST_SIMULATED,
    .quote = quote,
    .free = release,
};

err simulated_attester_new(struct attester **out, const struct simulated_registers *given)
{
    struct simulated_attester *self;
    TRY(mem_new(&self));
    self->base.kind = &kind;
    self->registers = *given;
    err e = signing_key_from_seed(&self->key, BYTES_LIT(SIMULATED_SEED));
    if (err_is_ok(e))
        *out = &self->base;
    else
        mem_free(self);
    return e;
}

static struct verifier_outcome pass(void)
{
    return (struct verifier_outcome){ VERDICT_PASS, REASON_PASSED };
}

static struct verifier_outcome refuse(enum reason why)
{
    return (struct verifier_outcome){ VERDICT_FAIL, why };
}

static struct verifier_outcome not_applicable(void)
{
    return (struct verifier_outcome){ VERDICT_SKIP, REASON_NOT_APPLICABLE };
}

static err read_document(bytes evidence, struct cose_sign1 *signed_form, struct document *out)
{
    ENSURE(evidence.len <= DOCUMENT_MAX, LIMIT);
    TRY(envelope_read(evidence, CONTENT_TYPE, signed_form));
    TRY(map_read(signed_form->payload, fields, ARRAY_LEN(fields), out, sizeof *out));
    ENSURE(bytes_equal(out->notice, BYTES_LIT(SIMULATED_NOTICE)), MALFORMED);
    return OK;
}

static void report(const struct document *d, struct verifier_facts *facts)
{
    /* The table has checked the lengths, so these pointers are set. */
    // NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker)
    memcpy(facts->report_data, d->report_data.at, BINDING_LEN);
    facts->evidence_at = (int64_t)d->time;
    facts->registers_n = SIMULATED_PCRS;
    for (size_t i = 0; i < SIMULATED_PCRS; i++) {
        facts->registers[i].name = registers[i].name;
        facts->registers[i].len = registers[i].len;
        memcpy(facts->registers[i].value, d->pcr[i].at, SIMULATED_PCR_LEN);
    }
}

static err examine(const struct bundle *b, const struct policy *policy, int64_t now,
                   struct verifier_facts *facts)
{
    struct cose_sign1 signed_form;
    struct document d = { 0 };
    (void)policy;
    (void)now;
    if (b->collateral.len > 0) {
        facts->form = refuse(REASON_SURPLUS);
        return OK;
    }
    err e = read_document(b->evidence, &signed_form, &d);
    if (e.code == ERR_NOMEM)
        return e;
    facts->form = err_is_ok(e) ? pass() : refuse(REASON_MALFORMED);
    if (!err_is_ok(e))
        return OK;
    e = cose_sign1_verify_ed25519(&signed_form, BYTES_ARRAY(published_key));
    if (e.code == ERR_NOMEM)
        return e;
    facts->signature = err_is_ok(e) ? pass() : refuse(REASON_BAD_SIGNATURE);
    if (!err_is_ok(e))
        return OK;
    facts->debug = not_applicable();
    facts->tcb = not_applicable();
    report(&d, facts);
    return OK;
}

static const struct verifier verifier = {
    .platform = SIMULATED_PLATFORM,
    .trust = TRUST_SIMULATED,
    .registers = registers,
    .registers_n = SIMULATED_PCRS,
    .examine = examine,
};

const struct verifier *const simulated_verifier = &verifier;
