/*
 * Both framings go through one machine: a table says for each part of a message how its bytes are
 * taken, what is done when it is complete, and whether the message may end in front of it. Texts of
 * a section are kept, each behind its length, until the section is complete and can be told as a
 * whole; content is told as it comes.
 */
#include "wire/bhttp.h"

#include "base/mem.h"
#include "wire/bhttp_rules.h"
#include "wire/varint.h"

const struct bhttp_field *bhttp_find(const struct bhttp_field *fields, size_t n, const char *name)
{
    bytes want = bytes_str(name);
    for (size_t i = 0; i < n; i++)
        if (bytes_equal(fields[i].name, want))
            return &fields[i];
    return NULL;
}

enum part {
    FRAMING,
    CONTROL_LEN,
    CONTROL,
    STATUS,
    SECTION_LEN, /* known length only */
    NAME_LEN,    /* or the terminator */
    NAME,
    VALUE_LEN,
    VALUE,
    CONTENT_LEN, /* known length */
    CHUNK_LEN,   /* indeterminate length, or the terminator */
    CONTENT,
    PADDING,
};

struct bhttp_reader {
    const struct bhttp_events *events;
    void *owner;
    err failed;
    enum part part;
    bool request;
    bool known;
    bool trailers;    /* the section being read is that of the trailers */
    bool had_content; /* a chunk has begun */
    unsigned status;
    unsigned controls;     /* texts of control data read so far */
    size_t lines;          /* field lines read of this section */
    size_t used;           /* wire bytes, counted against BHTTP_HEAD_MAX */
    uint64_t section_left; /* bytes of a section of known length */
    uint64_t left;         /* bytes of the text or content piece being read */
    size_t text_at;        /* where the text being read begins in `kept` */
    struct varint_reader number;
    struct buf kept; /* texts of this section, each behind its length as a uint32_t */
};

enum { KEPT_MAX = BHTTP_HEAD_MAX + 4 * (BHTTP_CONTROLS + 2 * BHTTP_FIELDS_MAX) };

struct row {
    err (*take)(struct bhttp_reader *r, bytes *in);    /* some of the part's bytes, at least one */
    err (*number)(struct bhttp_reader *r, uint64_t v); /* the part was an integer and is complete */
    err (*text)(struct bhttp_reader *r, bytes text);   /* the part was a text and is complete */
    err (*end)(
        struct bhttp_reader *r); /* the message ended in front of the part; NULL: it may not */
};

static const struct row rows[];

/* Counts n bytes of a head or trailers: against their limit, and against their section. */
static err charge(struct bhttp_reader *r, uint64_t n)
{
    bool in_lines = r->part == NAME_LEN || r->part == VALUE_LEN;
    if (in_lines && r->known) {
        ENSURE(n <= r->section_left, MALFORMED);
        r->section_left -= n;
    }
    ENSURE(n <= BHTTP_HEAD_MAX - r->used, LIMIT);
    r->used += (size_t)n;
    return OK;
}

static err take_number(struct bhttp_reader *r, bytes *in)
{
    uint64_t v;
    size_t size;
    if (!varint_take(&r->number, in, &v, &size))
        return OK;
    if (r->part != CONTENT_LEN && r->part != CHUNK_LEN)
        TRY(charge(r, size));
    return rows[r->part].number(r, v);
}

static err text_done(struct bhttp_reader *r)
{
    return rows[r->part].text(r, bytes_slice(buf_view(&r->kept), r->text_at, r->kept.len));
}

static err take_text(struct bhttp_reader *r, bytes *in)
{
    bytes piece;
    size_t n = in->len < r->left ? in->len : (size_t)r->left;
    (void)bytes_take(in, n, &piece);
    TRY(buf_add(&r->kept, piece));
    r->left -= n;
    return r->left == 0 ? text_done(r) : OK;
}

/* Its length has been read; nothing is allocated for it before its bytes are there. */
static err begin_text(struct bhttp_reader *r, enum part part, uint64_t len)
{
    TRY(charge(r, len));
    uint32_t len32 = (uint32_t)len;
    TRY(buf_add(&r->kept, bytes_of(&len32, sizeof len32)));
    r->text_at = r->kept.len;
    r->part = part;
    r->left = len;
    return len == 0 ? text_done(r) : OK;
}

static bytes next_kept(bytes *kept)
{
    bytes size;
    bytes text = { 0 };
    uint32_t len = 0;
    if (bytes_take(kept, sizeof len, &size))
        memcpy(&len, size.at, sizeof len);
    (void)bytes_take(kept, len, &text);
    return text;
}

