/*
 * The word of NVIDIA's Remote Attestation Service on the GPUs of one bundle: the question, and what
 * makes an answer one to that question. It belongs to the bundle's nonce, so it is asked for anew at
 * each look; what it says is for the verifier (attest/nvgpu.c) to judge.
 */
#include <stdio.h>

#include "attest/collateral_parts.h"
#include "attest/nvgpu_nras.h"
#include "base/json.h"
#include "base/text.h"
#include "crypto/hash.h"

#define JWKS_KEY "nvgpu-jwks"
#define JWKS_PATH "/.well-known/jwks.json"
#define NRAS_KEY "nvgpu-nras-"
#define NRAS_PATH "/v4/attest/gpu"
#define NRAS_CLAIMS "3.0"

enum { PEM_LINE = 64, CHAIN_TEXT_MAX = 64 * 1024, PART_TEXT_MAX = 2 * CHAIN_TEXT_MAX, HEX = 2 };

/* ---- the question ---- */

static err add_pem(struct buf *out, bytes der)
{
    BUF_AUTO text = BUF(CHAIN_TEXT_MAX);
    TRY(text_base64_encode(&text, der));
    TRY(buf_add_str(out, "-----BEGIN CERTIFICATE-----\n"));
    for (bytes rest = buf_view(&text), line; rest.len > 0;
         rest = bytes_slice(rest, line.len, rest.len)) {
        line = bytes_slice(rest, 0, PEM_LINE);
        TRY(buf_add(out, line));
        TRY(buf_add_u8(out, '\n'));
    }
    return buf_add_str(out, "-----END CERTIFICATE-----\n");
}

static err put_base64(struct json_out *j, const char *key, bytes in)
{
    BUF_AUTO text = BUF(PART_TEXT_MAX);
    TRY(text_base64_encode(&text, in));
    json_put_text(j, key, buf_view(&text));
    return OK;
}

static err put_device(struct json_out *j, const struct nvgpu_device *d)
{
    BUF_AUTO chain = BUF(CHAIN_TEXT_MAX);
    for (size_t i = 0; i < d->certs_n; i++)
        TRY(add_pem(&chain, d->certs[i]));
    json_begin_object(j, NULL);
    TRY(put_base64(j, "evidence", d->evidence));
    TRY(put_base64(j, "certificate", buf_view(&chain)));
    json_close(j);
    return OK;
}

static err write_question(struct buf *out, const struct nvgpu_bundle *b, const char *arch,
                          bytes nonce)
{
    struct json_out j = JSON_OUT(out);
    json_begin_object(&j, NULL);
    json_put_hex(&j, "nonce", nonce);
    json_put_str(&j, "arch", arch);
    json_put_str(&j, "claims_version", NRAS_CLAIMS);
    json_begin_array(&j, "evidence_list");
    for (size_t i = 0; i < b->devices_n; i++) {
        if (b->devices[i].kind == NVGPU_GPU)
            TRY(put_device(&j, &b->devices[i]));
    }
    json_close(&j);
    json_close(&j);
    return json_end(&j);
}

static const char *arch_of(bytes chip)
{
    if (bytes_starts(chip, BYTES_LIT("GH")))
        return "HOPPER";
    return bytes_starts(chip, BYTES_LIT("GB")) ? "BLACKWELL" : NULL;
}

static size_t gpus_of(const struct nvgpu_bundle *b)
{
    size_t n = 0;
    for (size_t i = 0; i < b->devices_n; i++)
        n += b->devices[i].kind == NVGPU_GPU;
    return n;
}

static err want_keys(struct collateral_plan *plan)
{
    BUF_AUTO key = BUF(COLLATERAL_KEY_MAX);
    BUF_AUTO path = BUF(COLLATERAL_PATH_MAX);
    TRY(buf_add_str(&key, JWKS_KEY));
    TRY(buf_add_str(&path, JWKS_PATH));
    return collateral_want(plan, COLLATERAL_NVGPU_JWKS, -1, &key, &path);
}

