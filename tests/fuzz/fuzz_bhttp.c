/*
 * Any bytes as a Binary HTTP request and as a response. Laws: it makes no difference how the input
 * is cut; and what was read, written again, reads the same.
 */
#include <stdlib.h>

#include "tests/lib/bhttp_tape.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool law)
{
    if (!law)
        abort();
}

/* Writes a message again from what a reader tells of it. */
struct echo {
    struct buf out;
    bool known;
    bool early; /* had informational heads, which are never written */
};

static err echo_head(void *owner, const struct bhttp_head *head)
{
    struct echo *e = owner;
    if (!head->is_request && head->status < 200) {
        e->early = true;
        return OK;
    }
    e->known = head->content_known;
    if (head->is_request)
        TRY(bhttp_write_request_head(&e->out, head, e->known));
    else
        TRY(bhttp_write_response_head(&e->out, head, e->known));
    return e->known ? bhttp_write_content_len(&e->out, head->content_len) : OK;
}

static err echo_content(void *owner, bytes piece)
{
    struct echo *e = owner;
    return e->known ? buf_add(&e->out, piece) : bhttp_write_chunk(&e->out, piece);
}

static err echo_trailers(void *owner, const struct bhttp_field *fields, size_t n)
{
    struct echo *e = owner;
    if (!e->known)
        TRY(bhttp_write_content_end(&e->out));
    return bhttp_write_trailers(&e->out, fields, n, e->known);
}

static const struct bhttp_events echo_events = { echo_head, echo_content, echo_trailers };

static void check_same(const struct bhttp_tape *a, const struct bhttp_tape *b)
{
    demand(bytes_equal(buf_view(&a->text), buf_view(&b->text)));
    demand(bytes_equal(buf_view(&a->content), buf_view(&b->content)));
}

static void check_echo(bytes in, bool request, const struct bhttp_tape *want)
{
    struct bhttp_reader *r;
    struct echo e = { .out = BUF(1 << 24) };
    TAPE_AUTO again = { 0 };
    demand(err_is_ok(bhttp_reader_new(&r, request, &echo_events, &e)));
    demand(err_is_ok(bhttp_reader_put(r, in)));
    demand(err_is_ok(bhttp_reader_end(r)));
    bhttp_reader_free(r);
    if (!e.early) {
        demand(err_is_ok(tape_read(&again, buf_view(&e.out), request, e.out.len, 0)));
        check_same(&again, want);
        demand(again.known == want->known && again.content_len == want->content_len);
    }
    buf_clear(&e.out);
}

static void check(bytes in, bool request)
{
    TAPE_AUTO whole = { 0 };
    TAPE_AUTO slow = { 0 };
    err a = tape_read(&whole, in, request, in.len, 0);
    err b = tape_read(&slow, in, request, 1, 0);
    demand(a.code == b.code);
    check_same(&whole, &slow);
    demand(a.code == ERR_OK || a.code == ERR_MALFORMED || a.code == ERR_TRUNCATED ||
           a.code == ERR_LIMIT);
    if (a.code == ERR_OK)
        check_echo(in, request, &whole);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check(bytes_of(data, size), false);
    check(bytes_of(data, size), true);
    return 0;
}
