/*
 * attest/policy.h - which evidence a user accepts. A YAML file (base/yaml.h):
 *
 *     platforms: [simulated]          # required; only these
 *     measurements:                   # required; each register named must have one of its values
 *       pcr0: [<hex>, <hex>]          # several: rolling upgrades
 *       simulated: { pcr1: [<hex>] }  # or by platform, when several are named
 *     measurements: any               # allowed only when every platform named is `simulated`
 *     operator_keys: [<hex of 32>]    # optional; then the claims must carry one of them
 *     model_digests: [<hex of 32>]    # optional; then the manifest digest must be one of them
 *     worker_names: [w1, w2]          # optional
 *     minimum_software: 0.1.0         # optional; dotted numbers
 *     max_age: 10m                    # of the evidence, default 10m; s, m, h or d
 *     clock_skew: 60s                 # default 60s, at most 5m
 *     nitro: { ... }                  # optional; a platform's own rules: attest/nitro_policy.h
 *     nvidia: { ... }                 # optional; GPUs beside the CPU: attest/nvgpu_policy.h
 *     snp: { ... }                    # optional; a platform's own rules: attest/snp_policy.h
 *     tdx: { ... }                    # attest/tdx_policy.h
 *     gcp: { ... }                    # attest/gcp_policy.h
 *     enrolled: { ... }               # attest/enrolled_policy.h
 *
 * Anything else is refused, with its line. There is no policy that accepts by default: NULL refuses
 * everything, a platform that is not named is refused, and so is one without any measurement to
 * compare. `simulated` is never implied.
 *
 * An operator key in the claims is the word of the measured software. It keeps a stranger's
 * instance of the same image out only when the image's configuration, and so that key, is measured
 * too.
 */
#pragma once

#include <stdint.h>

#include "base/buf.h"

enum {
    POLICY_PLATFORMS_MAX = 8,
    POLICY_REGISTERS_MAX = 64,
    POLICY_VALUES_MAX = 256, /* per register, and per list */
    POLICY_AGE_S_MAX = 30 * 24 * 3600,
    POLICY_AGE_S_DEFAULT = 600,
    POLICY_SKEW_S_MAX = 300,
    POLICY_SKEW_S_DEFAULT = 60
};

/* A list of acceptable byte strings. */
struct policy_list {
    struct buf *items;
    size_t n;
};

/* Not constant time in n; each item is compared in constant time. */
bool policy_list_has(const struct policy_list *list, bytes value);

/* Which of the items it is, counted from 1; 0: none. Likewise. */
size_t policy_list_place(const struct policy_list *list, bytes value);

struct enrolled_policy;
struct gcp_policy;
struct nitro_policy;
struct nvgpu_policy;
struct snp_policy;
struct tdx_policy;

struct policy_register {
    const char *platform; /* static; NULL: every platform that has a register of this name */
    const char *name;     /* static */
    struct policy_list values;
};

/* Immutable once read. */
struct policy {
    const char *platforms[POLICY_PLATFORMS_MAX]; /* static */
    size_t platforms_n;
    bool any_measurements;
    struct policy_register *registers;
    size_t registers_n;
    struct policy_list operator_keys; /* n 0: not asked; likewise below */
    struct policy_list model_digests;
    struct policy_list worker_names;
    struct buf minimum_software; /* empty: not asked */
    uint32_t max_age_s;
    uint32_t skew_s;
    struct nitro_policy *nitro; /* sections; NULL: the platform's strict defaults; likewise below */
    struct nvgpu_policy *nvidia; /* NULL: no GPU evidence is accepted */
    struct snp_policy *snp;
    struct tdx_policy *tdx;
    struct gcp_policy *gcp;
    struct enrolled_policy *enrolled; /* NULL: nobody's statements are accepted */
};

/* ERR_CONFIG, with "NAME:LINE: key: what to do" (no line feed) appended to *message (NULL: not
 * wanted), for a policy that is not right. name is only for that line. */
err policy_read(struct policy **out, bytes yaml, const char *name, struct buf *message);
void policy_free(struct policy *p);

bool policy_names_platform(const struct policy *p, bytes platform);

/* True when `have` is the dotted version `least` or a later one. One to four numbers, compared as
 * numbers, missing ones being 0. `-rc1` behind them is earlier than none and comparable to itself
 * only; `+build` does not count. Anything else: false. */
bool policy_software_reaches(bytes have, bytes least);

/* Appends in plain words what this policy accepts. */
err policy_explain(const struct policy *p, struct buf *out);
