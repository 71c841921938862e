#include "wire/roster.h"

#include <string.h>

#include "base/text.h"

err worker_tag_of(bytes identity, struct worker_tag *out)
{
    BUF_AUTO hex = BUF(ROSTER_TAG_LEN);
    *out = (struct worker_tag){ 0 };
    TRY(text_hex_encode(&hex, bytes_slice(identity, 0, ROSTER_TAG_LEN / 2)));
    return worker_tag_read(buf_view(&hex), out);
}

static bool is_digit(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

err worker_tag_read(bytes text, struct worker_tag *out)
{
    *out = (struct worker_tag){ 0 };
    ENSURE(text.len == ROSTER_TAG_LEN, MALFORMED);
    for (size_t i = 0; i < text.len; i++)
        ENSURE(is_digit(text.at[i]), MALFORMED);
    memcpy(out->text, text.at, text.len);
    return OK;
}

bool worker_tag_is(const struct worker_tag *t)
{
    return t->text[0] != '\0';
}

bool worker_tag_equal(const struct worker_tag *a, const struct worker_tag *b)
{
    return strcmp(a->text, b->text) == 0;
}

bool roster_has(const struct roster *r, const struct worker_tag *tag)
{
    for (size_t i = 0; i < r->n; i++) {
        if (worker_tag_equal(&r->tags[i], tag))
            return true;
    }
    return false;
}

void roster_add(struct roster *r, const struct worker_tag *tag)
{
    if (worker_tag_is(tag) && !roster_has(r, tag) && r->n < ROSTER_MAX)
        r->tags[r->n++] = *tag;
}

static err read_all(bytes text, struct roster *out)
{
    ENSURE(text.len <= ROSTER_TEXT_MAX, LIMIT);
    while (text.len > 0) {
        struct worker_tag tag;
        TRY(worker_tag_read(bytes_slice(text, 0, ROSTER_TAG_LEN), &tag));
        ENSURE(text.len > ROSTER_TAG_LEN && text.at[ROSTER_TAG_LEN] == '\n', MALFORMED);
        ENSURE(!roster_has(out, &tag), MALFORMED);
        roster_add(out, &tag);
        text = bytes_slice(text, ROSTER_TAG_LEN + 1, text.len);
    }
    return OK;
}

err roster_read(bytes text, struct roster *out)
{
    struct roster read = { 0 };
    TRY(read_all(text, &read));
    *out = read;
    return OK;
}

err roster_write(struct buf *to, const struct roster *r)
{
    for (size_t i = 0; i < r->n; i++)
        TRY(buf_addf(to, "%s\n", r->tags[i].text));
    return OK;
}
