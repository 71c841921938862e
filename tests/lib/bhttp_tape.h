/*
 * tests/lib/bhttp_tape.h - writes down what a Binary HTTP reader tells, so that two readings can be
 * compared byte by byte: heads and trailers as lines of text, content apart.
 */
#pragma once

#include "wire/bhttp.h"

struct bhttp_tape {
    struct buf text;
    struct buf content;
    size_t heads;
    size_t pieces;
    size_t trailers;
    size_t trailer_fields;
    unsigned status; /* of the latest head */
    bool known;
    uint64_t content_len;
};

static inline err tape_fields(struct buf *to, const struct bhttp_field *fields, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        TRY(buf_add(to, fields[i].name));
        TRY(buf_add_str(to, "="));
        TRY(buf_add(to, fields[i].value));
        TRY(buf_add_str(to, "\n"));
    }
    return OK;
}

static inline err tape_head(void *owner, const struct bhttp_head *head)
{
    struct bhttp_tape *t = owner;
    const bytes control[] = { head->method, head->scheme, head->authority, head->path };
    for (size_t i = 0; i < 4 && head->is_request; i++) {
        TRY(buf_add(&t->text, control[i]));
        TRY(buf_add_str(&t->text, "|"));
    }
    if (!head->is_request)
        TRY(buf_addf(&t->text, "%u", head->status));
    TRY(buf_add_str(&t->text, "\n"));
    t->heads++;
    t->status = head->status;
    t->known = head->content_known;
    t->content_len = head->content_len;
    return tape_fields(&t->text, head->fields, head->fields_n);
}

static inline err tape_content(void *owner, bytes piece)
{
    struct bhttp_tape *t = owner;
    ENSURE(piece.len > 0 && t->heads > 0 && t->trailers == 0, INTERNAL);
    t->pieces++;
    return buf_add(&t->content, piece);
}

static inline err tape_trailers(void *owner, const struct bhttp_field *fields, size_t n)
{
    struct bhttp_tape *t = owner;
    ENSURE(t->heads > 0 && t->trailers == 0, INTERNAL);
    t->trailers++;
    t->trailer_fields = n;
    TRY(buf_add_str(&t->text, "--\n"));
    return tape_fields(&t->text, fields, n);
}

static const struct bhttp_events tape_events = { tape_head, tape_content, tape_trailers };

static inline void tape_clear(struct bhttp_tape *t)
{
    buf_clear(&t->text);
    buf_clear(&t->content);
    *t = (struct bhttp_tape){ .text = BUF(1 << 20), .content = BUF(1 << 26) };
}

/* Reads all of `in` in pieces of `step` bytes, the first of them `first` long (0: as the others). */
static inline err tape_read(struct bhttp_tape *t, bytes in, bool request, size_t step, size_t first)
{
    struct bhttp_reader *r;
    tape_clear(t);
    TRY(bhttp_reader_new(&r, request, &tape_events, t));
    err e = OK;
    size_t n = first > 0 ? first : step;
    for (bytes piece; in.len > 0 && e.code == ERR_OK; n = step) {
        (void)bytes_take(&in, n < in.len ? n : in.len, &piece);
        e = bhttp_reader_put(r, piece);
    }
    if (e.code == ERR_OK)
        e = bhttp_reader_end(r);
    bhttp_reader_free(r);
    return e;
}

#define TAPE_AUTO CLEANUP(tape_clear) struct bhttp_tape
