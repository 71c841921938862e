/* What attest/appraise.h found, in words for people and as JSON. */
#include "attest/appraise_parts.h"
#include "attest/utc.h"
#include "base/attr.h"
#include "base/json.h"

const char *appraise_outcome_word(enum appraise_outcome o)
{
    switch (o) {
    case APPRAISE_NOT_DECIDED:
        return "not_decided";
    case APPRAISE_REFUSED:
        return "refused";
    case APPRAISE_VERIFIED:
        return "verified";
    }
    return "not_decided";
}

const char *appraise_answer_word(enum appraise_answer a)
{
    static const char *const words[APPRAISE_ANSWERS] = {
        [APPRAISE_ANSWER_PLATFORM] = "platform",
        [APPRAISE_ANSWER_USER_DATA] = "user_data",
        [APPRAISE_ANSWER_CHAIN] = "certificate_chain",
        [APPRAISE_ANSWER_FRESHNESS] = "freshness",
    };
    return a < APPRAISE_ANSWERS ? words[a] : "none";
}

bool appraise_platform_read(bytes word, enum appraise_platform *out)
{
    static const struct {
        const char *word;
        enum appraise_platform platform;
    } words[] = { { "auto", APPRAISE_AUTO },   { "tdx", APPRAISE_TDX },
                  { "snp", APPRAISE_SNP },     { "sev-snp", APPRAISE_SNP },
                  { "nitro", APPRAISE_NITRO }, { "sealgate", APPRAISE_SEALGATE } };
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (bytes_equal(word, bytes_str(words[i].word))) {
            *out = words[i].platform;
            return true;
        }
    }
    return false;
}

/* --- text ------------------------------------------------------------------------------------- */

static const char *outcome_heading(enum appraise_outcome o)
{
    switch (o) {
    case APPRAISE_NOT_DECIDED:
        return "NOT DECIDED";
    case APPRAISE_REFUSED:
        return "REFUSED";
    case APPRAISE_VERIFIED:
        return "VERIFIED";
    }
    return "NOT DECIDED";
}

/* Strings of a zero appraisal are NULL. */
static const char *or_dash(const char *s)
{
    return s != NULL ? s : "-";
}

static err write_line(struct buf *out, const char *name, enum verdict_status status,
                      const char *reason, const char *sentence)
{
    if (status == VERDICT_PASS)
        return buf_addf(out, "  pass  %s\n", or_dash(name));
    return buf_addf(out, "  %s  %-20s  %s: %s\n", verdict_status_word(status), or_dash(name),
                    or_dash(reason), or_dash(sentence));
}

err appraise_text(const struct appraisal *a, struct buf *out)
{
    TRY(buf_addf(out, "%s: platform %s, as of ", outcome_heading(a->outcome),
                 a->platform != NULL ? a->platform : "unknown"));
    if (utc_write(out, a->at).code != ERR_OK)
        TRY(buf_addf(out, "%lld", (long long)a->at));
    TRY(buf_add_u8(out, '\n'));
    for (unsigned i = 0; i < APPRAISE_ANSWERS; i++)
        TRY(write_line(out, appraise_answer_word((enum appraise_answer)i), a->answers[i].status,
                       a->answers[i].reason, a->answers[i].sentence));
    TRY(buf_add_str(out, "checks:\n"));
    for (size_t i = 0; i < a->checks_n; i++)
        TRY(write_line(out, a->checks[i].name, a->checks[i].status, a->checks[i].reason,
                       a->checks[i].sentence));
    TRY(verdict_rules_explain(a->rules, a->rules_n, out));
    if (a->fields_n > 0)
        TRY(buf_add_str(out, a->outcome == APPRAISE_VERIFIED
                                 ? "what it says:\n"
                                 : "what it says, which is not proved:\n"));
    for (size_t i = 0; i < a->fields_n; i++) {
        TRY(buf_addf(out, "  %s ", a->fields[i].name));
        TRY(buf_add(out, buf_view(&a->fields[i].value)));
        TRY(buf_add_u8(out, '\n'));
    }
    return OK;
}

/* --- JSON ------------------------------------------------------------------------------------- */

static void put_finding(struct json_out *j, enum verdict_status status, const char *reason,
                        const char *sentence)
{
    json_put_str(j, "status", verdict_status_word(status));
    json_put_str(j, "reason", reason);
    json_put_str(j, "message", sentence);
}

static void put_answers(struct json_out *j, const struct appraisal *a)
{
    json_begin_object(j, "answers");
    for (unsigned i = 0; i < APPRAISE_ANSWERS; i++) {
        json_begin_object(j, appraise_answer_word((enum appraise_answer)i));
        put_finding(j, a->answers[i].status, a->answers[i].reason, a->answers[i].sentence);
        json_close(j);
    }
    json_close(j);
}

static void put_checks(struct json_out *j, const struct appraisal *a)
{
    json_begin_array(j, "checks");
    for (size_t i = 0; i < a->checks_n; i++) {
        json_begin_object(j, NULL);
        json_put_str(j, "check", a->checks[i].name);
        put_finding(j, a->checks[i].status, a->checks[i].reason, a->checks[i].sentence);
        json_close(j);
    }
    json_close(j);
}

static void put_fields(struct json_out *j, const struct appraisal *a)
{
    json_begin_object(j, "fields");
    for (size_t i = 0; i < a->fields_n; i++)
        json_put_text(j, a->fields[i].name, buf_view(&a->fields[i].value));
    json_close(j);
}

err appraise_json(const struct appraisal *a, struct buf *out)
{
    struct json_out j = JSON_OUT(out);
    json_begin_object(&j, NULL);
    json_put_str(&j, "object", "attestation.findings");
    json_put_str(&j, "outcome", appraise_outcome_word(a->outcome));
    json_put_str(&j, "platform", a->platform);
    json_put_i64(&j, "at", a->at);
    put_answers(&j, a);
    put_checks(&j, a);
    verdict_rules_json(a->rules, a->rules_n, &j);
    put_fields(&j, a);
    json_close(&j);
    return json_end(&j);
}
