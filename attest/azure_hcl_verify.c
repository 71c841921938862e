#include "attest/azure_hcl_verify.h"

#include "attest/map.h"
#include "base/attr.h"
#include "crypto/hash.h"
#include "crypto/rsa.h"
#include "crypto/secret.h"

#define AT(field) offsetof(struct azure_evidence, field)

static const struct map_field evidence_fields[] = {
    { "hcl", MAP_BYTES, false, AT(hcl), 1236, AZURE_HCL_MAX },
    { "pcrs", MAP_BYTES, false, AT(pcrs), TPM_PCR_LEN, AZURE_PCRS_MAX },
    { "quote", MAP_BYTES, false, AT(quote), 1, TPM_QUOTE_MAX },
    { "signature", MAP_BYTES, false, AT(signature), RSA_BITS_MIN / 8, RSA_BITS_MAX / 8 },
};

err azure_evidence_read(bytes in, struct azure_evidence *out)
{
    return map_read(in, evidence_fields, ARRAY_LEN(evidence_fields), out, sizeof *out);
}

err azure_evidence_write(struct buf *out, const struct azure_evidence *e)
{
    return map_write(out, evidence_fields, ARRAY_LEN(evidence_fields), e);
}

/* --- the checks ------------------------------------------------------------------------------ */

struct run {
    const struct azure_evidence *evidence;
    const struct snp_collateral *collateral;
    const struct snp_settings *settings;
    struct azure_result *out;
    struct azure_runtime runtime;
};

typedef err step(struct run *r, bool *holds);

/* Memory that ran out is an error, anything else an answer. */
static err settle(err e, bool *holds)
{
    ENSURE(e.code != ERR_NOMEM, NOMEM);
    *holds = err_is_ok(e);
    return OK;
}

static err check_hcl_form(struct run *r, bool *holds)
{
    return settle(azure_hcl_read(r->evidence->hcl, &r->out->hcl), holds);
}

static err check_snp(struct run *r, bool *holds)
{
    TRY(snp_verify(r->out->hcl.report, r->collateral, r->settings, &r->out->snp));
    enum reason last = r->out->snp.checks[SNP_CHECK_CHIP_ID].reason;
    *holds = last == REASON_PASSED || last == REASON_NOT_APPLICABLE;
    return OK;
}

static err check_report_type(struct run *r, bool *holds)
{
    *holds = r->out->hcl.report_type == AZURE_REPORT_SNP;
    return OK;
}

static size_t hash_len(uint32_t type)
{
    switch (type) {
    case AZURE_SHA256:
        return SHA256_LEN;
    case AZURE_SHA384:
        return SHA384_LEN;
    case AZURE_SHA512:
        return SHA512_LEN;
    default:
        return 0;
    }
}

static err check_hash_type(struct run *r, bool *holds)
{
    *holds = hash_len(r->out->hcl.hash_type) > 0;
    return OK;
}

static err check_runtime_data(struct run *r, bool *holds)
{
    uint8_t expected[SNP_REPORT_DATA_LEN] = { 0 };
    switch (hash_len(r->out->hcl.hash_type)) {
    case SHA256_LEN:
        sha256_of(r->out->hcl.json, expected);
        break;
    case SHA384_LEN:
        sha384_of(r->out->hcl.json, expected);
        break;
    default:
        sha512_of(r->out->hcl.json, expected);
        break;
    }
    *holds = secret_equal(BYTES_ARRAY(expected), r->out->snp.report.report_data);
    return OK;
}

static err check_runtime_form(struct run *r, bool *holds)
{
    TRY(settle(azure_runtime_read(r->out->hcl.json, &r->runtime), holds));
    if (!*holds)
        return OK;
    memcpy(r->out->user_data, r->runtime.user_data, sizeof r->out->user_data);
    r->out->secure_boot = r->runtime.secure_boot;
    return OK;
}

static err check_quote_form(struct run *r, bool *holds)
{
    return settle(tpm_quote_read(r->evidence->quote, &r->out->quote), holds);
}

static err check_quote_signature(struct run *r, bool *holds)
{
    struct rsa_key ak = { buf_view(&r->runtime.ak_n), buf_view(&r->runtime.ak_e) };
    return settle(rsa_verify_sha256(&ak, r->evidence->quote, r->evidence->signature), holds);
}

static err check_quote_nonce(struct run *r, bool *holds)
{
    bytes extra = r->out->quote.extra;
    *holds = extra.len >= AZURE_NONCE_MIN && extra.len <= AZURE_USER_DATA_LEN &&
             secret_equal(extra, bytes_of(r->out->user_data, extra.len));
    return OK;
}

