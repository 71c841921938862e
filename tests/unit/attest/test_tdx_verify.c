#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/init.h"
#include "tests/unit/attest/tdx_scene.h"

static void genuine_quotes_of_both_versions_are_accepted(void **state)
{
    (void)state;
    const struct tdx_sample *const samples[] = { &tdx_v4, &tdx_v5 };
    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        struct tdx_scene s;
        if (!tdx_scene_open(&s, samples[i]))
            skip();
        tdx_scene_accepts(&s);
        CHECK(s.result->status == TDX_STATUS_UP_TO_DATE && !s.result->relaunch_advised);
        CHECK(s.result->expires > s.input.now);
        tdx_scene_close(&s);
    }
}

static void every_check_is_passed_or_was_not_asked_for(void **state)
{
    (void)state;
    struct tdx_scene s;
    if (!tdx_scene_open(&s, &tdx_v4))
        skip();
    tdx_scene_accepts(&s);
    for (enum tdx_check c = 0; c < TDX_CHECKS; c++) {
        bool asked =
            c != TDX_CHECK_MACHINE && c != TDX_CHECK_EVENT_LOG && c != TDX_CHECK_ADVISORIES;
        CHECK(s.result->checks[c] == (asked ? VERDICT_PASS : VERDICT_SKIP));
    }
    tdx_scene_close(&s);
}

static void without_collateral_or_with_a_part_of_it_nothing_is_accepted(void **state)
{
    (void)state;
    struct tdx_scene s;
    if (!tdx_scene_open(&s, &tdx_v4))
        skip();
    s.input.collateral = NULL;
    tdx_scene_refuses(&s, TDX_FAULT_NO_COLLATERAL);
    s.input.collateral = &s.collateral;
    for (size_t i = 0; i < TDX_SCENE_FILES; i++) {
        struct buf kept = s.files[i];
        s.files[i] = BUF(1);
        tdx_scene_verify(&s);
        CHECK(!s.result->accepted);
        s.files[i] = kept;
    }
    tdx_scene_accepts(&s);
    tdx_scene_close(&s);
}

static void each_document_has_a_chain_of_its_own(void **state)
{
    (void)state;
    struct tdx_scene s;
    BUF_AUTO other = BUF(TDX_CHAIN_MAX);
    if (!tdx_scene_open(&s, &tdx_v4))
        skip();
    tdx_scene_accepts(&s);
    CHECK_OK(buf_add(&other, buf_view(&s.files[SCENE_CHAIN])));
    CHECK_OK(buf_add_u8(&other, '\n'));
    s.collateral.qe_identity_chain = buf_view(&other);
    CHECK_OK(tdx_verify(&s.input, s.result));
    CHECK(s.result->accepted);
    other.at[100] ^= 1;
    CHECK_OK(tdx_verify(&s.input, s.result));
    CHECK(!s.result->accepted && s.result->checks[TDX_CHECK_TCB_SIGNER] == VERDICT_FAIL);
    CHECK(s.result->checks[TDX_CHECK_TCB_INFO] == VERDICT_PASS);
    tdx_scene_close(&s);
}

static void a_status_is_accepted_only_when_it_and_its_advisories_are_listed(void **state)
{
    (void)state;
    struct tdx_scene s;
    if (!tdx_scene_open(&s, &tdx_old))
        skip();
    s.policy.any_sept_ve = true;
    tdx_scene_refuses(&s, TDX_FAULT_TCB_STATUS);
    CHECK(s.result->status == TDX_STATUS_OUT_OF_DATE && s.result->advisories_n == 3);
    s.policy.statuses = 1U << TDX_STATUS_OUT_OF_DATE;
    tdx_scene_refuses(&s, TDX_FAULT_ADVISORY);
    s.policy.any_advisory = true;
    tdx_scene_accepts(&s);
    struct buf ids[3];
    s.policy.any_advisory = false;
    s.policy.advisories.items = ids;
    for (size_t i = 0; i < 3; i++) {
        ids[i] = BUF(64);
        CHECK_OK(buf_add_str(&ids[i], s.result->advisories[i].id));
    }
    s.policy.advisories.n = 2;
    tdx_scene_refuses(&s, TDX_FAULT_ADVISORY);
    s.policy.advisories.n = 3;
    tdx_scene_accepts(&s);
    for (size_t i = 0; i < 3; i++)
        buf_clear(&ids[i]);
    tdx_scene_close(&s);
}

