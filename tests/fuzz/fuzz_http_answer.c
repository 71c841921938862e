/*
 * An engine's HTTP answer: however it is cut, the same content, head and end come out of it. The
 * first byte of the input chooses the cut and whether it answers a HEAD.
 */
#include <stdint.h>
#include <stdlib.h>

#include "enclave-worker/http_answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OUT_MAX = 4 * 1024 * 1024 };

struct outcome {
    bool good;
    bool ended;
    bool closes;
    bool keeps;
    unsigned heads;
    unsigned status;
    size_t fields;
    size_t taken;
};

static void demand(bool law)
{
    if (!law)
        abort();
}

static bool step_through(struct http_answer *a, bytes *part, struct buf *out, struct outcome *o)
{
    enum http_step step;
    do {
        bytes piece = { 0 };
        if (http_answer_next(a, part, &piece, &step).code != ERR_OK)
            return false;
        demand((step == HTTP_BODY) == (piece.len > 0));
        demand(step != HTTP_BODY || o->heads == 1);
        o->heads += step == HTTP_HEAD;
        o->ended = step == HTTP_END;
        demand(buf_add(out, piece).code == ERR_OK);
    } while (step == HTTP_HEAD || step == HTTP_BODY);
    demand(step != HTTP_MORE || part->len == 0);
    return true;
}

static struct outcome read_in_parts(bytes in, size_t size, bool no_body, struct buf *out)
{
    struct http_answer a;
    struct outcome o = { .good = true };
    http_answer_init(&a, no_body);
    for (size_t i = 0; i < in.len && o.good && !o.ended; i += size) {
        bytes part = bytes_slice(in, i, size);
        size_t len = part.len;
        o.good = step_through(&a, &part, out, &o);
        o.taken = i + len - part.len;
    }
    o.closes = o.good && http_answer_close(&a).code == ERR_OK;
    o.keeps = o.good && http_answer_keeps(&a);
    o.status = o.good ? a.head.status : 0;
    o.fields = o.good ? a.head.fields_n : 0;
    o.taken = o.good ? o.taken : 0;
    demand(!o.ended || (o.closes && o.heads == 1));
    demand(!o.keeps || o.ended);
    http_answer_clear(&a);
    return o;
}

static void demand_equal(const struct outcome *a, const struct outcome *b)
{
    demand(a->good == b->good && a->ended == b->ended && a->closes == b->closes);
    demand(a->keeps == b->keeps && a->heads == b->heads && a->status == b->status);
    demand(a->fields == b->fields && a->taken == b->taken);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    bool no_body = data[0] & 1;
    bytes in = bytes_of(data + 1, size - 1);
    BUF_AUTO whole = BUF(OUT_MAX);
    BUF_AUTO single = BUF(OUT_MAX);
    BUF_AUTO some = BUF(OUT_MAX);
    struct outcome a = read_in_parts(in, size, no_body, &whole);
    struct outcome b = read_in_parts(in, 1, no_body, &single);
    struct outcome c = read_in_parts(in, (data[0] >> 1) + 1U, no_body, &some);
    demand_equal(&a, &b);
    demand_equal(&a, &c);
    demand(bytes_equal(buf_view(&whole), buf_view(&single)));
    demand(bytes_equal(buf_view(&whole), buf_view(&some)));
    return 0;
}
