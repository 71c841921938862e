/* Canonical XML 1.1 without comments, sections 2.2 to 2.4. */
#include "base/xml.h"
#include "base/xml_own.h"

/* Declarations or attributes of one element, in the order they are written. */
struct sorted {
    const struct attribute *rows[XML_ATTRIBUTES_EACH_MAX];
    size_t n;
};

struct writing {
    const struct xml *doc;
    struct buf *out;
    size_t apex;
    size_t open[XML_DEPTH_MAX];
    size_t open_n;
};

static int compare(const struct xml *doc, struct span a, struct span b)
{
    bytes x = xml_view(doc, a), y = xml_view(doc, b);
    size_t n = x.len < y.len ? x.len : y.len;
    for (size_t i = 0; i < n; i++) {
        if (x.at[i] != y.at[i])
            return x.at[i] < y.at[i] ? -1 : 1;
    }
    return x.len == y.len ? 0 : x.len < y.len ? -1 : 1;
}

/* By namespace, then by name; of declarations both the first is the same and the prefix counts. */
static bool is_before(const struct xml *doc, const struct attribute *a, const struct attribute *b)
{
    int by_uri = compare(doc, a->uri, b->uri);
    return by_uri != 0 ? by_uri < 0 : compare(doc, a->local, b->local) < 0;
}

static err insert(const struct xml *doc, struct sorted *list, const struct attribute *a)
{
    size_t at = list->n;
    ENSURE(list->n < XML_ATTRIBUTES_EACH_MAX, LIMIT);
    while (at > 0 && is_before(doc, a, list->rows[at - 1])) {
        list->rows[at] = list->rows[at - 1];
        at--;
    }
    list->rows[at] = a;
    list->n++;
    return OK;
}

static bool has_prefix(const struct xml *doc, const struct sorted *list, struct span prefix)
{
    for (size_t i = 0; i < list->n; i++) {
        if (compare(doc, list->rows[i]->local, prefix) == 0)
            return true;
    }
    return false;
}

/* --- escaping ---------------------------------------------------------------------------------- */

static const char *escape(uint8_t c, bool attribute)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return attribute ? NULL : "&gt;";
    case '"':
        return attribute ? "&quot;" : NULL;
    case '\t':
        return attribute ? "&#x9;" : NULL;
    case '\n':
        return attribute ? "&#xA;" : NULL;
    case '\r':
        return "&#xD;";
    default:
        return NULL;
    }
}

static err put_escaped(struct buf *out, bytes text, bool attribute)
{
    size_t from = 0;
    for (size_t i = 0; i < text.len; i++) {
        const char *written = escape(text.at[i], attribute);
        if (written == NULL)
            continue;
        TRY(buf_add(out, bytes_slice(text, from, i - from)));
        TRY(buf_add_str(out, written));
        from = i + 1;
    }
    return buf_add(out, bytes_slice(text, from, text.len));
}

static err put_name(const struct writing *w, struct span prefix, struct span local)
{
    TRY(buf_add(w->out, xml_view(w->doc, prefix)));
    if (prefix.len > 0)
        TRY(buf_add_u8(w->out, ':'));
    return buf_add(w->out, xml_view(w->doc, local));
}

static err put_value(const struct writing *w, struct span value)
{
    TRY(buf_add_str(w->out, "=\""));
    TRY(put_escaped(w->out, xml_view(w->doc, value), true));
    return buf_add_u8(w->out, '"');
}

/* --- namespaces -------------------------------------------------------------------------------- */

/* Of an element below the apex: what changes against its parent. Of the apex: all that is in scope
 * and is not nothing. */
static bool is_new(const struct writing *w, size_t at, const struct attribute *d)
{
    struct span above = { 0, 0 };
    if (at == w->apex)
        return d->value.len > 0;
    (void)xml_resolve(w->doc, w->doc->nodes[at].parent, xml_view(w->doc, d->local), &above);
    return compare(w->doc, above, d->value) != 0;
}

/* The innermost declaration of each prefix. */
static err gather_declared(const struct writing *w, size_t at, struct sorted *out)
{
    struct sorted seen = { .n = 0 };
    size_t last = at == w->apex ? 0 : w->doc->nodes[at].parent;
    for (size_t n = at; n != last; n = w->doc->nodes[n].parent) {
        const struct node *node = &w->doc->nodes[n];
        for (size_t i = node->declared; i < node->declared + node->declared_n; i++) {
            const struct attribute *d = &w->doc->declared[i];
            if (has_prefix(w->doc, &seen, d->local))
                continue;
            TRY(insert(w->doc, &seen, d));
            if (is_new(w, at, d))
                TRY(insert(w->doc, out, d));
        }
    }
    return OK;
}

static err put_declared(const struct writing *w, size_t at)
{
    struct sorted list = { .n = 0 };
    TRY(gather_declared(w, at, &list));
    for (size_t i = 0; i < list.n; i++) {
        TRY(buf_add_str(w->out, list.rows[i]->local.len > 0 ? " xmlns:" : " xmlns"));
        TRY(buf_add(w->out, xml_view(w->doc, list.rows[i]->local)));
        TRY(put_value(w, list.rows[i]->value));
    }
    return OK;
}

static err put_attributes(const struct writing *w, const struct node *n)
{
    struct sorted list = { .n = 0 };
    for (size_t i = n->attributes; i < n->attributes + n->attributes_n; i++)
        TRY(insert(w->doc, &list, &w->doc->attributes[i]));
    for (size_t i = 0; i < list.n; i++) {
        TRY(buf_add_u8(w->out, ' '));
        TRY(put_name(w, list.rows[i]->prefix, list.rows[i]->local));
        TRY(put_value(w, list.rows[i]->value));
    }
    return OK;
}

/* --- elements ---------------------------------------------------------------------------------- */

static err put_start(struct writing *w, size_t at)
{
    const struct node *n = &w->doc->nodes[at];
    TRY(buf_add_u8(w->out, '<'));
    TRY(put_name(w, n->prefix, n->local));
    TRY(put_declared(w, at));
    TRY(put_attributes(w, n));
    w->open[w->open_n++] = at;
    return buf_add_u8(w->out, '>');
}

/* Ends those whose subtree is behind us. */
static err put_ends(struct writing *w, size_t at)
{
    while (w->open_n > 0 && w->doc->nodes[w->open[w->open_n - 1]].end <= at) {
        const struct node *n = &w->doc->nodes[w->open[--w->open_n]];
        TRY(buf_add_str(w->out, "</"));
        TRY(put_name(w, n->prefix, n->local));
        TRY(buf_add_u8(w->out, '>'));
    }
    return OK;
}

err xml_canonical(const struct xml *doc, struct xml_node apex, struct xml_node left_out,
                  struct buf *out)
{
    struct writing w = { .doc = doc, .out = out, .apex = xml_is_node(apex) ? apex.at : 1 };
    size_t end = doc->nodes[w.apex].end;
    for (size_t at = w.apex; at < end;) {
        const struct node *n = &doc->nodes[at];
        TRY(put_ends(&w, at));
        if (xml_is_node(left_out) && at == left_out.at) {
            at = n->end;
            continue;
        }
        TRY(n->local.len > 0 ? put_start(&w, at) : put_escaped(out, xml_view(doc, n->text), false));
        at++;
    }
    return put_ends(&w, end);
}
