#include "attest/verdict.h"

#include "attest/reason.h"
#include "base/attr.h"
#include "base/json.h"
#include "base/text.h"
#include "crypto/secret.h"

void verdict_clear(struct verdict *v)
{
    buf_clear(&v->key_list);
    secret_wipe(v, sizeof *v);
}

const struct verdict_check *verdict_failure(const struct verdict *v)
{
    for (size_t i = 0; i < VERDICT_CHECKS; i++) {
        if (v->checks[i].status == VERDICT_FAIL)
            return &v->checks[i];
    }
    return NULL;
}

bytes verdict_register(const struct verdict *v, const char *name)
{
    for (size_t i = 0; i < v->registers_n; i++) {
        if (bytes_equal(bytes_str(v->registers[i].name), bytes_str(name)))
            return bytes_of(v->registers[i].value, v->registers[i].len);
    }
    return (bytes){ 0 };
}

const char *verdict_check_name(enum verdict_check_id id)
{
    static const char *const names[VERDICT_CHECKS] = {
#define X(name, word) [VERDICT_##name] = (word),
        VERDICT_CHECK_LIST(X)
#undef X
    };
    return id < VERDICT_CHECKS ? names[id] : "none";
}

const char *verdict_status_word(enum verdict_status s)
{
    switch (s) {
    case VERDICT_SKIP:
        return "skip";
    case VERDICT_PASS:
        return "pass";
    case VERDICT_FAIL:
        return "fail";
    }
    return "fail";
}

const char *trust_word(enum trust_level t)
{
    switch (t) {
    case TRUST_NONE:
        return "none";
    case TRUST_SIMULATED:
        return "simulated";
    case TRUST_ENROLLED:
        return "enrolled";
    case TRUST_VOUCHED:
        return "vouched";
    case TRUST_HARDWARE:
        return "hardware";
    }
    return "none";
}

/* A verdict nobody filled has no words in it. */
static const char *word_or(const char *word, const char *otherwise)
{
    return word != NULL ? word : otherwise;
}

static err explain_check(const struct verdict *v, enum verdict_check_id id, struct buf *out)
{
    const struct verdict_check *c = &v->checks[id];
    const char *name = verdict_check_name(id);
    if (c->status == VERDICT_PASS)
        return buf_addf(out, "  pass  %s\n", name);
    TRY(buf_addf(out, "  %s  %-12s  %s", verdict_status_word(c->status), name,
                 word_or(c->reason, reason_word(REASON_UNCHECKED))));
    if (c->subject != NULL)
        TRY(buf_addf(out, " (%s)", c->subject));
    return buf_addf(out, ": %s\n", word_or(c->sentence, reason_sentence(REASON_UNCHECKED)));
}

static err explain_registers(const struct verdict *v, struct buf *out)
{
    for (size_t i = 0; i < v->registers_n; i++) {
        TRY(buf_addf(out, "  %s ", v->registers[i].name));
        TRY(text_hex_encode(out, bytes_of(v->registers[i].value, v->registers[i].len)));
        TRY(buf_add_u8(out, '\n'));
    }
    return OK;
}

static err explain_head(const struct verdict *v, struct buf *out)
{
    TRY(buf_addf(out, "%s: platform %s, trust %s\n", v->accepted ? "accepted" : "REFUSED",
                 word_or(v->platform, "unknown"), trust_word(v->trust)));
    if (v->accepted && v->trust == TRUST_SIMULATED)
        TRY(buf_add_str(out, "SIMULATED: NO PROTECTION. Anybody can make this evidence.\n"));
    if (v->accepted && (v->trust == TRUST_ENROLLED || v->trust == TRUST_VOUCHED))
        TRY(buf_add_str(out, "NO HARDWARE EVIDENCE: somebody's word, accepted by the policy.\n"));
    return OK;
}

err verdict_rules_explain(const struct verdict_rule *rules, size_t n, struct buf *out)
{
    if (n > 0)
        TRY(buf_add_str(out, "rules of the policy:\n"));
    for (size_t i = 0; i < n; i++) {
        const struct verdict_rule *r = &rules[i];
        TRY(buf_addf(out, "  %s  %-17s  ", verdict_status_word(r->status), r->name));
        if (r->status == VERDICT_PASS)
            TRY(buf_addf(out, "value %u of %u\n", r->met, r->of));
        else if (r->of > 0)
            TRY(buf_addf(out, "%s: none of %u\n", reason_word(r->reason), r->of));
        else
            TRY(buf_addf(out, "%s\n", reason_word(r->reason)));
    }
    return OK;
}

