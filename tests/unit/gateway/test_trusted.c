#include "gateway/trusted.h"
#include "tests/unit/gateway/verdicts.h"
#include "tests/unit/gateway/worker_sets.h"

static const uint8_t DOCUMENT[VERDICT_DIGEST_LEN] = { 4, 5, 6 };

static void keeps_what_the_verdict_said_and_nothing_borrowed(void **state)
{
    (void)state;
    struct trusted *t;
    char hint[KEY_CONFIG_HINT_LEN + 1];
    struct verdict v;
    verdict_plain(&v, 100);
    int64_t until = v.not_after;
    CHECK_OK(trusted_new(&t, 3, &v, DOCUMENT, 1234));
    verdict_clear(&v);
    CHECK(t->place == 3 && t->verified_at == 1234 && t->not_after == until);
    assert_string_equal(t->name, "w1");
    CHECK(t->identity[0] == 7 && t->document[0] == 4 && t->evaluation);
    CHECK(t->config.id == 1 && t->config.kem == KEM_X25519_HKDF_SHA256);
    CHECK_BYTES(t->config.public_key, BYTES_ARRAY(verdict_x25519));
    CHECK_OK(key_config_hint(&t->config, hint));
    assert_string_equal(t->hint, hint);
    trusted_unref(t);
}

/* One register and two GPUs; the receipt says the same. */
static void shown_and_said(struct trusted *t, struct air_claims *c)
{
    static struct verdict document;
    document = (struct verdict){ .accepted = true,
                                 .platform = "sev-snp",
                                 .trust = TRUST_HARDWARE,
                                 .registers = { { "measurement", 48, { 7 } } },
                                 .registers_n = 1,
                                 .gpu = { .gpus = 2, .digest = { 3 } } };
    trusted_shown_of(&t->shown, &document);
    *c = (struct air_claims){ .measurement_type = BYTES_LIT(AIR_TYPE_SNP),
                              .security_mode = BYTES_LIT(AIR_MODE_PRODUCTION),
                              .gpu = { .gpus = 2, .evidence_hash = { 3 } } };
    c->registers[AIR_MEASUREMENT] =
        bytes_of(t->shown.registers[0].value, t->shown.registers[0].len);
    memcpy(c->attestation_doc_hash, t->document, AIR_HASH_LEN);
}

static void a_receipt_fits_only_what_its_document_shows(void **state)
{
    (void)state;
    struct trusted *t;
    struct verdict v;
    struct air_claims good, c;
    verdict_plain(&v, 100);
    CHECK_OK(trusted_new(&t, 0, &v, DOCUMENT, 0));
    verdict_clear(&v);
    memset(&c, 0, sizeof c);
    memcpy(c.attestation_doc_hash, t->document, AIR_HASH_LEN);
    CHECK(trusted_mismatch(t, &c) != NULL); /* nothing was shown */
    shown_and_said(t, &good);
    CHECK(trusted_mismatch(t, &good) == NULL);
    c = good;
    c.registers[AIR_MEASUREMENT].len--;
    CHECK(trusted_mismatch(t, &c) != NULL);
    c = good;
    c.registers[AIR_MEASUREMENT] = (bytes){ 0 };
    CHECK(trusted_mismatch(t, &c) != NULL);
    c = good;
    c.gpu.gpus = 1;
    CHECK(trusted_mismatch(t, &c) != NULL);
    c = good;
    c.gpu.evidence_hash[0] = 4;
    CHECK(trusted_mismatch(t, &c) != NULL);
    c = good;
    c.attestation_doc_hash[0] = 1;
    CHECK(trusted_mismatch(t, &c) != NULL);
    t->shown.hardware = false;
    CHECK(trusted_mismatch(t, &good) != NULL);
    trusted_unref(t);
}

static void refuses_a_verdict_that_is_none(void **state)
{
    (void)state;
    struct trusted *t = NULL;
    struct verdict v;
    verdict_plain(&v, 100);
    v.accepted = false;
    CHECK_ERR(trusted_new(&t, 0, &v, DOCUMENT, 0), UNTRUSTED);
    verdict_clear(&v);
    CHECK_ERR(trusted_new(&t, 0, &v, DOCUMENT, 0), UNTRUSTED);
    CHECK(t == NULL);
}

