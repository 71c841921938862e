#include "tests/lib/law.h"
#include "wire/pool_frame.h"

static const struct pool_welcome WELCOME = { .key_life_s = 3600,
                                             .key_grace_s = 120,
                                             .date_window_s = 121,
                                             .now = 1767225600,
                                             .epoch = 490896,
                                             .first_id = 7,
                                             .link = { 1, 2, 3 } };
static const struct pool_ask ASK = {
    .number = 0x0102030405060708, .date = 1767225601, .tag = { 4, 5 }, .digest = { 6, 7, 8 }
};
static const struct pool_answer ANSWER = { .number = 9, .verdict = POOL_SEEN };

/* What was read, written again. */
struct heard {
    struct buf text;
    bool refuses;
};

static err hear(struct heard *h, err e)
{
    CHECK_OK(e);
    ENSURE(!h->refuses, DENIED);
    return OK;
}

static err on_welcome(void *owner, const struct pool_welcome *w)
{
    struct heard *h = owner;
    return hear(h, pool_welcome_write(&h->text, w));
}

static err on_ask(void *owner, const struct pool_ask *a)
{
    struct heard *h = owner;
    return hear(h, pool_ask_write(&h->text, a));
}

static err on_answer(void *owner, const struct pool_answer *a)
{
    struct heard *h = owner;
    return hear(h, pool_answer_write(&h->text, a));
}

static const struct pool_frame_events ALL = { on_welcome, on_ask, on_answer };

static void write_all(struct buf *out)
{
    CHECK_OK(pool_welcome_write(out, &WELCOME));
    CHECK_OK(pool_ask_write(out, &ASK));
    CHECK_OK(pool_answer_write(out, &ANSWER));
    CHECK_OK(pool_ask_write(out, &ASK));
    CHECK(out->len ==
          POOL_FRAME_WELCOME_LEN + 2 * (size_t)POOL_FRAME_ASK_LEN + POOL_FRAME_ANSWER_LEN);
}

static void every_split_reads_the_same(void **state)
{
    (void)state;
    static const uint8_t nothing[POOL_FRAME_LEN_MAX];
    BUF_AUTO all = BUF(4096);
    write_all(&all);
    for (size_t first = 0; first <= all.len; first++) {
        for (size_t step = 1; step < 90; step += 11) {
            struct pool_frame_reader r = { 0 };
            struct heard h = { .text = BUF(4096) };
            CHECK_OK(pool_frame_put(&r, bytes_slice(buf_view(&all), 0, first), &ALL, &h));
            for (size_t at = first; at < all.len; at += step)
                CHECK_OK(pool_frame_put(&r, bytes_slice(buf_view(&all), at, step), &ALL, &h));
            CHECK_BYTES(buf_view(&h.text), buf_view(&all));
            CHECK(r.held_n == 0);
            CHECK_BYTES(BYTES_ARRAY(r.held), BYTES_ARRAY(nothing));
            buf_clear(&h.text);
        }
    }
}

static err read_one(bytes in, const struct pool_frame_events *events)
{
    struct pool_frame_reader r = { 0 };
    struct heard h = { .text = BUF(4096) };
    err e = pool_frame_put(&r, in, events, &h);
    if (e.code != ERR_OK)
        CHECK(h.text.len == 0);
    buf_clear(&h.text);
    return e;
}

static void what_is_no_frame_is_refused(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < 256; kind++) {
        const uint8_t byte = (uint8_t)kind;
        err e = read_one(bytes_of(&byte, 1), &ALL);
        if (kind >= 1 && kind <= 3)
            CHECK_OK(e);
        else
            CHECK_ERR(e, MALFORMED);
    }
}

static void only_known_verdicts_are_read(void **state)
{
    (void)state;
    uint8_t frame[POOL_FRAME_ANSWER_LEN] = { 3 };
    for (unsigned v = 0; v < 256; v++) {
        frame[POOL_FRAME_ANSWER_LEN - 1] = (uint8_t)v;
        err e = read_one(BYTES_ARRAY(frame), &ALL);
        if (v > POOL_NOTHING && v < POOL_VERDICTS)
            CHECK_OK(e);
        else
            CHECK_ERR(e, MALFORMED);
    }
}

static void times_beyond_the_year_9999_are_refused(void **state)
{
    (void)state;
    struct pool_ask ask = ASK;
    BUF_AUTO out = BUF(4096);
    ask.date = 253402300799;
    CHECK_OK(pool_ask_write(&out, &ask));
    CHECK_OK(read_one(buf_view(&out), &ALL));
    ask.date++;
    CHECK_ERR(pool_ask_write(&out, &ask), MALFORMED);
    ask.date = -1;
    CHECK_ERR(pool_ask_write(&out, &ask), MALFORMED);
    /* 9 bytes in front of the date; one more than the most */
    buf_truncate(&out, POOL_FRAME_ASK_LEN);
    out.at[9 + 7]++;
    CHECK_ERR(read_one(buf_view(&out), &ALL), MALFORMED);
}

static void each_side_reads_only_what_is_meant_for_it(void **state)
{
    (void)state;
    static const struct pool_frame_events keeper = { .ask = on_ask };
    static const struct pool_frame_events worker = { on_welcome, NULL, on_answer };
    BUF_AUTO welcome = BUF(256);
    BUF_AUTO ask = BUF(256);
    BUF_AUTO answer = BUF(256);
    CHECK_OK(pool_welcome_write(&welcome, &WELCOME));
    CHECK_OK(pool_ask_write(&ask, &ASK));
    CHECK_OK(pool_answer_write(&answer, &ANSWER));
    CHECK_OK(read_one(buf_view(&ask), &keeper));
    CHECK_ERR(read_one(buf_view(&welcome), &keeper), MALFORMED);
    CHECK_ERR(read_one(buf_view(&answer), &keeper), MALFORMED);
    CHECK_OK(read_one(buf_view(&welcome), &worker));
    CHECK_OK(read_one(buf_view(&answer), &worker));
    CHECK_ERR(read_one(buf_view(&ask), &worker), MALFORMED);
}

static void an_error_is_final(void **state)
{
    (void)state;
    struct pool_frame_reader r = { 0 };
    struct heard h = { .text = BUF(4096), .refuses = true };
    BUF_AUTO all = BUF(4096);
    write_all(&all);
    CHECK_ERR(pool_frame_put(&r, buf_view(&all), &ALL, &h), DENIED);
    CHECK(h.text.len == POOL_FRAME_WELCOME_LEN);
    h.refuses = false;
    CHECK_ERR(pool_frame_put(&r, buf_view(&all), &ALL, &h), DENIED);
    CHECK(h.text.len == POOL_FRAME_WELCOME_LEN);
    pool_frame_clear(&r);
    CHECK_OK(pool_frame_put(&r, buf_view(&all), &ALL, &h));
    buf_clear(&h.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_split_reads_the_same),
        cmocka_unit_test(what_is_no_frame_is_refused),
        cmocka_unit_test(only_known_verdicts_are_read),
        cmocka_unit_test(times_beyond_the_year_9999_are_refused),
        cmocka_unit_test(each_side_reads_only_what_is_meant_for_it),
        cmocka_unit_test(an_error_is_final),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
