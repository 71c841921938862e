#include "enclave-worker/answer.h"

#include "base/text.h"
#include "wire/names.h"
#include "wire/padding.h"

static const char DONE_EVENT[] = "data: [DONE]\n\n";

static err add_event(struct answer *a, bytes wire)
{
    transcript_add(&a->transcript, wire);
    return buf_add(&a->pending, wire);
}

static bool is_unasked_usage(const struct answer *a, unsigned flags)
{
    return a->settings.chat && !a->settings.include_usage && (flags & SSE_NO_CHOICES) &&
           (flags & SSE_USAGE);
}

/* Of chat, and of the Responses API: response.output_text.delta and its like. */
static bool carries_content(const struct sse_event *event)
{
    return event->answer->choices != 0 || bytes_ends(event->name, BYTES_LIT(".delta"));
}

static err on_event(void *owner, const struct sse_event *event)
{
    struct answer *a = owner;
    if (event->answer != NULL)
        usage_see(&a->usage, event->answer, carries_content(event));
    if (a->state != ANSWER_RUNNING || is_unasked_usage(a, event->flags))
        return OK;
    if (event->flags & SSE_NOT_JSON) {
        a->state = ANSWER_BROKEN;
        return OK;
    }
    if (event->answer != NULL) {
        a->choices |= event->answer->choices;
        a->finished |= event->answer->finished;
    }
    a->messages |= bytes_equal(event->name, BYTES_LIT("message_start"));
    a->terminal_seen |= (event->flags & SSE_TERMINAL) != 0 ||
                        (a->messages && bytes_equal(event->name, BYTES_LIT("message_stop")));
    uint64_t number;
    if (bytes_starts(event->name, BYTES_LIT("response.")))
        a->has_terminal = true;
    if (a->has_terminal && sse_number(event->wire, &number))
        a->next_number = number + 1;
    bytes wire;
    TRY(tool_deltas_put(&a->deltas, event, &wire));
    TRY(add_event(a, wire));
    if (event->flags & SSE_DONE)
        a->state = ANSWER_COMPLETE;
    else if ((event->flags & SSE_ERROR) && a->settings.chat)
        a->state = ANSWER_BROKEN;
    return OK;
}

void answer_init(struct answer *a, const struct answer_settings *settings)
{
    *a = (struct answer){ .settings = *settings,
                          .head = BUF(2 * BHTTP_HEAD_MAX),
                          .pending = BUF(ANSWER_PENDING_MAX) };
    sse_init(&a->events, false, on_event, a);
    if (settings->mends_calls)
        tool_deltas_init(&a->deltas, bytes_str(settings->receipt_id));
}

void answer_clear(struct answer *a)
{
    sse_clear(&a->events);
    tool_deltas_clear(&a->deltas);
    kept_clear(&a->outer);
    buf_clear(&a->head);
    buf_clear(&a->pending);
}

static bool is_event_stream(const struct engine_field *fields, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (text_equal_nocase(fields[i].name, BYTES_LIT(FIELD_CONTENT_TYPE)))
            return text_equal_nocase(bytes_slice(fields[i].value, 0, sizeof MEDIA_SSE - 1),
                                     BYTES_LIT(MEDIA_SSE));
    }
    return false;
}

static err write_head(struct answer *a, unsigned status, const struct engine_field *fields,
                      size_t n)
{
    struct bhttp_field all[ENGINE_FIELDS_MAX + 1];
    size_t k = 0;
    a->head_due = true;
    for (size_t i = 0; i < n && i < ENGINE_FIELDS_MAX; i++)
        all[k++] = (struct bhttp_field){ fields[i].name, fields[i].value };
    if (a->settings.receipt_id != NULL)
        all[k++] =
            (struct bhttp_field){ BYTES_LIT(FIELD_RECEIPT_ID), bytes_str(a->settings.receipt_id) };
    const struct bhttp_head head = { .status = status, .fields = all, .fields_n = k };
    if (a->settings.bare)
        return kept_head(&a->outer, &head);
    TRY(bhttp_write_response_head(&a->head, &head, a->known));
    return a->known ? bhttp_write_content_len(&a->head, a->left) : OK;
}

