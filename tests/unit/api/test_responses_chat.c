#include "api/responses_chat.h"
#include "tests/unit/api/responses_case.h"

static const char ID[] = "resp_00";
enum { THEN = 1700000000, NOW = 1700000005 };

struct scene {
    struct responses_tools tools;
    struct responses_reply reply;
    struct responses_chat chat;
};

static struct responses_reply_settings plain(bool events)
{
    return (struct responses_reply_settings){
        .id = ID, .created_at = THEN, .events = events, .echo = BYTES_LIT(",\"model\":\"m\"")
    };
}

static void open_scene(struct scene *s, struct responses_reply_settings settings)
{
    struct responses_fault fault;
    struct json *tools = parsed(
        "[{'type':'custom','name':'patch'},{'type':'namespace','name':'ns',"
        "'tools':[{'type':'function','name':'f'}]}]");
    responses_tools_init(&s->tools);
    CHECK_OK(responses_tools_read(&s->tools, tools, NULL, false, &fault));
    json_free(tools);
    settings.tools = &s->tools;
    responses_reply_init(&s->reply, &settings);
    responses_chat_init(&s->chat, &s->reply);
    s->chat.now = NOW;
    CHECK_OK(responses_reply_start(&s->reply));
}

static void close_scene(struct scene *s)
{
    responses_chat_clear(&s->chat);
    responses_reply_clear(&s->reply);
    responses_tools_clear(&s->tools);
}

/* ---- what comes out, one line per event ---- */

struct record {
    struct buf text;
    uint64_t next;
    struct buf last; /* the object of the last event that had one */
};

static const char *text_of(const struct json *object, const char *key)
{
    static char text[512];
    bytes value = { 0 };
    (void)json_text(json_get(object, key), &value);
    CHECK(value.len < sizeof text);
    if (value.len > 0)
        memcpy(text, value.at, value.len);
    text[value.len] = '\0';
    return text;
}

/* "output_text.delta 0 Hel": the type without its head, the item, and what it says. */
static err on_event(void *owner, const struct sse_event *event)
{
    static const char *const said[] = { "delta", "text", "arguments", "input", "refusal", "code" };
    struct record *r = owner;
    struct json *root = NULL;
    uint64_t number = 0;
    if (event->flags & SSE_DONE)
        return buf_add_str(&r->text, "[DONE]");
    CHECK_OK(json_read(&root, event->data, JSON_DEPTH_MAX));
    CHECK_BYTES(event->name, bytes_str(text_of(root, "type")));
    CHECK(json_u64(json_get(root, "sequence_number"), &number) && number == r->next++);
    bytes name = event->name;
    if (bytes_starts(name, BYTES_LIT("response.")))
        name = bytes_slice(name, 9, name.len);
    CHECK_OK(buf_addf(&r->text, "%.*s", (int)name.len, (const char *)name.at));
    if (json_u64(json_get(root, "output_index"), &number))
        CHECK_OK(buf_addf(&r->text, " %d", (int)number));
    for (size_t i = 0; i < sizeof said / sizeof said[0]; i++) {
        if (json_get(root, said[i]) != NULL)
            CHECK_OK(buf_addf(&r->text, " %s", text_of(root, said[i])));
    }
    if (json_get(root, "item") != NULL)
        CHECK_OK(buf_addf(&r->text, " %s", text_of(json_get(root, "item"), "type")));
    if (json_get(root, "response") != NULL) {
        buf_truncate(&r->last, 0);
        CHECK_OK(json_write(&r->last, json_get(root, "response")));
    }
    json_free(root);
    return buf_add_u8(&r->text, '\n');
}

static void read_events(struct record *r, bytes out)
{
    struct sse s;
    *r = (struct record){ .text = BUF(CASE_MAX), .last = BUF(CASE_MAX) };
    sse_init(&s, false, on_event, r);
    CHECK_OK(sse_put(&s, out));
    CHECK(sse_is_between(&s));
    sse_clear(&s);
}

static void forget(struct record *r)
{
    buf_clear(&r->text);
    buf_clear(&r->last);
}

/* ---- the engine's stream ---- */

