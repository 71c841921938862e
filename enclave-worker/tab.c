#include "enclave-worker/tab.h"

#include "base/clock.h"

bool tab_enter(struct tab *t, struct allowance *allowance, uint64_t now_us,
               struct allowance_view *view)
{
    t->allowance = allowance_ref(allowance);
    t->placed = allowance_enter(allowance, now_us, view);
    return t->placed;
}

bool tab_is_limited(const struct tab *t)
{
    return t->allowance != NULL && allowance_limits_running(t->allowance);
}

struct tab tab_take(struct tab *t)
{
    struct tab taken = *t;
    taken.background = true;
    *t = (struct tab){ 0 };
    return taken;
}

static void log_use(const struct tab *t, unsigned status, const struct allowance_use *use,
                    uint64_t now_us)
{
    struct log_id key = { 0 };
    if (t->allowance != NULL)
        (void)log_id_set(&key, bytes_str(allowance_name(t->allowance)));
    LOG_INFO(t->log, "usage", F_ID("key", &key), F_ID("request", &t->request),
             F_WORD_OF("route", t->route), F_U64("status", status),
             F_U64("input_tokens", use->prompt_tokens), F_U64("output_tokens", use->answer_tokens),
             F_BOOL("estimated", use->estimated), F_BOOL("background", t->background),
             F_U64("ms", (now_us - t->since_us) / 1000));
}

void tab_settle(struct tab *t, unsigned status, const struct allowance_use *use)
{
    uint64_t now_us = clock_steady_us();
    if (t->log != NULL)
        log_use(t, status, use, now_us);
    if (t->placed) {
        allowance_leave(t->allowance);
        allowance_charge(t->allowance, now_us, use);
    }
    allowance_unref(t->allowance);
    *t = (struct tab){ 0 };
}
