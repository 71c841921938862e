#include <string.h>

#include "base/yaml.h"
#include "tests/lib/law.h"

static err read_text(struct yaml **out, const char *text)
{
    return yaml_read(out, bytes_str(text), "x.yaml", NULL);
}

static void check_refused(const char *text, const char *message)
{
    BUF_AUTO why = BUF(1024);
    struct yaml *root = NULL;
    CHECK_ERR(yaml_read(&root, bytes_str(text), "x.yaml", &why), MALFORMED);
    CHECK(root == NULL);
    assert_string_equal(buf_str(&why), message);
}

static void reads_maps_lists_and_text_with_their_lines(void **state)
{
    (void)state;
    struct yaml *root;
    CHECK_OK(read_text(&root,
                       "# head\nlisten: 127.0.0.1:80\ntls:\n  cert: 'a b'\n  key: \"\\u00fc\"\n"
                       "list:\n  - one\n  - { two: 2 }\nflow: [a, b, c]\n"));
    CHECK(root->kind == YAML_MAP && root->n == 4);
    const struct yaml *listen = yaml_get(root, "listen");
    CHECK(listen->kind == YAML_TEXT && listen->line == 2);
    assert_string_equal(listen->text, "127.0.0.1:80");
    assert_string_equal(yaml_get(yaml_get(root, "tls"), "cert")->text, "a b");
    assert_string_equal(yaml_get(yaml_get(root, "tls"), "key")->text, "\xc3\xbc");
    const struct yaml *list = yaml_get(root, "list");
    CHECK(list->kind == YAML_LIST && list->n == 2 && list->first->key == NULL);
    assert_string_equal(yaml_get(list->first->next, "two")->text, "2");
    CHECK(yaml_get(list->first->next, "two")->line == 8);
    CHECK(yaml_get(root, "flow")->n == 3);
    CHECK(yaml_get(root, "none") == NULL && yaml_get(NULL, "x") == NULL);
    CHECK(yaml_get(listen, "x") == NULL);
    yaml_free(root);
}

static void tells_nothing_from_text(void **state)
{
    (void)state;
    struct yaml *root;
    CHECK_OK(read_text(&root, "a:\nb: ~\nc: null\nd: ''\ne: \"null\"\nf: nullx\n"));
    CHECK(yaml_get(root, "a")->kind == YAML_NOTHING);
    CHECK(yaml_get(root, "b")->kind == YAML_NOTHING);
    CHECK(yaml_get(root, "c")->kind == YAML_NOTHING);
    CHECK(yaml_get(root, "d")->kind == YAML_TEXT);
    CHECK(yaml_get(root, "e")->kind == YAML_TEXT);
    CHECK(yaml_get(root, "f")->kind == YAML_TEXT);
    yaml_free(root);
}

static void takes_an_empty_document_for_an_empty_map(void **state)
{
    (void)state;
    static const char *const empty[] = { "", "\n", "# only this\n", "---\n", "{}\n", "---\n...\n" };
    for (size_t i = 0; i < ARRAY_LEN(empty); i++) {
        struct yaml *root;
        CHECK_OK(read_text(&root, empty[i]));
        CHECK(root->kind == YAML_MAP && root->n == 0);
        yaml_free(root);
    }
}

static void names_the_line_and_what_to_do(void **state)
{
    (void)state;
    check_refused("a: 1\nb: 2\na: 3\n",
                  "x.yaml:3: a: given twice, first in line 1; remove one of "
                  "them");
    check_refused("a: &x 1\n", "x.yaml:1: anchors (&name) are not supported; write the value out");
    check_refused("\na: *x\n", "x.yaml:2: aliases (*name) are not supported; write the value out");
    check_refused("a: !!str 1\n", "x.yaml:1: tags (!name) are not supported; remove it");
    check_refused("a: { <<: { b: 1 } }\n",
                  "x.yaml:1: merge keys are not supported; write the settings out");
    check_refused("? [a]\n: 1\n", "x.yaml:1: a key must be a word; write `key: value`");
    check_refused("a: 1\n---\nb: 2\n",
                  "x.yaml:2: a second document; keep one and remove the `---`");
    check_refused("a: |\n  two\n  lines\n",
                  "x.yaml:1: text with a control character; write it on one line");
    check_refused("a: \"\\0\"\n", "x.yaml:1: text with a control character; write it on one line");
    check_refused("a: \"\\x85\"\n",
                  "x.yaml:1: text with a control character; write it on one line");
    check_refused("a: b: c\n",
                  "x.yaml:1: not YAML: mapping values are not allowed in this context");
    check_refused("a: [1\nb: 2\n", "x.yaml:2: not YAML: did not find expected ',' or ']'");
}

static void refuses_bytes_that_are_not_utf8(void **state)
{
    (void)state;
    struct yaml *root;
    CHECK_ERR(read_text(&root, "a: \xff\n"), MALFORMED);
    CHECK_ERR(read_text(&root, "\xff\xfe\x61"), MALFORMED);
    CHECK_ERR(yaml_read(&root, bytes_of("a\0b", 3), "x", NULL), MALFORMED);
}

