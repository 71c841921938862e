#include "gateway/outlet.h"

#include "api/sse.h"
#include "base/text.h"

/* How terminal events begin. [DONE] ends a stream of chat, and comes right behind those of responses;
 * message_stop ends one of messages. */
static const char *const TERMINAL[] = { "data: [DONE]", "event: response.completed",
                                        "event: response.failed", "event: response.incomplete",
                                        "event: message_stop" };
enum { USAGE_EVENT_MAX = 8 * 1024 }; /* a longer event is text */
static const char ERROR_EVENT[] = "data: {\"error\"";

void outlet_init(struct outlet *o, bool sse)
{
    *o = (struct outlet){ .sse = sse, .content = BUF(OUTLET_HELD_MAX) };
    transcript_init(&o->transcript, sse);
}

void outlet_clear(struct outlet *o)
{
    buf_clear(&o->content);
}

/* Is one the beginning of the other? */
static bool may_become(bytes event, const char *terminal)
{
    bytes t = bytes_str(terminal);
    return event.len < t.len ? bytes_starts(t, event) : bytes_starts(event, t);
}

static bool is_terminal(bytes event)
{
    for (size_t i = 0; i < ARRAY_LEN(TERMINAL); i++) {
        if (bytes_starts(event, bytes_str(TERMINAL[i])))
            return true;
    }
    return false;
}

static bool may_become_terminal(bytes event)
{
    for (size_t i = 0; i < ARRAY_LEN(TERMINAL); i++) {
        if (event.len > 0 && may_become(event, TERMINAL[i]))
            return true;
    }
    return false;
}

/* The first JSON that comes by has the id in it, if any has. */
static void seek_id(struct outlet *o, bytes text)
{
    struct peek_answer seen;
    if (text.len == 0 || text.at[0] != '{')
        return;
    peek_answer(text, &seen);
    o->id_sought = true;
    o->id_len = seen.id.len;
    if (seen.id.len > 0)
        memcpy(o->id, seen.id.at, seen.id.len);
}

/* Events of the Responses API say in their name whether they bring content; those of chat all do,
 * or nearly. */
static bool carries_content(bytes event)
{
    bytes name = bytes_slice(event, 0, text_find(event, BYTES_LIT("\n")));
    return bytes_starts(event, BYTES_LIT("data: ")) ||
           (bytes_starts(name, BYTES_LIT("event: ")) && bytes_ends(name, BYTES_LIT(".delta")));
}

static void look_at_event(struct outlet *o, bytes event)
{
    static const char data[] = "data: ";
    if (event.len <= USAGE_EVENT_MAX) {
        usage_seek(&o->usage, event);
        o->usage.pieces += carries_content(event);
    }
    uint64_t number;
    bool named = bytes_starts(event, BYTES_LIT("event: "));
    if (bytes_starts(event, bytes_str(ERROR_EVENT)) ||
        bytes_starts(event, BYTES_LIT("event: error\n")))
        o->error = true;
    if (named && sse_number(event, &number))
        o->next = number + 1;
    if (o->id_sought)
        return;
    size_t at =
        bytes_starts(event, bytes_str(data)) ? 0 : text_find(event, BYTES_LIT("\ndata: ")) + 1;
    seek_id(o, bytes_slice(event, at + sizeof data - 1, event.len));
}

/* Goes from event to event; stops at the one that has not ended, or at a terminal one. */
static void scan_events(struct outlet *o)
{
    for (;;) {
        bytes event = bytes_slice(buf_view(&o->content), o->event, o->content.len);
        if (is_terminal(event)) {
            o->terminal = true;
            return;
        }
        size_t end = text_find(event, BYTES_LIT("\n\n"));
        if (end == event.len)
            return;
        look_at_event(o, bytes_slice(event, 0, end));
        o->event += end + 2;
    }
}

err outlet_add(struct outlet *o, bytes piece)
{
    transcript_add(&o->transcript, piece);
    o->total += piece.len;
    TRY(buf_add(&o->content, piece));
    if (o->sse && !o->terminal)
        scan_events(o);
    else if (!o->sse && !o->id_sought && o->released == 0)
        seek_id(o, buf_view(&o->content));
    return OK;
}

static size_t ready_to(const struct outlet *o)
{
    size_t len = o->content.len;
    if (!o->sse)
        return len > OUTLET_WHOLE_MAX || o->mid_event ? (len > OUTLET_TAIL ? len - OUTLET_TAIL : 0)
                                                      : 0;
    bytes last = bytes_slice(buf_view(&o->content), o->event, len);
    return o->terminal || may_become_terminal(last) ? o->event : len;
}

bytes outlet_ready(const struct outlet *o)
{
    size_t to = ready_to(o);
    return to > o->released ? bytes_of(o->content.at + o->released, to - o->released)
                            : (bytes){ 0 };
}

/* What is gone is dropped when nothing is left, or when it has become much. */
void outlet_release(struct outlet *o, size_t n)
{
    if (n == 0)
        return;
    o->released += n;
    o->mid_event = !o->sse || o->event != o->released;
    if (o->released < o->content.len && o->released < OUTLET_WHOLE_MAX)
        return;
    size_t drop = o->released < o->event || !o->sse ? o->released : o->event;
    buf_drop(&o->content, drop);
    o->released -= drop;
    o->event -= o->sse ? drop : 0;
}

bytes outlet_rest(const struct outlet *o)
{
    return bytes_slice(buf_view(&o->content), o->released, o->content.len);
}

void outlet_count(struct outlet *o)
{
    bytes rest = outlet_rest(o);
    size_t from = rest.len > OUTLET_TAIL ? rest.len - OUTLET_TAIL : 0;
    usage_seek(&o->usage, bytes_slice(rest, from, rest.len));
}

bytes outlet_id(const struct outlet *o)
{
    return bytes_of(o->id, o->id_len);
}
