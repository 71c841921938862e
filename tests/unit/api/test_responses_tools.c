#include "tests/unit/api/responses_case.h"

struct outcome {
    struct responses_tools tools;
    struct buf fault;
};

/* items: those of the conversation, or NULL. */
static void read_all(struct outcome *o, const char *tools, const char *items, const char *choice,
                     bool refuse)
{
    struct responses_fault fault = { 0 };
    struct json *t = parsed(tools);
    struct json *c = choice != NULL ? parsed(choice) : NULL;
    struct json *m = items != NULL ? parsed(items) : NULL;
    o->fault = BUF(512);
    responses_tools_init(&o->tools);
    err e = responses_tools_read(&o->tools, t, c, refuse, &fault);
    if (e.code == ERR_OK)
        e = responses_tools_add(&o->tools, m, "input", &fault);
    if (e.code == ERR_OK)
        e = responses_tools_end(&o->tools, c, &fault);
    if (e.code != ERR_OK)
        CHECK_OK(
            buf_addf(&o->fault, "%s %s %s", error_code(fault.cause), fault.param, fault.about));
    json_free(t);
    json_free(c);
    json_free(m);
}

static void read_tools(struct outcome *o, const char *tools, const char *choice, bool refuse)
{
    read_all(o, tools, NULL, choice, refuse);
}

static void forget(struct outcome *o)
{
    responses_tools_clear(&o->tools);
    buf_clear(&o->fault);
}

/* What the engine is told. */
static void check(const char *tools, const char *choice, const char *chat, const char *chosen)
{
    struct outcome o;
    read_tools(&o, tools, choice, false);
    assert_string_equal(shown(&o.fault), "");
    assert_string_equal(shown(&o.tools.chat), chat);
    assert_string_equal(shown(&o.tools.choice), chosen);
    forget(&o);
}

static void check_fault(const char *tools, const char *choice, const char *want)
{
    struct outcome o;
    read_tools(&o, tools, choice, true);
    assert_string_equal(shown(&o.fault), want);
    forget(&o);
}

#define FUNCTION(name) "{'type':'function','function':{'name':'" name "'}}"
#define F "{'type':'function','name':'f'}"
#define G "{'type':'function','name':'g'}"

static void nests_functions(void **state)
{
    (void)state;
    check(
        "[{'type':'function','name':'f','description':'d','parameters':{'type':'object'},"
        "'strict':false}]",
        NULL,
        "[{'type':'function','function':{'name':'f','description':'d','parameters':{'type':"
        "'object'},'strict':false}}]",
        "");
    check("[{'type':'function','name':'f','description':null,'parameters':null,'strict':null}]",
          NULL, "[" FUNCTION("f") "]", "");
}

static void makes_a_custom_tool_a_function_with_one_text(void **state)
{
    (void)state;
    struct outcome o;
    check(
        "[{'type':'custom','name':'p','description':'d','format':{'type':'grammar','syntax':"
        "'lark','definition':'start: x'}}]",
        "{'type':'custom','name':'p'}",
        "[{'type':'function','function':{'name':'p','description':'d\\n\\nThe input must follow "
        "this grammar (lark):\\nstart: x','parameters':{'type':'object','properties':{'input':"
        "{'type':'string'}},'required':['input'],'additionalProperties':false}}}]",
        "{'type':'function','function':{'name':'p'}}");
    read_tools(&o, "[{'type':'custom','name':'p'}]", NULL, false);
    const struct responses_tool *p = responses_tools_find(&o.tools, BYTES_LIT("p"));
    CHECK(p != NULL && p->custom);
    CHECK(responses_tools_find(&o.tools, BYTES_LIT("q")) == NULL);
    forget(&o);
}