#define CHUNK(delta) "data: {'choices':[{'index':0,'delta':" delta ",'finish_reason':null}]}\n\n"
#define FINISH(why) "data: {'choices':[{'index':0,'delta':{},'finish_reason':'" why "'}]}\n\n"
#define USAGE                                                                                      \
    "data: {'choices':[],'usage':{'prompt_tokens':3,'completion_tokens':4,'total_tokens':7,"       \
    "'prompt_tokens_details':{'cached_tokens':1,'cache_write_tokens':2},"                          \
    "'completion_tokens_details':{'reasoning_tokens':2}}}\n\n"
#define DONE "data: [DONE]\n\n"
#define BEGUN "created\nin_progress\n"

static void run_cut(struct scene *s, bytes in, size_t cut, struct buf *out)
{
    open_scene(s, plain(true));
    CHECK_OK(responses_chat_put(&s->chat, bytes_slice(in, 0, cut)));
    CHECK_OK(responses_chat_put(&s->chat, bytes_slice(in, cut, in.len)));
    CHECK_OK(responses_chat_end(&s->chat));
    CHECK_OK(buf_add(out, buf_view(&s->reply.out)));
}

/* The same bytes at every cut, and byte by byte. */
static void check_split(bytes in, bytes want)
{
    struct scene s;
    for (size_t cut = 0; cut < in.len; cut++) {
        BUF_AUTO out = BUF(CASE_MAX);
        run_cut(&s, in, cut, &out);
        CHECK_BYTES(buf_view(&out), want);
        close_scene(&s);
    }
    open_scene(&s, plain(true));
    for (size_t i = 0; i < in.len; i++)
        CHECK_OK(responses_chat_put(&s.chat, bytes_slice(in, i, 1)));
    CHECK_OK(responses_chat_end(&s.chat));
    CHECK_BYTES(buf_view(&s.reply.out), want);
    close_scene(&s);
}

/* The same stream with CRLF, and without the blank behind "data:". */
static void check_writing(bytes in, bytes want)
{
    struct scene s;
    BUF_AUTO crlf = BUF(CASE_MAX);
    BUF_AUTO tight = BUF(CASE_MAX);
    BUF_AUTO out = BUF(CASE_MAX);
    for (size_t i = 0; i < in.len; i++) {
        if (in.at[i] == '\n')
            CHECK_OK(buf_add_u8(&crlf, '\r'));
        CHECK_OK(buf_add_u8(&crlf, in.at[i]));
        if (in.at[i] != ' ' || i == 0 || in.at[i - 1] != ':')
            CHECK_OK(buf_add_u8(&tight, in.at[i]));
    }
    run_cut(&s, buf_view(&crlf), 7, &out);
    CHECK_BYTES(buf_view(&out), want);
    close_scene(&s);
    buf_clear(&out);
    run_cut(&s, buf_view(&tight), 7, &out);
    CHECK_BYTES(buf_view(&out), want);
    close_scene(&s);
}

/* The stream gives these events, however it is cut and written; `object`: what is in the last. */
static void check(const char *stream, const char *events, const char *object)
{
    struct scene s;
    struct record r;
    BUF_AUTO json = BUF(CASE_MAX);
    BUF_AUTO out = BUF(CASE_MAX);
    bytes in = quoted(&json, stream);
    run_cut(&s, in, in.len, &out);
    read_events(&r, buf_view(&out));
    assert_string_equal(buf_str(&r.text), events);
    if (strstr(shown(&r.last), object) == NULL)
        assert_string_equal(shown(&r.last), object);
    forget(&r);
    close_scene(&s);
    check_split(in, buf_view(&out));
    check_writing(in, buf_view(&out));
}

static void says_text_in_the_whole_order_of_events(void **state)
{
    (void)state;
    check(CHUNK("{'role':'assistant','content':''}") CHUNK("{'content':'Hel'}")
              CHUNK("{'content':'lo ü'}") FINISH("stop") USAGE DONE,
          BEGUN
          "output_item.added 0 message\ncontent_part.added 0\noutput_text.delta 0 Hel\n"
          "output_text.delta 0 lo ü\noutput_text.done 0 Hello ü\ncontent_part.done 0\n"
          "output_item.done 0 message\ncompleted\n[DONE]",
          "{'id':'resp_00','object':'response','created_at':1700000000,'completed_at':1700000005,"
          "'status':'completed','error':null,'incomplete_details':null,'usage':{'input_tokens':3,"
          "'input_tokens_details':{'cached_tokens':1,'cache_write_tokens':2},'output_tokens':4,'"
          "output_tokens_details':"
          "{'reasoning_tokens':2},'total_tokens':7},'output':[{'id':'msg_00000','type':'message',"
          "'status':'completed','role':'assistant','content':[{'type':'output_text','text':"
          "'Hello ü','annotations':[],'logprobs':[]}]}],'model':'m'}");
}

