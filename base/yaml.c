/*
 * libyaml gives events; a small stack of open maps and lists turns them into the tree. The stack has
 * YAML_DEPTH_MAX places, and the parsing stops when it is full, so that neither libyaml's state nor a
 * walk over the tree can be driven deeper.
 */
#include "base/yaml.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

#include "base/mem.h"
#include "base/text.h"

struct level {
    struct yaml *node;
    struct yaml *last; /* its last child so far */
};

struct reader {
    yaml_parser_t parser;
    const char *name;
    struct buf *message;
    struct level open[YAML_DEPTH_MAX];
    size_t depth;
    size_t nodes_n;
    size_t documents_n;
    struct yaml *root;
    char *key; /* owned: read, and its value not yet */
    unsigned key_line;
    bool ended;
};

/* Appends the message; the caller returns the error. */
static void PRINTF_LIKE(3, 4) tell(struct reader *r, size_t line, const char *format, ...)
{
    char text[512];
    va_list args;
    if (r->message == NULL)
        return;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    (void)buf_addf(r->message, "%s:%zu: %s", r->name, line, text);
}

static err refuse(struct reader *r, size_t line, const char *why)
{
    tell(r, line, "%s", why);
    FAIL(MALFORMED);
}

/* No characters below space, no DEL, none of the C1 set (U+0080 to U+009F). */
bool yaml_is_text(bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.at[i];
        bool c1 = c == 0xc2 && i + 1 < text.len && text.at[i + 1] < 0xa0;
        if (c < 0x20 || c == 0x7f || c1)
            return false;
    }
    return text_is_utf8(text);
}

static bool is_one_of(bytes text, const char *const *words)
{
    for (; *words != NULL; words++) {
        if (bytes_equal(text, bytes_str(*words)))
            return true;
    }
    return false;
}

static bool is_nothing(bytes text)
{
    static const char *const nothing[] = { "", "~", "null", "Null", "NULL", NULL };
    return is_one_of(text, nothing);
}

/* One block: the node, and its text behind it. Takes the pending key. */
static err make(struct reader *r, enum yaml_kind kind, bytes text, size_t line, struct yaml **out)
{
    if (r->nodes_n == YAML_NODES_MAX) {
        tell(r, line, "more than %d values; make the file smaller", YAML_NODES_MAX);
        FAIL(LIMIT);
    }
    struct yaml *node = mem_alloc(sizeof *node + text.len + 1);
    ENSURE(node != NULL, NOMEM);
    char *copy = (char *)(node + 1);
    if (text.len > 0)
        memcpy(copy, text.at, text.len);
    *node = (struct yaml){ .kind = kind, .line = (unsigned)line, .key = r->key, .text = copy };
    if (r->key != NULL)
        node->line = r->key_line;
    r->key = NULL;
    r->nodes_n++;
    *out = node;
    return OK;
}

static void attach(struct reader *r, struct yaml *node)
{
    if (r->depth == 0) {
        r->root = node;
        return;
    }
    struct level *top = &r->open[r->depth - 1];
    if (top->last == NULL)
        top->node->first = node;
    else
        top->last->next = node;
    top->last = node;
    top->node->n++;
}

static bool wants_key(const struct reader *r)
{
    return r->depth > 0 && r->open[r->depth - 1].node->kind == YAML_MAP && r->key == NULL;
}

static err take_key(struct reader *r, bytes text, size_t line)
{
    if (text.len == 0 || !yaml_is_text(text))
        return refuse(r, line, "a key must be a word; write `key: value`");
    if (bytes_equal(text, BYTES_LIT("<<")))
        return refuse(r, line, "merge keys are not supported; write the settings out");
    r->key = mem_alloc(text.len + 1);
    ENSURE(r->key != NULL, NOMEM);
    memcpy(r->key, text.at, text.len);
    r->key_line = (unsigned)line;
    const struct yaml *before = yaml_get(r->open[r->depth - 1].node, r->key);
    if (before == NULL)
        return OK;
    tell(r, line, "%s: given twice, first in line %u; remove one of them", r->key, before->line);
    FAIL(MALFORMED);
}

static err take_scalar(struct reader *r, const yaml_event_t *event)
{
    struct yaml *node;
    size_t line = event->start_mark.line + 1;
    bytes text = bytes_of(event->data.scalar.value, event->data.scalar.length);
    if (wants_key(r))
        return take_key(r, text, line);
    bool plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    if (plain && is_nothing(text)) {
        TRY(make(r, YAML_NOTHING, (bytes){ 0 }, line, &node));
    } else {
        if (!yaml_is_text(text))
            return refuse(r, line, "text with a control character; write it on one line");
        TRY(make(r, YAML_TEXT, text, line, &node));
    }
    attach(r, node);
    return OK;
}

static err take_start(struct reader *r, enum yaml_kind kind, size_t line)
{
    struct yaml *node;
    if (wants_key(r))
        return refuse(r, line, "a key must be a word; write `key: value`");
    if (r->depth == YAML_DEPTH_MAX) {
        tell(r, line, "more than %d maps and lists inside each other", YAML_DEPTH_MAX);
        FAIL(LIMIT);
    }
    TRY(make(r, kind, (bytes){ 0 }, line, &node));
    attach(r, node);
    r->open[r->depth++] = (struct level){ .node = node };
    return OK;
}

static err check_marks(struct reader *r, const yaml_char_t *anchor, const yaml_char_t *tag,
                       size_t line)
{
    if (anchor != NULL)
        return refuse(r, line, "anchors (&name) are not supported; write the value out");
    if (tag != NULL)
        return refuse(r, line, "tags (!name) are not supported; remove it");
    return OK;
}

