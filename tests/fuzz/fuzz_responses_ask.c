/*
 * A request to the Responses API: whatever comes, it is refused with a parameter and a status of
 * 4xx, or what the engine gets is a JSON object, and so is what answers repeat.
 */
#include <stdint.h>
#include <stdlib.h>

#include "api/peek.h"
#include "api/responses_ask.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_echo(const struct responses_ask *ask)
{
    BUF_AUTO object = BUF(RESPONSES_ECHO_MAX);
    if (buf_add_str(&object, "{\"id\":0").code != ERR_OK ||
        buf_add(&object, buf_view(&ask->echo)).code != ERR_OK ||
        buf_add_u8(&object, '}').code != ERR_OK || !peek_is_json(buf_view(&object)))
        abort();
}

static err find_item(void *owner, bytes id, struct buf *out)
{
    (void)owner;
    ENSURE(id.len % 2 == 0, NOT_FOUND);
    return buf_add_str(out, "{\"type\":\"reasoning\",\"summary\":[]}");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct responses_lookup lookup = { .find = find_item };
    if (size < 1)
        return 0;
    const struct responses_ask_settings settings = { .stores = (data[0] & 1) != 0,
                                                     .refuse_tools = (data[0] & 2) != 0 };
    struct responses_ask ask;
    struct responses_fault fault;
    BUF_AUTO chat = BUF(RESPONSES_CHAT_MAX);
    err e = responses_ask_read(&ask, bytes_of(data + 1, size - 1), &settings, &fault);
    if (e.code == ERR_OK)
        check_echo(&ask);
    if (e.code == ERR_OK)
        e = responses_ask_resolve(&ask, &lookup, &fault);
    if (e.code == ERR_OK)
        e = responses_ask_write(&ask, responses_ask_input(&ask), &chat, &fault);
    responses_ask_clear(&ask);
    const struct api_error error = responses_error(&fault, e);
    if (e.code == ERR_OK ? !peek_is_json(buf_view(&chat)) : error_status(error.cause) / 100 != 4)
        abort();
    return 0;
}
