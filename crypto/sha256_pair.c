#include "crypto/sha256_pair.h"

#include "crypto/hash.h"
#include "crypto/setup.h"

#if defined(__x86_64__)

    #include <cpuid.h>
    #include <immintrin.h>

enum { LANES = 2, STEPS = 16, ROUNDS_PER_STEP = 4, LEAF_EXTENDED = 7 };

/* Of one message: its state in the order that the instructions want, ABEF and CDGH, and the four
 * latest words of the schedule, four in each. */
struct lane {
    __m128i abef, cdgh;
    __m128i w[4];
};

/* FIPS 180-4 section 4.2.2. */
static const uint32_t ROUND_CONSTANTS[STEPS * ROUNDS_PER_STEP] __attribute__((aligned(16))) = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

    #define WITH_SHA __attribute__((target("sha,sse4.1")))
    #define INLINE_WITH_SHA WITH_SHA __attribute__((always_inline)) static inline

/* Asked once: a virtual machine's host answers, and that takes its time. */
static bool usable;

void sha256_pair_setup(void)
{
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) == 0 || (ecx & bit_SSE4_1) == 0)
        return;
    usable =
        __get_cpuid_count(LEAF_EXTENDED, 0, &eax, &ebx, &ecx, &edx) != 0 && (ebx & bit_SHA) != 0;
}

bool sha256_pair_usable(void)
{
    return usable;
}

INLINE_WITH_SHA __m128i load(const void *at)
{
    return _mm_loadu_si128(at);
}

INLINE_WITH_SHA void begin(struct lane *to, const struct sha256_lane *from)
{
    __m128i badc = _mm_shuffle_epi32(load(from->state), 0xb1);
    __m128i hgfe = _mm_shuffle_epi32(load(from->state + 4), 0x1b);
    to->abef = _mm_alignr_epi8(badc, hgfe, 8);
    to->cdgh = _mm_blend_epi16(hgfe, badc, 0xf0);
}

INLINE_WITH_SHA void end(struct sha256_lane *to, const struct lane *from)
{
    __m128i feba = _mm_shuffle_epi32(from->abef, 0x1b);
    __m128i dchg = _mm_shuffle_epi32(from->cdgh, 0xb1);
    _mm_storeu_si128((void *)to->state, _mm_blend_epi16(feba, dchg, 0xf0));
    _mm_storeu_si128((void *)(to->state + 4), _mm_alignr_epi8(dchg, feba, 8));
}

/* The next four words of the schedule: of the block itself, then made from the latest sixteen. */
INLINE_WITH_SHA __m128i schedule(struct lane *k, const uint8_t *block, int step)
{
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    __m128i *w = k->w;
    if (step < 4) {
        w[step] = _mm_shuffle_epi8(load(block + 16 * step), big_endian);
        return w[step];
    }
    __m128i latest = w[(step + 3) % 4];
    __m128i t = _mm_alignr_epi8(latest, w[(step + 2) % 4], 4);
    t = _mm_add_epi32(_mm_sha256msg1_epu32(w[step % 4], w[(step + 1) % 4]), t);
    w[step % 4] = _mm_sha256msg2_epu32(t, latest);
    return w[step % 4];
}

INLINE_WITH_SHA void four_rounds(struct lane *k, const uint8_t *block, int step)
{
    __m128i constants = load(ROUND_CONSTANTS + ROUNDS_PER_STEP * step);
    __m128i wk = _mm_add_epi32(schedule(k, block, step), constants);
    k->cdgh = _mm_sha256rnds2_epu32(k->cdgh, k->abef, wk);
    k->abef = _mm_sha256rnds2_epu32(k->abef, k->cdgh, _mm_shuffle_epi32(wk, 0x0e));
}

INLINE_WITH_SHA void one_block(struct lane k[static LANES], const struct sha256_lane *at)
{
    const struct lane before[LANES] = { k[0], k[1] };
    #pragma GCC unroll 16
    for (int step = 0; step < STEPS; step++) {
        four_rounds(&k[0], at[0].at, step);
        four_rounds(&k[1], at[1].at, step);
    }
    for (int i = 0; i < LANES; i++) {
        k[i].abef = _mm_add_epi32(k[i].abef, before[i].abef);
        k[i].cdgh = _mm_add_epi32(k[i].cdgh, before[i].cdgh);
    }
}

WITH_SHA void sha256_pair_blocks(struct sha256_lane lanes[static 2], size_t blocks)
{
    struct lane k[LANES];
    for (int i = 0; i < LANES; i++)
        begin(&k[i], &lanes[i]);
    for (; blocks > 0; blocks--) {
        one_block(k, lanes);
        for (int i = 0; i < LANES; i++)
            lanes[i].at += SHA256_BLOCK_LEN;
    }
    for (int i = 0; i < LANES; i++)
        end(&lanes[i], &k[i]);
}

#else

void sha256_pair_setup(void)
{
}

bool sha256_pair_usable(void)
{
    return false;
}

void sha256_pair_blocks(struct sha256_lane lanes[static 2], size_t blocks)
{
    (void)lanes;
    (void)blocks;
}

#endif