static err check_pcr_digest(struct run *r, bool *holds)
{
    *holds = tpm_quote_covers(&r->out->quote, r->evidence->pcrs);
    return OK;
}

static err check_secure_boot(struct run *r, bool *holds)
{
    *holds = r->runtime.secure_boot && r->runtime.tpm_enabled;
    return OK;
}

static err check_state(struct run *r, bool *holds)
{
    *holds = r->out->snp.accepted;
    return OK;
}

/* --- the order ------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    enum reason reason;
    enum verdict_check_id part;
} rows[AZURE_CHECKS] = {
#define X(id, word, why, of) [AZURE_CHECK_##id] = { (word), REASON_##why, VERDICT_##of },
    AZURE_CHECK_LIST(X)
#undef X
};

static step *const steps[AZURE_CHECKS] = {
    [AZURE_CHECK_HCL_FORM] = check_hcl_form,
    [AZURE_CHECK_SNP] = check_snp,
    [AZURE_CHECK_REPORT_TYPE] = check_report_type,
    [AZURE_CHECK_HASH_TYPE] = check_hash_type,
    [AZURE_CHECK_RUNTIME_DATA] = check_runtime_data,
    [AZURE_CHECK_RUNTIME_FORM] = check_runtime_form,
    [AZURE_CHECK_QUOTE_FORM] = check_quote_form,
    [AZURE_CHECK_QUOTE_SIGNATURE] = check_quote_signature,
    [AZURE_CHECK_QUOTE_NONCE] = check_quote_nonce,
    [AZURE_CHECK_PCR_DIGEST] = check_pcr_digest,
    [AZURE_CHECK_SECURE_BOOT] = check_secure_boot,
    [AZURE_CHECK_STATE] = check_state,
};

static void clear(struct azure_result *out)
{
    *out = (struct azure_result){ 0 };
    for (size_t i = 0; i < AZURE_CHECKS; i++)
        out->checks[i] = (struct snp_check){ rows[i].name, VERDICT_SKIP, REASON_EARLIER_FAILURE };
}

static err run_steps(struct run *r, size_t first, size_t end)
{
    for (size_t at = first; at < end; at++) {
        bool holds = false;
        TRY(steps[at](r, &holds));
        r->out->checks[at].status = holds ? VERDICT_PASS : VERDICT_FAIL;
        r->out->checks[at].reason = holds ? REASON_PASSED : rows[at].reason;
        if (holds)
            continue;
        bool inner = at == AZURE_CHECK_SNP || at == AZURE_CHECK_STATE;
        r->out->failed = inner ? r->out->snp.failed : rows[at].name;
        return OK;
    }
    r->out->accepted = true;
    return OK;
}

err azure_verify(const struct azure_evidence *e, const struct snp_collateral *collateral,
                 const struct snp_settings *settings, struct azure_result *out)
{
    struct run r = { .evidence = e, .collateral = collateral, .settings = settings, .out = out };
    clear(out);
    err result = run_steps(&r, 0, AZURE_CHECKS);
    azure_runtime_clear(&r.runtime);
    if (!err_is_ok(result))
        clear(out);
    return result;
}

/* --- for the frame --------------------------------------------------------------------------- */

#define PCR(i)                                                                                     \
    {                                                                                              \
        .name = "pcr" #i, .len = TPM_PCR_LEN                                                       \
    }

static const struct verifier_register registers[TPM_PCRS + SNP_REGISTERS] = {
    PCR(0),
    PCR(1),
    PCR(2),
    PCR(3),
    PCR(4),
    PCR(5),
    PCR(6),
    PCR(7),
    PCR(8),
    PCR(9),
    PCR(10),
    PCR(11),
    PCR(12),
    PCR(13),
    PCR(14),
    PCR(15),
    PCR(16),
    PCR(17),
    PCR(18),
    PCR(19),
    PCR(20),
    PCR(21),
    PCR(22),
    PCR(23),
    /* of the paravisor */
    { .name = "measurement", .len = SNP_MEASUREMENT_LEN, .secondary = true },
    { .name = "host_data", .len = 32, .secondary = true },
    { .name = "id_key_digest", .len = 48, .secondary = true },
    { .name = "author_key_digest", .len = 48, .secondary = true },
    { .name = "family_id", .len = 16, .secondary = true },
    { .name = "image_id", .len = 16, .secondary = true },
    { .name = "chip_id", .len = SNP_CHIP_ID_LEN, .secondary = true },
    { .name = "report_id", .len = 32, .secondary = true },
};

_Static_assert(ARRAY_LEN(registers) <= VERDICT_REGISTERS_MAX, "a verdict holds all of them");

