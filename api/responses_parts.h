/*
 * api/responses_parts.h - the content of an item of the Responses API as that of a chat message. Only
 * for api/responses_input. Pure.
 */
#pragma once

#include "api/responses_fault.h"
#include "base/buf.h"

struct json;

enum { RESPONSES_PARTS_MAX = 256 * 1024 * 1024 }; /* bytes of one content as JSON */

/* Where in the request something stands. */
struct responses_place {
    struct responses_fault *fault;
    const char *at; /* such as input[2].content[0] */
};

/* A member of that object, which must be text. */
err responses_need_text(const struct responses_place *p, const struct json *object, const char *key,
                        bytes *out);

/* Whose messages may have a part. */
enum { PART_OF_USER = 1U, PART_OF_ASSISTANT = 2U, PART_OF_SYSTEM = 4U, PART_OF_TOOL = 8U };

/* Appends the content, a text or an array of parts, as a value. One text alone is written as text:
 * not every template knows arrays. */
err responses_content_write(const struct responses_place *p, const struct json *content,
                            unsigned of, struct buf *out);
