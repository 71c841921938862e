#include "enclave-worker/responses_past.h"

#include <stdio.h>

#include "base/json.h"
#include "base/loop.h"

/* Behind its prefix an item's id has its answer's, which is this long. */
enum { TAIL_LEN = 48 };

static err read_items(bytes elements, struct json **out)
{
    BUF_AUTO array = BUF(RESPONSES_OUT_MAX);
    TRY(buf_add_u8(&array, '['));
    TRY(buf_add(&array, elements));
    TRY(buf_add_u8(&array, ']'));
    return json_read(out, buf_view(&array), JSON_DEPTH_MAX);
}

static err get(const struct past *p, bytes id, struct store_found *out)
{
    *out = (struct store_found){ 0 };
    ENSURE(p->jobs->store != NULL, NOT_FOUND);
    return responses_store_get(p->jobs->store, id, p->owner, loop_now_ms(p->jobs->loop), out);
}

/* ---- items ---- */

/* False when no item of ours has such an id. */
static bool name_answer(bytes id, char out[static RESPONSES_ID_MAX + 1])
{
    size_t at = 0;
    while (at < id.len && id.at[at] != '_')
        at++;
    bytes tail = bytes_slice(id, at + 1, TAIL_LEN);
    if (tail.len < TAIL_LEN)
        return false;
    (void)snprintf(out, RESPONSES_ID_MAX + 1, "resp_%.*s", TAIL_LEN, (const char *)tail.at);
    return true;
}

static err look_into(struct past *p, const char *answer)
{
    struct store_found found;
    if (strcmp(p->seen, answer) == 0)
        return OK;
    json_free(p->seen_items);
    p->seen_items = NULL;
    p->seen[0] = '\0';
    err e = get(p, bytes_str(answer), &found);
    if (e.code == ERR_OK)
        e = read_items(found.parts[STORE_CONTEXT], &p->seen_items);
    buf_clear(&found.plain);
    TRY(e);
    (void)snprintf(p->seen, sizeof p->seen, "%s", answer);
    return OK;
}

static err find_item(void *owner, bytes id, struct buf *out)
{
    struct past *p = owner;
    char answer[RESPONSES_ID_MAX + 1];
    ENSURE(name_answer(id, answer), NOT_FOUND);
    TRY(look_into(p, answer));
    for (size_t i = 0; i < json_len(p->seen_items); i++) {
        bytes own = { 0 };
        const struct json *item = json_at(p->seen_items, i);
        if (json_text(json_get(item, "id"), &own) && bytes_equal(own, id))
            return json_write(out, item);
    }
    FAIL(NOT_FOUND);
}

/* ---- the response before ---- */

static err find_previous(struct past *p, const struct responses_ask *ask,
                         struct responses_fault *fault)
{
    if (ask->previous.len == 0)
        return OK;
    err e = get(p, ask->previous, &p->found);
    if (e.code == ERR_NOT_FOUND)
        return responses_blame_word(fault, ERROR_NO_PREVIOUS, ask->previous,
                                    "previous_response_id");
    TRY(e);
    return read_items(p->found.parts[STORE_CONTEXT], &p->items);
}

err past_find(struct past *p, struct responses_ask *ask, struct responses_fault *fault)
{
    const struct responses_lookup lookup = { find_item, p };
    TRY(find_previous(p, ask, fault));
    return responses_ask_resolve(ask, &lookup, fault);
}

void past_clear(struct past *p)
{
    json_free(p->items);
    json_free(p->seen_items);
    buf_clear(&p->found.plain);
    p->items = p->seen_items = NULL;
}
