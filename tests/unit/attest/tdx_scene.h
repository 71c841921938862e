/*
 * tests/unit/attest/tdx_scene.h - genuine TDX evidence with its collateral, for tests to spoil.
 */
#pragma once

#include "attest/tdx_policy.h"
#include "attest/tdx_verify.h"
#include "tests/lib/law.h"

enum tdx_scene_file {
    SCENE_QUOTE,
    SCENE_TCB,
    SCENE_QE,
    SCENE_CHAIN,
    SCENE_PCK_CRL,
    SCENE_ROOT_CRL,
    TDX_SCENE_FILES
};

struct tdx_scene {
    struct buf files[TDX_SCENE_FILES];
    struct tdx_collateral collateral; /* views of the files */
    struct tdx_policy policy;
    struct buf root; /* of tdx_maker.h */
    struct tdx_input input;
    struct tdx_result *result;
};

/* Evidence that the shared vectors hold; times are those of cases.json. */
struct tdx_sample {
    const char *quote;
    const char *collateral;
    int64_t now;
};
extern const struct tdx_sample tdx_v4, tdx_v5, tdx_debug, tdx_old;

/* False, loudly, when there are no vectors: then skip(). */
bool tdx_scene_open(struct tdx_scene *s, const struct tdx_sample *sample);
void tdx_scene_close(struct tdx_scene *s);

/* One more file of the shared vectors, by its path below attest/tdx. */
void tdx_scene_read(struct buf *out, const char *path);

/* Verifies, with the views set anew. */
void tdx_scene_verify(struct tdx_scene *s);

void tdx_scene_accepts(struct tdx_scene *s);
void tdx_scene_refuses(struct tdx_scene *s, enum tdx_fault fault);
