/* Sizes come first, so that there is one reservation and nothing to take back. */
#include "wire/bhttp.h"
#include "wire/bhttp_rules.h"
#include "wire/varint.h"

static size_t text_size(bytes b)
{
    return varint_size(b.len) + b.len;
}

static uint8_t *put_text(uint8_t *at, bytes b)
{
    at = varint_put(at, b.len);
    if (b.len > 0)
        memcpy(at, b.at, b.len);
    return at + b.len;
}

static uint8_t *put_name(uint8_t *at, bytes name)
{
    at = varint_put(at, name.len);
    for (size_t i = 0; i < name.len; i++)
        at[i] = name.at[i] >= 'A' && name.at[i] <= 'Z' ? name.at[i] | 0x20 : name.at[i];
    return at + name.len;
}

struct section {
    const struct bhttp_field *fields;
    size_t n;
    bool known;
    size_t lines_size;
};

static err section_measure(struct section *s)
{
    ENSURE(s->n <= BHTTP_FIELDS_MAX, LIMIT);
    for (size_t i = 0; i < s->n; i++) {
        const struct bhttp_field *f = &s->fields[i];
        ENSURE(f->name.len <= BHTTP_HEAD_MAX && f->value.len <= BHTTP_HEAD_MAX, LIMIT);
        ENSURE(text_is_token(f->name) && bhttp_is_value(f->value), MALFORMED);
        s->lines_size += text_size(f->name) + text_size(f->value);
    }
    return OK;
}

static size_t section_size(const struct section *s)
{
    return s->lines_size + (s->known ? varint_size(s->lines_size) : 1);
}

static uint8_t *put_section(uint8_t *at, const struct section *s)
{
    if (s->known)
        at = varint_put(at, s->lines_size);
    for (size_t i = 0; i < s->n; i++) {
        at = put_name(at, s->fields[i].name);
        at = put_text(at, s->fields[i].value);
    }
    return s->known ? at : varint_put(at, 0);
}

err bhttp_write_request_head(struct buf *to, const struct bhttp_head *head, bool known_length)
{
    const bytes control[BHTTP_CONTROLS] = { head->method, head->scheme, head->authority,
                                            head->path };
    struct section s = { .fields = head->fields, .n = head->fields_n, .known = known_length };
    TRY(section_measure(&s));
    size_t size = 1 + section_size(&s);
    for (enum bhttp_control c = BHTTP_METHOD; c < BHTTP_CONTROLS; c++) {
        ENSURE(control[c].len <= BHTTP_HEAD_MAX, LIMIT);
        ENSURE(bhttp_is_control(c, control[c]), MALFORMED);
        size += text_size(control[c]);
    }
    ENSURE(size <= BHTTP_HEAD_MAX, LIMIT);

    uint8_t *at;
    TRY(buf_reserve(to, size, &at));
    at = varint_put(at, known_length ? BHTTP_KNOWN_REQUEST : BHTTP_OPEN_REQUEST);
    for (enum bhttp_control c = BHTTP_METHOD; c < BHTTP_CONTROLS; c++)
        at = put_text(at, control[c]);
    (void)put_section(at, &s);
    buf_commit(to, size);
    return OK;
}

err bhttp_write_response_head(struct buf *to, const struct bhttp_head *head, bool known_length)
{
    struct section s = { .fields = head->fields, .n = head->fields_n, .known = known_length };
    ENSURE(head->status >= 200 && head->status <= 599, MALFORMED);
    TRY(section_measure(&s));
    size_t size = 1 + varint_size(head->status) + section_size(&s);
    ENSURE(size <= BHTTP_HEAD_MAX, LIMIT);

    uint8_t *at;
    TRY(buf_reserve(to, size, &at));
    at = varint_put(at, known_length ? BHTTP_KNOWN_RESPONSE : BHTTP_OPEN_RESPONSE);
    at = varint_put(at, head->status);
    (void)put_section(at, &s);
    buf_commit(to, size);
    return OK;
}

err bhttp_write_content_len(struct buf *to, uint64_t len)
{
    return varint_write(to, len);
}

err bhttp_write_content(struct buf *to, bytes content)
{
    size_t size = text_size(content);
    uint8_t *room;
    TRY(buf_reserve(to, size, &room));
    (void)put_text(room, content);
    buf_commit(to, size);
    return OK;
}

err bhttp_write_chunk_len(struct buf *to, uint64_t len)
{
    ENSURE(len > 0, INTERNAL);
    return varint_write(to, len);
}

err bhttp_write_chunk(struct buf *to, bytes chunk)
{
    return chunk.len > 0 ? bhttp_write_content(to, chunk) : OK;
}

err bhttp_write_content_end(struct buf *to)
{
    return varint_write(to, 0);
}

err bhttp_write_trailers(struct buf *to, const struct bhttp_field *fields, size_t n,
                         bool known_length)
{
    struct section s = { .fields = fields, .n = n, .known = known_length };
    TRY(section_measure(&s));
    size_t size = section_size(&s);
    ENSURE(size <= BHTTP_HEAD_MAX, LIMIT);

    uint8_t *at;
    TRY(buf_reserve(to, size, &at));
    (void)put_section(at, &s);
    buf_commit(to, size);
    return OK;
}
