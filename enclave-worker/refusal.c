#include "enclave-worker/refusal.h"

#include "base/attr.h"
#include "base/json.h"
#include "base/text.h"

enum { DEPTH_MAX = 32 };

bool refusal_is_nested(bytes body)
{
    struct json *root;
    if (json_read(&root, body, DEPTH_MAX).code != ERR_OK)
        return false;
    bool nested = json_kind(json_get(root, "error")) == JSON_KIND_OBJECT;
    json_free(root);
    return nested;
}

/* What frameworks say of a path that they do not know: the status says as much. */
static bool is_bare_status(bytes message)
{
    return bytes_equal(message, BYTES_LIT("Not Found")) ||
           bytes_equal(message, BYTES_LIT("Method Not Allowed"));
}

/* The text under one of the names that engines use; of a list, that of its first item. */
static bool find_message(const struct json *root, bytes *out)
{
    static const char *const names[] = { "error", "message", "detail" };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const struct json *value = json_get(root, names[i]);
        if (json_kind(value) == JSON_KIND_ARRAY)
            value = json_get(json_at(value, 0), "msg");
        if (json_text(value, out) && out->len > 0)
            return !is_bare_status(*out);
    }
    return false;
}

/* Not in the middle of a character. */
static bytes cut(bytes text)
{
    size_t len = text.len < REFUSAL_MESSAGE_MAX ? text.len : REFUSAL_MESSAGE_MAX;
    while (len > 0 && len < text.len && (text.at[len] & 0xc0) == 0x80)
        len--;
    return bytes_slice(text, 0, len);
}

static err write_object(struct buf *out, const char *type, bytes message)
{
    struct json_out j = JSON_OUT(out);
    json_begin_object(&j, NULL);
    json_begin_object(&j, "error");
    json_put_text(&j, "message", cut(message));
    json_put_str(&j, "type", type);
    json_put_null(&j, "param");
    json_put_null(&j, "code");
    json_close(&j);
    json_close(&j);
    return json_end(&j);
}

err refusal_nest(bytes body, const char *type, struct buf *out)
{
    struct json *root;
    bytes message;
    size_t before = out->len;
    TRY(json_read(&root, body, DEPTH_MAX));
    err e = find_message(root, &message) ? write_object(out, type, message)
                                         : err_raise(ERR_MALFORMED, __FILE__, __func__, __LINE__);
    json_free(root);
    if (e.code != ERR_OK)
        buf_truncate(out, before);
    return e;
}
