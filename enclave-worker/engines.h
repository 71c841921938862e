/*
 * enclave-worker/engines.h - which engine serves which model, from the file that `engines` names.
 *
 *     engines:
 *       - name: large
 *         url: http://127.0.0.1:8000
 *         models: [llama-70b, "qwen*"]
 *         aliases: {gpt-4o: llama-70b}
 *         token_file: large.token
 *         ca: large.pem
 *
 * `models` are names that the engine knows; an asterisk in a name stands for any text. `aliases` are
 * further names for clients, and what the engine is asked for instead. Either may be left out, but
 * not both; token_file and ca are as the settings engine_token_file and engine_ca, which they
 * replace. A name that is written out wins over a pattern, and the first pattern over those behind.
 */
#pragma once

#include "base/buf.h"
#include "base/yaml.h"

enum {
    ENGINES_MAX = 32,
    ENGINES_NAMES_MAX = 1024, /* models and aliases of all engines */
    ENGINES_NAME_MAX = 256    /* bytes of one */
};

struct engines_entry {
    const char *name;
    const char *url;
    const char *token_file; /* or NULL */
    const char *ca;         /* or NULL */
};

struct engines_name {
    bytes name;   /* what clients ask for; see text_is_like() */
    bytes target; /* what the engine is asked for; empty: the same */
    size_t entry;
    bool pattern; /* there is an asterisk in it */
};

struct engines {
    struct yaml *file; /* holds the texts */
    struct engines_entry entries[ENGINES_MAX];
    size_t entries_n;
    struct engines_name names[ENGINES_NAMES_MAX]; /* in the order of the file */
    size_t names_n;
};

/* ERR_CONFIG, with "FILE:LINE: what is wrong" in *message. */
err engines_read(struct engines **out, bytes text, const char *file, struct buf *message);
void engines_free(struct engines *e);

/* NULL when no engine serves it. */
const struct engines_name *engines_find(const struct engines *e, bytes model);