err answer_head(struct answer *a, unsigned status, const struct engine_field *fields, size_t n,
                int64_t content_length)
{
    ENSURE(a->state == ANSWER_WAITING, INTERNAL);
    a->sse = is_event_stream(fields, n);
    a->known = !a->sse && content_length >= 0;
    a->left = a->known ? (uint64_t)content_length : 0;
    transcript_init(&a->transcript, a->sse);
    a->state = ANSWER_RUNNING;
    return write_head(a, status, fields, n);
}

err answer_add(struct answer *a, bytes content)
{
    if (a->known) {
        ENSURE(content.len <= a->left, MALFORMED);
        a->left -= content.len;
    }
    transcript_add(&a->transcript, content);
    return buf_add(&a->pending, content);
}

err answer_body(struct answer *a, bytes piece)
{
    ENSURE(a->state != ANSWER_WAITING, INTERNAL);
    if (a->state != ANSWER_RUNNING)
        return OK;
    return a->sse ? sse_put(&a->events, piece) : answer_add(a, piece);
}

/* Each choice that has begun has a finish_reason, or there is a terminal event. */
static bool has_last_word(const struct answer *a)
{
    return a->terminal_seen || (a->choices != 0 && (a->choices & ~a->finished) == 0);
}

/* An engine that closes after the last finish_reason has said all there is: the [DONE] it forgot is
 * ours to add. One that closes before has been cut; so has a stream of Responses or of messages
 * without its terminal event.
 * Streams of other kinds have their own last events, which we do not judge. */
static err end_stream(struct answer *a)
{
    TRY(sse_end(&a->events));
    if (a->state != ANSWER_RUNNING)
        return OK;
    if ((a->settings.chat || a->has_terminal || a->messages) && !has_last_word(a)) {
        a->state = ANSWER_BROKEN;
        return OK;
    }
    a->state = ANSWER_COMPLETE;
    return a->settings.chat ? add_event(a, bytes_str(DONE_EVENT)) : OK;
}

err answer_end(struct answer *a)
{
    if (a->state != ANSWER_RUNNING)
        return OK;
    if (a->sse)
        return end_stream(a);
    a->state = a->known && a->left > 0 ? ANSWER_BROKEN : ANSWER_COMPLETE;
    return OK;
}

bool answer_has_output(const struct answer *a)
{
    return a->head_due || a->pending.len > 0;
}

/* Fills `len` bytes up by a comment with an empty line behind it: bare streams go to readers that may
 * know no more than blocks between empty lines. */
static err write_filler(const struct answer *a, size_t len, struct buf *plain)
{
    size_t filler = (PADDING_Q_DEFAULT - len % PADDING_Q_DEFAULT) % PADDING_Q_DEFAULT;
    if (!a->sse || a->settings.padding != PADDING_SIZE || filler == 0)
        return OK;
    if (filler <= PADDING_LINE_MIN)
        filler += PADDING_Q_DEFAULT;
    TRY(padding_line_write(plain, filler - 1));
    return buf_add_u8(plain, '\n');
}

static err write_bare(struct answer *a, struct buf *plain)
{
    bytes content = bytes_slice(buf_view(&a->pending), a->taken, ANSWER_FLUSH_MAX);
    a->taken += content.len;
    TRY(buf_add(plain, content));
    bool whole = a->taken == a->pending.len && content.len > 0;
    return whole ? write_filler(a, content.len, plain) : OK;
}

