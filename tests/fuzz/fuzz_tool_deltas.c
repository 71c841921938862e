/*
 * Tool deltas, whatever they are like: how the stream is cut changes nothing; each event stays whole
 * JSON; its usage and its choices are those of the one that came; and what was mended is right, so
 * that mending it again changes nothing. The first byte chooses the cut.
 */
#include <stdint.h>
#include <stdlib.h>

#include "api/tool_deltas.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OUT_MAX = 8 * 1024 * 1024 };

struct run {
    struct tool_deltas deltas;
    struct buf out;
};

static void demand(bool truth)
{
    if (!truth)
        abort();
}

static void compare(bytes wire, const struct sse_event *event)
{
    struct peek_answer now;
    size_t head = event->wire.len - event->data.len - 2;
    peek_answer(bytes_slice(wire, head, wire.len - head - 2), &now);
    demand(now.whole && bytes_ends(wire, BYTES_LIT("\n\n")));
    demand(now.choices == event->answer->choices && now.finished == event->answer->finished);
    demand(now.answer_tokens == event->answer->answer_tokens);
}

static err on_event(void *owner, const struct sse_event *event)
{
    struct run *r = owner;
    bytes wire;
    TRY(tool_deltas_put(&r->deltas, event, &wire));
    if (event->answer != NULL && !(event->flags & SSE_NOT_JSON))
        compare(wire, event);
    return buf_add(&r->out, wire);
}

static err mend(bytes in, size_t part, struct buf *out)
{
    struct sse s;
    struct run r = { .out = BUF(OUT_MAX) };
    err e = OK;
    tool_deltas_init(&r.deltas, BYTES_LIT("seed"));
    sse_init(&s, false, on_event, &r);
    for (size_t i = 0; i < in.len && err_is_ok(e); i += part)
        e = sse_put(&s, bytes_slice(in, i, part));
    if (err_is_ok(e))
        e = sse_end(&s);
    sse_clear(&s);
    tool_deltas_clear(&r.deltas);
    *out = r.out;
    return e;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    bytes in = bytes_of(data + 1, size - 1);
    BUF_AUTO whole = BUF(0);
    BUF_AUTO parts = BUF(0);
    BUF_AUTO again = BUF(0);
    err e = mend(in, size, &whole);
    demand(mend(in, data[0] + 1U, &parts).code == e.code);
    demand(bytes_equal(buf_view(&whole), buf_view(&parts)));
    demand(e.code != ERR_OK || mend(buf_view(&whole), size, &again).code == ERR_OK);
    demand(e.code != ERR_OK || bytes_equal(buf_view(&whole), buf_view(&again)));
    return 0;
}
