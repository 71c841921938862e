#include "api/responses_check.h"
#include "tests/unit/api/responses_case.h"

static const struct responses_ask_settings STATELESS = { 0 };
static const struct responses_ask_settings STORING = { .stores = true };

/* The engine's request for `request`, or the fault as "cause param about". */
static void translate(const char *request, const char *past,
                      const struct responses_ask_settings *settings, struct buf *out)
{
    struct responses_ask ask = { 0 };
    struct responses_fault fault = { 0 };
    struct json *before = past != NULL ? parsed(past) : NULL;
    BUF_AUTO body = BUF(CASE_MAX);
    err e = responses_ask_read(&ask, quoted(&body, request), settings, &fault);
    if (e.code == ERR_OK)
        e = responses_ask_write(&ask, before, out, &fault);
    if (e.code != ERR_OK) {
        CHECK(e.code == ERR_MALFORMED);
        buf_truncate(out, 0);
        CHECK_OK(buf_addf(out, "%s %s %s", error_code(fault.cause), fault.param, fault.about));
    }
    responses_ask_clear(&ask);
    json_free(before);
}

static void check_past(const char *request, const char *past, const char *want)
{
    BUF_AUTO out = BUF(CASE_MAX);
    translate(request, past, &STATELESS, &out);
    assert_string_equal(shown(&out), want);
}

static void check(const char *request, const char *want)
{
    check_past(request, NULL, want);
}

#define HI "{'role':'user','content':'hi'}"

static void makes_a_text_a_users_message(void **state)
{
    (void)state;
    check("{'model':'m','input':'hi'}", "{'messages':[" HI "],'model':'m'}");
    check("{'model':'m','input':'hi','instructions':'be brief'}",
          "{'messages':[{'role':'system','content':'be brief'}," HI "],'model':'m'}");
    check("{'model':'m','input':[]}", "{'messages':[],'model':'m'}");
}

static void asks_for_the_usage_of_a_stream(void **state)
{
    (void)state;
    check("{'model':'m','input':'hi','stream':true,'stream_options':{'include_obfuscation':true}}",
          "{'messages':[" HI
          "],'model':'m','stream':true,"
          "'stream_options':{'include_usage':true}}");
    check("{'model':'m','input':'hi','stream':false}", "{'messages':[" HI "],'model':'m'}");
}

static void gives_parameters_their_other_names(void **state)
{
    (void)state;
    check(
        "{'model':'m','input':'hi','max_output_tokens':20,'temperature':0.5,'top_p':1,"
        "'user':'u','service_tier':'flex','reasoning':{'effort':'low'},"
        "'text':{'verbosity':'high'},'metadata':{'a':'b'},'prompt_cache_key':'k',"
        "'safety_identifier':'s','truncation':'disabled','max_tool_calls':3,'store':true}",
        "{'messages':[" HI
        "],'model':'m','temperature':0.5,'top_p':1,'user':'u',"
        "'service_tier':'flex','max_completion_tokens':20,'max_tokens':20,"
        "'verbosity':'high','reasoning_effort':'low'}");
    check("{'model':'m','input':'hi','top_logprobs':3}",
          "{'messages':[" HI "],'model':'m','logprobs':true,'top_logprobs':3}");
    check("{'model':'m','input':'hi','include':['message.output_text.logprobs']}",
          "{'messages':[" HI "],'model':'m','logprobs':true}");
}

static void passes_on_what_neither_api_knows(void **state)
{
    (void)state;
    check("{'model':'m','input':'hi','top_k':5,'chat_template_kwargs':{'a':[1,null]},'seed':7}",
          "{'messages':[" HI
          "],'model':'m','top_k':5,'chat_template_kwargs':{'a':[1,null]},"
          "'seed':7}");
}

static void leaves_out_what_is_null(void **state)
{
    (void)state;
    check(
        "{'model':'m','input':'hi','instructions':null,'temperature':null,'tools':null,"
        "'previous_response_id':null,'text':null,'reasoning':null,'conversation':null,"
        "'prompt':null,'metadata':null,'background':null,'stream':null,'include':null,"
        "'tool_choice':null,'truncation':null,'max_output_tokens':null,'store':null}",
        "{'messages':[" HI "],'model':'m'}");
}

