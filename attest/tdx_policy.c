#include "attest/tdx_policy.h"

#include "attest/policy_read.h"
#include "attest/tdx.h"
#include "attest/tdx_pck.h"
#include "attest/tdx_tcb.h"
#include "attest/tdx_verify.h"
#include "base/mem.h"
#include "base/text.h"

enum { PAYLOAD_HEX_MAX = 2048, RTMR_RUNTIME = 3 };

/* In the order of enum tdx_status, from TDX_STATUS_UP_TO_DATE on; Revoked is never accepted. */
static const char *const status_words[] = { "UpToDate",
                                            "SWHardeningNeeded",
                                            "ConfigurationNeeded",
                                            "ConfigurationAndSWHardeningNeeded",
                                            "OutOfDate",
                                            "OutOfDateConfigurationNeeded",
                                            NULL };

static const char *const rtmr_words[EVENT_RTMRS] = { "rtmr0", "rtmr1", "rtmr2", "rtmr3" };

_Static_assert(ARRAY_LEN(status_words) == TDX_STATUS_REVOKED - TDX_STATUS_UP_TO_DATE + 1,
               "a word for each status but Revoked, and NULL");

/* --- the keys -------------------------------------------------------------------------------- */

static err read_statuses(const struct policy_reading *r, const struct yaml *node, const char *key,
                         void *into)
{
    struct tdx_policy *p = into;
    TRY(policy_read_words(r, node, key, status_words, &p->statuses));
    p->statuses <<= TDX_STATUS_UP_TO_DATE;
    return OK;
}

static err read_advisories(const struct policy_reading *r, const struct yaml *node, const char *key,
                           void *into)
{
    struct tdx_policy *p = into;
    struct policy_item item = { 0, TDX_ADVISORY_LEN_MAX, "give each id like INTEL-SA-00960" };
    p->any_advisory =
        node->kind == YAML_TEXT && bytes_equal(bytes_str(node->text), BYTES_LIT("any"));
    return p->any_advisory ? OK : policy_read_list(r, node, key, item, &p->advisories);
}

static err read_evaluation(const struct policy_reading *r, const struct yaml *node, const char *key,
                           void *into)
{
    struct tdx_policy *p = into;
    return policy_read_u64(r, node, key, UINT32_MAX, &p->minimum_evaluation);
}

static err read_sept_ve(const struct policy_reading *r, const struct yaml *node, const char *key,
                        void *into)
{
    static const char *const words[] = { "required", "any" };
    struct tdx_policy *p = into;
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (node->kind != YAML_TEXT || !bytes_equal(bytes_str(node->text), bytes_str(words[i])))
            continue;
        p->any_sept_ve = i == 1;
        return OK;
    }
    return policy_refuse(r, node, key, "give `required` or `any`");
}

static bool names_register(const struct policy *p, const char *name)
{
    for (size_t i = 0; i < p->registers_n; i++) {
        const struct policy_register *rule = &p->registers[i];
        bool ours = rule->platform == NULL ||
                    bytes_equal(bytes_str(rule->platform), BYTES_LIT(TDX_PLATFORM));
        if (ours && bytes_equal(bytes_str(rule->name), bytes_str(name)))
            return true;
    }
    return false;
}

/* A service TD can move a migratable one elsewhere, so it has to be a known one. */
static err read_migratable(const struct policy_reading *r, const struct yaml *node, const char *key,
                           void *into)
{
    struct tdx_policy *p = into;
    TRY(policy_read_bool(r, node, key, &p->migratable));
    if (p->migratable && !names_register(r->policy, "mrservicetd"))
        return policy_refuse(r, node, key, "name mrservicetd among the measurements first");
    return OK;
}

static err read_ppids(const struct policy_reading *r, const struct yaml *node, const char *key,
                      void *into)
{
    struct tdx_policy *p = into;
    struct policy_item item = { TDX_PPID_LEN, 0, "give each PPID as 32 hex digits" };
    return policy_read_list(r, node, key, item, &p->ppids);
}

static err read_roots(const struct policy_reading *r, const struct yaml *node, const char *key,
                      void *into)
{
    struct tdx_policy *p = into;
    struct policy_item item = { SHA256_LEN, 0, "give each SHA-256 as 64 hex digits" };
    TRY(policy_read_list(r, node, key, item, &p->roots));
    if (p->roots.n >= TDX_ROOTS_MAX)
        return policy_refuse(r, node, key, "too many roots");
    return OK;
}

/* --- event logs ------------------------------------------------------------------------------ */

/* Payloads have any length, so they are read as text first. */
static err decode_payload(const struct policy_reading *r, const struct yaml *node, const char *key,
                          struct buf *item)
{
    struct buf raw = BUF(PAYLOAD_HEX_MAX / 2);
    err e = text_hex_decode(&raw, buf_view(item));
    if (err_is_ok(e)) {
        buf_clear(item);
        *item = raw;
        return OK;
    }
    buf_clear(&raw);
    return e.code == ERR_NOMEM ? e : policy_refuse(r, node, key, "give each payload in hex");
}

static err read_event(const struct policy_reading *r, const struct yaml *node,
                      struct tdx_event_rule *rule)
{
    struct policy_item item = { 0, PAYLOAD_HEX_MAX, "give each payload in hex" };
    bytes name = bytes_str(node->key);
    if (name.len == 0 || name.len > EVENT_NAME_MAX)
        return policy_refuse(r, node, "events", "give the event's name as dstack writes it");
    memcpy(rule->name, name.at, name.len);
    TRY(policy_read_list(r, node, rule->name, item, &rule->payloads));
    for (size_t i = 0; i < rule->payloads.n; i++)
        TRY(decode_payload(r, node, rule->name, &rule->payloads.items[i]));
    return OK;
}

