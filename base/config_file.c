#include "base/config_file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/yaml.h"

static err refuse_key(struct config_loader *l, unsigned line, const char *name)
{
    const char *meant = config_nearest(l->program, name);
    config_tell(l, "%s:%u: unknown key \"%s\"", l->file, line, name);
    if (meant != NULL)
        config_tell(l, "; did you mean \"%s\"?", meant);
    else
        config_tell(l, "; see %s --help", l->program->name);
    FAIL(CONFIG);
}

/* Marks the row as given in that line, and refuses a second time. */
static err claim_line(struct config_loader *l, const struct config_row *row, unsigned line)
{
    struct config_source *source = config_source_of(l, row);
    if (source->from == CONFIG_FROM_FILE) {
        config_tell(l, "%s:%u: %s: given twice, first in line %u; remove one of them", l->file,
                    line, row->name, source->line);
        FAIL(CONFIG);
    }
    *source = (struct config_source){ CONFIG_FROM_FILE, line };
    config_value_clear(row, l->settings);
    return OK;
}

static err apply_items(struct config_loader *l, const struct config_row *row,
                       const struct yaml *list)
{
    for (const struct yaml *item = list->first; item != NULL; item = item->next) {
        config_source_of(l, row)->line = item->line;
        if (item->kind != YAML_TEXT) {
            config_tell(l, "%s:%u: %s: an item that is no text; write `- text`", l->file,
                        item->line, row->name);
            FAIL(CONFIG);
        }
        TRY(config_apply(l, row, bytes_str(item->text), true));
    }
    config_source_of(l, row)->line = list->line;
    return OK;
}

static err apply_node(struct config_loader *l, const struct config_row *row,
                      const struct yaml *node)
{
    const char *why = NULL;
    TRY(claim_line(l, row, node->line));
    if (node->kind == YAML_TEXT)
        return config_apply(l, row, bytes_str(node->text), false);
    if (node->kind == YAML_LIST && row->type == CONFIG_LIST)
        return apply_items(l, row, node);
    if (node->kind == YAML_NOTHING)
        why = "has no value; write one or remove the key";
    else
        why = "has more than one value; write a single one";
    config_tell(l, "%s:%u: %s: %s", l->file, node->line, row->name, why);
    FAIL(CONFIG);
}

static bool is_prefix(const struct config_program *program, const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < program->rows_n; i++) {
        const char *row = program->rows[i].name;
        if (strncmp(row, name, len) == 0 && row[len] == '_')
            return true;
    }
    return false;
}

/* Keys inside a map join its own with '_'. Recursion is bounded by YAML_DEPTH_MAX. */
static err apply_map(struct config_loader *l, const struct yaml *map, const char *prefix)
{
    for (const struct yaml *node = map->first; node != NULL; node = node->next) {
        char joined[2 * CONFIG_NAME_MAX + 2];
        char name[CONFIG_NAME_MAX + 1];
        (void)snprintf(joined, sizeof joined, "%s%s%s", prefix, prefix[0] ? "_" : "", node->key);
        if (!config_normalise(bytes_str(joined), name))
            return refuse_key(l, node->line, joined);
        const struct config_row *row = config_find_row(l->program, name);
        if (row != NULL)
            TRY(apply_node(l, row, node));
        else if (node->kind == YAML_MAP && is_prefix(l->program, name))
            TRY(apply_map(l, node, name));
        else
            return refuse_key(l, node->line, joined);
    }
    return OK;
}

err config_file_read(struct config_loader *l, bytes text)
{
    struct yaml *root;
    err e = yaml_read(&root, text, l->file, l->message);
    if (e.code == ERR_NOMEM)
        return e;
    ENSURE(err_is_ok(e), CONFIG);
    if (root->kind == YAML_MAP) {
        e = apply_map(l, root, "");
    } else {
        config_tell(l, "%s:%u: not a list of settings; write `key: value` lines", l->file,
                    root->line);
        e = err_raise(ERR_CONFIG, __FILE__, __func__, __LINE__);
    }
    yaml_free(root);
    return e;
}

static err read_file(struct config_loader *l, struct buf *out)
{
    err e = file_read(out, l->file);
    const char *why = strerrordesc_np(errno);
    if (err_is_ok(e) || e.code == ERR_NOMEM)
        return e;
    if (e.code == ERR_LIMIT)
        config_tell(l, "%s: too big; write at most %d bytes", l->file, YAML_INPUT_MAX);
    else
        config_tell(l, "%s: cannot be read: %s; check --config", l->file, why);
    FAIL(CONFIG);
}

err config_file_apply(struct config_loader *l)
{
    BUF_AUTO text = BUF(YAML_INPUT_MAX);
    if (l->file == NULL)
        return OK;
    TRY(read_file(l, &text));
    return config_file_read(l, buf_view(&text));
}
