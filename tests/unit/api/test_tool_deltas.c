#include "api/tool_deltas.h"
#include "base/text.h"
#include "tests/lib/law.h"

/* A chunk with these tool calls in the delta of choice 0. */
#define CALLS_OF(choice, calls)                                                                    \
    "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":7,\"model\":\"m\","     \
    "\"choices\":[{\"index\":" choice ",\"delta\":{\"tool_calls\":[" calls                         \
    "]},\"finish_reason\":null}]}\n\n"
#define CALLS(calls) CALLS_OF("0", calls)
#define FINISH_OF(choice, reason)                                                                  \
    "data: {\"id\":\"c1\",\"choices\":[{\"index\":" choice                                         \
    ",\"delta\":{},\"finish_reason\":" reason "}]}\n\n"
#define FINISH(reason) FINISH_OF("0", reason)
#define TEXT                                                                                       \
    "data: {\"id\":\"c1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"tool_calls\"},"       \
    "\"finish_reason\":null}]}\n\n"
#define DONE "data: [DONE]\n\n"
/* What is put in where none came. */
#define PUT_IN(choice)                                                                             \
    "data: {\"id\":\"c1\",\"created\":7,\"model\":\"m\",\"object\":\"chat.completion.chunk\","     \
    "\"choices\":[{\"index\":" choice ",\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\n"

#define FIRST(index, id, name, arguments)                                                          \
    "{\"index\":" index ",\"id\":\"" id "\",\"type\":\"function\",\"function\":{\"name\":\"" name  \
    "\",\"arguments\":\"" arguments "\"}}"
#define NEXT(index, arguments)                                                                     \
    "{\"index\":" index ",\"function\":{\"arguments\":\"" arguments "\"}}"

#define SEED "s-1"
#define ID(n) "call_" SEED n

struct run {
    struct tool_deltas deltas;
    struct buf out;
};

static err on_event(void *owner, const struct sse_event *event)
{
    struct run *r = owner;
    bytes wire;
    TRY(tool_deltas_put(&r->deltas, event, &wire));
    return buf_add(&r->out, wire);
}

static err run(struct run *r, bytes in, size_t cut)
{
    struct sse events;
    *r = (struct run){ .out = BUF(1 << 22) };
    tool_deltas_init(&r->deltas, BYTES_LIT(SEED));
    sse_init(&events, false, on_event, r);
    err e = sse_put(&events, bytes_slice(in, 0, cut));
    if (e.code == ERR_OK)
        e = sse_put(&events, bytes_slice(in, cut, in.len));
    if (e.code == ERR_OK)
        e = sse_end(&events);
    sse_clear(&events);
    return e;
}

static void run_clear(struct run *r)
{
    tool_deltas_clear(&r->deltas);
    buf_clear(&r->out);
}

/* Also: what was mended once needs nothing more. */
static void check_cut(bytes in, size_t cut, bytes want)
{
    struct run r;
    CHECK_OK(run(&r, in, cut));
    CHECK_BYTES(buf_view(&r.out), want);
    run_clear(&r);
}

static void check(const char *in, const char *want)
{
    check_cut(bytes_str(in), 0, bytes_str(want));
    check_cut(bytes_str(want), 0, bytes_str(want));
}