static err read_events(const struct policy_reading *r, const struct yaml *node, const char *key,
                       void *into)
{
    struct tdx_policy *p = into;
    if (node->kind != YAML_MAP || node->n == 0)
        return policy_refuse(r, node, key, "give a map of events to lists of payloads");
    if (node->n > TDX_EVENT_RULES_MAX)
        return policy_refuse(r, node, key, "too many events");
    for (const struct yaml *pair = node->first; pair != NULL; pair = pair->next)
        TRY(read_event(r, pair, &p->events[p->events_n++]));
    return OK;
}

static err read_boot_register(const struct policy_reading *r, const struct yaml *node,
                              const char *key, void *into)
{
    struct tdx_policy *p = into;
    struct policy_item item = { EVENT_DIGEST_LEN, 0, "give each digest as 96 hex digits" };
    size_t i = 0;
    while (!bytes_equal(bytes_str(key), bytes_str(rtmr_words[i])))
        i++;
    return policy_read_list(r, node, key, item, &p->boot_digests[i]);
}

static err read_boot_digests(const struct policy_reading *r, const struct yaml *node,
                             const char *key, void *into)
{
    static const struct policy_key registers[] = {
        { "rtmr0", read_boot_register },
        { "rtmr1", read_boot_register },
        { "rtmr2", read_boot_register },
    };
    return policy_read_map(r, node, key, registers, ARRAY_LEN(registers), into);
}

/* --- the whole ------------------------------------------------------------------------------- */

static const struct policy_key section_keys[] = {
    { "tcb_statuses", read_statuses },
    { "advisories", read_advisories },
    { "minimum_tcb_evaluation", read_evaluation },
    { "sept_ve_disable", read_sept_ve },
    { "migratable", read_migratable },
    { "ppids", read_ppids },
    { "events", read_events },
    { "boot_digests", read_boot_digests },
    { "extra_roots", read_roots },
};

err tdx_policy_read(const struct policy_reading *r, const struct yaml *node, const char *key)
{
    TRY(mem_new(&r->policy->tdx));
    return policy_read_map(r, node, key, section_keys, ARRAY_LEN(section_keys), r->policy->tdx);
}

void tdx_policy_free(struct policy *p)
{
    struct tdx_policy *t = p->tdx;
    if (t == NULL)
        return;
    policy_list_clear(&t->advisories);
    policy_list_clear(&t->ppids);
    policy_list_clear(&t->roots);
    for (size_t i = 0; i < TDX_EVENT_RULES_MAX; i++)
        policy_list_clear(&t->events[i].payloads);
    for (size_t i = 0; i < EVENT_RTMRS; i++)
        policy_list_clear(&t->boot_digests[i]);
    mem_free(t);
    p->tdx = NULL;
}

bool tdx_policy_explains(const struct tdx_policy *p, size_t rtmr)
{
    return p->boot_digests[rtmr].n > 0 || (rtmr == RTMR_RUNTIME && p->events_n > 0);
}

/* --- in words -------------------------------------------------------------------------------- */

static err explain_list(const struct policy_list *list, const char *what, bool hex, struct buf *out)
{
    for (size_t i = 0; i < list->n; i++) {
        bytes item = buf_view(&list->items[i]);
        TRY(buf_addf(out, "tdx %s: ", what));
        TRY(hex ? text_hex_encode(out, item) : buf_add(out, item));
        TRY(buf_add_u8(out, '\n'));
    }
    return OK;
}

static err explain_statuses(const struct tdx_policy *t, struct buf *out)
{
    TRY(buf_add_str(out, "tdx tcb statuses: UpToDate"));
    for (size_t i = 1; status_words[i] != NULL; i++) {
        if ((t->statuses >> (TDX_STATUS_UP_TO_DATE + i) & 1) != 0)
            TRY(buf_addf(out, " %s", status_words[i]));
    }
    TRY(buf_add_u8(out, '\n'));
    if (t->any_advisory)
        TRY(buf_add_str(out, "tdx advisories: any\n"));
    return explain_list(&t->advisories, "advisory allowed", false, out);
}

static err explain_logs(const struct tdx_policy *t, struct buf *out)
{
    for (size_t i = 0; i < t->events_n; i++) {
        TRY(buf_addf(out, "tdx event %s once, with one of\n", t->events[i].name));
        TRY(explain_list(&t->events[i].payloads, "    payload", true, out));
    }
    for (size_t i = 0; i < EVENT_RTMRS; i++)
        TRY(explain_list(&t->boot_digests[i], rtmr_words[i], true, out));
    return OK;
}

err tdx_policy_explain(const struct policy *p, struct buf *out)
{
    static const struct tdx_policy strictest = { 0 };
    const struct tdx_policy *t = p->tdx != NULL ? p->tdx : &strictest;
    if (!policy_names_platform(p, BYTES_LIT(TDX_PLATFORM)))
        return OK;
    if (t->roots.n > 0)
        TRY(buf_add_str(out, "WARNING: trusts ROOTS BESIDES INTEL'S for tdx\n"));
    TRY(explain_list(&t->roots, "root", true, out));
    TRY(explain_statuses(t, out));
    TRY(buf_addf(out, "tdx tcb evaluation number: at least %llu\n",
                 (unsigned long long)t->minimum_evaluation));
    TRY(buf_addf(out, "tdx sept_ve_disable: %s\ntdx migratable: %s\n",
                 t->any_sept_ve ? "not asked" : "required", t->migratable ? "allowed" : "refused"));
    TRY(explain_list(&t->ppids, "ppid", true, out));
    return explain_logs(t, out);
}
