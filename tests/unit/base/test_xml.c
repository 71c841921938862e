#include "base/xml.h"
#include "tests/lib/law.h"

static struct xml *doc;

static err read_text(const char *text)
{
    xml_free(doc);
    doc = NULL;
    return xml_read(&doc, bytes_str(text));
}

static void elements_attributes_and_text_are_found(void **state)
{
    (void)state;
    bytes value;
    BUF_AUTO text = BUF(64);
    CHECK_OK(
        read_text("\xef\xbb\xbf<?xml version='1.0' encoding='utf-8'?>\n<!-- x -->\n"
                  "<a xmlns='u' xmlns:p='v' k=\"1 &lt;&#65;&#x20ac;\" p:k='2'>"
                  "<b/>t&amp;<!-- y -->u<b z='&#10;\r\n\t'>w</b ></a>\n"));
    struct xml_node a = xml_root(doc);
    CHECK(xml_is(a, "u", "a") && !xml_is(a, "", "a") && xml_children(a) == 2);
    CHECK(xml_attribute(a, "", "k", &value));
    CHECK_BYTES(value, BYTES_LIT("1 <A\xe2\x82\xac"));
    CHECK(xml_attribute(a, "v", "k", &value));
    CHECK_BYTES(value, BYTES_LIT("2"));
    CHECK(!xml_attribute(a, "u", "k", &value) && !xml_attribute(a, "", "xmlns", &value));
    struct xml_node second = xml_child(a, "u", "b", 1);
    CHECK(xml_is_node(second) && !xml_is_node(xml_child(a, "u", "b", 2)));
    CHECK(xml_attribute(second, "", "z", &value));
    CHECK_BYTES(value, BYTES_LIT("\n  "));
    CHECK_OK(xml_text(second, &text));
    CHECK_BYTES(buf_view(&text), BYTES_LIT("w"));
    CHECK_ERR(xml_text(a, &text), MALFORMED);
    CHECK(!xml_attribute((struct xml_node){ 0 }, "", "z", &value));
}

static void what_is_not_needed_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "<!DOCTYPE a><a/>",
        "<a><![CDATA[x]]></a>",
        "<a><?p?></a>",
        "<a xml:lang='x'/>",
        "<a xmlns:xml='u'/>",
        "<p:a/>",
        "<a p:k='1'/>",
        "<a xmlns:p=''/>",
        "<a k='1' k='2'/>",
        "<a xmlns:p='u' xmlns:q='u' p:k='1' q:k='2'/>",
        "<a xmlns='u' xmlns='v'/>",
        "<a k=1/>",
        "<a k='<'/>",
        "<a k='1'b='2'/>",
        "<a>&nbsp;</a>",
        "<a>&#0;</a>",
        "<a>&#xD800;</a>",
        "<a>& </a>",
        "<a>]]></a>",
        "<a></b>",
        "<a/><b/>",
        "<a/>x",
        "x<a/>",
        "<a><!-- -- --></a>",
        "< a/>",
        "<1/>",
        "<a:/>",
        "<a>\x01</a>",
        "<a>\xff</a>",
        "</a>",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        err e = read_text(bad[i]);
        if (e.code != ERR_MALFORMED)
            fail_msg("%s: %s", bad[i], err_word(e));
    }
    CHECK_ERR(read_text("<?xml version='1.1'?><a/>"), UNSUPPORTED);
    CHECK_ERR(read_text("<?xml version='1.0' encoding='latin1'?><a/>"), UNSUPPORTED);
}

static void every_cut_is_refused(void **state)
{
    (void)state;
    bytes whole = BYTES_LIT("<a k='&lt;'><b>t&amp;u</b><!-- c --><c/></a>");
    for (size_t n = 0; n < whole.len; n++) {
        struct xml *cut = NULL;
        CHECK(!err_is_ok(xml_read(&cut, bytes_slice(whole, 0, n))) && cut == NULL);
    }
    CHECK_OK(xml_read(&doc, whole));
}

static err nested(size_t depth)
{
    BUF_AUTO text = BUF(4096);
    for (size_t i = 0; i < depth; i++)
        CHECK_OK(buf_add_str(&text, "<a>"));
    for (size_t i = 0; i < depth; i++)
        CHECK_OK(buf_add_str(&text, "</a>"));
    return read_text(buf_str(&text));
}

static err with_attributes(size_t n)
{
    BUF_AUTO text = BUF(16384);
    CHECK_OK(buf_add_str(&text, "<a"));
    for (size_t i = 0; i < n; i++)
        CHECK_OK(buf_addf(&text, " k%zu=''", i));
    CHECK_OK(buf_add_str(&text, "/>"));
    return read_text(buf_str(&text));
}

static err with_nodes(size_t n)
{
    BUF_AUTO text = BUF(XML_INPUT_MAX);
    CHECK_OK(buf_add_str(&text, "<a>"));
    for (size_t i = 2; i < n; i++)
        CHECK_OK(buf_add_str(&text, "<b/>"));
    CHECK_OK(buf_add_str(&text, "</a>"));
    return read_text(buf_str(&text));
}

static void the_limits_are_taken_and_one_more_is_refused(void **state)
{
    (void)state;
    CHECK_OK(nested(XML_DEPTH_MAX));
    CHECK_ERR(nested(XML_DEPTH_MAX + 1), LIMIT);
    CHECK_OK(with_attributes(XML_ATTRIBUTES_EACH_MAX));
    CHECK_ERR(with_attributes(XML_ATTRIBUTES_EACH_MAX + 1), LIMIT);
    CHECK_OK(with_nodes(XML_NODES_MAX));
    CHECK_ERR(with_nodes(XML_NODES_MAX + 1), LIMIT);
    BUF_AUTO large = BUF(XML_INPUT_MAX + 1);
    CHECK_OK(buf_add_str(&large, "<a/>"));
    while (large.len < XML_INPUT_MAX)
        CHECK_OK(buf_add_u8(&large, ' '));
    struct xml *other;
    CHECK_OK(xml_read(&other, buf_view(&large)));
    xml_free(other);
    CHECK_OK(buf_add_u8(&large, ' '));
    CHECK_ERR(xml_read(&other, buf_view(&large)), LIMIT);
}

static err read_once(void *arg)
{
    (void)arg;
    return read_text("<a xmlns='u' k='v'><b/>text</a>");
}

static void every_allocation_fails_once(void **state)
{
    (void)state;
    law_every_allocation_fails_once(read_once, NULL);
}

static int teardown(void **state)
{
    (void)state;
    xml_free(doc);
    doc = NULL;
    return 0;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, teardown)
    const struct CMUnitTest tests[] = {
        TEST(elements_attributes_and_text_are_found),
        TEST(what_is_not_needed_is_refused),
        TEST(every_cut_is_refused),
        TEST(the_limits_are_taken_and_one_more_is_refused),
        TEST(every_allocation_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