static void writes_each_event_in_its_full_form(void **state)
{
    (void)state;
    struct scene s;
    BUF_AUTO out = BUF(CASE_MAX);
    BUF_AUTO json = BUF(CASE_MAX);
    run_cut(&s, quoted(&json, CHUNK("{'content':'a'}") FINISH("stop") DONE), 0, &out);
    close_scene(&s);
    assert_string_equal(
        shown(&out),
        "event: response.created\n"
        "data: {'type':'response.created','sequence_number':0,'response':{'id':'resp_00','object':"
        "'response','created_at':1700000000,'completed_at':null,'status':'in_progress','error':"
        "null,'incomplete_details':null,'usage':null,'output':[],'model':'m'}}\n\n"
        "event: response.in_progress\n"
        "data: {'type':'response.in_progress','sequence_number':1,'response':{'id':'resp_00',"
        "'object':'response','created_at':1700000000,'completed_at':null,'status':'in_progress',"
        "'error':null,'incomplete_details':null,'usage':null,'output':[],'model':'m'}}\n\n"
        "event: response.output_item.added\n"
        "data: {'type':'response.output_item.added','sequence_number':2,'output_index':0,'item':"
        "{'id':'msg_00000','type':'message','status':'in_progress','role':'assistant','content':"
        "[]}}\n\n"
        "event: response.content_part.added\n"
        "data: {'type':'response.content_part.added','sequence_number':3,'item_id':'msg_00000',"
        "'output_index':0,'content_index':0,'part':{'type':'output_text','text':'','annotations':"
        "[],'logprobs':[]}}\n\n"
        "event: response.output_text.delta\n"
        "data: {'type':'response.output_text.delta','sequence_number':4,'item_id':'msg_00000',"
        "'output_index':0,'content_index':0,'delta':'a','logprobs':[]}\n\n"
        "event: response.output_text.done\n"
        "data: {'type':'response.output_text.done','sequence_number':5,'item_id':'msg_00000',"
        "'output_index':0,'content_index':0,'text':'a','logprobs':[]}\n\n"
        "event: response.content_part.done\n"
        "data: {'type':'response.content_part.done','sequence_number':6,'item_id':'msg_00000',"
        "'output_index':0,'content_index':0,'part':{'type':'output_text','text':'a','annotations':"
        "[],'logprobs':[]}}\n\n"
        "event: response.output_item.done\n"
        "data: {'type':'response.output_item.done','sequence_number':7,'output_index':0,'item':"
        "{'id':'msg_00000','type':'message','status':'completed','role':'assistant','content':"
        "[{'type':'output_text','text':'a','annotations':[],'logprobs':[]}]}}\n\n"
        "event: response.completed\n"
        "data: {'type':'response.completed','sequence_number':8,'response':{'id':'resp_00',"
        "'object':'response','created_at':1700000000,'completed_at':1700000005,'status':"
        "'completed','error':null,'incomplete_details':null,'usage':null,'output':[{'id':"
        "'msg_00000','type':'message','status':'completed','role':'assistant','content':[{'type':"
        "'output_text','text':'a','annotations':[],'logprobs':[]}]}],'model':'m'}}\n\n"
        "data: [DONE]\n\n");
}

static void says_nothing_where_nothing_was_said(void **state)
{
    (void)state;
    check(CHUNK("{'role':'assistant','content':''}") FINISH("stop") DONE, BEGUN "completed\n[DONE]",
          "'output':[]");
}

static void puts_reasoning_before_the_text(void **state)
{
    (void)state;
    const char *events = BEGUN
        "output_item.added 0 reasoning\ncontent_part.added 0\nreasoning_text.delta 0 h\n"
        "reasoning_text.delta 0 m\nreasoning_text.done 0 hm\ncontent_part.done 0\n"
        "output_item.done 0 reasoning\noutput_item.added 1 message\ncontent_part.added 1\n"
        "output_text.delta 1 a\noutput_text.done 1 a\ncontent_part.done 1\n"
        "output_item.done 1 message\ncompleted\n[DONE]";
    const char *item =
        "'output':[{'id':'rs_00000','type':'reasoning','status':'completed',"
        "'summary':[],'content':[{'type':'reasoning_text','text':'hm'}]},";
    check(CHUNK("{'reasoning_content':'h'}") CHUNK("{'reasoning_content':'m'}")
              CHUNK("{'content':'a'}") FINISH("stop") DONE,
          events, item);
    check(CHUNK("{'reasoning':'h'}") CHUNK("{'reasoning':'m'}") CHUNK("{'content':'a'}")
              FINISH("stop") DONE,
          events, item);
}

