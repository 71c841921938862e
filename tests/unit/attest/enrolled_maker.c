#include "tests/unit/attest/enrolled_maker.h"

#include "base/text.h"
#include "crypto/hash.h"
#include "tests/lib/law.h"

struct enrolled_maker enrolled_maker_good(void)
{
    return (struct enrolled_maker){ .sip = 1, .node = "node", .binary = "hash", .more = "" };
}

static void hash_text(struct sha256 *h, bytes text)
{
    uint8_t len[4] = { (uint8_t)text.len, (uint8_t)(text.len >> 8), 0, 0 };
    sha256_add(h, BYTES_ARRAY(len));
    sha256_add(h, text);
}

static void hash_number(struct sha256 *h, uint64_t v)
{
    uint8_t le[8];
    for (size_t i = 0; i < 8; i++)
        le[i] = (uint8_t)(v >> (8 * i));
    sha256_add(h, BYTES_ARRAY(le));
}

static void digest(const struct enrolled_maker *m, bytes inference, bytes se,
                   uint8_t out[SHA256_LEN])
{
    struct sha256 h;
    uint8_t flags[] = { m->sip, 1, 1 };
    sha256_init(&h);
    sha256_add(&h, BYTES_LIT("mesh-llm-hardware-attestation-v1:"));
    hash_text(&h, BYTES_LIT("Apple M4"));
    hash_text(&h, BYTES_LIT("Mac16,1"));
    hash_number(&h, 68719476736);
    sha256_add(&h, BYTES_ARRAY(flags));
    hash_text(&h, bytes_str(m->node));
    hash_text(&h, inference);
    hash_text(&h, se);
    hash_text(&h, bytes_str(m->binary));
    hash_number(&h, m->timestamp);
    sha256_end(&h, out);
}

void enrolled_make(const struct enrolled_maker *m, struct buf *statement)
{
    uint8_t message[SHA256_LEN];
    BUF_AUTO inference = BUF(256);
    BUF_AUTO se = BUF(256);
    BUF_AUTO sig = BUF(256);
    CHECK_OK(text_base64_encode(&inference, m->inference_key));
    CHECK_OK(text_base64_encode(&se, pki_point(m->signer)));
    digest(m, buf_view(&inference), buf_view(&se), message);
    pki_sign_p256(m->signer, BYTES_ARRAY(message), &sig);
    buf_truncate(statement, 0);
    CHECK_OK(buf_addf(statement,
                      "{\"attestation\":{\"chip_name\":\"Apple M4\",\"hardware_model\":\"Mac16,1\","
                      "\"unified_memory_bytes\":68719476736,\"sip_enabled\":%s,"
                      "\"secure_boot_enabled\":true,\"rdma_disabled\":true,"
                      "\"node_endpoint_id\":\"%s\",\"inference_public_key\":\"%s\","
                      "\"se_public_key\":\"%s\",\"binary_hash\":\"%s\",\"timestamp\":%llu%s},"
                      "\"signature\":\"",
                      m->sip ? "true" : "false", m->node, buf_str(&inference), buf_str(&se),
                      m->binary, (unsigned long long)m->timestamp, m->more));
    CHECK_OK(text_base64_encode(statement, buf_view(&sig)));
    CHECK_OK(buf_add_str(statement, "\"}"));
}
