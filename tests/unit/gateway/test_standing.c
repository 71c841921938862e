#include <unistd.h>

#include "base/log.h"
#include "base/text.h"
#include "gateway/standing.h"
#include "tests/lib/law.h"

enum { ROOM = 64 * 1024 };

struct stage {
    struct metrics *set;
    struct metrics_block *block;
    struct standing standing;
    struct log *log;
    int ends[2];
};

static void set_up(struct stage *s)
{
    memset(s, 0, sizeof *s);
    CHECK_OK(metrics_new(&s->set));
    CHECK_OK(standing_register(s->set, &s->standing));
    CHECK_OK(metrics_block(s->set, &s->block));
    CHECK(pipe(s->ends) == 0);
    CHECK_OK(log_open(&s->log, s->ends[1], LOG_LEVEL_INFO));
}

static void tell(struct stage *s, size_t place, enum balance_state from, enum balance_state to)
{
    const struct balance_change change = { place, from, to };
    standing_tell(&s->standing, &change, s->block, s->log);
}

static bool shows(const struct buf *text, const char *part)
{
    return text_find(buf_view(text), bytes_str(part)) < text->len;
}

static void read_metrics(struct stage *s, struct buf *out)
{
    buf_truncate(out, 0);
    CHECK_OK(metrics_render(s->set, out));
}

/* All lines there were; ends the stage. */
static void read_log(struct stage *s, struct buf *out)
{
    uint8_t *room;
    log_close(s->log);
    CHECK(close(s->ends[1]) == 0);
    CHECK_OK(buf_reserve(out, ROOM, &room));
    ssize_t n = read(s->ends[0], room, ROOM);
    CHECK(n >= 0);
    buf_commit(out, (size_t)n);
    CHECK(close(s->ends[0]) == 0);
    metrics_free(s->set);
}

static void a_connection_is_counted_where_it_stands(void **state)
{
    (void)state;
    struct stage s;
    BUF_AUTO text = BUF(METRICS_TEXT_MAX);
    BUF_AUTO log = BUF(ROOM);
    set_up(&s);
    tell(&s, 0, BALANCE_GONE, BALANCE_IN_USE);
    tell(&s, 1, BALANCE_GONE, BALANCE_IN_USE);
    tell(&s, 1, BALANCE_IN_USE, BALANCE_OPEN);
    read_metrics(&s, &text);
    CHECK(shows(&text, "sealgate_worker_connections{state=\"in_use\"} 1\n"));
    CHECK(shows(&text, "sealgate_worker_connections{state=\"open\"} 1\n"));
    tell(&s, 1, BALANCE_OPEN, BALANCE_GONE);
    tell(&s, 0, BALANCE_IN_USE, BALANCE_GONE);
    read_metrics(&s, &text);
    CHECK(shows(&text, "sealgate_worker_connections{state=\"in_use\"} 0\n"));
    CHECK(shows(&text, "sealgate_worker_connections{state=\"open\"} 0\n"));
    CHECK(!shows(&text, "sealgate_worker_connections{state=\"gone\"} -"));
    read_log(&s, &log);
}

static void who_is_taken_out_is_counted_and_said_with_the_reason(void **state)
{
    (void)state;
    struct stage s;
    BUF_AUTO text = BUF(METRICS_TEXT_MAX);
    BUF_AUTO log = BUF(ROOM);
    set_up(&s);
    tell(&s, 7, BALANCE_IN_USE, BALANCE_OPEN);
    tell(&s, 7, BALANCE_OPEN, BALANCE_HALF_OPEN);
    tell(&s, 7, BALANCE_HALF_OPEN, BALANCE_OPEN);
    tell(&s, 8, BALANCE_IN_USE, BALANCE_EJECTED);
    tell(&s, 9, BALANCE_HALF_OPEN, BALANCE_IN_USE);
    read_metrics(&s, &text);
    CHECK(shows(&text, "sealgate_worker_outs_total{state=\"open\"} 2\n"));
    CHECK(shows(&text, "sealgate_worker_outs_total{state=\"ejected\"} 1\n"));
    read_log(&s, &log);
    CHECK(shows(&log, "\"warn\",\"event\":\"worker taken out\",\"worker\":7,\"for\":\"failures\""));
    CHECK(shows(&log, "\"worker\":8,\"for\":\"worse than others\""));
    CHECK(shows(&log, "\"info\",\"event\":\"worker in use again\",\"worker\":9}"));
}

static void who_comes_back_as_bad_as_he_went_is_not_taken_out_again(void **state)
{
    (void)state;
    struct stage s;
    BUF_AUTO text = BUF(METRICS_TEXT_MAX);
    BUF_AUTO log = BUF(ROOM);
    set_up(&s);
    tell(&s, 1, BALANCE_GONE, BALANCE_OPEN);
    tell(&s, 2, BALANCE_GONE, BALANCE_SICK);
    read_metrics(&s, &text);
    CHECK(shows(&text, "sealgate_worker_connections{state=\"open\"} 1\n"));
    CHECK(!shows(&text, "sealgate_worker_outs_total{state=\"open\"} 1\n"));
    CHECK(!shows(&text, "sealgate_worker_outs_total{state=\"sick\"} 1\n"));
    read_log(&s, &log);
    CHECK(log.len == 0);
}

static void what_others_say_is_not_said_again(void **state)
{
    (void)state;
    struct stage s;
    BUF_AUTO text = BUF(METRICS_TEXT_MAX);
    BUF_AUTO log = BUF(ROOM);
    set_up(&s);
    tell(&s, 1, BALANCE_GONE, BALANCE_IN_USE);
    tell(&s, 1, BALANCE_IN_USE, BALANCE_SICK);
    tell(&s, 1, BALANCE_SICK, BALANCE_IN_USE);
    tell(&s, 1, BALANCE_IN_USE, BALANCE_GONE);
    read_metrics(&s, &text);
    CHECK(shows(&text, "sealgate_worker_outs_total{state=\"sick\"} 1\n"));
    read_log(&s, &log);
    CHECK(log.len == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connection_is_counted_where_it_stands),
        cmocka_unit_test(who_is_taken_out_is_counted_and_said_with_the_reason),
        cmocka_unit_test(who_comes_back_as_bad_as_he_went_is_not_taken_out_again),
        cmocka_unit_test(what_others_say_is_not_said_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