static void passes_what_is_right_byte_for_byte(void **state)
{
    (void)state;
    static const char *const right[] = {
        TEXT FINISH("\"stop\"") DONE,
        CALLS(FIRST("0", "a", "f", "")) CALLS(NEXT("0", "{\\\"x\\\"")) CALLS(NEXT("0", ":1}"))
            CALLS(FIRST("1", "b", "f", "")) CALLS(NEXT("1", "{}")) FINISH("\"tool_calls\"") DONE,
        /* in parallel, of several choices, mixed; with spaces and other members */
        CALLS(FIRST("0", "a", "f", "") "," FIRST("1", "b", "f", ""))
            CALLS_OF("3", FIRST("0", "c", "g", "{")) CALLS(NEXT("1", "{") " , " NEXT("0", "{"))
                CALLS("{ \"extra\" : [1.50e1] , \"index\" : 1 }") CALLS_OF("3", NEXT("0", "}"))
                    FINISH("\"tool_calls\"") FINISH_OF("3", "\"length\"") DONE,
        /* members that say nothing */
        CALLS(FIRST("0", "a", "f", ""))
            CALLS("{\"index\":0,\"id\":null,\"type\":\"function\",\"function\":{\"name\":null,"
                  "\"arguments\":\"{}\"}}") FINISH("\"tool_calls\"") DONE,
        /* a name in pieces */
        CALLS(FIRST("0", "a", "get_", "")) CALLS("{\"index\":0,\"function\":{\"name\":\"it\"}}")
            CALLS(NEXT("0", "{}")) FINISH("\"tool_calls\"") DONE,
        FINISH("\"\"") CALLS(FIRST("0", "a", "f", "{}")) FINISH("\"\"") FINISH("\"tool_calls\"")
            DONE,
        "data: {\"error\":{\"message\":\"tool_calls\"}}\n\n",
        ("data: {\"choices\":[],\"usage\":{\"completion_tokens\":1}}\n\n" DONE),
    };
    for (size_t i = 0; i < ARRAY_LEN(right); i++) {
        for (size_t cut = 0; cut <= strlen(right[i]); cut++)
            check_cut(bytes_str(right[i]), cut, bytes_str(right[i]));
    }
}

static void numbers_calls_that_have_no_number(void **state)
{
    (void)state;
    check(CALLS("{\"id\":\"a\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":"
                "\"\"}}") CALLS("{\"function\":{\"arguments\":\"{\\\"x\\\":\"}}")
              CALLS("{\"index\":null,\"function\":{\"arguments\":\"1}\"}}")
                  CALLS("{\"index\":\"1\",\"id\":\"b\",\"type\":\"function\",\"function\":{"
                        "\"name\":\"f\"}}") CALLS("{}") FINISH("\"tool_calls\"") DONE,
          CALLS("{\"index\":0,\"id\":\"a\",\"type\":\"function\",\"function\":{\"name\":\"f\","
                "\"arguments\":\"\"}}") CALLS(NEXT("0", "{\\\"x\\\":")) CALLS(NEXT("0", "1}"))
              CALLS("{\"index\":1,\"id\":\"b\",\"type\":\"function\",\"function\":{\"name\":"
                    "\"f\"}}") CALLS("{\"index\":1}") FINISH("\"tool_calls\"") DONE);
    /* A number that comes late, and is all that does. */
    check(CALLS("{\"id\":\"a\",\"type\":\"function\",\"function\":{\"name\":\"f\"}}")
              CALLS(NEXT("4", "{")) CALLS(NEXT("4", "}")) FINISH("\"tool_calls\"") DONE,
          CALLS("{\"index\":0,\"id\":\"a\",\"type\":\"function\",\"function\":{\"name\":\"f\"}}")
              CALLS(NEXT("0", "{")) CALLS(NEXT("0", "}")) FINISH("\"tool_calls\"") DONE);
}

static void numbers_calls_anew_that_begin_at_one_or_are_all_zero(void **state)
{
    (void)state;
    check(CALLS(FIRST("1", "a", "f", "")) CALLS(NEXT("1", "{}")) CALLS(FIRST("2", "b", "g", ""))
              CALLS(NEXT("2", "{}")) FINISH("\"tool_calls\"") DONE,
          CALLS(FIRST("0", "a", "f", "")) CALLS(NEXT("0", "{}")) CALLS(FIRST("1", "b", "g", ""))
              CALLS(NEXT("1", "{}")) FINISH("\"tool_calls\"") DONE);
    check(CALLS(FIRST("0", "a", "f", "{}")) CALLS(FIRST("0", "b", "f", "{") "," NEXT("0", "}"))
              CALLS(FIRST("0", "c", "f", "{}") "," FIRST("0", "d", "f", "{}"))
                  FINISH("\"tool_calls\"") DONE,
          CALLS(FIRST("0", "a", "f", "{}")) CALLS(FIRST("1", "b", "f", "{") "," NEXT("1", "}"))
              CALLS(FIRST("2", "c", "f", "{}") "," FIRST("3", "d", "f", "{}"))
                  FINISH("\"tool_calls\"") DONE);
    /* Each choice has its own. */
    check(CALLS(FIRST("1", "a", "f", "{}")) CALLS_OF("2", FIRST("1", "a", "f", "{}"))
              FINISH("\"tool_calls\"") FINISH_OF("2", "\"tool_calls\"") DONE,
          CALLS(FIRST("0", "a", "f", "{}")) CALLS_OF("2", FIRST("0", "a", "f", "{}"))
              FINISH("\"tool_calls\"") FINISH_OF("2", "\"tool_calls\"") DONE);
}