static void names_the_tools_of_a_namespace_after_it(void **state)
{
    (void)state;
    struct outcome o;
    read_tools(&o, "[{'type':'namespace','name':'ns','description':'d','tools':[" F "]}]", NULL,
               false);
    assert_string_equal(shown(&o.tools.chat), "[" FUNCTION("ns__f") "]");
    const struct responses_tool *f = responses_tools_find(&o.tools, BYTES_LIT("ns__f"));
    CHECK(f != NULL && !f->custom);
    CHECK_BYTES(buf_view(&f->name), BYTES_LIT("f"));
    CHECK_BYTES(buf_view(&f->space), BYTES_LIT("ns"));
    forget(&o);
}

static void leaves_out_or_refuses_what_a_server_would_run(void **state)
{
    (void)state;
    struct outcome o;
    read_tools(&o, "[{'type':'web_search'}," F ",{'type':'local_shell'}]", NULL, false);
    assert_string_equal(shown(&o.tools.chat), "[" FUNCTION("f") "]");
    assert_string_equal(shown(&o.tools.left_out), "web_search, local_shell");
    assert_string_equal(shown(&o.tools.echo),
                        "[{'type':'function','name':'f','description':null,"
                        "'parameters':null,'strict':null}]");
    forget(&o);
    check_fault("[{'type':'web_search'}]", NULL, "unsupported_parameter tools[0].type web_search");
}

static void lets_nothing_into_a_header_that_does_not_belong_there(void **state)
{
    (void)state;
    struct outcome o;
    read_tools(&o, "[{'type':'a\\r\\nb: c'},{'type':'x'}]", NULL, false);
    assert_string_equal(shown(&o.tools.left_out), "x");
    forget(&o);
}

static void narrows_to_the_tools_that_are_allowed(void **state)
{
    (void)state;
    check("[" F "," G "]",
          "{'type':'allowed_tools','mode':'required','tools':[{'type':'function','name':'g'}]}",
          "[" FUNCTION("g") "]", "'required'");
    check("[" F "]", "{'type':'allowed_tools','mode':'auto','tools':[]}", "", "");
}

static void turns_the_choice(void **state)
{
    (void)state;
    check("[" F "]", "'none'", "[" FUNCTION("f") "]", "'none'");
    check("[" F "]", "{'type':'function','name':'f'}", "[" FUNCTION("f") "]",
          "{'type':'function','function':{'name':'f'}}");
    check_fault("[" F "]", "{'type':'function','name':'g'}", "invalid_value tool_choice.name g");
    check_fault("[]", "'required'", "invalid_value tool_choice ");
    check_fault("[" F "]", "'maybe'", "invalid_value tool_choice maybe");
    check_fault("[" F "]", "{'type':'web_search'}",
                "unsupported_parameter tool_choice.type web_search");
    check_fault("[" F "]", "7", "invalid_type tool_choice ");
    check_fault("[" F "]", "{'type':'allowed_tools','mode':'auto'}",
                "invalid_type tool_choice.tools ");
}

static void names_what_is_wrong_with_a_tool(void **state)
{
    (void)state;
    check_fault("[{'type':'function'}]", NULL, "missing_required_parameter tools[0].name ");
    check_fault("[" F ",{}]", NULL, "missing_required_parameter tools[1].type ");
    check_fault("[1]", NULL, "invalid_type tools[0] ");
    check_fault("[{'type':'function','name':'f','parameters':'x'}]", NULL,
                "invalid_type tools[0].parameters ");
    check_fault("[{'type':'namespace','name':'n','tools':[{'type':'function'}]}]", NULL,
                "missing_required_parameter tools[0].tools[0].name ");
}

#define ADDED(tools) "{'type':'additional_tools','role':'developer','tools':[" tools "]}"
#define SPACE "{'type':'namespace','name':'ns','tools':[" G "]}"

