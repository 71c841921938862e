#include "tests/lib/law.h"
#include "wire/padding.h"
#include "wire/varint.h"

static void fills_buckets_as_the_profile_says(void **state)
{
    (void)state;
    const size_t cases[][2] = {
        { 0, 1024 },      { 1, 1024 },      { 1024, 1024 },     { 1025, 2048 },
        { 2049, 4096 },   { 8193, 16384 },  { 16384, 16384 },   { 16385, 32768 },
        { 32768, 32768 }, { 32769, 49152 }, { 100000, 114688 },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(padding_bucket(cases[i][0]), cases[i][1]);
    CHECK(padding_bucket(SIZE_MAX) == SIZE_MAX);
}

static size_t total(size_t extra, size_t content)
{
    return extra + (content > 0 ? varint_size(content) + content : 0);
}

static void check_line(size_t extra, size_t content, size_t q)
{
    size_t len = padding_line_len(extra, content, q);
    CHECK(len == 0 || len >= PADDING_LINE_MIN);
    assert_int_equal(total(extra, content + len) % q, 0);
    /* no longer than needed: one multiple for a line that would be too short or has no length,
     * one for the length prefix */
    CHECK(len <= 2 * q + 8 + PADDING_LINE_MIN);
}

static void fills_every_chunk_to_a_multiple(void **state)
{
    (void)state;
    const size_t extras[] = { 0, 1, 63, 300, 511 };
    for (size_t e = 0; e < ARRAY_LEN(extras); e++)
        for (size_t content = 0; content < 2000; content++)
            check_line(extras[e], content, PADDING_Q_DEFAULT);
    for (size_t q = 1; q < 200; q++)
        for (size_t content = 0; content < 130; content++)
            check_line(0, content, q);
    for (size_t content = 16300; content < 16500; content++)
        check_line(0, content, PADDING_Q_MAX);
}

static void writes_no_line_where_none_is_needed(void **state)
{
    (void)state;
    BUF_AUTO b = BUF(64);
    CHECK(padding_line_len(0, 510, 512) == 0);
    CHECK(padding_line_len(512, 0, 512) == 0);
    CHECK(padding_line_len(0, 5, 0) == 0);
    CHECK_OK(padding_line_write(&b, 0));
    CHECK(b.len == 0);
    CHECK_ERR(padding_line_write(&b, 1), INTERNAL);
    CHECK_ERR(padding_line_write(&b, 2), INTERNAL);
}

static void writes_lines_of_the_length_asked_for(void **state)
{
    (void)state;
    BUF_AUTO b = BUF(64);
    CHECK_OK(padding_line_write(&b, 3));
    CHECK_BYTES(buf_view(&b), BYTES_LIT(":~\n"));
    buf_truncate(&b, 0);
    CHECK_OK(padding_line_write(&b, 6));
    CHECK_BYTES(buf_view(&b), BYTES_LIT(":~...\n"));
    CHECK_ERR(padding_line_write(&b, 59), LIMIT);
    CHECK(b.len == 6);
}

static void strip(struct buf *out, bytes in, size_t first, size_t step)
{
    struct padding_strip s = { 0 };
    buf_truncate(out, 0);
    size_t n = first;
    for (bytes piece; in.len > 0; n = step) {
        (void)bytes_take(&in, n < in.len ? n : in.len, &piece);
        CHECK_OK(padding_strip_put(&s, piece, out));
    }
    CHECK_OK(buf_add(out, padding_strip_end(&s)));
}

static void removes_exactly_its_lines_at_every_split(void **state)
{
    (void)state;
    const struct {
        bytes in;
        bytes out;
    } cases[] = {
        { BYTES_LIT(""), BYTES_LIT("") },
        { BYTES_LIT("data: 1\n\n"), BYTES_LIT("data: 1\n\n") },
        { BYTES_LIT(":~...\ndata: 1\n\n"), BYTES_LIT("data: 1\n\n") },
        { BYTES_LIT("data: 1\n\n:~...\n:~\n:~..\ndata: 2\n\n"),
          BYTES_LIT("data: 1\n\ndata: 2\n\n") },
        { BYTES_LIT("data: :~ no\n:~ yes\n"), BYTES_LIT("data: :~ no\n") },
        { BYTES_LIT(": keep\n:\n:~\n::~\n"), BYTES_LIT(": keep\n:\n::~\n") },
        { BYTES_LIT("a\r:~ keeps after a lone CR\n"), BYTES_LIT("a\r:~ keeps after a lone CR\n") },
        { BYTES_LIT("a\r\n:~ gone with its CR\r\nb"), BYTES_LIT("a\r\nb") },
        { BYTES_LIT("a\n:~ never ended"), BYTES_LIT("a\n") },
        { BYTES_LIT("a\n:"), BYTES_LIT("a\n:") },
        { BYTES_LIT(":"), BYTES_LIT(":") },
        { BYTES_LIT("\n:~\n\n"), BYTES_LIT("\n\n") },
    };
    BUF_AUTO out = BUF(256);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        for (size_t first = 1; first <= cases[i].in.len + 1; first++) {
            strip(&out, cases[i].in, first, 256);
            CHECK_BYTES(buf_view(&out), cases[i].out);
        }
        strip(&out, cases[i].in, 1, 1);
        CHECK_BYTES(buf_view(&out), cases[i].out);
    }
}

static void removes_what_it_writes(void **state)
{
    (void)state;
    BUF_AUTO padded = BUF(1 << 20);
    BUF_AUTO bare = BUF(1 << 20);
    BUF_AUTO out = BUF(1 << 20);
    for (size_t len = 0; len < 60; len++) {
        if (len != 1 && len != 2)
            CHECK_OK(padding_line_write(&padded, len));
        CHECK_OK(buf_addf(&padded, "data: %zu\n\n", len));
        CHECK_OK(buf_addf(&bare, "data: %zu\n\n", len));
    }
    strip(&out, buf_view(&padded), 7, 7);
    CHECK_BYTES(buf_view(&out), buf_view(&bare));
}

static void cuts_text_without_padding_in_one_piece(void **state)
{
    (void)state;
    struct padding_strip s = { 0 };
    bytes in = BYTES_LIT("event: a\ndata: 1\n\n");
    bytes whole = in;
    bytes piece;
    CHECK(padding_strip_next(&s, &in, &piece));
    CHECK(piece.at == whole.at && piece.len == whole.len);
    CHECK(!padding_strip_next(&s, &in, &piece));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fills_buckets_as_the_profile_says),
        cmocka_unit_test(fills_every_chunk_to_a_multiple),
        cmocka_unit_test(writes_no_line_where_none_is_needed),
        cmocka_unit_test(writes_lines_of_the_length_asked_for),
        cmocka_unit_test(removes_exactly_its_lines_at_every_split),
        cmocka_unit_test(removes_what_it_writes),
        cmocka_unit_test(cuts_text_without_padding_in_one_piece),
    };
    return cmocka_run_group_tests_name("wire/padding", tests, NULL, NULL);
}
