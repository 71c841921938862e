/*
 * An engine's stream as events of the Responses API: however it is cut, the same bytes come out;
 * they are whole events in the one form, numbered from 0, and the last one ends the answer.
 */
#include <stdint.h>
#include <stdlib.h>

#include "api/responses_chat.h"
#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct reader {
    uint64_t next;
    bool terminal;
    bool done;
};

static err on_event(void *owner, const struct sse_event *event)
{
    struct reader *r = owner;
    uint64_t number = 0;
    struct json *root = NULL;
    bytes type = { 0 };
    if (r->done)
        abort();
    if (event->flags & SSE_DONE) {
        r->done = true;
        return OK;
    }
    if ((event->flags & SSE_NOT_JSON) || r->terminal)
        abort();
    TRY(json_read(&root, event->data, JSON_DEPTH_MAX));
    if (!json_u64(json_get(root, "sequence_number"), &number) || number != r->next++ ||
        !json_text(json_get(root, "type"), &type) || !bytes_equal(type, event->name))
        abort();
    r->terminal = (event->flags & SSE_TERMINAL) != 0;
    json_free(root);
    return OK;
}

static void check_events(bytes out)
{
    struct reader r = { 0 };
    struct sse s;
    sse_init(&s, false, on_event, &r);
    err e = sse_put(&s, out);
    if (e.code == ERR_OK && (!sse_is_between(&s) || !r.terminal || !r.done))
        abort();
    sse_clear(&s);
}

static void run(bytes in, size_t part, bool whole, struct buf *out)
{
    static const struct responses_tools none;
    const struct responses_reply_settings settings = {
        .id = "resp_0", .created_at = 1, .events = true, .logprobs = true, .tools = &none
    };
    struct responses_reply reply;
    struct responses_chat chat;
    responses_reply_init(&reply, &settings);
    responses_chat_init(&chat, &reply);
    err e = responses_reply_start(&reply);
    if (whole && e.code == ERR_OK)
        e = responses_chat_whole(&chat, in);
    for (size_t i = 0; !whole && i < in.len && e.code == ERR_OK; i += part)
        e = responses_chat_put(&chat, bytes_slice(in, i, part));
    if (e.code == ERR_OK)
        e = responses_chat_end(&chat);
    if (e.code != ERR_OK || !reply.ended || buf_add(out, buf_view(&reply.out)).code != ERR_OK)
        abort();
    responses_chat_clear(&chat);
    responses_reply_clear(&reply);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    bytes in = bytes_of(data + 1, size - 1);
    bool whole = (data[0] & 1) != 0;
    BUF_AUTO all = BUF(RESPONSES_OUT_MAX);
    BUF_AUTO some = BUF(RESPONSES_OUT_MAX);
    run(in, in.len + 1, whole, &all);
    run(in, (data[0] >> 1) + 1U, whole, &some);
    if (!bytes_equal(buf_view(&all), buf_view(&some)))
        abort();
    check_events(buf_view(&all));
    return 0;
}
