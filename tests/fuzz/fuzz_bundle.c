/* An attestation bundle, or an evidence document: what reads has one encoding, and no bytes are
 * accepted without the nonce being known or without a policy. */
#include <stdlib.h>

#include "attest/claims.h"
#include "attest/simulated.h"
#include "attest/statement.h"
#include "attest/verify.h"
#include "crypto/init.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void one_encoding(bytes in)
{
    struct bundle b;
    BUF_AUTO out = BUF(BUNDLE_MAX);
    if (err_is_ok(bundle_read(in, &b))) {
        must(err_is_ok(bundle_write(&out, &b)) && bytes_equal(buf_view(&out), in));
        struct statement st;
        if (err_is_ok(statement_read(b.key_statement, &st)))
            must(st.not_before < st.not_after && st.key_list.len > 0);
    } else if (err_is_ok(evidence_document_read(in, &b))) {
        must(err_is_ok(evidence_document_write(&out, &b)) && bytes_equal(buf_view(&out), in));
    }
    struct claims c;
    buf_truncate(&out, 0);
    if (err_is_ok(claims_read(in, &c)))
        must(err_is_ok(claims_write(&out, &c)) && bytes_equal(buf_view(&out), in));
}

/* The verdict is all or nothing. */
static void check_verdict(struct verdict *v, bool may_accept)
{
    BUF_AUTO text = BUF(65536);
    must(may_accept || !v->accepted);
    must(v->accepted == (verdict_failure(v) == NULL));
    must(v->accepted || (v->key_list.at == NULL && v->trust == TRUST_NONE));
    must(err_is_ok(verdict_explain(v, &text)) && err_is_ok(verdict_json(v, &text)));
    verdict_clear(v);
}

static void verify(bytes in)
{
    static const struct policy open_policy = { .platforms = { SIMULATED_PLATFORM },
                                               .platforms_n = 1,
                                               .any_measurements = true,
                                               .max_age_s = POLICY_AGE_S_DEFAULT,
                                               .skew_s = POLICY_SKEW_S_DEFAULT };
    struct verify_settings settings = { .now = 1750000000, .any_nonce = true, .any_age = true };
    struct verdict v;
    must(err_is_ok(attest_verify(in, &settings, &v)));
    check_verdict(&v, false);
    settings.policy = &open_policy;
    must(err_is_ok(attest_verify(in, &settings, &v)));
    check_verdict(&v, true);
    must(err_is_ok(attest_verify_document(in, &settings, &v)));
    check_verdict(&v, true);
    settings.any_nonce = false;
    must(err_is_ok(attest_verify(in, &settings, &v)));
    check_verdict(&v, false);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool ready;
    if (!ready)
        must(err_is_ok(crypto_init()));
    ready = true;
    one_encoding(bytes_of(data, size));
    verify(bytes_of(data, size));
    return 0;
}
