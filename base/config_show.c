/* What a person sees of the table: --help, --print-config and the example file. */
#include <string.h>

#include "base/config.h"
#include "base/config_loader.h"
#include "base/yaml.h"

enum { COLUMNS = 80, FACTS_MAX = 2048 };

static size_t word_len(const char *text)
{
    return strcspn(text, " \n");
}

/* Whole words, each line behind the prefix. A word that is wider than a line stands alone. */
static err put_wrapped(struct buf *out, const char *prefix, const char *text)
{
    size_t column = 0;
    for (text += strspn(text, " \n"); *text != 0; text += strspn(text, " \n")) {
        size_t len = word_len(text);
        if (column > 0 && column + 1 + len > COLUMNS) {
            TRY(buf_add_u8(out, '\n'));
            column = 0;
        }
        TRY(buf_add_str(out, column == 0 ? prefix : " "));
        column += (column == 0 ? strlen(prefix) : 1) + len;
        TRY(buf_add(out, bytes_of(text, len)));
        text += len;
    }
    return buf_add_u8(out, '\n');
}

static const char *value_name(const struct config_row *row)
{
    if (row->value != NULL)
        return row->value;
    switch (row->type) {
    case CONFIG_BOOL:
        return NULL;
    case CONFIG_U64:
        return "NUMBER";
    case CONFIG_SECONDS:
    case CONFIG_MILLIS:
        return "DURATION";
    case CONFIG_SIZE:
        return "SIZE";
    case CONFIG_TEXT:
        return "TEXT";
    case CONFIG_PATH:
        return "PATH";
    case CONFIG_WORD:
        return "WORD";
    case CONFIG_LIST:
        return "TEXT,...";
    }
    return "VALUE";
}

static err put_words(const struct config_row *row, struct buf *out)
{
    TRY(buf_add_str(out, " One of: "));
    for (size_t i = 0; row->words[i] != NULL; i++)
        TRY(buf_addf(out, "%s%s", i > 0 ? ", " : "", row->words[i]));
    return buf_add_u8(out, '.');
}

static bool has_range(enum config_type type)
{
    return type == CONFIG_U64 || type == CONFIG_SECONDS || type == CONFIG_MILLIS ||
           type == CONFIG_SIZE;
}

static err put_range(const struct config_row *row, struct buf *out)
{
    if (row->min > 0) {
        TRY(buf_add_str(out, " At least "));
        TRY(config_number_write(row->type, row->min, out));
        TRY(buf_add_u8(out, row->max > 0 ? ',' : '.'));
    }
    if (row->max > 0) {
        TRY(buf_add_str(out, row->min > 0 ? " at most " : " At most "));
        TRY(config_number_write(row->type, row->max, out));
        TRY(buf_add_u8(out, '.'));
    }
    return OK;
}

/* The default as one would write it; NULL: there is none. */
static const char *fallback_text(const struct config_row *row)
{
    if (row->fallback != NULL && row->fallback[0] != 0)
        return row->fallback;
    switch (row->type) {
    case CONFIG_BOOL:
        return "false";
    case CONFIG_U64:
    case CONFIG_SECONDS:
    case CONFIG_MILLIS:
    case CONFIG_SIZE:
        return "0";
    case CONFIG_WORD:
        return row->words[0];
    case CONFIG_TEXT:
    case CONFIG_PATH:
    case CONFIG_LIST:
        return NULL;
    }
    return NULL;
}

/* All there is to say about a row, as one paragraph. */
static err put_facts(const struct config_program *program, const struct config_row *row,
                     struct buf *out)
{
    const char *fallback = fallback_text(row);
    TRY(buf_add_str(out, row->help));
    if (row->type == CONFIG_WORD)
        TRY(put_words(row, out));
    if (has_range(row->type))
        TRY(put_range(row, out));
    TRY(buf_addf(out, " Default: %s. Environment: ", fallback != NULL ? fallback : "none"));
    TRY(config_env_name(program, row->name, out));
    return buf_add_u8(out, '.');
}

static err put_facts_wrapped(const struct config_program *program, const struct config_row *row,
                             const char *prefix, struct buf *out)
{
    BUF_AUTO facts = BUF(FACTS_MAX);
    TRY(put_facts(program, row, &facts));
    const char *text = buf_str(&facts);
    ENSURE(text != NULL, NOMEM);
    return put_wrapped(out, prefix, text);
}

static err put_row_help(const struct config_program *program, const struct config_row *row,
                        struct buf *out)
{
    const char *value = value_name(row);
    TRY(buf_add_str(out, "  --"));
    TRY(config_flag_name(row->name, out));
    if (row->type == CONFIG_BOOL) {
        TRY(buf_add_str(out, ", --no-"));
        TRY(config_flag_name(row->name, out));
    }
    if (value != NULL)
        TRY(buf_addf(out, " %s", value));
    TRY(buf_add_u8(out, '\n'));
    return put_facts_wrapped(program, row, "      ", out);
}

