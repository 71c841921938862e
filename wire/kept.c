#include "wire/kept.h"

#include "base/mem.h"
#include "wire/names.h"

static size_t size_of(const struct bhttp_head *h)
{
    size_t size = h->fields_n * sizeof(struct bhttp_field);
    size += h->method.len + h->scheme.len + h->authority.len + h->path.len;
    for (size_t i = 0; i < h->fields_n; i++)
        size += h->fields[i].name.len + h->fields[i].value.len;
    return size;
}

static bytes keep(uint8_t **to, bytes from)
{
    bytes kept = bytes_of(*to, from.len);
    if (from.len > 0)
        memcpy(*to, from.at, from.len);
    *to += from.len;
    return kept;
}

/* The fields' array stands first in the arena, for its alignment; the texts behind it. */
err kept_head(struct kept *k, const struct bhttp_head *head)
{
    void *arena = mem_alloc(size_of(head));
    ENSURE(arena != NULL, NOMEM);
    struct bhttp_field *fields = arena;
    uint8_t *text = (uint8_t *)(fields + head->fields_n);
    struct bhttp_head copy = *head;
    copy.fields = fields;
    copy.method = keep(&text, head->method);
    copy.scheme = keep(&text, head->scheme);
    copy.authority = keep(&text, head->authority);
    copy.path = keep(&text, head->path);
    for (size_t i = 0; i < head->fields_n; i++) {
        fields[i].name = keep(&text, head->fields[i].name);
        fields[i].value = keep(&text, head->fields[i].value);
    }
    kept_clear(k);
    *k = (struct kept){ .arena = arena, .head = copy };
    return OK;
}

void kept_clear(struct kept *k)
{
    mem_free(k->arena);
    *k = (struct kept){ 0 };
}

bytes kept_field(const struct kept *k, const char *name)
{
    const struct bhttp_field *f = bhttp_find(k->head.fields, k->head.fields_n, name);
    return f != NULL ? f->value : (bytes){ 0 };
}

/* Names, or beginnings of names where they end in '-'. */
static const char *const STOPPED[] = {
    FIELD_CALLER,
    "connection",
    "keep-alive",
    "proxy-",
    "te",
    "trailer",
    "upgrade",
    "host",
    "date",
    "expect",
    "content-length",
    "forwarded",
    "via",
    "x-forwarded-",
    "x-real-ip",
    "transfer-encoding",
    "cookie",
    "user-agent",
    "origin",
    "referer",
    "accept-encoding",
    "sec-",
    "x-stainless-",
    "accept-language",
    "dnt",
    "x-openwebui-",
    "authorization",
    "api-key",
    "x-api-key",
    "x-receipt-",
    "x-request-id",
    FIELD_TRACEPARENT,
    FIELD_TRACESTATE,
};

bool kept_passes(bytes name)
{
    for (size_t i = 0; i < ARRAY_LEN(STOPPED); i++) {
        bytes stopped = bytes_str(STOPPED[i]);
        bool prefix = stopped.at[stopped.len - 1] == '-';
        if (prefix ? bytes_starts(name, stopped) : bytes_equal(name, stopped))
            return false;
    }
    return true;
}
