#include "enclave-worker/http_answer.h"

#include <string.h>

#include "base/text.h"

enum { CHUNK_DIGITS_MAX = 15 };

void http_answer_init(struct http_answer *a, bool no_body)
{
    *a = (struct http_answer){ .no_body = no_body, .line = BUF(ENGINE_HTTP_HEAD_MAX) };
    http_head_init(&a->head);
}

void http_answer_clear(struct http_answer *a)
{
    http_head_clear(&a->head);
    buf_clear(&a->line);
}

/* ---- lines ---- */

/* False when the line is not complete yet. A line within the input is not copied; one that was is
 * dropped by the caller. */
static err take_line(struct http_answer *a, bytes *in, bytes *line, bool *whole)
{
    const uint8_t *end = in->len > 0 ? memchr(in->at, '\n', in->len) : NULL;
    bytes part = bytes_slice(*in, 0, end != NULL ? (size_t)(end - in->at) + 1 : in->len);
    *in = bytes_slice(*in, part.len, in->len);
    ENSURE(part.len <= ENGINE_HTTP_HEAD_MAX, LIMIT);
    *whole = end != NULL;
    *line = part;
    if (*whole && a->line.len == 0)
        return OK;
    TRY(buf_add(&a->line, part));
    *line = buf_view(&a->line);
    return OK;
}

static bytes without_end(bytes line)
{
    if (bytes_ends(line, BYTES_LIT("\n")))
        line.len--;
    if (bytes_ends(line, BYTES_LIT("\r")))
        line.len--;
    return line;
}

static err take_status(struct http_answer *a, bytes line)
{
    ENSURE(bytes_starts(line, BYTES_LIT("HTTP/1.1 ")) || bytes_starts(line, BYTES_LIT("HTTP/1.0 ")),
           MALFORMED);
    a->old = line.at[7] == '0';
    a->keeps = !a->old;
    a->has_length = false;
    a->part = HTTP_FIELD_LINE;
    return http_head_line(&a->head, line);
}

static err note_length(struct http_answer *a, bytes value)
{
    uint64_t length;
    ENSURE(text_u64(value, &length) && length <= INT64_MAX, MALFORMED);
    ENSURE(!a->has_length || a->length == length, MALFORMED);
    a->has_length = true;
    a->length = length;
    return OK;
}

static err take_field(struct http_answer *a, bytes line)
{
    bytes text = without_end(line);
    size_t colon = text_find(text, BYTES_LIT(":"));
    bytes name = bytes_slice(text, 0, colon);
    bytes value = text_trim(bytes_slice(text, colon + 1, text.len));
    ENSURE(colon > 0 && colon < text.len, MALFORMED);
    ENSURE(name.at[0] != ' ' && name.at[0] != '\t' && name.at[colon - 1] != ' ', MALFORMED);
    ENSURE(!bytes_starts(name, BYTES_LIT("HTTP/")), MALFORMED);
    for (size_t i = 0; i < value.len; i++)
        ENSURE(value.at[i] >= ' ' || value.at[i] == '\t', MALFORMED);
    if (text_equal_nocase(name, BYTES_LIT("transfer-encoding")))
        ENSURE(text_equal_nocase(value, BYTES_LIT("chunked")), MALFORMED);
    if (text_equal_nocase(name, BYTES_LIT("content-length")))
        TRY(note_length(a, value));
    if (text_equal_nocase(name, BYTES_LIT("connection")))
        a->keeps = text_equal_nocase(value, BYTES_LIT("keep-alive"));
    return http_head_line(&a->head, line);
}

/* RFC 9112 section 6.3. */
static void begin_content(struct http_answer *a)
{
    const struct http_head *h = &a->head;
    bool none = a->no_body || h->status == 204 || h->status == 304;
    if (none || (!h->chunked && h->content_length == 0)) {
        a->part = HTTP_OVER;
    } else if (h->chunked) {
        a->part = HTTP_CHUNK_LINE;
        a->keeps = a->keeps && !a->has_length;
    } else if (h->content_length > 0) {
        a->part = HTTP_CONTENT;
        a->left = (uint64_t)h->content_length;
    } else {
        a->part = HTTP_UNTIL_CLOSE;
        a->keeps = false;
    }
}