static void nests_formats_as_chat_does(void **state)
{
    (void)state;
    check(
        "{'model':'m','input':'hi','text':{'format':{'type':'json_schema','name':'n',"
        "'schema':{'type':'object'},'strict':true}}}",
        "{'messages':[" HI
        "],'model':'m','response_format':{'type':'json_schema',"
        "'json_schema':{'name':'n','schema':{'type':'object'},'strict':true}}}");
    check("{'model':'m','input':'hi','text':{'format':{'type':'json_object'}}}",
          "{'messages':[" HI "],'model':'m','response_format':{'type':'json_object'}}");
    check("{'model':'m','input':'hi','text':{'format':{'type':'text'}}}",
          "{'messages':[" HI "],'model':'m'}");
}

static void tells_of_tools_only_when_there_are_any(void **state)
{
    (void)state;
    check("{'model':'m','input':'hi','tools':[],'tool_choice':'auto','parallel_tool_calls':true}",
          "{'messages':[" HI "],'model':'m'}");
    check(
        "{'model':'m','input':'hi','tools':[{'type':'function','name':'f'}],"
        "'tool_choice':'required','parallel_tool_calls':false}",
        "{'messages':[" HI
        "],'model':'m','tools':[{'type':'function','function':"
        "{'name':'f'}}],'tool_choice':'required','parallel_tool_calls':false}");
}

static void puts_the_past_between_instructions_and_input(void **state)
{
    (void)state;
    check_past("{'model':'m','input':'and now?','instructions':'new'}",
               "[{'type':'message','role':'user','content':'then'},{'id':'msg_1',"
               "'type':'message','status':'completed','role':'assistant','content':"
               "[{'type':'output_text','text':'so','annotations':[],'logprobs':[]}]}]",
               "{'messages':[{'role':'system','content':'new'},{'role':'user','content':'then'},"
               "{'role':'assistant','content':'so'},{'role':'user','content':'and now?'}],"
               "'model':'m'}");
    check_past("{'model':'m','previous_response_id':'resp_1'}", "[" HI "]",
               "{'messages':[" HI "],'model':'m'}");
}

static err find_item(void *owner, bytes id, struct buf *out)
{
    (void)owner;
    ENSURE(bytes_equal(id, BYTES_LIT("msg_1")), NOT_FOUND);
    return buf_add_str(out, "{\"role\":\"assistant\",\"content\":\"so\"}");
}

static void check_references(const char *request, const char *want)
{
    static const struct responses_lookup lookup = { .find = find_item };
    struct responses_ask ask = { 0 };
    struct responses_fault fault = { 0 };
    BUF_AUTO body = BUF(CASE_MAX);
    BUF_AUTO out = BUF(CASE_MAX);
    CHECK_OK(responses_ask_read(&ask, quoted(&body, request), &STORING, &fault));
    err e = responses_ask_resolve(&ask, &lookup, &fault);
    if (e.code == ERR_OK)
        e = responses_ask_write(&ask, NULL, &out, &fault);
    if (e.code != ERR_OK)
        CHECK_OK(buf_addf(&out, "%s %s %s", error_code(fault.cause), fault.param, fault.about));
    assert_string_equal(shown(&out), want);
    responses_ask_clear(&ask);
}

static void puts_items_in_the_place_of_references(void **state)
{
    (void)state;
    check_references(
        "{'model':'m','input':[{'role':'user','content':'a'},{'type':'item_reference',"
        "'id':'msg_1'},{'role':'user','content':'b'}]}",
        "{'messages':[{'role':'user','content':'a'},{'role':'assistant','content':"
        "'so'},{'role':'user','content':'b'}],'model':'m'}");
    check_references("{'model':'m','input':'hi'}", "{'messages':[" HI "],'model':'m'}");
    check_references(
        "{'model':'m','input':[{'role':'user','content':'a'},{'type':'item_reference',"
        "'id':'msg_2'}]}",
        "not_found input[1].id msg_2");
    check_references("{'model':'m','input':[{'type':'item_reference'}]}", "not_found input[0].id ");
}

