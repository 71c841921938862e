#include "base/mem.h"
#include "tests/lib/law.h"

static void keeps_its_limit(void **state)
{
    (void)state;
    BUF_AUTO b = BUF(8);
    CHECK_OK(buf_add(&b, BYTES_LIT("12345678")));
    CHECK_ERR(buf_add(&b, BYTES_LIT("9")), LIMIT);
    CHECK_BYTES(buf_view(&b), BYTES_LIT("12345678"));
    CHECK(err_origin()->line > 0);
}

static void drops_from_the_front_and_wipes_behind(void **state)
{
    (void)state;
    BUF_AUTO b = BUF(64);
    CHECK_OK(buf_add_str(&b, "secret-rest"));
    buf_drop(&b, 7);
    CHECK_BYTES(buf_view(&b), BYTES_LIT("rest"));
    for (size_t i = b.len; i < 11; i++)
        CHECK(b.at[i] == 0);
}

static void formats_up_to_the_limit(void **state)
{
    (void)state;
    BUF_AUTO b = BUF(5);
    CHECK_OK(buf_addf(&b, "%d-%s", 12, "ab"));
    CHECK_BYTES(buf_view(&b), BYTES_LIT("12-ab"));
    CHECK_ERR(buf_addf(&b, "%d", 1), LIMIT);
    assert_string_equal(buf_str(&b), "12-ab");
}

static void formats_whether_there_is_room_already_or_not(void **state)
{
    (void)state;
    BUF_AUTO b = BUF(65536);
    size_t len = 0;
    for (int n = 1; n < 300; n++) {
        CHECK_OK(buf_addf(&b, "%*d", n, 7));
        len += (size_t)n;
        CHECK(b.len == len && b.at[len - 1] == '7');
        CHECK(n == 1 || b.at[len - 2] == ' ');
        CHECK_OK(buf_addf(&b, "%s", ""));
        CHECK(b.len == len && b.len <= b.cap);
    }
}

static void writes_integers_big_endian(void **state)
{
    (void)state;
    BUF_AUTO b = BUF(64);
    BUF_AUTO want = BUF(64);
    CHECK_OK(buf_add_u8(&b, 1));
    CHECK_OK(buf_add_u16be(&b, 0x0203));
    CHECK_OK(buf_add_u32be(&b, 0x04050607));
    CHECK_OK(buf_add_u64be(&b, 0x08090a0b0c0d0e0f));
    law_hex(&want, "0102030405060708090a0b0c0d0e0f");
    CHECK_BYTES(buf_view(&b), buf_view(&want));
}

static err grow_and_clear(void *arg)
{
    (void)arg;
    BUF_AUTO b = BUF(4096);
    for (int i = 0; i < 300; i++)
        TRY(buf_add_str(&b, "0123456789"));
    return OK;
}

/* At least doubling: a thousand small ones take a handful of requests for memory. */
static void grows_by_doubling_and_takes_much_as_it_is_asked_for(void **state)
{
    (void)state;
    BUF_AUTO b = BUF(1 << 20);
    uint8_t *room;
    unsigned long before = mem_requests();
    for (int i = 0; i < 1000; i++)
        CHECK_OK(buf_add_u8(&b, 1));
    CHECK(mem_requests() - before <= 5);
    CHECK_OK(buf_reserve(&b, 400000, &room));
    CHECK(b.cap == 401000);
    buf_commit(&b, 400000);
    CHECK_OK(buf_add_u8(&b, 1));
    CHECK(b.cap == 802000);
    CHECK_OK(buf_add_zeros(&b, 500000));
    CHECK(b.cap == b.max);
}

static void survives_every_failing_allocation(void **state)
{
    (void)state;
    law_every_allocation_fails_once(grow_and_clear, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_its_limit),
        cmocka_unit_test(drops_from_the_front_and_wipes_behind),
        cmocka_unit_test(formats_up_to_the_limit),
        cmocka_unit_test(formats_whether_there_is_room_already_or_not),
        cmocka_unit_test(writes_integers_big_endian),
        cmocka_unit_test(grows_by_doubling_and_takes_much_as_it_is_asked_for),
        cmocka_unit_test(survives_every_failing_allocation),
    };
    return cmocka_run_group_tests_name("base/buf", tests, NULL, NULL);
}
