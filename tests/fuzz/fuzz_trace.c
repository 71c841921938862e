/* A first line is a traceparent, the rest a tracestate: what is accepted is written so that it is read
 * as the same, and holds nothing that could end a field. */
#include <stdlib.h>

#include "base/text.h"
#include "wire/trace.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool truth)
{
    if (!truth)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bytes in = bytes_of(data, size);
    size_t end = text_find(in, BYTES_LIT("\n"));
    const struct bhttp_field fields[] = {
        { BYTES_LIT("traceparent"), bytes_slice(in, 0, end) },
        { BYTES_LIT("tracestate"), bytes_slice(in, end + 1, in.len) },
    };
    struct trace_found found;
    struct trace again;
    char text[TRACE_PARENT_LEN + 1];
    trace_find(fields, 2, &found);
    if (!trace_is_set(&found.trace)) {
        demand(found.state_len == 0);
        return 0;
    }
    trace_write(&found.trace, text);
    demand(strlen(text) == TRACE_PARENT_LEN && trace_read(bytes_str(text), &again));
    demand(bytes_equal(BYTES_ARRAY(again.id), BYTES_ARRAY(found.trace.id)));
    demand(bytes_equal(BYTES_ARRAY(again.span), BYTES_ARRAY(found.trace.span)));
    demand(again.flags == found.trace.flags);
    for (size_t i = 0; i < found.state_len; i++) {
        uint8_t c = (uint8_t)found.state[i];
        demand(c == '\t' || (c >= 0x20 && c < 0x7f));
    }
    return 0;
}
