#include "base/mem.h"
#include "tests/lib/bhttp_tape.h"
#include "tests/lib/law.h"
#include "wire/bhttp.h"
#include "wire/varint.h"

static const struct bhttp_field fields[] = {
    { BYTES_LIT("content-type"), BYTES_LIT("application/json") },
    { BYTES_LIT("x-empty"), BYTES_LIT("") },
    { BYTES_LIT("x-request-id"), BYTES_LIT("req 1") },
    { BYTES_LIT("x-request-id"), BYTES_LIT("req 2") },
};

static const struct bhttp_field trailers[] = {
    { BYTES_LIT("receipt"), BYTES_LIT(":aGVsbG8=:") },
};

static const struct bhttp_head request_head = {
    .method = BYTES_LIT("POST"),
    .scheme = BYTES_LIT("https"),
    .authority = BYTES_LIT("worker"),
    .path = BYTES_LIT("/v1/chat/completions"),
    .fields = fields,
    .fields_n = ARRAY_LEN(fields),
};

static const struct bhttp_head response_head = {
    .status = 200,
    .fields = fields,
    .fields_n = ARRAY_LEN(fields),
};

#define FIELD_LINES                                                                                \
    "content-type=application/json\nx-empty=\nx-request-id=req 1\nx-request-id=req 2\n"

/* One message of each kind, with two pieces of content, trailers and padding. */
static err write_message(struct buf *to, bool request, bool known)
{
    if (request)
        TRY(bhttp_write_request_head(to, &request_head, known));
    else
        TRY(bhttp_write_response_head(to, &response_head, known));
    if (known) {
        TRY(bhttp_write_content_len(to, 10));
        TRY(buf_add_str(to, "helloworld"));
    } else {
        TRY(bhttp_write_chunk(to, BYTES_LIT("hello")));
        TRY(bhttp_write_chunk(to, (bytes){ 0 }));
        TRY(bhttp_write_chunk_len(to, 5));
        TRY(buf_add_str(to, "world"));
        TRY(bhttp_write_content_end(to));
    }
    TRY(bhttp_write_trailers(to, trailers, 1, known));
    return buf_add_zeros(to, 7);
}

static void check_message(const struct bhttp_tape *t, bool request, bool known)
{
    const char *head = request ? "POST|https|worker|/v1/chat/completions|\n" : "200\n";
    BUF_AUTO want = BUF(4096);
    CHECK_OK(buf_addf(&want, "%s%s--\nreceipt=:aGVsbG8=:\n", head, FIELD_LINES));
    CHECK_BYTES(buf_view(&t->text), buf_view(&want));
    CHECK_BYTES(buf_view(&t->content), BYTES_LIT("helloworld"));
    CHECK(t->known == known);
    CHECK(t->content_len == (known ? 10U : 0U));
}

static void reads_what_it_writes_at_every_split(void **state)
{
    (void)state;
    for (int kind = 0; kind < 4; kind++) {
        bool request = kind & 1;
        bool known = kind & 2;
        BUF_AUTO b = BUF(4096);
        TAPE_AUTO t = { 0 };
        CHECK_OK(write_message(&b, request, known));
        for (size_t first = 1; first <= b.len; first++) {
            CHECK_OK(tape_read(&t, buf_view(&b), request, b.len, first));
            check_message(&t, request, known);
        }
        CHECK_OK(tape_read(&t, buf_view(&b), request, 1, 0));
        check_message(&t, request, known);
    }
}

/*
 * Only in front of trailers, of content and, with known length, of the header section may a message
 * end; then it reads as if the rest were empty. All other cuts before the padding are refused.
 */
static void refuses_every_cut_inside_a_message(void **state)
{
    (void)state;
    for (int kind = 0; kind < 4; kind++) {
        bool request = kind & 1;
        bool known = kind & 2;
        BUF_AUTO b = BUF(4096);
        TAPE_AUTO t = { 0 };
        CHECK_OK(write_message(&b, request, known));
        size_t accepted = 0;
        for (size_t len = 0; len < b.len - 7; len++) {
            err e = tape_read(&t, bytes_slice(buf_view(&b), 0, len), request, 5, 0);
            CHECK(e.code == ERR_OK || e.code == ERR_TRUNCATED);
            if (e.code != ERR_OK)
                continue;
            accepted++;
            CHECK(t.trailer_fields == 0 && t.trailers == 1);
            CHECK(t.content.len == 0 || accepted == (known ? 3 : 2));
        }
        CHECK(accepted == (known ? 3 : 2));
    }
}

