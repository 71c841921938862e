/*
 * The sources are applied from the weakest to the strongest, each into the settings themselves, so
 * that a wrong value is refused even where a stronger source hides it. The command line is walked
 * twice by the same iterator: first for --help and --config, then for the settings.
 */
#include "base/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/config_value.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/yaml.h"

enum { NAME_MAX_LEN = 64, REFUSAL_MAX = 1024 };

struct loader {
    struct config *c;
    const struct config_program *program;
    void *settings;
    const char *file; /* as messages call it */
    struct buf *message;
};

/* What a flag is, apart from the rows. */
enum special { SPECIAL_NONE = 0, SPECIAL_HELP, SPECIAL_VERSION, SPECIAL_PRINT, SPECIAL_CONFIG };

static const struct {
    const char *name;
    enum special special;
} specials[] = {
    { "help", SPECIAL_HELP },
    { "version", SPECIAL_VERSION },
    { "print_config", SPECIAL_PRINT },
    { "config", SPECIAL_CONFIG },
};

/* One argument, understood. */
struct arg {
    const char *positional;
    enum special special;
    const struct config_row *row;
    const char *value; /* NULL: none was given */
    bool negated;
};

struct args {
    int argc;
    char *const *argv;
    int next;
    bool flags_ended;
};

static void tell(struct loader *l, const char *format, ...) PRINTF_LIKE(2, 3);

static void tell(struct loader *l, const char *format, ...)
{
    char text[REFUSAL_MAX];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    (void)buf_add_str(l->message, text);
}

/* "max-body" and "tls.cert" as the row would be called. False when no row could be. */
static bool normalise(bytes name, char out[static NAME_MAX_LEN + 1])
{
    if (name.len == 0 || name.len > NAME_MAX_LEN)
        return false;
    for (size_t i = 0; i < name.len; i++)
        out[i] = (char)(name.at[i] == '-' || name.at[i] == '.' ? '_' : name.at[i]);
    out[name.len] = 0;
    return strlen(out) == name.len;
}

static const struct config_row *find_row(const struct config_program *program, const char *name)
{
    for (size_t i = 0; i < program->rows_n; i++) {
        if (strcmp(program->rows[i].name, name) == 0)
            return &program->rows[i];
    }
    return NULL;
}

static struct config_source *source_of(const struct loader *l, const struct config_row *row)
{
    return &l->c->sources[row - l->program->rows];
}

static const char *nearest(const struct config_program *program, const char *name)
{
    const char *found = NULL;
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < program->rows_n; i++) {
        if (config_is_nearer(name, program->rows[i].name, &best))
            found = program->rows[i].name;
    }
    return found;
}

