/* Any bytes as the list of a relay's workers. Law: what was read is, written again, the same bytes. */
#include <stdlib.h>

#include "wire/roster.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool law)
{
    if (!law)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct roster r;
    BUF_AUTO out = BUF(ROSTER_TEXT_MAX);
    err e = roster_read(bytes_of(data, size), &r);
    demand(e.code == ERR_OK || e.code == ERR_MALFORMED || e.code == ERR_LIMIT);
    if (e.code != ERR_OK)
        return 0;
    demand(err_is_ok(roster_write(&out, &r)));
    demand(bytes_equal(buf_view(&out), bytes_of(data, size)));
    return 0;
}