static void names_what_cannot_be(void **state)
{
    (void)state;
    check("{'input':'hi'}", "missing_required_parameter model ");
    check("{'model':'m'}", "missing_required_parameter input ");
    check("{'model':'m','input':7}", "invalid_type input ");
    check("{'model':'m','input':'hi','conversation':'c'}", "unsupported_parameter conversation ");
    check("{'model':'m','input':'hi','prompt':{'id':'p'}}", "unsupported_parameter prompt ");
    check("{'model':'m','input':'hi','context_management':[]}",
          "unsupported_parameter context_management ");
    check("{'model':'m','input':'hi','background':true}", "unsupported_parameter background ");
    check("{'model':'m','input':'hi','truncation':'x'}", "invalid_value truncation x");
    check("{'model':'m','input':'hi','temperature':'hot'}", "invalid_type temperature ");
    check("{'model':'m','input':'hi','stream':'yes'}", "invalid_type stream ");
    check("{'model':'m','input':'hi','max_output_tokens':0}", "invalid_value max_output_tokens ");
    check("{'model':'m','input':'hi','max_output_tokens':1.5}", "invalid_type max_output_tokens ");
    check("{'model':'m','input':'hi','top_logprobs':21}", "invalid_value top_logprobs ");
    check("{'model':'m','input':'hi','include':['everything']}",
          "invalid_value include[0] everything");
    check("{'model':'m','input':'hi','include':[1]}", "invalid_type include[0] ");
    check("{'model':'m','input':'hi','metadata':{'a':1}}", "invalid_type metadata ");
    check("{'model':'m','input':'hi','text':{'format':{'type':'yaml'}}}",
          "invalid_value text.format.type yaml");
    check("{'model':'m','input':'hi','text':{'format':{'type':'json_schema','name':'n'}}}",
          "missing_required_parameter text.format.schema ");
    check("{'model':'m','input':'hi','text':{'format':{'type':'json_schema','schema':{}}}}",
          "missing_required_parameter text.format.name ");
    check("{'model':'m','input':'hi','reasoning':{'effort':3}}", "invalid_type reasoning.effort ");
    check("{'model':'m','input':'hi','messages':[]}", "unsupported_parameter messages ");
    check("{'model':'m','input':'hi','n':2}", "unsupported_parameter n ");
    check("[]", "invalid_type  ");
    check("{'model'", "invalid_json  ");
    check("{'model':'m','model':'m','input':'hi'}", "invalid_json  ");
}

static void accepts_as_many_pairs_of_metadata_as_there_may_be(void **state)
{
    (void)state;
    for (size_t n = RESPONSES_METADATA_MAX; n <= RESPONSES_METADATA_MAX + 1; n++) {
        BUF_AUTO request = BUF(4096);
        BUF_AUTO out = BUF(CASE_MAX);
        CHECK_OK(buf_add_str(&request, "{'model':'m','input':'hi','metadata':{"));
        for (size_t i = 0; i < n; i++)
            CHECK_OK(buf_addf(&request, "%s'k%zu':''", i > 0 ? "," : "", i));
        CHECK_OK(buf_add_str(&request, "}}"));
        translate(buf_str(&request), NULL, &STATELESS, &out);
        bool good = n <= RESPONSES_METADATA_MAX;
        assert_string_equal(shown(&out),
                            good ? "{'messages':[" HI "],'model':'m'}" : "invalid_value metadata ");
    }
}

static void keeps_in_the_background_only_what_it_keeps(void **state)
{
    (void)state;
    BUF_AUTO out = BUF(CASE_MAX);
    translate("{'model':'m','input':'hi','background':true,'store':false}", NULL, &STORING, &out);
    assert_string_equal(shown(&out), "invalid_value background ");
    buf_clear(&out);
    translate("{'model':'m','input':'hi','background':true}", NULL, &STORING, &out);
    assert_string_equal(shown(&out), "{'messages':[" HI "],'model':'m'}");
}

/* The members of every answer that repeat the request, as one object. */
static void check_echo(const char *request, const struct responses_ask_settings *settings,
                       const char *member, const char *want)
{
    struct responses_ask ask = { 0 };
    struct responses_fault fault = { 0 };
    struct json *root = NULL;
    BUF_AUTO body = BUF(CASE_MAX);
    BUF_AUTO object = BUF(CASE_MAX);
    BUF_AUTO value = BUF(CASE_MAX);
    CHECK_OK(responses_ask_read(&ask, quoted(&body, request), settings, &fault));
    CHECK_OK(buf_add_str(&object, "{\"id\":1"));
    CHECK_OK(buf_add(&object, buf_view(&ask.echo)));
    CHECK_OK(buf_add_u8(&object, '}'));
    CHECK_OK(json_read(&root, buf_view(&object), JSON_DEPTH_MAX));
    CHECK_OK(json_write(&value, json_get(root, member)));
    assert_string_equal(shown(&value), want);
    json_free(root);
    responses_ask_clear(&ask);
}

