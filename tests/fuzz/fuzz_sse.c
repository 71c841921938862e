/*
 * Server-sent events: however the stream is cut, the same events come out; and what comes out, put
 * in again, comes out unchanged. The first byte of the input chooses the split and the mode.
 */
#include <stdint.h>
#include <stdlib.h>

#include "api/sse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OUT_MAX = 4 * 1024 * 1024 };

static err keep(void *owner, const struct sse_event *event)
{
    struct buf *out = owner;
    TRY(buf_add(out, event->wire));
    return buf_add_u8(out, (uint8_t)event->flags);
}

static err keep_wire(void *owner, const struct sse_event *event)
{
    return buf_add(owner, event->wire);
}

static err read_in_parts(bytes in, size_t part, bool comments, sse_fn *fn, struct buf *out)
{
    struct sse s;
    sse_init(&s, comments, fn, out);
    err e = OK;
    for (size_t i = 0; i < in.len && err_is_ok(e); i += part)
        e = sse_put(&s, bytes_slice(in, i, part));
    if (err_is_ok(e))
        e = sse_end(&s);
    sse_clear(&s);
    return e;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    bool comments = data[0] & 1;
    bytes in = bytes_of(data + 1, size - 1);
    BUF_AUTO whole = BUF(OUT_MAX);
    BUF_AUTO single = BUF(OUT_MAX);
    BUF_AUTO some = BUF(OUT_MAX);
    err e = read_in_parts(in, size, comments, keep, &whole);
    err e1 = read_in_parts(in, 1, comments, keep, &single);
    err e2 = read_in_parts(in, (data[0] >> 1) + 1U, comments, keep, &some);
    if (e.code != e1.code || e.code != e2.code ||
        !bytes_equal(buf_view(&whole), buf_view(&single)) ||
        !bytes_equal(buf_view(&whole), buf_view(&some)))
        abort();

    BUF_AUTO wire = BUF(OUT_MAX);
    BUF_AUTO again = BUF(OUT_MAX);
    e = read_in_parts(in, size, comments, keep_wire, &wire);
    e1 = read_in_parts(buf_view(&wire), size, comments, keep_wire, &again);
    if (e.code == ERR_OK && (e1.code != ERR_OK || !bytes_equal(buf_view(&wire), buf_view(&again))))
        abort();
    return 0;
}
