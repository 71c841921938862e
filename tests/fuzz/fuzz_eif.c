/* An enclave image: measured within its bounds, or refused. */
#include <stdlib.h>

#include "attest/eif.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct eif e, again;
    err first = eif_measure(bytes_of(data, size), &e);
    err second = eif_measure(bytes_of(data, size), &again);
    if (first.code != second.code || (err_is_ok(first) && (e.version < 2 || e.version > 4)))
        abort();
    return 0;
}
