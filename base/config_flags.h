/*
 * base/config_flags.h - settings from the command line. Private to config.c.
 *
 * The command line is walked twice by the same iterator, since --help and --config come before
 * everything else wherever they stand. ERR_CONFIG with a message that names the flag.
 */
#pragma once

#include "base/config_loader.h"

/* Where a walk begins; each walks its own copy. */
struct config_args {
    int argc;
    char *const *argv; /* borrowed */
    int next;          /* 1: behind the program's name */
    bool flags_ended;
};

/* The first walk: --help, --version, --print-config become c->ask, --config becomes l->file. */
err config_flags_survey(struct config_loader *l, struct config_args args);

/* The second: settings, and positional arguments into c->arguments. */
err config_flags_apply(struct config_loader *l, struct config_args args);

/* True for a name that no row may have, since the flag means something else. */
bool config_flags_reserve(const char *name);
