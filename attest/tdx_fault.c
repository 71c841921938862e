#include "attest/tdx_fault.h"

static const char *const checks[TDX_CHECKS] = {
#define X(name, word) [TDX_CHECK_##name] = (word),
    TDX_CHECK_LIST(X)
#undef X
};

static const struct {
    enum tdx_check check;
    const char *word;
} faults[TDX_FAULTS] = {
#define X(name, check, word, reason) [TDX_FAULT_##name] = { TDX_CHECK_##check, word },
    TDX_FAULT_LIST(X)
#undef X
};

enum tdx_fault tdx_fault_of(const struct tdx_faults *set, enum tdx_check check)
{
    for (enum tdx_fault f = 0; f < TDX_FAULTS; f++) {
        if (faults[f].check == check && tdx_fault_has(set, f))
            return f;
    }
    return TDX_FAULTS;
}

const char *tdx_check_word(enum tdx_check check)
{
    return checks[check];
}

const char *tdx_fault_word(enum tdx_fault fault)
{
    return faults[fault].word;
}

enum tdx_check tdx_fault_check(enum tdx_fault fault)
{
    return faults[fault].check;
}
