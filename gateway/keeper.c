#include "gateway/keeper.h"

#include <string.h>

#include "base/attr.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"

enum { STATE_MAX = 256, DIGEST_HEX_LEN = 2 * SHA256_LEN, CLOSE_S = 2, CLOSE_MS = 50 };

static const char SIMULATED[] = "platforms: [simulated]\nmeasurements: any\n";

#define STATE_HEAD "sealgate-policy-state-v1\nversion: "
#define STATE_MIDDLE "\nsigned: "

static const struct word OUTCOMES[POLICY_OUTCOMES] = {
#define X(name, word) [POLICY_##name] = WORD_INIT(word),
    POLICY_OUTCOME_LIST(X)
#undef X
};

/* The highest version that was in force. */
struct memory {
    uint64_t version; /* 0: none */
    uint8_t digest[SHA256_LEN];
};

struct keeper {
    struct loop *loop;
    struct keeper_settings settings;
    struct policy_keys keys;
    struct memory memory;
    struct policy *policy; /* NULL: expired */
    struct policy_facts facts;
    int64_t loaded_at;
    enum policy_outcome latest; /* of the latest reading */
    struct file_watch watch;
    uint64_t looked_ms;
    struct loop_timer timer;
};

/* ---- what is remembered ---- */

static err read_memory(bytes text, struct memory *out)
{
    BUF_AUTO digest = BUF(SHA256_LEN);
    ENSURE(bytes_starts(text, BYTES_LIT(STATE_HEAD)), MALFORMED);
    bytes rest = bytes_slice(text, sizeof STATE_HEAD - 1, text.len);
    bytes number = bytes_slice(rest, 0, text_find(rest, BYTES_LIT("\n")));
    rest = bytes_slice(rest, number.len + sizeof STATE_MIDDLE - 1, DIGEST_HEX_LEN);
    ENSURE(text_u64(number, &out->version) && out->version > 0, MALFORMED);
    TRY(text_hex_decode(&digest, rest));
    ENSURE(digest.len == SHA256_LEN, MALFORMED);
    memcpy(out->digest, digest.at, SHA256_LEN);
    return OK;
}

static err write_memory(const struct memory *m, struct buf *out)
{
    TRY(buf_addf(out, STATE_HEAD "%llu" STATE_MIDDLE, (unsigned long long)m->version));
    TRY(text_hex_encode(out, BYTES_ARRAY(m->digest)));
    return buf_add_u8(out, '\n');
}

/* No file: nothing was ever in force. Anything but what is written here is refused, since a gateway
 * that forgets takes old policies. */
static err recall(struct keeper *k)
{
    BUF_AUTO text = BUF(STATE_MAX);
    BUF_AUTO again = BUF(STATE_MAX);
    if (k->settings.state == NULL)
        return OK;
    err e = file_read(&text, k->settings.state);
    if (e.code == ERR_NOT_FOUND)
        return OK;
    TRY(e);
    TRY(read_memory(buf_view(&text), &k->memory));
    TRY(write_memory(&k->memory, &again));
    ENSURE(bytes_equal(buf_view(&text), buf_view(&again)), MALFORMED);
    return OK;
}

static bool is_older(const struct keeper *k, const struct policy_facts *f)
{
    if (!f->is_bundle || f->version != k->memory.version)
        return f->is_bundle && f->version < k->memory.version;
    return !bytes_equal(BYTES_ARRAY(f->digest), BYTES_ARRAY(k->memory.digest));
}

static bool remember(struct keeper *k, const struct policy_facts *f)
{
    BUF_AUTO text = BUF(STATE_MAX);
    struct memory m = { .version = f->version };
    memcpy(m.digest, f->digest, sizeof m.digest);
    if (!f->is_bundle || f->version == k->memory.version)
        return true;
    if (k->settings.state == NULL || write_memory(&m, &text).code != ERR_OK ||
        file_write(k->settings.state, buf_view(&text)).code != ERR_OK)
        return false;
    k->memory = m;
    return true;
}

/* ---- reading ---- */

