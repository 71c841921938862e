#include "receipts/transcript.h"

_Static_assert((int)TRANSCRIPT_LEN == (int)SHA256_LEN, "a transcript is a SHA-256");

/* What is kept goes to the hash in runs, as long as they come: `from` is where the present run
 * began, or NULL inside what is left out. */
struct run {
    struct transcript *t;
    const uint8_t *from;
};

static void keep_until(struct run *r, const uint8_t *end)
{
    if (r->from != NULL && end > r->from)
        sha256_add(&r->t->hash, bytes_of(r->from, (size_t)(end - r->from)));
    r->from = NULL;
}

static void keep_from(struct run *r, const uint8_t *at)
{
    if (r->from == NULL)
        r->from = at;
}

/* The CR was held back, since it may have been half of an empty line that is left out. It is not. */
static void keep_held_cr(struct transcript *t)
{
    if (t->after_comment)
        sha256_add(&t->hash, BYTES_LIT("\r"));
    t->after_comment = false;
}

void transcript_init(struct transcript *t, bool sse)
{
    *t = (struct transcript){ .sse = sse };
    sha256_init(&t->hash);
}

/* The byte at *at is the first of a line. */
static void on_line_start(struct run *r, const uint8_t *at)
{
    struct transcript *t = r->t;
    if (*at == ':') {
        keep_until(r, at);
        t->after_comment = false;
        t->state = TRANSCRIPT_IN_COMMENT;
        return;
    }
    bool may_be_left_out = t->after_comment && (*at == '\n' || *at == '\r');
    if (may_be_left_out)
        keep_until(r, at);
    else
        keep_from(r, at);
    if (*at == '\r') {
        t->state = TRANSCRIPT_LINE_START_CR;
        return;
    }
    t->after_comment = false;
    t->in_event = *at != '\n';
    t->state = *at == '\n' ? TRANSCRIPT_LINE_START : TRANSCRIPT_IN_LINE;
}

/* The byte at *at follows a CR that began a line. */
static void on_line_start_cr(struct run *r, const uint8_t *at)
{
    struct transcript *t = r->t;
    if (*at == '\n') {
        if (!t->after_comment)
            keep_from(r, at);
        t->after_comment = false;
        t->in_event = false;
        t->state = TRANSCRIPT_LINE_START;
        return;
    }
    keep_held_cr(t);
    keep_from(r, at);
    t->in_event = true;
    t->state = TRANSCRIPT_IN_LINE;
}

static void on_comment_line_end(struct transcript *t)
{
    t->after_comment = !t->in_event;
    t->state = TRANSCRIPT_LINE_START;
}

/* In a line that is kept: on to the next LF in one step. Returns where to go on. */
static const uint8_t *skip_line(struct run *r, const uint8_t *at, const uint8_t *end)
{
    const uint8_t *lf = memchr(at, '\n', (size_t)(end - at));
    keep_from(r, at);
    if (lf == NULL)
        return end;
    r->t->state = TRANSCRIPT_LINE_START;
    return lf + 1;
}

/* In a comment: on to the first CR or LF. */
static const uint8_t *skip_comment(struct run *r, const uint8_t *at, const uint8_t *end)
{
    while (at < end && *at != '\n' && *at != '\r')
        at++;
    if (at == end)
        return end;
    if (*at == '\n')
        on_comment_line_end(r->t);
    else
        r->t->state = TRANSCRIPT_IN_COMMENT_CR;
    return at + 1;
}

static const uint8_t *on_comment_cr(struct run *r, const uint8_t *at)
{
    if (*at == '\n') {
        on_comment_line_end(r->t);
        return at + 1;
    }
    r->t->in_event = true;
    r->t->state = TRANSCRIPT_IN_LINE;
    return at;
}

static const uint8_t *step(struct run *r, const uint8_t *at, const uint8_t *end)
{
    switch (r->t->state) {
    case TRANSCRIPT_LINE_START:
        on_line_start(r, at);
        return at + 1;
    case TRANSCRIPT_LINE_START_CR:
        on_line_start_cr(r, at);
        return r->t->state == TRANSCRIPT_IN_LINE ? at : at + 1;
    case TRANSCRIPT_IN_LINE:
        return skip_line(r, at, end);
    case TRANSCRIPT_IN_COMMENT:
        return skip_comment(r, at, end);
    case TRANSCRIPT_IN_COMMENT_CR:
        return on_comment_cr(r, at);
    }
    return end;
}

void transcript_add(struct transcript *t, bytes in)
{
    if (!t->sse || in.len == 0) {
        sha256_add(&t->hash, in);
        return;
    }
    struct run r = { .t = t };
    const uint8_t *at = in.at, *end = in.at + in.len;
    while (at < end)
        at = step(&r, at, end);
    keep_until(&r, end);
}

void transcript_end(struct transcript *t, uint8_t out[static TRANSCRIPT_LEN])
{
    if (t->state == TRANSCRIPT_LINE_START_CR)
        keep_held_cr(t);
    sha256_end(&t->hash, out);
    *t = (struct transcript){ 0 };
}

void transcript_of(bytes content, bool sse, uint8_t out[static TRANSCRIPT_LEN])
{
    struct transcript t;
    transcript_init(&t, sse);
    transcript_add(&t, content);
    transcript_end(&t, out);
}
