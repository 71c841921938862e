#include "wire/otlp.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/json.h"

enum { STATUS_ERROR = 2 };

static void put_number(struct json_out *j, const char *key, uint64_t v)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%" PRIu64, v);
    json_put_str(j, key, text);
}

static void put_attribute(struct json_out *j, const struct otlp_attribute *a)
{
    json_begin_object(j, NULL);
    json_put_str(j, "key", a->key);
    json_begin_object(j, "value");
    if (a->text != NULL)
        json_put_str(j, "stringValue", a->text);
    else
        put_number(j, "intValue", a->number);
    json_close(j);
    json_close(j);
}

static bool has_parent(const struct otlp_span *s)
{
    static const uint8_t none[TRACE_SPAN_LEN];
    return !bytes_equal(BYTES_ARRAY(s->parent), BYTES_ARRAY(none));
}

static void put_span(struct json_out *j, const struct otlp_span *s)
{
    json_begin_object(j, NULL);
    json_put_hex(j, "traceId", BYTES_ARRAY(s->trace.id));
    json_put_hex(j, "spanId", BYTES_ARRAY(s->trace.span));
    if (has_parent(s))
        json_put_hex(j, "parentSpanId", BYTES_ARRAY(s->parent));
    json_put_str(j, "name", s->name);
    json_put_u64(j, "kind", s->kind);
    put_number(j, "startTimeUnixNano", s->start_ns);
    put_number(j, "endTimeUnixNano", s->end_ns);
    json_begin_array(j, "attributes");
    for (size_t i = 0; i < s->attributes_n; i++)
        put_attribute(j, &s->attributes[i]);
    json_close(j);
    json_begin_object(j, "status");
    if (s->failed)
        json_put_u64(j, "code", STATUS_ERROR);
    json_close(j);
    json_close(j);
}

static void put_resource(struct json_out *j, const char *service)
{
    const struct otlp_attribute name = { "service.name", service, 0 };
    json_begin_object(j, "resource");
    json_begin_array(j, "attributes");
    put_attribute(j, &name);
    json_close(j);
    json_close(j);
}

err otlp_write(struct buf *out, const char *service, const struct otlp_span *spans, size_t n)
{
    struct json_out j = JSON_OUT(out);
    ENSURE(n <= OTLP_SPANS_MAX, LIMIT);
    json_begin_object(&j, NULL);
    json_begin_array(&j, "resourceSpans");
    json_begin_object(&j, NULL);
    put_resource(&j, service);
    json_begin_array(&j, "scopeSpans");
    json_begin_object(&j, NULL);
    json_begin_object(&j, "scope");
    json_put_str(&j, "name", service);
    json_close(&j);
    json_begin_array(&j, "spans");
    for (size_t i = 0; i < n; i++)
        put_span(&j, &spans[i]);
    for (int open = 0; open < 6; open++)
        json_close(&j);
    return json_end(&j);
}
