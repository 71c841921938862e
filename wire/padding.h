/*
 * wire/padding.h - hides lengths: buckets for whole messages, comment lines for event streams.
 *
 * A padding line is `:~`, any number of filler bytes, LF. It stands at the beginning of a line of
 * the content, before an event, and counts as a comment for every reader of event streams.
 *
 * Removing: a line begins at the start of the content and after every LF, and nowhere else (not
 * after a lone CR). A line that begins with `:~` is removed up to and including its LF, or up to
 * the end of the content if it has none. All other bytes stay as they are.
 */
#pragma once

#include "base/buf.h"

enum {
    PADDING_BUCKET_MIN = 1024,
    PADDING_BUCKET_STEP = 16 * 1024, /* powers of two up to here, multiples of it above */
    PADDING_LINE_MIN = 3,
    PADDING_Q_DEFAULT = 512,
    PADDING_Q_MAX = 16 * 1024,
};

/* The length a message of len bytes is to be padded to; at least len. */
size_t padding_bucket(size_t len);

/*
 * How long a padding line must be so that one sealed chunk comes out at a multiple of q (1 to
 * PADDING_Q_MAX). The chunk holds `extra` bytes (a head or a tail, possibly none) and one Binary
 * HTTP content chunk of content_len bytes plus the padding line, whose length prefix is counted
 * too. 0 when no line is needed, else at least PADDING_LINE_MIN.
 */
size_t padding_line_len(size_t extra, size_t content_len, size_t q);

/* Appends a padding line of exactly len bytes; len 0 appends nothing, ERR_INTERNAL for 1 and 2. */
err padding_line_write(struct buf *to, size_t len);

/* Removes padding lines from content that comes in pieces. Zero is the start. */
struct padding_strip {
    enum padding_strip_at {
        PADDING_AT_LINE_START,
        PADDING_AT_COLON, /* a colon that began a line is held back */
        PADDING_IN_LINE,
        PADDING_IN_PADDING,
    } at;
};

/*
 * Cuts the next piece to keep off *in, without copying: true with a piece that is never empty and
 * borrows from *in or is static; false when *in is used up.
 */
bool padding_strip_next(struct padding_strip *s, bytes *in, bytes *piece);

/* The content ended: what was held back, possibly empty. */
bytes padding_strip_end(struct padding_strip *s);

/* The same, appended to *out. */
err padding_strip_put(struct padding_strip *s, bytes in, struct buf *out);
