#include "attest/event_log.h"

#include "base/buf.h"
#include "base/json.h"
#include "base/text.h"
#include "crypto/hash.h"

enum {
    EV_NO_ACTION = 3,
    ALG_SHA384 = 0x000c,
    SHA1_LEN = 20,
    DIGEST_MAX = 64,
    SPEC_FIXED_LEN = 24, /* signature, platform class, four version bytes */
    DSTACK_DEPTH_MAX = 4
};

struct algorithm {
    uint16_t id;
    uint16_t len;
};

struct ccel {
    bytes rest;
    struct algorithm algorithms[EVENT_ALGORITHMS_MAX];
    size_t algorithms_n;
};

static err take_le(bytes *in, size_t n, uint32_t *out)
{
    bytes b;
    ENSURE(bytes_take(in, n, &b), MALFORMED);
    *out = 0;
    for (size_t i = n; i > 0; i--)
        *out = *out << 8 | b.at[i - 1];
    return OK;
}

static err take_sized(bytes *in, bytes *out)
{
    uint32_t len;
    TRY(take_le(in, 4, &len));
    ENSURE(bytes_take(in, len, out), MALFORMED);
    return OK;
}

static void extend(struct event_rtmrs *to, unsigned rtmr, bytes digest)
{
    uint8_t joined[2 * EVENT_DIGEST_LEN];
    memcpy(joined, to->value[rtmr], EVENT_DIGEST_LEN);
    memcpy(joined + EVENT_DIGEST_LEN, digest.at, EVENT_DIGEST_LEN);
    sha384_of(BYTES_ARRAY(joined), to->value[rtmr]);
    to->events[rtmr]++;
}

static err extend_and_tell(struct event_rtmrs *to, const struct event *e, event_fn *each,
                           void *owner)
{
    extend(to, e->rtmr, e->digest);
    return each != NULL ? each(owner, e) : OK;
}

/* --- firmware -------------------------------------------------------------------------------- */

/* "Spec ID Event03": which digests every event has, and how long each is. */
static err read_algorithms(bytes spec, struct ccel *c)
{
    bytes fixed;
    uint32_t n;
    ENSURE(bytes_take(&spec, SPEC_FIXED_LEN, &fixed), MALFORMED);
    ENSURE(bytes_starts(fixed, BYTES_LIT("Spec ID Event03\0")), MALFORMED);
    TRY(take_le(&spec, 4, &n));
    ENSURE(n > 0 && n <= EVENT_ALGORITHMS_MAX, LIMIT);
    for (size_t i = 0; i < n; i++) {
        uint32_t id;
        uint32_t len;
        TRY(take_le(&spec, 2, &id));
        TRY(take_le(&spec, 2, &len));
        ENSURE(len > 0 && len <= DIGEST_MAX, MALFORMED);
        ENSURE(id != ALG_SHA384 || len == EVENT_DIGEST_LEN, MALFORMED);
        c->algorithms[i] = (struct algorithm){ (uint16_t)id, (uint16_t)len };
    }
    c->algorithms_n = n;
    return OK;
}

/* The first event has the old form, with one SHA-1. */
static err read_spec(bytes log, struct ccel *c)
{
    uint32_t mr;
    uint32_t type;
    bytes digest;
    bytes data;
    TRY(take_le(&log, 4, &mr));
    TRY(take_le(&log, 4, &type));
    ENSURE(type == EV_NO_ACTION && bytes_take(&log, SHA1_LEN, &digest), MALFORMED);
    TRY(take_sized(&log, &data));
    TRY(read_algorithms(data, c));
    c->rest = log;
    return OK;
}

static bool all_are(bytes b, uint8_t value)
{
    for (size_t i = 0; i < b.len; i++) {
        if (b.at[i] != value)
            return false;
    }
    return true;
}

static err digest_len(const struct ccel *c, uint32_t id, size_t *out)
{
    for (size_t i = 0; i < c->algorithms_n; i++) {
        if (c->algorithms[i].id == id) {
            *out = c->algorithms[i].len;
            return OK;
        }
    }
    FAIL(MALFORMED);
}

/* Exactly one SHA-384 among them. */
static err take_digests(struct ccel *c, bytes *out)
{
    uint32_t n;
    *out = (bytes){ 0 };
    TRY(take_le(&c->rest, 4, &n));
    ENSURE(n > 0 && n <= EVENT_ALGORITHMS_MAX, MALFORMED);
    for (; n > 0; n--) {
        uint32_t id;
        size_t len;
        bytes digest;
        TRY(take_le(&c->rest, 2, &id));
        TRY(digest_len(c, id, &len));
        ENSURE(bytes_take(&c->rest, len, &digest), MALFORMED);
        if (id != ALG_SHA384)
            continue;
        ENSURE(out->len == 0, MALFORMED);
        *out = digest;
    }
    ENSURE(out->len == EVENT_DIGEST_LEN, MALFORMED);
    return OK;
}