static err take_event(struct reader *r, const yaml_event_t *event)
{
    size_t line = event->start_mark.line + 1;
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        TRY(check_marks(r, event->data.scalar.anchor, event->data.scalar.tag, line));
        return take_scalar(r, event);
    case YAML_MAPPING_START_EVENT:
        TRY(check_marks(r, event->data.mapping_start.anchor, event->data.mapping_start.tag, line));
        return take_start(r, YAML_MAP, line);
    case YAML_SEQUENCE_START_EVENT:
        TRY(check_marks(r, event->data.sequence_start.anchor, event->data.sequence_start.tag,
                        line));
        return take_start(r, YAML_LIST, line);
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
        r->depth--;
        return OK;
    case YAML_ALIAS_EVENT:
        return refuse(r, line, "aliases (*name) are not supported; write the value out");
    case YAML_DOCUMENT_START_EVENT:
        if (r->documents_n++ > 0)
            return refuse(r, line, "a second document; keep one and remove the `---`");
        return OK;
    case YAML_STREAM_END_EVENT:
        r->ended = true;
        return OK;
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_DOCUMENT_END_EVENT:
        return OK;
    }
    FAIL(INTERNAL);
}

static err next_event(struct reader *r)
{
    yaml_event_t event;
    if (yaml_parser_parse(&r->parser, &event) != 1) {
        ENSURE(r->parser.error != YAML_MEMORY_ERROR, NOMEM);
        bool marked = r->parser.error == YAML_SCANNER_ERROR || r->parser.error == YAML_PARSER_ERROR;
        size_t line = marked ? r->parser.problem_mark.line : r->parser.mark.line;
        tell(r, line + 1, "not YAML: %s", r->parser.problem ? r->parser.problem : "unreadable");
        FAIL(MALFORMED);
    }
    err e = take_event(r, &event);
    yaml_event_delete(&event);
    return e;
}

/* An empty document has no value, or one that is nothing. */
static err read_all(struct reader *r)
{
    while (!r->ended)
        TRY(next_event(r));
    if (r->root == NULL)
        return make(r, YAML_MAP, (bytes){ 0 }, 1, &r->root);
    if (r->root->kind == YAML_NOTHING)
        r->root->kind = YAML_MAP;
    return OK;
}

err yaml_read(struct yaml **out, bytes text, const char *name, struct buf *message)
{
    struct reader r = { .name = name, .message = message };
    if (text.len > YAML_INPUT_MAX) {
        tell(&r, 1, "more than %d bytes; make the file smaller", YAML_INPUT_MAX);
        FAIL(LIMIT);
    }
    ENSURE(yaml_parser_initialize(&r.parser) == 1, NOMEM);
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, text.len > 0 ? text.at : (const uint8_t *)"", text.len);
    err e = read_all(&r);
    yaml_parser_delete(&r.parser);
    mem_free(r.key);
    if (err_is_ok(e))
        *out = r.root;
    else
        yaml_free(r.root);
    return e;
}

/* Recursion is bounded: no tree is deeper than YAML_DEPTH_MAX. */
void yaml_free(struct yaml *root)
{
    if (root == NULL)
        return;
    const struct yaml *child = root->first;
    while (child != NULL) {
        const struct yaml *next = child->next;
        yaml_free(unconst(child));
        child = next;
    }
    mem_free(unconst(root->key));
    mem_free(root);
}

const struct yaml *yaml_get(const struct yaml *map, const char *key)
{
    if (map == NULL || map->kind != YAML_MAP)
        return NULL;
    for (const struct yaml *child = map->first; child != NULL; child = child->next) {
        if (strcmp(child->key, key) == 0)
            return child;
    }
    return NULL;
}

static bool is_word_char(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* What needs no quotes, and is not taken for a number or a truth by other readers of YAML. */
static bool is_plain(bytes text)
{
    static const char *const special[] = {
        "true", "false", "yes", "no", "on", "off", "y", "n", NULL
    };
    bool letters = false;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.at[i];
        bool middle = i > 0 && i + 1 < text.len && (c == ':' || c == '-' || c == '@' || c == '%');
        if (!is_word_char(c) && c != '/' && c != '.' && !middle)
            return false;
        letters = letters || c == ':' || c == '/' || (is_word_char(c) && (c > '9' && c != '_'));
    }
    for (const char *const *w = special; *w != NULL; w++) {
        if (text_equal_nocase(text, bytes_str(*w)))
            return false;
    }
    return letters && !is_nothing(text);
}

/* The length of the character at the head when it must be escaped: the line and paragraph
 * separators, the byte order mark, U+FFFE and U+FFFF. All of them take three bytes. */
static bool is_odd(bytes text)
{
    static const char *const odd[] = { "\xe2\x80\xa8", "\xe2\x80\xa9", "\xef\xbb\xbf",
                                       "\xef\xbf\xbe", "\xef\xbf\xbf", NULL };
    return is_one_of(bytes_slice(text, 0, 3), odd);
}

err yaml_put_text(struct buf *out, bytes text)
{
    ENSURE(yaml_is_text(text), MALFORMED);
    if (is_plain(text))
        return buf_add(out, text);
    TRY(buf_add_u8(out, '"'));
    while (text.len > 0) {
        size_t n = is_odd(text) ? 3 : 1;
        uint8_t c = text.at[0];
        if (n == 3)
            TRY(buf_addf(out, "\\u%04x",
                         (unsigned)((c & 15) << 12 | (text.at[1] & 63) << 6 | (text.at[2] & 63))));
        else if (c == '"' || c == '\\')
            TRY(buf_addf(out, "\\%c", c));
        else
            TRY(buf_add_u8(out, c));
        text = bytes_slice(text, n, text.len);
    }
    return buf_add_u8(out, '"');
}