static void view_fields(bytes kept, struct bhttp_field *fields, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        fields[i].name = next_kept(&kept);
        fields[i].value = next_kept(&kept);
    }
}

static void forget_section(struct bhttp_reader *r)
{
    buf_clear(&r->kept);
    r->lines = 0;
}

static err tell_head(struct bhttp_reader *r, uint64_t content_len)
{
    struct bhttp_field fields[BHTTP_FIELDS_MAX];
    struct bhttp_head head = { .is_request = r->request, .status = r->status };
    head.content_known = r->known && (r->request || r->status >= 200);
    head.content_len = content_len;
    bytes kept = buf_view(&r->kept);
    if (r->request) {
        head.method = next_kept(&kept);
        head.scheme = next_kept(&kept);
        head.authority = next_kept(&kept);
        head.path = next_kept(&kept);
    }
    view_fields(kept, fields, r->lines);
    head.fields = fields;
    head.fields_n = r->lines;
    TRY(r->events->head(r->owner, &head));
    forget_section(r);
    return OK;
}

static err tell_trailers(struct bhttp_reader *r)
{
    struct bhttp_field fields[BHTTP_FIELDS_MAX];
    view_fields(buf_view(&r->kept), fields, r->lines);
    TRY(r->events->trailers(r->owner, fields, r->lines));
    forget_section(r);
    r->part = PADDING;
    return OK;
}

static err begin_section(struct bhttp_reader *r)
{
    r->part = r->known ? SECTION_LEN : NAME_LEN;
    return OK;
}

static err begin_trailers(struct bhttp_reader *r)
{
    r->trailers = true;
    r->used = 0;
    return begin_section(r);
}

static err end_section(struct bhttp_reader *r)
{
    if (r->trailers)
        return tell_trailers(r);
    if (!r->request && r->status < 200) {
        r->part = STATUS;
        return tell_head(r, 0);
    }
    if (r->known) {
        r->part = CONTENT_LEN;
        return OK;
    }
    r->part = CHUNK_LEN;
    return tell_head(r, 0);
}

static err on_framing(struct bhttp_reader *r, uint64_t v)
{
    ENSURE(v <= BHTTP_OPEN_RESPONSE, MALFORMED);
    bool request = v == BHTTP_KNOWN_REQUEST || v == BHTTP_OPEN_REQUEST;
    ENSURE(request == r->request, MALFORMED);
    r->known = v == BHTTP_KNOWN_REQUEST || v == BHTTP_KNOWN_RESPONSE;
    r->part = request ? CONTROL_LEN : STATUS;
    return OK;
}

static err on_control_len(struct bhttp_reader *r, uint64_t v)
{
    return begin_text(r, CONTROL, v);
}

static err on_control(struct bhttp_reader *r, bytes text)
{
    ENSURE(bhttp_is_control((enum bhttp_control)r->controls, text), MALFORMED);
    r->part = CONTROL_LEN;
    return ++r->controls < BHTTP_CONTROLS ? OK : begin_section(r);
}

static err on_status(struct bhttp_reader *r, uint64_t v)
{
    ENSURE(v >= 100 && v <= 599, MALFORMED);
    r->status = (unsigned)v;
    return begin_section(r);
}

static err on_section_len(struct bhttp_reader *r, uint64_t v)
{
    ENSURE(v <= BHTTP_HEAD_MAX - r->used, LIMIT);
    r->section_left = v;
    r->part = NAME_LEN;
    return v > 0 ? OK : end_section(r);
}

static err on_name_len(struct bhttp_reader *r, uint64_t v)
{
    if (v == 0) {
        ENSURE(!r->known, MALFORMED);
        return end_section(r);
    }
    ENSURE(r->lines < BHTTP_FIELDS_MAX, LIMIT);
    return begin_text(r, NAME, v);
}

/* A colon is no token character: this refuses every pseudo-field. */
static err on_name(struct bhttp_reader *r, bytes text)
{
    ENSURE(text_is_token(text) && !bhttp_has_upper_case(text), MALFORMED);
    r->part = VALUE_LEN;
    return OK;
}

static err on_value_len(struct bhttp_reader *r, uint64_t v)
{
    return begin_text(r, VALUE, v);
}

static err on_value(struct bhttp_reader *r, bytes text)
{
    ENSURE(bhttp_is_value(text), MALFORMED);
    r->lines++;
    r->part = NAME_LEN;
    return r->known && r->section_left == 0 ? end_section(r) : OK;
}