static err put_common_help(const struct config_program *program, struct buf *out)
{
    BUF_AUTO config = BUF(FACTS_MAX);
    TRY(buf_addf(&config, "A YAML file with these settings. Environment: %sCONFIG.",
                 program->env_prefix));
    const char *text = buf_str(&config);
    ENSURE(text != NULL, NOMEM);
    TRY(buf_add_str(out, "\nGeneral\n  --help, -h\n      Show this and exit.\n"));
    if (config_find_row(program, "version") == NULL)
        TRY(buf_add_str(out, "  --version\n      Show the version and exit.\n"));
    TRY(buf_add_str(out, "  --print-config\n"));
    TRY(put_wrapped(out, "      ",
                    "Show the settings as they would be used, as a file for --config, and exit."));
    TRY(buf_add_str(out, "  --config FILE\n"));
    return put_wrapped(out, "      ", text);
}

static const char help_end[] =
    "A flag wins over the environment, that over the file, that over the default. An empty "
    "environment variable counts as not set. Sizes are numbers of bytes, or carry KiB, MiB or GiB. "
    "Durations carry ms, s, m, h or d. Lists are given by a comma between the items, or by "
    "repeating the flag. In the file, keys have '_' for '-', and a_b may be written as b inside a.";

err config_help(const struct config_program *program, struct buf *out)
{
    const char *arguments = program->arguments;
    TRY(buf_addf(out, "usage: %s [FLAGS]%s%s\n\n", program->name, arguments ? " " : "",
                 arguments ? arguments : ""));
    TRY(put_wrapped(out, "", program->summary));
    for (size_t i = 0; i < program->rows_n; i++) {
        const struct config_row *row = &program->rows[i];
        if (row->group != NULL)
            TRY(buf_addf(out, "\n%s\n", row->group));
        TRY(put_row_help(program, row, out));
    }
    TRY(put_common_help(program, out));
    TRY(buf_add_u8(out, '\n'));
    return put_wrapped(out, "", help_end);
}

static err put_row_comment(const struct config_program *program, const struct config_row *row,
                           struct buf *out)
{
    if (row->group != NULL)
        TRY(buf_addf(out, "\n## %s\n", row->group));
    TRY(buf_add_u8(out, '\n'));
    return put_facts_wrapped(program, row, "# ", out);
}

static err put_items(bytes list, struct buf *out)
{
    bytes item;
    TRY(buf_add_u8(out, '['));
    for (size_t i = 0; config_item_take(&list, &item); i++) {
        TRY(buf_add_str(out, i > 0 ? ", " : ""));
        TRY(yaml_put_text(out, item));
    }
    return buf_add_u8(out, ']');
}

/* How one would set what is not set: behind a '#', with the default or the name of a value. */
static err put_unset(const struct config_row *row, struct buf *out)
{
    const char *fallback = fallback_text(row);
    const char *value = fallback != NULL ? fallback : value_name(row);
    TRY(buf_addf(out, "# %s: ", row->name));
    if (fallback == NULL)
        TRY(buf_add_str(out, value != NULL ? value : ""));
    else if (row->type == CONFIG_LIST)
        TRY(put_items(bytes_str(fallback), out));
    else if (row->type == CONFIG_TEXT || row->type == CONFIG_PATH || row->type == CONFIG_WORD)
        TRY(yaml_put_text(out, bytes_str(fallback)));
    else
        TRY(buf_add_str(out, fallback));
    return buf_add_u8(out, '\n');
}

static err put_row(const struct config_row *row, const void *settings, struct buf *out)
{
    bool no_fallback = row->fallback == NULL || row->fallback[0] == 0;
    if (no_fallback && config_value_is_empty(row, settings))
        return put_unset(row, out);
    TRY(buf_addf(out, "%s:", row->name));
    if (row->type != CONFIG_LIST && config_value_is_empty(row, settings))
        return buf_add_str(out, " \"\"\n");
    return config_value_write(row, settings, out);
}

err config_print(const struct config_program *program, const void *settings, struct buf *out)
{
    TRY(buf_addf(out, "# Settings of %s.\n", program->name));
    for (size_t i = 0; i < program->rows_n; i++) {
        TRY(put_row_comment(program, &program->rows[i], out));
        TRY(put_row(&program->rows[i], settings, out));
    }
    return OK;
}

err config_example(const struct config_program *program, struct buf *out)
{
    TRY(buf_addf(out, "# Example settings of %s; each line shows the default.\n", program->name));
    for (size_t i = 0; i < program->rows_n; i++) {
        TRY(put_row_comment(program, &program->rows[i], out));
        TRY(put_unset(&program->rows[i], out));
    }
    return OK;
}

bool config_reply(const struct config *c, const struct config_program *program,
                  const void *settings, struct buf *out)
{
    switch (c->ask) {
    case CONFIG_RUN:
        return false;
    case CONFIG_HELP:
        (void)config_help(program, out);
        break;
    case CONFIG_VERSION:
        (void)buf_addf(out, "%s %s\n", program->name, SEALGATE_VERSION);
        break;
    case CONFIG_PRINT:
        (void)config_print(program, settings, out);
        break;
    }
    return true;
}
