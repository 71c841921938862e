#include "api/responses_items.h"

#include <string.h>

#include "api/route.h"
#include "base/attr.h"
#include "base/json.h"
#include "base/text.h"

enum { LIST_TEXT_MAX = 512 * 1024 * 1024 };

/* ---- items ---- */

static const char *prefix_of(bytes type)
{
    static const struct {
        const char *type;
        const char *prefix;
    } rows[] = { { "message", "msg" },          { "reasoning", "rs" },
                 { "function_call", "fc" },     { "function_call_output", "fco" },
                 { "custom_tool_call", "ctc" }, { "custom_tool_call_output", "ctco" } };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (bytes_equal(type, bytes_str(rows[i].type)))
            return rows[i].prefix;
    }
    return "item";
}

/* Apart from those of output items by the letter between. */
static err put_id(struct buf *out, bytes type, const char *answer_id, size_t index)
{
    const char *tail = strchr(answer_id, '_');
    return buf_addf(out, "{\"id\":\"%s_%si%03zx\"", prefix_of(type),
                    tail != NULL ? tail + 1 : answer_id, index);
}

/* A message's text as the part that it stands for. */
static err put_content(struct buf *out, const struct json *item, const struct json *content)
{
    bytes text;
    bool assistant = bytes_equal(json_text_of(item, "role"), BYTES_LIT("assistant"));
    if (!json_text(content, &text))
        return json_write(out, content);
    TRY(buf_add_str(out, assistant ? "[{\"type\":\"output_text\",\"text\":"
                                   : "[{\"type\":\"input_text\",\"text\":"));
    TRY(text_json_quote(out, text));
    return buf_add_str(out, assistant ? ",\"annotations\":[]}]" : "}]");
}

static err put_member(struct buf *out, const struct json *item, const struct json_pair *p)
{
    TRY(buf_add_u8(out, ','));
    TRY(text_json_quote(out, p->key));
    TRY(buf_add_u8(out, ':'));
    if (bytes_equal(p->key, BYTES_LIT("content")))
        return put_content(out, item, p->value);
    return json_write(out, p->value);
}

static err put_item(struct buf *out, const struct json *item, const char *answer_id, size_t index)
{
    bytes type = json_text_of(item, "type");
    bytes id = json_text_of(item, "id");
    if (type.len == 0)
        type = BYTES_LIT("message");
    if (id.len > 0) {
        TRY(buf_add_str(out, "{\"id\":"));
        TRY(text_json_quote(out, id));
    } else {
        TRY(put_id(out, type, answer_id, index));
    }
    TRY(buf_add_str(out, ",\"type\":"));
    TRY(text_json_quote(out, type));
    if (bytes_equal(type, BYTES_LIT("message")) && json_get(item, "status") == NULL)
        TRY(buf_add_str(out, ",\"status\":\"completed\""));
    for (struct json_pair p = { 0 }; json_next(item, &p);) {
        if (!bytes_equal(p.key, BYTES_LIT("id")) && !bytes_equal(p.key, BYTES_LIT("type")))
            TRY(put_member(out, item, &p));
    }
    return buf_add_u8(out, '}');
}

err responses_items_write(struct buf *out, const struct json *input, const char *answer_id)
{
    bytes text;
    if (json_text(input, &text)) {
        TRY(put_id(out, BYTES_LIT("message"), answer_id, 0));
        TRY(buf_add_str(out,
                        ",\"type\":\"message\",\"status\":\"completed\",\"role\":\"user\","
                        "\"content\":[{\"type\":\"input_text\",\"text\":"));
        TRY(text_json_quote(out, text));
        return buf_add_str(out, "}]}");
    }
    for (size_t i = 0; i < json_len(input); i++) {
        if (i > 0)
            TRY(buf_add_u8(out, ','));
        TRY(put_item(out, json_at(input, i), answer_id, i));
    }
    return OK;
}

/* ---- lists ---- */

bool responses_list_read(struct responses_list *list, bytes query, const char **param)
{
    bytes value;
    uint64_t limit = RESPONSES_LIST_DEFAULT;
    *list = (struct responses_list){ 0 };
    *param = "limit";
    if (route_query_get(query, "limit", &value) &&
        (!text_u64(value, &limit) || limit < 1 || limit > RESPONSES_LIST_MAX))
        return false;
    list->limit = (size_t)limit;
    *param = "order";
    if (route_query_get(query, "order", &value)) {
        list->ascending = bytes_equal(value, BYTES_LIT("asc"));
        if (!list->ascending && !bytes_equal(value, BYTES_LIT("desc")))
            return false;
    }
    if (!route_query_get(query, "after", &list->after))
        list->after = (bytes){ 0 };
    return true;
}

/* The item at that place of the list; newest first unless it is ascending. */
static const struct json *item_at(const struct json *items, const struct responses_list *list,
                                  size_t i)
{
    size_t n = json_len(items);
    return i < n ? json_at(items, list->ascending ? i : n - 1 - i) : NULL;
}

static size_t first_place(const struct json *items, const struct responses_list *list)
{
    for (size_t i = 0; list->after.len > 0 && i < json_len(items); i++) {
        if (bytes_equal(json_text_of(item_at(items, list, i), "id"), list->after))
            return i + 1;
    }
    return 0;
}

static err put_ends(struct json_out *j, const struct json *items, const struct responses_list *list,
                    size_t from, size_t to)
{
    if (to == from) {
        json_put_null(j, "first_id");
        json_put_null(j, "last_id");
    } else {
        json_put_text(j, "first_id", json_text_of(item_at(items, list, from), "id"));
        json_put_text(j, "last_id", json_text_of(item_at(items, list, to - 1), "id"));
    }
    json_put_bool(j, "has_more", to < json_len(items));
    json_close(j);
    return json_end(j);
}

static err write_list(struct buf *out, const struct json *items, const struct responses_list *list)
{
    struct json_out j = JSON_OUT(out);
    size_t from = first_place(items, list);
    size_t to = from;
    json_begin_object(&j, NULL);
    json_put_str(&j, "object", "list");
    json_begin_array(&j, "data");
    for (; to < json_len(items) && to - from < list->limit; to++) {
        BUF_AUTO item = BUF(LIST_TEXT_MAX);
        TRY(json_write(&item, item_at(items, list, to)));
        json_put_raw(&j, NULL, buf_view(&item));
    }
    json_close(&j);
    return put_ends(&j, items, list, from, to);
}

err responses_list_write(struct buf *out, bytes items, const struct responses_list *list)
{
    struct json *root = NULL;
    BUF_AUTO array = BUF(LIST_TEXT_MAX);
    TRY(buf_add_u8(&array, '['));
    TRY(buf_add(&array, items));
    TRY(buf_add_u8(&array, ']'));
    TRY(json_read(&root, buf_view(&array), JSON_DEPTH_MAX));
    err e = write_list(out, root, list);
    json_free(root);
    return e;
}