static void summarizes_and_wraps_reasoning_when_asked(void **state)
{
    (void)state;
    struct scene s;
    struct record r;
    BUF_AUTO json = BUF(CASE_MAX);
    struct responses_reply_settings settings = plain(true);
    settings.summary = settings.encrypted = true;
    open_scene(&s, settings);
    CHECK_OK(responses_chat_put(
        &s.chat, quoted(&json, CHUNK("{'reasoning_content':'hm'}") FINISH("stop") DONE)));
    read_events(&r, buf_view(&s.reply.out));
    assert_string_equal(buf_str(&r.text), BEGUN
                        "output_item.added 0 reasoning\nreasoning_summary_part.added 0\n"
                        "reasoning_summary_text.delta 0 hm\n"
                        "reasoning_summary_text.done 0 hm\nreasoning_summary_part.done 0\n"
                        "output_item.done 0 reasoning\ncompleted\n[DONE]");
    CHECK(strstr(shown(&r.last),
                 "'summary':[{'type':'summary_text','text':'hm'}],"
                 "'encrypted_content':'sealgate1.aG0'}]") != NULL);
    forget(&r);
    close_scene(&s);
}

static void refuses(void **state)
{
    (void)state;
    check(CHUNK("{'refusal':'I '}") CHUNK("{'refusal':'can not'}") FINISH("stop") DONE,
          BEGUN
          "output_item.added 0 message\ncontent_part.added 0\nrefusal.delta 0 I \n"
          "refusal.delta 0 can not\nrefusal.done 0 I can not\ncontent_part.done 0\n"
          "output_item.done 0 message\ncompleted\n[DONE]",
          "'content':[{'type':'refusal','refusal':'I can not'}]");
    check(CHUNK("{'content':'a','refusal':'no'}") FINISH("stop") DONE,
          BEGUN
          "output_item.added 0 message\ncontent_part.added 0\noutput_text.delta 0 a\n"
          "output_text.done 0 a\ncontent_part.done 0\ncontent_part.added 0\n"
          "refusal.delta 0 no\nrefusal.done 0 no\ncontent_part.done 0\n"
          "output_item.done 0 message\ncompleted\n[DONE]",
          "'logprobs':[]},{'type':'refusal','refusal':'no'}]");
}

#define CALL(index, more) CHUNK("{'tool_calls':[{'index':" index "," more "}]}")
#define NAMED(id, name) "'id':'" id "','type':'function','function':{'name':'" name "'}"
#define ARGUMENTS(text) "'function':{'arguments':'" text "'}"

static void calls_functions_side_by_side(void **state)
{
    (void)state;
    check(CHUNK("{'content':'so'}") CALL("0", NAMED("c1", "w")) CALL("0", ARGUMENTS("{"))
              CALL("1", NAMED("c2", "t")) CALL("0", ARGUMENTS("}")) CALL("1", ARGUMENTS("[]"))
                  FINISH("tool_calls") DONE,
          BEGUN
          "output_item.added 0 message\ncontent_part.added 0\noutput_text.delta 0 so\n"
          "output_text.done 0 so\ncontent_part.done 0\noutput_item.done 0 message\n"
          "output_item.added 1 function_call\nfunction_call_arguments.delta 1 {\n"
          "output_item.added 2 function_call\nfunction_call_arguments.delta 1 }\n"
          "function_call_arguments.delta 2 []\nfunction_call_arguments.done 1 {}\n"
          "output_item.done 1 function_call\nfunction_call_arguments.done 2 []\n"
          "output_item.done 2 function_call\ncompleted\n[DONE]",
          "{'id':'fc_00001','type':'function_call','status':'completed','call_id':'c1','name':'w',"
          "'arguments':'{}'},{'id':'fc_00002','type':'function_call','status':'completed',"
          "'call_id':'c2','name':'t','arguments':'[]'}]");
}

