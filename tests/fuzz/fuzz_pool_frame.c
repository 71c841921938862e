/*
 * Any bytes as frames between a pool's worker and its keeper; the first says where they are cut. Laws:
 * what was read, written again, is the bytes that were read; however they are cut.
 */
#include <stdlib.h>

#include "wire/pool_frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool law)
{
    if (!law)
        abort();
}

static err on_welcome(void *owner, const struct pool_welcome *w)
{
    return pool_welcome_write(owner, w);
}

static err on_ask(void *owner, const struct pool_ask *a)
{
    return pool_ask_write(owner, a);
}

static err on_answer(void *owner, const struct pool_answer *a)
{
    return pool_answer_write(owner, a);
}

static const struct pool_frame_events EVENTS = { on_welcome, on_ask, on_answer };

static err read_all(bytes in, size_t step, struct buf *out)
{
    struct pool_frame_reader r = { 0 };
    for (size_t at = 0; at < in.len; at += step)
        TRY(pool_frame_put(&r, bytes_slice(in, at, step), &EVENTS, out));
    demand(out->len + r.held_n == in.len);
    return OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 4096)
        return 0;
    bytes in = bytes_of(data + 1, size - 1);
    BUF_AUTO whole = BUF(8192);
    BUF_AUTO cut = BUF(8192);
    err a = read_all(in, in.len + 1, &whole);
    err b = read_all(in, (size_t)data[0] + 1, &cut);
    demand(a.code == b.code && (a.code == ERR_OK || a.code == ERR_MALFORMED));
    demand(bytes_equal(buf_view(&whole), buf_view(&cut)));
    demand(bytes_starts(in, buf_view(&whole)));
    return 0;
}
