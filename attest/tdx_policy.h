/*
 * attest/tdx_policy.h - which TDX platforms a user accepts: the section `tdx` of a policy.
 *
 *     tdx:
 *       tcb_statuses: [SWHardeningNeeded]   # accepted besides UpToDate; never Revoked
 *       advisories: [INTEL-SA-00960]        # that such a status may carry; any other refuses
 *       advisories: any                     # or whatever they are
 *       minimum_tcb_evaluation: 17          # tcbEvaluationDataNumber of Intel's documents
 *       sept_ve_disable: any                # default `required`
 *       migratable: true                    # needs mrservicetd among the measurements
 *       ppids: [<hex of 16>]                # only these machines
 *       events:                             # in dstack's log, each exactly once in RTMR3
 *         compose-hash: [<hex>, <hex>]
 *       boot_digests:                       # each register was extended with one of these
 *         rtmr1: [<hex of 48>]
 *       extra_roots: [<hex of 32>]          # SHA-256 of root certificates besides Intel's
 *
 * Zero is the strictest. Besides, of the measurements a policy has to name mrtd and rtmr0 to rtmr2,
 * each of the latter unless `boot_digests` names it; what it does not name of rtmr3 (unless
 * `events` are expected), mrconfigid, mrowner, mrownerconfig and mrservicetd must be zero.
 */
#pragma once

#include "attest/event_log.h"
#include "attest/policy.h"

enum { TDX_EVENT_RULES_MAX = 16 };

struct tdx_event_rule {
    char name[EVENT_NAME_MAX + 1];
    struct policy_list payloads;
};

struct tdx_policy {
    unsigned statuses; /* bit 1U << enum tdx_status */
    bool any_advisory;
    struct policy_list advisories; /* text */
    uint64_t minimum_evaluation;
    bool any_sept_ve;
    bool migratable;
    struct policy_list ppids; /* n 0: not asked */
    struct tdx_event_rule events[TDX_EVENT_RULES_MAX];
    size_t events_n;
    struct policy_list boot_digests[EVENT_RTMRS]; /* n 0: not asked */
    struct policy_list roots;
};

struct policy_reading;
struct yaml;

/* For the table of sections in attest/policy.c. */
err tdx_policy_read(const struct policy_reading *r, const struct yaml *node, const char *key);
void tdx_policy_free(struct policy *p);
err tdx_policy_explain(const struct policy *p, struct buf *out);

/* True when a log with expected events has to explain that register (0 to 3). */
bool tdx_policy_explains(const struct tdx_policy *p, size_t rtmr);
