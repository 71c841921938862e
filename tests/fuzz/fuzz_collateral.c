/*
 * Answers of vendors, kept entries, and TDX collateral that lacks a part: whatever comes, what is
 * taken is bounded, and what can be read is written again as it was.
 */
#include <stdlib.h>

#include "attest/collateral.h"
#include "base/attr.h"

static void fuzz_answer(enum collateral_kind kind, bytes in)
{
    BUF_AUTO body = BUF(COLLATERAL_BODY_MAX);
    BUF_AUTO chain = BUF(COLLATERAL_CHAIN_MAX);
    size_t half = in.len / 2;
    err e = collateral_take(kind, bytes_slice(in, 0, half), bytes_slice(in, half, in.len), &body,
                            &chain);
    if (!err_is_ok(e))
        return;
    struct collateral_need need = { .kind = kind, .key = "x", .issuer = -1 };
    const struct collateral_piece piece = { buf_view(&body), buf_view(&chain) };
    int64_t expires;
    e = collateral_check(&need, &piece, in, 0, &expires);
    if (err_is_ok(e) && kind != COLLATERAL_NVGPU_JWKS)
        abort(); /* nothing that anybody signed was valid in 1970 */
}

static void fuzz_entry(bytes in)
{
    static const struct collateral_need need = { .kind = COLLATERAL_QE_IDENTITY,
                                                 .key = "tdx-qe-identity" };
    struct collateral_entry entry;
    BUF_AUTO again = BUF(COLLATERAL_ENTRY_MAX);
    if (!err_is_ok(collateral_entry_read(in, &need, &entry)))
        return;
    if (!err_is_ok(collateral_entry_write(&again, &entry)) || !bytes_equal(buf_view(&again), in))
        abort();
}

static void fuzz_plan(const char *platform, bytes in)
{
    struct collateral_plan plan;
    size_t half = in.len / 2;
    const struct bundle b = { .platform = bytes_str(platform),
                              .evidence = bytes_slice(in, 0, half),
                              .collateral = bytes_slice(in, half, in.len) };
    if (!err_is_ok(collateral_plan_make(&plan, &b, NULL, 1750000000)))
        abort();
    if (plan.n > COLLATERAL_NEEDS_MAX)
        abort();
    collateral_plan_clear(&plan);
}

#define PCR                                                                                        \
    "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff00112233445566778899aabbcc"   \
    "ddeeff"

static void fuzz_gpu_plan(bytes in)
{
    static struct policy *policy;
    struct collateral_plan plan;
    const struct bundle b = { .platform = BYTES_LIT("nitro"), .gpu_evidence = in };
    if (policy == NULL &&
        !err_is_ok(policy_read(&policy,
                               BYTES_LIT("platforms: [nitro]\nmeasurements: { pcr0: [" PCR
                                         "] }\nnvidia: { gpus: 16, switches: 16 }\n"),
                               "p", NULL)))
        abort();
    if (!err_is_ok(collateral_plan_make(&plan, &b, policy, 1750000000)))
        abort();
    if (plan.n > COLLATERAL_NEEDS_MAX || plan.cpu_n > 0)
        abort();
    collateral_plan_clear(&plan);
}

enum { PLANS = 0xf0 };

static void fuzz_plans(unsigned which, bytes in)
{
    static const char *const platforms[] = { "tdx", "sev-snp", "azure-sev-snp" };
    if (which < ARRAY_LEN(platforms))
        fuzz_plan(platforms[which], in);
    else
        fuzz_gpu_plan(in);
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
    if (len == 0)
        return 0;
    bytes in = bytes_of(at + 1, len - 1);
    unsigned what = at[0];
    if (what >= PLANS)
        fuzz_plans(what - PLANS, in);
    else if (what % COLLATERAL_KINDS == COLLATERAL_NONE)
        fuzz_entry(in);
    else
        fuzz_answer((enum collateral_kind)(what % COLLATERAL_KINDS), in);
    return 0;
}
