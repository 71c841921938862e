#include "base/config_flags.h"

#include <string.h>

#include "base/text.h"

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

bool config_flags_reserve(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(specials); i++) {
        if (specials[i].special != SPECIAL_VERSION && strcmp(name, specials[i].name) == 0)
            return true;
    }
    return false;
}

static err refuse_flag(struct config_loader *l, const char *flag, const char *name)
{
    const char *meant = name != NULL ? config_nearest(l->program, name) : NULL;
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
    out->row = config_find_row(program, name);
    for (size_t i = 0; i < ARRAY_LEN(specials); i++) {
        if (out->row == NULL && strcmp(name, specials[i].name) == 0)
            out->special = specials[i].special;
    }
    if (out->row == NULL && strncmp(name, "no_", 3) == 0) {
        out->row = config_find_row(program, name + 3);
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
static err take_value(struct config_loader *l, struct config_args *args, const char *equals,
                      struct arg *arg)
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

static err take_flag(struct config_loader *l, struct config_args *args, struct arg *arg)
{
    const char *flag = args->argv[args->next++];
    const char *equals = strchr(flag, '=');
    char name[CONFIG_NAME_MAX + 1];
    size_t len = equals != NULL ? (size_t)(equals - flag) : strlen(flag);
    if (strcmp(flag, "-h") == 0) {
        arg->special = SPECIAL_HELP;
        return OK;
    }
    if (strncmp(flag, "--", 2) != 0 || !config_normalise(bytes_of(flag + 2, len - 2), name))
        return refuse_flag(l, flag, NULL);
    if (!find_flag(l->program, name, arg))
        return refuse_flag(l, flag, name);
    return take_value(l, args, equals, arg);
}

static bool is_flag(const struct config_args *args)
{
    const char *text = args->argv[args->next];
    return !args->flags_ended && text[0] == '-' && text[1] != 0;
}

/* *more is false behind the last argument. */
static err take_arg(struct config_loader *l, struct config_args *args, struct arg *arg, bool *more)
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

static err note_special(struct config_loader *l, const struct arg *arg)
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
        config_tell(l, "--config: given twice; remove one of them");
        FAIL(CONFIG);
    }
    l->file = arg->value;
    return OK;
}

err config_flags_survey(struct config_loader *l, struct config_args args)
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

static err apply_flag(struct config_loader *l, const struct arg *arg)
{
    struct config_source *source = config_source_of(l, arg->row);
    const char *value = arg->value;
    if (source->from == CONFIG_FROM_FLAG && arg->row->type != CONFIG_LIST) {
        config_put_source(l->program, arg->row, source, NULL, l->message);
        config_tell(l, "given twice; remove one of them");
        FAIL(CONFIG);
    }
    if (source->from != CONFIG_FROM_FLAG)
        config_value_clear(arg->row, l->settings);
    *source = (struct config_source){ CONFIG_FROM_FLAG, 0 };
    if (value == NULL)
        value = arg->negated ? "false" : "true";
    return config_apply(l, arg->row, bytes_str(value), false);
}

static err apply_positional(struct config_loader *l, const char *text, const char **all)
{
    if (l->program->arguments == NULL) {
        (void)text_json_quote(l->message, bytes_slice(bytes_str(text), 0, 80));
        config_tell(l, ": not a flag; see --help");
        FAIL(CONFIG);
    }
    all[l->c->arguments_n] = config_keep_text(l->c, bytes_str(text));
    ENSURE(all[l->c->arguments_n] != NULL, NOMEM);
    l->c->arguments_n++;
    return OK;
}

err config_flags_apply(struct config_loader *l, struct config_args args)
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
