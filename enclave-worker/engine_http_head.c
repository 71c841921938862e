#include "enclave-worker/engine_http_head.h"

#include "base/attr.h"
#include "base/text.h"

void http_head_init(struct http_head *h)
{
    *h = (struct http_head){ .content_length = -1, .text = BUF(ENGINE_HTTP_HEAD_MAX) };
}

void http_head_clear(struct http_head *h)
{
    buf_clear(&h->text);
    http_head_init(h);
}

static bool is_for_clients(bytes name)
{
    static const char *const names[] = {
        "content-type", "content-encoding", "content-language", "content-disposition",
        "retry-after",  "retry-after-ms",   "x-should-retry",
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (bytes_equal(name, bytes_str(names[i])))
            return true;
    }
    return bytes_starts(name, BYTES_LIT("openai-")) ||
           bytes_starts(name, BYTES_LIT("x-ratelimit-"));
}

static void lower(uint8_t *at, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (at[i] >= 'A' && at[i] <= 'Z')
            at[i] = (uint8_t)(at[i] + 32);
    }
}

static err keep_field(struct http_head *h, bytes name, bytes value)
{
    struct http_head_field f = { .name = h->text.len,
                                 .name_len = name.len,
                                 .value_len = value.len };
    TRY(buf_add(&h->text, name));
    lower(h->text.at + f.name, name.len);
    bytes low = bytes_of(h->text.at + f.name, name.len);
    if (bytes_equal(low, BYTES_LIT("transfer-encoding")))
        h->chunked = true;
    uint64_t length;
    if (bytes_equal(low, BYTES_LIT("content-length")) && text_u64(value, &length) &&
        length <= INT64_MAX)
        h->content_length = (int64_t)length;
    if (!is_for_clients(low)) {
        buf_truncate(&h->text, f.name);
        return OK;
    }
    ENSURE(h->fields_n < ENGINE_FIELDS_MAX, LIMIT);
    f.value = h->text.len;
    TRY(buf_add(&h->text, value));
    h->fields[h->fields_n++] = f;
    return OK;
}

/* "HTTP/1.1 200 OK": an interim answer's head may have come before it. */
static err begin(struct http_head *h, bytes line)
{
    bytes rest = bytes_slice(line, text_find(line, BYTES_LIT(" ")) + 1, line.len);
    uint64_t status = 0;
    ENSURE(text_u64(bytes_slice(rest, 0, 3), &status) && status >= 100 && status <= 599, MALFORMED);
    buf_truncate(&h->text, 0);
    h->fields_n = 0;
    h->status = (unsigned)status;
    h->content_length = -1;
    h->chunked = false;
    return OK;
}

static void finish(struct http_head *h)
{
    h->whole = h->status >= 200;
    if (h->chunked)
        h->content_length = -1;
    if (h->status == 204 || h->status == 304)
        h->content_length = 0;
}

err http_head_line(struct http_head *h, bytes line)
{
    h->seen += line.len;
    ENSURE(h->seen <= ENGINE_HTTP_HEAD_MAX, LIMIT);
    while (line.len > 0 && (line.at[line.len - 1] == '\n' || line.at[line.len - 1] == '\r'))
        line.len--;
    if (bytes_starts(line, BYTES_LIT("HTTP/")))
        return begin(h, line);
    if (line.len == 0) {
        finish(h);
        return OK;
    }
    size_t colon = text_find(line, BYTES_LIT(":"));
    return keep_field(h, bytes_slice(line, 0, colon),
                      text_trim(bytes_slice(line, colon + 1, line.len)));
}

size_t http_head_fields(const struct http_head *h,
                        struct engine_field out[static ENGINE_FIELDS_MAX])
{
    for (size_t i = 0; i < h->fields_n; i++) {
        const struct http_head_field *f = &h->fields[i];
        out[i].name = bytes_of(h->text.at + f->name, f->name_len);
        out[i].value = bytes_of(h->text.at + f->value, f->value_len);
    }
    return h->fields_n;
}
