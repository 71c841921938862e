/*
 * Our one-pass look at a body agrees with a full JSON parser on what is JSON, for everything that
 * is not nested too deep. Where that parser has limits of its own (numbers out of range, NUL in a
 * key) it has no say, nor with NUL bytes, one of which it takes for the end.
 */
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>

#include "api/peek.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* 1 for JSON, 0 for not, -1 for no say. */
static int other_opinion(bytes in)
{
    if (in.len > 0 && memchr(in.at, 0, in.len) != NULL)
        return -1;
    json_error_t error;
    size_t flags = JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL;
    json_t *root = json_loadb((const char *)in.at, in.len, flags, &error);
    if (root != NULL) {
        json_decref(root);
        return 1;
    }
    enum json_error_code code = json_error_code(&error);
    return code == json_error_numeric_overflow || code == json_error_null_byte_in_key ? -1 : 0;
}

static int our_opinion(bytes in, const struct peek *p)
{
    switch (p->verdict) {
    case PEEK_TOO_DEEP:
        return -1;
    case PEEK_NOT_JSON:
    case PEEK_EMPTY:
        if (p->offset > in.len)
            abort();
        return 0;
    case PEEK_NOT_OBJECT:
    case PEEK_MODEL_MISSING:
    case PEEK_MODEL_TYPE:
    case PEEK_MODEL_LONG:
    case PEEK_STREAM_TYPE:
    case PEEK_STREAM_OPTIONS:
    case PEEK_INCLUDE_USAGE_TYPE:
    case PEEK_OK:
        break;
    }
    return 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bytes in = bytes_of(data, size);
    struct peek p;
    peek_request(in, &p);
    int ours = our_opinion(in, &p);
    int theirs = other_opinion(in);
    if (ours >= 0 && theirs >= 0 && ours != theirs)
        abort();
    if (ours >= 0 && peek_is_json(in) != (ours == 1))
        abort();
    struct peek_answer answer;
    peek_answer(in, &answer);
    if (answer.whole && (ours == 0 || p.verdict == PEEK_NOT_OBJECT))
        abort();
    return 0;
}
