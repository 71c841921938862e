#include "enclave-worker/engines.h"

#include "base/attr.h"
#include "base/mem.h"
#include "base/text.h"

struct reading {
    struct engines *engines;
    const char *file;
    struct buf *message;
};

static err refuse(const struct reading *r, const struct yaml *at, const char *what)
{
    TRY(buf_addf(r->message, "%s:%u: %s", r->file, at->line, what));
    FAIL(CONFIG);
}

static bool is_pattern(bytes name)
{
    return text_find(name, BYTES_LIT("*")) < name.len;
}

static const struct engines_name *find_written_out(const struct engines *e, bytes model)
{
    for (size_t i = 0; i < e->names_n; i++) {
        if (!e->names[i].pattern && bytes_equal(e->names[i].name, model))
            return &e->names[i];
    }
    return NULL;
}

static err add_name(const struct reading *r, const struct yaml *at, const char *text,
                    const char *target)
{
    struct engines *e = r->engines;
    bytes name = bytes_str(text);
    struct engines_name n = { .name = name, .entry = e->entries_n, .pattern = is_pattern(name) };
    if (name.len == 0 || name.len > ENGINES_NAME_MAX)
        return refuse(r, at, "a model's name has 1 to 256 bytes");
    if (e->names_n == ENGINES_NAMES_MAX)
        return refuse(r, at, "too many models");
    if (!n.pattern && find_written_out(e, name) != NULL)
        return refuse(r, at, "this model is served already");
    if (n.pattern && target != NULL)
        return refuse(r, at, "an alias has no asterisk");
    if (target != NULL)
        n.target = bytes_str(target);
    e->names[e->names_n++] = n;
    return OK;
}

static err read_models(const struct reading *r, const struct yaml *list)
{
    if (list->kind != YAML_LIST)
        return refuse(r, list, "models: give a list of names");
    for (const struct yaml *each = list->first; each != NULL; each = each->next) {
        if (each->kind != YAML_TEXT)
            return refuse(r, each, "models: give names");
        TRY(add_name(r, each, each->text, NULL));
    }
    return OK;
}

static err read_aliases(const struct reading *r, const struct yaml *map)
{
    if (map->kind != YAML_MAP)
        return refuse(r, map, "aliases: give a map from names to models");
    for (const struct yaml *each = map->first; each != NULL; each = each->next) {
        size_t len = each->kind == YAML_TEXT ? strlen(each->text) : 0;
        if (len == 0 || len > ENGINES_NAME_MAX || is_pattern(bytes_str(each->text)))
            return refuse(r, each, "aliases: give the name of a model");
        TRY(add_name(r, each, each->key, each->text));
    }
    return OK;
}

struct key {
    const char *key;
    size_t offset; /* of a text in struct engines_entry */
    err (*read)(const struct reading *r, const struct yaml *value);
};

#define TEXT(field) #field, offsetof(struct engines_entry, field), NULL
static const struct key KEYS[] = {
    { TEXT(name) },
    { TEXT(url) },
    { TEXT(token_file) },
    { TEXT(ca) },
    { "models", 0, read_models },
    { "aliases", 0, read_aliases },
};

static err read_key(const struct reading *r, struct engines_entry *entry, const struct yaml *pair)
{
    for (size_t i = 0; i < ARRAY_LEN(KEYS); i++) {
        if (!bytes_equal(bytes_str(pair->key), bytes_str(KEYS[i].key)))
            continue;
        if (KEYS[i].read != NULL)
            return KEYS[i].read(r, pair);
        if (pair->kind != YAML_TEXT || pair->text[0] == '\0')
            return refuse(r, pair, "give a text");
        *(const char **)(void *)((char *)entry + KEYS[i].offset) = pair->text;
        return OK;
    }
    return refuse(r, pair, "an engine has name, url, models, aliases, token_file and ca");
}

static err read_entry(const struct reading *r, const struct yaml *map)
{
    struct engines *e = r->engines;
    struct engines_entry entry = { 0 };
    size_t names = e->names_n;
    if (e->entries_n == ENGINES_MAX)
        return refuse(r, map, "too many engines");
    if (map->kind != YAML_MAP)
        return refuse(r, map, "an engine is a map");
    for (const struct yaml *pair = map->first; pair != NULL; pair = pair->next)
        TRY(read_key(r, &entry, pair));
    if (entry.name == NULL || entry.url == NULL || e->names_n == names)
        return refuse(r, map, "an engine needs name, url, and models or aliases");
    for (size_t i = 0; i < e->entries_n; i++) {
        if (strcmp(e->entries[i].name, entry.name) == 0)
            return refuse(r, map, "two engines of one name");
    }
    e->entries[e->entries_n++] = entry;
    return OK;
}

static err read_all(const struct reading *r)
{
    const struct yaml *root = r->engines->file;
    const struct yaml *list = yaml_get(root, "engines");
    if (list == NULL || list->kind != YAML_LIST || list->n == 0 || root->n != 1)
        return refuse(r, root, "give a list under the key engines, and nothing else");
    for (const struct yaml *each = list->first; each != NULL; each = each->next)
        TRY(read_entry(r, each));
    return OK;
}

err engines_read(struct engines **out, bytes text, const char *file, struct buf *message)
{
    struct engines *e;
    TRY(mem_new(&e));
    const struct reading r = { .engines = e, .file = file, .message = message };
    err why = yaml_read(&e->file, text, file, message);
    if (why.code == ERR_OK)
        why = read_all(&r);
    if (why.code != ERR_OK) {
        engines_free(e);
        return why.code == ERR_NOMEM ? why : err_raise(ERR_CONFIG, __FILE__, __func__, __LINE__);
    }
    *out = e;
    return OK;
}

void engines_free(struct engines *e)
{
    if (e == NULL)
        return;
    yaml_free(e->file);
    mem_free(e);
}

const struct engines_name *engines_find(const struct engines *e, bytes model)
{
    const struct engines_name *found = find_written_out(e, model);
    for (size_t i = 0; found == NULL && i < e->names_n; i++) {
        const struct engines_name *n = &e->names[i];
        if (n->pattern && text_is_like(model, n->name))
            found = n;
    }
    return found;
}