static void check_read(const char *hex, bool request, const char *text, const char *content)
{
    BUF_AUTO b = BUF(4096);
    TAPE_AUTO t = { 0 };
    law_hex(&b, hex);
    CHECK_OK(tape_read(&t, buf_view(&b), request, 1, 0));
    CHECK_BYTES(buf_view(&t.text), bytes_str(text));
    CHECK_BYTES(buf_view(&t.content), bytes_str(content));
    CHECK(t.trailers == 1);
}

static void accepts_tails_that_are_left_out(void **state)
{
    (void)state;
    const char *get = "GET|https||/|\n--\n";
    check_read(
        "00034745540568747470730001"
        "2f",
        true, get, "");
    check_read("000347455405687474707300012f00", true, get, "");
    check_read("000347455405687474707300012f0000", true, get, "");
    check_read("000347455405687474707300012f000000", true, get, "");
    check_read("020347455405687474707300012f00", true, get, "");
    check_read("020347455405687474707300012f0000", true, get, "");
    check_read("020347455405687474707300012f000000", true, get, "");
    check_read("0140c8", false, "200\n--\n", "");
    check_read("0140c8000161", false, "200\n--\n", "a");
    check_read("0340c800016100", false, "200\n--\n", "a");
}

static void reports_each_informational_head(void **state)
{
    (void)state;
    check_read(
        "0140660401610162406700"
        "40c8000178",
        false, "102\na=b\n103\n200\n--\n", "x");
    check_read(
        "03406601610162004067"
        "0040c80001780000",
        false, "102\na=b\n103\n200\n--\n", "x");
}

static void takes_integers_of_any_form(void **state)
{
    (void)state;
    check_read("4001800000c84000c000000000000001614000", false, "200\n--\n", "a");
}

static void check_refused(const char *hex, bool request, const char *word)
{
    BUF_AUTO b = BUF(4096);
    TAPE_AUTO t = { 0 };
    law_hex(&b, hex);
    assert_string_equal(err_word(tape_read(&t, buf_view(&b), request, b.len, 0)), word);
    assert_string_equal(err_word(tape_read(&t, buf_view(&b), request, 1, 0)), word);
}

