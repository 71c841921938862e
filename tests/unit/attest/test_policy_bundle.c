#include "attest/policy_bundle.h"
#include "base/mem.h"
#include "base/text.h"
#include "tests/lib/law.h"
#include "tests/unit/attest/scene.h"

enum { MADE = 1767225600, OVER = MADE + 86400 };

static const char POLICY[] = "platforms: [simulated]\nmeasurements: any\n";

static struct signing_key *keys[POLICY_BUNDLE_SIGNATURES_MAX + 1];

static struct policy_bundle simple(void)
{
    return (struct policy_bundle){
        .version = 7, .created = MADE, .expires = OVER, .policy = bytes_str(POLICY)
    };
}

static struct buf made(struct policy_bundle b)
{
    struct buf out = BUF(POLICY_BUNDLE_MAX);
    CHECK_OK(policy_bundle_write(&out, &b, keys[0]));
    return out;
}

static void must_sign(struct policy_keys *list, size_t i)
{
    BUF_AUTO hex = BUF(64);
    CHECK_OK(text_hex_encode(&hex, bytes_of(signing_key_public(keys[i]), ED25519_PK_LEN)));
    CHECK_OK(policy_keys_add(list, buf_view(&hex)));
}

static enum policy_outcome opened(bytes file, const struct policy_keys *list, int64_t now,
                                  struct policy_facts *facts, struct buf *message)
{
    struct policy_opened o;
    const struct policy_ask ask = {
        .file = file, .name = "p", .keys = list, .now = now, .message = message
    };
    CHECK_OK(policy_open(&ask, &o));
    CHECK((o.policy != NULL) == (o.outcome == POLICY_ACCEPTED));
    policy_free(o.policy);
    if (facts != NULL)
        *facts = o.facts;
    return o.outcome;
}

static void what_is_written_is_read_back(void **state)
{
    (void)state;
    BUF_AUTO file = made(simple());
    struct policy_bundle b;
    CHECK(policy_bundle_is(buf_view(&file)) && !policy_bundle_is(bytes_str(POLICY)));
    CHECK_OK(policy_bundle_read(buf_view(&file), &b));
    CHECK(b.version == 7 && b.created == MADE && b.expires == OVER && b.signatures_n == 1);
    CHECK_BYTES(b.policy, bytes_str(POLICY));
    CHECK_BYTES(BYTES_ARRAY(b.signatures[0].key),
                bytes_of(signing_key_public(keys[0]), ED25519_PK_LEN));
    CHECK(bytes_starts(buf_view(&file),
                       BYTES_LIT("sealgate-policy-bundle-v1\nversion: 7\n"
                                 "created: 2026-01-01T00:00:00Z\nexpires: 2026-01-02T00:00:00Z\n"
                                 "length: 41\n\nplatforms: [simulated]\n")));
}

static void any_flipped_bit_is_refused(void **state)
{
    (void)state;
    BUF_AUTO file = made(simple());
    struct policy_keys none = { 0 };
    CHECK(opened(buf_view(&file), &none, MADE, NULL, NULL) == POLICY_ACCEPTED);
    for (size_t i = 0; i < file.len * 8; i++) {
        file.at[i / 8] ^= (uint8_t)(1U << i % 8);
        CHECK(opened(buf_view(&file), &none, MADE, NULL, NULL) != POLICY_ACCEPTED);
        file.at[i / 8] ^= (uint8_t)(1U << i % 8);
    }
}

static void a_cut_or_longer_file_is_refused(void **state)
{
    (void)state;
    BUF_AUTO file = made(simple());
    struct policy_bundle b;
    for (size_t n = 0; n < file.len; n++)
        CHECK(!err_is_ok(policy_bundle_read(bytes_slice(buf_view(&file), 0, n), &b)));
    CHECK_OK(buf_add_u8(&file, '\n'));
    CHECK_ERR(policy_bundle_read(buf_view(&file), &b), TRUNCATED);
}

