#include "api/responses_item.h"

#include <stdio.h>

#include "api/responses_input.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"

err responses_item_new(struct responses_item **out, enum responses_kind kind, size_t index)
{
    struct responses_item *item;
    TRY(mem_new(&item));
    item->kind = kind;
    item->index = index;
    item->call_id = item->chat_name = BUF(2 * RESPONSES_TOOL_NAME_MAX + 2);
    item->text = item->input = item->logprobs = BUF(RESPONSES_TEXT_MAX);
    item->parts = item->json = BUF(RESPONSES_OUT_MAX);
    *out = item;
    return OK;
}

void responses_item_free(struct responses_item *item)
{
    if (item == NULL)
        return;
    buf_clear(&item->call_id);
    buf_clear(&item->chat_name);
    buf_clear(&item->text);
    buf_clear(&item->input);
    buf_clear(&item->logprobs);
    buf_clear(&item->parts);
    buf_clear(&item->json);
    mem_free(item);
}

size_t responses_item_size(const struct responses_item *item)
{
    return sizeof *item + item->call_id.cap + item->chat_name.cap + item->text.cap +
           item->input.cap + item->logprobs.cap + item->parts.cap + item->json.cap;
}

/* ---- events ---- */

err responses_event_begin(struct responses_reply *r, struct json_out *j, const char *name)
{
    TRY(buf_addf(&r->out, "event: %s\ndata: ", name));
    *j = JSON_OUT(&r->out);
    json_begin_object(j, NULL);
    json_put_str(j, "type", name);
    json_put_u64(j, "sequence_number", r->sequence++);
    return OK;
}

err responses_event_end(struct responses_reply *r, struct json_out *j)
{
    json_close(j);
    TRY(json_end(j));
    return buf_add_str(&r->out, "\n\n");
}

/* The id is made of the answer's, so that it is unique and leads back to it. */
static void name_item(const struct responses_reply *r, const struct responses_item *item,
                      char out[static RESPONSES_ID_MAX + 16])
{
    static const char *const prefixes[] = { "rs", "msg", "fc" };
    bool custom = item->tool != NULL && item->tool->custom;
    const char *tail = strchr(r->id, '_');
    (void)snprintf(out, RESPONSES_ID_MAX + 16, "%s_%s%03zx", custom ? "ctc" : prefixes[item->kind],
                   tail != NULL ? tail + 1 : r->id, item->index);
}

static err begin_item_event(struct responses_reply *r, const struct responses_item *item,
                            struct json_out *j, const char *name)
{
    char id[RESPONSES_ID_MAX + 16];
    name_item(r, item, id);
    TRY(responses_event_begin(r, j, name));
    json_put_str(j, "item_id", id);
    json_put_u64(j, "output_index", item->index);
    return OK;
}

/* An event with one text in it. */
static err say_text(struct responses_reply *r, const struct responses_item *item, const char *name,
                    const char *key, bytes text)
{
    struct json_out j;
    if (!r->settings.events)
        return OK;
    TRY(begin_item_event(r, item, &j, name));
    json_put_text(&j, key, text);
    return responses_event_end(r, &j);
}

/* ---- parts ---- */

/* What differs between the kinds of parts. */
static const struct part_row {
    const char *index; /* what their place is called */
    const char *type;
    const char *key; /* the member that holds the text */
    const char *added, *delta, *text_done, *done;
} PARTS[] = {
    [RESPONSES_TEXT] = { "content_index", "output_text", "text", "response.content_part.added",
                         "response.output_text.delta", "response.output_text.done",
                         "response.content_part.done" },
    [RESPONSES_REFUSAL] = { "content_index", "refusal", "refusal", "response.content_part.added",
                            "response.refusal.delta", "response.refusal.done",
                            "response.content_part.done" },
    [RESPONSES_THOUGHT] = { "content_index", "reasoning_text", "text",
                            "response.content_part.added", "response.reasoning_text.delta",
                            "response.reasoning_text.done", "response.content_part.done" },
};
static const struct part_row SUMMARY = { "summary_index",
                                         "summary_text",
                                         "text",
                                         "response.reasoning_summary_part.added",
                                         "response.reasoning_summary_text.delta",
                                         "response.reasoning_summary_text.done",
                                         "response.reasoning_summary_part.done" };

static const struct part_row *row_of(const struct responses_reply *r, enum responses_part part)
{
    return part == RESPONSES_THOUGHT && r->settings.summary ? &SUMMARY : &PARTS[part];
}

static void put_list(struct json_out *j, const char *key, bytes elements)
{
    json_begin_array(j, key);
    if (elements.len > 0)
        json_put_raw(j, NULL, elements);
    json_close(j);
}