static void refuses_what_is_no_message(void **state)
{
    (void)state;
    const struct {
        const char *hex;
        bool request;
        const char *word;
    } cases[] = {
        { "04", true, "MALFORMED" },                      /* framing */
        { "ffffffffffffffff", true, "MALFORMED" },        /* framing */
        { "01", true, "MALFORMED" },                      /* a response */
        { "00", false, "MALFORMED" },                     /* a request */
        { "", true, "TRUNCATED" },                        /* nothing */
        { "40", true, "TRUNCATED" },                      /* half an integer */
        { "014063000000", false, "MALFORMED" },           /* 99 */
        { "014258000000", false, "MALFORMED" },           /* 600 */
        { "01406600", false, "TRUNCATED" },               /* informational only */
        { "014066", false, "TRUNCATED" },                 /* the same */
        { "0340c8", false, "TRUNCATED" },                 /* no terminator */
        { "0340c801610162", false, "TRUNCATED" },         /* no terminator */
        { "0340c8000161", false, "TRUNCATED" },           /* content not ended */
        { "0340c80001610001610162", false, "TRUNCATED" }, /* trailers not ended */
        { "0140c800056162", false, "TRUNCATED" },         /* content too short */
        { "0140c8020000", false, "MALFORMED" },           /* empty name */
        { "0140c80402612001630000", false, "MALFORMED" }, /* "a " */
        { "0140c80402410101630000", false, "MALFORMED" }, /* upper case */
        { "0140c804023a7001780000", false, "MALFORMED" }, /* :p */
        { "0140c80000"
          "04023a700178",
          false, "MALFORMED" },                             /* :p in trailers */
        { "0140c80401610220620000", false, "MALFORMED" },   /* past its section */
        { "0140c80501610220620000", false, "MALFORMED" },   /* " b" */
        { "0140c80501610262200000", false, "MALFORMED" },   /* "b " */
        { "0140c80501610209620000", false, "MALFORMED" },   /* TAB b */
        { "0140c80601610362006300", false, "MALFORMED" },   /* NUL */
        { "0140c806016103620d6300", false, "MALFORMED" },   /* CR */
        { "0140c806016103620a6300", false, "MALFORMED" },   /* LF */
        { "0140c80201610000", false, "MALFORMED" },         /* value past its section */
        { "0140c801016100", false, "MALFORMED" },           /* name past its section */
        { "0140c800000001", false, "MALFORMED" },           /* padding */
        { "0140c80000000000000000ff", false, "MALFORMED" }, /* padding */
        { "00000568747470730001"
          "2f000000",
          true, "MALFORMED" }, /* no method */
        { "00034720540568747470730001"
          "2f000000",
          true, "MALFORMED" },                             /* method with SP */
        { "00034745540000012f000000", true, "MALFORMED" }, /* no scheme */
        { "0003474554056874747073000320"
          "2f61000000",
          true, "MALFORMED" }, /* path with SP */
        { "00034745540568747470730161"
          "022f0a000000",
          true, "MALFORMED" }, /* path with LF */
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        check_refused(cases[i].hex, cases[i].request, cases[i].word);
}

/* A length is checked before anything is allocated for it. */
static void refuses_lengths_beyond_all_bounds_at_once(void **state)
{
    (void)state;
    check_refused("00ffffffffffffffff", true, "LIMIT");
    check_refused("000347455405687474707300ffffffffffffffff", true, "LIMIT");
    check_refused("0140c8ffffffffffffffff", false, "LIMIT");
    check_refused("0340c8ffffffffffffffff", false, "LIMIT");
    check_refused("0340c80161ffffffffffffffff", false, "LIMIT");
    check_refused("0140c800ffffffffffffffff616263", false, "TRUNCATED");
    check_refused("0340c800ffffffffffffffff616263", false, "TRUNCATED");
}

static void passes_content_on_without_copying_it(void **state)
{
    (void)state;
    BUF_AUTO b = BUF(4096);
    TAPE_AUTO t = { 0 };
    tape_clear(&t);
    struct bhttp_reader *r;
    CHECK_OK(bhttp_reader_new(&r, false, &tape_events, &t));
    law_hex(&b, "0340c80005");
    CHECK_OK(bhttp_reader_put(r, buf_view(&b)));
    unsigned long before = mem_requests();
    size_t had = t.content.cap;
    CHECK_OK(buf_add_zeros(&t.content, 1));
    buf_truncate(&t.content, 0);
    unsigned long own = mem_requests() - before;
    CHECK(had == 0 && own == 1);
    for (int i = 0; i < 5; i++)
        CHECK_OK(bhttp_reader_put(r, BYTES_LIT("x")));
    CHECK(mem_requests() - before == own);
    CHECK(t.pieces == 5);
    bhttp_reader_free(r);
}

/* n fields of an empty value. */
static err write_many(struct buf *b, size_t n, bool known)
{
    struct bhttp_field many[BHTTP_FIELDS_MAX + 1];
    for (size_t i = 0; i < n; i++)
        many[i] = (struct bhttp_field){ BYTES_LIT("a"), { 0 } };
    struct bhttp_head head = { .status = 200, .fields = many, .fields_n = n };
    TRY(bhttp_write_response_head(b, &head, known));
    TRY(known ? bhttp_write_content(b, (bytes){ 0 }) : bhttp_write_content_end(b));
    return bhttp_write_trailers(b, many, n, known);
}

static void takes_as_many_fields_as_allowed_and_no_more(void **state)
{
    (void)state;
    for (int known = 0; known < 2; known++) {
        BUF_AUTO b = BUF(4096);
        TAPE_AUTO t = { 0 };
        CHECK_OK(write_many(&b, BHTTP_FIELDS_MAX, known));
        CHECK_OK(tape_read(&t, buf_view(&b), false, b.len, 0));
        CHECK(t.trailer_fields == BHTTP_FIELDS_MAX);
        buf_truncate(&b, 0);
        CHECK_ERR(write_many(&b, BHTTP_FIELDS_MAX + 1, known), LIMIT);
        CHECK(b.len == 0);
    }
}

static void refuses_to_read_one_field_more(void **state)
{
    (void)state;
    BUF_AUTO b = BUF(4096);
    TAPE_AUTO t = { 0 };
    law_hex(&b, "0340c8");
    for (size_t i = 0; i < BHTTP_FIELDS_MAX; i++)
        CHECK_OK(buf_add(&b, BYTES_LIT("\x01"
                                       "a\x00")));
    CHECK_OK(buf_add(&b, BYTES_LIT("\x01")));
    CHECK_ERR(tape_read(&t, buf_view(&b), false, b.len, 0), LIMIT);

    law_hex(&b, "0140c84183"); /* 129 lines of three bytes */
    for (size_t i = 0; i < BHTTP_FIELDS_MAX + 1; i++)
        CHECK_OK(buf_add(&b, BYTES_LIT("\x01"
                                       "a\x00")));
    CHECK_ERR(tape_read(&t, buf_view(&b), false, b.len, 0), LIMIT);
}

/* A response head of exactly `size` wire bytes: one field whose value takes up the rest. */
static err write_sized(struct buf *b, size_t size, bool known)
{
    static uint8_t filler[BHTTP_HEAD_MAX + 1];
    memset(filler, 'v', sizeof filler);
    size_t around = 1 + 2 + (known ? 4 : 1) + 2 + 4;
    struct bhttp_field one = { BYTES_LIT("a"), bytes_of(filler, size - around) };
    struct bhttp_head head = { .status = 200, .fields = &one, .fields_n = 1 };
    return bhttp_write_response_head(b, &head, known);
}

static void writes_and_reads_a_head_of_the_limit_and_no_longer(void **state)
{
    (void)state;
    for (int known = 0; known < 2; known++) {
        BUF_AUTO b = BUF((size_t)2 * BHTTP_HEAD_MAX);
        TAPE_AUTO t = { 0 };
        CHECK_OK(write_sized(&b, BHTTP_HEAD_MAX, known));
        CHECK(b.len == BHTTP_HEAD_MAX);
        CHECK_OK(tape_read(&t, buf_view(&b), false, b.len, 0));
        buf_truncate(&b, 0);
        CHECK_ERR(write_sized(&b, BHTTP_HEAD_MAX + 1, known), LIMIT);
        CHECK(b.len == 0);
    }
}

static err add_line(struct buf *b, size_t value_len)
{
    TRY(buf_add(b, BYTES_LIT("\x01"
                             "a")));
    TRY(varint_write(b, value_len));
    for (size_t i = 0; i < value_len; i++)
        TRY(buf_add_u8(b, 'v'));
    return OK;
}

static void refuses_to_read_a_longer_head(void **state)
{
    (void)state;
    for (size_t over = 0; over < 2; over++) {
        enum err_code want = over ? ERR_LIMIT : ERR_OK;
        BUF_AUTO b = BUF((size_t)4 * BHTTP_HEAD_MAX);
        TAPE_AUTO t = { 0 };
        /* known: framing 1, status 2, length 4, line 2 + 4 + value */
        law_hex(&b, "0140c8");
        CHECK_OK(varint_write(&b, BHTTP_HEAD_MAX - 7 + over));
        CHECK_OK(add_line(&b, BHTTP_HEAD_MAX - 13 + over));
        err e = tape_read(&t, buf_view(&b), false, b.len, 0);
        assert_int_equal(e.code, want);
        /* trailers: length 4, line 2 + 4 + value */
        law_hex(&b, "0140c80000");
        CHECK_OK(varint_write(&b, BHTTP_HEAD_MAX - 4 + over));
        CHECK_OK(add_line(&b, BHTTP_HEAD_MAX - 10 + over));
        e = tape_read(&t, buf_view(&b), false, b.len, 0);
        assert_int_equal(e.code, want);
        /* indeterminate trailers: line, terminator 1 */
        law_hex(&b, "0340c80000");
        CHECK_OK(add_line(&b, BHTTP_HEAD_MAX - 7 + over));
        CHECK_OK(varint_write(&b, 0));
        e = tape_read(&t, buf_view(&b), false, b.len, 0);
        assert_int_equal(e.code, want);
    }
}

/* Informational heads count together, or their number would be without bound. */
static void bounds_all_informational_heads_together(void **state)
{
    (void)state;
    BUF_AUTO b = BUF((size_t)2 * BHTTP_HEAD_MAX);
    TAPE_AUTO t = { 0 };
    law_hex(&b, "01");
    for (size_t i = 0; i < BHTTP_HEAD_MAX / 3 + 1; i++)
        CHECK_OK(buf_add(&b, BYTES_LIT("\x40\x66\x00")));
    CHECK_ERR(tape_read(&t, buf_view(&b), false, b.len, 0), LIMIT);
}

static void writes_names_in_lower_case(void **state)
{
    (void)state;
    BUF_AUTO b = BUF(4096);
    TAPE_AUTO t = { 0 };
    const struct bhttp_field one = { BYTES_LIT("Content-TYPE"), BYTES_LIT("Text/Plain") };
    const struct bhttp_head head = { .status = 404, .fields = &one, .fields_n = 1 };
    CHECK_OK(bhttp_write_response_head(&b, &head, true));
    CHECK_OK(tape_read(&t, buf_view(&b), false, b.len, 0));
    CHECK_BYTES(buf_view(&t.text), BYTES_LIT("404\ncontent-type=Text/Plain\n--\n"));
}

static void refuses_to_write_what_no_reader_takes(void **state)
{
    (void)state;
    const struct bhttp_field bad[] = {
        { BYTES_LIT(""), BYTES_LIT("v") },      { BYTES_LIT("a b"), BYTES_LIT("v") },
        { BYTES_LIT(":path"), BYTES_LIT("v") }, { BYTES_LIT("a"), BYTES_LIT(" v") },
        { BYTES_LIT("a"), BYTES_LIT("v\t") },   { BYTES_LIT("a"), BYTES_LIT("v\r\nb: c") },
        { BYTES_LIT("a"), BYTES_LIT("v\0w") },
    };
    BUF_AUTO b = BUF(4096);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct bhttp_head head = { .status = 200, .fields = &bad[i], .fields_n = 1 };
        CHECK_ERR(bhttp_write_response_head(&b, &head, true), MALFORMED);
        CHECK_ERR(bhttp_write_trailers(&b, &bad[i], 1, false), MALFORMED);
    }
    const unsigned statuses[] = { 0, 199, 600 };
    for (size_t i = 0; i < ARRAY_LEN(statuses); i++)
        CHECK_ERR(
            bhttp_write_response_head(&b, &(struct bhttp_head){ .status = statuses[i] }, true),
            MALFORMED);
    struct bhttp_head spaced = request_head;
    spaced.path = BYTES_LIT("/a b");
    CHECK_ERR(bhttp_write_request_head(&b, &spaced, true), MALFORMED);
    CHECK(b.len == 0);
}