static void follows_engines_that_number_calls_badly(void **state)
{
    (void)state;
    const char *events = BEGUN
        "output_item.added 0 function_call\nfunction_call_arguments.delta 0 1\n"
        "output_item.added 1 function_call\nfunction_call_arguments.delta 1 2\n"
        "function_call_arguments.done 0 1\noutput_item.done 0 function_call\n"
        "function_call_arguments.done 1 2\noutput_item.done 1 function_call\n"
        "completed\n[DONE]";
    /* All of them are number 0. */
    check(CALL("0", NAMED("c1", "w")) CALL("0", ARGUMENTS("1")) CALL("0", NAMED("c2", "t"))
              CALL("0", ARGUMENTS("2")) FINISH("tool_calls") DONE,
          events, "'call_id':'c1'");
    /* They count from 1. */
    check(CALL("1", NAMED("c1", "w")) CALL("1", ARGUMENTS("1")) CALL("2", NAMED("c2", "t"))
              CALL("2", ARGUMENTS("2")) FINISH("tool_calls") DONE,
          events, "'call_id':'c2'");
    /* No numbers. */
    check(CHUNK("{'tool_calls':[{" NAMED("c1", "w") "}]}")
              CHUNK("{'tool_calls':[{" ARGUMENTS("1") "}]}")
                  CHUNK("{'tool_calls':[{" NAMED("c2", "t") "}]}")
                      CHUNK("{'tool_calls':[{" ARGUMENTS("2") "}]}") FINISH("tool_calls") DONE,
          events, "'call_id':'c2'");
    /* Neither numbers nor ids. */
    check(CHUNK("{'tool_calls':[{'function':{'name':'w','arguments':'{}'}}]}")
              CHUNK("{'tool_calls':[{'function':{'name':'w','arguments':'{'}}]}")
                  CHUNK("{'tool_calls':[{'function':{'arguments':'}'}}]}") FINISH("stop") DONE,
          BEGUN
          "output_item.added 0 function_call\nfunction_call_arguments.delta 0 {}\n"
          "output_item.added 1 function_call\nfunction_call_arguments.delta 1 {\n"
          "function_call_arguments.delta 1 }\n"
          "function_call_arguments.done 0 {}\noutput_item.done 0 function_call\n"
          "function_call_arguments.done 1 {}\noutput_item.done 1 function_call\n"
          "completed\n[DONE]",
          "'call_id':'call_00001','name':'w','arguments':'{}'");
    /* All at once, and the name behind the arguments. */
    check(CALL("0", "'function':{'arguments':'1'}") CALL("0", "'function':{'name':'w'}")
              FINISH("tool_calls") DONE,
          BEGUN
          "output_item.added 0 function_call\nfunction_call_arguments.delta 0 1\n"
          "function_call_arguments.done 0 1\noutput_item.done 0 function_call\n"
          "completed\n[DONE]",
          "'call_id':'call_00000','name':'w','arguments':'1'");
    /* Arguments that are no text. */
    check(CALL("0", "'id':'c','function':{'name':'w','arguments':{'a':[1]}}") FINISH("stop") DONE,
          BEGUN
          "output_item.added 0 function_call\nfunction_call_arguments.delta 0 {\"a\":[1]}\n"
          "function_call_arguments.done 0 {\"a\":[1]}\noutput_item.done 0 function_call\n"
          "completed\n[DONE]",
          "'call_id':'c'");
}

static void gives_custom_tools_their_input(void **state)
{
    (void)state;
    check(CALL("0", NAMED("c1", "patch")) CALL("0", ARGUMENTS("{\\u0022inp"))
              CALL("0", ARGUMENTS("ut\\u0022: \\u0022a\\\\")) CALL("0", ARGUMENTS("nb\\u0022}"))
                  FINISH("tool_calls") DONE,
          BEGUN
          "output_item.added 0 custom_tool_call\ncustom_tool_call_input.delta 0 a\n"
          "custom_tool_call_input.delta 0 \nb\ncustom_tool_call_input.done 0 a\nb\n"
          "output_item.done 0 custom_tool_call\ncompleted\n[DONE]",
          "{'id':'ctc_00000','type':'custom_tool_call','status':'completed','call_id':'c1','name':"
          "'patch','input':'a\\nb'}");
    check(CALL("0", NAMED("c1", "patch")) CALL("0", ARGUMENTS("*** Begin")) FINISH("stop") DONE,
          BEGUN
          "output_item.added 0 custom_tool_call\ncustom_tool_call_input.delta 0 *** Begin\n"
          "custom_tool_call_input.done 0 *** Begin\noutput_item.done 0 custom_tool_call\n"
          "completed\n[DONE]",
          "'input':'*** Begin'");
}

