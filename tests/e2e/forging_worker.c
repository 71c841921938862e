/*
 * A worker whose receipts are not what they should be: SEALGATE_TEST_FORGE says how. The linker puts
 * this in front of issue_receipt() and issuer_new(); everything else is the real worker, so the gateway's own checks
 * are all that stands between such a receipt and a client.
 */
#include <stdlib.h>
#include <string.h>

#include "crypto/cose.h"
#include "crypto/hash.h"
#include "crypto/sign.h"
#include "enclave-worker/issue.h"
#include "receipts/air_read.h"

enum { DAY_S = 24 * 60 * 60 };

err __real_issuer_new(struct issuer **out, const struct issuer_settings *settings);
err __wrap_issuer_new(struct issuer **out, const struct issuer_settings *settings);
err __real_issue_receipt(struct issuer *i, const struct issue_facts *facts, struct buf *out);
err __wrap_issue_receipt(struct issuer *i, const struct issue_facts *facts, struct buf *out);

static err sign_with_another_key(struct issuer *i, const struct issue_facts *facts, struct buf *out)
{
    BUF_AUTO real = BUF(AIR_RECEIPT_MAX);
    struct cose_sign1 parts;
    struct signing_key *key;
    TRY(__real_issue_receipt(i, facts, &real));
    TRY(cose_sign1_read(buf_view(&real), &parts));
    TRY(signing_key_generate(&key));
    err e = cose_sign1_write(out, parts.protected_map, parts.payload, key);
    signing_key_free(key);
    return e;
}

static const struct signing_key *identity;

err __wrap_issuer_new(struct issuer **out, const struct issuer_settings *settings)
{
    identity = settings->identity;
    return __real_issuer_new(out, settings);
}

/* Signed by the right key: another first register, or another platform, than the evidence shows. */
static err sign_other_claims(const char *how, struct issuer *i, const struct issue_facts *facts,
                             struct buf *out)
{
    static const uint8_t FALSE_REGISTER[AIR_REGISTER_LEN] = { 1, 2, 3 };
    BUF_AUTO real = BUF(AIR_RECEIPT_MAX);
    struct air_claims claims;
    TRY(__real_issue_receipt(i, facts, &real));
    TRY(air_read(buf_view(&real), &claims));
    if (strcmp(how, "register") == 0)
        claims.registers[AIR_PCR0] = BYTES_ARRAY(FALSE_REGISTER);
    else
        claims.measurement_type = BYTES_LIT(AIR_TYPE_TDX);
    return air_write(out, &claims, identity);
}

/* The first receipt, for every answer. */
static err repeat(struct issuer *i, const struct issue_facts *facts, struct buf *out)
{
    static uint8_t first[AIR_RECEIPT_MAX];
    static size_t first_len;
    TRY(__real_issue_receipt(i, facts, out));
    if (first_len == 0) {
        memcpy(first, out->at, out->len);
        first_len = out->len;
    }
    buf_truncate(out, 0);
    return buf_add(out, bytes_of(first, first_len));
}

static err with_false_facts(const char *how, struct issuer *i, const struct issue_facts *facts,
                            struct buf *out)
{
    static const uint8_t FALSE_HASH[SHA256_LEN] = { 1, 2, 3 };
    static const uint8_t FALSE_CTI[AIR_CTI_LEN] = { 1, 2, 3 };
    struct issue_facts f = *facts;
    if (strcmp(how, "request-hash") == 0)
        f.request_hash = FALSE_HASH;
    if (strcmp(how, "response-hash") == 0)
        f.response_hash = FALSE_HASH;
    if (strcmp(how, "id") == 0)
        f.cti = FALSE_CTI;
    if (strcmp(how, "nonce") == 0)
        f.nonce = BYTES_LIT("another nonce");
    if (strcmp(how, "old") == 0)
        f.now -= DAY_S;
    if (strcmp(how, "future") == 0)
        f.now += DAY_S;
    return __real_issue_receipt(i, &f, out);
}

err __wrap_issue_receipt(struct issuer *i, const struct issue_facts *facts, struct buf *out)
{
    const char *how = getenv("SEALGATE_TEST_FORGE");
    if (how == NULL)
        return __real_issue_receipt(i, facts, out);
    if (strcmp(how, "missing") == 0)
        return OK;
    if (strcmp(how, "garbage") == 0)
        return buf_add_str(out, "this is no receipt");
    if (strcmp(how, "key") == 0)
        return sign_with_another_key(i, facts, out);
    if (strcmp(how, "repeated") == 0)
        return repeat(i, facts, out);
    if (strcmp(how, "register") == 0 || strcmp(how, "platform") == 0)
        return sign_other_claims(how, i, facts, out);
    TRY(with_false_facts(how, i, facts, out));
    if (strcmp(how, "signature") == 0)
        out->at[out->len - 1] ^= 1;
    if (strcmp(how, "truncated") == 0)
        buf_truncate(out, out->len - 1);
    return OK;
}
