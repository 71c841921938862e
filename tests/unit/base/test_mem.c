#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "tests/lib/law.h"

static void gives_zeroed_memory(void **state)
{
    (void)state;
    static const size_t sizes[] = { 0, 1, 17, 4096, 300000 };
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        uint8_t *at = mem_alloc(sizes[i]);
        CHECK(at != NULL);
        for (size_t k = 0; k < sizes[i]; k++)
            CHECK(at[k] == 0);
        memset(at, 0xa5, sizes[i]);
        mem_free(at);
    }
    mem_free(NULL);
}

static void gives_memory_that_is_only_to_be_written(void **state)
{
    (void)state;
    uint8_t *at = mem_alloc_raw(300000);
    CHECK(at != NULL);
    memset(at, 0xa5, 300000);
    mem_free(at);
    at = mem_alloc_raw(0);
    CHECK(at != NULL);
    mem_free(at);
    mem_fail_at(0);
    CHECK(mem_alloc_raw(1) == NULL);
}

static void refuses_an_array_whose_size_overflows(void **state)
{
    (void)state;
    volatile size_t n = SIZE_MAX / 2;
    CHECK(mem_alloc_array(n, 4) == NULL);
}

static void grows_with_its_content_and_zeros_behind(void **state)
{
    (void)state;
    char *at = mem_realloc(NULL, 6);
    CHECK(at != NULL);
    memcpy(at, "hello", 6);
    at = mem_realloc(at, 100000);
    CHECK(at != NULL);
    assert_string_equal(at, "hello");
    for (size_t i = 4096; i < 100000; i++)
        CHECK(at[i] == 0);
    at = mem_realloc(at, 6);
    CHECK(at != NULL);
    assert_string_equal(at, "hello");
    mem_free(at);
}

static void copies_strings(void **state)
{
    (void)state;
    char *copy = mem_strdup("abc");
    CHECK(copy != NULL);
    assert_string_equal(copy, "abc");
    mem_free(copy);
}

static void fails_when_told_to_and_once_only(void **state)
{
    (void)state;
    unsigned long before = mem_requests();
    mem_fail_at(1);
    void *first = mem_alloc(1);
    void *second = mem_alloc(1);
    void *third = mem_alloc(1);
    CHECK(first != NULL && second == NULL && third != NULL);
    CHECK(mem_requests() == before + 3);
    mem_free(first);
    mem_free(third);
    mem_fail_at(0);
    int *number = NULL;
    CHECK_ERR(mem_new(&number), NOMEM);
    CHECK_OK(mem_new(&number));
    mem_free(number);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_zeroed_memory),
        cmocka_unit_test(gives_memory_that_is_only_to_be_written),
        cmocka_unit_test(refuses_an_array_whose_size_overflows),
        cmocka_unit_test(grows_with_its_content_and_zeros_behind),
        cmocka_unit_test(copies_strings),
        cmocka_unit_test(fails_when_told_to_and_once_only),
    };
    return cmocka_run_group_tests_name("base/mem", tests, NULL, NULL);
}