static void put_part(struct json_out *j, const char *key, const struct part_row *row,
                     enum responses_part part, bytes text, bytes logprobs)
{
    json_begin_object(j, key);
    json_put_str(j, "type", row->type);
    json_put_text(j, row->key, text);
    if (part == RESPONSES_TEXT) {
        put_list(j, "annotations", (bytes){ 0 });
        put_list(j, "logprobs", logprobs);
    }
    json_close(j);
}

static err say_part(struct responses_reply *r, const struct responses_item *item, const char *name,
                    bytes text, bytes logprobs)
{
    struct json_out j;
    const struct part_row *row = row_of(r, item->part);
    if (!r->settings.events)
        return OK;
    TRY(begin_item_event(r, item, &j, name));
    json_put_u64(&j, row->index, item->parts_n);
    put_part(&j, "part", row, item->part, text, logprobs);
    return responses_event_end(r, &j);
}

/* Text, with the logprobs that belong to it. */
static err say_part_text(struct responses_reply *r, const struct responses_item *item,
                         const char *name, const char *key, bytes text, bytes logprobs)
{
    struct json_out j;
    if (!r->settings.events)
        return OK;
    TRY(begin_item_event(r, item, &j, name));
    json_put_u64(&j, row_of(r, item->part)->index, item->parts_n);
    json_put_text(&j, key, text);
    if (item->part == RESPONSES_TEXT)
        put_list(&j, "logprobs", logprobs);
    return responses_event_end(r, &j);
}

static err close_part(struct responses_reply *r, struct responses_item *item)
{
    if (item->part == RESPONSES_NO_PART)
        return OK;
    const struct part_row *row = row_of(r, item->part);
    bytes text = buf_view(&item->text);
    bytes logprobs = buf_view(&item->logprobs);
    struct json_out j = JSON_OUT(&item->parts);
    TRY(say_part_text(r, item, row->text_done, row->key, text, logprobs));
    TRY(say_part(r, item, row->done, text, logprobs));
    if (item->parts.len > 0)
        TRY(buf_add_u8(&item->parts, ','));
    put_part(&j, NULL, row, item->part, text, logprobs);
    TRY(json_end(&j));
    item->parts_n++;
    item->part = RESPONSES_NO_PART;
    if (item->kind != RESPONSES_REASONING)
        buf_clear(&item->text);
    buf_clear(&item->logprobs);
    return OK;
}

static err open_part(struct responses_reply *r, struct responses_item *item,
                     enum responses_part part)
{
    if (item->part == part)
        return OK;
    TRY(close_part(r, item));
    item->part = part;
    return say_part(r, item, row_of(r, part)->added, (bytes){ 0 }, (bytes){ 0 });
}

err responses_item_say(struct responses_reply *r, struct responses_item *item,
                       enum responses_part part, bytes text, const struct json *logprobs)
{
    BUF_AUTO listed = BUF(RESPONSES_TEXT_MAX);
    TRY(open_part(r, item, part));
    TRY(buf_add(&item->text, text));
    for (size_t i = 0; i < json_len(logprobs); i++) {
        if (i > 0)
            TRY(buf_add_u8(&listed, ','));
        TRY(json_write(&listed, json_at(logprobs, i)));
    }
    if (item->logprobs.len > 0 && listed.len > 0)
        TRY(buf_add_u8(&item->logprobs, ','));
    TRY(buf_add(&item->logprobs, buf_view(&listed)));
    return say_part_text(r, item, row_of(r, part)->delta, "delta", text, buf_view(&listed));
}

/* ---- the item ---- */

static void put_call(struct json_out *j, const struct responses_item *item, bool whole)
{
    const struct responses_tool *tool = item->tool;
    json_put_text(j, "call_id", buf_view(&item->call_id));
    json_put_text(j, "name", tool != NULL ? buf_view(&tool->name) : buf_view(&item->chat_name));
    if (tool != NULL && tool->space.len > 0)
        json_put_text(j, "namespace", buf_view(&tool->space));
    if (tool != NULL && tool->custom)
        json_put_text(j, "input", whole ? buf_view(&item->input) : (bytes){ 0 });
    else
        json_put_text(j, "arguments", whole ? buf_view(&item->text) : (bytes){ 0 });
}

static err put_reasoning(struct json_out *j, const struct responses_reply *r,
                         const struct responses_item *item)
{
    BUF_AUTO wrapped = BUF(2 * RESPONSES_TEXT_MAX);
    bytes parts = buf_view(&item->parts);
    put_list(j, "summary", r->settings.summary ? parts : (bytes){ 0 });
    if (!r->settings.summary)
        put_list(j, "content", parts);
    if (!r->settings.encrypted)
        return OK;
    TRY(responses_input_wrap(&wrapped, buf_view(&item->text)));
    json_put_text(j, "encrypted_content", buf_view(&wrapped));
    return OK;
}

