#include "wire/padding.h"

#include "wire/names.h"
#include "wire/varint.h"

size_t padding_bucket(size_t len)
{
    size_t bucket = PADDING_BUCKET_MIN;
    while (bucket < len && bucket < PADDING_BUCKET_STEP)
        bucket *= 2;
    if (len <= bucket)
        return bucket;
    size_t over = len % PADDING_BUCKET_STEP;
    size_t fill = over > 0 ? PADDING_BUCKET_STEP - over : 0;
    return fill <= SIZE_MAX - len ? len + fill : len;
}

/* The sealed length with a line of len bytes. */
static size_t total_with(size_t extra, size_t content_len, size_t len)
{
    size_t n = content_len + len;
    return extra + (n > 0 ? varint_size(n) + n : 0);
}

/*
 * A longer line can widen the length prefix, and some totals cannot be had at all (63 bytes take
 * one byte of prefix and 64 take two, so nothing adds up to 65). So each width is tried for each
 * multiple of q in turn; the first that fits is the shortest line.
 */
static bool line_fits(size_t extra, size_t content_len, size_t target, size_t *len)
{
    for (size_t width = 1; width <= 8; width *= 2) {
        size_t base = extra + width + content_len;
        if (base + PADDING_LINE_MIN > target)
            continue;
        if (total_with(extra, content_len, target - base) != target)
            continue;
        *len = target - base;
        return true;
    }
    return false;
}

size_t padding_line_len(size_t extra, size_t content_len, size_t q)
{
    size_t bare = total_with(extra, content_len, 0);
    if (q == 0 || bare % q == 0)
        return 0;
    size_t target = bare - bare % q;
    size_t len = 0;
    do {
        target += q;
    } while (!line_fits(extra, content_len, target, &len));
    return len;
}

err padding_line_write(struct buf *to, size_t len)
{
    if (len == 0)
        return OK;
    ENSURE(len >= PADDING_LINE_MIN, INTERNAL);
    uint8_t *room;
    TRY(buf_reserve(to, len, &room));
    memset(room, '.', len);
    memcpy(room, SSE_PADDING_PREFIX, sizeof SSE_PADDING_PREFIX - 1);
    room[len - 1] = '\n';
    buf_commit(to, len);
    return OK;
}

/* What lies in front of n bytes of *in; *in moves past it. */
static bytes cut(bytes *in, size_t n)
{
    bytes head = { 0 };
    (void)bytes_take(in, n, &head);
    return head;
}

/* Up to and including the next LF; *ended tells whether there was one. */
static bytes cut_line(bytes *in, bool *ended)
{
    const uint8_t *lf = memchr(in->at, '\n', in->len);
    *ended = lf != NULL;
    return cut(in, lf != NULL ? (size_t)(lf - in->at) + 1 : in->len);
}

/* As many whole lines as go on to be kept, so that text without padding comes out in one piece. */
static bytes cut_kept_lines(struct padding_strip *s, bytes *in)
{
    bytes rest = *in;
    do {
        bool ended;
        (void)cut_line(&rest, &ended);
        s->at = ended ? PADDING_AT_LINE_START : PADDING_IN_LINE;
    } while (rest.len > 0 && rest.at[0] != ':');
    return cut(in, in->len - rest.len);
}

bool padding_strip_next(struct padding_strip *s, bytes *in, bytes *piece)
{
    while (in->len > 0) {
        bool ended;
        switch (s->at) {
        case PADDING_AT_LINE_START:
            if (in->at[0] != ':') {
                *piece = cut_kept_lines(s, in);
                return true;
            }
            (void)cut(in, 1);
            s->at = PADDING_AT_COLON;
            break;
        case PADDING_AT_COLON:
            s->at = in->at[0] == '~' ? PADDING_IN_PADDING : PADDING_IN_LINE;
            if (s->at == PADDING_IN_LINE) {
                *piece = BYTES_LIT(":");
                return true;
            }
            break;
        case PADDING_IN_LINE:
            *piece = cut_kept_lines(s, in);
            return true;
        case PADDING_IN_PADDING:
            (void)cut_line(in, &ended);
            if (ended)
                s->at = PADDING_AT_LINE_START;
            break;
        }
    }
    return false;
}

bytes padding_strip_end(struct padding_strip *s)
{
    bool held = s->at == PADDING_AT_COLON;
    *s = (struct padding_strip){ 0 };
    return held ? BYTES_LIT(":") : (bytes){ 0 };
}

err padding_strip_put(struct padding_strip *s, bytes in, struct buf *out)
{
    for (bytes piece; padding_strip_next(s, &in, &piece);)
        TRY(buf_add(out, piece));
    return OK;
}