static err refuse_head(void *owner, const struct bhttp_head *head)
{
    (void)owner;
    (void)head;
    FAIL(DENIED);
}

static void passes_the_owners_errors_on_and_keeps_them(void **state)
{
    (void)state;
    const struct bhttp_events events = { refuse_head, tape_content, tape_trailers };
    BUF_AUTO b = BUF(64);
    struct bhttp_reader *r;
    CHECK_OK(bhttp_reader_new(&r, false, &events, NULL));
    law_hex(&b, "0140c80000");
    CHECK_ERR(bhttp_reader_put(r, buf_view(&b)), DENIED);
    CHECK_ERR(bhttp_reader_put(r, (bytes){ 0 }), DENIED);
    CHECK_ERR(bhttp_reader_end(r), DENIED);
    bhttp_reader_free(r);
    bhttp_reader_free(NULL);
}

static void finds_the_first_of_a_name(void **state)
{
    (void)state;
    const struct bhttp_field *f = bhttp_find(fields, ARRAY_LEN(fields), "x-request-id");
    CHECK(f == &fields[2]);
    CHECK(bhttp_find(fields, ARRAY_LEN(fields), "x-request") == NULL);
    CHECK(bhttp_find(NULL, 0, "a") == NULL);
}

static err write_and_read(void *arg)
{
    (void)arg;
    BUF_AUTO b = BUF(4096);
    TAPE_AUTO t = { 0 };
    TRY(write_message(&b, true, false));
    return tape_read(&t, buf_view(&b), true, 3, 0);
}

