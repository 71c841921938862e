#include <string.h>

#include "crypto/hash.h"
#include "crypto/init.h"
#include "crypto/sha256_pair.h"
#include "tests/lib/law.h"

enum { BLOCKS = 5, LEN = BLOCKS * SHA256_BLOCK_LEN };

/* FIPS 180-4 section 5.3.3. */
static const uint32_t INITIAL[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                     0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };

static struct sha256_lane lane_of(const uint8_t *at)
{
    struct sha256_lane lane = { .at = at };
    memcpy(lane.state, INITIAL, sizeof lane.state);
    return lane;
}

/* len bytes of a pattern, padded as the standard says to whole blocks. */
static size_t padded(uint8_t to[static LEN], size_t len, uint8_t seed)
{
    size_t all = (len + 9 + SHA256_BLOCK_LEN - 1) / SHA256_BLOCK_LEN * SHA256_BLOCK_LEN;
    memset(to, 0, LEN);
    for (size_t i = 0; i < len; i++)
        to[i] = (uint8_t)(seed + i * 7);
    to[len] = 0x80;
    to[all - 2] = (uint8_t)(len * 8 >> 8);
    to[all - 1] = (uint8_t)(len * 8);
    return all;
}

static void check_digest(const struct sha256_lane *lane, bytes message)
{
    uint8_t want[SHA256_LEN], got[SHA256_LEN];
    for (size_t i = 0; i < SHA256_LEN; i++)
        got[i] = (uint8_t)(lane->state[i / 4] >> (24 - 8 * (i % 4)));
    sha256_of(message, want);
    CHECK_BYTES(BYTES_ARRAY(got), BYTES_ARRAY(want));
}

static void each_lane_gives_the_digest_of_its_own_message(void **state)
{
    (void)state;
    uint8_t a[LEN], b[LEN];
    if (!sha256_pair_usable()) {
        skip();
        return;
    }
    for (size_t len = 0; len + 9 <= LEN; len++) {
        size_t blocks = padded(a, len, 1) / SHA256_BLOCK_LEN;
        (void)padded(b, len, 100);
        struct sha256_lane lanes[2] = { lane_of(a), lane_of(b) };
        sha256_pair_blocks(lanes, blocks);
        check_digest(&lanes[0], bytes_of(a, len));
        check_digest(&lanes[1], bytes_of(b, len));
    }
}

static void goes_on_where_it_was_at_any_address(void **state)
{
    (void)state;
    uint8_t a[LEN], b[LEN + 1];
    if (!sha256_pair_usable()) {
        skip();
        return;
    }
    size_t len = LEN - 9;
    (void)padded(a, len, 3);
    (void)padded(b + 1, len, 3);
    struct sha256_lane lanes[2] = { lane_of(a), lane_of(b + 1) };
    for (size_t i = 0; i < BLOCKS; i++) {
        sha256_pair_blocks(lanes, 1);
        CHECK(lanes[0].at == a + (i + 1) * SHA256_BLOCK_LEN);
        CHECK(lanes[1].at == b + 1 + (i + 1) * SHA256_BLOCK_LEN);
    }
    sha256_pair_blocks(lanes, 0);
    check_digest(&lanes[0], bytes_of(a, len));
    check_digest(&lanes[1], bytes_of(a, len));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_lane_gives_the_digest_of_its_own_message),
        cmocka_unit_test(goes_on_where_it_was_at_any_address),
    };
    if (crypto_init().code != ERR_OK)
        return 1;
    return cmocka_run_group_tests_name("crypto/sha256_pair", tests, NULL, NULL);
}
