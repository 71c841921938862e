#include <stdio.h>

#include "base/attr.h"
#include "tests/lib/law.h"
#include "wire/roster.h"

#define ONE "2543b92ff1095511"
#define TWO "00000000000000ff"

static err read_text(const char *text, struct roster *out)
{
    return roster_read(bytes_str(text), out);
}

static void a_tag_is_how_the_identity_begins(void **state)
{
    (void)state;
    struct worker_tag tag;
    BUF_AUTO identity = BUF(32);
    law_hex(&identity, "2543b92ff1095511476adc8369db6ddc933665a11978dda1404ee1066ca9559d");
    CHECK_OK(worker_tag_of(buf_view(&identity), &tag));
    assert_string_equal(tag.text, ONE);
    CHECK_ERR(worker_tag_of(bytes_slice(buf_view(&identity), 0, 7), &tag), MALFORMED);
    CHECK(!worker_tag_is(&tag));
}

static void anything_else_is_no_tag(void **state)
{
    (void)state;
    static const char *const bad[] = { "",
                                       "2543b92ff109551",
                                       ONE "0",
                                       ONE "\n",
                                       "2543B92FF1095511",
                                       "2543b92ff109551g",
                                       " 2543b92ff109551",
                                       "2543b92f/1095511",
                                       "2543b92f:1095511" };
    struct worker_tag tag;
    CHECK_OK(worker_tag_read(BYTES_LIT(TWO), &tag));
    CHECK(worker_tag_is(&tag));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        CHECK_ERR(worker_tag_read(bytes_str(bad[i]), &tag), MALFORMED);
        CHECK(!worker_tag_is(&tag));
    }
}

static void what_is_written_reads_the_same(void **state)
{
    (void)state;
    struct roster r = { 0 }, back;
    struct worker_tag tag;
    BUF_AUTO text = BUF(ROSTER_TEXT_MAX);
    CHECK_OK(worker_tag_read(BYTES_LIT(ONE), &tag));
    roster_add(&r, &tag);
    roster_add(&r, &tag);
    CHECK_OK(worker_tag_read(BYTES_LIT(TWO), &tag));
    CHECK(!roster_has(&r, &tag));
    roster_add(&r, &tag);
    roster_add(&r, &(struct worker_tag){ 0 });
    CHECK(r.n == 2 && roster_has(&r, &tag));
    CHECK_OK(roster_write(&text, &r));
    CHECK_BYTES(buf_view(&text), BYTES_LIT(ONE "\n" TWO "\n"));
    CHECK_OK(roster_read(buf_view(&text), &back));
    CHECK(back.n == 2 && worker_tag_equal(&back.tags[0], &r.tags[0]) &&
          worker_tag_equal(&back.tags[1], &r.tags[1]));
}

static void nobody_is_a_roster_too(void **state)
{
    (void)state;
    struct roster r = { .n = 3 };
    CHECK_OK(read_text("", &r));
    CHECK(r.n == 0);
}

static void anything_else_is_refused_as_a_whole(void **state)
{
    (void)state;
    static const char *const bad[] = { ONE,
                                       ONE "\r\n",
                                       ONE "\n\n",
                                       "\n" ONE "\n",
                                       ONE "\n" TWO,
                                       ONE "\n" ONE "\n",
                                       ONE " \n",
                                       ONE "\n" TWO "0\n",
                                       "<html></html>",
                                       ONE "," TWO "\n" };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct roster r = { .n = 1, .tags = { { TWO } } };
        CHECK_ERR(read_text(bad[i], &r), MALFORMED);
        CHECK(r.n == 1);
    }
}

static void so_many_and_no_more(void **state)
{
    (void)state;
    struct roster r = { 0 }, back;
    BUF_AUTO text = BUF(2 * ROSTER_TEXT_MAX);
    for (unsigned i = 0; i <= ROSTER_MAX; i++) {
        struct worker_tag tag;
        (void)snprintf(tag.text, sizeof tag.text, "%016x", i);
        roster_add(&r, &tag);
    }
    CHECK(r.n == ROSTER_MAX);
    CHECK_OK(roster_write(&text, &r));
    CHECK(text.len == ROSTER_TEXT_MAX);
    CHECK_OK(roster_read(buf_view(&text), &back));
    CHECK(back.n == ROSTER_MAX);
    CHECK_OK(buf_add_str(&text, "ffffffffffffffff\n"));
    CHECK_ERR(roster_read(buf_view(&text), &back), LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tag_is_how_the_identity_begins),
        cmocka_unit_test(anything_else_is_no_tag),
        cmocka_unit_test(what_is_written_reads_the_same),
        cmocka_unit_test(nobody_is_a_roster_too),
        cmocka_unit_test(anything_else_is_refused_as_a_whole),
        cmocka_unit_test(so_many_and_no_more),
    };
    return cmocka_run_group_tests_name("wire/roster", tests, NULL, NULL);
}