static void survives_every_failing_allocation(void **state)
{
    (void)state;
    law_every_allocation_fails_once(write_and_read, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_it_writes_at_every_split),
        cmocka_unit_test(refuses_every_cut_inside_a_message),
        cmocka_unit_test(accepts_tails_that_are_left_out),
        cmocka_unit_test(reports_each_informational_head),
        cmocka_unit_test(takes_integers_of_any_form),
        cmocka_unit_test(refuses_what_is_no_message),
        cmocka_unit_test(refuses_lengths_beyond_all_bounds_at_once),
        cmocka_unit_test(passes_content_on_without_copying_it),
        cmocka_unit_test(takes_as_many_fields_as_allowed_and_no_more),
        cmocka_unit_test(refuses_to_read_one_field_more),
        cmocka_unit_test(writes_and_reads_a_head_of_the_limit_and_no_longer),
        cmocka_unit_test(refuses_to_read_a_longer_head),
        cmocka_unit_test(bounds_all_informational_heads_together),
        cmocka_unit_test(writes_names_in_lower_case),
        cmocka_unit_test(refuses_to_write_what_no_reader_takes),
        cmocka_unit_test(passes_the_owners_errors_on_and_keeps_them),
        cmocka_unit_test(finds_the_first_of_a_name),
        cmocka_unit_test(survives_every_failing_allocation),
    };
    return cmocka_run_group_tests_name("wire/bhttp", tests, NULL, NULL);
}