static void one_spelling_alone_is_read(void **state)
{
    (void)state;
    static const char *const heads[] = {
        "sealgate-policy-bundle-v1\nversion: 07\ncreated: 2026-01-01T00:00:00Z\n"
        "expires: 2026-01-02T00:00:00Z\nlength: 41\n\n",
        "sealgate-policy-bundle-v1\nversion: 0\ncreated: 2026-01-01T00:00:00Z\n"
        "expires: 2026-01-02T00:00:00Z\nlength: 41\n\n",
        "sealgate-policy-bundle-v1\ncreated: 2026-01-01T00:00:00Z\nversion: 7\n"
        "expires: 2026-01-02T00:00:00Z\nlength: 41\n\n",
        "sealgate-policy-bundle-v1\nversion: 7\ncreated: 2026-01-02T00:00:00Z\n"
        "expires: 2026-01-02T00:00:00Z\nlength: 41\n\n",
        "sealgate-policy-bundle-v1\nversion: 7\ncreated: 1969-12-31T23:59:59Z\n"
        "expires: 2026-01-02T00:00:00Z\nlength: 41\n\n",
        "sealgate-policy-bundle-v1\r\nversion: 7\r\ncreated: 2026-01-01T00:00:00Z\r\n"
        "expires: 2026-01-02T00:00:00Z\r\nlength: 41\r\n\r\n",
        "sealgate-policy-bundle-v1\nversion: 7\ncreated: 2026-01-01T00:00:00Z\n"
        "expires: 2026-01-02T00:00:00Z\nlength: 0\n\n",
        "sealgate-policy-bundle-v1\nversion: 7\ncreated: 2026-01-01T00:00:00Z\n"
        "expires: 2026-01-02T00:00:00Z\nlength: 40\n\n",
        "sealgate-policy-bundle-v1\nversion: 7\ncreated: 2026-01-01T00:00:00Z\n"
        "expires: 2026-01-02T00:00:00Z\nlength: 18446744073709551615\n\n",
    };
    BUF_AUTO good = made(simple());
    struct policy_bundle b;
    CHECK_OK(policy_bundle_read(buf_view(&good), &b));
    for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
        BUF_AUTO file = BUF(POLICY_BUNDLE_MAX);
        CHECK_OK(buf_add_str(&file, heads[i]));
        CHECK_OK(buf_add(&file, bytes_of(b.policy.at, (size_t)(good.at + good.len - b.policy.at))));
        CHECK(!err_is_ok(policy_bundle_read(buf_view(&file), &b)));
        CHECK_OK(policy_bundle_read(buf_view(&good), &b));
    }
    CHECK_ERR(policy_bundle_read(BYTES_LIT("sealgate-policy-bundle-v2\n"), &b), UNSUPPORTED);
    CHECK_ERR(policy_bundle_read(bytes_str(POLICY), &b), MALFORMED);
}

static void its_limits_hold(void **state)
{
    (void)state;
    BUF_AUTO text = BUF(POLICY_BUNDLE_MAX);
    BUF_AUTO out = BUF(POLICY_BUNDLE_MAX);
    CHECK_OK(buf_add_zeros(&text, POLICY_BUNDLE_POLICY_MAX));
    struct policy_bundle b = simple();
    b.version = POLICY_BUNDLE_VERSION_MAX;
    b.policy = buf_view(&text);
    CHECK_OK(policy_bundle_write(&out, &b, keys[0]));
    CHECK_OK(policy_bundle_read(buf_view(&out), &b));
    CHECK(b.policy.len == POLICY_BUNDLE_POLICY_MAX);
    CHECK_OK(buf_add_u8(&text, 0));
    b.policy = buf_view(&text);
    CHECK_ERR(policy_bundle_write(&out, &b, keys[0]), LIMIT);
    b = simple();
    b.version = POLICY_BUNDLE_VERSION_MAX + 1;
    CHECK_ERR(policy_bundle_write(&out, &b, keys[0]), LIMIT);
    b = simple();
    b.expires = b.created;
    CHECK_ERR(policy_bundle_write(&out, &b, keys[0]), MALFORMED);
    BUF_AUTO longer = BUF(POLICY_BUNDLE_MAX + 1);
    CHECK_OK(buf_add_str(&longer, "sealgate-policy-bundle-v1\n"));
    CHECK_OK(buf_add_zeros(&longer, POLICY_BUNDLE_MAX + 1 - longer.len));
    CHECK_ERR(policy_bundle_read(buf_view(&longer), &b), LIMIT);
}

static void several_may_sign_each_once(void **state)
{
    (void)state;
    BUF_AUTO file = made(simple());
    struct policy_keys both = { 0 };
    must_sign(&both, 0);
    must_sign(&both, 1);
    must_sign(&both, 1);
    CHECK(both.n == 2);
    CHECK(opened(buf_view(&file), &both, MADE, NULL, NULL) == POLICY_UNSIGNED);
    BUF_AUTO two = BUF(POLICY_BUNDLE_MAX);
    CHECK_OK(policy_bundle_sign(&two, buf_view(&file), keys[1]));
    CHECK(opened(buf_view(&two), &both, MADE, NULL, NULL) == POLICY_ACCEPTED);
    struct policy_facts a, b;
    struct policy_keys first = { 0 };
    must_sign(&first, 0);
    CHECK(opened(buf_view(&two), &first, MADE, &a, NULL) == POLICY_ACCEPTED);
    CHECK(opened(buf_view(&file), &first, MADE, &b, NULL) == POLICY_ACCEPTED);
    CHECK_BYTES(BYTES_ARRAY(a.digest), BYTES_ARRAY(b.digest));
    CHECK(a.signatures_n == 2 && b.signatures_n == 1);
    BUF_AUTO none = BUF(POLICY_BUNDLE_MAX);
    CHECK_ERR(policy_bundle_sign(&none, buf_view(&two), keys[1]), EXISTS);
    CHECK(none.len == 0);
    for (size_t i = 2; i < POLICY_BUNDLE_SIGNATURES_MAX; i++) {
        BUF_AUTO more = BUF(POLICY_BUNDLE_MAX);
        CHECK_OK(policy_bundle_sign(&more, buf_view(&two), keys[i]));
        buf_truncate(&two, 0);
        CHECK_OK(buf_add(&two, buf_view(&more)));
    }
    CHECK_ERR(policy_bundle_sign(&none, buf_view(&two), keys[POLICY_BUNDLE_SIGNATURES_MAX]), LIMIT);
    CHECK(opened(buf_view(&two), &both, MADE, NULL, NULL) == POLICY_ACCEPTED);
}