/* "gateway.yaml:12: max_body: ", "SEALGATE_GATEWAY_MAX_BODY: " or "--max-body: ". */
static void put_source(const struct config_program *program, const struct config_row *row,
                       const struct config_source *source, const char *file, struct buf *out)
{
    switch (source->from) {
    case CONFIG_FROM_DEFAULT:
        (void)buf_addf(out, "%s: %s: ", program->name, row->name);
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

static err apply(struct loader *l, const struct config_row *row, bytes text, bool whole)
{
    BUF_AUTO why = BUF(CONFIG_MESSAGE_MAX);
    err e = config_value_read(l->c, row, text, whole, l->settings, &why);
    if (e.code != ERR_CONFIG)
        return e;
    put_source(l->program, row, source_of(l, row), l->file, l->message);
    (void)buf_add(l->message, buf_view(&why));
    return e;
}

static bool is_row_name(const char *name)
{
    size_t i = 0;
    for (; name[i] != 0; i++) {
        bool letter = name[i] >= 'a' && name[i] <= 'z';
        bool later = (name[i] >= '0' && name[i] <= '9') || name[i] == '_';
        if (!letter && !(later && i > 0))
            return false;
    }
    return i > 0 && i <= NAME_MAX_LEN;
}

/* Mistakes in the program's table. */
static err check_table(const struct config_program *program)
{
    ENSURE(program->rows_n <= CONFIG_ROWS_MAX, INTERNAL);
    for (size_t i = 0; i < program->rows_n; i++) {
        const struct config_row *row = &program->rows[i];
        ENSURE(is_row_name(row->name) && row->help != NULL, INTERNAL);
        ENSURE(find_row(program, row->name) == row, INTERNAL);
        ENSURE(row->type != CONFIG_WORD || (row->words != NULL && row->words[0] != NULL), INTERNAL);
        for (size_t k = 0; k < ARRAY_LEN(specials); k++)
            ENSURE(specials[k].special == SPECIAL_VERSION ||
                       strcmp(row->name, specials[k].name) != 0,
                   INTERNAL);
    }
    return OK;
}

static err start(struct loader *l)
{
    *l->c = (struct config){ 0 };
    TRY(check_table(l->program));
    l->c->sources = config_keep(l->c, (l->program->rows_n + 1) * sizeof *l->c->sources);
    ENSURE(l->c->sources != NULL, NOMEM);
    for (size_t i = 0; i < l->program->rows_n; i++) {
        const struct config_row *row = &l->program->rows[i];
        config_value_clear(row, l->settings);
        if (row->fallback != NULL)
            TRY(apply(l, row, bytes_str(row->fallback), false));
    }
    return OK;
}

static err refuse_key(struct loader *l, unsigned line, const char *name)
{
    const char *meant = nearest(l->program, name);
    tell(l, "%s:%u: unknown key \"%s\"", l->file, line, name);
    if (meant != NULL)
        tell(l, "; did you mean \"%s\"?", meant);
    else
        tell(l, "; see %s --help", l->program->name);
    FAIL(CONFIG);
}

/* Marks the row as given in that line, and refuses a second time. */
static err claim_line(struct loader *l, const struct config_row *row, unsigned line)
{
    struct config_source *source = source_of(l, row);
    if (source->from == CONFIG_FROM_FILE) {
        tell(l, "%s:%u: %s: given twice, first in line %u; remove one of them", l->file, line,
             row->name, source->line);
        FAIL(CONFIG);
    }
    *source = (struct config_source){ CONFIG_FROM_FILE, line };
    config_value_clear(row, l->settings);
    return OK;
}

static err apply_items(struct loader *l, const struct config_row *row, const struct yaml *list)
{
    for (const struct yaml *item = list->first; item != NULL; item = item->next) {
        source_of(l, row)->line = item->line;
        if (item->kind != YAML_TEXT) {
            tell(l, "%s:%u: %s: an item that is no text; write `- text`", l->file, item->line,
                 row->name);
            FAIL(CONFIG);
        }
        TRY(apply(l, row, bytes_str(item->text), true));
    }
    source_of(l, row)->line = list->line;
    return OK;
}

static err apply_node(struct loader *l, const struct config_row *row, const struct yaml *node)
{
    const char *why = NULL;
    TRY(claim_line(l, row, node->line));
    if (node->kind == YAML_TEXT)
        return apply(l, row, bytes_str(node->text), false);
    if (node->kind == YAML_LIST && row->type == CONFIG_LIST)
        return apply_items(l, row, node);
    if (node->kind == YAML_NOTHING)
        why = "has no value; write one or remove the key";
    else
        why = "has more than one value; write a single one";
    tell(l, "%s:%u: %s: %s", l->file, node->line, row->name, why);
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
static err apply_map(struct loader *l, const struct yaml *map, const char *prefix)
{
    for (const struct yaml *node = map->first; node != NULL; node = node->next) {
        char joined[2 * NAME_MAX_LEN + 2];
        char name[NAME_MAX_LEN + 1];
        (void)snprintf(joined, sizeof joined, "%s%s%s", prefix, prefix[0] ? "_" : "", node->key);
        if (!normalise(bytes_str(joined), name))
            return refuse_key(l, node->line, joined);
        const struct config_row *row = find_row(l->program, name);
        if (row != NULL)
            TRY(apply_node(l, row, node));
        else if (node->kind == YAML_MAP && is_prefix(l->program, name))
            TRY(apply_map(l, node, name));
        else
            return refuse_key(l, node->line, joined);
    }
    return OK;
}

static err apply_yaml(struct loader *l, bytes text)
{
    struct yaml *root;
    err e = yaml_read(&root, text, l->file, l->message);
    if (e.code == ERR_NOMEM)
        return e;
    ENSURE(err_is_ok(e), CONFIG);
    if (root->kind == YAML_MAP) {
        e = apply_map(l, root, "");
    } else {
        tell(l, "%s:%u: not a list of settings; write `key: value` lines", l->file, root->line);
        e = err_raise(ERR_CONFIG, __FILE__, __func__, __LINE__);
    }
    yaml_free(root);
    return e;
}

static err read_whole(int fd, struct buf *out)
{
    for (;;) {
        uint8_t *room;
        TRY(buf_reserve(out, 4096, &room));
        ssize_t n = read(fd, room, 4096);
        if (n < 0 && errno == EINTR)
            continue;
        ENSURE(n >= 0, SYSTEM);
        if (n == 0)
            return OK;
        buf_commit(out, (size_t)n);
    }
}

static err read_file(struct loader *l, struct buf *out)
{
    int fd = open(l->file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    err e = fd < 0 ? err_raise(ERR_SYSTEM, __FILE__, __func__, __LINE__) : read_whole(fd, out);
    int why = errno;
    if (fd >= 0)
        (void)close(fd);
    if (e.code == ERR_SYSTEM)
        tell(l, "%s: cannot be read: %s; check --config", l->file, strerrordesc_np(why));
    if (e.code == ERR_LIMIT)
        tell(l, "%s: too big; write at most %d bytes", l->file, YAML_INPUT_MAX);
    ENSURE(err_is_ok(e) || e.code == ERR_NOMEM, CONFIG);
    return e;
}

static err apply_file(struct loader *l)
{
    BUF_AUTO text = BUF(YAML_INPUT_MAX + 4096);
    if (l->file == NULL)
        return OK;
    TRY(read_file(l, &text));
    return apply_yaml(l, buf_view(&text));
}

/* The value of PREFIX + the name in capitals; NULL when not set or empty. */
static const char *env_value(const struct loader *l, char *const env[], const char *name)
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

static err apply_env(struct loader *l, char *const env[])
{
    for (size_t i = 0; i < l->program->rows_n; i++) {
        const struct config_row *row = &l->program->rows[i];
        const char *value = env_value(l, env, row->name);
        if (value == NULL)
            continue;
        *source_of(l, row) = (struct config_source){ CONFIG_FROM_ENV, 0 };
        config_value_clear(row, l->settings);
        TRY(apply(l, row, bytes_str(value), false));
    }
    return OK;
}

static err refuse_flag(struct loader *l, const char *flag, const char *name)
{
    const char *meant = name != NULL ? nearest(l->program, name) : NULL;
    (void)buf_add_str(l->message, flag);
    (void)buf_add_str(l->message, ": unknown flag; ");
    if (meant == NULL) {
        (void)buf_add_str(l->message, "see --help");
    } else {
        (void)buf_add_str(l->message, "did you mean --");
        (void)config_flag_name(meant, l->message);
        (void)buf_add_str(l->message, "?");
    }
    FAIL(CONFIG);
}

static bool find_flag(const struct config_program *program, const char *name, struct arg *out)
{
    out->row = find_row(program, name);
    for (size_t i = 0; i < ARRAY_LEN(specials); i++) {
        if (out->row == NULL && strcmp(name, specials[i].name) == 0)
            out->special = specials[i].special;
    }
    if (out->row == NULL && strncmp(name, "no_", 3) == 0) {
        out->row = find_row(program, name + 3);
        out->negated = true;
        if (out->row != NULL && out->row->type != CONFIG_BOOL)
            out->row = NULL;
    }
    return out->row != NULL || out->special != SPECIAL_NONE;
}

static bool takes_value(const struct arg *arg)
{
    return arg->row != NULL ? arg->row->type != CONFIG_BOOL : arg->special == SPECIAL_CONFIG;
}

/* The value behind '=', or for flags that need one the next argument, unless that is a flag. */
static err take_value(struct loader *l, struct args *args, const char *equals, struct arg *arg)
{
    const char *flag = args->argv[args->next - 1];
    arg->value = equals != NULL ? equals + 1 : NULL;
    bool may = takes_value(arg) || (arg->row != NULL && !arg->negated);
    if (arg->value != NULL && !may) {
        (void)buf_add(l->message, bytes_of(flag, (size_t)(equals - flag)));
        (void)buf_add_str(l->message, ": takes no value; remove it");
        FAIL(CONFIG);
    }
    if (arg->value != NULL || !takes_value(arg))
        return OK;
    if (args->next < args->argc && strncmp(args->argv[args->next], "--", 2) != 0) {
        arg->value = args->argv[args->next++];
        return OK;
    }
    (void)buf_addf(l->message, "%s: needs a value; write %s VALUE", flag, flag);
    FAIL(CONFIG);
}

static err take_flag(struct loader *l, struct args *args, struct arg *arg)
{
    const char *flag = args->argv[args->next++];
    const char *equals = strchr(flag, '=');
    char name[NAME_MAX_LEN + 1];
    size_t len = equals != NULL ? (size_t)(equals - flag) : strlen(flag);
    if (strcmp(flag, "-h") == 0) {
        arg->special = SPECIAL_HELP;
        return OK;
    }
    if (strncmp(flag, "--", 2) != 0 || !normalise(bytes_of(flag + 2, len - 2), name))
        return refuse_flag(l, flag, NULL);
    if (!find_flag(l->program, name, arg))
        return refuse_flag(l, flag, name);
    return take_value(l, args, equals, arg);
}

static bool is_flag(const struct args *args)
{
    const char *text = args->argv[args->next];
    return !args->flags_ended && text[0] == '-' && text[1] != 0;
}

/* *more is false behind the last argument. */
static err take_arg(struct loader *l, struct args *args, struct arg *arg, bool *more)
{
    *arg = (struct arg){ 0 };
    if (args->next < args->argc && is_flag(args) && strcmp(args->argv[args->next], "--") == 0) {
        args->flags_ended = true;
        args->next++;
    }
    *more = args->next < args->argc;
    if (!*more)
        return OK;
    if (is_flag(args))
        return take_flag(l, args, arg);
    arg->positional = args->argv[args->next++];
    return OK;
}

static err note_special(struct loader *l, const struct arg *arg)
{
    static const enum config_ask asks[] = { [SPECIAL_NONE] = CONFIG_RUN,
                                            [SPECIAL_HELP] = CONFIG_HELP,
                                            [SPECIAL_VERSION] = CONFIG_VERSION,
                                            [SPECIAL_PRINT] = CONFIG_PRINT,
                                            [SPECIAL_CONFIG] = CONFIG_RUN };
    enum config_ask ask = asks[arg->special];
    if (ask != CONFIG_RUN && l->c->ask != CONFIG_HELP)
        l->c->ask = ask;
    if (arg->special != SPECIAL_CONFIG)
        return OK;
    if (l->file != NULL) {
        tell(l, "--config: given twice; remove one of them");
        FAIL(CONFIG);
    }
    l->file = arg->value;
    return OK;
}

/* The first walk: --help, --version, --print-config, --config. */
static err survey(struct loader *l, struct args args)
{
    for (;;) {
        struct arg arg;
        bool more;
        TRY(take_arg(l, &args, &arg, &more));
        if (!more)
            return OK;
        TRY(note_special(l, &arg));
    }
}

static err apply_flag(struct loader *l, const struct arg *arg)
{
    struct config_source *source = source_of(l, arg->row);
    const char *value = arg->value;
    if (source->from == CONFIG_FROM_FLAG && arg->row->type != CONFIG_LIST) {
        put_source(l->program, arg->row, source, NULL, l->message);
        tell(l, "given twice; remove one of them");
        FAIL(CONFIG);
    }
    if (source->from != CONFIG_FROM_FLAG)
        config_value_clear(arg->row, l->settings);
    *source = (struct config_source){ CONFIG_FROM_FLAG, 0 };
    if (value == NULL)
        value = arg->negated ? "false" : "true";
    return apply(l, arg->row, bytes_str(value), false);
}

static err apply_positional(struct loader *l, const char *text, const char **all)
{
    if (l->program->arguments == NULL) {
        (void)text_json_quote(l->message, bytes_slice(bytes_str(text), 0, 80));
        tell(l, ": not a flag; see --help");
        FAIL(CONFIG);
    }
    char *copy = config_keep(l->c, strlen(text) + 1);
    ENSURE(copy != NULL, NOMEM);
    memcpy(copy, text, strlen(text) + 1);
    all[l->c->arguments_n++] = copy;
    return OK;
}

/* The second walk: settings and positional arguments. */
static err apply_args(struct loader *l, struct args args)
{
    const char **all = config_keep(l->c, ((size_t)args.argc + 1) * sizeof *all);
    ENSURE(all != NULL, NOMEM);
    l->c->arguments = all;
    for (;;) {
        struct arg arg;
        bool more;
        TRY(take_arg(l, &args, &arg, &more));
        if (!more)
            return OK;
        if (arg.positional != NULL)
            TRY(apply_positional(l, arg.positional, all));
        if (arg.row != NULL)
            TRY(apply_flag(l, &arg));
    }
}

/* The number of items that a list needs can be told only at the end. */
static err check_lists(struct loader *l)
{
    for (size_t i = 0; i < l->program->rows_n; i++) {
        const struct config_row *row = &l->program->rows[i];
        if (row->type != CONFIG_LIST || config_items(row, l->settings) >= row->min)
            continue;
        put_source(l->program, row, source_of(l, row), l->file, l->message);
        tell(l, "needs at least %llu items; add some", (unsigned long long)row->min);
        FAIL(CONFIG);
    }
    return OK;
}

static err keep_file_name(struct loader *l)
{
    if (l->file == NULL)
        return OK;
    char *copy = config_keep(l->c, strlen(l->file) + 1);
    ENSURE(copy != NULL, NOMEM);
    memcpy(copy, l->file, strlen(l->file) + 1);
    l->c->file = copy;
    return OK;
}

static err load(struct loader *l, struct args args, char *const env[])
{
    TRY(start(l));
    TRY(survey(l, args));
    if (l->c->ask == CONFIG_HELP || l->c->ask == CONFIG_VERSION)
        return OK;
    if (l->file == NULL)
        l->file = env_value(l, env, "config");
    TRY(apply_file(l));
    TRY(apply_env(l, env));
    TRY(apply_args(l, args));
    TRY(check_lists(l));
    return keep_file_name(l);
}

/* NOLINTNEXTLINE(readability-function-size): three of the seven are main()'s own */
err config_load(struct config *c, const struct config_program *program, void *settings, int argc,
                char *const argv[], char *const env[], struct buf *message)
{
    struct loader l = { c, program, settings, NULL, message };
    err e = load(&l, (struct args){ .argc = argc, .argv = argv, .next = 1 }, env);
    if (!err_is_ok(e))
        config_clear(c);
    return e;
}

static err read_settings(struct loader *l, bytes yaml)
{
    TRY(start(l));
    TRY(apply_yaml(l, yaml));
    TRY(check_lists(l));
    return keep_file_name(l);
}

err config_read(struct config *c, const struct config_program *program, void *settings, bytes yaml,
                const char *name, struct buf *message)
{
    struct loader l = { c, program, settings, name, message };
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
    const struct config_row *row = find_row(program, name);
    if (row == NULL || c->sources == NULL)
        return false;
    return c->sources[row - program->rows].from != CONFIG_FROM_DEFAULT;
}

err config_refuse(const struct config *c, const struct config_program *program, const char *name,
                  struct buf *message, const char *format, ...)
{
    static const struct config_source none = { 0 };
    const struct config_row *row = find_row(program, name);
    char text[REFUSAL_MAX];
    va_list args;
    ENSURE(row != NULL, INTERNAL);
    const struct config_source *source =
        c->sources != NULL ? &c->sources[row - program->rows] : &none;
    put_source(program, row, source, c->file != NULL ? c->file : "", message);
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    (void)buf_add_str(message, text);
    FAIL(CONFIG);
}
