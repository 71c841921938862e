#include "base/attr.h"
#include "receipts/air_rows.h"
#include "receipts/air_types.h"
#include "tests/lib/law.h"

static const char *const TYPES[] = { AIR_TYPE_NITRO, AIR_TYPE_TDX, AIR_TYPE_SNP, AIR_TYPE_AZURE_SNP,
                                     AIR_TYPE_GCP };

static bool ascends(bytes a, bytes b)
{
    if (a.len != b.len)
        return a.len < b.len;
    return memcmp(a.at, b.at, a.len) < 0;
}

/* The writer walks the registers and puts the type's own key before the last of them. */
static void registers_stand_in_the_order_of_their_encoded_keys(void **state)
{
    (void)state;
    bytes before = { 0 };
    for (unsigned i = 0; i < AIR_REGISTERS; i++) {
        bytes name = bytes_str(air_register_name((enum air_register)i));
        if (i == AIR_AUTHOR_KEY_DIGEST) {
            CHECK(ascends(before, BYTES_LIT(AIR_MEASUREMENT_TYPE)));
            before = BYTES_LIT(AIR_MEASUREMENT_TYPE);
        }
        CHECK(ascends(before, name));
        before = name;
    }
}

static void registers_are_found_by_their_whole_name(void **state)
{
    (void)state;
    for (unsigned i = 0; i < AIR_REGISTERS; i++) {
        const char *name = air_register_name((enum air_register)i);
        CHECK(air_register_find(bytes_str(name)) == i);
        CHECK(air_register_find(bytes_of(name, strlen(name) - 1)) != i);
    }
    CHECK(air_register_find(BYTES_LIT("pcr24")) == AIR_REGISTERS);
    CHECK(air_register_find((bytes){ 0 }) == AIR_REGISTERS);
    assert_string_equal(air_register_name(AIR_REGISTERS), "none");
}

static void types_are_found_by_name_and_by_platform(void **state)
{
    (void)state;
    static const char *const platforms[] = { "nitro", "tdx", "sev-snp", "azure-sev-snp",
                                             "gcp-confidential-space" };
    for (size_t i = 0; i < ARRAY_LEN(TYPES); i++) {
        const struct air_type *type = air_type_find(bytes_str(TYPES[i]));
        CHECK(type != NULL);
        assert_string_equal(type->name, TYPES[i]);
        CHECK(air_type_of_platform(bytes_str(platforms[i])) == type);
    }
    CHECK(air_type_find(BYTES_LIT("nitro-pcr\0")) == NULL && air_type_find((bytes){ 0 }) == NULL);
    CHECK(air_type_of_platform(BYTES_LIT("simulated")) == NULL);
}

/* No register twice in a type, none without a length, and each found again by its place. */
static void slots_are_sound(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(TYPES); i++) {
        const struct air_type *type = air_type_find(bytes_str(TYPES[i]));
        for (size_t k = 0; k < type->slots_n; k++) {
            CHECK(air_type_slot(type, type->slots[k].at) == &type->slots[k]);
            CHECK(type->slots[k].len > 0 && type->slots[k].in_evidence != NULL);
        }
    }
    CHECK(air_type_slot(air_type_find(BYTES_LIT(AIR_TYPE_TDX)), AIR_PCR8) == NULL);
}

static void only_two_types_without_gpus_are_of_air_v1(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(TYPES); i++) {
        const struct air_type *type = air_type_find(bytes_str(TYPES[i]));
        CHECK(air_type_profile(type, true) == AIR_IN_OWN);
        CHECK(air_type_profile(type, false) == (i < 2 ? AIR_IN_V1 : AIR_IN_OWN));
    }
}

static void missing_and_surplus_registers_are_named(void **state)
{
    (void)state;
    static const uint8_t value[64];
    const struct air_type *snp = air_type_find(BYTES_LIT(AIR_TYPE_SNP));
    const struct air_type *azure = air_type_find(BYTES_LIT(AIR_TYPE_AZURE_SNP));
    struct air_claims c = { 0 };
    CHECK(air_type_missing(snp, &c) == AIR_IMAGE_ID);
    for (size_t i = 0; i < snp->slots_n; i++)
        c.registers[snp->slots[i].at] = bytes_of(value, snp->slots[i].len);
    CHECK(air_type_missing(snp, &c) == AIR_REGISTERS);
    CHECK(air_type_surplus(snp, &c) == AIR_REGISTERS && air_type_lengths_good(snp, &c));
    CHECK(air_type_missing(azure, &c) == AIR_PCR0);
    c.registers[AIR_PCR23] = bytes_of(value, 32);
    CHECK(air_type_missing(azure, &c) == AIR_REGISTERS && air_type_lengths_good(azure, &c));
    CHECK(air_type_surplus(snp, &c) == AIR_PCR23);
    c.registers[AIR_PCR23].len = 48;
    CHECK(!air_type_lengths_good(azure, &c));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(registers_stand_in_the_order_of_their_encoded_keys),
        cmocka_unit_test(registers_are_found_by_their_whole_name),
        cmocka_unit_test(types_are_found_by_name_and_by_platform),
        cmocka_unit_test(slots_are_sound),
        cmocka_unit_test(only_two_types_without_gpus_are_of_air_v1),
        cmocka_unit_test(missing_and_surplus_registers_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
