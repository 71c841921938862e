/* Evidence of any kind, and a part of collateral: the first two bytes say how long the evidence is.
 * Every answer fits the outcome, both writers take it, and nothing is verified that was not made by
 * hardware: no input here has a vendor's key, and genuine evidence lacks its collateral or its time. */
#include <stdlib.h>

#include "attest/appraise.h"
#include "base/json.h"
#include "base/mem.h"
#include "crypto/init.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void check_writers(const struct appraisal *a)
{
    struct json *j;
    BUF_AUTO out = BUF(APPRAISE_TEXT_MAX);
    must(err_is_ok(appraise_text(a, &out)));
    for (size_t i = 0; i < out.len; i++)
        must(out.at[i] == '\n' || (out.at[i] >= ' ' && out.at[i] < 0x7f));
    buf_truncate(&out, 0);
    must(err_is_ok(appraise_json(a, &out)));
    must(err_is_ok(json_read(&j, buf_view(&out), 4))); /* no key twice */
    json_free(j);
}

static void check_rows(const struct appraisal *a)
{
    bool failed = false;
    for (size_t i = 0; i < a->checks_n; i++) {
        must(a->checks[i].name != NULL && a->checks[i].reason != NULL);
        failed = failed || a->checks[i].status == VERDICT_FAIL;
    }
    must(a->checks_n > 0 && (!failed || a->outcome == APPRAISE_REFUSED));
    must(a->answers[APPRAISE_ANSWER_PLATFORM].status != VERDICT_PASS ||
         a->answers[APPRAISE_ANSWER_CHAIN].status == VERDICT_PASS);
}

static void check(bytes evidence, bytes collateral, enum appraise_platform platform)
{
    struct appraisal *a;
    const struct appraise_settings s = { .platform = platform,
                                         .collateral = { collateral },
                                         .collateral_n = collateral.len > 0,
                                         .now = 1 };
    must(err_is_ok(mem_new(&a)));
    must(err_is_ok(appraise(evidence, &s, a)));
    must(a->outcome != APPRAISE_VERIFIED);
    check_rows(a);
    check_writers(a);
    appraise_clear(a);
    mem_free(a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool ready;
    uint16_t len;
    bytes evidence;
    bytes in = bytes_of(data, size);
    if (!ready)
        must(err_is_ok(crypto_init()));
    ready = true;
    if (!bytes_take_u16be(&in, &len) || !bytes_take(&in, len, &evidence))
        return 0;
    for (enum appraise_platform p = APPRAISE_AUTO; p < APPRAISE_PLATFORMS; p++)
        check(evidence, in, p);
    return 0;
}
