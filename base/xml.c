/*
 * One pass, no recursion: nodes stand in document order in one array, each with its depth and the
 * place behind its subtree, so that walking a subtree is counting up.
 */
#include "base/xml.h"

#include "base/mem.h"
#include "base/text.h"
#include "base/xml_own.h"

struct reading {
    struct xml *doc;
    bytes in;
    size_t open; /* the innermost open element; 0: none */
    bool had_root;
};

/* --- growing ----------------------------------------------------------------------------------- */

static err grow(void *rows, size_t n, size_t *cap, size_t size, size_t most)
{
    void **at = rows;
    ENSURE(n < most, LIMIT);
    if (n < *cap)
        return OK;
    size_t larger = *cap == 0 ? 64 : 2 * *cap;
    void *moved = mem_realloc(*at, larger * size);
    ENSURE(moved != NULL, NOMEM);
    *at = moved;
    *cap = larger;
    return OK;
}

static err add_node(struct xml *doc, size_t parent, struct node **out)
{
    TRY(grow((void *)&doc->nodes, doc->nodes_n, &doc->nodes_cap, sizeof *doc->nodes,
             XML_NODES_MAX));
    struct node *n = &doc->nodes[doc->nodes_n++];
    *n = (struct node){ .parent = parent, .end = doc->nodes_n };
    n->depth = parent > 0 ? doc->nodes[parent].depth + 1 : 1;
    ENSURE(n->depth <= XML_DEPTH_MAX, LIMIT);
    *out = n;
    return OK;
}

static err keep(struct xml *doc, bytes text, struct span *out)
{
    *out = (struct span){ doc->arena.len, text.len };
    return buf_add(&doc->arena, text);
}

/* --- characters -------------------------------------------------------------------------------- */

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_name_start(uint8_t c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' || c >= 0x80;
}

static bool is_name_part(uint8_t c)
{
    return is_name_start(c) || (c >= '0' && c <= '9') || c == '-' || c == '.';
}

static bool take_literal(bytes *in, const char *text)
{
    bytes taken;
    return bytes_starts(*in, bytes_str(text)) && bytes_take(in, strlen(text), &taken);
}

static bool skip_spaces(bytes *in)
{
    size_t n = 0;
    bytes taken;
    while (n < in->len && is_space(in->at[n]))
        n++;
    return bytes_take(in, n, &taken) && n > 0;
}

static bool take_ncname(bytes *in, bytes *out)
{
    size_t n = 0;
    if (in->len == 0 || !is_name_start(in->at[0]))
        return false;
    while (n < in->len && is_name_part(in->at[n]))
        n++;
    return bytes_take(in, n, out);
}

static err take_name(bytes *in, bytes *prefix, bytes *local)
{
    *prefix = (bytes){ 0 };
    ENSURE(take_ncname(in, local), MALFORMED);
    if (!take_literal(in, ":"))
        return OK;
    *prefix = *local;
    ENSURE(take_ncname(in, local), MALFORMED);
    return OK;
}

static err add_utf8(struct buf *out, uint32_t c)
{
    uint8_t b[4];
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const uint8_t lead[] = { 0, 0x00, 0xc0, 0xe0, 0xf0 };
    for (size_t i = n; i-- > 1; c >>= 6)
        b[i] = (uint8_t)(0x80 | (c & 0x3f));
    b[0] = (uint8_t)(lead[n] | c);
    return buf_add(out, bytes_of(b, n));
}

