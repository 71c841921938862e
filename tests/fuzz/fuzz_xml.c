/* XML: the canonical form of what reads reads again, and is its own canonical form. */
#include <stdlib.h>

#include "base/xml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

enum { LARGE = 4 * 1024 * 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct xml *doc, *again;
    struct xml_node none = { 0 };
    BUF_AUTO once = BUF(LARGE);
    BUF_AUTO twice = BUF(LARGE);
    if (!err_is_ok(xml_read(&doc, bytes_of(data, size))))
        return 0;
    if (err_is_ok(xml_canonical(doc, none, none, &once))) {
        must(err_is_ok(xml_read(&again, buf_view(&once))));
        must(err_is_ok(xml_canonical(again, none, none, &twice)));
        must(bytes_equal(buf_view(&once), buf_view(&twice)));
        xml_free(again);
    }
    must(xml_is_node(xml_root(doc)));
    xml_free(doc);
    return 0;
}
