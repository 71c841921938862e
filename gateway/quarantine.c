#include "gateway/quarantine.h"

#include "base/attr.h"

const char *const quarantine_words[QUARANTINE_REASONS] = {
#define X(name, word) [QUARANTINE_##name] = (word),
    QUARANTINE_LIST(X)
#undef X
#define X(name, word) [QUARANTINE_CHECK + VERDICT_##name] = (word),
        VERDICT_CHECK_LIST(X)
#undef X
};

static const struct word WORDS[QUARANTINE_REASONS] = {
#define X(name, text) [QUARANTINE_##name] = WORD_INIT(text),
    QUARANTINE_LIST(X)
#undef X
#define X(name, text) [QUARANTINE_CHECK + VERDICT_##name] = WORD_INIT(text),
        VERDICT_CHECK_LIST(X)
#undef X
};

struct word quarantine_word(enum quarantine reason)
{
    return WORDS[reason < QUARANTINE_REASONS ? reason : QUARANTINE_OTHER];
}

enum quarantine quarantine_of(err trouble)
{
    switch (trouble.code) {
    case ERR_OK:
        return QUARANTINE_NOT_ASKED;
    case ERR_UNAVAILABLE:
    case ERR_CLOSED:
    case ERR_CANCELLED:
        return QUARANTINE_UNREACHABLE;
    case ERR_TIMEOUT:
        return QUARANTINE_TIMEOUT;
    case ERR_MALFORMED:
    case ERR_TRUNCATED:
    case ERR_LIMIT:
        return QUARANTINE_MALFORMED;
    case ERR_UNTRUSTED:
    case ERR_NOT_FOUND:
    case ERR_STALE:
    case ERR_UNSUPPORTED:
        return QUARANTINE_COLLATERAL;
    case ERR_NOMEM:
    case ERR_CONFIG:
    case ERR_DENIED:
    case ERR_EXISTS:
    case ERR_CRYPTO:
    case ERR_SYSTEM:
    case ERR_INTERNAL:
        break;
    }
    return QUARANTINE_OTHER;
}

enum quarantine quarantine_of_verdict(const struct verdict *v)
{
    enum quarantine reason = QUARANTINE_OTHER;
    for (size_t i = 0; i < VERDICT_CHECKS; i++) {
        if (v->checks[i].status == VERDICT_FAIL)
            reason = (enum quarantine)(QUARANTINE_CHECK + i);
    }
    return reason;
}

bool quarantine_is_false(const struct verdict *v)
{
    static const enum verdict_check_id own[] = { VERDICT_FORM,    VERDICT_SIGNATURE,
                                                 VERDICT_BINDING, VERDICT_IDENTITY,
                                                 VERDICT_NONCE,   VERDICT_STATEMENT };
    for (size_t i = 0; i < ARRAY_LEN(own); i++) {
        if (v->checks[own[i]].status == VERDICT_FAIL)
            return true;
    }
    return false;
}