static void gives_tools_of_a_namespace_their_own_names(void **state)
{
    (void)state;
    check(CALL("0", NAMED("c1", "ns__f")) FINISH("tool_calls") DONE,
          BEGUN
          "output_item.added 0 function_call\nfunction_call_arguments.done 0 \n"
          "output_item.done 0 function_call\ncompleted\n[DONE]",
          "'call_id':'c1','name':'f','namespace':'ns','arguments':''");
}

static void is_incomplete_when_it_was_cut_by_a_limit(void **state)
{
    (void)state;
    const char *events = BEGUN
        "output_item.added 0 message\ncontent_part.added 0\noutput_text.delta 0 a\n"
        "output_text.done 0 a\ncontent_part.done 0\noutput_item.done 0 message\n"
        "incomplete\n[DONE]";
    check(CHUNK("{'content':'a'}") FINISH("length") USAGE DONE, events,
          "'completed_at':null,'status':'incomplete','error':null,'incomplete_details':{'reason':"
          "'max_output_tokens'},'usage':{'input_tokens':3");
    check(CHUNK("{'content':'a'}") FINISH("content_filter") DONE, events,
          "'incomplete_details':{'reason':'content_filter'}");
}

static void takes_an_end_behind_a_finish_reason_for_an_end(void **state)
{
    (void)state;
    check(CHUNK("{'content':'a'}") FINISH("stop") USAGE,
          BEGUN
          "output_item.added 0 message\ncontent_part.added 0\noutput_text.delta 0 a\n"
          "output_text.done 0 a\ncontent_part.done 0\noutput_item.done 0 message\n"
          "completed\n[DONE]",
          "'output_tokens':4");
}

#define FAILED(code)                                                                               \
    BEGUN                                                                                          \
    "output_item.added 0 message\ncontent_part.added 0\noutput_text.delta 0 a\n"                   \
    "error " code "\nfailed\n[DONE]"

static void fails_when_the_engine_does(void **state)
{
    (void)state;
    check(CHUNK("{'content':'a'}") "data: {'error':{'message':'out of memory','code':500}}\n\n",
          FAILED("server_error"),
          "'status':'failed','error':{'code':'server_error','message':'out of memory'}");
    check(CHUNK("{'content':'a'}") "data: {'error':{'message':'slow down','code':"
                                   "'rate_limit_exceeded'}}\n\n" CHUNK("{'content':'b'}"),
          FAILED("rate_limit_exceeded"), "'status':'incomplete','role':'assistant'");
    check(CHUNK("{'content':'a'}") "data: {'error':{'message':'too long','code':"
                                   "'context_length_exceeded'}}\n\n",
          FAILED("context_length_exceeded"), "'message':'too long'");
    check(CHUNK("{'content':'a'}"), FAILED("server_error"),
          "'message':'The answer of the model server broke off before it was complete.'");
    check(CHUNK("{'content':'a'}") DONE, FAILED("server_error"), "'status':'failed'");
    check(CHUNK("{'content':'a'}") "data: oops\n\n", FAILED("server_error"),
          "'message':'The model server gave an answer that cannot be passed on.'");
}

/* Agents run a call that is done, and say a message that is. */
static void says_of_nothing_that_broke_off_that_it_is_done(void **state)
{
    (void)state;
    check(CHUNK("{'content':'a'}") CHUNK(
              "{'tool_calls':[{'index':0,'id':'c','function':{'name':'f','arguments':'{}'}}]}"),
          BEGUN
          "output_item.added 0 message\ncontent_part.added 0\noutput_text.delta 0 a\n"
          "output_text.done 0 a\ncontent_part.done 0\noutput_item.done 0 message\n"
          "output_item.added 1 function_call\nfunction_call_arguments.delta 1 {}\n"
          "error server_error\nfailed\n[DONE]",
          "'type':'function_call','status':'incomplete','call_id':'c','name':'f','arguments':'{}'");
}

