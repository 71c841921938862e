#include "tests/unit/attest/scene.h"

#include <stdio.h>

#include "base/text.h"
#include "crypto/init.h"

int scene_init_crypto(void **state)
{
    (void)state;
    return err_is_ok(crypto_init()) ? 0 : -1;
}

static const char good_policy[] =
    "platforms: [simulated]\n"
    "measurements:\n"
    "  pcr0: [%0]\n"
    "  pcr1: [%1]\n"
    "  pcr2: [%2]\n";

void scene_open(struct scene *s)
{
    static const uint8_t seed[32] = { 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
                                      7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7 };
    *s = (struct scene){ .quoted_at = SCENE_NOW };
    CHECK_OK(signing_key_from_seed(&s->identity, BYTES_ARRAY(seed)));
    simulated_measure(BYTES_LIT(SCENE_IMAGE), &s->registers);
    for (size_t i = 0; i < sizeof s->nonce; i++)
        s->nonce[i] = (uint8_t)i;
    memset(s->operator_key, 0x11, sizeof s->operator_key);
    memset(s->manifest_digest, 0x22, sizeof s->manifest_digest);
    memset(s->key_list_bytes, 0xab, sizeof s->key_list_bytes);
    s->claims = (struct claims){ .model = BYTES_LIT("demo"),
                                 .model_version = BYTES_LIT("1"),
                                 .worker = BYTES_LIT("worker-1"),
                                 .software = BYTES_LIT("0.1.0"),
                                 .operator_key = BYTES_ARRAY(s->operator_key),
                                 .manifest_digest = BYTES_ARRAY(s->manifest_digest) };
    s->statement = (struct statement){ .worker = BYTES_LIT("worker-1"),
                                       .key_list = BYTES_ARRAY(s->key_list_bytes),
                                       .not_before = SCENE_NOW - 60,
                                       .not_after = SCENE_NOW + 3600,
                                       .generation = 3 };
    s->settings = (struct verify_settings){ .now = SCENE_NOW, .nonce = BYTES_ARRAY(s->nonce) };
    scene_policy(s, good_policy);
}

static void clear_made(struct scene *s)
{
    attester_free(s->attester);
    s->attester = NULL;
    buf_clear(&s->encoded_claims);
    buf_clear(&s->document);
    buf_clear(&s->key_statement);
    buf_clear(&s->bundle);
}

void scene_close(struct scene *s)
{
    clear_made(s);
    policy_free(s->policy);
    signing_key_free(s->identity);
    signing_key_free(s->statement_signer);
}

void scene_policy(struct scene *s, const char *yaml)
{
    BUF_AUTO text = BUF(4096);
    BUF_AUTO message = BUF(256);
    for (; *yaml != '\0'; yaml++) {
        if (*yaml != '%') {
            CHECK_OK(buf_add_u8(&text, (uint8_t)*yaml));
            continue;
        }
        yaml++;
        CHECK_OK(text_hex_encode(&text, BYTES_ARRAY(s->registers.pcr[*yaml - '0'])));
    }
    policy_free(s->policy);
    s->policy = NULL;
    err e = policy_read(&s->policy, buf_view(&text), "policy", &message);
    if (!err_is_ok(e))
        fail_msg("%s", buf_str(&message));
    s->settings.policy = s->policy;
}

err scene_try_make(struct scene *s)
{
    clear_made(s);
    s->encoded_claims = BUF(CLAIMS_MAX);
    s->document = BUF(BUNDLE_MAX);
    s->key_statement = BUF(BUNDLE_STATEMENT_MAX);
    s->bundle = BUF(BUNDLE_MAX);
    const struct signing_key *signer = s->statement_signer ? s->statement_signer : s->identity;
    TRY(claims_write(&s->encoded_claims, &s->claims));
    TRY(simulated_attester_new(&s->attester, &s->registers));
    struct attester_subject subject = { .identity = bytes_of(signing_key_public(s->identity), 32),
                                        .nonce = BYTES_ARRAY(s->nonce),
                                        .claims = buf_view(&s->encoded_claims) };
    TRY(attester_document(s->attester, &subject, s->quoted_at, &s->document));
    TRY(statement_write(&s->key_statement, &s->statement, signer));
    return bundle_join(&s->bundle, buf_view(&s->document), buf_view(&s->key_statement));
}

void scene_make(struct scene *s)
{
    CHECK_OK(scene_try_make(s));
}

void scene_join(struct scene *s, bytes document, bytes statement)
{
    buf_clear(&s->bundle);
    s->bundle = BUF(BUNDLE_MAX);
    CHECK_OK(bundle_join(&s->bundle, document, statement));
}

static bool is_zero(bytes b)
{
    for (size_t i = 0; i < b.len; i++) {
        if (b.at[i] != 0)
            return false;
    }
    return true;
}

void scene_check_refusal(const struct verdict *v, enum verdict_check_id check, const char *reason)
{
    const struct verdict_check *failed = verdict_failure(v);
    CHECK(!v->accepted && v->trust == TRUST_NONE);
    CHECK(failed != NULL);
    assert_string_equal(failed->name, verdict_check_name(check));
    assert_string_equal(failed->reason, reason);
    CHECK(failed == &v->checks[check]);
    for (size_t i = (size_t)check + 1; i < VERDICT_CHECKS; i++) {
        CHECK(v->checks[i].status == VERDICT_SKIP);
        assert_string_equal(v->checks[i].reason, "earlier-failure");
    }
    CHECK(v->key_list.at == NULL && v->key_list.len == 0);
    CHECK(is_zero(BYTES_ARRAY(v->identity)) && is_zero(BYTES_ARRAY(v->document_digest)));
    CHECK(v->worker[0] == '\0' && v->not_after == 0 && v->generation == 0);
}

void scene_accepts(struct scene *s)
{
    struct verdict v;
    CHECK_OK(attest_verify(buf_view(&s->bundle), &s->settings, &v));
    const struct verdict_check *failed = verdict_failure(&v);
    if (failed != NULL)
        fail_msg("refused: %s %s", failed->name, failed->reason);
    CHECK(v.accepted);
    verdict_clear(&v);
}

void scene_refuses(struct scene *s, enum verdict_check_id check, const char *reason)
{
    struct verdict v;
    CHECK_OK(attest_verify(buf_view(&s->bundle), &s->settings, &v));
    scene_check_refusal(&v, check, reason);
    verdict_clear(&v);
}