static err put_item(struct json_out *j, const char *key, const struct responses_reply *r,
                    const struct responses_item *item, bool whole)
{
    static const char *const types[] = { "reasoning", "message", "function_call" };
    bool custom = item->tool != NULL && item->tool->custom;
    char id[RESPONSES_ID_MAX + 16];
    name_item(r, item, id);
    json_begin_object(j, key);
    json_put_str(j, "id", id);
    json_put_str(j, "type", custom ? "custom_tool_call" : types[item->kind]);
    json_put_str(j, "status", !whole ? "in_progress" : r->cut ? "incomplete" : "completed");
    if (item->kind == RESPONSES_MESSAGE) {
        json_put_str(j, "role", "assistant");
        put_list(j, "content", buf_view(&item->parts));
    } else if (item->kind == RESPONSES_REASONING) {
        TRY(put_reasoning(j, r, item));
    } else {
        put_call(j, item, whole);
    }
    json_close(j);
    return OK;
}

static err say_item(struct responses_reply *r, const struct responses_item *item, const char *name,
                    bool whole)
{
    struct json_out j;
    if (!r->settings.events)
        return OK;
    TRY(responses_event_begin(r, &j, name));
    json_put_u64(&j, "output_index", item->index);
    if (whole)
        json_put_raw(&j, "item", buf_view(&item->json));
    else
        TRY(put_item(&j, "item", r, item, false));
    return responses_event_end(r, &j);
}

err responses_item_announce(struct responses_reply *r, struct responses_item *item)
{
    item->announced = true;
    return say_item(r, item, "response.output_item.added", false);
}

/* ---- calls ---- */

static err say_input(struct responses_reply *r, struct responses_item *item, bytes input)
{
    TRY(buf_add(&item->input, input));
    if (input.len == 0)
        return OK;
    return say_text(r, item, "response.custom_tool_call_input.delta", "delta", input);
}

static err say_arguments(struct responses_reply *r, struct responses_item *item, bytes arguments)
{
    BUF_AUTO input = BUF(RESPONSES_TEXT_MAX);
    if (arguments.len == 0)
        return OK;
    if (item->tool == NULL || !item->tool->custom)
        return say_text(r, item, "response.function_call_arguments.delta", "delta", arguments);
    TRY(responses_custom_put(&item->custom, arguments, &input));
    return say_input(r, item, buf_view(&input));
}

/* An engine that gives its calls no ids gets one that is good for its answer. */
static err name_call(const struct responses_reply *r, struct responses_item *item)
{
    if (item->call_id.len > 0)
        return OK;
    const char *tail = strchr(r->id, '_');
    return buf_addf(&item->call_id, "call_%s%03zx", tail != NULL ? tail + 1 : r->id, item->index);
}

err responses_item_call(struct responses_reply *r, struct responses_item *item,
                        const struct responses_call_piece *piece)
{
    if (item->call_id.len == 0)
        TRY(buf_add(&item->call_id, piece->id));
    TRY(buf_add(&item->text, piece->arguments));
    if (item->announced)
        return say_arguments(r, item, piece->arguments);
    if (piece->name.len == 0)
        return OK;
    TRY(buf_add(&item->chat_name, piece->name));
    TRY(name_call(r, item));
    item->tool = responses_tools_find(r->settings.tools, piece->name);
    TRY(responses_item_announce(r, item));
    return say_arguments(r, item, buf_view(&item->text));
}

static err close_custom(struct responses_reply *r, struct responses_item *item)
{
    bool odd = item->custom.state == CUSTOM_OTHER || item->custom.state == CUSTOM_HEAD;
    /* Not the form we asked for: then all of it is the input. */
    if (odd && item->input.len == 0)
        TRY(say_input(r, item, buf_view(&item->text)));
    return say_text(r, item, "response.custom_tool_call_input.done", "input",
                    buf_view(&item->input));
}

static err close_function(struct responses_reply *r, const struct responses_item *item)
{
    struct json_out j;
    const struct buf *name = item->tool != NULL ? &item->tool->name : &item->chat_name;
    if (!r->settings.events)
        return OK;
    TRY(begin_item_event(r, item, &j, "response.function_call_arguments.done"));
    json_put_text(&j, "name", buf_view(name));
    json_put_text(&j, "arguments", buf_view(&item->text));
    return responses_event_end(r, &j);
}

static err close_call(struct responses_reply *r, struct responses_item *item)
{
    ENSURE(item->announced, MALFORMED);
    return item->tool != NULL && item->tool->custom ? close_custom(r, item)
                                                    : close_function(r, item);
}

err responses_item_close(struct responses_reply *r, struct responses_item *item)
{
    struct json_out j = JSON_OUT(&item->json);
    TRY(item->kind == RESPONSES_CALL ? close_call(r, item) : close_part(r, item));
    TRY(put_item(&j, NULL, r, item, true));
    TRY(json_end(&j));
    item->closed = true;
    buf_clear(&item->text);
    buf_clear(&item->input);
    buf_clear(&item->parts);
    return say_item(r, item, "response.output_item.done", true);
}
