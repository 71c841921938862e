#include "attest/reason.h"

#include "base/attr.h"

static const struct {
    const char *word;
    const char *sentence;
    const char *advice;
} reasons[] = {
#define X(name, word, sentence, advice) [REASON_##name] = { word, sentence, advice },
    REASON_LIST(X)
#undef X
};

/* A number from nowhere reads as "unchecked", which refuses. */
static enum reason known(enum reason r)
{
    return (unsigned)r < ARRAY_LEN(reasons) ? r : REASON_UNCHECKED;
}

const char *reason_word(enum reason r)
{
    return reasons[known(r)].word;
}

const char *reason_sentence(enum reason r)
{
    return reasons[known(r)].sentence;
}

const char *reason_advice(enum reason r)
{
    return reasons[known(r)].advice;
}
