/*
 * base/config_loader.h - settings being loaded: what config.c and the readers of its sources,
 * config_file.c and config_flags.c, share. Private to these.
 */
#pragma once

#include "base/attr.h"
#include "base/config_value.h"

enum {
    CONFIG_NAME_MAX = 64,     /* bytes of a row's name */
    CONFIG_REFUSAL_MAX = 1024 /* bytes of what config_tell() adds, with a NUL */
};

struct config_loader {
    struct config *c;
    const struct config_program *program;
    void *settings;
    const char *file; /* as messages call it; NULL: there is none */
    struct buf *message;
};

/* Adds to the message for people; what is over CONFIG_REFUSAL_MAX is cut off. */
void config_tell(struct config_loader *l, const char *format, ...) PRINTF_LIKE(2, 3);

/* "max-body" and "tls.cert" as the row would be called. False when no row could be. */
bool config_normalise(bytes name, char out[static CONFIG_NAME_MAX + 1]);

/* NULL when there is none: then perhaps another was meant, or NULL. */
const struct config_row *config_find_row(const struct config_program *program, const char *name);
const char *config_nearest(const struct config_program *program, const char *name);

/* Where the row's present value came from. The caller says so before it applies one. */
struct config_source *config_source_of(const struct config_loader *l, const struct config_row *row);

/* Appends "gateway.yaml:12: max_body: ", "SEALGATE_GATEWAY_MAX_BODY: " or "--max-body: ". */
void config_put_source(const struct config_program *program, const struct config_row *row,
                       const struct config_source *source, const char *file, struct buf *out);

/* As config_value_read(), with the source and the reason in the message. */
err config_apply(struct config_loader *l, const struct config_row *row, bytes text, bool whole);
