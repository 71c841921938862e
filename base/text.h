/*
 * base/text.h - hex, base64, UTF-8, tokens and numbers, strictly.
 *
 * Decoders accept exactly what the encoders write (and upper-case hex), nothing else: no white
 * space, no missing or surplus padding, no set bits behind the end.
 */
#pragma once

#include "base/buf.h"

/* Lower-case hex. */
err text_hex_encode(struct buf *out, bytes in);
/* ERR_MALFORMED for an odd length or any other character. */
err text_hex_decode(struct buf *out, bytes hex);

/* RFC 4648 section 4 (with padding) and section 5 (URL-safe, without). */
err text_base64_encode(struct buf *out, bytes in);
err text_base64_decode(struct buf *out, bytes text);
err text_base64url_encode(struct buf *out, bytes in);
err text_base64url_decode(struct buf *out, bytes text);

/* RFC 3629: no surrogates, no over-long forms, nothing above U+10FFFF. */
bool text_is_utf8(bytes in);

/* RFC 9110 section 5.6.2: what a method or a field's name is made of, and not empty. */
bool text_is_token(bytes in);

/* Decimal digits only, the whole input; false on anything else or on overflow. */
bool text_u64(bytes in, uint64_t *out);

/* ASCII only. */
bool text_equal_nocase(bytes a, bytes b);

/* First place of needle in in, or in.len. An empty needle is at 0. */
size_t text_find(bytes in, bytes needle);

/* True when text is pattern, in which each '*' stands for any bytes, also none. */
bool text_is_like(bytes text, bytes pattern);

/* Cuts white space (SP, TAB) off both ends. */
bytes text_trim(bytes in);

/* Up to the first LF, or all of it; without a CR in front of that, and without blanks at both ends. */
bytes text_first_line(bytes in);

/* Appends in as a quoted JSON string (RFC 8259 section 7); bytes that are not UTF-8 become U+FFFD.
 */
err text_json_quote(struct buf *out, bytes in);
