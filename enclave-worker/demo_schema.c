#include "enclave-worker/demo_schema.h"

#include "base/attr.h"
#include "base/json.h"
#include "base/text.h"

enum { REFERENCES_MAX = 16 };

/* An object or array that is being written, and how far it is. */
struct level {
    const struct json *schema;
    bool array;
    size_t next;
    size_t n;
};

struct maker {
    struct json_out out;
    const struct json *root;
    struct level levels[DEMO_SCHEMA_DEPTH_MAX];
    size_t depth;
};

static const struct json *find(const struct json *object, bytes key)
{
    for (struct json_pair p = { 0 }; json_next(object, &p);) {
        if (bytes_equal(p.key, key))
            return p.value;
    }
    return NULL;
}

/* "#/$defs/name": down from the root, segment by segment. */
static const struct json *follow(const struct json *root, bytes reference)
{
    if (!bytes_starts(reference, BYTES_LIT("#")))
        return NULL;
    bytes rest = bytes_slice(reference, 1, reference.len);
    const struct json *at = root;
    while (at != NULL && bytes_starts(rest, BYTES_LIT("/"))) {
        rest = bytes_slice(rest, 1, rest.len);
        size_t len = text_find(rest, BYTES_LIT("/"));
        at = find(at, bytes_slice(rest, 0, len));
        rest = bytes_slice(rest, len, rest.len);
    }
    return at;
}

/* Through references and alternatives to a schema that says something itself. */
static const struct json *resolve(const struct json *root, const struct json *schema)
{
    static const char *const choices[] = { "anyOf", "oneOf", "allOf" };
    for (size_t i = 0; i < REFERENCES_MAX; i++) {
        bytes reference;
        const struct json *next = NULL;
        if (json_text(json_get(schema, "$ref"), &reference))
            next = follow(root, reference);
        for (size_t k = 0; k < ARRAY_LEN(choices) && next == NULL; k++)
            next = json_at(json_get(schema, choices[k]), 0);
        if (next == NULL)
            return schema;
        schema = next;
    }
    return NULL;
}

/* The type, or the first of several that is not null; without one, what the other words suggest. */
static bytes type_of(const struct json *schema)
{
    const struct json *type = json_get(schema, "type");
    bytes name = { 0 };
    if (json_text(type, &name))
        return name;
    for (size_t i = 0; i < json_len(type); i++) {
        if (json_text(json_at(type, i), &name) && !bytes_equal(name, BYTES_LIT("null")))
            return name;
    }
    if (json_get(schema, "properties") != NULL)
        return BYTES_LIT("object");
    return json_get(schema, "items") != NULL ? BYTES_LIT("array") : name;
}

static uint64_t number_or(const struct json *value, uint64_t fallback, uint64_t most)
{
    uint64_t v;
    if (!json_u64(value, &v))
        return fallback;
    return v < most ? v : most;
}

static const char *sample(const struct json *schema)
{
    static const struct {
        const char *format;
        const char *text;
    } formats[] = {
        { "date", "2026-01-01" },
        { "time", "12:00:00Z" },
        { "date-time", "2026-01-01T12:00:00Z" },
        { "email", "demo@example.org" },
        { "uri", "https://example.org/" },
        { "uuid", "00000000-0000-4000-8000-000000000000" },
        { "ipv4", "192.0.2.1" },
        { "hostname", "example.org" },
    };
    bytes format;
    for (size_t i = 0; i < ARRAY_LEN(formats) && json_text(json_get(schema, "format"), &format);
         i++) {
        if (bytes_equal(format, bytes_str(formats[i].format)))
            return formats[i].text;
    }
    return "demo";
}