/* Without an id: by the name, once the arguments are complete. */
static void tells_calls_apart_that_have_neither_number_nor_id(void **state)
{
    (void)state;
#define BARE(name, arguments)                                                                      \
    "{\"function\":{\"name\":\"" name "\",\"arguments\":\"" arguments "\"}}"
#define GIVEN(index, id, name, arguments)                                                          \
    "{\"index\":" index                                                                            \
    ",\"id\":\"" ID(id) "\",\"type\":\"function\",\"function\":{\"name\":\"" name                  \
                        "\",\"arguments\":\"" arguments "\"}}"
    /* The third goes on: the brackets of the second are in a text, or behind a backslash. */
    check(CALLS(BARE("f", "{}")) CALLS(BARE("f", "{\\\"a\\\":\\\"}\\\\\\\"}\\u0022"))
              CALLS(BARE("f", "}")) CALLS(BARE("f", "[]")) CALLS(BARE("g", "[]"))
                  CALLS(BARE("h", "") "," BARE("h", "")) FINISH("\"tool_calls\"") DONE,
          CALLS(GIVEN("0", "00", "f", "{}"))
              CALLS(GIVEN("1", "01", "f", "{\\\"a\\\":\\\"}\\\\\\\"}\\u0022")) CALLS(NEXT("1", "}"))
                  CALLS(GIVEN("2", "02", "f", "[]")) CALLS(GIVEN("3", "03", "g", "[]"))
                      CALLS(GIVEN("4", "04", "h", "") "," GIVEN("5", "05", "h", ""))
                          FINISH("\"tool_calls\"") DONE);
}

static void says_id_and_name_once(void **state)
{
    (void)state;
    check(CALLS(FIRST("0", "a", "f", "")) CALLS(FIRST("0", "a", "f", "{"))
              CALLS("{\"id\":\"a\",\"index\":0,\"function\":{\"arguments\":\"}\",\"name\":\"f\"}}")
                  CALLS("{\"index\":0, \"id\" : \"\" ,\"function\":{ \"name\":\"\" }}")
                      FINISH("\"tool_calls\"") DONE,
          CALLS(FIRST("0", "a", "f", ""))
              CALLS("{\"index\":0,\"type\":\"function\",\"function\":{\"arguments\":\"{\"}}")
                  CALLS("{\"index\":0,\"function\":{\"arguments\":\"}\"}}")
                      CALLS("{\"index\":0, \"function\":{}}") FINISH("\"tool_calls\"") DONE);
    /* An id that changes with each delta is not one of a new call, where no name comes with it. */
    check(CALLS(FIRST("0", "a", "f", "")) CALLS("{\"index\":0,\"id\":\"b\"}")
              FINISH("\"tool_calls\"") DONE,
          CALLS(FIRST("0", "a", "f", "")) CALLS("{\"index\":0}") FINISH("\"tool_calls\"") DONE);
    /* Nothing but what goes away. */
    check(CALLS(FIRST("0", "a", "f", "")) CALLS("{ \"id\" : \"a\" }") FINISH("\"tool_calls\"") DONE,
          CALLS(FIRST("0", "a", "f", "")) CALLS("{\"index\":0}") FINISH("\"tool_calls\"") DONE);
}