static void debug_is_refused_whatever_the_policy(void **state)
{
    (void)state;
    struct tdx_scene s;
    if (!tdx_scene_open(&s, &tdx_debug))
        skip();
    s.policy = (struct tdx_policy){
        .statuses = ~0U, .any_advisory = true, .any_sept_ve = true, .migratable = true
    };
    tdx_scene_refuses(&s, TDX_FAULT_DEBUG);
    CHECK(s.result->status == TDX_STATUS_UP_TO_DATE);
    tdx_scene_close(&s);
}

static void sept_ve_disable_is_asked_for_by_default(void **state)
{
    (void)state;
    struct tdx_scene s;
    if (!tdx_scene_open(&s, &tdx_old))
        skip();
    tdx_scene_refuses(&s, TDX_FAULT_SEPT_VE);
    tdx_scene_close(&s);
}

static void only_listed_machines_are_accepted_when_there_is_a_list(void **state)
{
    (void)state;
    struct tdx_scene s;
    struct buf ppid = BUF(16);
    if (!tdx_scene_open(&s, &tdx_v4))
        skip();
    law_hex(&ppid, "811dca2a26b952e85bb6448b097ba4fe");
    s.policy.ppids = (struct policy_list){ &ppid, 1 };
    tdx_scene_refuses(&s, TDX_FAULT_PPID);
    law_hex(&ppid, "811dca2a26b952e85bb6448b097ba4fd");
    tdx_scene_accepts(&s);
    buf_clear(&ppid);
    tdx_scene_close(&s);
}

static void the_evaluation_number_has_its_minimum(void **state)
{
    (void)state;
    struct tdx_scene s;
    if (!tdx_scene_open(&s, &tdx_v4))
        skip();
    s.policy.minimum_evaluation = 17;
    tdx_scene_accepts(&s);
    s.policy.minimum_evaluation = 18;
    tdx_scene_refuses(&s, TDX_FAULT_TCB_INFO_NUMBER);
    tdx_scene_refuses(&s, TDX_FAULT_QE_IDENTITY_NUMBER);
    tdx_scene_close(&s);
}

/* The dates of the collateral of tdx_v4. The bounds themselves are inside; a list of revoked
 * certificates ends one second before its own. */
static void dates_are_inclusive_and_one_second_more_is_not(void **state)
{
    (void)state;
    static const struct {
        int64_t at;
        int64_t step;
        enum tdx_fault fault;
    } rows[] = { { 1752919234, 1, TDX_FAULT_PCK_CRL_VALIDITY },
                 { 1752920163, 1, TDX_FAULT_TCB_INFO_VALIDITY },
                 { 1752921147, 1, TDX_FAULT_QE_IDENTITY_VALIDITY },
                 { 1750328163, -1, TDX_FAULT_TCB_INFO_VALIDITY },
                 { 1750329147, -1, TDX_FAULT_QE_IDENTITY_VALIDITY } };
    struct tdx_scene s;
    if (!tdx_scene_open(&s, &tdx_v4))
        skip();
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        s.input.now = rows[i].at;
        tdx_scene_verify(&s);
        CHECK(!tdx_fault_has(&s.result->faults, rows[i].fault));
        s.input.now += rows[i].step;
        tdx_scene_refuses(&s, rows[i].fault);
    }
    tdx_scene_close(&s);
}

static void what_follows_the_signature_data_is_zero_or_refused(void **state)
{
    (void)state;
    struct tdx_scene s;
    if (!tdx_scene_open(&s, &tdx_v5))
        skip();
    CHECK_OK(buf_add_zeros(&s.files[SCENE_QUOTE], 3000));
    tdx_scene_accepts(&s);
    CHECK(s.result->quote.trailing == 3000);
    CHECK_OK(buf_add_u8(&s.files[SCENE_QUOTE], 1));
    tdx_scene_refuses(&s, TDX_FAULT_TRAILING_DATA);
    tdx_scene_close(&s);
}

