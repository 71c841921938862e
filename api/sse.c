#include "api/sse.h"

#include <string.h>

#include "api/scan.h"
#include "base/text.h"

/*
 * Two ways lead to the same output. An event that lies whole in the input, in the form we write,
 * and whose data is good, is handed out where it lies (whole_event). Everything else goes line by
 * line into `name` and `data` and is written anew when its empty line comes. The first way is only
 * tried when nothing is in hand, so it cannot see half an event.
 */

#define DONE BYTES_LIT("[DONE]")

void sse_init(struct sse *s, bool comments, sse_fn *fn, void *owner)
{
    *s = (struct sse){ .fn = fn, .owner = owner, .comments = comments };
    s->line = s->name = s->data = BUF(SSE_EVENT_MAX);
    s->wire = BUF(SSE_EVENT_MAX + 64); /* a line "data:x" without its space grows by one byte */
}

void sse_clear(struct sse *s)
{
    buf_clear(&s->line);
    buf_clear(&s->name);
    buf_clear(&s->data);
    buf_clear(&s->wire);
    *s = (struct sse){ 0 };
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bytes trim(bytes b)
{
    while (b.len > 0 && is_blank(b.at[0]))
        b = bytes_slice(b, 1, b.len);
    while (b.len > 0 && is_blank(b.at[b.len - 1]))
        b.len--;
    return b;
}

static unsigned judge(bytes name, bytes data, struct peek_answer *answer)
{
    if (bytes_equal(trim(data), DONE))
        return SSE_DONE;
    peek_answer(data, answer);
    unsigned flags = answer->whole ? 0 : SSE_NOT_JSON;
    if (answer->has_error || bytes_equal(name, BYTES_LIT("error")))
        flags |= SSE_ERROR;
    if (answer->finished != 0)
        flags |= SSE_FINISH;
    if (answer->terminal)
        flags |= SSE_TERMINAL;
    if (answer->has_usage)
        flags |= SSE_USAGE;
    if (answer->no_choices)
        flags |= SSE_NO_CHOICES;
    return flags;
}

/* Quotes inside a text are escaped, so the name with its own quotes is a name. */
bool sse_number(bytes event, uint64_t *out)
{
    static const char name[] = "\"sequence_number\":";
    size_t at = text_find(event, bytes_str(name));
    if (at == event.len)
        return false;
    bytes rest = trim(bytes_slice(event, at + sizeof name - 1, event.len));
    size_t digits = 0;
    while (digits < rest.len && rest.at[digits] >= '0' && rest.at[digits] <= '9')
        digits++;
    return text_u64(bytes_slice(rest, 0, digits), out);
}

unsigned sse_flags(bytes name, bytes data)
{
    struct peek_answer answer;
    return judge(name, data, &answer);
}

/* Cuts "PREFIX...LF" off *in, without the prefix and the LF; false when that is not at its head. */
static bool cut_line(bytes *in, bytes prefix, bytes *rest)
{
    if (!bytes_starts(*in, prefix))
        return false;
    const uint8_t *from = in->at + prefix.len;
    const uint8_t *lf = memchr(from, '\n', in->len - prefix.len);
    if (lf == NULL)
        return false;
    *rest = bytes_of(from, (size_t)(lf - from));
    *in = bytes_slice(*in, (size_t)(lf + 1 - in->at), in->len);
    return true;
}

static bool has_cr(bytes b)
{
    return b.len > 0 && memchr(b.at, '\r', b.len) != NULL;
}

/* An event at the head of `in` that can go out as it is: its wire is set, or nothing. */
static bool whole_event(bytes in, struct sse_event *event, struct peek_answer *answer)
{
    bytes rest = in;
    if (cut_line(&rest, BYTES_LIT("event: "), &event->name) && event->name.len == 0)
        return false;
    if (!cut_line(&rest, BYTES_LIT("data: "), &event->data) || !bytes_starts(rest, BYTES_LIT("\n")))
        return false;
    if (has_cr(event->name) || has_cr(event->data))
        return false;
    event->flags = judge(event->name, event->data, answer);
    event->answer = event->flags & SSE_DONE ? NULL : answer;
    event->wire = bytes_slice(in, 0, in.len - rest.len + 1);
    if (event->flags & SSE_DONE)
        return bytes_equal(event->data, DONE);
    return (event->flags & SSE_NOT_JSON) == 0;
}

/* LF between the tokens of JSON is white space; one line is what every parser can read. */
static void join_lines(uint8_t *at, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (at[i] == '\n')
            at[i] = ' ';
    }
}

