#include "api/responses_items.h"
#include "tests/unit/api/responses_case.h"

static void check(const char *input, const char *want)
{
    struct json *root = parsed(input);
    BUF_AUTO out = BUF(CASE_MAX);
    CHECK_OK(responses_items_write(&out, root, "resp_00"));
    assert_string_equal(shown(&out), want);
    json_free(root);
}

static void gives_every_item_an_id_and_a_type(void **state)
{
    (void)state;
    check("'hi'",
          "{'id':'msg_00i000','type':'message','status':'completed','role':'user',"
          "'content':[{'type':'input_text','text':'hi'}]}");
    check(
        "[{'role':'assistant','content':'a'},{'type':'function_call_output','call_id':'c',"
        "'output':'o'},{'id':'x','type':'reasoning','summary':[]}]",
        "{'id':'msg_00i000','type':'message','status':'completed','role':'assistant','content':"
        "[{'type':'output_text','text':'a','annotations':[]}]},{'id':'fco_00i001','type':"
        "'function_call_output','call_id':'c','output':'o'},{'id':'x','type':'reasoning',"
        "'summary':[]}");
    check("[]", "");
    check("null", "");
}

static void check_list(const char *query, const char *want)
{
    struct responses_list list;
    const char *param;
    BUF_AUTO items = BUF(CASE_MAX);
    BUF_AUTO out = BUF(CASE_MAX);
    if (!responses_list_read(&list, bytes_str(query), &param)) {
        assert_string_equal(param, want);
        return;
    }
    CHECK_OK(responses_list_write(&out, quoted(&items, "{'id':'a'},{'id':'b'},{'id':'c'}"), &list));
    assert_string_equal(shown(&out), want);
}

static void lists_them_newest_first(void **state)
{
    (void)state;
    check_list("",
               "{'object':'list','data':[{'id':'c'},{'id':'b'},{'id':'a'}],'first_id':'c',"
               "'last_id':'a','has_more':false}");
    check_list("order=asc&limit=2",
               "{'object':'list','data':[{'id':'a'},{'id':'b'}],'first_id':"
               "'a','last_id':'b','has_more':true}");
    check_list("order=asc&limit=2&after=b",
               "{'object':'list','data':[{'id':'c'}],'first_id':'c','last_id':'c','has_more':"
               "false}");
    check_list("after=a",
               "{'object':'list','data':[],'first_id':null,'last_id':null,'has_more':"
               "false}");
}

static void names_what_cannot_be(void **state)
{
    (void)state;
    check_list("limit=0", "limit");
    check_list("limit=101", "limit");
    check_list("limit=x", "limit");
    check_list("order=up", "order");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_every_item_an_id_and_a_type),
        cmocka_unit_test(lists_them_newest_first),
        cmocka_unit_test(names_what_cannot_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
