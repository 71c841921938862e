/*
 * A sealed request at the server's end, under fixed keys. An even first byte: the rest is the body as it
 * stands. Law: it makes no difference how it is cut, and only known refusals come out. An odd one:
 * the rest is text to be sealed, with one byte of the body changed where the next two bytes say.
 * Law: unchanged it opens to the text; changed it is refused and shows no more than a part of it.
 */
#include "tests/fuzz/ohttp_ends.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_body(bytes body, enum ohttp_variant variant)
{
    BUF_AUTO whole = BUF(1 << 24);
    BUF_AUTO slow = BUF(1 << 24);
    err a = ends_open(NULL, ends_server(variant), body, body.len + 1, &whole);
    err b = ends_open(NULL, ends_server(variant), body, 1, &slow);
    ends_check_kind(a);
    demand(a.code == b.code);
    demand(bytes_equal(buf_view(&whole), buf_view(&slow)));
}

static void seal(bytes text, struct buf *out)
{
    struct ohttp_client *c = ends_client(OHTTP_CHUNKED);
    ends_seal(c, NULL, text, out);
    ohttp_client_free(c);
}

static void check_sealed(bytes text, size_t at, uint8_t change)
{
    enum ohttp_variant variant = OHTTP_CHUNKED;
    BUF_AUTO body = BUF(1 << 24);
    BUF_AUTO plain = BUF(1 << 24);
    seal(text, &body);
    body.at[at % body.len] ^= change;
    err e = ends_open(NULL, ends_server(variant), buf_view(&body), 1000, &plain);
    ends_check_kind(e);
    demand((e.code == ERR_OK) == (change == 0));
    demand(bytes_starts(text, buf_view(&plain)));
    demand(change != 0 || plain.len == text.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t mode;
    uint16_t at = 0;
    bytes in = bytes_of(data, size);
    ends_set_up();
    if (!bytes_take_u8(&in, &mode))
        return 0;
    if (mode % 2 == 0)
        check_body(in, mode & 2 ? OHTTP_PLAIN : OHTTP_CHUNKED);
    else if (bytes_take_u16be(&in, &at))
        check_sealed(in, at, mode / 2);
    return 0;
}
