/* Whatever comes in: what splice_object() gives is one JSON object, changed in nothing but the members
 * that were to change; without edits it is the input. */
#include <stdlib.h>

#include "api/peek.h"
#include "api/splice.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool truth)
{
    if (!truth)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct splice_edit edits[] = {
        { SPLICE_REPLACE, BYTES_LIT("model"), BYTES_LIT("\"m\"") },
        { SPLICE_SET, BYTES_LIT("cache_salt"), BYTES_LIT("\"s\"") },
        { SPLICE_ADD, BYTES_LIT("stream"), BYTES_LIT("true") },
    };
    bytes in = bytes_of(data, size);
    struct peek before;
    struct peek after;
    BUF_AUTO same = BUF(1024 * 1024);
    BUF_AUTO out = BUF(4 * 1024 * 1024);
    BUF_AUTO twice = BUF(4 * 1024 * 1024);
    err e = splice_object(&same, in, NULL, 0);
    if (e.code == ERR_OK)
        demand(bytes_equal(buf_view(&same), in));
    demand(splice_object(&out, in, edits, 3).code == e.code);
    if (e.code != ERR_OK)
        return 0;
    peek_request(in, &before);
    peek_request(buf_view(&out), &after);
    demand(peek_is_json(in) && peek_is_json(buf_view(&out)));
    /* A model of whatever kind is now this one; where there was none, there is none. */
    bool had = before.verdict != PEEK_MODEL_MISSING;
    if (had && after.verdict == PEEK_OK)
        demand(bytes_equal(peek_model(&after), BYTES_LIT("m")));
    /* All that is to be there is there: once more changes nothing. */
    demand(splice_object(&twice, buf_view(&out), edits, 3).code == ERR_OK);
    demand(bytes_equal(buf_view(&twice), buf_view(&out)));
    return 0;
}
