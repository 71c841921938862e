/*
 * The first two bytes choose where the rest is cut. Laws: cut in three, or byte by byte, a stream has
 * the hash that it has whole; with a comment block before it, too; and content that is no event
 * stream is hashed as it is.
 */
#include <stdlib.h>

#include "receipts/transcript.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_same(const uint8_t a[static TRANSCRIPT_LEN],
                       const uint8_t b[static TRANSCRIPT_LEN])
{
    if (!bytes_equal(bytes_of(a, TRANSCRIPT_LEN), bytes_of(b, TRANSCRIPT_LEN)))
        abort();
}

static void in_three(bytes in, size_t first, size_t second, uint8_t out[static TRANSCRIPT_LEN])
{
    struct transcript t;
    transcript_init(&t, true);
    transcript_add(&t, bytes_slice(in, 0, first));
    transcript_add(&t, bytes_slice(in, first, second));
    transcript_add(&t, bytes_slice(in, first + second, in.len));
    transcript_end(&t, out);
}

static void bytewise(bytes in, uint8_t out[static TRANSCRIPT_LEN])
{
    struct transcript t;
    transcript_init(&t, true);
    for (size_t i = 0; i < in.len; i++)
        transcript_add(&t, bytes_of(in.at + i, 1));
    transcript_end(&t, out);
}

static void behind_comment(bytes in, uint8_t out[static TRANSCRIPT_LEN])
{
    struct transcript t;
    transcript_init(&t, true);
    transcript_add(&t, BYTES_LIT(":~~\n: receipt x\r\n\r\n"));
    transcript_add(&t, in);
    transcript_end(&t, out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t whole[TRANSCRIPT_LEN], other[TRANSCRIPT_LEN];
    if (size < 2)
        return 0;
    bytes in = bytes_of(data + 2, size - 2);
    transcript_of(in, true, whole);
    in_three(in, data[0], data[1], other);
    check_same(whole, other);
    bytewise(in, other);
    check_same(whole, other);
    behind_comment(in, other);
    check_same(whole, other);
    transcript_of(in, false, whole);
    sha256_of(in, other);
    check_same(whole, other);
    return 0;
}
