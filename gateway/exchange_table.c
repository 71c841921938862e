#include "gateway/exchange_table.h"

#define TO(action, next)                                                                           \
    {                                                                                              \
        DO_##action, EXCHANGE_##next                                                               \
    }

static const struct exchange_cell TABLE[EXCHANGE_STATE_COUNT][EXCHANGE_EVENT_COUNT] = {
    [EXCHANGE_RECEIVING] = {
        [ON_BODY] = TO(SEND, WAITING),
        [ON_GONE] = TO(SETTLE, SETTLED),
    },
    [EXCHANGE_WAITING] = {
        [ON_WORKER] = TO(SEND, WAITING),
        [ON_SUBMITTED] = TO(NONE, ASKED),
        [ON_TIMEOUT] = TO(FAIL, ENDING),
        [ON_BROKEN] = TO(FAIL, ENDING),
        [ON_GONE] = TO(SETTLE, SETTLED),
    },
    [EXCHANGE_ASKED] = {
        [ON_HEAD] = TO(BEGIN, ANSWERING),
        [ON_UNDONE] = TO(AGAIN, WAITING),
        [ON_BROKEN] = TO(FAIL, ENDING),
        [ON_TIMEOUT] = TO(FAIL, ENDING),
        [ON_GONE] = TO(CANCEL, SETTLED),
    },
    [EXCHANGE_ANSWERING] = {
        [ON_COMPLETE] = TO(PROVE, PROVING),
        [ON_BROKEN] = TO(FAIL, ENDING),
        [ON_TIMEOUT] = TO(FAIL, ENDING),
        [ON_GONE] = TO(CANCEL, SETTLED),
    },
    [EXCHANGE_PROVING] = {
        [ON_PROVED] = TO(RELEASE, ENDING),
        [ON_UNPROVED] = TO(FAIL, ENDING),
        [ON_GONE] = TO(LET_GO, ORPHANED),
    },
    [EXCHANGE_ENDING] = {
        [ON_SENT] = TO(SETTLE, SETTLED),
        [ON_GONE] = TO(SETTLE, SETTLED),
    },
    [EXCHANGE_ORPHANED] = {
        [ON_PROVED] = TO(SETTLE, SETTLED),
        [ON_UNPROVED] = TO(SETTLE, SETTLED),
    },
};

static const char *const STATE_WORDS[] = {
#define X(name, text) text,
    EXCHANGE_STATES(X)
#undef X
};
static const char *const EVENT_WORDS[] = {
#define X(name, text) text,
    EXCHANGE_EVENTS(X)
#undef X
};
static const char *const ACTION_WORDS[] = { "impossible",
#define X(name, text) text,
                                            EXCHANGE_ACTIONS(X)
#undef X
};

struct exchange_cell exchange_cell(enum exchange_state state, enum exchange_event event)
{
    return TABLE[state][event];
}

const char *exchange_state_word(enum exchange_state state)
{
    return STATE_WORDS[state];
}

err exchange_table_write(struct buf *out)
{
    TRY(buf_add_str(out, "| state | event | action | next state |\n| --- | --- | --- | --- |\n"));
    for (size_t s = 0; s < EXCHANGE_STATE_COUNT; s++) {
        for (size_t e = 0; e < EXCHANGE_EVENT_COUNT; e++) {
            struct exchange_cell c = TABLE[s][e];
            if (c.action != DO_IMPOSSIBLE)
                TRY(buf_addf(out, "| %s | %s | %s | %s |\n", STATE_WORDS[s], EVENT_WORDS[e],
                             ACTION_WORDS[c.action], STATE_WORDS[c.next]));
        }
    }
    return OK;
}
