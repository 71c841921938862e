/* The table is the one in ARCHITECTURE.md, and every exchange can come to its end. */
#include <stdio.h>

#include "base/text.h"
#include "gateway/exchange_table.h"
#include "tests/lib/law.h"

enum { DOCUMENT_MAX = 1024 * 1024 };

static const char *architecture; /* the path of ARCHITECTURE.md */

static bytes between(bytes text, bytes from, bytes to)
{
    size_t begin = text_find(text, from) + from.len;
    bytes rest = bytes_slice(text, begin, text.len);
    size_t end = text_find(rest, to);
    CHECK(begin < text.len && end < rest.len);
    return bytes_slice(rest, 0, end);
}

static void is_the_table_in_the_document(void **state)
{
    (void)state;
    BUF_AUTO document = BUF(DOCUMENT_MAX);
    BUF_AUTO table = BUF(DOCUMENT_MAX);
    CHECK(architecture != NULL);
    law_read_file(&document, architecture);
    CHECK_OK(exchange_table_write(&table));
    bytes shown = between(buf_view(&document), BYTES_LIT("<!-- exchange table -->\n"),
                          BYTES_LIT("<!-- end of exchange table -->"));
    if (!bytes_equal(shown, buf_view(&table)))
        (void)printf("ARCHITECTURE.md should have this table:\n%s", buf_str(&table));
    CHECK_BYTES(shown, buf_view(&table));
}

/* States that some event leads to, from the start. */
static void reach(enum exchange_state from, bool *seen)
{
    bool grew = true;
    seen[from] = true;
    while (grew) {
        grew = false;
        for (size_t s = 0; s < EXCHANGE_STATE_COUNT; s++) {
            for (size_t e = 0; seen[s] && e < EXCHANGE_EVENT_COUNT; e++) {
                struct exchange_cell c =
                    exchange_cell((enum exchange_state)s, (enum exchange_event)e);
                if (c.action == DO_IMPOSSIBLE || seen[c.next])
                    continue;
                seen[c.next] = true;
                grew = true;
            }
        }
    }
}

static void reaches_every_state_and_from_each_the_end(void **state)
{
    (void)state;
    bool all[EXCHANGE_STATE_COUNT] = { false };
    reach(EXCHANGE_RECEIVING, all);
    for (size_t s = 0; s < EXCHANGE_STATE_COUNT; s++) {
        bool from_here[EXCHANGE_STATE_COUNT] = { false };
        CHECK(all[s]);
        reach((enum exchange_state)s, from_here);
        CHECK(from_here[EXCHANGE_SETTLED]);
    }
}

static void lets_a_client_leave_at_any_time(void **state)
{
    (void)state;
    for (size_t s = 0; s < EXCHANGE_STATE_COUNT; s++) {
        bool has_client = s != EXCHANGE_ORPHANED && s != EXCHANGE_SETTLED;
        struct exchange_cell c = exchange_cell((enum exchange_state)s, ON_GONE);
        CHECK((c.action != DO_IMPOSSIBLE) == has_client);
    }
}

static void says_nothing_after_the_end(void **state)
{
    (void)state;
    for (size_t e = 0; e < EXCHANGE_EVENT_COUNT; e++)
        CHECK(exchange_cell(EXCHANGE_SETTLED, (enum exchange_event)e).action == DO_IMPOSSIBLE);
}

/* Nothing but a proof releases the end of an answer, and only the answer's authentic end leads to
 * proving. */
static void releases_only_what_is_proved(void **state)
{
    (void)state;
    for (size_t s = 0; s < EXCHANGE_STATE_COUNT; s++) {
        for (size_t e = 0; e < EXCHANGE_EVENT_COUNT; e++) {
            struct exchange_cell c = exchange_cell((enum exchange_state)s, (enum exchange_event)e);
            CHECK(c.action != DO_RELEASE || (s == EXCHANGE_PROVING && e == ON_PROVED));
            CHECK(c.action != DO_PROVE || (s == EXCHANGE_ANSWERING && e == ON_COMPLETE));
            CHECK(c.action != DO_AGAIN || s == EXCHANGE_ASKED);
        }
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_the_table_in_the_document),
        cmocka_unit_test(reaches_every_state_and_from_each_the_end),
        cmocka_unit_test(lets_a_client_leave_at_any_time),
        cmocka_unit_test(says_nothing_after_the_end),
        cmocka_unit_test(releases_only_what_is_proved),
    };
    architecture = argc > 1 ? argv[1] : NULL;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
