#include "enclave-worker/pool_keys.h"

#include "base/text.h"
#include "crypto/hkdf.h"
#include "crypto/secret.h"

#define LABEL "sealgate/pool/v1"

err pool_key_read(bytes text, struct pool_key *out)
{
    static const uint8_t zeros[POOL_KEY_LEN];
    BUF_AUTO raw = BUF(POOL_KEY_LEN);
    ENSURE(text_hex_decode(&raw, text).code == ERR_OK && raw.len == POOL_KEY_LEN, MALFORMED);
    ENSURE(!secret_equal(buf_view(&raw), BYTES_ARRAY(zeros)), MALFORMED);
    memcpy(out->bytes, raw.at, POOL_KEY_LEN);
    return OK;
}

/* Every length here is far below what HKDF-Expand refuses. */
static void expand(const uint8_t prk[static HKDF_PRK_LEN], bytes name, uint8_t *out, size_t len)
{
    (void)hkdf_expand(prk, name, out, len);
}

void pool_key_psk(const struct pool_key *key, uint8_t psk[static POOL_KEY_LEN])
{
    SECRET_BYTES(prk, HKDF_PRK_LEN);
    hkdf_extract(BYTES_LIT(LABEL), BYTES_ARRAY(key->bytes), prk);
    expand(prk, BYTES_LIT("keeper"), psk, POOL_KEY_LEN);
}

void pool_chain_step(struct pool_chain *chain)
{
    SECRET_BYTES(prk, HKDF_PRK_LEN);
    hkdf_extract(BYTES_LIT(LABEL), BYTES_ARRAY(chain->link), prk);
    expand(prk, BYTES_LIT("next"), chain->link, POOL_CHAIN_LEN);
    chain->epoch++;
}

void pool_epoch_of(const struct pool_chain *chain, const struct pool_key *key,
                   struct pool_epoch *out)
{
    SECRET_BYTES(prk, HKDF_PRK_LEN);
    hkdf_extract(BYTES_ARRAY(chain->link), BYTES_ARRAY(key->bytes), prk);
    out->epoch = chain->epoch;
    out->id = (uint8_t)(chain->first_id + chain->epoch);
    expand(prk, BYTES_LIT("tag"), out->tag, POOL_TAG_LEN);
    expand(prk, BYTES_LIT("hpke"), out->ikm, POOL_IKM_LEN);
}

struct pool_span pool_span_at(int64_t now, uint32_t life_s, uint32_t grace_s)
{
    uint64_t at = now > 0 ? (uint64_t)now : 0;
    uint64_t graced = at > grace_s ? at - grace_s : 0;
    return (struct pool_span){ .oldest = graced / life_s,
                               .present = at / life_s,
                               .newest = at / life_s + 1 };
}

int64_t pool_epoch_end(uint64_t epoch, uint32_t life_s)
{
    return (int64_t)((epoch + 1) * life_s);
}

bool pool_chain_reach(struct pool_chain *chain, uint64_t epoch)
{
    if (epoch < chain->epoch || epoch - chain->epoch > POOL_STEPS_MAX)
        return false;
    while (chain->epoch < epoch)
        pool_chain_step(chain);
    return true;
}