static void adds_what_the_conversation_brings_but_nothing_twice(void **state)
{
    (void)state;
    struct outcome o;
    read_all(&o, "[" F "]",
             "[" ADDED(SPACE "," F) ",{'role':'user','content':'x'}," ADDED(SPACE) "]",
             "{'type':'function','name':'g','namespace':'ns'}", true);
    assert_string_equal(shown(&o.fault), "");
    assert_string_equal(shown(&o.tools.chat), "[" FUNCTION("f") "," FUNCTION("ns__g") "]");
    assert_string_equal(shown(&o.tools.choice), "{'type':'function','function':{'name':'ns__g'}}");
    assert_string_equal(shown(&o.tools.echo),
                        "[{'type':'function','name':'f','description':null,"
                        "'parameters':null,'strict':null}]");
    forget(&o);
    read_all(&o, "[]", "[" ADDED(F "," G) "]",
             "{'type':'allowed_tools','mode':'required','tools':[{'name':'g'}]}", true);
    assert_string_equal(shown(&o.tools.chat), "[" FUNCTION("g") "]");
    forget(&o);
    read_all(&o, "[]", "'just a text'", NULL, true);
    assert_string_equal(shown(&o.tools.chat), "");
    forget(&o);
}

static void names_what_is_wrong_with_an_added_tool(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        { "[1," ADDED("{'type':'function'}") "]",
          "missing_required_parameter input[1].tools[0].name " },
        { "[" ADDED("{'type':'web_search'}") "]",
          "unsupported_parameter input[0].tools[0].type web_search" },
        { "[{'type':'additional_tools','tools':7}]", "invalid_type input[0].tools " },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct outcome o;
        read_all(&o, "[]", rows[i][0], NULL, true);
        assert_string_equal(shown(&o.fault), rows[i][1]);
        forget(&o);
    }
}

static void takes_as_many_tools_as_there_may_be(void **state)
{
    (void)state;
    for (size_t n = RESPONSES_TOOLS_MAX; n <= RESPONSES_TOOLS_MAX + 1; n++) {
        struct outcome o;
        BUF_AUTO tools = BUF(CASE_MAX);
        CHECK_OK(buf_add_u8(&tools, '['));
        for (size_t i = 0; i < n; i++)
            CHECK_OK(buf_addf(&tools, "%s{'type':'function','name':'f%zu'}", i > 0 ? "," : "", i));
        CHECK_OK(buf_add_u8(&tools, ']'));
        read_tools(&o, buf_str(&tools), NULL, false);
        assert_string_equal(shown(&o.fault),
                            n <= RESPONSES_TOOLS_MAX ? "" : "invalid_value tools ");
        forget(&o);
    }
}

static void takes_as_many_allowed_tools_as_tools(void **state)
{
    (void)state;
    for (size_t n = RESPONSES_TOOLS_MAX; n <= RESPONSES_TOOLS_MAX + 1; n++) {
        BUF_AUTO choice = BUF(CASE_MAX);
        CHECK_OK(buf_add_str(&choice, "{'type':'allowed_tools','mode':'auto','tools':["));
        for (size_t i = 0; i < n; i++)
            CHECK_OK(buf_add_str(&choice, i > 0 ? ",{'name':'f'}" : "{'name':'f'}"));
        CHECK_OK(buf_add_str(&choice, "]}"));
        check_fault("[" F "]", buf_str(&choice),
                    n <= RESPONSES_TOOLS_MAX ? "" : "invalid_value tool_choice.tools ");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_as_many_allowed_tools_as_tools),
        cmocka_unit_test(nests_functions),
        cmocka_unit_test(makes_a_custom_tool_a_function_with_one_text),
        cmocka_unit_test(names_the_tools_of_a_namespace_after_it),
        cmocka_unit_test(leaves_out_or_refuses_what_a_server_would_run),
        cmocka_unit_test(lets_nothing_into_a_header_that_does_not_belong_there),
        cmocka_unit_test(narrows_to_the_tools_that_are_allowed),
        cmocka_unit_test(turns_the_choice),
        cmocka_unit_test(names_what_is_wrong_with_a_tool),
        cmocka_unit_test(adds_what_the_conversation_brings_but_nothing_twice),
        cmocka_unit_test(names_what_is_wrong_with_an_added_tool),
        cmocka_unit_test(takes_as_many_tools_as_there_may_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
