/* Both kinds of log: the events told are those counted, each in bounds; the same log gives the same
 * registers twice, and a register without events stays zero. */
#include <stdlib.h>

#include "attest/event_log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool cond)
{
    if (!cond)
        abort();
}

static err tell(void *owner, const struct event *e)
{
    size_t *counts = owner;
    check(e->rtmr < EVENT_RTMRS && e->digest.len == EVENT_DIGEST_LEN);
    check(e->name.len <= EVENT_NAME_MAX);
    counts[e->rtmr]++;
    return OK;
}

typedef err replay_fn(bytes log, struct event_rtmrs *out, event_fn *each, void *owner);

static void replay(replay_fn *fn, bytes in)
{
    static const uint8_t zeros[EVENT_DIGEST_LEN];
    struct event_rtmrs a, b;
    size_t counts[EVENT_RTMRS] = { 0 };
    if (!err_is_ok(fn(in, &a, tell, counts)))
        return;
    check(err_is_ok(fn(in, &b, NULL, NULL)));
    for (size_t i = 0; i < EVENT_RTMRS; i++) {
        check(counts[i] == a.events[i] && a.events[i] == b.events[i]);
        check(bytes_equal(BYTES_ARRAY(a.value[i]), BYTES_ARRAY(b.value[i])));
        check((a.events[i] == 0) == bytes_equal(BYTES_ARRAY(a.value[i]), BYTES_ARRAY(zeros)));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    replay(event_ccel_replay, bytes_of(data, size));
    replay(event_dstack_replay, bytes_of(data, size));
    return 0;
}
