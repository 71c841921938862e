#include "api/responses_input.h"
#include "tests/unit/api/responses_case.h"

/* The messages for `items`, or the fault. */
static void check(const char *items, const char *want)
{
    struct responses_input in;
    struct responses_fault fault = { 0 };
    struct json *root = parsed(items);
    BUF_AUTO out = BUF(CASE_MAX);
    responses_input_init(&in);
    err e = responses_input_add(&in, root, "input", &fault);
    if (e.code == ERR_OK)
        e = responses_input_write(&in, &out);
    if (e.code != ERR_OK)
        CHECK_OK(buf_addf(&out, "%s %s %s", error_code(fault.cause), fault.param, fault.about));
    assert_string_equal(shown(&out), want);
    responses_input_clear(&in);
    json_free(root);
}

static void knows_messages_without_a_type(void **state)
{
    (void)state;
    check("[{'role':'user','content':'a'},{'type':'message','role':'assistant','content':'b'}]",
          "[{'role':'user','content':'a'},{'role':'assistant','content':'b'}]");
}

static void puts_all_that_the_system_says_at_the_head(void **state)
{
    (void)state;
    check(
        "[{'role':'developer','content':'one'},{'role':'user','content':'a'},"
        "{'role':'system','content':[{'type':'input_text','text':'two'},"
        "{'type':'input_text','text':'three'}]}]",
        "[{'role':'system','content':'one\\n\\ntwo\\n\\nthree'},"
        "{'role':'user','content':'a'}]");
}

static void writes_one_text_as_text_and_more_as_parts(void **state)
{
    (void)state;
    check("[{'role':'user','content':[{'type':'input_text','text':'a'}]}]",
          "[{'role':'user','content':'a'}]");
    check(
        "[{'role':'user','content':[{'type':'input_text','text':'a'},"
        "{'type':'input_text','text':'b'}]}]",
        "[{'role':'user','content':[{'type':'text','text':'a'},{'type':'text','text':'b'}]}]");
    check("[{'role':'user','content':[]}]", "[{'role':'user','content':''}]");
}

static void never_drops_an_image_or_a_file(void **state)
{
    (void)state;
    check(
        "[{'role':'user','content':[{'type':'input_image','image_url':'data:image/png;base64,AA'"
        ",'detail':'low'},{'type':'input_file','filename':'f.pdf','file_data':'data:x'},"
        "{'type':'input_file','file_id':'file_1'},"
        "{'type':'input_audio','input_audio':{'data':'AA','format':'wav'}}]}]",
        "[{'role':'user','content':[{'type':'image_url','image_url':{'url':"
        "'data:image/png;base64,AA','detail':'low'}},{'type':'file','file':{'file_data':"
        "'data:x','filename':'f.pdf'}},{'type':'file','file':{'file_id':'file_1'}},"
        "{'type':'input_audio','input_audio':{'data':'AA','format':'wav'}}]}]");
    check("[{'role':'user','content':[{'type':'input_image','file_id':'file_1'}]}]",
          "unsupported_parameter input[0].content[0].file_id ");
    check("[{'role':'user','content':[{'type':'input_image'}]}]",
          "missing_required_parameter input[0].content[0].image_url ");
    check("[{'role':'user','content':[{'type':'input_file','file_url':'https://x'}]}]",
          "unsupported_parameter input[0].content[0].file_url ");
}

static void makes_one_message_of_one_turn(void **state)
{
    (void)state;
    check(
        "[{'type':'reasoning','summary':[],'content':[{'type':'reasoning_text','text':'hm'}]},"
        "{'role':'assistant','content':[{'type':'output_text','text':'let me see'}]},"
        "{'type':'function_call','call_id':'c1','name':'f','arguments':'{}'},"
        "{'type':'function_call','call_id':'c2','name':'g','arguments':'{\\u0022a\\u0022:1}'},"
        "{'type':'function_call_output','call_id':'c1','output':'one'},"
        "{'type':'function_call_output','call_id':'c2','output':[{'type':'input_text',"
        "'text':'two'}]},{'role':'assistant','content':'done'}]",
        "[{'role':'assistant','content':'let me see','reasoning_content':'hm','tool_calls':["
        "{'id':'c1','type':'function','function':{'name':'f','arguments':'{}'}},"
        "{'id':'c2','type':'function','function':{'name':'g','arguments':'{\\'a\\':1}'}}]},"
        "{'role':'tool','tool_call_id':'c1','content':'one'},"
        "{'role':'tool','tool_call_id':'c2','content':'two'},"
        "{'role':'assistant','content':'done'}]");
}

static void keeps_results_behind_their_calls(void **state)
{
    (void)state;
    check(
        "[{'type':'function_call','call_id':'c','name':'f','arguments':''},"
        "{'type':'reasoning','summary':[{'type':'summary_text','text':'x'}]},"
        "{'role':'assistant','content':'t'},"
        "{'type':'function_call_output','call_id':'c','output':'o'}]",
        "[{'role':'assistant','content':'t','reasoning_content':'x','tool_calls':[{'id':'c',"
        "'type':'function','function':{'name':'f','arguments':''}}]},"
        "{'role':'tool','tool_call_id':'c','content':'o'}]");
}

