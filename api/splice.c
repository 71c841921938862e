#include "api/splice.h"

#include "api/scan.h"

struct splice {
    struct buf *out;
    const struct splice_edit *edits;
    size_t n;
    struct scan scan;
    const uint8_t *copied; /* to here */
    bool found[SPLICE_EDITS_MAX];
    bool any; /* the object has a member */
};

static err copy_to(struct splice *s, const uint8_t *to)
{
    bytes piece = bytes_of(s->copied, (size_t)(to - s->copied));
    s->copied = to;
    return buf_add(s->out, piece);
}

static const struct splice_edit *edit_of_key(struct splice *s)
{
    for (size_t i = 0; i < s->n; i++) {
        if (scan_text_is(&s->scan, s->edits[i].name)) {
            s->found[i] = true;
            return s->edits[i].kind != SPLICE_ADD ? &s->edits[i] : NULL;
        }
    }
    return NULL;
}

/* Where the value begins whose key was read. */
static const uint8_t *value_of(const struct scan *s)
{
    const uint8_t *p = s->at;
    while (p < s->end && (*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r'))
        p++;
    return p;
}

/* One member, whose key was read. */
static err pass_member(struct splice *s)
{
    const struct splice_edit *edit = edit_of_key(s);
    s->any = true;
    if (edit != NULL) {
        TRY(copy_to(s, value_of(&s->scan)));
        TRY(buf_add(s->out, edit->value));
    }
    ENSURE(scan_skip(&s->scan, scan_next(&s->scan)), MALFORMED);
    if (edit != NULL)
        s->copied = s->scan.at;
    return OK;
}

static err add_missing(struct splice *s)
{
    for (size_t i = 0; i < s->n; i++) {
        if (s->found[i] || s->edits[i].kind == SPLICE_REPLACE)
            continue;
        TRY(buf_add_str(s->out, s->any ? ",\"" : "\""));
        TRY(buf_add(s->out, s->edits[i].name));
        TRY(buf_add_str(s->out, "\":"));
        TRY(buf_add(s->out, s->edits[i].value));
        s->any = true;
    }
    return OK;
}

static err pass_object(struct splice *s)
{
    enum scan_token t = scan_next(&s->scan);
    ENSURE(t == SCAN_OBJECT, MALFORMED);
    while ((t = scan_next(&s->scan)) == SCAN_KEY)
        TRY(pass_member(s));
    ENSURE(t == SCAN_OBJECT_END, MALFORMED);
    TRY(copy_to(s, s->scan.at - 1));
    TRY(add_missing(s));
    ENSURE(scan_next(&s->scan) == SCAN_END, MALFORMED);
    return copy_to(s, s->scan.end);
}

err splice_object(struct buf *out, bytes object, const struct splice_edit *edits, size_t n)
{
    size_t before = out->len;
    struct splice s = { .out = out, .edits = edits, .n = n, .copied = object.at };
    ENSURE(n <= SPLICE_EDITS_MAX, LIMIT);
    scan_init(&s.scan, object);
    err e = pass_object(&s);
    if (e.code != ERR_OK)
        buf_truncate(out, before);
    return e;
}
