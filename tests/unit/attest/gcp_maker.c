#include "tests/unit/attest/gcp_maker.h"

#include "base/text.h"
#include "crypto/hash.h"
#include "tests/lib/law.h"

enum { DAY_S = 86400, HOUR_S = 3600, TOKEN_MAX = 64 * 1024 };

static struct pki_cert *cert(const struct gcp_maker *m, const char *name,
                             const struct pki_cert *issuer)
{
    bool is_leaf = issuer != NULL && issuer == m->issuer;
    return pki_new(
        &(struct pki_spec){ .name = name,
                            .curve = "RSA",
                            .issuer = issuer,
                            .constraints = is_leaf ? "critical,CA:FALSE" : "critical,CA:TRUE",
                            .usage = is_leaf ? "critical,digitalSignature" : "critical,keyCertSign",
                            .from_s = m->at_s - DAY_S,
                            .until_s = m->at_s + DAY_S });
}

void gcp_maker_open(struct gcp_maker *m, int64_t at_s)
{
    *m = (struct gcp_maker){ .at_s = at_s,
                             .audience = GCP_OUR_AUDIENCE,
                             .dbgstat = "disabled-since-boot",
                             .support = "STABLE",
                             .hwmodel = "GCP_INTEL_TDX",
                             .image = GCP_MAKER_IMAGE,
                             .surplus = "",
                             .token = BUF(TOKEN_MAX) };
    m->root = cert(m, "Confidential Space Root CA", NULL);
    m->issuer = cert(m, "Confidential Space Intermediate CA", m->root);
    m->leaf = cert(m, "Confidential Space Leaf", m->issuer);
    sha256_of(pki_der(m->root), m->pin.sha256);
}

void gcp_maker_close(struct gcp_maker *m)
{
    pki_free(m->leaf);
    pki_free(m->issuer);
    pki_free(m->root);
    buf_clear(&m->token);
}

static void put_header(const struct gcp_maker *m, struct buf *out)
{
    const struct pki_cert *const chain[] = { m->leaf, m->issuer, m->root };
    CHECK_OK(buf_add_str(out, "{\"alg\":\"RS256\",\"typ\":\"JWT\",\"x5c\":["));
    for (size_t i = 0; i < ARRAY_LEN(chain); i++) {
        CHECK_OK(buf_add_str(out, i > 0 ? ",\"" : "\""));
        CHECK_OK(text_base64_encode(out, pki_der(chain[i])));
        CHECK_OK(buf_add_str(out, "\""));
    }
    CHECK_OK(buf_add_str(out, "]}"));
}

static void put_claims(const struct gcp_maker *m, const char *nonce, struct buf *out)
{
    CHECK_OK(buf_addf(out,
                      "{\"iss\":\"" GCP_TOKEN_ISSUER "\",\"aud\":\"%s\",\"iat\":%lld,\"nbf\":%lld,"
                      "\"exp\":%lld,\"eat_nonce\":\"%s\",\"dbgstat\":\"%s\",",
                      m->audience, (long long)m->at_s, (long long)m->at_s,
                      (long long)m->at_s + HOUR_S, nonce, m->dbgstat));
    CHECK_OK(buf_addf(out,
                      "\"swname\":\"CONFIDENTIAL_SPACE\",\"hwmodel\":\"%s\",\"secboot\":true,"
                      "\"submods\":{\"confidential_space\":{\"support_attributes\":[\"%s\"]},"
                      "\"container\":{\"image_digest\":\"sha256:%s\"%s}}}",
                      m->hwmodel, m->support, m->image, m->surplus));
}

void gcp_maker_make(struct gcp_maker *m, const char *nonce)
{
    BUF_AUTO header = BUF(TOKEN_MAX);
    BUF_AUTO claims = BUF(TOKEN_MAX);
    BUF_AUTO sig = BUF(512);
    put_header(m, &header);
    put_claims(m, nonce, &claims);
    buf_truncate(&m->token, 0);
    CHECK_OK(text_base64url_encode(&m->token, buf_view(&header)));
    CHECK_OK(buf_add_u8(&m->token, '.'));
    CHECK_OK(text_base64url_encode(&m->token, buf_view(&claims)));
    pki_sign_rs256(m->leaf, buf_view(&m->token), &sig);
    CHECK_OK(buf_add_u8(&m->token, '.'));
    CHECK_OK(text_base64url_encode(&m->token, buf_view(&sig)));
}