static void parts_two_turns_of_the_assistant(void **state)
{
    (void)state;
    check(
        "[{'role':'assistant','content':'a'},{'type':'reasoning','content':[{'type':"
        "'reasoning_text','text':'r'}],'summary':[]},{'role':'assistant','content':'b'}]",
        "[{'role':'assistant','content':'a'},"
        "{'role':'assistant','content':'b','reasoning_content':'r'}]");
}

static void writes_custom_calls_as_functions_with_one_text(void **state)
{
    (void)state;
    check(
        "[{'type':'custom_tool_call','call_id':'c','name':'patch','input':'a\\nb'},"
        "{'type':'custom_tool_call_output','call_id':'c','output':'ok'},"
        "{'type':'function_call','call_id':'d','namespace':'ns','name':'f','arguments':'{}'}]",
        "[{'role':'assistant','content':null,'tool_calls':[{'id':'c','type':'function',"
        "'function':{'name':'patch','arguments':'{\\'input\\':\\'a\\\\nb\\'}'}}]},"
        "{'role':'tool','tool_call_id':'c','content':'ok'},"
        "{'role':'assistant','content':null,'tool_calls':[{'id':'d','type':'function',"
        "'function':{'name':'ns__f','arguments':'{}'}}]}]");
}

static void takes_reasoning_in_any_form_it_can_read(void **state)
{
    (void)state;
    BUF_AUTO wrapped = BUF(256);
    BUF_AUTO items = BUF(1024);
    CHECK_OK(responses_input_wrap(&wrapped, BYTES_LIT("deep")));
    CHECK_OK(buf_addf(&items,
                      "[{'type':'reasoning','summary':[{'type':'summary_text','text':'s'}],"
                      "'encrypted_content':'%s'},{'role':'assistant','content':'a'}]",
                      buf_str(&wrapped)));
    check(buf_str(&items), "[{'role':'assistant','content':'a','reasoning_content':'deep'}]");
    check(
        "[{'type':'reasoning','id':'rs_1','summary':[],'encrypted_content':'gAAAAAB'},"
        "{'role':'assistant','content':'a'}]",
        "[{'role':'assistant','content':'a'}]");
    check("[{'type':'reasoning','summary':[]}]", "[]");
    check("[{'type':'reasoning','summary':[],'encrypted_content':'sealgate1.!'}]",
          "invalid_value input[0].encrypted_content ");
}

static void keeps_refusals(void **state)
{
    (void)state;
    check("[{'role':'assistant','content':[{'type':'refusal','refusal':'no'}]}]",
          "[{'role':'assistant','content':[{'type':'refusal','refusal':'no'}]}]");
    check("[{'role':'user','content':[{'type':'refusal','refusal':'no'}]}]",
          "invalid_value input[0].content[0].type refusal");
}

static void names_what_it_cannot_express(void **state)
{
    (void)state;
    check("[{'role':'user','content':'a'},{'type':'web_search_call','id':'ws_1'}]",
          "unsupported_parameter input[1].type web_search_call");
    check("[{'type':'acme:thing'}]", "unsupported_parameter input[0].type acme:thing");
    check("[{'type':'item_reference','id':'msg_1'}]",
          "unsupported_parameter input[0].type item_reference");
    check("[{'role':'user','content':[{'type':'input_video'}]}]",
          "unsupported_parameter input[0].content[0].type input_video");
    check("[{'role':'king','content':'a'}]", "invalid_value input[0].role king");
    check("[{'content':'a'}]", "missing_required_parameter input[0].role ");
    check("[{'role':'user'}]", "missing_required_parameter input[0].content ");
    check("[{'role':'user','content':3}]", "invalid_type input[0].content ");
    check("[{'role':'user','content':['a']}]", "invalid_type input[0].content[0] ");
    check("[3]", "invalid_type input[0] ");
    check("[{'type':'function_call','name':'f','arguments':'{}'}]",
          "missing_required_parameter input[0].call_id ");
    check("[{'type':'function_call','call_id':'c','name':'f','arguments':{}}]",
          "invalid_type input[0].arguments ");
    check("[{'type':'function_call_output','call_id':'c'}]",
          "missing_required_parameter input[0].output ");
    check("null", "missing_required_parameter input ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_messages_without_a_type),
        cmocka_unit_test(puts_all_that_the_system_says_at_the_head),
        cmocka_unit_test(writes_one_text_as_text_and_more_as_parts),
        cmocka_unit_test(never_drops_an_image_or_a_file),
        cmocka_unit_test(makes_one_message_of_one_turn),
        cmocka_unit_test(keeps_results_behind_their_calls),
        cmocka_unit_test(parts_two_turns_of_the_assistant),
        cmocka_unit_test(writes_custom_calls_as_functions_with_one_text),
        cmocka_unit_test(takes_reasoning_in_any_form_it_can_read),
        cmocka_unit_test(keeps_refusals),
        cmocka_unit_test(names_what_it_cannot_express),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