static void nest(struct buf *b, size_t depth)
{
    for (size_t i = 0; i < depth; i++)
        CHECK_OK(buf_add_u8(b, '['));
    for (size_t i = 0; i < depth; i++)
        CHECK_OK(buf_add_u8(b, ']'));
}

static void bounds_the_depth(void **state)
{
    (void)state;
    struct yaml *root;
    BUF_AUTO at = BUF(64);
    nest(&at, YAML_DEPTH_MAX);
    CHECK_OK(yaml_read(&root, buf_view(&at), "x", NULL));
    yaml_free(root);
    BUF_AUTO above = BUF(64);
    nest(&above, YAML_DEPTH_MAX + 1);
    CHECK_ERR(yaml_read(&root, buf_view(&above), "x", NULL), LIMIT);
}

static void bounds_the_nodes(void **state)
{
    (void)state;
    struct yaml *root;
    BUF_AUTO b = BUF(YAML_INPUT_MAX);
    for (size_t i = 1; i < YAML_NODES_MAX; i++)
        CHECK_OK(buf_add_str(&b, "- a\n"));
    CHECK_OK(yaml_read(&root, buf_view(&b), "x", NULL));
    CHECK(root->n == YAML_NODES_MAX - 1);
    yaml_free(root);
    CHECK_OK(buf_add_str(&b, "- a\n"));
    CHECK_ERR(yaml_read(&root, buf_view(&b), "x", NULL), LIMIT);
}

static void bounds_the_input(void **state)
{
    (void)state;
    struct yaml *root;
    BUF_AUTO b = BUF(YAML_INPUT_MAX + 1);
    uint8_t *room;
    CHECK_OK(buf_reserve(&b, YAML_INPUT_MAX + 1, &room));
    memset(room, '\n', YAML_INPUT_MAX + 1);
    buf_commit(&b, YAML_INPUT_MAX);
    CHECK_OK(yaml_read(&root, buf_view(&b), "x", NULL));
    yaml_free(root);
    buf_commit(&b, 1);
    CHECK_ERR(yaml_read(&root, buf_view(&b), "x", NULL), LIMIT);
}

static void writes_text_that_reads_back(void **state)
{
    (void)state;
    static const char *const texts[] = { "",
                                         "plain",
                                         "127.0.0.1:8080",
                                         "/etc/x.yaml",
                                         "~",
                                         "null",
                                         "true",
                                         "12",
                                         "-1",
                                         "...",
                                         " lead",
                                         "trail ",
                                         "a: b",
                                         "a #b",
                                         "a#b",
                                         "'q'",
                                         "\"q\" \\",
                                         "[x]",
                                         "{x}",
                                         "a,b",
                                         "&a",
                                         "*a",
                                         "!a",
                                         "%a",
                                         "@a",
                                         "a:",
                                         ":a",
                                         "gr\xc3\xbc\xc3\x9f",
                                         "\xe2\x80\xa8",
                                         "\xef\xbb\xbf",
                                         "\xef\xbf\xbf",
                                         "\xf0\x9f\x98\x80",
                                         "\xc2\xa0" };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct yaml *root;
        BUF_AUTO b = BUF(256);
        CHECK_OK(buf_add_str(&b, "k: "));
        CHECK_OK(yaml_put_text(&b, bytes_str(texts[i])));
        CHECK_OK(yaml_read(&root, buf_view(&b), "x", NULL));
        CHECK(yaml_get(root, "k")->kind == YAML_TEXT);
        assert_string_equal(yaml_get(root, "k")->text, texts[i]);
        yaml_free(root);
    }
    BUF_AUTO b = BUF(256);
    CHECK_ERR(yaml_put_text(&b, BYTES_LIT("a\nb")), MALFORMED);
    CHECK_ERR(yaml_put_text(&b, BYTES_LIT("\xff")), MALFORMED);
}

static err read_and_free(void *arg)
{
    struct yaml *root;
    TRY(read_text(&root, arg));
    yaml_free(root);
    return OK;
}

static void survives_every_failing_allocation(void **state)
{
    (void)state;
    char text[] = "a: 1\nb:\n  - c\n  - d: e\nf: { g: h }\n";
    law_every_allocation_fails_once(read_and_free, text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_maps_lists_and_text_with_their_lines),
        cmocka_unit_test(tells_nothing_from_text),
        cmocka_unit_test(takes_an_empty_document_for_an_empty_map),
        cmocka_unit_test(names_the_line_and_what_to_do),
        cmocka_unit_test(refuses_bytes_that_are_not_utf8),
        cmocka_unit_test(bounds_the_depth),
        cmocka_unit_test(bounds_the_nodes),
        cmocka_unit_test(bounds_the_input),
        cmocka_unit_test(writes_text_that_reads_back),
        cmocka_unit_test(survives_every_failing_allocation),
    };
    return cmocka_run_group_tests_name("base/yaml", tests, NULL, NULL);
}
