#include "enclave-worker/inner.h"

#include "base/httpdate.h"
#include "wire/names.h"

enum inner_date inner_date(const struct kept *request, int64_t now, uint64_t window_s)
{
    int64_t at;
    bytes text = kept_field(request, FIELD_DATE);
    if (text.len == 0)
        return INNER_DATE_NONE;
    if (httpdate_read(text, &at).code != ERR_OK)
        return INNER_DATE_STALE;
    uint64_t off = at > now ? (uint64_t)(at - now) : (uint64_t)(now - at);
    return off <= window_s ? INNER_DATE_CURRENT : INNER_DATE_STALE;
}

void inner_trace(const struct kept *request, struct inner_trace *out)
{
    trace_find(request->head.fields, request->head.fields_n, &out->found);
    trace_write(&out->found.trace, out->parent);
}

static size_t add_trace(const struct inner_trace *trace, struct engine_field *out, size_t n)
{
    if (!trace_is_set(&trace->found.trace))
        return n;
    out[n++] = (struct engine_field){ BYTES_LIT(FIELD_TRACEPARENT),
                                      bytes_of(trace->parent, TRACE_PARENT_LEN) };
    if (trace->found.state_len > 0)
        out[n++] = (struct engine_field){ BYTES_LIT(FIELD_TRACESTATE),
                                          bytes_of(trace->found.state, trace->found.state_len) };
    return n;
}

size_t inner_engine_fields(const struct kept *request, bytes authorization, bool keep_authorization,
                           const struct inner_trace *trace,
                           struct engine_field out[static ENGINE_FIELDS_MAX])
{
    size_t n = 0;
    bytes request_id = kept_field(request, FIELD_REQUEST_ID);
    if (authorization.len == 0 && keep_authorization)
        authorization = kept_field(request, FIELD_AUTHORIZATION);
    if (authorization.len > 0)
        out[n++] = (struct engine_field){ BYTES_LIT(FIELD_AUTHORIZATION), authorization };
    if (request_id.len > 0)
        out[n++] = (struct engine_field){ BYTES_LIT(FIELD_REQUEST_ID), request_id };
    n = add_trace(trace, out, n);
    for (size_t i = 0; i < request->head.fields_n && n < ENGINE_FIELDS_MAX; i++) {
        const struct bhttp_field *f = &request->head.fields[i];
        if (kept_passes(f->name))
            out[n++] = (struct engine_field){ f->name, f->value };
    }
    return n;
}
