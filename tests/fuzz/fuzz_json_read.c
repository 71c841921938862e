/* Whatever is read is written as text that reads to the same tree, and needs no greater depth. */
#include <stdlib.h>

#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { DEPTH = 8 };

static void must(bool holds)
{
    if (!holds)
        abort();
}

static size_t depth_of(const struct json *value)
{
    size_t most = 0;
    size_t n = json_kind(value) == JSON_KIND_ARRAY ? json_len(value) : 0;
    for (size_t i = 0; i < n; i++) {
        size_t d = depth_of(json_at(value, i));
        most = d > most ? d : most;
    }
    for (struct json_pair p = { 0 }; json_next(value, &p);) {
        size_t d = depth_of(p.value);
        most = d > most ? d : most;
    }
    bool holds_others = json_kind(value) == JSON_KIND_ARRAY || json_kind(value) == JSON_KIND_OBJECT;
    return most + (holds_others ? 1 : 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct json *first = NULL;
    struct json *again = NULL;
    struct buf written = BUF(32 * 1024 * 1024);
    struct buf rewritten = BUF(32 * 1024 * 1024);
    err e = json_read(&first, bytes_of(data, size), DEPTH);
    if (!err_is_ok(e)) {
        must(e.code == ERR_MALFORMED || e.code == ERR_LIMIT);
        return 0;
    }
    must(depth_of(first) <= DEPTH);
    must(err_is_ok(json_write(&written, first)));
    must(err_is_ok(json_read(&again, buf_view(&written), DEPTH)));
    must(err_is_ok(json_write(&rewritten, again)));
    must(bytes_equal(buf_view(&written), buf_view(&rewritten)));
    json_free(first);
    json_free(again);
    buf_clear(&written);
    buf_clear(&rewritten);
    return 0;
}