/* XML 1.0 section 2.2 */
static bool is_char(uint32_t c)
{
    return c == 0x9 || c == 0xa || c == 0xd || (c >= 0x20 && c <= 0xd7ff) ||
           (c >= 0xe000 && c <= 0xfffd) || (c >= 0x10000 && c <= 0x10ffff);
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static err add_char_reference(struct buf *out, bytes digits)
{
    uint32_t c = 0, base = 10;
    if (take_literal(&digits, "x"))
        base = 16;
    ENSURE(digits.len > 0 && digits.len <= 7, MALFORMED);
    for (size_t i = 0; i < digits.len; i++) {
        int d = hex_digit(digits.at[i]);
        ENSURE(d >= 0 && (uint32_t)d < base, MALFORMED);
        c = c * base + (uint32_t)d;
    }
    ENSURE(is_char(c), MALFORMED);
    return add_utf8(out, c);
}

/* *in stands behind the `&`. */
static err take_reference(bytes *in, struct buf *out)
{
    static const struct {
        const char *name;
        char c;
    } entities[] = {
        { "amp", '&' }, { "lt", '<' }, { "gt", '>' }, { "quot", '"' }, { "apos", '\'' }
    };
    size_t end = text_find(bytes_slice(*in, 0, 12), BYTES_LIT(";"));
    bytes name, semicolon;
    ENSURE(bytes_take(in, end, &name) && bytes_take(in, 1, &semicolon), MALFORMED);
    ENSURE(semicolon.at[0] == ';', MALFORMED);
    if (take_literal(&name, "#"))
        return add_char_reference(out, name);
    for (size_t i = 0; i < ARRAY_LEN(entities); i++) {
        if (bytes_equal(name, bytes_str(entities[i].name)))
            return buf_add_u8(out, (uint8_t)entities[i].c);
    }
    FAIL(MALFORMED);
}

/* One character or reference. Line ends become LF (section 2.11), in attributes white space becomes
 * a space (section 3.3.3); what a reference stands for stays. */
static err take_content(bytes *in, bool attribute, struct buf *out)
{
    uint8_t c;
    ENSURE(bytes_take_u8(in, &c), TRUNCATED);
    if (c == '&')
        return take_reference(in, out);
    ENSURE(c >= 0x20 || is_space(c), MALFORMED);
    if (c == '\r') {
        (void)take_literal(in, "\n");
        c = '\n';
    }
    return buf_add_u8(out, attribute && is_space(c) ? ' ' : c);
}

/* --- namespaces -------------------------------------------------------------------------------- */

bool xml_resolve(const struct xml *doc, size_t at, bytes prefix, struct span *out)
{
    for (; at > 0; at = doc->nodes[at].parent) {
        const struct node *n = &doc->nodes[at];
        for (size_t i = n->declared; i < n->declared + n->declared_n; i++) {
            if (!bytes_equal(xml_view(doc, doc->declared[i].local), prefix))
                continue;
            *out = doc->declared[i].value;
            return true;
        }
    }
    *out = (struct span){ 0, 0 };
    return prefix.len == 0;
}

static bool same_span(const struct xml *doc, struct span a, struct span b)
{
    return bytes_equal(xml_view(doc, a), xml_view(doc, b));
}

/* Names are complete only when all attributes of the element are known. */
static err resolve_names(struct xml *doc, size_t at)
{
    struct node *n = &doc->nodes[at];
    ENSURE(xml_resolve(doc, at, xml_view(doc, n->prefix), &n->uri), MALFORMED);
    for (size_t i = n->attributes; i < n->attributes + n->attributes_n; i++) {
        struct attribute *a = &doc->attributes[i];
        if (a->prefix.len > 0)
            ENSURE(xml_resolve(doc, at, xml_view(doc, a->prefix), &a->uri), MALFORMED);
        for (size_t k = n->attributes; k < i; k++)
            ENSURE(!same_span(doc, a->local, doc->attributes[k].local) ||
                       !same_span(doc, a->uri, doc->attributes[k].uri),
                   MALFORMED);
    }
    return OK;
}

/* --- tags -------------------------------------------------------------------------------------- */

static err take_value(bytes *in, struct xml *doc, struct span *out)
{
    uint8_t quote;
    size_t from = doc->arena.len;
    ENSURE(bytes_take_u8(in, &quote) && (quote == '"' || quote == '\''), MALFORMED);
    while (in->len > 0 && in->at[0] != quote) {
        ENSURE(in->at[0] != '<', MALFORMED);
        TRY(take_content(in, true, &doc->arena));
    }
    ENSURE(bytes_take_u8(in, &quote), TRUNCATED);
    *out = (struct span){ from, doc->arena.len - from };
    return OK;
}

/* A prefix cannot be made to stand for nothing again, and none may be called xml or xmlns. */
static err add_declaration(struct xml *doc, size_t at, const struct attribute *a, bool is_default)
{
    struct node *n = &doc->nodes[at];
    struct attribute d = *a;
    if (is_default)
        d.local = (struct span){ 0, 0 };
    bytes prefix = xml_view(doc, d.local);
    ENSURE(is_default || a->value.len > 0, MALFORMED);
    ENSURE(!bytes_starts(prefix, BYTES_LIT("xml")), MALFORMED);
    for (size_t i = n->declared; i < n->declared + n->declared_n; i++)
        ENSURE(!same_span(doc, doc->declared[i].local, d.local), MALFORMED);
    ENSURE(n->declared_n < XML_ATTRIBUTES_EACH_MAX, LIMIT);
    TRY(grow((void *)&doc->declared, doc->declared_n, &doc->declared_cap, sizeof *doc->declared,
             XML_ATTRIBUTES_MAX));
    doc->declared[doc->declared_n++] = d;
    n->declared_n++;
    return OK;
}

static err add_attribute(struct xml *doc, size_t at, const struct attribute *a)
{
    struct node *n = &doc->nodes[at];
    ENSURE(!bytes_equal(xml_view(doc, a->prefix), BYTES_LIT("xml")), MALFORMED);
    ENSURE(n->attributes_n < XML_ATTRIBUTES_EACH_MAX, LIMIT);
    TRY(grow((void *)&doc->attributes, doc->attributes_n, &doc->attributes_cap,
             sizeof *doc->attributes, XML_ATTRIBUTES_MAX));
    doc->attributes[doc->attributes_n++] = *a;
    n->attributes_n++;
    return OK;
}

static err take_attribute(struct reading *r, size_t at)
{
    struct attribute a = { 0 };
    bytes prefix, local;
    TRY(take_name(&r->in, &prefix, &local));
    TRY(keep(r->doc, prefix, &a.prefix));
    TRY(keep(r->doc, local, &a.local));
    (void)skip_spaces(&r->in);
    ENSURE(take_literal(&r->in, "="), MALFORMED);
    (void)skip_spaces(&r->in);
    TRY(take_value(&r->in, r->doc, &a.value));
    bool is_default = prefix.len == 0 && bytes_equal(local, BYTES_LIT("xmlns"));
    if (is_default || bytes_equal(prefix, BYTES_LIT("xmlns")))
        return add_declaration(r->doc, at, &a, is_default);
    return add_attribute(r->doc, at, &a);
}

static void close_element(struct reading *r)
{
    struct node *n = &r->doc->nodes[r->open];
    n->end = r->doc->nodes_n;
    r->open = n->parent;
}

/* *in stands behind the `<`. */
static err take_start(struct reading *r)
{
    struct node *n;
    bytes prefix, local;
    ENSURE(r->open > 0 || !r->had_root, MALFORMED);
    TRY(take_name(&r->in, &prefix, &local));
    TRY(add_node(r->doc, r->open, &n));
    n->attributes = r->doc->attributes_n;
    n->declared = r->doc->declared_n;
    TRY(keep(r->doc, prefix, &n->prefix));
    TRY(keep(r->doc, local, &n->local));
    size_t at = r->doc->nodes_n - 1;
    r->open = at;
    r->had_root = true;
    bool spaced = skip_spaces(&r->in);
    while (spaced && r->in.len > 0 && r->in.at[0] != '>' && r->in.at[0] != '/') {
        TRY(take_attribute(r, at));
        spaced = skip_spaces(&r->in);
    }
    TRY(resolve_names(r->doc, at));
    if (take_literal(&r->in, "/>")) {
        close_element(r);
        return OK;
    }
    ENSURE(take_literal(&r->in, ">"), MALFORMED);
    return OK;
}

/* *in stands behind the `</`. */
static err take_end(struct reading *r)
{
    bytes prefix, local;
    ENSURE(r->open > 0, MALFORMED);
    TRY(take_name(&r->in, &prefix, &local));
    const struct node *n = &r->doc->nodes[r->open];
    ENSURE(bytes_equal(prefix, xml_view(r->doc, n->prefix)) &&
               bytes_equal(local, xml_view(r->doc, n->local)),
           MALFORMED);
    (void)skip_spaces(&r->in);
    ENSURE(take_literal(&r->in, ">"), MALFORMED);
    close_element(r);
    return OK;
}

/* *in stands behind the `<!--`. */
static err take_comment(bytes *in)
{
    bytes body;
    size_t end = text_find(*in, BYTES_LIT("--"));
    ENSURE(bytes_take(in, end, &body) && take_literal(in, "-->"), MALFORMED);
    for (size_t i = 0; i < body.len; i++)
        ENSURE(body.at[i] >= 0x20 || is_space(body.at[i]), MALFORMED);
    return OK;
}

/* Text that a comment divides is one run. */
static err take_text(struct reading *r)
{
    struct xml *doc = r->doc;
    struct node *n = &doc->nodes[doc->nodes_n - 1];
    size_t from = doc->arena.len;
    if (r->open == 0) {
        ENSURE(skip_spaces(&r->in), MALFORMED);
        return OK;
    }
    while (r->in.len > 0 && r->in.at[0] != '<') {
        ENSURE(!bytes_starts(r->in, BYTES_LIT("]]>")), MALFORMED);
        TRY(take_content(&r->in, false, &doc->arena));
    }
    bool goes_on = doc->nodes_n - 1 > r->open && n->local.len == 0 && n->parent == r->open &&
                   n->text.at + n->text.len == from;
    if (!goes_on) {
        TRY(add_node(doc, r->open, &n));
        n->text.at = from;
    }
    n->text.len = doc->arena.len - n->text.at;
    return OK;
}

static err take_markup(struct reading *r)
{
    if (take_literal(&r->in, "<!--"))
        return take_comment(&r->in);
    if (take_literal(&r->in, "</"))
        return take_end(r);
    if (!take_literal(&r->in, "<"))
        return take_text(r);
    ENSURE(r->in.len > 0 && r->in.at[0] != '!' && r->in.at[0] != '?', MALFORMED);
    return take_start(r);
}

/* --- the whole --------------------------------------------------------------------------------- */

/* <?xml version="1.0" encoding="UTF-8" standalone="yes"?>, of which only the version must be. */
static err take_declaration(bytes *in)
{
    bytes body;
    (void)take_literal(in, "\xef\xbb\xbf");
    if (!bytes_starts(*in, BYTES_LIT("<?xml")))
        return OK;
    size_t end = text_find(*in, BYTES_LIT("?>"));
    ENSURE(bytes_take(in, end, &body) && take_literal(in, "?>"), MALFORMED);
    ENSURE(text_find(body, BYTES_LIT("version=\"1.0\"")) < body.len ||
               text_find(body, BYTES_LIT("version='1.0'")) < body.len,
           UNSUPPORTED);
    size_t at = text_find(body, BYTES_LIT("encoding="));
    bytes name = bytes_slice(body, at + sizeof "encoding='" - 1, sizeof "UTF-8" - 1);
    ENSURE(at == body.len || text_equal_nocase(name, BYTES_LIT("UTF-8")), UNSUPPORTED);
    return OK;
}

static err read_all(struct reading *r)
{
    TRY(grow((void *)&r->doc->nodes, 0, &r->doc->nodes_cap, sizeof *r->doc->nodes, XML_NODES_MAX));
    r->doc->nodes[0] = (struct node){ 0 };
    r->doc->nodes_n = 1;
    TRY(take_declaration(&r->in));
    while (r->in.len > 0)
        TRY(take_markup(r));
    ENSURE(r->had_root && r->open == 0, TRUNCATED);
    return OK;
}

err xml_read(struct xml **out, bytes in)
{
    struct xml *doc;
    ENSURE(in.len <= XML_INPUT_MAX, LIMIT);
    ENSURE(text_is_utf8(in), MALFORMED);
    TRY(mem_new(&doc));
    doc->arena = BUF(XML_INPUT_MAX);
    struct reading r = { .doc = doc, .in = in };
    err e = read_all(&r);
    if (err_is_ok(e))
        *out = doc;
    else
        xml_free(doc);
    return e;
}

void xml_free(struct xml *doc)
{
    if (doc == NULL)
        return;
    buf_clear(&doc->arena);
    mem_free(doc->nodes);
    mem_free(doc->attributes);
    mem_free(doc->declared);
    mem_free(doc);
}

/* --- looking ----------------------------------------------------------------------------------- */

static const struct node *node_of(struct xml_node n)
{
    return &n.of->nodes[n.at];
}

struct xml_node xml_root(const struct xml *doc)
{
    return (struct xml_node){ doc, 1 };
}

bool xml_is_node(struct xml_node n)
{
    return n.of != NULL && n.at > 0;
}

bool xml_is(struct xml_node n, const char *uri, const char *name)
{
    return xml_is_node(n) && node_of(n)->local.len > 0 &&
           bytes_equal(xml_view(n.of, node_of(n)->local), bytes_str(name)) &&
           bytes_equal(xml_view(n.of, node_of(n)->uri), bytes_str(uri));
}

struct xml_node xml_child(struct xml_node parent, const char *uri, const char *name, size_t n)
{
    if (!xml_is_node(parent))
        return (struct xml_node){ 0 };
    struct xml_node child = { parent.of, parent.at + 1 };
    for (; child.at < node_of(parent)->end; child.at = node_of(child)->end) {
        if (xml_is(child, uri, name) && n-- == 0)
            return child;
    }
    return (struct xml_node){ 0 };
}

size_t xml_children(struct xml_node parent)
{
    size_t n = 0;
    if (!xml_is_node(parent))
        return 0;
    struct xml_node child = { parent.of, parent.at + 1 };
    for (; child.at < node_of(parent)->end; child.at = node_of(child)->end)
        n += node_of(child)->local.len > 0;
    return n;
}

bool xml_attribute(struct xml_node element, const char *uri, const char *name, bytes *out)
{
    if (!xml_is_node(element))
        return false;
    const struct node *n = node_of(element);
    for (size_t i = n->attributes; i < n->attributes + n->attributes_n; i++) {
        const struct attribute *a = &element.of->attributes[i];
        if (!bytes_equal(xml_view(element.of, a->local), bytes_str(name)) ||
            !bytes_equal(xml_view(element.of, a->uri), bytes_str(uri)))
            continue;
        *out = xml_view(element.of, a->value);
        return true;
    }
    return false;
}

err xml_text(struct xml_node element, struct buf *out)
{
    ENSURE(xml_is_node(element) && xml_children(element) == 0, MALFORMED);
    for (size_t i = element.at + 1; i < node_of(element)->end; i++)
        TRY(buf_add(out, xml_view(element.of, element.of->nodes[i].text)));
    return OK;
}