static err replay_ccel_event(struct ccel *c, struct event_rtmrs *out, event_fn *each, void *owner)
{
    uint32_t mr;
    struct event e = { 0 };
    TRY(take_le(&c->rest, 4, &mr));
    TRY(take_le(&c->rest, 4, &e.type));
    TRY(take_digests(c, &e.digest));
    TRY(take_sized(&c->rest, &e.data));
    ENSURE(mr <= EVENT_RTMRS, MALFORMED);
    if (e.type == EV_NO_ACTION || mr == 0)
        return OK;
    e.rtmr = mr - 1;
    return extend_and_tell(out, &e, each, owner);
}

err event_ccel_replay(bytes log, struct event_rtmrs *out, event_fn *each, void *owner)
{
    struct ccel c = { 0 };
    *out = (struct event_rtmrs){ 0 };
    ENSURE(log.len <= EVENT_LOG_MAX, LIMIT);
    TRY(read_spec(log, &c));
    for (size_t n = 0; !all_are(bytes_slice(c.rest, 0, 8), 0xff) && !all_are(c.rest, 0); n++) {
        ENSURE(n < EVENT_COUNT_MAX, LIMIT);
        TRY(replay_ccel_event(&c, out, each, owner));
    }
    ENSURE(all_are(c.rest, 0xff) || all_are(c.rest, 0), MALFORMED);
    return OK;
}

/* --- dstack ---------------------------------------------------------------------------------- */

static err get_hex(const struct json *obj, const char *key, struct buf *out)
{
    bytes text;
    ENSURE(json_text(json_get(obj, key), &text), MALFORMED);
    return text_hex_decode(out, text);
}

static err check_digest(const struct event *e)
{
    uint8_t digest[EVENT_DIGEST_LEN];
    BUF_AUTO text = BUF(EVENT_LOG_MAX + EVENT_NAME_MAX + 8);
    for (unsigned shift = 0; shift < 32; shift += 8)
        TRY(buf_add_u8(&text, (uint8_t)(e->type >> shift)));
    TRY(buf_add_u8(&text, ':'));
    TRY(buf_add(&text, e->name));
    TRY(buf_add_u8(&text, ':'));
    TRY(buf_add(&text, e->data));
    sha384_of(buf_view(&text), digest);
    ENSURE(bytes_equal(e->digest, BYTES_ARRAY(digest)), CRYPTO);
    return OK;
}

static err replay_dstack_event(const struct json *obj, struct event_rtmrs *out, event_fn *each,
                               void *owner)
{
    uint64_t imr;
    uint64_t type;
    struct event e = { 0 };
    BUF_AUTO digest = BUF(EVENT_DIGEST_LEN);
    BUF_AUTO payload = BUF(EVENT_LOG_MAX);
    ENSURE(json_u64(json_get(obj, "imr"), &imr) && imr < EVENT_RTMRS, MALFORMED);
    ENSURE(json_u64(json_get(obj, "event_type"), &type) && type <= UINT32_MAX, MALFORMED);
    ENSURE(json_text(json_get(obj, "event"), &e.name), MALFORMED);
    ENSURE(e.name.len <= EVENT_NAME_MAX, LIMIT);
    TRY(get_hex(obj, "digest", &digest));
    ENSURE(digest.len == EVENT_DIGEST_LEN, MALFORMED);
    TRY(get_hex(obj, "event_payload", &payload));
    e.rtmr = (unsigned)imr;
    e.type = (uint32_t)type;
    e.digest = buf_view(&digest);
    e.data = buf_view(&payload);
    if (e.type == EVENT_DSTACK_RUNTIME)
        TRY(check_digest(&e));
    return extend_and_tell(out, &e, each, owner);
}

static err replay_dstack(const struct json *list, struct event_rtmrs *out, event_fn *each,
                         void *owner)
{
    ENSURE(json_kind(list) == JSON_KIND_ARRAY, MALFORMED);
    ENSURE(json_len(list) <= EVENT_COUNT_MAX, LIMIT);
    for (size_t i = 0; i < json_len(list); i++)
        TRY(replay_dstack_event(json_at(list, i), out, each, owner));
    return OK;
}

err event_dstack_replay(bytes log, struct event_rtmrs *out, event_fn *each, void *owner)
{
    struct json *tree;
    *out = (struct event_rtmrs){ 0 };
    ENSURE(log.len <= EVENT_LOG_MAX, LIMIT);
    TRY(json_read(&tree, log, DSTACK_DEPTH_MAX));
    err e = replay_dstack(tree, out, each, owner);
    json_free(tree);
    return e;
}
