/*
 * base/config.h - the settings of a program, from one table.
 *
 * A program describes each setting once, as a row. From the rows come the flags, the environment's
 * names, the keys of the YAML file, --help, --print-config and the example file. A flag wins over
 * the environment, that over the file, that over the default. Nothing is guessed: an unknown flag
 * or key, a repeated one, a value of the wrong form or out of range is ERR_CONFIG and a message
 * that names the source and says what to do.
 *
 * A row `max_body` of a program with the prefix "SEALGATE_GATEWAY_" is
 *
 *     --max-body 64MiB    --max-body=64MiB    SEALGATE_GATEWAY_MAX_BODY=64MiB    max_body: 64MiB
 *
 * and a row `tls_cert` may also be written as `tls:` with `cert:` inside. Booleans are --cors and
 * --no-cors, or `cors: true`. Lists are repeated flags, a comma between values, or a YAML list.
 * An empty environment variable counts as not set; unknown ones are left alone, because others (such
 * as Kubernetes) make names with our prefix. Secrets are never settings; only paths to them are.
 *
 * Used at start, by one thread. Fields are filled in place and are constant from then on.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

enum {
    CONFIG_TEXT_MAX = 4096,    /* bytes of one text */
    CONFIG_LIST_MAX = 64,      /* items of a list whose row sets no `max` */
    CONFIG_ROWS_MAX = 256,     /* rows of a program */
    CONFIG_MESSAGE_MAX = 8192, /* a good limit for the message's buf */
};

enum config_type {
    CONFIG_BOOL = 0, /* bool */
    CONFIG_U64,      /* uint64_t */
    CONFIG_SECONDS,  /* uint64_t; 30s, 10m, 1h, 2d */
    CONFIG_MILLIS,   /* uint64_t; 250ms and all of the above */
    CONFIG_SIZE,     /* uint64_t or size_t, bytes; 100, 512KiB, 64MiB, 2GiB */
    CONFIG_TEXT,     /* const char *; the empty text is NULL */
    CONFIG_PATH,     /* const char *; a file or folder; the empty text is NULL */
    CONFIG_WORD,     /* an enum or unsigned: the place of the word in `words` */
    CONFIG_LIST,     /* struct config_list of texts */
};

struct config_list {
    const char *const *at;
    size_t n;
};

struct config_row {
    const char *group; /* a heading for --help; NULL: that of the row above */
    const char *name;  /* lower case, digits and '_'; one called version takes that flag's place */
    enum config_type type;
    const char *fallback; /* the default as one would write it; a list with commas. NULL: false, 0,
                             the first word, no text, an empty list */
    uint64_t min, max;    /* numbers and lists (of items); max 0 is no bound */
    size_t offset;        /* offsetof() the field in the program's settings */
    const char *value;    /* what --help calls the value, such as "HOST:PORT"; NULL: by type */
    const char *help;     /* whole sentences; wrapped when shown */
    const char *const *words; /* of CONFIG_WORD; ends with NULL */
};

struct config_program {
    const char *name;       /* "sealgate-gateway" */
    const char *summary;    /* one sentence for --help */
    const char *arguments;  /* the positional ones as --help shows them, or NULL: there are none,
                               and one that is given is refused */
    const char *env_prefix; /* "SEALGATE_GATEWAY_" */
    const struct config_row *rows;
    size_t rows_n;
};

/* What the command line asks for. */
enum config_ask {
    CONFIG_RUN = 0,
    CONFIG_HELP,    /* --help, -h: print config_help() and exit 0; settings are not filled */
    CONFIG_VERSION, /* --version: settings are not filled */
    CONFIG_PRINT,   /* --print-config: print config_print() and exit 0; settings are filled */
};

struct config_source;

/* Holds every string that the settings point to. Zero is empty. */
struct config {
    enum config_ask ask;
    const char *const *arguments; /* the positional ones, in order */
    size_t arguments_n;
    const char *file;              /* the file that was read, or NULL */
    struct config_source *sources; /* private: one per row */
    struct config_chunk *chunks;   /* private */
};

/*
 * Fills *settings (zeroed first by the caller) from all sources. argv[0] is skipped; "--" ends the
 * flags. The file is named by --config FILE or PREFIXCONFIG. `env` is the process's `environ`, or
 * NULL for none. On failure *message has a line for people (without a line feed at its end), and *c
 * is empty.
 */
err config_load(struct config *c, const struct config_program *program, void *settings, int argc,
                char *const argv[], char *const env[], struct buf *message);

/* The same from defaults and the bytes of one file, called `name` in messages. */
err config_read(struct config *c, const struct config_program *program, void *settings, bytes yaml,
                const char *name, struct buf *message);

/* Releases every string that the settings point to. */
void config_clear(struct config *c);

/* True when a flag, the environment or the file gave that setting. */
bool config_given(const struct config *c, const struct config_program *program, const char *name);

/*
 * For what the table cannot check: appends "SOURCE: name: " and the text to *message, SOURCE being
 * where the setting came from. Returns ERR_CONFIG, so that a caller can pass it on:
 *
 *     return config_refuse(c, program, "worker", message, "\"%s\" is not an address; write ...", s);
 */
err config_refuse(const struct config *c, const struct config_program *program, const char *name,
                  struct buf *message, const char *format, ...) PRINTF_LIKE(5, 6);

/* The help text, at most 80 columns wide. */
err config_help(const struct config_program *program, struct buf *out);

/* A YAML file with the present settings and the help as comments. config_read() of it fills the same
 * settings. */
err config_print(const struct config_program *program, const void *settings, struct buf *out);

/* Appends what --help, --version or --print-config ask for. False when nothing of the kind was asked:
 * the program is to run. */
bool config_reply(const struct config *c, const struct config_program *program,
                  const void *settings, struct buf *out);

/* The example file: every setting commented out, with its default. */
err config_example(const struct config_program *program, struct buf *out);