static void only_hardware_is_no_evaluation(void **state)
{
    (void)state;
    static const struct {
        enum trust_level trust;
        bool evaluation;
    } rows[] = { { TRUST_NONE, true }, { TRUST_SIMULATED, true }, { TRUST_HARDWARE, false } };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct trusted *t;
        struct verdict v;
        verdict_plain(&v, 100);
        v.trust = rows[i].trust;
        CHECK_OK(trusted_new(&t, 0, &v, DOCUMENT, 0));
        CHECK(t->evaluation == rows[i].evaluation);
        trusted_unref(t);
        verdict_clear(&v);
    }
}

static void takes_the_first_key_and_needs_one(void **state)
{
    (void)state;
    struct trusted *t = NULL;
    const uint8_t newer[32] = { 8 };
    const struct key_config configs[] = {
        verdict_config(200, KEM_X25519_HKDF_SHA256, BYTES_ARRAY(newer)),
        verdict_config(199, KEM_X25519_HKDF_SHA256, BYTES_ARRAY(verdict_x25519)),
    };
    struct verdict v;
    verdict_of(&v, configs, 2, 100);
    CHECK_OK(trusted_new(&t, 0, &v, DOCUMENT, 0));
    CHECK(t->config.id == 200);
    trusted_unref(t);
    t = NULL;
    buf_truncate(&v.key_list, v.key_list.len - 1);
    CHECK(trusted_new(&t, 0, &v, DOCUMENT, 0).code != ERR_OK && t == NULL);
    buf_clear(&v.key_list);
    CHECK(trusted_new(&t, 0, &v, DOCUMENT, 0).code != ERR_OK && t == NULL);
    verdict_clear(&v);
}

static void lives_as_long_as_somebody_refers_to_it(void **state)
{
    (void)state;
    struct trusted *t;
    struct trust_view *view;
    struct verdict v;
    verdict_plain(&v, 100);
    CHECK_OK(trusted_new(&t, 0, &v, DOCUMENT, 0));
    struct worker_set *set = worker_set_of(NULL, (const char *const[]){ "a:1", "b:1" }, 2);
    CHECK_OK(trust_view_new(&view, set));
    worker_set_unref(set);
    CHECK(view->set->n == 2);
    view->workers[1] = trusted_ref(t);
    trusted_unref(t);
    CHECK(trust_view_ref(view) == view);
    trust_view_unref(view);
    CHECK(view->workers[1]->config.id == 1);
    struct trusted *kept = trusted_ref(view->workers[1]);
    trust_view_unref(view);
    CHECK(kept->config.id == 1);
    trusted_unref(kept);
    trusted_unref(NULL);
    trust_view_unref(NULL);
    CHECK(trusted_ref(NULL) == NULL && trust_view_ref(NULL) == NULL);
    verdict_clear(&v);
}

static err make(void *arg)
{
    struct trusted *t = NULL;
    struct trust_view *view;
    struct worker_set *set;
    struct worker_change change;
    struct worker_wish wish;
    TRY(worker_wish_read(BYTES_LIT("a:1"), &wish));
    TRY(worker_set_next(&set, NULL, &wish, 1, &change));
    err e = trusted_new(&t, 0, arg, DOCUMENT, 0);
    if (e.code == ERR_OK)
        e = trust_view_new(&view, set);
    worker_set_unref(set);
    if (e.code == ERR_OK) {
        view->workers[0] = trusted_ref(t);
        trust_view_unref(view);
    }
    trusted_unref(t);
    return e;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    struct verdict v;
    verdict_plain(&v, 100);
    law_every_allocation_fails_once(make, &v);
    verdict_clear(&v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_what_the_verdict_said_and_nothing_borrowed),
        cmocka_unit_test(a_receipt_fits_only_what_its_document_shows),
        cmocka_unit_test(refuses_a_verdict_that_is_none),
        cmocka_unit_test(only_hardware_is_no_evaluation),
        cmocka_unit_test(takes_the_first_key_and_needs_one),
        cmocka_unit_test(lives_as_long_as_somebody_refers_to_it),
        cmocka_unit_test(every_allocation_may_fail),
    };
    if (crypto_init().code != ERR_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