static err write_content(struct answer *a, struct buf *plain)
{
    bytes content = bytes_slice(buf_view(&a->pending), a->taken, ANSWER_FLUSH_MAX);
    a->taken += content.len;
    if (a->known)
        return buf_add(plain, content);
    size_t filler = 0;
    bool whole = a->taken == a->pending.len;
    if (a->sse && whole && a->settings.padding == PADDING_SIZE)
        filler = padding_line_len(a->head.len, content.len, PADDING_Q_DEFAULT);
    if (content.len + filler == 0)
        return OK;
    TRY(bhttp_write_chunk_len(plain, content.len + filler));
    TRY(buf_add(plain, content));
    return padding_line_write(plain, filler);
}

/* A small buffer is kept for the next event, a big one is given back. */
static void drop_pending(struct answer *a)
{
    a->taken = 0;
    if (a->pending.cap > ANSWER_KEEP_MAX)
        buf_clear(&a->pending);
    else
        buf_truncate(&a->pending, 0);
}

err answer_flush(struct answer *a, struct buf *plain)
{
    size_t before = plain->len;
    if (!answer_has_output(a))
        return OK;
    TRY(buf_add(plain, buf_view(&a->head)));
    TRY(a->settings.bare ? write_bare(a, plain) : write_content(a, plain));
    a->head_due = false;
    a->plain_len += plain->len - before;
    buf_clear(&a->head);
    if (a->taken == a->pending.len)
        drop_pending(a);
    return OK;
}

static err write_receipt(bytes receipt, struct buf *value)
{
    TRY(buf_add_u8(value, ':'));
    TRY(text_base64_encode(value, receipt));
    return buf_add_u8(value, ':');
}

/* Whole answers are filled up to a bucket, the tail of a stream to the streams' multiple. */
static size_t tail_padding(const struct answer *a, size_t tail_len)
{
    if (a->settings.padding == PADDING_OFF)
        return 0;
    if (a->sse)
        return (PADDING_Q_DEFAULT - tail_len % PADDING_Q_DEFAULT) % PADDING_Q_DEFAULT;
    uint64_t len = a->plain_len + tail_len;
    return padding_bucket((size_t)len) - (size_t)len;
}

/* The receipt is the last thing that is said. */
static err bare_tail(const struct answer *a, bytes receipt, struct buf *plain)
{
    BUF_AUTO comment = BUF(2 * BHTTP_HEAD_MAX);
    if (!a->sse || receipt.len == 0)
        return OK;
    TRY(buf_add_str(&comment, SSE_RECEIPT_PREFIX));
    TRY(text_base64url_encode(&comment, receipt));
    TRY(buf_add_str(&comment, "\n\n"));
    TRY(write_filler(a, comment.len, plain));
    return buf_add(plain, buf_view(&comment));
}

err answer_tail(struct answer *a, bytes receipt, struct buf *plain)
{
    size_t before = plain->len;
    BUF_AUTO value = BUF(2 * BHTTP_HEAD_MAX);
    struct bhttp_field field = { .name = BYTES_LIT(TRAILER_RECEIPT) };
    if (a->settings.bare)
        return bare_tail(a, receipt, plain);
    if (receipt.len > 0) {
        TRY(write_receipt(receipt, &value));
        field.value = buf_view(&value);
    }
    if (!a->known)
        TRY(bhttp_write_content_end(plain));
    TRY(bhttp_write_trailers(plain, &field, receipt.len > 0 ? 1 : 0, a->known));
    return buf_add_zeros(plain, tail_padding(a, plain->len - before));
}

void answer_hash(struct answer *a, uint8_t out[static TRANSCRIPT_LEN])
{
    transcript_end(&a->transcript, out);
}

err answer_keep_head(struct kept *to, unsigned status, const struct engine_field *fields, size_t n)
{
    struct bhttp_field copy[ENGINE_FIELDS_MAX];
    struct bhttp_head head = { .status = status, .fields = copy };
    for (; head.fields_n < n && head.fields_n < ENGINE_FIELDS_MAX; head.fields_n++)
        copy[head.fields_n] =
            (struct bhttp_field){ fields[head.fields_n].name, fields[head.fields_n].value };
    return kept_head(to, &head);
}