/* Those who use it take it from here, not from the URL that anybody can answer. */
static err explain_ehbp_key(const struct verdict *v, struct buf *out)
{
    if (v->ehbp_key_len == 0)
        return OK;
    TRY(buf_add_str(out, "key configuration of EHBP: "));
    TRY(text_hex_encode(out, bytes_of(v->ehbp_key, v->ehbp_key_len)));
    return buf_add_u8(out, '\n');
}

err verdict_explain(const struct verdict *v, struct buf *out)
{
    TRY(explain_head(v, out));
    for (size_t i = 0; i < VERDICT_CHECKS; i++)
        TRY(explain_check(v, (enum verdict_check_id)i, out));
    if (v->registers_n > 0)
        TRY(buf_add_str(out, "registers by the evidence:\n"));
    TRY(explain_registers(v, out));
    TRY(verdict_rules_explain(v->rules, v->rules_n, out));
    TRY(explain_ehbp_key(v, out));
    const struct verdict_check *failed = verdict_failure(v);
    if (failed != NULL)
        TRY(buf_addf(out, "what to do: %s\n", failed->advice));
    return OK;
}

static void json_checks(const struct verdict *v, struct json_out *j)
{
    json_begin_array(j, "checks");
    for (size_t i = 0; i < VERDICT_CHECKS; i++) {
        const struct verdict_check *c = &v->checks[i];
        json_begin_object(j, NULL);
        json_put_str(j, "check", verdict_check_name((enum verdict_check_id)i));
        json_put_str(j, "status", verdict_status_word(c->status));
        json_put_str(j, "reason", word_or(c->reason, reason_word(REASON_UNCHECKED)));
        if (c->subject != NULL)
            json_put_str(j, "subject", c->subject);
        if (c->status == VERDICT_FAIL) {
            json_put_str(j, "message", c->sentence);
            json_put_str(j, "advice", c->advice);
        }
        json_close(j);
    }
    json_close(j);
}

static void json_registers(const struct verdict *v, struct json_out *j)
{
    json_begin_object(j, "registers");
    for (size_t i = 0; i < v->registers_n; i++)
        json_put_hex(j, v->registers[i].name, bytes_of(v->registers[i].value, v->registers[i].len));
    json_close(j);
}

void verdict_rules_json(const struct verdict_rule *rules, size_t n, struct json_out *j)
{
    if (n == 0)
        return;
    json_begin_array(j, "rules");
    for (size_t i = 0; i < n; i++) {
        json_begin_object(j, NULL);
        json_put_str(j, "rule", rules[i].name);
        json_put_str(j, "status", verdict_status_word(rules[i].status));
        json_put_str(j, "reason", reason_word(rules[i].reason));
        if (rules[i].met > 0)
            json_put_u64(j, "value", rules[i].met);
        json_put_u64(j, "of", rules[i].of);
        json_close(j);
    }
    json_close(j);
}

static void json_accepted(const struct verdict *v, struct json_out *j)
{
    json_put_hex(j, "identity", BYTES_ARRAY(v->identity));
    json_put_hex(j, "document_sha256", BYTES_ARRAY(v->document_digest));
    json_put_str(j, "worker", v->worker);
    json_put_str(j, "software", v->software);
    if (v->key_list.len == 0)
        return;
    json_put_i64(j, "not_before", v->not_before);
    json_put_i64(j, "not_after", v->not_after);
    json_put_u64(j, "generation", v->generation);
    if (v->ehbp_key_len > 0)
        json_put_hex(j, "ehbp_key", bytes_of(v->ehbp_key, v->ehbp_key_len));
}

err verdict_json(const struct verdict *v, struct buf *out)
{
    struct json_out j = JSON_OUT(out);
    json_begin_object(&j, NULL);
    json_put_bool(&j, "accepted", v->accepted);
    json_put_str(&j, "trust", trust_word(v->trust));
    json_put_str(&j, "platform", v->platform);
    json_checks(v, &j);
    json_registers(v, &j);
    verdict_rules_json(v->rules, v->rules_n, &j);
    if (v->evidence_at != 0)
        json_put_i64(&j, "evidence_at", v->evidence_at);
    if (v->accepted)
        json_accepted(v, &j);
    json_close(&j);
    return json_end(&j);
}