/* Writes one event anew and hands it out. */
static err emit(struct sse *s, bytes name, bytes data)
{
    struct peek_answer answer;
    struct sse_event event = { .flags = judge(name, data, &answer) };
    if (event.flags & SSE_DONE)
        data = DONE;
    else
        event.answer = &answer;
    buf_truncate(&s->wire, 0);
    if (name.len > 0) {
        TRY(buf_add_str(&s->wire, "event: "));
        TRY(buf_add(&s->wire, name));
        TRY(buf_add_u8(&s->wire, '\n'));
    }
    TRY(buf_add_str(&s->wire, "data: "));
    size_t head = s->wire.len;
    TRY(buf_add(&s->wire, data));
    join_lines(s->wire.at + head, data.len);
    TRY(buf_add_str(&s->wire, "\n\n"));
    event.wire = buf_view(&s->wire);
    event.name = bytes_slice(event.wire, sizeof "event: " - 1, name.len);
    event.data = bytes_slice(event.wire, head, data.len);
    if (event.flags & SSE_NOT_JSON)
        event.wire = (bytes){ 0 };
    return s->fn(s->owner, &event);
}

static err emit_comment(struct sse *s, bytes line)
{
    buf_truncate(&s->wire, 0);
    TRY(buf_add(&s->wire, line));
    TRY(buf_add_str(&s->wire, "\n\n"));
    struct sse_event event = { .wire = buf_view(&s->wire), .flags = SSE_COMMENT };
    return s->fn(s->owner, &event);
}

/*
 * Cuts the next event's data off what a server forgot to separate: a JSON object or [DONE], behind
 * it the end, a line end, or another "data:". False when that is not what is there.
 */
static bool cut_glued(bytes *rest, bytes *piece)
{
    bytes in = trim(*rest);
    size_t len = bytes_starts(in, DONE)             ? DONE.len
                 : bytes_starts(in, BYTES_LIT("{")) ? scan_first_value(in)
                                                    : 0;
    if (!bytes_take(&in, len, piece) || len == 0)
        return false;
    bytes behind = trim(in);
    bool line_end = memchr(in.at, '\n', in.len - behind.len) != NULL;
    in = behind;
    if (bytes_starts(in, BYTES_LIT("data:")))
        in = bytes_slice(in, sizeof "data:" - 1, in.len);
    else if (in.len > 0 && !line_end)
        return false;
    *rest = in;
    return true;
}

static bool is_glued(bytes data)
{
    bytes piece;
    size_t n = 0;
    while (trim(data).len > 0) {
        if (!cut_glued(&data, &piece))
            return false;
        n++;
    }
    return n > 1;
}

static err emit_glued(struct sse *s, bytes name, bytes data)
{
    bytes piece;
    while (trim(data).len > 0 && cut_glued(&data, &piece)) {
        TRY(emit(s, name, piece));
        name = (bytes){ 0 };
    }
    return OK;
}

/* The empty line came: gives out the event in hand, if it has any data. */
static err finish_event(struct sse *s)
{
    err e = OK;
    bytes data = buf_view(&s->data);
    if (trim(data).len > 0 && is_glued(data)) {
        e = emit_glued(s, buf_view(&s->name), data);
    } else if (trim(data).len > 0) {
        e = emit(s, buf_view(&s->name), buf_view(&s->data));
    }
    buf_truncate(&s->name, 0);
    buf_truncate(&s->data, 0);
    s->has_data = false;
    s->taken = 0;
    return e;
}

static bool is_between(const struct sse *s)
{
    return s->name.len == 0 && !s->has_data;
}

static err take_comment(struct sse *s, bytes line)
{
    if (is_between(s))
        s->taken = 0;
    return s->comments ? emit_comment(s, line) : OK;
}

