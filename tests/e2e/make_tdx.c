/*
 * make-tdx RECIPE FOLDER - TDX evidence under a root of its own, which a policy has to name before it
 * counts: for what no genuine evidence at hand shows. Writes evidence and collateral, as a worker
 * shows them, root (its SHA-256 in hex) and registers (lines of a policy's `measurements`). Valid at
 * TDX_MAKER_NOW.
 */
#include <stdio.h>

#include "base/file.h"
#include "base/text.h"
#include "crypto/init.h"
#include "tests/unit/attest/tdx_maker.h"

static void write_to(const char *folder, const char *name, bytes content)
{
    BUF_AUTO path = BUF(4096);
    CHECK_OK(buf_addf(&path, "%s/%s", folder, name));
    CHECK_OK(file_write(buf_str(&path), content));
}

static void write_registers(struct tdx_scene *s, const char *folder)
{
    static const enum tdx_field fields[] = { TDX_MRTD,    TDX_RTMR0,         TDX_RTMR1,
                                             TDX_RTMR2,   TDX_RTMR3,         TDX_MRCONFIGID,
                                             TDX_MROWNER, TDX_MROWNERCONFIG, TDX_MRSERVICETD };
    static const uint8_t zero[TDX_REGISTER_LEN];
    BUF_AUTO text = BUF(4096);
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        bytes value = tdx_quote_field(&s->result->quote, fields[i]);
        if (value.len == 0 || bytes_equal(value, BYTES_ARRAY(zero)))
            continue;
        CHECK_OK(buf_addf(&text, "  %s: [", tdx_field_name(fields[i])));
        CHECK_OK(text_hex_encode(&text, value));
        CHECK_OK(buf_add_str(&text, "]\n"));
    }
    write_to(folder, "registers", buf_view(&text));
}

static void write_all(struct tdx_scene *s, const char *folder)
{
    BUF_AUTO collateral = BUF(1024 * 1024);
    BUF_AUTO root = BUF(4096);
    tdx_scene_verify(s);
    CHECK_OK(tdx_collateral_write(&collateral, &s->collateral));
    CHECK_OK(text_hex_encode(&root, buf_view(&s->root)));
    write_to(folder, "evidence", s->input.quote);
    write_to(folder, "collateral", buf_view(&collateral));
    write_to(folder, "root", buf_view(&root));
    write_registers(s, folder);
}

static bool adjust(struct tdx_recipe *r, const char *name)
{
    r->pck_revoked = strcmp(name, "pck-revoked") == 0;
    r->ca_revoked = strcmp(name, "ca-revoked") == 0;
    r->signer_revoked = strcmp(name, "signer-revoked") == 0;
    return r->pck_revoked || r->ca_revoked || r->signer_revoked || strcmp(name, "good") == 0;
}

int main(int argc, char **argv)
{
    enum { MEASURED = 0x3e };
    struct tdx_scene scene;
    struct tdx_recipe recipe = tdx_recipe_good();
    recipe.measured = MEASURED;
    if (argc != 3 || !adjust(&recipe, argv[1]) || crypto_init().code != ERR_OK) {
        (void)fprintf(stderr,
                      "usage: make-tdx good|pck-revoked|ca-revoked|signer-revoked FOLDER\n");
        return 1;
    }
    tdx_make(&scene, &recipe);
    write_all(&scene, argv[2]);
    tdx_scene_close(&scene);
    return 0;
}
