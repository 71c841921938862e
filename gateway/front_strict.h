/*
 * gateway/front_strict.h - which request heads the front takes; pure.
 *
 * libmicrohttpd's parser is lenient where leniency lets one connection be read in two ways (RFC
 * 9112 section 11.2): it takes a bare LF for a line end, folds lines, stops a value at a NUL, skips
 * spaces, and lets a second Content-Length or a Transfer-Encoding beside one pass. But it parses in
 * place: every CRLF is overwritten by two NULs, a bare LF by one, a header's colon by one, and
 * nothing else in the head is moved. So what the client sent can still be told byte by byte. The
 * check below accounts for every byte from the method to the end of the head: each must be where
 * a strict reader would have put it, or the request is refused.
 *
 * Not seen from here: empty lines, or lines that begin with a NUL, before the request line. The
 * parser drops them before it remembers where the head begins. They end nothing and start nothing.
 *
 * Not told from here, because they leave the same NULs: a NUL and a bare LF for CRLF, and, for the
 * empty line, a colon and a bare LF, or a bare LF, a colon and CRLF. Each has a bare LF beside a
 * header that no intermediary forwards: one with a NUL (RFC 9110 section 5.5), or one without a
 * name (RFC 9112 section 5).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A header line as the parser reports it: pointers into the head's memory. */
struct strict_line {
    const char *name;
    const char *value;
    size_t name_len;
    size_t value_len;
};

struct strict_head {
    const char *at;      /* the method's first byte */
    size_t len;          /* up to where the body begins */
    size_t method_len;   /* up to the NUL in the place of the first space */
    size_t target_len;   /* as the target was sent; its memory may have been rewritten since */
    const char *version; /* behind the target and one space */
    const struct strict_line *lines;
    size_t lines_n;
};

/* All zero is a refusal. */
struct strict_verdict {
    bool accepted;
    unsigned status;    /* refused: the answer's status */
    const char *reason; /* refused: a literal */
    bool old;           /* HTTP/1.0 */
    bool chunked;       /* the body is chunked */
    bool expects;       /* Expect: 100-continue, and not HTTP/1.0 */
    uint64_t length;    /* announced length of the body; 0 when none is, or it is chunked */
};

/* target: as sent, target_len bytes. */
struct strict_verdict strict_check(const struct strict_head *head, const char *target);
