#include "tests/unit/attest/tdx_scene.h"

#include "base/mem.h"

const struct tdx_sample tdx_v4 = { "quotes/v4-b0c06f-uptodate.bin", "collateral/2025-06-b0c06f",
                                   1751328000 };
const struct tdx_sample tdx_v5 = { "quotes/v5-90c06f-uptodate.bin", "collateral/2026-02-90c06f",
                                   1771977600 };
const struct tdx_sample tdx_debug = { "quotes/v4-50806f-debug.bin", "collateral/2023-06-50806f",
                                      1688169600 };
const struct tdx_sample tdx_old = { "quotes/v4-00806f-azure-outofdate.bin",
                                    "collateral/2025-06-00806f", 1750809600 };

static const char *const names[TDX_SCENE_FILES] = {
    [SCENE_TCB] = "tcb_info.json",           [SCENE_QE] = "qe_identity.json",
    [SCENE_CHAIN] = "tcb_signing_chain.pem", [SCENE_PCK_CRL] = "pck_crl.der",
    [SCENE_ROOT_CRL] = "root_ca_crl.der",
};

void tdx_scene_read(struct buf *out, const char *path)
{
    BUF_AUTO full = BUF(4096);
    *out = BUF(1024 * 1024);
    CHECK_OK(buf_addf(&full, "%s/attest/tdx/%s", law_vectors(), path));
    law_read_file(out, buf_str(&full));
}

bool tdx_scene_open(struct tdx_scene *s, const struct tdx_sample *sample)
{
    *s = (struct tdx_scene){ 0 };
    if (law_vectors() == NULL)
        return false;
    tdx_scene_read(&s->files[SCENE_QUOTE], sample->quote);
    for (size_t i = SCENE_TCB; i < TDX_SCENE_FILES; i++) {
        BUF_AUTO path = BUF(4096);
        CHECK_OK(buf_addf(&path, "%s/%s", sample->collateral, names[i]));
        tdx_scene_read(&s->files[i], buf_str(&path));
    }
    s->input.now = sample->now;
    s->input.collateral = &s->collateral;
    s->input.policy = &s->policy;
    CHECK_OK(mem_new(&s->result));
    return true;
}

void tdx_scene_close(struct tdx_scene *s)
{
    for (size_t i = 0; i < TDX_SCENE_FILES; i++)
        buf_clear(&s->files[i]);
    buf_clear(&s->root);
    mem_free(s->result);
}

static void set_views(struct tdx_scene *s)
{
    s->input.quote = buf_view(&s->files[SCENE_QUOTE]);
    s->collateral.version = TDX_COLLATERAL_VERSION;
    s->collateral.tcb_info = buf_view(&s->files[SCENE_TCB]);
    s->collateral.qe_identity = buf_view(&s->files[SCENE_QE]);
    s->collateral.tcb_info_chain = buf_view(&s->files[SCENE_CHAIN]);
    s->collateral.qe_identity_chain = buf_view(&s->files[SCENE_CHAIN]);
    s->collateral.pck_crl = buf_view(&s->files[SCENE_PCK_CRL]);
    s->collateral.root_crl = buf_view(&s->files[SCENE_ROOT_CRL]);
}

void tdx_scene_verify(struct tdx_scene *s)
{
    set_views(s);
    CHECK_OK(tdx_verify(&s->input, s->result));
}

void tdx_scene_accepts(struct tdx_scene *s)
{
    tdx_scene_verify(s);
    for (enum tdx_fault f = 0; f < TDX_FAULTS; f++) {
        if (tdx_fault_has(&s->result->faults, f))
            fail_msg("%s", tdx_fault_word(f));
    }
    CHECK(s->result->accepted);
}

void tdx_scene_refuses(struct tdx_scene *s, enum tdx_fault fault)
{
    tdx_scene_verify(s);
    CHECK(!s->result->accepted);
    if (!tdx_fault_has(&s->result->faults, fault))
        fail_msg("not refused for %s", tdx_fault_word(fault));
    CHECK(s->result->checks[tdx_fault_check(fault)] == VERDICT_FAIL);
}
