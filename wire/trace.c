#include "wire/trace.h"

#include "base/text.h"
#include "crypto/secret.h"
#include "wire/names.h"

bool trace_is_set(const struct trace *t)
{
    static const uint8_t none[TRACE_ID_LEN];
    return !bytes_equal(BYTES_ARRAY(t->id), BYTES_ARRAY(none));
}

static int digit_of(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Exactly 2 * n digits in lower case, which are not all zero unless they may. */
static bool read_hex(bytes text, uint8_t *out, size_t n, bool may_be_zero)
{
    uint8_t any = 0;
    if (text.len != 2 * n)
        return false;
    for (size_t i = 0; i < n; i++) {
        int high = digit_of(text.at[2 * i]);
        int low = digit_of(text.at[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i] = (uint8_t)(high << 4 | low);
        any |= out[i];
    }
    return may_be_zero || any != 0;
}

static bool read_parts(bytes text, struct trace *out)
{
    uint8_t version;
    if (text.len < TRACE_PARENT_LEN || text.at[2] != '-' || text.at[35] != '-' ||
        text.at[52] != '-' || !read_hex(bytes_slice(text, 0, 2), &version, 1, true) ||
        version == 0xff)
        return false;
    bool more = text.len > TRACE_PARENT_LEN;
    if (more && (version == 0 || text.at[TRACE_PARENT_LEN] != '-'))
        return false;
    return read_hex(bytes_slice(text, 3, 32), out->id, TRACE_ID_LEN, false) &&
           read_hex(bytes_slice(text, 36, 16), out->span, TRACE_SPAN_LEN, false) &&
           read_hex(bytes_slice(text, 53, 2), &out->flags, 1, true);
}

bool trace_read(bytes traceparent, struct trace *out)
{
    *out = (struct trace){ 0 };
    if (!read_parts(traceparent, out)) {
        *out = (struct trace){ 0 };
        return false;
    }
    out->flags &= TRACE_SAMPLED;
    return true;
}

static char *put_hex(char *to, const uint8_t *at, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        *to++ = digits[at[i] >> 4];
        *to++ = digits[at[i] & 15];
    }
    return to;
}

void trace_write(const struct trace *t, char out[static TRACE_PARENT_LEN + 1])
{
    char *to = out;
    *to++ = '0';
    *to++ = '0';
    *to++ = '-';
    to = put_hex(to, t->id, TRACE_ID_LEN);
    *to++ = '-';
    to = put_hex(to, t->span, TRACE_SPAN_LEN);
    *to++ = '-';
    to = put_hex(to, &t->flags, 1);
    *to = 0;
}

/* Section 3.3.1.3.1: a letter or digit first; at most one '@'. Its parts' lengths are not looked at. */
static bool is_key(bytes key)
{
    static const char others[] = "_-*/@";
    for (size_t i = 0; i < key.len; i++) {
        uint8_t c = key.at[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (!plain && (i == 0 || c == 0 || strchr(others, c) == NULL))
            return false;
    }
    return key.len > 0 && key.len <= 256;
}

static bool is_value(bytes value)
{
    for (size_t i = 0; i < value.len; i++) {
        if (value.at[i] < 0x20 || value.at[i] > 0x7e || value.at[i] == '=' || value.at[i] == ',')
            return false;
    }
    return value.len > 0 && value.len <= 256;
}

bool trace_is_state(bytes tracestate)
{
    size_t members = 0;
    if (tracestate.len == 0 || tracestate.len > TRACE_STATE_MAX)
        return false;
    for (bytes rest = tracestate; rest.len > 0;) {
        size_t comma = text_find(rest, BYTES_LIT(","));
        bytes member = text_trim(bytes_slice(rest, 0, comma));
        size_t equals = text_find(member, BYTES_LIT("="));
        rest = bytes_slice(rest, comma + 1, rest.len);
        if (member.len == 0)
            continue; /* empty members are allowed */
        if (!is_key(bytes_slice(member, 0, equals)) ||
            !is_value(bytes_slice(member, equals + 1, member.len)) || ++members > TRACE_MEMBERS_MAX)
            return false;
    }
    return members > 0;
}

/* Several fields are one list (RFC 9110 section 5.3). */
static bool add_state(struct trace_found *out, bytes value)
{
    size_t comma = out->state_len > 0;
    if (value.len > TRACE_STATE_MAX - comma || out->state_len > TRACE_STATE_MAX - comma - value.len)
        return false;
    if (comma)
        out->state[out->state_len++] = ',';
    if (value.len > 0)
        memcpy(out->state + out->state_len, value.at, value.len);
    out->state_len += value.len;
    return true;
}

void trace_find(const struct bhttp_field *fields, size_t n, struct trace_found *out)
{
    size_t parents = 0;
    bool whole = true;
    out->trace = (struct trace){ 0 };
    out->state_len = 0;
    for (size_t i = 0; i < n; i++) {
        if (bytes_equal(fields[i].name, BYTES_LIT(FIELD_TRACEPARENT))) {
            (void)trace_read(fields[i].value, &out->trace);
            parents++;
        } else if (bytes_equal(fields[i].name, BYTES_LIT(FIELD_TRACESTATE))) {
            whole = whole && add_state(out, fields[i].value);
        }
    }
    if (parents != 1)
        out->trace = (struct trace){ 0 };
    if (!trace_is_set(&out->trace) || !whole ||
        !trace_is_state(bytes_of(out->state, out->state_len)))
        out->state_len = 0;
}

err trace_begin(const struct trace *parent, struct trace *out)
{
    *out = *parent;
    if (!trace_is_set(parent)) {
        out->flags = TRACE_SAMPLED;
        TRY(crypto_random(out->id, sizeof out->id));
    }
    return crypto_random(out->span, sizeof out->span);
}