static void gives_ids_and_types_where_there_are_none(void **state)
{
    (void)state;
    check(CALLS("{\"index\":0,\"id\":\"\",\"type\":\"\",\"function\":{\"name\":\"f\"}}")
              CALLS("{\"index\":1,\"id\":7,\"type\":null,\"function\":{\"name\":\"f\"}}")
                  CALLS("{\"index\":2,\"type\":\"custom\",\"function\":{\"name\":\"f\"}}")
                      CALLS("{\"index\":2,\"id\":\"late\"}") FINISH("\"tool_calls\"") DONE,
          CALLS("{\"index\":0,\"id\":\"" ID("00") "\",\"type\":\"function\",\"function\":{"
                                                  "\"name\":\"f\"}}")
              CALLS("{\"index\":1,\"id\":\"" ID("01") "\",\"type\":\"function\",\"function\":{"
                                                      "\"name\":\"f\"}}")
                  CALLS("{\"id\":\"" ID("02") "\",\"index\":2,\"type\":\"custom\",\"function\":{"
                                              "\"name\":\"f\"}}") CALLS("{\"index\":2}")
                      FINISH("\"tool_calls\"") DONE);
    /* Two calls with one id: the second gets another one. */
    check(CALLS(FIRST("0", "f", "f", "{}") "," FIRST("1", "f", "f", "{}")) FINISH("\"tool_calls\"")
              DONE,
          CALLS(FIRST("0", "f", "f", "{}") "," FIRST("1", ID("01"), "f", "{}"))
              FINISH("\"tool_calls\"") DONE);
}

static void writes_arguments_as_text(void **state)
{
    (void)state;
#define WITH(arguments)                                                                            \
    "{\"index\":0,\"id\":\"a\",\"type\":\"function\",\"function\":{\"name\":\"f\","                \
    "\"arguments\":" arguments "}}"
    check(CALLS(WITH("{ \"a\\n\" : [1.50, \"\xc3\xbc\"] }")) FINISH("\"tool_calls\"") DONE,
          CALLS(WITH("\"{ \\\"a\\\\n\\\" : [1.50, \\\"\xc3\xbc\\\"] }\"")) FINISH("\"tool_calls\"")
              DONE);
    check(CALLS(WITH("null")) CALLS("{\"index\":0,\"function\":{\"arguments\":null}}")
              FINISH("\"tool_calls\"") DONE,
          CALLS(WITH("\"\"")) CALLS(NEXT("0", "")) FINISH("\"tool_calls\"") DONE);
    check(CALLS(WITH("{}")) CALLS("{\"index\":0,\"function\":{\"name\":\"f\",\"arguments\":[]}}")
              FINISH("\"tool_calls\"") DONE,
          CALLS(WITH("\"{}\""))
              CALLS("{\"id\":\"" ID("01") "\",\"type\":\"function\",\"index\":1,\"function\":{"
                                          "\"name\":\"f\",\"arguments\":\"[]\"}}")
                  FINISH("\"tool_calls\"") DONE);
}

static void says_how_a_choice_with_calls_finished(void **state)
{
    (void)state;
    check(CALLS(FIRST("0", "a", "f", "{}")) FINISH("\"stop\"") DONE,
          CALLS(FIRST("0", "a", "f", "{}")) FINISH("\"tool_calls\"") DONE);
    /* All in one event, and the reason in front. */
    check("data: {\"id\":\"c1\",\"choices\":[{\"finish_reason\":\"stop\",\"delta\":{\"tool_calls\":["
          "{\"function\":{\"name\":\"f\",\"arguments\":{}}}]}}]}\n\n" DONE,
          "data: {\"id\":\"c1\",\"choices\":[{\"finish_reason\":\"tool_calls\",\"delta\":{"
          "\"tool_calls\":[{\"index\":0,\"id\":\"" ID("00") "\",\"type\":\"function\",\"function\":{"
          "\"name\":\"f\",\"arguments\":\"{}\"}}]}}]}\n\n" DONE);
    /* None at all: of each choice with calls, and only of those. */
    check(CALLS(FIRST("0", "a", "f", "{}")) TEXT CALLS_OF("2", FIRST("0", "b", "f", "{}"))
              CALLS_OF("5", FIRST("0", "c", "f", "{")) FINISH_OF("5", "\"length\"") DONE,
          CALLS(FIRST("0", "a", "f", "{}")) TEXT CALLS_OF("2", FIRST("0", "b", "f", "{}"))
              CALLS_OF("5", FIRST("0", "c", "f", "{")) FINISH_OF("5", "\"length\"") PUT_IN("0")
                  PUT_IN("2") DONE);
    /* A stream that breaks off has not finished. */
    check(CALLS(FIRST("0", "a", "f", "{}")), CALLS(FIRST("0", "a", "f", "{}")));
}

