#include "base/attr.h"
#include "base/text.h"
#include "receipts/air_shown.h"
#include "receipts/air_types.h"
#include "tests/lib/law.h"

static const char *const TYPES[] = { AIR_TYPE_NITRO, AIR_TYPE_TDX, AIR_TYPE_SNP, AIR_TYPE_AZURE_SNP,
                                     AIR_TYPE_GCP };
static const uint8_t DOCUMENT[AIR_HASH_LEN] = { 9 };
static const uint8_t OTHER_DOCUMENT[AIR_HASH_LEN] = { 8 };

/* Evidence with every register that a type takes, and one that none does. */
static struct {
    const struct air_type *type;
    const char *missing; /* NULL: none is */
    uint8_t values[AIR_REGISTERS][AIR_REGISTER_LEN];
} evidence;

static bytes find(const void *owner, const char *name)
{
    static const uint8_t chip_id[64] = { 1 };
    CHECK(owner == &evidence);
    if (strcmp(name, "chip_id") == 0)
        return BYTES_ARRAY(chip_id);
    for (size_t i = 0; i < evidence.type->slots_n; i++) {
        const struct air_slot *slot = &evidence.type->slots[i];
        bool there = evidence.missing == NULL || strcmp(evidence.missing, name) != 0;
        if (strcmp(slot->in_evidence, name) == 0 && there)
            return bytes_of(evidence.values[i], slot->len);
    }
    return (bytes){ 0 };
}

static struct air_shown shown_of(const char *type_name, bool with_gpu)
{
    evidence.type = air_type_find(bytes_str(type_name));
    evidence.missing = NULL;
    for (unsigned i = 0; i < AIR_REGISTERS; i++)
        memset(evidence.values[i], (int)i + 1, AIR_REGISTER_LEN);
    struct air_shown shown = { .platform = bytes_str(evidence.type->platform),
                               .hardware = true,
                               .document = DOCUMENT,
                               .find = find,
                               .owner = &evidence };
    if (with_gpu)
        shown.gpu = (struct air_gpu){ .gpus = 8, .switches = 4, .evidence_hash = { 7 } };
    return shown;
}

static void check_mismatch(const struct air_claims *c, const struct air_shown *shown,
                           const char *word)
{
    const char *sentence = air_shown_mismatch(c, shown);
    CHECK(sentence != NULL);
    CHECK(text_find(bytes_str(sentence), bytes_str(word)) < strlen(sentence));
}

static void what_is_shown_stands_in_the_receipt(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2 * ARRAY_LEN(TYPES); i++) {
        struct air_claims c = { .registers = { [AIR_PCR23] = BYTES_LIT("of before") } };
        const struct air_shown shown = shown_of(TYPES[i / 2], i % 2 == 1);
        CHECK_OK(air_show(&c, &shown));
        CHECK(c.profile == (i == 0 || i == 2 ? AIR_IN_V1 : AIR_IN_OWN));
        CHECK_BYTES(c.measurement_type, bytes_str(TYPES[i / 2]));
        CHECK_BYTES(c.security_mode, BYTES_LIT(AIR_MODE_PRODUCTION));
        CHECK_BYTES(BYTES_ARRAY(c.attestation_doc_hash), BYTES_ARRAY(DOCUMENT));
        CHECK(c.gpu.gpus == (i % 2 == 1 ? 8 : 0));
        CHECK(air_type_missing(evidence.type, &c) == AIR_REGISTERS);
        CHECK(air_type_surplus(evidence.type, &c) == AIR_REGISTERS);
        CHECK(air_shown_mismatch(&c, &shown) == NULL);
    }
}

static void every_register_is_compared(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(TYPES); i++) {
        struct air_claims c = { 0 };
        const struct air_shown shown = shown_of(TYPES[i], false);
        CHECK_OK(air_show(&c, &shown));
        for (size_t k = 0; k < evidence.type->slots_n; k++) {
            const struct air_slot *slot = &evidence.type->slots[k];
            uint8_t other[AIR_REGISTER_LEN];
            bytes kept = c.registers[slot->at];
            memcpy(other, kept.at, kept.len);
            other[kept.len - 1] ^= 1;
            c.registers[slot->at] = bytes_of(other, kept.len);
            check_mismatch(&c, &shown, "registers");
            c.registers[slot->at] = (bytes){ 0 };
            check_mismatch(&c, &shown, "registers");
            c.registers[slot->at] = kept;
            evidence.missing = slot->in_evidence;
            check_mismatch(&c, &shown, "registers");
            evidence.missing = NULL;
        }
        CHECK(air_shown_mismatch(&c, &shown) == NULL);
        c.registers[i < 2 ? AIR_MEASUREMENT : AIR_PCR0] = BYTES_LIT("surplus");
        check_mismatch(&c, &shown, "registers");
    }
}

static void another_platform_is_a_mismatch_and_an_unknown_one_is_not_shown(void **state)
{
    (void)state;
    struct air_claims c = { 0 };
    struct air_shown shown = shown_of(AIR_TYPE_SNP, false);
    CHECK_OK(air_show(&c, &shown));
    shown.platform = BYTES_LIT("azure-sev-snp");
    check_mismatch(&c, &shown, "registers");
    shown.platform = BYTES_LIT("sgx");
    check_mismatch(&c, &shown, "registers");
    CHECK_ERR(air_show(&c, &shown), UNSUPPORTED);
    shown.platform = (bytes){ 0 };
    CHECK_ERR(air_show(&c, &shown), UNSUPPORTED);
}

static void the_simulated_platform_shows_itself_as_nitro(void **state)
{
    (void)state;
    struct air_claims c = { 0 };
    struct air_shown shown = shown_of(AIR_TYPE_NITRO, false);
    shown.platform = BYTES_LIT("simulated");
    CHECK_ERR(air_show(&c, &shown), UNSUPPORTED);
    shown.hardware = false;
    CHECK_OK(air_show(&c, &shown));
    CHECK_BYTES(c.measurement_type, BYTES_LIT(AIR_TYPE_NITRO));
    CHECK_BYTES(c.security_mode, BYTES_LIT(AIR_MODE_EVALUATION));
    CHECK(air_shown_mismatch(&c, &shown) == NULL);
    c.security_mode = BYTES_LIT(AIR_MODE_PRODUCTION);
    check_mismatch(&c, &shown, "security mode");
}

static void gpus_and_document_have_to_be_the_same(void **state)
{
    (void)state;
    struct air_claims good = { 0 }, c;
    struct air_shown shown = shown_of(AIR_TYPE_TDX, true);
    CHECK_OK(air_show(&good, &shown));
    c = good;
    c.gpu.gpus = 7;
    check_mismatch(&c, &shown, "GPUs");
    c = good;
    c.gpu.switches = 0;
    check_mismatch(&c, &shown, "GPUs");
    c = good;
    c.gpu.evidence_hash[31] = 1;
    check_mismatch(&c, &shown, "GPUs");
    c = good;
    c.gpu = (struct air_gpu){ 0 };
    check_mismatch(&c, &shown, "GPUs");
    shown.document = OTHER_DOCUMENT;
    check_mismatch(&good, &shown, "another evidence document");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_shown_stands_in_the_receipt),
        cmocka_unit_test(every_register_is_compared),
        cmocka_unit_test(another_platform_is_a_mismatch_and_an_unknown_one_is_not_shown),
        cmocka_unit_test(the_simulated_platform_shows_itself_as_nitro),
        cmocka_unit_test(gpus_and_document_have_to_be_the_same),
    };
    return cmocka_run_group_tests_name("receipts/air_shown", tests, NULL, NULL);
}