static void fails_for_a_call_without_a_name(void **state)
{
    (void)state;
    check(CHUNK("{'content':'a'}") CALL("0", ARGUMENTS("{}")) FINISH("tool_calls") DONE,
          BEGUN
          "output_item.added 0 message\ncontent_part.added 0\noutput_text.delta 0 a\n"
          "output_text.done 0 a\ncontent_part.done 0\noutput_item.done 0 message\n"
          "error server_error\nfailed\n[DONE]",
          "'status':'failed'");
}

static void says_errors_flat_and_nested(void **state)
{
    (void)state;
    struct scene s;
    open_scene(&s, plain(true));
    CHECK_OK(responses_chat_break(&s.chat, ERROR_UPSTREAM_TIMEOUT));
    CHECK(strstr(shown(&s.reply.out),
                 "event: error\ndata: {'type':'error','sequence_number':2,'code':'server_error',"
                 "'message':'The model server did not answer in time.','param':null,'error':{"
                 "'message':'The model server did not answer in time.','type':'server_error',"
                 "'param':null,'code':'server_error'}}\n\nevent: response.failed\n") != NULL);
    close_scene(&s);
}

static void hands_on_logprobs_when_asked(void **state)
{
    (void)state;
    struct scene s;
    struct record r;
    BUF_AUTO json = BUF(CASE_MAX);
    struct responses_reply_settings settings = plain(true);
    settings.logprobs = true;
    open_scene(&s, settings);
    CHECK_OK(responses_chat_put(
        &s.chat,
        quoted(&json,
               "data: {'choices':[{'delta':{'content':'a'},'logprobs':{'content':[{'token':"
               "'a','logprob':-0.5}]}}]}\n\ndata: {'choices':[{'delta':{'content':'b'},"
               "'logprobs':{'content':[{'token':'b','logprob':-1}]}}]}\n\n" FINISH("stop") DONE)));
    read_events(&r, buf_view(&s.reply.out));
    CHECK(strstr(shown(&r.last),
                 "'text':'ab','annotations':[],'logprobs':[{'token':'a','logprob':"
                 "-0.5},{'token':'b','logprob':-1}]") != NULL);
    forget(&r);
    close_scene(&s);
}

/* The object of a whole answer. */
static void check_whole(const char *body, const char *object)
{
    struct scene s;
    BUF_AUTO json = BUF(CASE_MAX);
    BUF_AUTO out = BUF(CASE_MAX);
    open_scene(&s, plain(false));
    CHECK_OK(responses_chat_whole(&s.chat, quoted(&json, body)));
    CHECK(s.reply.ended);
    assert_int_equal(s.reply.out.len, 0);
    CHECK_OK(responses_reply_write(&s.reply, &out));
    if (strstr(shown(&out), object) == NULL)
        assert_string_equal(shown(&out), object);
    close_scene(&s);
}

static void reads_whole_answers_too(void **state)
{
    (void)state;
    check_whole(
        "{'choices':[{'message':{'role':'assistant','content':'a','refusal':null,"
        "'reasoning_content':'r','tool_calls':[{'id':'c','type':'function','function':"
        "{'name':'f','arguments':'{}'}},{'type':'function','function':{'name':'f',"
        "'arguments':'1'}}]},'finish_reason':'tool_calls'}],'usage':{'prompt_tokens':1,"
        "'completion_tokens':2}}",
        "'output':[{'id':'rs_00000','type':'reasoning','status':'completed','summary':[],"
        "'content':[{'type':'reasoning_text','text':'r'}]},{'id':'msg_00001','type':"
        "'message','status':'completed','role':'assistant','content':[{'type':"
        "'output_text','text':'a','annotations':[],'logprobs':[]}]},{'id':'fc_00002',"
        "'type':'function_call','status':'completed','call_id':'c','name':'f','arguments':"
        "'{}'},{'id':'fc_00003','type':'function_call','status':'completed','call_id':"
        "'call_00003','name':'f','arguments':'1'}],'model':'m'}");
    check_whole("{'choices':[{'message':{'content':'a'},'finish_reason':'length'}]}",
                "'status':'incomplete'");
    check_whole("{'choices':[]}", "'status':'failed'");
    check_whole("{'choices':[{'message':{'content':'a'}}]}", "'status':'failed'");
    check_whole("nothing", "'status':'failed'");
    check_whole("{'error':{'message':'no'}}", "'message':'no'");
}