static void signatures_come_before_dates(void **state)
{
    (void)state;
    BUF_AUTO file = made(simple());
    struct policy_keys us = { 0 }, others = { 0 };
    must_sign(&us, 0);
    must_sign(&others, 1);
    CHECK(opened(buf_view(&file), &us, OVER - 1, NULL, NULL) == POLICY_ACCEPTED);
    CHECK(opened(buf_view(&file), &us, OVER, NULL, NULL) == POLICY_EXPIRED);
    CHECK(opened(buf_view(&file), &us, MADE - POLICY_BUNDLE_SKEW_S, NULL, NULL) == POLICY_ACCEPTED);
    CHECK(opened(buf_view(&file), &us, MADE - POLICY_BUNDLE_SKEW_S - 1, NULL, NULL) ==
          POLICY_EARLY);
    CHECK(opened(buf_view(&file), &others, OVER, NULL, NULL) == POLICY_UNSIGNED);
    file.at[file.len - 2] ^= 1;
    CHECK(opened(buf_view(&file), &us, OVER, NULL, NULL) == POLICY_BAD_SIGNATURE);
}

static void a_policy_alone_is_good_enough_where_nobody_must_sign(void **state)
{
    (void)state;
    struct policy_keys list = { 0 };
    struct policy_facts facts;
    BUF_AUTO message = BUF(1024);
    CHECK(opened(bytes_str(POLICY), &list, MADE, &facts, NULL) == POLICY_ACCEPTED);
    CHECK(!facts.is_bundle && facts.version == 0 && facts.expires == 0);
    must_sign(&list, 0);
    CHECK(opened(bytes_str(POLICY), &list, MADE, NULL, &message) == POLICY_UNSIGNED);
    CHECK(message.len > 0);
}

static void a_message_counts_lines_from_the_first_of_the_file(void **state)
{
    (void)state;
    struct policy_bundle b = simple();
    b.policy = BYTES_LIT("platforms: [simulated]\nmeasurements: none\n");
    BUF_AUTO file = made(b);
    BUF_AUTO message = BUF(1024);
    struct policy_keys none = { 0 };
    CHECK(opened(buf_view(&file), &none, MADE, NULL, &message) == POLICY_MALFORMED);
    CHECK(bytes_starts(buf_view(&message), BYTES_LIT("p:8: measurements: ")));
}

static void keys_are_hex(void **state)
{
    (void)state;
    struct policy_keys list = { 0 };
    CHECK_ERR(policy_keys_add(&list, BYTES_LIT("")), MALFORMED);
    CHECK_ERR(policy_keys_add(&list, BYTES_LIT("ab")), MALFORMED);
    for (size_t i = 0; i < POLICY_BUNDLE_SIGNATURES_MAX; i++)
        must_sign(&list, i);
    BUF_AUTO hex = BUF(64);
    CHECK_OK(text_hex_encode(
        &hex, bytes_of(signing_key_public(keys[POLICY_BUNDLE_SIGNATURES_MAX]), ED25519_PK_LEN)));
    CHECK_ERR(policy_keys_add(&list, buf_view(&hex)), LIMIT);
}

static err open_once(void *arg)
{
    const struct buf *file = arg;
    struct policy_opened o;
    struct policy_keys list = { 0 };
    err e = policy_open(
        &(struct policy_ask){ .file = buf_view(file), .name = "p", .keys = &list, .now = MADE },
        &o);
    if (err_is_ok(e))
        CHECK(o.outcome == POLICY_ACCEPTED);
    policy_free(o.policy);
    return e;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    BUF_AUTO file = made(simple());
    law_every_allocation_fails_once(open_once, &file);
}

static int make_keys(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        uint8_t seed[ED25519_SEED_LEN] = { (uint8_t)(i + 1) };
        CHECK_OK(signing_key_from_seed(&keys[i], BYTES_ARRAY(seed)));
    }
    return 0;
}

static int free_keys(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        signing_key_free(keys[i]);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read_back),
        cmocka_unit_test(any_flipped_bit_is_refused),
        cmocka_unit_test(a_cut_or_longer_file_is_refused),
        cmocka_unit_test(one_spelling_alone_is_read),
        cmocka_unit_test(its_limits_hold),
        cmocka_unit_test(several_may_sign_each_once),
        cmocka_unit_test(signatures_come_before_dates),
        cmocka_unit_test(a_policy_alone_is_good_enough_where_nobody_must_sign),
        cmocka_unit_test(a_message_counts_lines_from_the_first_of_the_file),
        cmocka_unit_test(keys_are_hex),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, make_keys, free_keys);
}
