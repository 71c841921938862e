#include "api/responses_custom.h"

static const char HEAD[] = "{\"input\":\"";

enum { REPLACEMENT = 0xfffd };

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* White space may stand between the tokens, not inside the name. */
static bool may_be_blank(unsigned matched)
{
    return matched <= 1 || matched >= sizeof HEAD - 3;
}

static void take_head(struct responses_custom *c, uint8_t byte)
{
    if (is_blank(byte) && may_be_blank(c->matched))
        return;
    if (byte != (uint8_t)HEAD[c->matched])
        c->state = CUSTOM_OTHER;
    else if (++c->matched == sizeof HEAD - 1)
        c->state = CUSTOM_TEXT;
}

static err add_code(struct buf *out, uint32_t code)
{
    if (code < 0x80)
        return buf_add_u8(out, (uint8_t)code);
    if (code < 0x800) {
        TRY(buf_add_u8(out, (uint8_t)(0xc0 | code >> 6)));
        return buf_add_u8(out, (uint8_t)(0x80 | (code & 0x3f)));
    }
    if (code < 0x10000) {
        TRY(buf_add_u8(out, (uint8_t)(0xe0 | code >> 12)));
    } else {
        TRY(buf_add_u8(out, (uint8_t)(0xf0 | code >> 18)));
        TRY(buf_add_u8(out, (uint8_t)(0x80 | (code >> 12 & 0x3f))));
    }
    TRY(buf_add_u8(out, (uint8_t)(0x80 | (code >> 6 & 0x3f))));
    return buf_add_u8(out, (uint8_t)(0x80 | (code & 0x3f)));
}

/* A first half that nothing followed. */
static err drop_half(struct responses_custom *c, struct buf *out)
{
    if (c->high == 0)
        return OK;
    c->high = 0;
    return add_code(out, REPLACEMENT);
}

static err take_code(struct responses_custom *c, struct buf *out)
{
    uint32_t code = c->code;
    c->state = CUSTOM_TEXT;
    if (code >= 0xdc00 && code < 0xe000 && c->high != 0) {
        code = 0x10000 + ((c->high - 0xd800) << 10) + (code - 0xdc00);
        c->high = 0;
        return add_code(out, code);
    }
    TRY(drop_half(c, out));
    if (code >= 0xd800 && code < 0xdc00) {
        c->high = code;
        return OK;
    }
    return add_code(out, code >= 0xdc00 && code < 0xe000 ? REPLACEMENT : code);
}

/* 48 is the digit 0, 87 ten below the letter a. */
static err take_hex(struct responses_custom *c, uint8_t byte, struct buf *out)
{
    uint8_t lower = byte | 0x20;
    bool digit = byte >= '0' && byte <= '9';
    if (!digit && (lower < 'a' || lower > 'f')) {
        c->state = CUSTOM_OTHER;
        return OK;
    }
    c->code = c->code << 4 | (digit ? byte - 48U : lower - 87U);
    return ++c->digits == 4 ? take_code(c, out) : OK;
}

static err take_escape(struct responses_custom *c, uint8_t byte, struct buf *out)
{
    static const char names[] = "\"\\/bfnrt";
    static const char values[] = "\"\\/\b\f\n\r\t";
    if (byte == 'u') {
        c->state = CUSTOM_HEX;
        c->digits = 0;
        c->code = 0;
        return OK;
    }
    TRY(drop_half(c, out));
    const char *at = byte != 0 ? strchr(names, byte) : NULL;
    c->state = at != NULL ? CUSTOM_TEXT : CUSTOM_OTHER;
    return at != NULL ? buf_add_u8(out, (uint8_t)values[at - names]) : OK;
}

static err take_text(struct responses_custom *c, uint8_t byte, struct buf *out)
{
    if (byte == '\\') {
        c->state = CUSTOM_ESCAPE;
        return OK;
    }
    TRY(drop_half(c, out));
    if (byte == '"') {
        c->state = CUSTOM_DONE;
        return OK;
    }
    return buf_add_u8(out, byte);
}

err responses_custom_put(struct responses_custom *c, bytes arguments, struct buf *out)
{
    for (size_t i = 0; i < arguments.len; i++) {
        uint8_t byte = arguments.at[i];
        switch (c->state) {
        case CUSTOM_HEAD:
            take_head(c, byte);
            break;
        case CUSTOM_TEXT:
            TRY(take_text(c, byte, out));
            break;
        case CUSTOM_ESCAPE:
            TRY(take_escape(c, byte, out));
            break;
        case CUSTOM_HEX:
            TRY(take_hex(c, byte, out));
            break;
        case CUSTOM_DONE:
        case CUSTOM_OTHER:
            return OK;
        }
    }
    return OK;
}