/* The empty line: of an interim answer, or of the one that counts. */
static err end_head(struct http_answer *a, enum http_step *step)
{
    TRY(http_head_line(&a->head, BYTES_LIT("\r\n")));
    a->part = HTTP_STATUS_LINE;
    if (!a->head.whole)
        return OK;
    begin_content(a);
    *step = HTTP_HEAD;
    return OK;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* A length in hex; extensions say nothing to us. */
static err take_chunk_line(struct http_answer *a, bytes line)
{
    bytes text = without_end(line);
    size_t n = 0;
    uint64_t length = 0;
    for (; n < text.len && hex_digit(text.at[n]) >= 0; n++) {
        ENSURE(n < CHUNK_DIGITS_MAX, MALFORMED);
        length = length << 4 | (uint64_t)hex_digit(text.at[n]);
    }
    bool extended = n < text.len && (text.at[n] == ';' || text.at[n] == ' ' || text.at[n] == '\t');
    ENSURE(n > 0 && (n == text.len || extended), MALFORMED);
    a->left = length;
    a->part = length > 0 ? HTTP_CHUNK : HTTP_TRAILER;
    return OK;
}

static err take_chunk_end(struct http_answer *a, bytes line)
{
    ENSURE(without_end(line).len == 0, MALFORMED);
    a->part = HTTP_CHUNK_LINE;
    return OK;
}

/* Trailers are nothing to us but their end. */
static err take_trailer(struct http_answer *a, bytes line)
{
    a->trailers += line.len;
    ENSURE(a->trailers <= ENGINE_HTTP_HEAD_MAX, LIMIT);
    if (without_end(line).len == 0)
        a->part = HTTP_OVER;
    return OK;
}

static err use_line(struct http_answer *a, bytes line, enum http_step *step)
{
    switch (a->part) {
    case HTTP_STATUS_LINE:
        return take_status(a, line);
    case HTTP_FIELD_LINE:
        return without_end(line).len == 0 ? end_head(a, step) : take_field(a, line);
    case HTTP_CHUNK_LINE:
        return take_chunk_line(a, line);
    case HTTP_CHUNK_END:
        return take_chunk_end(a, line);
    case HTTP_TRAILER:
        return take_trailer(a, line);
    case HTTP_CONTENT:
    case HTTP_UNTIL_CLOSE:
    case HTTP_CHUNK:
    case HTTP_OVER:
        break;
    }
    FAIL(INTERNAL);
}

static err next_line(struct http_answer *a, bytes *in, enum http_step *step)
{
    bytes line;
    bool whole;
    TRY(take_line(a, in, &line, &whole));
    if (!whole)
        return OK;
    err e = use_line(a, line, step);
    buf_truncate(&a->line, 0);
    return e;
}

/* ---- content ---- */

static bool is_content(const struct http_answer *a)
{
    return a->part == HTTP_CONTENT || a->part == HTTP_CHUNK || a->part == HTTP_UNTIL_CLOSE;
}

static bytes take_content(struct http_answer *a, bytes *in)
{
    bool bounded = a->part != HTTP_UNTIL_CLOSE;
    bytes piece = bounded && in->len > a->left ? bytes_slice(*in, 0, (size_t)a->left) : *in;
    *in = bytes_slice(*in, piece.len, in->len);
    if (!bounded)
        return piece;
    a->left -= piece.len;
    if (a->left == 0)
        a->part = a->part == HTTP_CHUNK ? HTTP_CHUNK_END : HTTP_OVER;
    return piece;
}

err http_answer_next(struct http_answer *a, bytes *in, bytes *piece, enum http_step *step)
{
    *step = HTTP_MORE;
    while (*step == HTTP_MORE && a->part != HTTP_OVER && in->len > 0) {
        if (is_content(a)) {
            *piece = take_content(a, in);
            *step = HTTP_BODY;
        } else {
            TRY(next_line(a, in, step));
        }
    }
    if (*step == HTTP_MORE && a->part == HTTP_OVER)
        *step = HTTP_END;
    return OK;
}

err http_answer_close(const struct http_answer *a)
{
    ENSURE(a->part == HTTP_UNTIL_CLOSE || a->part == HTTP_OVER, CLOSED);
    return OK;
}

bool http_answer_is_untouched(const struct http_answer *a)
{
    return a->part == HTTP_STATUS_LINE && a->line.len == 0 && a->head.seen == 0;
}

bool http_answer_keeps(const struct http_answer *a)
{
    return a->part == HTTP_OVER && a->keeps;
}