static void gives_the_same_for_every_cut_and_every_writing(void **state)
{
    (void)state;
    static const char in[] =
        CALLS("{\"function\":{\"name\":\"f\",\"arguments\":{\"\xc3\xbc\":1}}}") CALLS(
            "{\"id\":\"b\",\"index\":0,\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"\\\\\"}}")
            CALLS(
                "{\"id\":\"b\",\"index\":0,\"function\":{\"name\":\"f\",\"arguments\":\"\\\"\\u00fc"
                "\xf0\x9f\x99\x82\"}}") DONE;
    static const char want[] = CALLS("{\"index\":0,\"id\":\"" ID(
        "00") "\",\"type\":\"function\",\"function\":{\"name\":\"f\","
              "\"arguments\":\"{\\\"\xc3\xbc\\\":1}\"}}")
        CALLS(
            "{\"type\":\"function\",\"id\":\"b\",\"index\":1,\"function\":{\"name\":\"f\","
            "\"arguments\":\"{\\\"\\\\\"}}") CALLS(NEXT("1", "\\\"\\u00fc\xf0\x9f\x99\x82"))
            PUT_IN("0") DONE;
    for (unsigned writing = 0; writing < 4; writing++) {
        BUF_AUTO text = BUF(1 << 16);
        for (bytes left = bytes_str(in); left.len > 0;) {
            if ((writing & 2) && bytes_starts(left, BYTES_LIT("data: "))) {
                CHECK_OK(buf_add_str(&text, "data:"));
                left = bytes_slice(left, 6, left.len);
            }
            if ((writing & 1) && left.at[0] == '\n')
                CHECK_OK(buf_add_u8(&text, '\r'));
            CHECK_OK(buf_add_u8(&text, left.at[0]));
            left = bytes_slice(left, 1, left.len);
        }
        for (size_t cut = 0; cut <= text.len; cut++)
            check_cut(buf_view(&text), cut, bytes_str(want));
    }
    check_cut(bytes_str(want), 0, bytes_str(want));
}