static bool is_simulated(const struct keeper *k)
{
    return strcmp(k->settings.path, "simulated") == 0;
}

static err read_file(struct keeper *k, struct buf *file)
{
    return is_simulated(k) ? buf_add_str(file, SIMULATED) : file_read(file, k->settings.path);
}

static void say(struct buf *message, const char *name, const char *what)
{
    if (message != NULL && message->len == 0)
        (void)buf_addf(message, "%s: %s", name, what);
}

/* The file judged, its version remembered; a policy only with POLICY_ACCEPTED. */
static void obtain(struct keeper *k, struct policy_opened *out, struct buf *message)
{
    const char *name = k->settings.path;
    BUF_AUTO file = BUF(POLICY_BUNDLE_MAX);
    *out = (struct policy_opened){ 0 };
    err e = read_file(k, &file);
    if (e.code != ERR_OK && message != NULL)
        (void)file_complain(message, name, "policy", e);
    if (e.code == ERR_OK)
        e = policy_open(&(struct policy_ask){ .file = buf_view(&file),
                                              .name = name,
                                              .keys = &k->keys,
                                              .now = clock_wall_s(),
                                              .message = message },
                        out);
    if (e.code != ERR_OK || out->outcome == POLICY_UNREAD)
        say(message, name, "cannot be read (policy)");
    if (out->outcome == POLICY_ACCEPTED && is_older(k, &out->facts))
        out->outcome = POLICY_OLDER;
    else if (out->outcome == POLICY_ACCEPTED && !remember(k, &out->facts))
        out->outcome = POLICY_UNKEPT;
    if (out->outcome == POLICY_OLDER)
        say(message, name, "a later version was in force already (policy_state)");
    if (out->outcome == POLICY_UNKEPT)
        say(message, name, "signed, but policy_state cannot be written to remember its version");
    k->latest = out->outcome;
    if (out->outcome == POLICY_ACCEPTED)
        return;
    policy_free(out->policy);
    out->policy = NULL;
}

static void show(const struct keeper *k)
{
    const struct metering *m = k->settings.metering;
    struct metrics_block *b = k->settings.block;
    metrics_gauge_set(b, m->policy_in_force, 0, 0, k->policy != NULL);
    metrics_gauge_set(b, m->policy_version, 0, 0, (int64_t)k->facts.version);
    metrics_gauge_set(b, m->policy_expires, 0, 0, k->facts.expires);
}

static void put_in_force(struct keeper *k, const struct policy_opened *new)
{
    k->policy = new->policy;
    k->facts = new->facts;
    k->loaded_at = clock_wall_s();
}

/* Once it holds everywhere. */
static void announce(const struct keeper *k)
{
    const struct policy_facts *f = &k->facts;
    show(k);
    LOG_INFO(k->settings.log, "policy in force", F_U64("version", f->version),
             F_HEX("digest", f->digest, sizeof f->digest));
    if (f->is_bundle && k->keys.n == 0)
        LOG_WARN(k->settings.log, "policy is signed, but policy_key does not say by whom");
}

static void replace(struct keeper *k, const struct policy_opened *new)
{
    struct policy *before = k->policy;
    put_in_force(k, new);
    k->settings.changed(k->settings.owner, k->policy);
    announce(k);
    policy_free(before);
}

static bool is_same(const struct keeper *k, const struct policy_facts *facts)
{
    return k->policy != NULL &&
           bytes_equal(BYTES_ARRAY(facts->digest), BYTES_ARRAY(k->facts.digest));
}

void keeper_reload(struct keeper *k)
{
    struct policy_opened new;
    file_watch_read(&k->watch);
    obtain(k, &new, NULL);
    if (k->latest != POLICY_ACCEPTED) {
        LOG_ERROR(k->settings.log, "policy refused, what is in force stays",
                  F_WORD_OF("why", OUTCOMES[k->latest]), F_U64("version", new.facts.version));
        k->settings.noted(k->settings.owner);
    } else if (is_same(k, &new.facts)) {
        policy_free(new.policy);
        k->facts.signatures_n = new.facts.signatures_n;
        LOG_INFO(k->settings.log, "policy unchanged", F_U64("version", new.facts.version));
        k->settings.noted(k->settings.owner);
    } else {
        replace(k, &new);
    }
    metrics_add(k->settings.block, k->settings.metering->policy_loads, k->latest, 0, 1);
}

