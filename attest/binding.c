#include "attest/binding.h"

#include "crypto/hash.h"

_Static_assert((int)BINDING_LEN == (int)SHA512_LEN, "report data is one SHA-512");

static void add_field(struct sha512 *h, bytes field)
{
    uint32_t n = (uint32_t)field.len;
    uint8_t len[4] = { (uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n };
    sha512_add(h, BYTES_ARRAY(len));
    sha512_add(h, field);
}

void binding_digest(const struct binding *b, uint8_t out[static BINDING_LEN])
{
    uint8_t claims[SHA256_LEN];
    uint8_t gpu[SHA256_LEN];
    struct sha512 h;
    sha256_of(b->claims, claims);
    sha256_of(b->gpu_evidence, gpu);
    sha512_init(&h);
    add_field(&h, BYTES_LIT("sealgate/attestation/v1"));
    add_field(&h, BYTES_LIT("worker"));
    add_field(&h, b->platform);
    add_field(&h, b->identity);
    add_field(&h, b->nonce);
    add_field(&h, BYTES_ARRAY(claims));
    add_field(&h, b->gpu_evidence.len > 0 ? BYTES_ARRAY(gpu) : (bytes){ 0 });
    sha512_end(&h, out);
}
