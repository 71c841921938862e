#include "attest/tpm_quote.h"

#include "crypto/hash.h"

enum {
    GENERATED = 0xff544347, /* TPM_GENERATED_VALUE */
    ATTEST_QUOTE = 0x8018,
    ALG_SHA256 = 0x000b,
    SELECT_LEN = 3
};

static err take_u64(bytes *in, uint64_t *out)
{
    uint32_t high;
    uint32_t low;
    ENSURE(bytes_take_u32be(in, &high) && bytes_take_u32be(in, &low), TRUNCATED);
    *out = (uint64_t)high << 32 | low;
    return OK;
}

static err take_sized(bytes *in, size_t most, bytes *out)
{
    uint16_t len;
    ENSURE(bytes_take_u16be(in, &len), TRUNCATED);
    ENSURE(len <= most, LIMIT);
    ENSURE(bytes_take(in, len, out), TRUNCATED);
    return OK;
}

static err take_head(bytes *in, struct tpm_quote *out)
{
    uint32_t magic;
    uint16_t type;
    ENSURE(bytes_take_u32be(in, &magic) && bytes_take_u16be(in, &type), TRUNCATED);
    ENSURE(magic == (uint32_t)GENERATED, MALFORMED);
    ENSURE(type == ATTEST_QUOTE, UNSUPPORTED);
    TRY(take_sized(in, TPM_QUOTE_MAX, &out->signer));
    return take_sized(in, TPM_EXTRA_MAX, &out->extra);
}

static err take_clock(bytes *in, struct tpm_quote *out)
{
    uint8_t safe;
    TRY(take_u64(in, &out->clock_ms));
    ENSURE(bytes_take_u32be(in, &out->resets) && bytes_take_u32be(in, &out->restarts), TRUNCATED);
    ENSURE(bytes_take_u8(in, &safe), TRUNCATED);
    ENSURE(safe <= 1, MALFORMED);
    out->clock_safe = safe == 1;
    return take_u64(in, &out->firmware);
}

static err take_selection(bytes *in, struct tpm_quote *out)
{
    uint32_t banks;
    uint16_t algorithm;
    uint8_t len;
    bytes bits;
    ENSURE(bytes_take_u32be(in, &banks), TRUNCATED);
    ENSURE(banks == 1, UNSUPPORTED);
    ENSURE(bytes_take_u16be(in, &algorithm) && bytes_take_u8(in, &len), TRUNCATED);
    ENSURE(algorithm == ALG_SHA256 && len == SELECT_LEN, UNSUPPORTED);
    ENSURE(bytes_take(in, len, &bits), TRUNCATED);
    out->selected = bits.at[0] | (uint32_t)bits.at[1] << 8 | (uint32_t)bits.at[2] << 16;
    return OK;
}

static err take_all(bytes in, struct tpm_quote *out)
{
    ENSURE(in.len <= TPM_QUOTE_MAX, LIMIT);
    TRY(take_head(&in, out));
    TRY(take_clock(&in, out));
    TRY(take_selection(&in, out));
    TRY(take_sized(&in, SHA256_LEN, &out->pcr_digest));
    ENSURE(out->pcr_digest.len == SHA256_LEN && in.len == 0, MALFORMED);
    return OK;
}

err tpm_quote_read(bytes in, struct tpm_quote *out)
{
    *out = (struct tpm_quote){ 0 };
    err e = take_all(in, out);
    if (!err_is_ok(e))
        *out = (struct tpm_quote){ 0 };
    return e;
}

static size_t count_below(uint32_t selected, unsigned i)
{
    return (size_t)__builtin_popcount(selected & ((1U << i) - 1));
}

bool tpm_quote_covers(const struct tpm_quote *q, bytes pcrs)
{
    uint8_t digest[SHA256_LEN];
    if (pcrs.len == 0 || pcrs.len != TPM_PCR_LEN * count_below(q->selected, TPM_PCRS))
        return false;
    sha256_of(pcrs, digest);
    return bytes_equal(BYTES_ARRAY(digest), q->pcr_digest);
}

bytes tpm_quote_pcr(const struct tpm_quote *q, bytes pcrs, unsigned i)
{
    if (i >= TPM_PCRS || (q->selected >> i & 1) == 0)
        return (bytes){ 0 };
    bytes value = bytes_slice(pcrs, TPM_PCR_LEN * count_below(q->selected, i), TPM_PCR_LEN);
    return value.len == TPM_PCR_LEN ? value : (bytes){ 0 };
}
