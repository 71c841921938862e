#include "base/attr.h"
#include "base/text.h"
#include "cli/match.h"
#include "receipts/air_types.h"
#include "tests/lib/law.h"

static struct air_claims claims;
static struct verdict evidence;

/* A receipt and evidence of a platform that agree, with every register that the type has. */
static void agree(const char *type_name, bool with_gpu)
{
    const struct air_type *type = air_type_find(bytes_str(type_name));
    claims = (struct air_claims){ .measurement_type = bytes_str(type_name),
                                  .security_mode = BYTES_LIT(AIR_MODE_PRODUCTION),
                                  .attestation_doc_hash = { 9 } };
    evidence = (struct verdict){ .accepted = true,
                                 .trust = TRUST_HARDWARE,
                                 .platform = type->platform,
                                 .document_digest = { 9 } };
    for (size_t i = 0; i < type->slots_n; i++) {
        struct verdict_register *r = &evidence.registers[evidence.registers_n++];
        r->name = type->slots[i].in_evidence;
        r->len = type->slots[i].len;
        memset(r->value, (int)i + 1, r->len);
        claims.registers[type->slots[i].at] = bytes_of(r->value, r->len);
    }
    if (with_gpu) {
        claims.gpu = (struct air_gpu){ .gpus = 8, .switches = 4, .evidence_hash = { 7 } };
        evidence.gpu = (struct verdict_gpu){ .gpus = 8, .switches = 4, .digest = { 7 } };
    }
}

static void check_mismatch(const char *word)
{
    const char *sentence = match_evidence(&claims, &evidence);
    CHECK(sentence != NULL);
    CHECK(text_find(bytes_str(sentence), bytes_str(word)) < strlen(sentence));
}

static const char *const TYPES[] = { AIR_TYPE_NITRO, AIR_TYPE_TDX, AIR_TYPE_SNP,
                                     AIR_TYPE_AZURE_SNP };

static void what_agrees_agrees_on_every_platform(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(TYPES); i++) {
        agree(TYPES[i], i % 2 == 0);
        CHECK(match_evidence(&claims, &evidence) == NULL);
    }
}

static void any_other_register_is_a_mismatch(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(TYPES); i++) {
        agree(TYPES[i], false);
        for (size_t k = 0; k < evidence.registers_n; k++) {
            static uint8_t other[VERDICT_REGISTER_LEN_MAX];
            const struct air_type *type = air_type_find(bytes_str(TYPES[i]));
            bytes *claim = &claims.registers[type->slots[k].at], kept = *claim;
            memcpy(other, kept.at, kept.len);
            other[kept.len - 1] ^= 1;
            *claim = bytes_of(other, kept.len);
            check_mismatch("registers");
            *claim = (bytes){ 0 };
            check_mismatch("registers");
            *claim = kept;
        }
        CHECK(match_evidence(&claims, &evidence) == NULL);
        evidence.registers_n--;
        check_mismatch("registers");
    }
}

/* Registers of the evidence that its receipts leave out, such as chip_id, are no mismatch. */
static void only_the_registers_of_the_type_are_compared(void **state)
{
    (void)state;
    static const uint8_t value[48] = { 1 };
    agree(AIR_TYPE_SNP, false);
    evidence.registers[evidence.registers_n++] =
        (struct verdict_register){ .name = "chip_id", .len = 64 };
    CHECK(match_evidence(&claims, &evidence) == NULL);
    claims.registers[AIR_PCR0] = BYTES_ARRAY(value);
    check_mismatch("registers");
}

static void another_platform_is_a_mismatch_even_with_the_same_registers(void **state)
{
    (void)state;
    agree(AIR_TYPE_SNP, false);
    evidence.platform = "azure-sev-snp";
    check_mismatch("registers");
    agree(AIR_TYPE_NITRO, false);
    claims.measurement_type = BYTES_LIT("nitro");
    check_mismatch("registers");
}

static void the_simulated_platform_shows_itself_as_nitro(void **state)
{
    (void)state;
    agree(AIR_TYPE_NITRO, false);
    evidence.platform = "simulated";
    check_mismatch("registers");
    evidence.trust = TRUST_SIMULATED;
    check_mismatch("security mode");
    claims.security_mode = BYTES_LIT(AIR_MODE_EVALUATION);
    CHECK(match_evidence(&claims, &evidence) == NULL);
    evidence.platform = "nitro";
    evidence.trust = TRUST_HARDWARE;
    check_mismatch("security mode");
}

static void gpus_and_document_have_to_be_the_same(void **state)
{
    (void)state;
    agree(AIR_TYPE_TDX, true);
    claims.gpu.gpus = 7;
    check_mismatch("GPUs");
    agree(AIR_TYPE_TDX, true);
    claims.gpu.switches = 0;
    check_mismatch("GPUs");
    agree(AIR_TYPE_TDX, true);
    claims.gpu.evidence_hash[31] = 1;
    check_mismatch("GPUs");
    agree(AIR_TYPE_TDX, true);
    claims.gpu = (struct air_gpu){ 0 };
    check_mismatch("GPUs");
    agree(AIR_TYPE_TDX, true);
    claims.attestation_doc_hash[0] = 8;
    check_mismatch("another evidence document");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_agrees_agrees_on_every_platform),
        cmocka_unit_test(any_other_register_is_a_mismatch),
        cmocka_unit_test(only_the_registers_of_the_type_are_compared),
        cmocka_unit_test(another_platform_is_a_mismatch_even_with_the_same_registers),
        cmocka_unit_test(the_simulated_platform_shows_itself_as_nitro),
        cmocka_unit_test(gpus_and_document_have_to_be_the_same),
    };
    return cmocka_run_group_tests_name("cli/match", tests, NULL, NULL);
}
