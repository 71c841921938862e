#include "api/responses_parts.h"

#include <stdio.h>

#include "base/attr.h"
#include "base/json.h"
#include "base/text.h"

enum { AT_MAX = 80 };

err responses_need_text(const struct responses_place *p, const struct json *object, const char *key,
                        bytes *out)
{
    const struct json *value = json_get(object, key);
    if (!json_is_set(value))
        return responses_blame(p->fault, ERROR_MISSING_FIELD, "%s.%s", p->at, key);
    if (!json_text(value, out))
        return responses_blame(p->fault, ERROR_INVALID_TYPE, "%s.%s", p->at, key);
    return OK;
}

static err add_text_part(struct buf *out, bytes text)
{
    TRY(buf_add_str(out, "{\"type\":\"text\",\"text\":"));
    TRY(text_json_quote(out, text));
    return buf_add_u8(out, '}');
}

static err text_part(const struct responses_place *p, const struct json *part, struct buf *out)
{
    bytes text = { 0 };
    TRY(responses_need_text(p, part, "text", &text));
    return add_text_part(out, text);
}

static err refusal_part(const struct responses_place *p, const struct json *part, struct buf *out)
{
    bytes text = { 0 };
    TRY(responses_need_text(p, part, "refusal", &text));
    TRY(buf_add_str(out, "{\"type\":\"refusal\",\"refusal\":"));
    TRY(text_json_quote(out, text));
    return buf_add_u8(out, '}');
}

/* Chat completions have no place for an image's file id. */
static err image_part(const struct responses_place *p, const struct json *part, struct buf *out)
{
    bytes url = { 0 };
    bytes detail = json_text_of(part, "detail");
    if (!json_is_set(json_get(part, "image_url")) && json_is_set(json_get(part, "file_id")))
        return responses_blame(p->fault, ERROR_UNSUPPORTED_PARAMETER, "%s.file_id", p->at);
    TRY(responses_need_text(p, part, "image_url", &url));
    TRY(buf_add_str(out, "{\"type\":\"image_url\",\"image_url\":{\"url\":"));
    TRY(text_json_quote(out, url));
    if (detail.len > 0) {
        TRY(buf_add_str(out, ",\"detail\":"));
        TRY(text_json_quote(out, detail));
    }
    return buf_add_str(out, "}}");
}

/* A file that would have to be fetched from somewhere cannot be said. */
static err file_part(const struct responses_place *p, const struct json *part, struct buf *out)
{
    static const char *const keys[] = { "file_data", "file_id", "filename" };
    struct json_out j = JSON_OUT(out);
    if (json_is_set(json_get(part, "file_url")))
        return responses_blame(p->fault, ERROR_UNSUPPORTED_PARAMETER, "%s.file_url", p->at);
    if (!json_is_set(json_get(part, "file_data")) && !json_is_set(json_get(part, "file_id")))
        return responses_blame(p->fault, ERROR_MISSING_FIELD, "%s.file_data", p->at);
    json_begin_object(&j, NULL);
    json_put_str(&j, "type", "file");
    json_begin_object(&j, "file");
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        bytes text = { 0 };
        if (!json_is_set(json_get(part, keys[i])))
            continue;
        TRY(responses_need_text(p, part, keys[i], &text));
        json_put_text(&j, keys[i], text);
    }
    json_close(&j);
    json_close(&j);
    return json_end(&j);
}

static err audio_part(const struct responses_place *p, const struct json *part, struct buf *out)
{
    if (json_kind(json_get(part, "input_audio")) != JSON_KIND_OBJECT)
        return responses_blame(p->fault, ERROR_INVALID_TYPE, "%s.input_audio", p->at);
    return json_write(out, part);
}

static const struct part_row {
    const char *type;
    unsigned of; /* whose messages may have it */
    err (*write)(const struct responses_place *p, const struct json *part, struct buf *out);
} PARTS[] = {
    { "input_text", PART_OF_USER | PART_OF_ASSISTANT | PART_OF_SYSTEM | PART_OF_TOOL, text_part },
    { "output_text", PART_OF_USER | PART_OF_ASSISTANT | PART_OF_SYSTEM | PART_OF_TOOL, text_part },
    { "text", PART_OF_USER | PART_OF_ASSISTANT | PART_OF_SYSTEM | PART_OF_TOOL, text_part },
    { "refusal", PART_OF_ASSISTANT, refusal_part },
    { "input_image", PART_OF_USER | PART_OF_TOOL, image_part },
    { "input_file", PART_OF_USER | PART_OF_TOOL, file_part },
    { "input_audio", PART_OF_USER | PART_OF_TOOL, audio_part },
};

static const struct part_row *find_part(bytes type)
{
    for (size_t i = 0; i < ARRAY_LEN(PARTS); i++) {
        if (bytes_equal(type, bytes_str(PARTS[i].type)))
            return &PARTS[i];
    }
    return NULL;
}

static err add_part(const struct responses_place *p, const struct json *part, unsigned of,
                    struct buf *out)
{
    bytes type = { 0 };
    if (json_kind(part) != JSON_KIND_OBJECT)
        return responses_blame(p->fault, ERROR_INVALID_TYPE, "%s", p->at);
    TRY(responses_need_text(p, part, "type", &type));
    const struct part_row *row = find_part(type);
    if (row == NULL)
        return responses_blame_word(p->fault, ERROR_UNSUPPORTED_PARAMETER, type, "%s.type", p->at);
    if (!(row->of & of))
        return responses_blame_word(p->fault, ERROR_INVALID_VALUE, type, "%s.type", p->at);
    if (out->len > 0)
        TRY(buf_add_u8(out, ','));
    return row->write(p, part, out);
}

static bool is_text_part(const struct json *part)
{
    const struct part_row *row = find_part(json_text_of(part, "type"));
    return row != NULL && row->write == text_part;
}

err responses_content_write(const struct responses_place *p, const struct json *content,
                            unsigned of, struct buf *out)
{
    char at[AT_MAX];
    bytes text = { 0 };
    BUF_AUTO parts = BUF(RESPONSES_PARTS_MAX);
    const struct responses_place part = { p->fault, at };
    if (json_text(content, &text))
        return text_json_quote(out, text);
    if (json_kind(content) != JSON_KIND_ARRAY)
        return responses_blame(p->fault,
                               !json_is_set(content) ? ERROR_MISSING_FIELD : ERROR_INVALID_TYPE,
                               "%s", p->at);
    for (size_t i = 0; i < json_len(content); i++) {
        (void)snprintf(at, sizeof at, "%s[%zu]", p->at, i);
        TRY(add_part(&part, json_at(content, i), of, &parts));
    }
    if (json_len(content) == 0)
        return buf_add_str(out, "\"\"");
    if (json_len(content) == 1 && is_text_part(json_at(content, 0)))
        return text_json_quote(out, json_text_of(json_at(content, 0), "text"));
    TRY(buf_add_u8(out, '['));
    TRY(buf_add(out, buf_view(&parts)));
    return buf_add_u8(out, ']');
}
