#include "enclave-worker/issue.h"

#include <sys/resource.h>

#include "base/mem.h"
#include "base/text.h"
#include "crypto/hash.h"
#include "crypto/secret.h"
#include "receipts/air_shown.h"

enum { POLICY_VERSION_MAX = 64 };

struct issuer {
    struct issuer_settings settings;
    struct air_claims constant; /* what is the same in every receipt */
    struct buf policy_version;
    uint64_t sequence;
};

static bytes find_register(const void *evidence, const char *name)
{
    return verdict_register(evidence, name);
}

err issue_set_evidence(struct air_claims *claims, const struct verdict *evidence)
{
    struct air_shown shown = { .platform = bytes_str(evidence->platform),
                               .hardware = evidence->trust == TRUST_HARDWARE,
                               .document = evidence->document_digest,
                               .gpu = { .gpus = evidence->gpu.gpus,
                                        .switches = evidence->gpu.switches },
                               .find = find_register,
                               .owner = evidence };
    memcpy(shown.gpu.evidence_hash, evidence->gpu.digest, AIR_HASH_LEN);
    return air_show(claims, &shown);
}

static void set_model(struct air_claims *claims, const struct issuer_settings *s)
{
    if (s->manifest->present) {
        claims->model_id = buf_view(&s->manifest->model_id);
        claims->model_version = buf_view(&s->manifest->model_version);
        claims->model_hash_scheme = buf_view(&s->manifest->scheme);
        memcpy(claims->model_hash, s->manifest->model_hash, AIR_HASH_LEN);
        return;
    }
    claims->model_version = BYTES_LIT("unmanifested");
    sha256_of(s->engine, claims->model_hash);
}

static err fill(struct issuer *i, const struct issuer_settings *s)
{
    TRY(buf_add_str(&i->policy_version, SEALGATE_VERSION "+"));
    TRY(text_hex_encode(&i->policy_version, bytes_of(s->settings_digest, 16)));
    i->constant.iss = bytes_str(s->issuer);
    i->constant.policy_version = buf_view(&i->policy_version);
    set_model(&i->constant, s);
    return issue_set_evidence(&i->constant, s->evidence);
}

err issuer_new(struct issuer **out, const struct issuer_settings *settings)
{
    struct issuer *i;
    TRY(mem_new(&i));
    i->settings = *settings;
    i->policy_version = BUF(POLICY_VERSION_MAX);
    err e = fill(i, settings);
    if (e.code != ERR_OK) {
        issuer_free(i);
        return e;
    }
    *out = i;
    return OK;
}

void issuer_free(struct issuer *i)
{
    if (i == NULL)
        return;
    buf_clear(&i->policy_version);
    mem_free(i);
}

/* Kilobytes in the kernel's answer; rounded up, so that a small process does not show 0. */
static uint64_t peak_memory_mb(void)
{
    struct rusage usage = { 0 };
    (void)getrusage(RUSAGE_SELF, &usage);
    return ((uint64_t)usage.ru_maxrss + 1023) / 1024;
}

err issue_receipt(struct issuer *i, const struct issue_facts *facts, struct buf *out)
{
    struct air_claims claims = i->constant;
    ENSURE(facts->nonce.len <= AIR_NONCE_MAX, INTERNAL);
    if (claims.model_id.len == 0)
        claims.model_id = facts->model.len > 0 ? facts->model : BYTES_LIT("unspecified");
    memcpy(claims.cti, facts->cti, AIR_CTI_LEN);
    memcpy(claims.request_hash, facts->request_hash, AIR_HASH_LEN);
    memcpy(claims.response_hash, facts->response_hash, AIR_HASH_LEN);
    if (facts->nonce.len > 0)
        memcpy(claims.nonce, facts->nonce.at, facts->nonce.len);
    claims.nonce_len = facts->nonce.len;
    claims.iat = (uint64_t)facts->now;
    claims.sequence_number = i->sequence + 1;
    claims.execution_time_ms = facts->execution_ms;
    claims.memory_peak_mb = peak_memory_mb();
    TRY(air_write(out, &claims, i->settings.identity));
    i->sequence++;
    return OK;
}

/* RFC 9562 section 5.4: version 4 in the high half of byte 6, variant 10 on top of byte 8. */
err issue_cti(uint8_t cti[static AIR_CTI_LEN])
{
    TRY(crypto_random(cti, AIR_CTI_LEN));
    cti[6] = (uint8_t)((cti[6] & 0x0f) | 0x40);
    cti[8] = (uint8_t)((cti[8] & 0x3f) | 0x80);
    return OK;
}
