#include "attest/binding.h"
#include "tests/lib/law.h"
#include "tests/unit/attest/scene.h"

static void digest(const struct binding *b, struct buf *out)
{
    uint8_t d[BINDING_LEN];
    binding_digest(b, d);
    buf_truncate(out, 0);
    CHECK_OK(buf_add(out, BYTES_ARRAY(d)));
}

/* From tests/unit/attest/second_opinion.py. */
static void agrees_with_a_second_implementation(void **state)
{
    (void)state;
    struct scene s;
    BUF_AUTO have = BUF(BINDING_LEN);
    BUF_AUTO want = BUF(BINDING_LEN);
    scene_open(&s);
    scene_make(&s);
    struct binding b = { .platform = BYTES_LIT("simulated"),
                         .identity = bytes_of(signing_key_public(s.identity), 32),
                         .nonce = BYTES_ARRAY(s.nonce),
                         .claims = buf_view(&s.encoded_claims) };
    digest(&b, &have);
    law_hex(&want,
            "de70fee7c2cf3d3d926fd460dff962e88ba4d52edd02d5e0d5438ba5e1fc527a"
            "b9718a21e03f4c4abc71d53072feec3624962ffc2535d00672c94f4736d01308");
    CHECK_BYTES(buf_view(&have), buf_view(&want));
    b.gpu_evidence = BYTES_LIT("gpu");
    digest(&b, &have);
    law_hex(&want,
            "3d254b1d43a5b71636de4c47ddd954ae9630b020d56b98dcf7c0217019f520b7"
            "adc2dbc322df3f92b0b989f55e59ae985630251c2f8c09a7b7b3469d88b6957e");
    CHECK_BYTES(buf_view(&have), buf_view(&want));
    scene_close(&s);
}

static void tells_every_field_from_its_neighbour(void **state)
{
    (void)state;
    static const struct binding same_bytes[] = {
        { .platform = BYTES_LIT("ab"), .identity = BYTES_LIT("cd") },
        { .platform = BYTES_LIT("a"), .identity = BYTES_LIT("bcd") },
        { .platform = BYTES_LIT("abcd") },
        { .identity = BYTES_LIT("abcd") },
        { .nonce = BYTES_LIT("abcd") },
        { .claims = BYTES_LIT("abcd") },
        { .gpu_evidence = BYTES_LIT("abcd") },
        { .platform = { 0 } },
    };
    BUF_AUTO one = BUF(BINDING_LEN);
    BUF_AUTO other = BUF(BINDING_LEN);
    for (size_t i = 0; i < ARRAY_LEN(same_bytes); i++) {
        for (size_t j = 0; j < i; j++) {
            digest(&same_bytes[i], &one);
            digest(&same_bytes[j], &other);
            CHECK(!bytes_equal(buf_view(&one), buf_view(&other)));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_a_second_implementation),
        cmocka_unit_test(tells_every_field_from_its_neighbour),
    };
    return cmocka_run_group_tests(tests, scene_init_crypto, NULL);
}
