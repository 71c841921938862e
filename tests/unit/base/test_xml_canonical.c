/* Examples after Canonical XML 1.1, section 3, as far as their documents are taken at all. */
#include "base/xml.h"
#include "tests/lib/law.h"

enum { LARGE = 16 * 1024 };

static void becomes(const char *text, const char *want)
{
    struct xml *doc, *again;
    BUF_AUTO out = BUF(LARGE);
    BUF_AUTO twice = BUF(LARGE);
    struct xml_node none = { 0 };
    CHECK_OK(xml_read(&doc, bytes_str(text)));
    CHECK_OK(xml_canonical(doc, none, none, &out));
    assert_string_equal(buf_str(&out), want);
    CHECK_OK(xml_read(&again, buf_view(&out)));
    CHECK_OK(xml_canonical(again, none, none, &twice));
    CHECK_BYTES(buf_view(&twice), buf_view(&out));
    xml_free(again);
    xml_free(doc);
}

static void comments_and_what_is_outside_are_dropped(void **state)
{
    (void)state;
    becomes("<?xml version=\"1.0\"?>\n\n<doc>Hello, world!<!-- Comment 1 --></doc>\n<!-- 2 -->\n",
            "<doc>Hello, world!</doc>");
}

static void white_space_inside_stays(void **state)
{
    (void)state;
    becomes(
        "<doc>\n   <clean>   </clean>\n   <mixed>\n  A\n  <clean>   </clean>\n  </mixed>\n</doc>",
        "<doc>\n   <clean>   </clean>\n   <mixed>\n  A\n  <clean>   </clean>\n  </mixed>\n</doc>");
    becomes("<a>x\r\ny\rz</a>", "<a>x\ny\nz</a>");
}

static void tags_attributes_and_namespaces_get_their_order(void **state)
{
    (void)state;
    becomes("<doc>\n   <e1   />\n   <e3   name = \"elem3\"   id=\"elem3\"   />\n</doc>",
            "<doc>\n   <e1></e1>\n   <e3 id=\"elem3\" name=\"elem3\"></e3>\n</doc>");
    becomes(
        "<e5 a:attr=\"out\" b:attr=\"sorted\" attr2=\"all\" attr=\"I'm\" "
        "xmlns:b=\"http://www.ietf.org\" xmlns:a=\"http://www.w3.org\" "
        "xmlns=\"http://example.org\"/>",
        "<e5 xmlns=\"http://example.org\" xmlns:a=\"http://www.w3.org\" "
        "xmlns:b=\"http://www.ietf.org\" attr=\"I'm\" attr2=\"all\" b:attr=\"sorted\" "
        "a:attr=\"out\"></e5>");
    becomes(
        "<e6 xmlns=\"\" xmlns:a=\"http://www.w3.org\"><e7 xmlns=\"http://www.ietf.org\">"
        "<e8 xmlns=\"\" xmlns:a=\"http://www.w3.org\"><e9 xmlns=\"\" "
        "xmlns:a=\"http://www.ietf.org\"/></e8></e7></e6>",
        "<e6 xmlns:a=\"http://www.w3.org\"><e7 xmlns=\"http://www.ietf.org\"><e8 xmlns=\"\">"
        "<e9 xmlns:a=\"http://www.ietf.org\"></e9></e8></e7></e6>");
}

static void characters_are_escaped_in_one_way(void **state)
{
    (void)state;
    becomes(
        "<doc>\n   <text>First line&#x0d;&#10;Second line</text>\n   <value>&#x32;</value>\n"
        "   <compute expr=\"value>&quot;0&quot; &amp;&amp; value&lt;&quot;10&quot; "
        "?&quot;valid&quot;:&quot;error&quot;\">valid</compute>\n"
        "   <norm attr=' &apos;   &#x20;&#13;&#xa;&#9;   &apos; '/>\n</doc>",
        "<doc>\n   <text>First line&#xD;\nSecond line</text>\n   <value>2</value>\n"
        "   <compute expr=\"value>&quot;0&quot; &amp;&amp; value&lt;&quot;10&quot; "
        "?&quot;valid&quot;:&quot;error&quot;\">valid</compute>\n"
        "   <norm attr=\" '    &#xD;&#xA;&#x9;   ' \"></norm>\n</doc>");
    becomes("<a>&gt;\"'</a>", "<a>&gt;\"'</a>");
}

static void one_element_brings_the_namespaces_around_it(void **state)
{
    (void)state;
    struct xml *doc;
    BUF_AUTO out = BUF(LARGE);
    CHECK_OK(xml_read(&doc, BYTES_LIT("<a xmlns='u' xmlns:p='v' xmlns:q='w'><p:b xmlns:q='x'>"
                                      "<c xmlns='u'/></p:b><d/></a>")));
    struct xml_node b = xml_child(xml_root(doc), "v", "b", 0);
    CHECK_OK(xml_canonical(doc, b, (struct xml_node){ 0 }, &out));
    assert_string_equal(buf_str(&out),
                        "<p:b xmlns=\"u\" xmlns:p=\"v\" xmlns:q=\"x\"><c></c></p:b>");
    buf_truncate(&out, 0);
    CHECK_OK(xml_canonical(doc, (struct xml_node){ 0 }, b, &out));
    assert_string_equal(buf_str(&out), "<a xmlns=\"u\" xmlns:p=\"v\" xmlns:q=\"w\"><d></d></a>");
    xml_free(doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comments_and_what_is_outside_are_dropped),
        cmocka_unit_test(white_space_inside_stays),
        cmocka_unit_test(tags_attributes_and_namespaces_get_their_order),
        cmocka_unit_test(characters_are_escaped_in_one_way),
        cmocka_unit_test(one_element_brings_the_namespaces_around_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