/* ---- following ---- */

static void end_policy(struct keeper *k)
{
    struct policy *before = k->policy;
    k->policy = NULL;
    k->settings.changed(k->settings.owner, NULL);
    show(k);
    LOG_ERROR(k->settings.log, "policy has expired, no worker is accepted any more",
              F_U64("version", k->facts.version));
    policy_free(before);
}

static void look_at_file(struct keeper *k)
{
    if (is_simulated(k) || loop_now_ms(k->loop) - k->looked_ms < KEEPER_LOOK_MS)
        return;
    k->looked_ms = loop_now_ms(k->loop);
    if (file_watch_changed(&k->watch))
        keeper_reload(k);
}

/* Closer together when the end is near. */
static void on_look(struct loop_timer *timer)
{
    struct keeper *k = CONTAINER_OF(timer, struct keeper, timer);
    look_at_file(k);
    bool ends = k->policy != NULL && k->facts.expires != 0;
    int64_t left_s = k->facts.expires - clock_wall_s();
    if (ends && left_s <= 0)
        end_policy(k);
    loop_timer_start(k->loop, timer, ends && left_s <= CLOSE_S ? CLOSE_MS : KEEPER_LOOK_MS,
                     on_look);
}

/* ---- the whole ---- */

static err take_keys(struct keeper *k, struct buf *message)
{
    for (size_t i = 0; i < k->settings.keys->n; i++) {
        const char *hex = k->settings.keys->at[i];
        if (policy_keys_add(&k->keys, bytes_str(hex)).code == ERR_OK)
            continue;
        say(message, "policy_key", "give each public key as 64 hex digits, at most 8 keys");
        FAIL(CONFIG);
    }
    return OK;
}

static err begin(struct keeper *k, struct buf *message)
{
    struct policy_opened new;
    TRY(take_keys(k, message));
    if (recall(k).code != ERR_OK) {
        say(message, "policy_state", "is not what a gateway has written there");
        FAIL(CONFIG);
    }
    file_watch_read(&k->watch);
    k->looked_ms = loop_now_ms(k->loop);
    obtain(k, &new, message);
    ENSURE(k->latest == POLICY_ACCEPTED, CONFIG);
    put_in_force(k, &new);
    announce(k);
    loop_timer_start(k->loop, &k->timer, KEEPER_LOOK_MS, on_look);
    return OK;
}

err keeper_open(struct keeper **out, struct loop *loop, const struct keeper_settings *settings,
                struct buf *message)
{
    struct keeper *k;
    TRY(mem_new(&k));
    k->loop = loop;
    k->settings = *settings;
    k->watch.path = settings->path;
    err e = begin(k, message);
    if (e.code == ERR_OK)
        *out = k;
    else
        keeper_close(k);
    return e;
}

void keeper_close(struct keeper *k)
{
    if (k == NULL)
        return;
    loop_timer_stop(&k->timer);
    policy_free(k->policy);
    mem_free(k);
}

const struct policy *keeper_policy(const struct keeper *k)
{
    return k->policy;
}

void keeper_write(const struct keeper *k, struct json_out *j)
{
    const struct policy_facts *f = &k->facts;
    json_begin_object(j, "policy");
    json_put_bool(j, "in_force", k->policy != NULL);
    json_put_i64(j, "loaded_at", k->loaded_at);
    json_put_hex(j, "sha256", BYTES_ARRAY(f->digest));
    json_put_bool(j, "signed", f->is_bundle);
    if (f->is_bundle) {
        json_put_u64(j, "version", f->version);
        json_put_i64(j, "created_at", f->created);
        json_put_i64(j, "expires_at", f->expires);
        json_put_u64(j, "signatures", f->signatures_n);
    }
    json_put_str(j, "latest_load", OUTCOMES[k->latest].text);
    json_close(j);
}
