/* cli/policy.c - the flag --policy of several subcommands. */
#include "attest/policy.h"

#include <string.h>

#include "base/file.h"
#include "base/yaml.h"
#include "cli/cli.h"

static const char SIMULATED_POLICY[] = "platforms: [simulated]\nmeasurements: any\n";

enum cli_exit cli_policy(struct policy **out, const char *name)
{
    BUF_AUTO yaml = BUF(YAML_INPUT_MAX);
    BUF_AUTO message = BUF(CONFIG_MESSAGE_MAX);
    if (name == NULL)
        return CLI_OK;
    bool simulated = strcmp(name, "simulated") == 0;
    err e = simulated ? buf_add_str(&yaml, SIMULATED_POLICY) : file_read(&yaml, name);
    if (e.code != ERR_OK)
        return cli_complain("%s cannot be read", name);
    if (policy_read(out, buf_view(&yaml), name, &message).code != ERR_OK)
        return cli_complain("%s", buf_str(&message));
    return CLI_OK;
}