static void a_quote_at_the_limit_is_taken_and_one_above_is_not(void **state)
{
    (void)state;
    struct tdx_scene s;
    if (!tdx_scene_open(&s, &tdx_v5))
        skip();
    CHECK_OK(buf_add_zeros(&s.files[SCENE_QUOTE], TDX_QUOTE_MAX - s.files[SCENE_QUOTE].len));
    tdx_scene_accepts(&s);
    CHECK_OK(buf_add_u8(&s.files[SCENE_QUOTE], 0));
    tdx_scene_refuses(&s, TDX_FAULT_TOO_LARGE);
    tdx_scene_close(&s);
}

static void a_chain_without_its_root_is_refused(void **state)
{
    (void)state;
    struct tdx_scene s;
    if (!tdx_scene_open(&s, &tdx_v4))
        skip();
    buf_clear(&s.files[SCENE_QUOTE]);
    tdx_scene_read(&s.files[SCENE_QUOTE], "negative/pck-chain-no-root.bin");
    tdx_scene_refuses(&s, TDX_FAULT_PCK_CHAIN_LENGTH);
    tdx_scene_close(&s);
}

static void every_prefix_is_refused(void **state)
{
    (void)state;
    struct tdx_scene s;
    if (!tdx_scene_open(&s, &tdx_v5))
        skip();
    size_t whole = s.files[SCENE_QUOTE].len;
    struct tdx_quote q;
    struct tdx_faults all = { 0 };
    tdx_quote_read(buf_view(&s.files[SCENE_QUOTE]), &q, &all);
    for (size_t n = 0; n + q.trailing < whole; n++) {
        struct tdx_faults faults = { 0 };
        struct tdx_quote cut;
        tdx_quote_read(bytes_of(s.files[SCENE_QUOTE].at, n), &cut, &faults);
        CHECK(tdx_fault_of(&faults, TDX_CHECK_FORM) != TDX_FAULTS);
    }
    tdx_scene_close(&s);
}

/* --- the mutation law ------------------------------------------------------------------------ */

/* A byte between or behind PEM blocks may be any white space or NUL. */
static bool is_between_blocks(uint8_t c)
{
    return c == '\0' || c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* The only flips that change nothing: white space of PEM or JSON text for other white space, and
 * the case of a hex digit of a signature that stands in JSON as text. */
static bool is_irrelevant(enum tdx_scene_file file, uint8_t from, uint8_t to)
{
    if (is_between_blocks(from) && is_between_blocks(to))
        return true;
    bool json = file == SCENE_TCB || file == SCENE_QE;
    bool letter = (from | 0x20) >= 'a' && (from | 0x20) <= 'f';
    return json && letter && (from ^ to) == 0x20;
}

static void flip_refuses(struct tdx_scene *s, enum tdx_scene_file file, size_t at, unsigned bit)
{
    uint8_t *byte = &s->files[file].at[at];
    uint8_t from = *byte;
    *byte ^= (uint8_t)(1U << bit);
    tdx_scene_verify(s);
    if (s->result->accepted && !is_irrelevant(file, from, *byte))
        fail_msg("file %d, byte %zu, bit %u: still accepted", (int)file, at, bit);
    *byte = from;
}

enum { STRIDE = 3, CERTS_FROM = 1258 };

/* One bit of every byte of the quote, another one from byte to byte, and of the certificates, which
 * are text, every third; all bits of lengths and types. */
static void any_flipped_bit_of_a_quote_is_refused(void **state)
{
    (void)state;
    const struct tdx_sample *const samples[] = { &tdx_v4, &tdx_v5 };
    static const size_t lengths[][2] = {
        { 0, 8 }, { 632, 636 }, { 764, 770 }, { 1218, 1220 }, { 1252, 1258 }
    };
    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        struct tdx_scene s;
        if (!tdx_scene_open(&s, samples[i]))
            skip();
        size_t shift = i == 0 ? 0 : 70; /* descriptor of 6, body longer by 64 */
        for (size_t at = 0; at < s.files[SCENE_QUOTE].len; at += at < CERTS_FROM ? 1 : STRIDE)
            flip_refuses(&s, SCENE_QUOTE, at, (unsigned)(at * 5 + at / 8) % 8);
        for (size_t k = 0; k < ARRAY_LEN(lengths); k++) {
            size_t by = lengths[k][0] > 600 ? shift : 0;
            for (size_t at = lengths[k][0] + by; at < lengths[k][1] + by; at++) {
                for (unsigned bit = 0; bit < 8; bit++)
                    flip_refuses(&s, SCENE_QUOTE, at, bit);
            }
        }
        tdx_scene_accepts(&s);
        tdx_scene_close(&s);
    }
}

