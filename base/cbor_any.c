#include "base/cbor_any.h"

enum { MAP_OPEN = 0xbf, ARRAY_OPEN = 0x9f, BREAK = 0xff };

static bool take_byte(bytes *in, uint8_t wanted)
{
    bytes taken;
    return in->len > 0 && in->at[0] == wanted && bytes_take(in, 1, &taken);
}

err cbor_any_map(bytes *in, struct cbor_run *out)
{
    struct cbor_run run = { .open = take_byte(in, MAP_OPEN) };
    if (!run.open)
        TRY(cbor_take_map(in, &run.left));
    *out = run;
    return OK;
}

err cbor_any_array(bytes *in, struct cbor_run *out)
{
    struct cbor_run run = { .open = take_byte(in, ARRAY_OPEN) };
    if (!run.open)
        TRY(cbor_take_array(in, &run.left));
    *out = run;
    return OK;
}

bool cbor_any_more(bytes *in, struct cbor_run *run)
{
    if (run->done)
        return false;
    run->done = run->open ? take_byte(in, BREAK) : run->left == 0;
    if (run->done || in->len == 0)
        return false;
    if (!run->open)
        run->left--;
    return true;
}

err cbor_any_end(const struct cbor_run *run)
{
    ENSURE(run->done, TRUNCATED);
    return OK;
}