static void leaves_what_it_cannot_read_as_it_is(void **state)
{
    (void)state;
    static const char *const odd[] = {
        CALLS("{\"index\":1,\"index\":2,\"id\":\"a\"}"),
        CALLS("{\"function\":{\"name\":\"f\",\"name\":\"g\"}}"),
        CALLS("7"),
        CALLS_OF("64", "{\"function\":{\"name\":\"f\"}}"),
        CALLS_OF("-1", "{\"function\":{\"name\":\"f\"}}"),
        "data: {\"choices\":[{\"delta\":{\"tool_calls\":{\"name\":\"f\"}}}]}\n\n",
        "data: {\"choices\":[{\"delta\":[\"tool_calls\"]}]}\n\n",
        "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{}]},\"delta\":{}}]}\n\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(odd); i++)
        check(odd[i], odd[i]);
}

static void add_calls(struct buf *to, size_t n)
{
    for (size_t i = 0; i < n; i++)
        CHECK_OK(buf_add_str(to, CALLS("{\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}")));
}

static size_t calls_with_an_index(bytes out)
{
    size_t n = 0;
    for (; out.len > 0; n++) {
        size_t at = text_find(out, BYTES_LIT("[{\"index\":"));
        at += text_find(bytes_slice(out, at, out.len), BYTES_LIT(",\"id\":\"call_"));
        if (at >= out.len)
            break;
        out = bytes_slice(out, at + 1, out.len);
    }
    return n;
}

static void passes_everything_from_one_call_too_many_on(void **state)
{
    (void)state;
    for (size_t more = 0; more < 2; more++) {
        struct run r;
        BUF_AUTO in = BUF(1 << 20);
        add_calls(&in, TOOL_DELTAS_CALLS_MAX + more);
        CHECK_OK(buf_add_str(&in, FINISH("\"stop\"") DONE));
        CHECK_OK(run(&r, buf_view(&in), 0));
        CHECK(calls_with_an_index(buf_view(&r.out)) == TOOL_DELTAS_CALLS_MAX);
        CHECK(bytes_ends(buf_view(&r.out), more ? BYTES_LIT(FINISH("\"stop\"") DONE)
                                                : BYTES_LIT(FINISH("\"tool_calls\"") DONE)));
        run_clear(&r);
    }
}

/* Each call of these needs one: its index. */
static void passes_everything_from_one_edit_too_many_on(void **state)
{
    (void)state;
    for (size_t more = 0; more < 2; more++) {
        struct run r;
        BUF_AUTO in = BUF(1 << 20);
        CHECK_OK(buf_add_str(&in, "data: {\"choices\":[{\"delta\":{\"tool_calls\":["));
        for (size_t i = 0; i < TOOL_DELTAS_EDITS_MAX + more; i++)
            CHECK_OK(buf_addf(
                &in, "%s{\"id\":\"%zu\",\"type\":\"function\",\"function\":{\"name\":\"f\"}}",
                i > 0 ? "," : "", i));
        CHECK_OK(buf_add_str(&in, "]}}]}\n\n" CALLS("{\"id\":\"x\",\"type\":\"function\"}")));
        CHECK_OK(run(&r, buf_view(&in), 0));
        CHECK(bytes_equal(buf_view(&r.out), buf_view(&in)) == (more == 1));
        run_clear(&r);
    }
}

static void ids_and_names_are_told_apart_by_their_first_bytes(void **state)
{
    (void)state;
    for (size_t more = 0; more < 2; more++) {
        struct run r;
        BUF_AUTO in = BUF(1 << 16);
        /* Two names, which differ in the last byte that counts, or behind it. */
        for (char last = 'a'; last < 'c'; last++) {
            CHECK_OK(buf_add_str(&in,
                                 "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"function\""
                                 ":{\"arguments\":\"{\",\"name\":\""));
            for (size_t i = 1; i < TOOL_DELTAS_TEXT_MAX + more; i++)
                CHECK_OK(buf_add_u8(&in, 'n'));
            CHECK_OK(buf_addf(&in, "%c\"}}]}}]}\n\n", last));
        }
        CHECK_OK(run(&r, buf_view(&in), 0));
        bool two = text_find(buf_view(&r.out), BYTES_LIT("\"index\":1")) < r.out.len;
        CHECK(two == (more == 0));
        run_clear(&r);
    }
}

static void a_seed_is_cut_and_a_head_that_is_too_long_left_out(void **state)
{
    (void)state;
    struct tool_deltas t;
    struct sse_event event = { 0 };
    struct peek_answer answer;
    bytes wire;
    BUF_AUTO in = BUF(1 << 16);
    tool_deltas_init(&t, BYTES_LIT("0123456789012345678901234567890123456789"));
    CHECK_OK(buf_add_str(&in, "{\"id\":\""));
    for (size_t i = 0; i < TOOL_DELTAS_HEAD_MAX; i++)
        CHECK_OK(buf_add_u8(&in, 'i'));
    CHECK_OK(buf_add_str(&in, "\",\"created\":5,\"choices\":[{\"delta\":{\"tool_calls\":[{}]}}]}"));
    peek_answer(buf_view(&in), &answer);
    event = (struct sse_event){ .wire = buf_view(&in), .data = buf_view(&in), .answer = &answer };
    CHECK_OK(tool_deltas_put(&t, &event, &wire));
    CHECK(text_find(wire, BYTES_LIT("\"call_0123456789012345678901234567890100\"")) < wire.len);
    event = (struct sse_event){ .wire = BYTES_LIT(DONE), .flags = SSE_DONE };
    CHECK_OK(tool_deltas_put(&t, &event, &wire));
    CHECK(bytes_starts(wire, BYTES_LIT("data: {\"created\":5,\"object\":")));
    tool_deltas_clear(&t);
}

static void without_a_seed_no_ids_are_made(void **state)
{
    (void)state;
    struct tool_deltas t;
    bytes wire;
    struct peek_answer answer;
    const bytes text = BYTES_LIT(CALLS("{\"function\":{\"name\":\"f\"}}"));
    const struct sse_event event = { .wire = text,
                                     .data = bytes_slice(text, 6, text.len - 8),
                                     .answer = &answer };
    peek_answer(event.data, &answer);
    tool_deltas_init(&t, (bytes){ 0 });
    CHECK_OK(tool_deltas_put(&t, &event, &wire));
    CHECK_BYTES(wire, BYTES_LIT(CALLS("{\"index\":0,\"type\":\"function\",\"function\":{"
                                      "\"name\":\"f\"}}")));
    tool_deltas_clear(&t);
}

static void zeroed_it_passes_everything(void **state)
{
    (void)state;
    struct tool_deltas t = { 0 };
    bytes wire;
    struct peek_answer answer;
    const bytes text = BYTES_LIT(CALLS("{\"function\":{\"name\":\"f\"}}"));
    const struct sse_event event = { .wire = text,
                                     .data = bytes_slice(text, 6, text.len - 8),
                                     .answer = &answer };
    peek_answer(event.data, &answer);
    CHECK(answer.whole && answer.choices == 1);
    CHECK_OK(tool_deltas_put(&t, &event, &wire));
    CHECK(wire.at == text.at && wire.len == text.len);
    tool_deltas_clear(&t);
}

static err mend_once(void *arg)
{
    (void)arg;
    struct run r;
    err e = run(&r,
                BYTES_LIT(CALLS("{\"function\":{\"name\":\"f\",\"arguments\":{}}}")
                              CALLS("{\"id\":\"b\",\"function\":{\"name\":\"f\"}}") DONE),
                0);
    run_clear(&r);
    return e;
}

static void survives_every_failing_allocation(void **state)
{
    (void)state;
    law_every_allocation_fails_once(mend_once, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passes_what_is_right_byte_for_byte),
        cmocka_unit_test(numbers_calls_that_have_no_number),
        cmocka_unit_test(numbers_calls_anew_that_begin_at_one_or_are_all_zero),
        cmocka_unit_test(tells_calls_apart_that_have_neither_number_nor_id),
        cmocka_unit_test(says_id_and_name_once),
        cmocka_unit_test(gives_ids_and_types_where_there_are_none),
        cmocka_unit_test(writes_arguments_as_text),
        cmocka_unit_test(says_how_a_choice_with_calls_finished),
        cmocka_unit_test(gives_the_same_for_every_cut_and_every_writing),
        cmocka_unit_test(leaves_what_it_cannot_read_as_it_is),
        cmocka_unit_test(passes_everything_from_one_call_too_many_on),
        cmocka_unit_test(passes_everything_from_one_edit_too_many_on),
        cmocka_unit_test(ids_and_names_are_told_apart_by_their_first_bytes),
        cmocka_unit_test(a_seed_is_cut_and_a_head_that_is_too_long_left_out),
        cmocka_unit_test(without_a_seed_no_ids_are_made),
        cmocka_unit_test(zeroed_it_passes_everything),
        cmocka_unit_test(survives_every_failing_allocation),
    };
    return cmocka_run_group_tests_name("api/tool_deltas", tests, NULL, NULL);
}
