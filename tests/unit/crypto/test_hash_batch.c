#include <string.h>

#include "crypto/hash_batch.h"
#include "crypto/init.h"
#include "tests/lib/law.h"

enum { LONG = HASH_BATCH_SHORT + 1, N = 24 };

static uint8_t data[N + 4 * LONG];

static void fill(void)
{
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 31 + i / 64);
}

static void check(struct hash_wait *w, bytes message)
{
    uint8_t got[SHA256_LEN], want[SHA256_LEN];
    sha256_of(message, want);
    hash_batch_get(w, got);
    CHECK_BYTES(BYTES_ARRAY(got), BYTES_ARRAY(want));
    hash_batch_get(w, got);
    CHECK_BYTES(BYTES_ARRAY(got), BYTES_ARRAY(want));
}

static void everyone_gets_his_own_digest_in_any_order(void **state)
{
    (void)state;
    struct hash_batch b = { 0 };
    struct hash_wait w[N];
    for (size_t i = 0; i < N; i++)
        hash_batch_add(&b, &w[i], bytes_of(data + i, i % 3 == 0 ? i : LONG + 100 * i));
    for (size_t k = 0; k < N; k++) {
        size_t i = k * 7 % N;
        check(&w[i], w[i].message);
    }
    CHECK(b.first == NULL);
}

static void one_of_about_the_same_length_is_taken_along(void **state)
{
    (void)state;
    struct hash_batch b = { 0 };
    struct hash_wait w[4];
    const size_t lens[] = { LONG, 4 * LONG, 3 * LONG, LONG + LONG / 2 };
    for (size_t i = 0; i < 4; i++)
        hash_batch_add(&b, &w[i], bytes_of(data + i, lens[i]));
    check(&w[0], bytes_of(data, LONG));
    CHECK(w[3].done && !w[1].done && !w[2].done);
    check(&w[1], bytes_of(data + 1, 4 * LONG));
    CHECK(w[2].done && b.first == NULL);
    check(&w[2], bytes_of(data + 2, 3 * LONG));
    check(&w[3], bytes_of(data + 3, LONG + LONG / 2));
}

static void short_ones_keep_nobody_company(void **state)
{
    (void)state;
    struct hash_batch b = { 0 };
    struct hash_wait brief, other, waits;
    hash_batch_add(&b, &brief, bytes_of(data, HASH_BATCH_SHORT));
    hash_batch_add(&b, &other, (bytes){ 0 });
    hash_batch_add(&b, &waits, bytes_of(data, LONG));
    CHECK(b.first == &waits && waits.next == NULL);
    check(&brief, bytes_of(data, HASH_BATCH_SHORT));
    check(&other, (bytes){ 0 });
    CHECK(!waits.done);
    check(&waits, bytes_of(data, LONG));
}

/* The memory of a dropped one's message may be gone. */
static void who_was_dropped_is_never_taken_along(void **state)
{
    (void)state;
    struct hash_batch b = { 0 };
    struct hash_wait w[3], never = { 0 };
    for (size_t i = 0; i < 3; i++)
        hash_batch_add(&b, &w[i], bytes_of(data, LONG));
    w[1].message.at = NULL;
    hash_batch_drop(&w[1]);
    hash_batch_drop(&w[1]);
    hash_batch_drop(&never);
    check(&w[0], bytes_of(data, LONG));
    CHECK(w[2].done && !w[1].done && b.first == NULL);
    hash_batch_drop(&w[0]);
    check(&w[2], bytes_of(data, LONG));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everyone_gets_his_own_digest_in_any_order),
        cmocka_unit_test(one_of_about_the_same_length_is_taken_along),
        cmocka_unit_test(short_ones_keep_nobody_company),
        cmocka_unit_test(who_was_dropped_is_never_taken_along),
    };
    if (crypto_init().code != ERR_OK)
        return 1;
    fill();
    return cmocka_run_group_tests_name("crypto/hash_batch", tests, NULL, NULL);
}
