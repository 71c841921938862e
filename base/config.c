/*
 * The sources are applied from the weakest to the strongest, each into the settings themselves, so
 * that a wrong value is refused even where a stronger source hides it.
 */
#include "base/config.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/config_file.h"
#include "base/config_flags.h"
#include "base/config_loader.h"
#include "base/mem.h"

static bool is_row_name(const char *name)
{
    size_t i = 0;
    for (; name[i] != 0; i++) {
        bool letter = name[i] >= 'a' && name[i] <= 'z';
        bool later = (name[i] >= '0' && name[i] <= '9') || name[i] == '_';
        if (!letter && !(later && i > 0))
            return false;
    }
    return i > 0 && i <= CONFIG_NAME_MAX;
}

/* Mistakes in the program's table. */
static err check_table(const struct config_program *program)
{
    ENSURE(program->rows_n <= CONFIG_ROWS_MAX, INTERNAL);
    for (size_t i = 0; i < program->rows_n; i++) {
        const struct config_row *row = &program->rows[i];
        ENSURE(is_row_name(row->name) && row->help != NULL, INTERNAL);
        ENSURE(config_find_row(program, row->name) == row, INTERNAL);
        ENSURE(row->type != CONFIG_WORD || (row->words != NULL && row->words[0] != NULL), INTERNAL);
        ENSURE(!config_flags_reserve(row->name), INTERNAL);
    }
    return OK;
}

static err start(struct config_loader *l)
{
    *l->c = (struct config){ 0 };
    TRY(check_table(l->program));
    l->c->sources = config_keep(l->c, (l->program->rows_n + 1) * sizeof *l->c->sources);
    ENSURE(l->c->sources != NULL, NOMEM);
    for (size_t i = 0; i < l->program->rows_n; i++) {
        const struct config_row *row = &l->program->rows[i];
        config_value_clear(row, l->settings);
        if (row->fallback != NULL)
            TRY(config_apply(l, row, bytes_str(row->fallback), false));
    }
    return OK;
}

/* The value of PREFIX + the name in capitals; NULL when not set or empty. */
static const char *env_value(const struct config_loader *l, char *const env[], const char *name)
{
    BUF_AUTO key = BUF(512);
    if (!err_is_ok(config_env_name(l->program, name, &key)) || !err_is_ok(buf_add_u8(&key, '=')))
        return NULL;
    for (; env != NULL && *env != NULL; env++) {
        if (bytes_starts(bytes_str(*env), buf_view(&key)) && (*env)[key.len] != 0)
            return *env + key.len;
    }
    return NULL;
}

static err apply_env(struct config_loader *l, char *const env[])
{
    for (size_t i = 0; i < l->program->rows_n; i++) {
        const struct config_row *row = &l->program->rows[i];
        const char *value = env_value(l, env, row->name);
        if (value == NULL)
            continue;
        *config_source_of(l, row) = (struct config_source){ CONFIG_FROM_ENV, 0 };
        config_value_clear(row, l->settings);
        TRY(config_apply(l, row, bytes_str(value), false));
    }
    return OK;
}

/* The number of items that a list needs can be told only at the end. */
static err check_lists(struct config_loader *l)
{
    for (size_t i = 0; i < l->program->rows_n; i++) {
        const struct config_row *row = &l->program->rows[i];
        if (row->type != CONFIG_LIST || config_items(row, l->settings) >= row->min)
            continue;
        config_put_source(l->program, row, config_source_of(l, row), l->file, l->message);
        config_tell(l, "needs at least %llu items; add some", (unsigned long long)row->min);
        FAIL(CONFIG);
    }
    return OK;
}

static err keep_file_name(struct config_loader *l)
{
    if (l->file == NULL)
        return OK;
    l->c->file = config_keep_text(l->c, bytes_str(l->file));
    ENSURE(l->c->file != NULL, NOMEM);
    return OK;
}

static err load(struct config_loader *l, struct config_args args, char *const env[])
{
    TRY(start(l));
    TRY(config_flags_survey(l, args));
    if (l->c->ask == CONFIG_HELP || l->c->ask == CONFIG_VERSION)
        return OK;
    if (l->file == NULL)
        l->file = env_value(l, env, "config");
    TRY(config_file_apply(l));
    TRY(apply_env(l, env));
    TRY(config_flags_apply(l, args));
    TRY(check_lists(l));
    return keep_file_name(l);
}

/* NOLINTNEXTLINE(readability-function-size): three of the seven are main()'s own */
err config_load(struct config *c, const struct config_program *program, void *settings, int argc,
                char *const argv[], char *const env[], struct buf *message)
{
    struct config_loader l = { c, program, settings, NULL, message };
    err e = load(&l, (struct config_args){ .argc = argc, .argv = argv, .next = 1 }, env);
    if (!err_is_ok(e))
        config_clear(c);
    return e;
}

static err read_settings(struct config_loader *l, bytes yaml)
{
    TRY(start(l));
    TRY(config_file_read(l, yaml));
    TRY(check_lists(l));
    return keep_file_name(l);
}

err config_read(struct config *c, const struct config_program *program, void *settings, bytes yaml,
                const char *name, struct buf *message)
{
    struct config_loader l = { c, program, settings, name, message };
    err e = read_settings(&l, yaml);
    if (!err_is_ok(e))
        config_clear(c);
    return e;
}

void config_clear(struct config *c)
{
    while (c->chunks != NULL) {
        struct config_chunk *next = c->chunks->next;
        mem_free(c->chunks);
        c->chunks = next;
    }
    *c = (struct config){ 0 };
}

bool config_given(const struct config *c, const struct config_program *program, const char *name)
{
    const struct config_row *row = config_find_row(program, name);
    if (row == NULL || c->sources == NULL)
        return false;
    return c->sources[row - program->rows].from != CONFIG_FROM_DEFAULT;
}

err config_refuse(const struct config *c, const struct config_program *program, const char *name,
                  struct buf *message, const char *format, ...)
{
    static const struct config_source none = { 0 };
    const struct config_row *row = config_find_row(program, name);
    char text[CONFIG_REFUSAL_MAX];
    va_list args;
    ENSURE(row != NULL, INTERNAL);
    const struct config_source *source =
        c->sources != NULL ? &c->sources[row - program->rows] : &none;
    config_put_source(program, row, source, c->file != NULL ? c->file : "", message);
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    (void)buf_add_str(message, text);
    FAIL(CONFIG);
}