static void repeats_the_request_in_full_form(void **state)
{
    (void)state;
    static const struct {
        const char *member;
        const char *want;
    } rows[] = {
        { "model", "'m'" },
        { "instructions", "null" },
        { "tools", "[]" },
        { "tool_choice", "'auto'" },
        { "truncation", "'disabled'" },
        { "parallel_tool_calls", "true" },
        { "top_p", "1.0" },
        { "presence_penalty", "0.0" },
        { "frequency_penalty", "0.0" },
        { "top_logprobs", "0" },
        { "temperature", "1.0" },
        { "max_output_tokens", "null" },
        { "max_tool_calls", "null" },
        { "store", "false" },
        { "background", "false" },
        { "service_tier", "'default'" },
        { "metadata", "{}" },
        { "safety_identifier", "null" },
        { "prompt_cache_key", "null" },
        { "previous_response_id", "null" },
        { "text", "{'format':{'type':'text'},'verbosity':'medium'}" },
        { "reasoning", "{'effort':null,'summary':null}" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        check_echo("{'model':'m','input':'hi'}", &STATELESS, rows[i].member, rows[i].want);
    check_echo("{'model':'m','input':'hi','truncation':'auto'}", &STATELESS, "truncation",
               "'disabled'");
    check_echo("{'model':'m','input':'hi'}", &STORING, "store", "true");
    check_echo("{'model':'m','input':'hi','store':false}", &STORING, "store", "false");
    check_echo("{'model':'m','input':'hi','store':true}", &STATELESS, "store", "false");
    check_echo("{'model':'m','input':'hi','temperature':0.25}", &STORING, "temperature", "0.25");
    check_echo(
        "{'model':'m','input':'hi','text':{'format':{'type':'json_schema','name':'n',"
        "'schema':{}}}}",
        &STORING, "text",
        "{'format':{'type':'json_schema','name':'n','description':null,'schema':{},"
        "'strict':false},'verbosity':'medium'}");
}

static err run(void *arg)
{
    struct responses_ask ask = { 0 };
    struct responses_fault fault = { 0 };
    BUF_AUTO out = BUF(CASE_MAX);
    err e = responses_ask_read(&ask, buf_view(arg), &STORING, &fault);
    if (e.code == ERR_OK)
        e = responses_ask_write(&ask, NULL, &out, &fault);
    responses_ask_clear(&ask);
    return e;
}

static void survives_every_allocation_that_fails(void **state)
{
    (void)state;
    BUF_AUTO body = BUF(CASE_MAX);
    (void)quoted(&body,
                 "{'model':'m','instructions':'i','input':[{'role':'user','content':[{'type':"
                 "'input_image','image_url':'u'}]},{'type':'reasoning','summary':[{'type':"
                 "'summary_text','text':'t'}]},{'type':'custom_tool_call','call_id':'c','name':"
                 "'n','input':'x'},{'type':'function_call_output','call_id':'c','output':'o'}],"
                 "'tools':[{'type':'custom','name':'n'},{'type':'namespace','name':'s','tools':"
                 "[{'type':'function','name':'f'}]},{'type':'web_search'}],'text':{'format':"
                 "{'type':'json_schema','name':'n','schema':{}}}}");
    law_every_allocation_fails_once(run, &body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(makes_a_text_a_users_message),
        cmocka_unit_test(asks_for_the_usage_of_a_stream),
        cmocka_unit_test(gives_parameters_their_other_names),
        cmocka_unit_test(passes_on_what_neither_api_knows),
        cmocka_unit_test(leaves_out_what_is_null),
        cmocka_unit_test(nests_formats_as_chat_does),
        cmocka_unit_test(tells_of_tools_only_when_there_are_any),
        cmocka_unit_test(puts_the_past_between_instructions_and_input),
        cmocka_unit_test(puts_items_in_the_place_of_references),
        cmocka_unit_test(names_what_cannot_be),
        cmocka_unit_test(accepts_as_many_pairs_of_metadata_as_there_may_be),
        cmocka_unit_test(keeps_in_the_background_only_what_it_keeps),
        cmocka_unit_test(repeats_the_request_in_full_form),
        cmocka_unit_test(survives_every_allocation_that_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
