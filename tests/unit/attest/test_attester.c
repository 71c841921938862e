#include "attest/attester.h"
#include "tests/lib/law.h"
#include "tests/unit/attest/scene.h"

/* An attester that notes what it was asked and answers with collateral as well. */
struct noting {
    struct attester base;
    struct attester_ask asked;
    uint8_t report_data[BINDING_LEN];
    bool released;
    bool unable;
};

static err note(struct attester *a, const struct attester_ask *ask, struct buf *evidence,
                struct buf *collateral)
{
    struct noting *self = CONTAINER_OF(a, struct noting, base);
    ENSURE(!self->unable, UNAVAILABLE);
    self->asked = *ask;
    memcpy(self->report_data, ask->report_data, BINDING_LEN);
    TRY(buf_add_str(evidence, "evidence"));
    return buf_add_str(collateral, "collateral");
}

static void release(struct attester *a)
{
    CONTAINER_OF(a, struct noting, base)->released = true;
}

static const struct attester_kind noting_kind = {
    .platform = "noting", .trust = TRUST_HARDWARE, .quote = note, .free = release
};

static const uint8_t identity[32] = { 1, 2, 3 };
static const struct attester_subject subject = { .identity = BYTES_ARRAY(identity),
                                                 .nonce = BYTES_LIT("0123456789abcdef"),
                                                 .claims = BYTES_LIT("claims") };

static void asks_for_the_binding_and_puts_all_parts_together(void **state)
{
    (void)state;
    struct noting n = { .base = { &noting_kind } };
    struct bundle b;
    uint8_t want[BINDING_LEN];
    BUF_AUTO out = BUF(BUNDLE_MAX);
    CHECK_OK(attester_document(&n.base, &subject, 77, &out));
    CHECK_OK(evidence_document_read(buf_view(&out), &b));
    CHECK_BYTES(b.platform, BYTES_LIT("noting"));
    CHECK_BYTES(b.evidence, BYTES_LIT("evidence"));
    CHECK_BYTES(b.collateral, BYTES_LIT("collateral"));
    CHECK_BYTES(b.nonce, subject.nonce);
    CHECK_BYTES(b.claims, subject.claims);
    CHECK_BYTES(b.identity, subject.identity);
    CHECK(n.asked.now == 77);
    CHECK_BYTES(n.asked.nonce, subject.nonce);
    CHECK_BYTES(n.asked.identity, subject.identity);
    binding_digest(&(struct binding){ .platform = BYTES_LIT("noting"),
                                      .identity = subject.identity,
                                      .nonce = subject.nonce,
                                      .claims = subject.claims },
                   want);
    CHECK_BYTES(BYTES_ARRAY(n.report_data), BYTES_ARRAY(want));
}

static void passes_on_that_the_platform_cannot_answer(void **state)
{
    (void)state;
    struct noting n = { .base = { &noting_kind }, .unable = true };
    BUF_AUTO out = BUF(BUNDLE_MAX);
    CHECK_ERR(attester_document(&n.base, &subject, 77, &out), UNAVAILABLE);
    CHECK(out.len == 0);
}

static void refuses_a_nonce_that_no_verifier_may_send(void **state)
{
    (void)state;
    struct noting n = { .base = { &noting_kind } };
    struct attester_subject s = subject;
    BUF_AUTO out = BUF(BUNDLE_MAX);
    s.nonce = BYTES_LIT("0123456789abcde");
    CHECK_ERR(attester_document(&n.base, &s, 77, &out), LIMIT);
}

static void is_released_by_its_own_kind(void **state)
{
    (void)state;
    struct noting n = { .base = { &noting_kind } };
    attester_free(&n.base);
    CHECK(n.released);
    attester_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(asks_for_the_binding_and_puts_all_parts_together),
        cmocka_unit_test(passes_on_that_the_platform_cannot_answer),
        cmocka_unit_test(refuses_a_nonce_that_no_verifier_may_send),
        cmocka_unit_test(is_released_by_its_own_kind),
    };
    return cmocka_run_group_tests(tests, scene_init_crypto, NULL);
}
