/* A signed policy: refused, or whole, in its one spelling, and within its limits. */
#include <stdlib.h>

#include "attest/policy_bundle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void check_bundle(bytes file, const struct policy_bundle *b)
{
    must(policy_bundle_is(file) && b->version >= 1 && b->version <= POLICY_BUNDLE_VERSION_MAX);
    must(b->expires > b->created && b->created >= 0);
    must(b->policy.at > file.at && b->policy.at + b->policy.len < file.at + file.len);
    must(b->signed_part.at == file.at &&
         b->signed_part.at + b->signed_part.len == b->policy.at + b->policy.len + 1);
    must(b->signatures_n >= 1 && b->signatures_n <= POLICY_BUNDLE_SIGNATURES_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct policy_keys none = { 0 };
    bytes file = bytes_of(data, size);
    struct policy_bundle b;
    struct policy_opened o;
    BUF_AUTO message = BUF(4096);
    bool whole = err_is_ok(policy_bundle_read(file, &b));
    if (whole)
        check_bundle(file, &b);
    const struct policy_ask ask = {
        .file = file, .name = "policy", .keys = &none, .now = 1767225600, .message = &message
    };
    must(err_is_ok(policy_open(&ask, &o)));
    must((o.policy != NULL) == (o.outcome == POLICY_ACCEPTED));
    must(o.policy != NULL || message.len > 0);
    must(o.facts.is_bundle == whole);
    policy_free(o.policy);
    return 0;
}