static struct allowance_use use_of(const char *stream, const char *whole)
{
    struct scene s;
    BUF_AUTO json = BUF(CASE_MAX);
    open_scene(&s, plain(true));
    if (stream != NULL)
        CHECK_OK(responses_chat_put(&s.chat, quoted(&json, stream)));
    else
        CHECK_OK(responses_chat_whole(&s.chat, quoted(&json, whole)));
    struct allowance_use use = usage_sum(&s.chat.usage, 40);
    close_scene(&s);
    return use;
}

static void counts_what_it_came_to(void **state)
{
    (void)state;
    struct allowance_use use = use_of(CHUNK("{'content':'a'}") USAGE, NULL);
    CHECK(use.prompt_tokens == 3 && use.answer_tokens == 4 && !use.estimated);
    use = use_of(CHUNK("{'content':'a'}") CHUNK("{'content':'b'}"), NULL);
    CHECK(use.prompt_tokens == 10 && use.answer_tokens == 2 && use.estimated);
    use = use_of(NULL,
                 "{'choices':[{'message':{'content':'a'},'finish_reason':'stop'}],'usage':"
                 "{'prompt_tokens':5,'completion_tokens':6}}");
    CHECK(use.prompt_tokens == 5 && use.answer_tokens == 6 && !use.estimated);
}

static void says_a_whole_answer_as_events_if_need_be(void **state)
{
    (void)state;
    struct scene s;
    struct record r;
    BUF_AUTO json = BUF(CASE_MAX);
    open_scene(&s, plain(true));
    CHECK_OK(responses_chat_whole(
        &s.chat,
        quoted(&json, "{'choices':[{'message':{'content':'a'},'finish_reason':'stop'}]}")));
    read_events(&r, buf_view(&s.reply.out));
    assert_string_equal(buf_str(&r.text), BEGUN
                        "output_item.added 0 message\ncontent_part.added 0\n"
                        "output_text.delta 0 a\noutput_text.done 0 a\ncontent_part.done 0\n"
                        "output_item.done 0 message\ncompleted\n[DONE]");
    forget(&r);
    close_scene(&s);
}

static err run(void *arg)
{
    struct responses_reply reply;
    struct responses_chat chat;
    struct scene *s = arg;
    struct responses_reply_settings settings = plain(true);
    settings.tools = &s->tools;
    responses_reply_init(&reply, &settings);
    responses_chat_init(&chat, &reply);
    err e = responses_reply_start(&reply);
    static const char stream[] =
        "data: {\"choices\":[{\"delta\":{\"reasoning\":\"r\",\"content\":\"a\",\"tool_calls\":[{"
        "\"id\":\"c\",\"function\":{\"name\":\"patch\",\"arguments\":\"{}\"}}]},"
        "\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    if (e.code == ERR_OK)
        e = responses_chat_put(&chat, bytes_str(stream));
    responses_chat_clear(&chat);
    responses_reply_clear(&reply);
    return e;
}

static void survives_every_allocation_that_fails(void **state)
{
    (void)state;
    struct scene s;
    open_scene(&s, plain(true));
    law_every_allocation_fails_once(run, &s);
    close_scene(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_text_in_the_whole_order_of_events),
        cmocka_unit_test(writes_each_event_in_its_full_form),
        cmocka_unit_test(says_nothing_where_nothing_was_said),
        cmocka_unit_test(puts_reasoning_before_the_text),
        cmocka_unit_test(summarizes_and_wraps_reasoning_when_asked),
        cmocka_unit_test(refuses),
        cmocka_unit_test(calls_functions_side_by_side),
        cmocka_unit_test(follows_engines_that_number_calls_badly),
        cmocka_unit_test(gives_custom_tools_their_input),
        cmocka_unit_test(gives_tools_of_a_namespace_their_own_names),
        cmocka_unit_test(is_incomplete_when_it_was_cut_by_a_limit),
        cmocka_unit_test(takes_an_end_behind_a_finish_reason_for_an_end),
        cmocka_unit_test(fails_when_the_engine_does),
        cmocka_unit_test(says_of_nothing_that_broke_off_that_it_is_done),
        cmocka_unit_test(fails_for_a_call_without_a_name),
        cmocka_unit_test(says_errors_flat_and_nested),
        cmocka_unit_test(hands_on_logprobs_when_asked),
        cmocka_unit_test(reads_whole_answers_too),
        cmocka_unit_test(counts_what_it_came_to),
        cmocka_unit_test(says_a_whole_answer_as_events_if_need_be),
        cmocka_unit_test(survives_every_allocation_that_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