static void add_pcrs(const struct azure_result *r, bytes pcrs, struct verifier_facts *out)
{
    for (unsigned i = 0; i < TPM_PCRS; i++) {
        bytes value = tpm_quote_pcr(&r->quote, pcrs, i);
        if (value.len != TPM_PCR_LEN)
            continue;
        struct verdict_register *to = &out->registers[out->registers_n++];
        to->name = registers[i].name;
        to->len = value.len;
        memcpy(to->value, value.at, value.len);
    }
}

/* The report's own outcomes come first; ours can only make them worse. */
static void add_outcomes(const struct azure_result *r, struct verifier_facts *out)
{
    struct verifier_outcome *parts[VERDICT_CHECKS] = { [VERDICT_FORM] = &out->form,
                                                       [VERDICT_SIGNATURE] = &out->signature,
                                                       [VERDICT_TCB] = &out->tcb };
    for (size_t i = 0; i < AZURE_CHECKS; i++) {
        const struct snp_check *c = &r->checks[i];
        struct verifier_outcome *part = parts[rows[i].part];
        if (c->status == VERDICT_PASS || part->status == VERDICT_FAIL)
            continue;
        part->status = c->status;
        part->reason = c->status == VERDICT_FAIL ? c->reason : REASON_UNCHECKED;
    }
}

static void put_facts(const struct azure_result *r, bytes pcrs, struct verifier_facts *out)
{
    snp_facts(&r->snp, out);
    add_outcomes(r, out);
    out->subject = r->failed;
    if (out->signature.status == VERDICT_PASS) {
        memcpy(out->report_data, r->user_data, sizeof out->report_data);
        add_pcrs(r, pcrs, out);
        return;
    }
    out->registers_n = 0;
    memset(out->report_data, 0, sizeof out->report_data);
}

static err verify_bundle(const struct bundle *b, const struct policy *policy, int64_t now,
                         struct snp_collateral *collateral, struct verifier_facts *facts)
{
    struct azure_evidence evidence;
    struct azure_result result;
    struct snp_settings settings = { .policy = policy->snp, .now = now };
    bool whole = false;
    TRY(settle(azure_evidence_read(b->evidence, &evidence), &whole));
    if (whole)
        TRY(settle(snp_collateral_read(collateral, b->collateral), &whole));
    if (!whole) {
        facts->form = (struct verifier_outcome){ VERDICT_FAIL, REASON_MALFORMED };
        return OK;
    }
    TRY(azure_verify(&evidence, collateral, &settings, &result));
    put_facts(&result, evidence.pcrs, facts);
    return OK;
}

static err examine(const struct bundle *b, const struct policy *policy, int64_t now,
                   struct verifier_facts *facts)
{
    struct snp_collateral collateral = { 0 };
    err e = verify_bundle(b, policy, now, &collateral, facts);
    snp_collateral_clear(&collateral);
    return e;
}

/* All links but AMD's: report to runtime data, to the TPM's key, to the PCRs. */
static err own_links(struct run *r, bool *whole)
{
    *whole = false;
    clear(r->out);
    TRY(check_hcl_form(r, whole));
    if (*whole)
        TRY(settle(snp_report_read(r->out->hcl.report, &r->out->snp.report), whole));
    if (*whole)
        TRY(run_steps(r, AZURE_CHECK_REPORT_TYPE, AZURE_CHECK_SECURE_BOOT));
    return OK;
}

static err examine_own(const struct bundle *b, int64_t now, struct verifier_facts *facts)
{
    struct azure_evidence evidence;
    struct azure_result result;
    struct run r = { .evidence = &evidence, .out = &result };
    bool whole = false;
    (void)now;
    TRY(settle(azure_evidence_read(b->evidence, &evidence), &whole));
    err e = whole ? own_links(&r, &whole) : OK;
    azure_runtime_clear(&r.runtime);
    TRY(e);
    if (!whole) {
        facts->form = (struct verifier_outcome){ VERDICT_FAIL, REASON_MALFORMED };
        return OK;
    }
    snp_own_facts(&result.snp.report, facts);
    if (result.accepted) {
        memcpy(facts->report_data, result.user_data, sizeof facts->report_data);
        add_pcrs(&result, evidence.pcrs, facts);
        return OK;
    }
    facts->subject = result.failed;
    facts->signature = (struct verifier_outcome){ VERDICT_FAIL, REASON_MISMATCH };
    return OK;
}

static const struct verifier verifier = { .platform = AZURE_PLATFORM,
                                          .trust = TRUST_HARDWARE,
                                          .registers = registers,
                                          .registers_n = ARRAY_LEN(registers),
                                          .examine = examine,
                                          .examine_own = examine_own };

const struct verifier *const azure_verifier = &verifier;
