/* cli/detect.c - `sealgate detect`: what can this machine make evidence with? */
#include "attest/detect.h"

#include <stdio.h>

#include "base/attr.h"
#include "cli/cli.h"

enum { REPORT_MAX = 64 * 1024 };

struct detect_options {
    const char *root;
    bool json;
};

static const struct config_row ROWS[] = {
    { .group = "Flags",
      .name = "root",
      .offset = offsetof(struct detect_options, root),
      .type = CONFIG_PATH,
      .help = "Look below this folder instead of the root directory, such as a container's." },
    { .name = "json",
      .offset = offsetof(struct detect_options, json),
      .type = CONFIG_BOOL,
      .help = "Print one JSON object instead of text." },
};

static const struct config_program PROGRAM = {
    .name = "sealgate detect",
    .summary =
        "Tells which TEE this machine is. Exit status: 0 evidence can be made, 1 it cannot, "
        "2 not decided.",
    .env_prefix = "SEALGATE_DETECT_",
    .rows = ROWS,
    .rows_n = ARRAY_LEN(ROWS),
};

static enum cli_exit look(const struct detect_options *o)
{
    struct detect found;
    BUF_AUTO text = BUF(REPORT_MAX);
    err e = detect_look(o->root, &found);
    if (e.code == ERR_OK)
        e = o->json ? detect_json(&found, &text) : detect_explain(&found, &text);
    if (e.code == ERR_OK && o->json)
        e = buf_add_u8(&text, '\n');
    if (e.code != ERR_OK)
        return cli_complain("%s", err_text(e));
    (void)fputs(buf_str(&text), stdout);
    return found.choice != NULL ? CLI_OK : CLI_REFUSED;
}

enum cli_exit cli_detect(int argc, char **argv)
{
    struct config c = { 0 };
    struct detect_options options = { 0 };
    enum cli_exit exit;
    if (cli_load(&c, &PROGRAM, &options, argc, argv, &exit))
        exit = look(&options);
    config_clear(&c);
    return exit;
}
