#include "gateway/front_strict.h"

#include "base/bytes.h"
#include "base/text.h"

/* What the body's framing and the routing depend on, gathered while walking over the lines. */
struct seen {
    unsigned hosts;
    unsigned lengths;
    unsigned encodings;
    bool length_bad;
    bool encoding_bad;
};

/* Printable ASCII without space; anything else has to come percent-encoded. */
static bool is_target(const char *at, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (at[i] <= 0x20 || at[i] >= 0x7f)
            return false;
    }
    return len > 0;
}

/* No control character but TAB; bytes from 0x80 on are left to the reader of the value. */
static bool is_value(const char *at, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        uint8_t c = (uint8_t)at[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

/* Two NULs at pos: a CRLF was here. One would have been a bare LF. */
static bool take_line_end(const struct strict_head *h, size_t *pos)
{
    if (h->len < 2 || *pos > h->len - 2 || h->at[*pos] != 0 || h->at[*pos + 1] != 0)
        return false;
    *pos += 2;
    return true;
}

static const char *check_request_line(const struct strict_head *h, const char *target, size_t *pos)
{
    if (!text_is_token(bytes_of(h->at, h->method_len)))
        return "malformed method";
    if (!is_target(target, h->target_len))
        return "malformed request target";
    size_t version = h->method_len + 1 + h->target_len + 1;
    if (h->version != h->at + version)
        return "malformed request line";
    *pos = version + strlen("HTTP/1.1");
    return take_line_end(h, pos) ? NULL : "malformed line end";
}

static const char *check_line(const struct strict_head *h, const struct strict_line *line,
                              size_t *pos)
{
    if (line->name != h->at + *pos)
        return "malformed header line";
    if (!text_is_token(bytes_of(line->name, line->name_len)))
        return "malformed header name";
    *pos += line->name_len + 1; /* the colon */
    if (line->value < h->at + *pos || line->value > h->at + h->len)
        return "malformed header line";
    for (; h->at + *pos < line->value; ++*pos) {
        if (h->at[*pos] != ' ' && h->at[*pos] != '\t')
            return "malformed header line";
    }
    if (line->value_len > h->len - *pos || !is_value(line->value, line->value_len))
        return "malformed header value";
    *pos += line->value_len;
    return take_line_end(h, pos) ? NULL : "malformed line end";
}

static bool named(const struct strict_line *line, bytes name)
{
    return text_equal_nocase(bytes_of(line->name, line->name_len), name);
}

static void look_at(const struct strict_line *line, struct seen *s, struct strict_verdict *v)
{
    bytes value = bytes_of(line->value, line->value_len);
    if (named(line, BYTES_LIT("host"))) {
        s->hosts++;
    } else if (named(line, BYTES_LIT("content-length"))) {
        s->lengths++;
        s->length_bad |= !text_u64(text_trim(value), &v->length);
    } else if (named(line, BYTES_LIT("transfer-encoding"))) {
        s->encodings++;
        s->encoding_bad |= !text_equal_nocase(value, BYTES_LIT("chunked"));
        v->chunked = true;
    } else if (named(line, BYTES_LIT("expect"))) {
        v->expects = text_equal_nocase(value, BYTES_LIT("100-continue"));
    }
}

static const char *check_meaning(const struct seen *s, const struct strict_verdict *v)
{
    if (s->lengths > 0 && s->encodings > 0)
        return "both content-length and transfer-encoding";
    if (s->lengths > 1)
        return "repeated content-length";
    if (s->length_bad)
        return "malformed content-length";
    if (s->encodings > 1 || s->encoding_bad)
        return "unsupported transfer-encoding";
    if (s->encodings > 0 && v->old)
        return "transfer-encoding in HTTP/1.0";
    if (s->hosts > 1)
        return "repeated host";
    if (s->hosts == 0 && !v->old)
        return "missing host";
    return NULL;
}

static struct strict_verdict refusal(unsigned status, const char *reason)
{
    return (struct strict_verdict){ .status = status, .reason = reason };
}

struct strict_verdict strict_check(const struct strict_head *head, const char *target)
{
    struct strict_verdict v = { 0 };
    struct seen s = { 0 };
    size_t pos = 0;
    const char *wrong = check_request_line(head, target, &pos);
    if (wrong != NULL)
        return refusal(400, wrong);
    v.old = memcmp(head->version, "HTTP/1.0", strlen("HTTP/1.0")) == 0;
    if (!v.old && memcmp(head->version, "HTTP/1.1", strlen("HTTP/1.1")) != 0)
        return refusal(505, "unsupported HTTP version");
    for (size_t i = 0; i < head->lines_n && wrong == NULL; i++) {
        wrong = check_line(head, &head->lines[i], &pos);
        look_at(&head->lines[i], &s, &v);
    }
    if (wrong == NULL && (!take_line_end(head, &pos) || pos != head->len))
        wrong = "malformed line end";
    if (wrong == NULL)
        wrong = check_meaning(&s, &v);
    if (wrong != NULL)
        return refusal(400, wrong);
    v.expects = v.expects && !v.old;
    v.accepted = true;
    return v;
}
