/*
 * The input is a receipt, and also the claims of one, which is then signed here. Laws: whatever a
 * strict check accepts is exactly what we would have written for those claims; what it accepts under
 * one key it refuses under another; reading finds claims or says which part is bad, never both or
 * neither.
 */
#include <stdlib.h>

#include "crypto/cose.h"
#include "crypto/init.h"
#include "receipts/air_read.h"
#include "receipts/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t PROTECTED[] = { 0xa2, 0x01, 0x27, 0x03, 0x18, 0x3d };
static const uint8_t SEED[ED25519_SEED_LEN] = { 0x2a };
static const uint8_t OTHER_KEY[AIR_KEY_LEN] = { 0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7,
                                                0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a,
                                                0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25,
                                                0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a };

static struct signing_key *key;

static void check(bool cond)
{
    if (!cond)
        abort();
}

static bool all_good(const struct air_reading *r)
{
    bool good = true;
    for (unsigned i = 0; i < AIR_PARTS; i++)
        good = good && r->state[i] == AIR_PART_GOOD;
    return good;
}

static bool some_bad(const struct air_reading *r)
{
    bool bad = false;
    for (unsigned i = 0; i < AIR_PARTS; i++) {
        bad = bad || r->state[i] == AIR_PART_BAD;
        check((r->state[i] == AIR_PART_BAD) == (r->fault[i][0] != '\0'));
    }
    return bad;
}

/* The one encoding of these claims; false when they are none that we would sign. */
static bool is_ours(bytes payload, const struct air_claims *claims)
{
    BUF_AUTO again = BUF(AIR_RECEIPT_MAX);
    if (!err_is_ok(air_write_payload(&again, claims)))
        return false;
    check(bytes_equal(buf_view(&again), payload));
    return true;
}

static bool reads(bytes receipt)
{
    struct air_reading r;
    air_read_parts(receipt, &r);
    check(all_good(&r) != some_bad(&r));
    check(!all_good(&r) || r.has_claims);
    return all_good(&r) && is_ours(r.parts.payload, &r.claims);
}

static void signed_claims(bytes payload)
{
    static struct air_report report;
    const struct air_policy policy = { .allow_evaluation = true };
    BUF_AUTO receipt = BUF(AIR_RECEIPT_MAX);
    BUF_AUTO again = BUF(AIR_RECEIPT_MAX);
    if (!err_is_ok(cose_sign1_write(&receipt, BYTES_ARRAY(PROTECTED), payload, key)))
        return;
    bool ours = reads(buf_view(&receipt));
    air_check(buf_view(&receipt), bytes_of(signing_key_public(key), AIR_KEY_LEN), &policy, &report);
    check(report.verified == ours);
    if (!ours)
        return;
    check(err_is_ok(air_write(&again, &report.claims, key)));
    check(bytes_equal(buf_view(&again), buf_view(&receipt)));
    air_check(buf_view(&receipt), BYTES_ARRAY(OTHER_KEY), &policy, &report);
    check(!report.verified && report.failed_layer == 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bytes in = bytes_of(data, size);
    if (key == NULL)
        check(err_is_ok(crypto_init()) &&
              err_is_ok(signing_key_from_seed(&key, BYTES_ARRAY(SEED))));
    (void)reads(in);
    if (size > 0 && data[0] >> 5 == 5) /* a map: claims */
        signed_claims(in);
    return 0;
}
