#include "api/usage.h"

#include "api/scan.h"
#include "base/text.h"

void usage_see(struct usage *u, const struct peek_answer *seen, bool delta)
{
    if (seen->has_usage) {
        u->known = true;
        u->prompt_tokens = seen->prompt_tokens;
        u->answer_tokens = seen->answer_tokens;
    } else if (delta) {
        u->pieces++;
    }
}

/* In a text of the model its quotes would be escaped: this is a member's name. */
static const char MEMBER[] = "\"usage\":";

static err see_object(struct usage *u, bytes object)
{
    struct peek_answer seen;
    BUF_AUTO text = BUF(USAGE_OBJECT_MAX);
    TRY(buf_add_u8(&text, '{'));
    TRY(buf_add_str(&text, MEMBER));
    TRY(buf_add(&text, bytes_slice(object, 0, scan_first_value(object))));
    TRY(buf_add_u8(&text, '}'));
    peek_answer(buf_view(&text), &seen);
    usage_see(u, &seen, false);
    return OK;
}

void usage_seek(struct usage *u, bytes text)
{
    for (;;) {
        size_t at = text_find(text, bytes_str(MEMBER));
        if (at == text.len)
            return;
        text = bytes_slice(text, at + sizeof MEMBER - 1, text.len);
        (void)see_object(u, text); /* one that is too long is none */
    }
}

struct allowance_use usage_sum(const struct usage *u, size_t prompt_len)
{
    if (u->known)
        return (struct allowance_use){ u->prompt_tokens, u->answer_tokens, false };
    return (struct allowance_use){ prompt_len / USAGE_BYTES_PER_TOKEN, u->pieces, true };
}