static err want_answer(struct collateral_plan *plan, size_t gpus, bytes nonce, size_t asked_at)
{
    BUF_AUTO key = BUF(COLLATERAL_KEY_MAX);
    BUF_AUTO path = BUF(COLLATERAL_PATH_MAX);
    uint8_t digest[SHA256_LEN];
    bytes asked = bytes_slice(buf_view(&plan->asked), asked_at, plan->asked.len);
    sha256_of(asked, digest);
    TRY(buf_addf(&key, NRAS_KEY "%zu-", gpus));
    TRY(text_hex_encode(&key, nonce));
    TRY(buf_add_u8(&key, '-'));
    TRY(text_hex_encode(&key, BYTES_ARRAY(digest)));
    TRY(buf_add_str(&path, NRAS_PATH));
    TRY(collateral_want(plan, COLLATERAL_NVGPU_NRAS, (int)plan->n - 1, &key, &path));
    plan->needs[plan->n - 1].asked_at = asked_at;
    plan->needs[plan->n - 1].asked_len = asked.len;
    return OK;
}

err collateral_plan_nras(struct collateral_plan *plan, const struct nvgpu_bundle *b, bytes chip,
                         bytes nonce)
{
    size_t at = plan->asked.len;
    const char *arch = arch_of(chip);
    ENSURE(arch != NULL && nonce.len == NRAS_NONCE_LEN, UNSUPPORTED);
    TRY(write_question(&plan->asked, b, arch, nonce));
    TRY(want_keys(plan));
    return want_answer(plan, gpus_of(b), nonce, at);
}

/* ---- the answer ---- */

err collateral_check_nvgpu_jwks(const struct collateral_need *need,
                                const struct collateral_piece *piece, bytes issuer, int64_t now,
                                int64_t *expires)
{
    struct jwks *keys = NULL;
    (void)need;
    (void)issuer;
    TRY(jwks_read(&keys, piece->body));
    jwks_free(keys);
    *expires = now + COLLATERAL_FLEETING_S;
    return OK;
}

/* nvgpu-nras-GPUS-NONCE-SHA256 */
static err read_key(bytes key, uint64_t *gpus, struct buf *nonce)
{
    const size_t prefix = sizeof NRAS_KEY - 1;
    ENSURE(bytes_starts(key, BYTES_LIT(NRAS_KEY)), UNTRUSTED);
    key = bytes_slice(key, prefix, key.len);
    size_t hyphen = text_find(key, BYTES_LIT("-"));
    ENSURE(text_u64(bytes_slice(key, 0, hyphen), gpus), UNTRUSTED);
    return text_hex_decode(nonce, bytes_slice(key, hyphen + 1, HEX * NRAS_NONCE_LEN));
}

/* What the service found out is not for here, but whether it is its answer to this question. */
static err meaning_of(enum nras_reason reason)
{
    switch (reason) {
    case NRAS_OK:
    case NRAS_OVERALL_FALSE:
    case NRAS_MEASRES:
    case NRAS_SECBOOT:
    case NRAS_DBGSTAT:
    case NRAS_HWMODEL:
    case NRAS_REVOKED:
    case NRAS_WARNING:
    case NRAS_DUPLICATE_DEVICE:
    case NRAS_COUNT:
        return OK;
    case NRAS_NBF:
    case NRAS_EXP:
        FAIL(STALE);
    case NRAS_MALFORMED:
    case NRAS_JWKS:
        FAIL(MALFORMED);
    case NRAS_SIGNATURE:
    case NRAS_DIGEST:
        FAIL(CRYPTO);
    case NRAS_UNCHECKED:
    case NRAS_ALG:
    case NRAS_CRIT:
    case NRAS_OWN_KEY:
    case NRAS_KID:
    case NRAS_ISSUER:
    case NRAS_NONCE:
    case NRAS_OVERALL_MISSING:
    case NRAS_SUBMODS:
        FAIL(UNTRUSTED);
    }
    FAIL(UNTRUSTED);
}

err collateral_check_nvgpu_nras(const struct collateral_need *need,
                                const struct collateral_piece *piece, bytes issuer, int64_t now,
                                int64_t *expires)
{
    uint64_t gpus = 0;
    struct nras_result result;
    BUF_AUTO nonce = BUF(NRAS_NONCE_LEN);
    TRY(read_key(bytes_str(need->key), &gpus, &nonce));
    const struct nras_query query = { .answer = piece->body,
                                      .jwks = issuer,
                                      .issuer = BYTES_LIT(NRAS_SERVICE),
                                      .nonce = buf_view(&nonce),
                                      .at_s = now,
                                      .expected_gpus = (size_t)gpus };
    err e = nras_verify(&query, &result);
    if (err_is_ok(e))
        e = meaning_of(result.reason);
    nras_clear(&result);
    *expires = now + COLLATERAL_FLEETING_S;
    return e;
}
