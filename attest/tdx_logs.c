/*
 * Logs are believed when they replay to the registers of the quote, and only then are their events
 * compared with what the policy expects.
 */
#include "attest/tdx_policy.h"
#include "attest/tdx_verify_parts.h"
#include "base/attr.h"

/* What was seen while a log was replayed. */
struct seen {
    const struct tdx_policy *policy;
    size_t times[TDX_EVENT_RULES_MAX];     /* events of that name in RTMR3 */
    bool as_expected[TDX_EVENT_RULES_MAX]; /* the last of them had a payload of the list */
    bool boot[EVENT_RTMRS];                /* a digest of the list extended the register */
};

bool tdx_log_expected(const struct tdx_policy *p)
{
    bool any = p->events_n > 0;
    for (size_t i = 0; i < EVENT_RTMRS; i++)
        any = any || p->boot_digests[i].n > 0;
    return any;
}

static err look(void *owner, const struct event *e)
{
    struct seen *s = owner;
    if (policy_list_has(&s->policy->boot_digests[e->rtmr], e->digest))
        s->boot[e->rtmr] = true;
    if (e->rtmr != 3 || e->type != EVENT_DSTACK_RUNTIME)
        return OK;
    for (size_t i = 0; i < s->policy->events_n; i++) {
        const struct tdx_event_rule *rule = &s->policy->events[i];
        if (!bytes_equal(e->name, bytes_str(rule->name)))
            continue;
        s->times[i]++;
        s->as_expected[i] = policy_list_has(&rule->payloads, e->data);
    }
    return OK;
}

/* Every register from `from` on that the log speaks of, or that has to be explained. */
static bool replays(const struct tdx_quote *q, const struct event_rtmrs *r, size_t explained)
{
    static const enum tdx_field rtmrs[EVENT_RTMRS] = { TDX_RTMR0, TDX_RTMR1, TDX_RTMR2, TDX_RTMR3 };
    for (size_t i = 0; i < EVENT_RTMRS; i++) {
        if (i >= explained && r->events[i] == 0)
            continue;
        if (!bytes_equal(tdx_quote_field(q, rtmrs[i]), BYTES_ARRAY(r->value[i])))
            return false;
    }
    return true;
}

static err check_log(struct tdx_work *w, err replayed, const struct event_rtmrs *r,
                     size_t explained)
{
    if (tdx_is_fatal(replayed))
        return replayed;
    tdx_reached(w, TDX_CHECK_EVENT_LOG);
    if (replayed.code == ERR_CRYPTO)
        tdx_fault(w, TDX_FAULT_LOG_DIGEST);
    else if (!err_is_ok(replayed))
        tdx_fault(w, TDX_FAULT_LOG_FORM);
    else
        tdx_fault_if(w, !replays(&w->result->quote, r, explained), TDX_FAULT_LOG_REPLAY);
    return OK;
}

static void check_expected(struct tdx_work *w, const struct seen *s)
{
    const struct tdx_policy *p = w->policy;
    for (size_t i = 0; i < p->events_n; i++)
        tdx_fault_if(w, s->times[i] != 1 || !s->as_expected[i], TDX_FAULT_LOG_EVENT);
    for (size_t i = 0; i < EVENT_RTMRS; i++)
        tdx_fault_if(w, p->boot_digests[i].n > 0 && !s->boot[i], TDX_FAULT_LOG_EVENT);
}

/* The firmware's log explains RTMR0 to RTMR2, dstack's all four. */
err tdx_check_logs(struct tdx_work *w)
{
    const struct tdx_collateral *c = w->input->collateral;
    struct seen seen = { .policy = w->policy };
    struct event_rtmrs r;
    if (w->result->quote.body.len == 0)
        return OK;
    if (c->ccel.len > 0)
        TRY(check_log(w, event_ccel_replay(c->ccel, &r, look, &seen), &r, 3));
    if (c->dstack_log.len > 0)
        TRY(check_log(w, event_dstack_replay(c->dstack_log, &r, look, &seen), &r, 4));
    bool any = c->ccel.len > 0 || c->dstack_log.len > 0;
    tdx_fault_if(w, !any && tdx_log_expected(w->policy), TDX_FAULT_LOG_ABSENT);
    check_expected(w, &seen);
    w->result->log_replayed =
        any && tdx_fault_of(&w->result->faults, TDX_CHECK_EVENT_LOG) == TDX_FAULTS;
    return OK;
}