static err on_content_len(struct bhttp_reader *r, uint64_t v)
{
    TRY(tell_head(r, v));
    r->left = v;
    r->part = CONTENT;
    return v > 0 ? OK : begin_trailers(r);
}

static err on_chunk_len(struct bhttp_reader *r, uint64_t v)
{
    if (v == 0)
        return begin_trailers(r);
    r->had_content = true;
    r->left = v;
    r->part = CONTENT;
    return OK;
}

static err take_content(struct bhttp_reader *r, bytes *in)
{
    bytes piece;
    size_t n = in->len < r->left ? in->len : (size_t)r->left;
    (void)bytes_take(in, n, &piece);
    r->left -= n;
    TRY(r->events->content(r->owner, piece));
    if (r->left > 0)
        return OK;
    if (r->known)
        return begin_trailers(r);
    r->part = CHUNK_LEN;
    return OK;
}

static err take_padding(struct bhttp_reader *r, bytes *in)
{
    (void)r;
    uint8_t any = 0;
    for (size_t i = 0; i < in->len; i++)
        any |= in->at[i];
    ENSURE(any == 0, MALFORMED);
    *in = (bytes){ 0 };
    return OK;
}

static err end_at_section_len(struct bhttp_reader *r)
{
    if (r->trailers)
        return tell_trailers(r);
    ENSURE(r->request || r->status >= 200, TRUNCATED);
    TRY(tell_head(r, 0));
    return tell_trailers(r);
}

static err end_at_name_len(struct bhttp_reader *r)
{
    ENSURE(r->trailers && !r->known && r->lines == 0, TRUNCATED);
    return tell_trailers(r);
}

static err end_at_content_len(struct bhttp_reader *r)
{
    TRY(tell_head(r, 0));
    return tell_trailers(r);
}

static err end_at_chunk_len(struct bhttp_reader *r)
{
    ENSURE(!r->had_content, TRUNCATED);
    return tell_trailers(r);
}

static err end_at_padding(struct bhttp_reader *r)
{
    (void)r;
    return OK;
}

static const struct row rows[] = {
    [FRAMING] = { .take = take_number, .number = on_framing },
    [CONTROL_LEN] = { .take = take_number, .number = on_control_len },
    [CONTROL] = { .take = take_text, .text = on_control },
    [STATUS] = { .take = take_number, .number = on_status },
    [SECTION_LEN] = { .take = take_number, .number = on_section_len, .end = end_at_section_len },
    [NAME_LEN] = { .take = take_number, .number = on_name_len, .end = end_at_name_len },
    [NAME] = { .take = take_text, .text = on_name },
    [VALUE_LEN] = { .take = take_number, .number = on_value_len },
    [VALUE] = { .take = take_text, .text = on_value },
    [CONTENT_LEN] = { .take = take_number, .number = on_content_len, .end = end_at_content_len },
    [CHUNK_LEN] = { .take = take_number, .number = on_chunk_len, .end = end_at_chunk_len },
    [CONTENT] = { .take = take_content },
    [PADDING] = { .take = take_padding, .end = end_at_padding },
};

err bhttp_reader_new(struct bhttp_reader **out, bool request, const struct bhttp_events *events,
                     void *owner)
{
    struct bhttp_reader *r;
    TRY(mem_new(&r));
    r->events = events;
    r->owner = owner;
    r->request = request;
    r->kept = BUF(KEPT_MAX);
    *out = r;
    return OK;
}

static err put_all(struct bhttp_reader *r, bytes in)
{
    while (in.len > 0)
        TRY(rows[r->part].take(r, &in));
    return OK;
}

static err end_here(struct bhttp_reader *r)
{
    ENSURE(r->number.have == 0 && rows[r->part].end != NULL, TRUNCATED);
    return rows[r->part].end(r);
}

/* Errors stick, and what was kept goes. */
static err settle(struct bhttp_reader *r, err e)
{
    if (e.code != ERR_OK) {
        r->failed = e;
        buf_clear(&r->kept);
    }
    return e;
}

err bhttp_reader_put(struct bhttp_reader *r, bytes in)
{
    return r->failed.code == ERR_OK ? settle(r, put_all(r, in)) : r->failed;
}

err bhttp_reader_end(struct bhttp_reader *r)
{
    return r->failed.code == ERR_OK ? settle(r, end_here(r)) : r->failed;
}

void bhttp_reader_free(struct bhttp_reader *r)
{
    if (r == NULL)
        return;
    buf_clear(&r->kept);
    mem_free(r);
}