static err put_string(struct maker *m, const struct json *schema)
{
    BUF_AUTO text = BUF(DEMO_SCHEMA_LENGTH_MAX);
    TRY(buf_add_str(&text, sample(schema)));
    uint64_t least = number_or(json_get(schema, "minLength"), 0, DEMO_SCHEMA_LENGTH_MAX);
    uint64_t most = number_or(json_get(schema, "maxLength"), text.len, DEMO_SCHEMA_LENGTH_MAX);
    while (text.len < least)
        TRY(buf_add_u8(&text, 'x'));
    if (most < text.len && most >= least)
        buf_truncate(&text, most);
    json_put_text(&m->out, NULL, buf_view(&text));
    return OK;
}

static err put_number(struct maker *m, const struct json *schema)
{
    const struct json *given = json_get(schema, "minimum");
    if (given == NULL)
        given = json_get(schema, "maximum");
    double above;
    if (given == NULL && json_f64(json_get(schema, "exclusiveMinimum"), &above)) {
        json_put_i64(&m->out, NULL, above < 1e15 && above > -1e15 ? (int64_t)above + 1 : 1);
        return OK;
    }
    if (given == NULL) {
        json_put_u64(&m->out, NULL, 1);
        return OK;
    }
    BUF_AUTO raw = BUF(64);
    TRY(json_write(&raw, given));
    json_put_raw(&m->out, NULL, buf_view(&raw));
    return OK;
}

static void open_level(struct maker *m, const struct json *schema, bool array)
{
    size_t n = array ? number_or(json_get(schema, "minItems"), 1, DEMO_SCHEMA_ITEMS_MAX)
                     : json_len(json_get(schema, "required"));
    if (array)
        json_begin_array(&m->out, NULL);
    else
        json_begin_object(&m->out, NULL);
    m->levels[m->depth++] = (struct level){ .schema = schema, .array = array, .n = n };
}

/* A value that the schema itself names: const, the first of enum, default. */
static const struct json *given_value(const struct json *schema)
{
    const struct json *value = json_get(schema, "const");
    if (value == NULL)
        value = json_at(json_get(schema, "enum"), 0);
    return value != NULL ? value : json_get(schema, "default");
}

static err put_given(struct maker *m, const struct json *value)
{
    BUF_AUTO raw = BUF(m->out.to->max);
    TRY(json_write(&raw, value));
    json_put_raw(&m->out, NULL, buf_view(&raw));
    return OK;
}

static err put_value(struct maker *m, const struct json *unresolved)
{
    const struct json *schema = resolve(m->root, unresolved);
    const struct json *given = given_value(schema);
    if (given != NULL)
        return put_given(m, given);
    bytes type = type_of(schema);
    if (bytes_equal(type, BYTES_LIT("string")))
        return put_string(m, schema);
    if (bytes_equal(type, BYTES_LIT("integer")) || bytes_equal(type, BYTES_LIT("number")))
        return put_number(m, schema);
    bool array = bytes_equal(type, BYTES_LIT("array"));
    if ((array || bytes_equal(type, BYTES_LIT("object"))) && m->depth < DEMO_SCHEMA_DEPTH_MAX)
        open_level(m, schema, array);
    else if (bytes_equal(type, BYTES_LIT("boolean")))
        json_put_bool(&m->out, NULL, true);
    else
        json_put_null(&m->out, NULL);
    return OK;
}

/* The next part of the innermost object or array, or its end. */
static err step(struct maker *m)
{
    struct level *level = &m->levels[m->depth - 1];
    if (level->next == level->n) {
        json_close(&m->out);
        m->depth--;
        return OK;
    }
    size_t i = level->next++;
    if (level->array)
        return put_value(m, json_get(level->schema, "items"));
    bytes name;
    if (!json_text(json_at(json_get(level->schema, "required"), i), &name))
        return OK;
    json_key(&m->out, name);
    return put_value(m, find(json_get(level->schema, "properties"), name));
}

err demo_schema_write(struct buf *out, const struct json *root, const struct json *schema)
{
    struct maker m = { .out = JSON_OUT(out), .root = root };
    TRY(put_value(&m, schema));
    while (m.depth > 0) {
        TRY(m.out.failed);
        TRY(step(&m));
    }
    return json_end(&m.out);
}