static void any_flipped_bit_of_the_collateral_is_refused(void **state)
{
    (void)state;
    struct tdx_scene s;
    if (!tdx_scene_open(&s, &tdx_v4))
        skip();
    for (enum tdx_scene_file f = SCENE_TCB; f < TDX_SCENE_FILES; f++) {
        for (size_t at = 0; at < s.files[f].len; at += STRIDE)
            flip_refuses(&s, f, at, (unsigned)(at * 5 + at / 8) % 8);
    }
    tdx_scene_accepts(&s);
    tdx_scene_close(&s);
}

/* --- memory ---------------------------------------------------------------------------------- */

static err verify_once(void *arg)
{
    struct tdx_scene *s = arg;
    err e = tdx_verify(&s->input, s->result);
    for (enum tdx_fault f = 0; f < TDX_FAULTS; f++) {
        if (tdx_fault_has(&s->result->faults, f))
            fail_msg("%s", tdx_fault_word(f));
    }
    CHECK(err_is_ok(e) == s->result->accepted);
    return e;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    struct tdx_scene s;
    if (!tdx_scene_open(&s, &tdx_v5))
        skip();
    tdx_scene_accepts(&s);
    law_every_allocation_fails_once(verify_once, &s);
    tdx_scene_close(&s);
}

static void the_platform_of_a_quote_is_known_without_collateral(void **state)
{
    (void)state;
    struct tdx_scene s;
    struct tdx_pck pck;
    bool processor = true;
    if (!tdx_scene_open(&s, &tdx_v4))
        skip();
    tdx_scene_accepts(&s);
    CHECK_OK(tdx_quote_platform(s.input.quote, s.input.now, &pck, &processor));
    CHECK(!processor && pck.fmspc[0] == 0xb0);
    CHECK_ERR(tdx_quote_platform(s.input.quote, 0, &pck, &processor), UNTRUSTED);
    CHECK_ERR(tdx_quote_platform(bytes_slice(s.input.quote, 0, 100), s.input.now, &pck, &processor),
              MALFORMED);
    tdx_scene_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(genuine_quotes_of_both_versions_are_accepted),
        cmocka_unit_test(every_check_is_passed_or_was_not_asked_for),
        cmocka_unit_test(without_collateral_or_with_a_part_of_it_nothing_is_accepted),
        cmocka_unit_test(each_document_has_a_chain_of_its_own),
        cmocka_unit_test(a_status_is_accepted_only_when_it_and_its_advisories_are_listed),
        cmocka_unit_test(debug_is_refused_whatever_the_policy),
        cmocka_unit_test(sept_ve_disable_is_asked_for_by_default),
        cmocka_unit_test(only_listed_machines_are_accepted_when_there_is_a_list),
        cmocka_unit_test(the_evaluation_number_has_its_minimum),
        cmocka_unit_test(dates_are_inclusive_and_one_second_more_is_not),
        cmocka_unit_test(what_follows_the_signature_data_is_zero_or_refused),
        cmocka_unit_test(a_quote_at_the_limit_is_taken_and_one_above_is_not),
        cmocka_unit_test(a_chain_without_its_root_is_refused),
        cmocka_unit_test(every_prefix_is_refused),
        cmocka_unit_test(any_flipped_bit_of_a_quote_is_refused),
        cmocka_unit_test(any_flipped_bit_of_the_collateral_is_refused),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(the_platform_of_a_quote_is_known_without_collateral),
    };
    if (!err_is_ok(crypto_init()))
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
