/* What is read writes back to the same bytes, in both forms; and no input verifies under a key whose
 * owner signs nothing. */
#include <stdlib.h>

#include "crypto/cose.h"

static const uint8_t pk[ED25519_PK_LEN] = { 0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7,
                                            0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a,
                                            0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25,
                                            0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool cond)
{
    if (!cond)
        abort();
}

static void writes_back(const struct cose_sign1 *c, bytes tagged)
{
    BUF_AUTO out = BUF(tagged.len);
    check(err_is_ok(cose_sign1_put(&out, c)));
    check(bytes_equal(buf_view(&out), tagged));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cose_sign1 c, u;
    bytes in = bytes_of(data, size);
    if (!err_is_ok(cose_sign1_read(in, &c)))
        return 0;
    writes_back(&c, in);
    check(err_is_ok(cose_sign1_read_untagged(bytes_of(data + 1, size - 1), &u)));
    writes_back(&u, in);
    check(!err_is_ok(cose_sign1_verify_ed25519(&c, BYTES_ARRAY(pk))));
    return 0;
}
