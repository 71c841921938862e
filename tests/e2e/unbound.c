/*
 * For test-only programs, never for shipped ones: takes away the binding of evidence, and nothing
 * else, so that recorded genuine evidence of hardware can go the whole way.
 *
 * The linker puts this in front of verifier_find(). With SEALGATE_TEST_UNBOUND=1 a hardware verifier
 * does all that it does, and then says that evidence whose signature holds carries the report data
 * that is asked for. Recorded evidence was valid at some time: SEALGATE_TEST_CLOCK moves the clock by
 * so many seconds. GPUs were asked with some nonce: SEALGATE_TEST_GPU_NONCE is taken for all, in hex.
 */
#include <stdlib.h>
#include <string.h>

#include "attest/nvgpu_bundle.h"
#include "attest/policy.h"
#include "attest/verifier.h"
#include "base/attr.h"
#include "base/clock.h"
#include "base/text.h"

const struct verifier *__real_verifier_find(bytes platform);
const struct verifier *__wrap_verifier_find(bytes platform);
void __real_nvgpu_nonce(bytes nonce, bytes identity, uint8_t out[static NVGPU_NONCE_LEN]);
void __wrap_nvgpu_nonce(bytes nonce, bytes identity, uint8_t out[static NVGPU_NONCE_LEN]);

static const char *const hardware[] = { "tdx", "sev-snp", "azure-sev-snp", "nitro" };
static struct verifier unbound[ARRAY_LEN(hardware)];
static bool is_unbound;

static void pretend(const struct bundle *b, struct verifier_facts *facts)
{
    if (facts->signature.status != VERDICT_PASS)
        return;
    binding_digest(&(struct binding){ .platform = b->platform,
                                      .identity = b->identity,
                                      .nonce = b->nonce,
                                      .claims = b->claims,
                                      .gpu_evidence = b->gpu_evidence },
                   facts->report_data);
}

static err examine(const struct bundle *b, const struct policy *policy, int64_t now,
                   struct verifier_facts *facts)
{
    TRY(__real_verifier_find(b->platform)->examine(b, policy, now, facts));
    pretend(b, facts);
    return OK;
}

static err examine_own(const struct bundle *b, int64_t now, struct verifier_facts *facts)
{
    TRY(__real_verifier_find(b->platform)->examine_own(b, now, facts));
    pretend(b, facts);
    return OK;
}

static void move_clock(bytes by)
{
    uint64_t n = 0;
    bool back = bytes_starts(by, BYTES_LIT("-"));
    if (text_u64(back ? bytes_slice(by, 1, by.len - 1) : by, &n))
        clock_shift_wall_s(back ? -(int64_t)n : (int64_t)n);
}

/* Before main(), so that threads find it done. */
__attribute__((constructor)) static void set_up(void)
{
    const char *clock = getenv("SEALGATE_TEST_CLOCK");    /* NOLINT(concurrency-mt-unsafe) */
    const char *unbind = getenv("SEALGATE_TEST_UNBOUND"); /* NOLINT(concurrency-mt-unsafe) */
    if (clock != NULL)
        move_clock(bytes_str(clock));
    is_unbound = unbind != NULL && strcmp(unbind, "1") == 0;
    for (size_t i = 0; i < ARRAY_LEN(hardware); i++) {
        unbound[i] = *__real_verifier_find(bytes_str(hardware[i]));
        unbound[i].examine = examine;
        if (unbound[i].examine_own != NULL)
            unbound[i].examine_own = examine_own;
    }
}

const struct verifier *__wrap_verifier_find(bytes platform)
{
    for (size_t i = 0; is_unbound && i < ARRAY_LEN(hardware); i++) {
        if (bytes_equal(platform, bytes_str(hardware[i])))
            return &unbound[i];
    }
    return __real_verifier_find(platform);
}

void __wrap_nvgpu_nonce(bytes nonce, bytes identity, uint8_t out[static NVGPU_NONCE_LEN])
{
    const char *hex = getenv("SEALGATE_TEST_GPU_NONCE"); /* NOLINT(concurrency-mt-unsafe) */
    BUF_AUTO recorded = BUF(NVGPU_NONCE_LEN);
    if (is_unbound && hex != NULL && err_is_ok(text_hex_decode(&recorded, bytes_str(hex))) &&
        recorded.len == NVGPU_NONCE_LEN)
        memcpy(out, recorded.at, NVGPU_NONCE_LEN);
    else
        __real_nvgpu_nonce(nonce, identity, out);
}