static err take_field(struct sse *s, bytes line)
{
    const uint8_t *colon = memchr(line.at, ':', line.len);
    size_t name_len = colon ? (size_t)(colon - line.at) : line.len;
    bytes name = bytes_slice(line, 0, name_len);
    bytes value = bytes_slice(line, name_len + 1, line.len);
    if (bytes_starts(value, BYTES_LIT(" ")))
        value = bytes_slice(value, 1, value.len);
    if (bytes_equal(name, BYTES_LIT("event"))) {
        buf_truncate(&s->name, 0);
        return buf_add(&s->name, value);
    }
    if (!bytes_equal(name, BYTES_LIT("data")))
        return OK;
    if (s->has_data)
        TRY(buf_add_u8(&s->data, '\n'));
    s->has_data = true;
    return buf_add(&s->data, value);
}

/* One line without its end. */
static err take_line(struct sse *s, bytes line)
{
    const bytes mark = BYTES_LIT("\xef\xbb\xbf");
    if (!s->begun && bytes_starts(line, mark))
        line = bytes_slice(line, mark.len, line.len);
    s->begun = true;
    if (line.len == 0)
        return finish_event(s);
    return line.at[0] == ':' ? take_comment(s, line) : take_field(s, line);
}

/* Where the first line in `in` ends: the offset of its LF or CR, or in.len. */
static size_t line_len(bytes in)
{
    const uint8_t *lf = memchr(in.at, '\n', in.len);
    size_t len = lf ? (size_t)(lf - in.at) : in.len;
    const uint8_t *cr = memchr(in.at, '\r', len);
    return cr ? (size_t)(cr - in.at) : len;
}

/* Takes one line off *in, or all of it when no line ends there. */
static err take_some(struct sse *s, bytes *in)
{
    bytes part;
    size_t len = line_len(*in);
    bool ended = len < in->len;
    ENSURE(len <= SSE_EVENT_MAX - s->taken - s->line.len, LIMIT);
    ENSURE(!ended || len < SSE_EVENT_MAX - s->taken - s->line.len, LIMIT);
    if (!bytes_take(in, len, &part))
        FAIL(INTERNAL);
    if (!ended)
        return buf_add(&s->line, part);

    s->after_cr = in->at[0] == '\r';
    *in = bytes_slice(*in, 1, in->len);
    if (s->line.len > 0) {
        TRY(buf_add(&s->line, part));
        part = buf_view(&s->line);
    }
    s->taken += part.len + 1;
    err e = take_line(s, part);
    buf_truncate(&s->line, 0);
    return e;
}

static err put(struct sse *s, bytes in)
{
    while (in.len > 0) {
        if (s->after_cr) {
            s->after_cr = false;
            if (in.at[0] == '\n') {
                in = bytes_slice(in, 1, in.len);
                continue;
            }
        }
        struct sse_event event = { 0 };
        struct peek_answer answer;
        if (sse_is_between(s) && whole_event(in, &event, &answer)) {
            ENSURE(event.wire.len <= SSE_EVENT_MAX - s->taken, LIMIT);
            s->begun = true;
            s->taken = 0;
            TRY(s->fn(s->owner, &event));
            in = bytes_slice(in, event.wire.len, in.len);
        } else {
            TRY(take_some(s, &in));
        }
    }
    return OK;
}

err sse_put(struct sse *s, bytes in)
{
    ENSURE(s->fn != NULL, INTERNAL);
    if (err_is_ok(s->failed))
        s->failed = put(s, in);
    return s->failed;
}

static err end(struct sse *s)
{
    if (s->line.len > 0) {
        TRY(take_line(s, buf_view(&s->line)));
        buf_truncate(&s->line, 0);
    }
    return finish_event(s);
}

err sse_end(struct sse *s)
{
    ENSURE(s->fn != NULL, INTERNAL);
    if (err_is_ok(s->failed))
        s->failed = end(s);
    return s->failed;
}

bool sse_is_between(const struct sse *s)
{
    return is_between(s) && s->line.len == 0;
}
