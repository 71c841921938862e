#include "api/tool_deltas_read.h"

#include "base/text.h"

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

static const struct want *want_of(const struct scan *s, const struct want *wants, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (scan_text_is(s, bytes_str(wants[i].name)))
            return &wants[i];
    }
    return NULL;
}

/* The value behind the key that was read. */
static bool take_value(struct scan *s, struct place *out)
{
    const uint8_t *p = s->at;
    while (p < s->end && is_space(*p))
        p++;
    out->kind = scan_next(s);
    out->text = s->text;
    if (!scan_skip(s, out->kind))
        return false;
    out->value = bytes_of(p, (size_t)(s->at - p));
    return true;
}

bool places_find(bytes object, const struct want *wants, size_t n)
{
    struct scan s;
    enum scan_token t;
    scan_init(&s, object);
    if (scan_next(&s) != SCAN_OBJECT)
        return false;
    while ((t = scan_next(&s)) == SCAN_KEY) {
        struct place unwanted = { 0 };
        const struct want *want = want_of(&s, wants, n);
        struct place *place = want != NULL ? want->place : &unwanted;
        if (place->kind != 0)
            return false;
        place->key = s.text.at - 1;
        if (!take_value(&s, place))
            return false;
    }
    return t == SCAN_OBJECT_END;
}

bool places_begin(struct scan *array, bytes value)
{
    scan_init(array, value);
    return scan_next(array) == SCAN_ARRAY;
}

bool places_next(struct scan *array, bytes *object)
{
    if (scan_next(array) != SCAN_OBJECT)
        return false;
    const uint8_t *from = array->at - 1;
    if (!scan_skip(array, SCAN_OBJECT))
        return false;
    *object = bytes_of(from, (size_t)(array->at - from));
    return true;
}

/* ---- deltas ---- */

static bytes cut(const struct place *p)
{
    if (p->kind != SCAN_STRING)
        return (bytes){ 0 };
    return bytes_slice(p->text, 0, TOOL_DELTAS_TEXT_MAX);
}

bool delta_read(struct delta *d, bytes object)
{
    *d = (struct delta){ .object = object };
    const struct want members[] = {
        { "index", &d->index }, { "id", &d->id }, { "type", &d->type }, { "function", &d->function }
    };
    const struct want parts[] = { { "name", &d->name }, { "arguments", &d->arguments } };
    if (!places_find(object, members, ARRAY_LEN(members)))
        return false;
    if (d->function.kind == SCAN_OBJECT && !places_find(d->function.value, parts, ARRAY_LEN(parts)))
        return false;
    d->numbered = d->index.kind == SCAN_NUMBER && text_u64(d->index.value, &d->number);
    d->id_text = cut(&d->id);
    d->name_text = cut(&d->name);
    d->has_arguments =
        d->arguments.kind == SCAN_STRING ? d->arguments.text.len > 0 : place_is_set(&d->arguments);
    return true;
}

/* ---- arguments ---- */

/* One character of the text in a JSON string, as far as it matters here: all that is written with
 * other escapes counts as a letter. */
static uint8_t take_character(bytes *escaped)
{
    uint8_t c = escaped->at[0];
    size_t len = 1;
    if (c == '\\' && escaped->len > 1) {
        uint8_t kind = escaped->at[1];
        bytes whole = bytes_slice(*escaped, 0, 6);
        len = kind == 'u' ? whole.len : 2;
        if (kind == '"' || bytes_equal(whole, BYTES_LIT("\\u0022")))
            c = '"';
        else if (kind != '\\' && !text_equal_nocase(whole, BYTES_LIT("\\u005c")))
            c = 'x';
    }
    *escaped = bytes_slice(*escaped, len, escaped->len);
    return c;
}

static void follow_text(struct progress *p, uint8_t c)
{
    if (p->escaped)
        p->escaped = false;
    else if (c == '\\')
        p->escaped = true;
    else if (c == '"')
        p->in_text = false;
}

static void follow_outside(struct progress *p, uint8_t c)
{
    if (c == '"') {
        p->in_text = true;
    } else if (c == '{' || c == '[') {
        p->begun = true;
        p->depth++;
    } else if ((c == '}' || c == ']') && p->depth > 0) {
        p->depth--;
    }
}

void progress_follow(struct progress *p, const struct delta *d)
{
    bytes escaped = d->arguments.text;
    if (d->arguments.kind != SCAN_STRING) {
        p->begun |= d->has_arguments;
        return;
    }
    while (escaped.len > 0) {
        uint8_t c = take_character(&escaped);
        if (p->in_text)
            follow_text(p, c);
        else
            follow_outside(p, c);
    }
}

bool progress_is_complete(const struct progress *p)
{
    return p->begun && p->depth == 0;
}
