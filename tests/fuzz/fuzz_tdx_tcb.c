/* What the scanner cuts out lies in the text, and what the readers take of it keeps their limits. A
 * document that is read has no level that an empty platform reaches unless the level asks nothing. */
#include <stdlib.h>

#include "attest/json_span.h"
#include "attest/tdx_tcb.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool cond)
{
    if (!cond)
        abort();
}

static void check_levels(const struct tdx_svn_levels *levels)
{
    check(levels->n <= TDX_SVN_LEVELS_MAX);
    for (size_t i = 0; i < levels->n; i++)
        check(levels->at[i].level.status != TDX_STATUS_NONE);
    const struct tdx_svn_level *found = tdx_svn_level_find(levels, 0);
    check(found == NULL || found->isvsvn == 0);
}

static void try_tcb_info(bytes text)
{
    struct tdx_tcb_info *info;
    struct tdx_pck none = { 0 };
    static const uint8_t svn[TDX_COMPONENTS];
    if (!err_is_ok(tdx_tcb_info_read(&info, text)))
        return;
    check(info->levels_n <= TDX_TCB_LEVELS_MAX && info->modules_n <= TDX_MODULES_MAX);
    const struct tdx_tcb_level *level = tdx_level_find(info, &none, BYTES_ARRAY(svn));
    for (size_t i = 0; level != NULL && i < TDX_COMPONENTS; i++)
        check(level->sgx[i] == 0 && level->tdx[i] == 0 && level->pcesvn == 0);
    for (size_t i = 0; i < info->modules_n; i++)
        check_levels(&info->modules[i].levels);
    tdx_tcb_info_free(info);
}

static void try_identity(bytes text)
{
    struct tdx_qe_identity *identity;
    if (!err_is_ok(tdx_qe_identity_read(&identity, text)))
        return;
    check_levels(&identity->levels);
    tdx_qe_identity_free(identity);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bytes in = bytes_of(data, size);
    struct json_span spans[] = { { .key = "tcbInfo" },
                                 { .key = "enclaveIdentity" },
                                 { .key = "signature" } };
    if (!err_is_ok(json_span_find(in, spans, 3)))
        return 0;
    for (size_t i = 0; i < 3; i++) {
        bytes v = spans[i].value;
        check(v.len == 0 || (v.at > in.at && v.at + v.len < in.at + in.len));
    }
    try_tcb_info(spans[0].value);
    try_identity(spans[1].value);
    return 0;
}
