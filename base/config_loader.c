#include "base/config_loader.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void config_tell(struct config_loader *l, const char *format, ...)
{
    char text[CONFIG_REFUSAL_MAX];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    (void)buf_add_str(l->message, text);
}

bool config_normalise(bytes name, char out[static CONFIG_NAME_MAX + 1])
{
    if (name.len == 0 || name.len > CONFIG_NAME_MAX)
        return false;
    for (size_t i = 0; i < name.len; i++)
        out[i] = (char)(name.at[i] == '-' || name.at[i] == '.' ? '_' : name.at[i]);
    out[name.len] = 0;
    return strlen(out) == name.len;
}

const struct config_row *config_find_row(const struct config_program *program, const char *name)
{
    for (size_t i = 0; i < program->rows_n; i++) {
        if (strcmp(program->rows[i].name, name) == 0)
            return &program->rows[i];
    }
    return NULL;
}

struct config_source *config_source_of(const struct config_loader *l, const struct config_row *row)
{
    return &l->c->sources[row - l->program->rows];
}

const char *config_nearest(const struct config_program *program, const char *name)
{
    const char *found = NULL;
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < program->rows_n; i++) {
        if (config_is_nearer(name, program->rows[i].name, &best))
            found = program->rows[i].name;
    }
    return found;
}

void config_put_source(const struct config_program *program, const struct config_row *row,
                       const struct config_source *source, const char *file, struct buf *out)
{
    switch (source->from) {
    case CONFIG_FROM_DEFAULT:
        (void)buf_addf(out, "%s: ", row->name);
        return;
    case CONFIG_FROM_FILE:
        (void)buf_addf(out, "%s:%u: %s: ", file, source->line, row->name);
        return;
    case CONFIG_FROM_ENV:
        (void)config_env_name(program, row->name, out);
        break;
    case CONFIG_FROM_FLAG:
        (void)buf_add_str(out, "--");
        (void)config_flag_name(row->name, out);
        break;
    }
    (void)buf_add_str(out, ": ");
}

err config_apply(struct config_loader *l, const struct config_row *row, bytes text, bool whole)
{
    BUF_AUTO why = BUF(CONFIG_MESSAGE_MAX);
    err e = config_value_read(l->c, row, text, whole, l->settings, &why);
    if (e.code != ERR_CONFIG)
        return e;
    config_put_source(l->program, row, config_source_of(l, row), l->file, l->message);
    (void)buf_add(l->message, buf_view(&why));
    return e;
}
