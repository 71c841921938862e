#include "attest/verdict.h"
#include "base/json.h"
#include "base/text.h"
#include "tests/lib/law.h"
#include "tests/unit/attest/scene.h"

static bool holds(struct buf *text, const char *part)
{
    return text_find(buf_view(text), bytes_str(part)) < text->len;
}

static void zero_is_a_refusal(void **state)
{
    (void)state;
    struct verdict v = { 0 };
    BUF_AUTO out = BUF(16384);
    CHECK(!v.accepted && v.trust == TRUST_NONE && verdict_failure(&v) == NULL);
    CHECK(v.checks[VERDICT_STATEMENT].status == VERDICT_SKIP);
    CHECK(verdict_register(&v, "pcr0").len == 0);
    CHECK_OK(verdict_explain(&v, &out));
    CHECK(bytes_starts(buf_view(&out), BYTES_LIT("REFUSED: platform unknown, trust none\n")));
    CHECK(holds(&out, "skip  form          unchecked"));
    buf_truncate(&out, 0);
    CHECK_OK(verdict_json(&v, &out));
    CHECK(holds(&out, "\"accepted\":false"));
    verdict_clear(&v);
}

static void explains_an_acceptance_and_is_loud_when_simulated(void **state)
{
    (void)state;
    struct scene s;
    struct verdict v;
    BUF_AUTO out = BUF(16384);
    scene_open(&s);
    scene_make(&s);
    CHECK_OK(attest_verify(buf_view(&s.bundle), &s.settings, &v));
    CHECK_OK(verdict_explain(&v, &out));
    CHECK(holds(&out, "accepted: platform simulated, trust simulated\n"));
    CHECK(holds(&out, "SIMULATED: NO PROTECTION"));
    CHECK(holds(&out, "  pass  binding\n"));
    CHECK(holds(&out, "  skip  operator      not-asked: "));
    CHECK(holds(&out, "  pcr0 630c9fc56f63f642"));
    CHECK(holds(&out, "rules of the policy:\n  pass  pcr0               value 1 of 1\n"));
    CHECK(holds(&out, "  skip  operator_keys      not-asked\n"));
    CHECK(!holds(&out, "what to do"));
    verdict_clear(&v);
    CHECK(!v.accepted && v.key_list.at == NULL && v.platform == NULL);
    verdict_clear(&v);
    scene_close(&s);
}

static void explains_a_refusal_with_what_to_do(void **state)
{
    (void)state;
    struct scene s;
    struct verdict v;
    BUF_AUTO out = BUF(16384);
    scene_open(&s);
    s.registers.pcr[1][0] ^= 1;
    scene_make(&s);
    CHECK_OK(attest_verify(buf_view(&s.bundle), &s.settings, &v));
    CHECK_OK(verdict_explain(&v, &out));
    CHECK(holds(&out, "REFUSED: platform simulated, trust none\n"));
    CHECK(holds(&out, "  fail  measurements  mismatch (pcr1): "));
    CHECK(holds(&out, "  skip  statement     earlier-failure: "));
    CHECK(holds(&out, "  pass  pcr0               value 1 of 1\n"));
    CHECK(holds(&out, "  fail  pcr1               mismatch: none of 1\n"));
    CHECK(holds(&out, "what to do: compare what is deployed"));
    verdict_clear(&v);
    scene_close(&s);
}

static void shows_the_key_of_ehbp_where_the_statement_names_one(void **state)
{
    (void)state;
    struct scene s;
    struct verdict v;
    BUF_AUTO out = BUF(16384);
    scene_open(&s);
    scene_make(&s);
    CHECK_OK(attest_verify(buf_view(&s.bundle), &s.settings, &v));
    CHECK_OK(verdict_json(&v, &out));
    CHECK_OK(verdict_explain(&v, &out));
    CHECK(v.ehbp_key_len == 0 && !holds(&out, "ehbp") && !holds(&out, "EHBP"));
    verdict_clear(&v);
    s.statement.ehbp_key = BYTES_LIT("\x01\x02\xff");
    scene_make(&s);
    CHECK_OK(attest_verify(buf_view(&s.bundle), &s.settings, &v));
    buf_truncate(&out, 0);
    CHECK_OK(verdict_json(&v, &out));
    CHECK(holds(&out, "\"ehbp_key\":\"0102ff\""));
    CHECK_OK(verdict_explain(&v, &out));
    CHECK(holds(&out, "key configuration of EHBP: 0102ff\n"));
    verdict_clear(&v);
    scene_close(&s);
}

static void writes_json_that_reads_back(void **state)
{
    (void)state;
    struct scene s;
    struct verdict v;
    struct json *j;
    bytes text;
    bool accepted = false;
    BUF_AUTO out = BUF(16384);
    scene_open(&s);
    scene_make(&s);
    CHECK_OK(attest_verify(buf_view(&s.bundle), &s.settings, &v));
    CHECK_OK(verdict_json(&v, &out));
    CHECK_OK(json_read(&j, buf_view(&out), 8));
    CHECK(json_bool(json_get(j, "accepted"), &accepted) && accepted);
    CHECK(json_len(json_get(j, "checks")) == VERDICT_CHECKS);
    CHECK(json_len(json_get(j, "rules")) == v.rules_n && v.rules_n == 7);
    CHECK(json_text(json_get(json_at(json_get(j, "rules"), 0), "rule"), &text));
    CHECK_BYTES(text, BYTES_LIT("pcr0"));
    CHECK(json_text(json_get(json_at(json_get(j, "checks"), VERDICT_NONCE), "status"), &text));
    CHECK_BYTES(text, BYTES_LIT("pass"));
    CHECK(json_text(json_get(j, "worker"), &text));
    CHECK_BYTES(text, BYTES_LIT("worker-1"));
    CHECK(json_text(json_get(json_get(j, "registers"), "pcr2"), &text) && text.len == 96);
    json_free(j);
    verdict_clear(&v);
    scene_close(&s);
}

static void every_enumerator_has_its_word(void **state)
{
    (void)state;
    assert_string_equal(verdict_check_name(VERDICT_FORM), "form");
    assert_string_equal(verdict_check_name(VERDICT_DATES), "dates");
    assert_string_equal(verdict_check_name(VERDICT_CHECKS), "none");
    assert_string_equal(verdict_status_word(VERDICT_SKIP), "skip");
    assert_string_equal(verdict_status_word(VERDICT_PASS), "pass");
    assert_string_equal(verdict_status_word(VERDICT_FAIL), "fail");
    assert_string_equal(trust_word(TRUST_NONE), "none");
    assert_string_equal(trust_word(TRUST_SIMULATED), "simulated");
    assert_string_equal(trust_word(TRUST_HARDWARE), "hardware");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zero_is_a_refusal),
        cmocka_unit_test(explains_an_acceptance_and_is_loud_when_simulated),
        cmocka_unit_test(explains_a_refusal_with_what_to_do),
        cmocka_unit_test(shows_the_key_of_ehbp_where_the_statement_names_one),
        cmocka_unit_test(writes_json_that_reads_back),
        cmocka_unit_test(every_enumerator_has_its_word),
    };
    return cmocka_run_group_tests(tests, scene_init_crypto, NULL);
}
