/* An element that is taken, written again in its one encoding, is what was taken; and the extension of
 * a PCK certificate is read within its bounds. */
#include <stdlib.h>

#include "attest/tdx_pck.h"
#include "base/buf.h"
#include "crypto/der.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool cond)
{
    if (!cond)
        abort();
}

static void put_length(struct buf *out, size_t len)
{
    unsigned n = 0;
    if (len < 0x80) {
        check(err_is_ok(buf_add_u8(out, (uint8_t)len)));
        return;
    }
    while (len >> 8 * n != 0)
        n++;
    check(err_is_ok(buf_add_u8(out, (uint8_t)(0x80 | n))));
    while (n-- > 0)
        check(err_is_ok(buf_add_u8(out, (uint8_t)(len >> 8 * n))));
}

static void writes_back(uint8_t tag, bytes content, bytes taken)
{
    BUF_AUTO out = BUF(taken.len + 16);
    check(err_is_ok(buf_add_u8(&out, tag)));
    put_length(&out, content.len);
    check(err_is_ok(buf_add(&out, content)));
    check(bytes_equal(buf_view(&out), taken));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bytes in = bytes_of(data, size);
    struct tdx_pck pck;
    (void)tdx_pck_read(in, &pck);
    while (in.len > 0) {
        bytes before = in, content;
        uint8_t tag;
        if (!err_is_ok(der_take_any(&in, &tag, &content)))
            return 0;
        check(in.len < before.len);
        writes_back(tag, content, bytes_slice(before, 0, before.len - in.len));
    }
    return 0;
}
