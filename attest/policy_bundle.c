/*
 * The head is read by its values and then written again: what differs in a single byte is refused,
 * so there is one spelling of each bundle.
 */
#include "attest/policy_bundle.h"

#include "attest/utc.h"
#include "base/attr.h"
#include "base/text.h"

enum { HEAD_MAX = 256, HEAD_LINES = 6, SIGNATURE_LINE_LEN = 11 + 64 + 1 + 128 + 1 };

#define FAMILY "sealgate-policy-bundle-"
#define FIRST_LINE FAMILY "v1\n"
#define SIGNATURE "signature: "

bool policy_bundle_is(bytes file)
{
    return bytes_starts(file, BYTES_LIT(FAMILY));
}

/* --- the head --------------------------------------------------------------------------------- */

static err write_head(struct buf *out, const struct policy_bundle *b)
{
    TRY(buf_addf(out, FIRST_LINE "version: %llu\ncreated: ", (unsigned long long)b->version));
    TRY(utc_write(out, b->created));
    TRY(buf_add_str(out, "\nexpires: "));
    TRY(utc_write(out, b->expires));
    return buf_addf(out, "\nlength: %zu\n\n", b->policy.len);
}

static err check_head(const struct policy_bundle *b)
{
    ENSURE(b->version >= 1 && b->expires > b->created && b->policy.len > 0, MALFORMED);
    ENSURE(b->version <= POLICY_BUNDLE_VERSION_MAX && b->policy.len <= POLICY_BUNDLE_POLICY_MAX,
           LIMIT);
    return OK;
}

/* The value of the next line, which has to have that name. */
static err take_value(bytes *rest, const char *name, bytes *value)
{
    size_t end = text_find(*rest, BYTES_LIT("\n"));
    bytes line = bytes_slice(*rest, 0, end);
    ENSURE(end < rest->len && bytes_starts(line, bytes_str(name)), MALFORMED);
    *value = bytes_slice(line, strlen(name), line.len);
    *rest = bytes_slice(*rest, end + 1, rest->len);
    return OK;
}

static err take_number(bytes *rest, const char *name, uint64_t *out)
{
    bytes value;
    TRY(take_value(rest, name, &value));
    ENSURE(text_u64(value, out), MALFORMED);
    return OK;
}

static err take_time(bytes *rest, const char *name, int64_t *out)
{
    bytes value;
    TRY(take_value(rest, name, &value));
    ENSURE(utc_read(value, out), MALFORMED);
    return OK;
}

static err read_head(bytes file, struct policy_bundle *out, bytes *rest)
{
    uint64_t length;
    BUF_AUTO again = BUF(HEAD_MAX);
    *rest = bytes_slice(file, sizeof FIRST_LINE - 1, file.len);
    TRY(take_number(rest, "version: ", &out->version));
    TRY(take_time(rest, "created: ", &out->created));
    TRY(take_time(rest, "expires: ", &out->expires));
    TRY(take_number(rest, "length: ", &length));
    ENSURE(length <= POLICY_BUNDLE_POLICY_MAX, LIMIT);
    out->policy.len = (size_t)length;
    TRY(check_head(out));
    TRY(write_head(&again, out));
    ENSURE(bytes_starts(file, buf_view(&again)), MALFORMED);
    *rest = bytes_slice(file, again.len, file.len);
    return OK;
}

/* --- signatures ------------------------------------------------------------------------------- */

static err decode(bytes hex, uint8_t *to, size_t len)
{
    BUF_AUTO raw = BUF(ED25519_SIG_LEN);
    BUF_AUTO again = BUF(2 * ED25519_SIG_LEN);
    TRY(text_hex_decode(&raw, hex));
    TRY(text_hex_encode(&again, buf_view(&raw)));
    ENSURE(raw.len == len && bytes_equal(buf_view(&again), hex), MALFORMED);
    memcpy(to, raw.at, len);
    return OK;
}

static bool has_signed(const struct policy_bundle *b, const uint8_t *key)
{
    for (size_t i = 0; i < b->signatures_n; i++) {
        if (bytes_equal(BYTES_ARRAY(b->signatures[i].key), bytes_of(key, ED25519_PK_LEN)))
            return true;
    }
    return false;
}

static err read_signature(bytes line, struct policy_bundle *out)
{
    struct policy_signature s;
    size_t at = sizeof SIGNATURE - 1;
    ENSURE(out->signatures_n < POLICY_BUNDLE_SIGNATURES_MAX, LIMIT);
    ENSURE(line.len == SIGNATURE_LINE_LEN && bytes_starts(line, BYTES_LIT(SIGNATURE)) &&
               line.at[at + 64] == ' ' && line.at[line.len - 1] == '\n',
           MALFORMED);
    TRY(decode(bytes_slice(line, at, 64), s.key, sizeof s.key));
    TRY(decode(bytes_slice(line, at + 65, 128), s.signature, sizeof s.signature));
    ENSURE(!has_signed(out, s.key), MALFORMED);
    out->signatures[out->signatures_n++] = s;
    return OK;
}

err policy_bundle_read(bytes file, struct policy_bundle *out)
{
    bytes rest, line, end;
    *out = (struct policy_bundle){ 0 };
    ENSURE(file.len <= POLICY_BUNDLE_MAX, LIMIT);
    ENSURE(policy_bundle_is(file), MALFORMED);
    ENSURE(bytes_starts(file, BYTES_LIT(FIRST_LINE)), UNSUPPORTED);
    TRY(read_head(file, out, &rest));
    ENSURE(bytes_take(&rest, out->policy.len, &out->policy), TRUNCATED);
    ENSURE(bytes_take(&rest, 1, &end) && end.at[0] == '\n', MALFORMED);
    out->signed_part = bytes_slice(file, 0, file.len - rest.len);
    ENSURE(rest.len > 0, TRUNCATED);
    while (rest.len > 0) {
        ENSURE(bytes_take(&rest, SIGNATURE_LINE_LEN, &line), TRUNCATED);
        TRY(read_signature(line, out));
    }
    return OK;
}

static err put_signature(struct buf *out, bytes what, const struct signing_key *key)
{
    uint8_t signature[ED25519_SIG_LEN];
    TRY(sign_ed25519(key, what, signature));
    TRY(buf_add_str(out, SIGNATURE));
    TRY(text_hex_encode(out, bytes_of(signing_key_public(key), ED25519_PK_LEN)));
    TRY(buf_add_u8(out, ' '));
    TRY(text_hex_encode(out, BYTES_ARRAY(signature)));
    return buf_add_u8(out, '\n');
}

err policy_bundle_write(struct buf *out, const struct policy_bundle *b,
                        const struct signing_key *key)
{
    BUF_AUTO file = BUF(POLICY_BUNDLE_MAX);
    TRY(check_head(b));
    TRY(write_head(&file, b));
    TRY(buf_add(&file, b->policy));
    TRY(buf_add_u8(&file, '\n'));
    TRY(buf_add(out, buf_view(&file)));
    return put_signature(out, buf_view(&file), key);
}

err policy_bundle_sign(struct buf *out, bytes file, const struct signing_key *key)
{
    struct policy_bundle b;
    TRY(policy_bundle_read(file, &b));
    ENSURE(!has_signed(&b, signing_key_public(key)), EXISTS);
    ENSURE(b.signatures_n < POLICY_BUNDLE_SIGNATURES_MAX, LIMIT);
    TRY(buf_add(out, file));
    return put_signature(out, b.signed_part, key);
}

/* --- either form ------------------------------------------------------------------------------ */

err policy_keys_add(struct policy_keys *keys, bytes hex)
{
    uint8_t key[ED25519_PK_LEN];
    BUF_AUTO raw = BUF(ED25519_PK_LEN);
    ENSURE(hex.len == 2 * ED25519_PK_LEN, MALFORMED);
    TRY(text_hex_decode(&raw, hex));
    memcpy(key, raw.at, sizeof key);
    for (size_t i = 0; i < keys->n; i++) {
        if (bytes_equal(BYTES_ARRAY(keys->at[i]), BYTES_ARRAY(key)))
            return OK;
    }
    ENSURE(keys->n < POLICY_BUNDLE_SIGNATURES_MAX, LIMIT);
    memcpy(keys->at[keys->n++], key, sizeof key);
    return OK;
}

static enum policy_outcome refuse(const struct policy_ask *o, enum policy_outcome outcome,
                                  const char *what)
{
    if (o->message != NULL)
        (void)buf_addf(o->message, "%s: %s", o->name, what);
    return outcome;
}

static bool all_verify(const struct policy_bundle *b)
{
    for (size_t i = 0; i < b->signatures_n; i++) {
        const struct policy_signature *s = &b->signatures[i];
        if (!err_is_ok(
                verify_ed25519(BYTES_ARRAY(s->key), b->signed_part, BYTES_ARRAY(s->signature))))
            return false;
    }
    return b->signatures_n > 0;
}

static bool all_signed(const struct policy_ask *o, const struct policy_bundle *b)
{
    for (size_t i = 0; i < o->keys->n; i++) {
        if (!has_signed(b, o->keys->at[i]))
            return false;
    }
    return true;
}

/* Signatures before dates: what nobody signed says nothing about time. */
static enum policy_outcome judge(const struct policy_ask *o, const struct policy_bundle *b)
{
    if (!all_verify(b))
        return refuse(o, POLICY_BAD_SIGNATURE, "a signature does not fit; fetch the bundle anew");
    if (!all_signed(o, b))
        return refuse(o, POLICY_UNSIGNED, "a key that must have signed it has not");
    if (b->created - POLICY_BUNDLE_SKEW_S > o->now)
        return refuse(o, POLICY_EARLY, "made in the future; is this machine's clock right?");
    if (b->expires <= o->now)
        return refuse(o, POLICY_EXPIRED, "expired; sign a later one");
    return POLICY_ACCEPTED;
}

static err read_bundled(const struct policy_ask *o, bytes text, struct policy **policy)
{
    BUF_AUTO shifted = BUF(POLICY_BUNDLE_MAX);
    for (size_t i = 0; i < HEAD_LINES; i++)
        TRY(buf_add_u8(&shifted, '\n'));
    TRY(buf_add(&shifted, text));
    return policy_read(policy, buf_view(&shifted), o->name, o->message);
}

/* For what policy_read() says: memory is an error, anything else an outcome. */
static err outcome_of(err e, enum policy_outcome *outcome)
{
    *outcome = err_is_ok(e) ? POLICY_ACCEPTED : POLICY_MALFORMED;
    return e.code == ERR_NOMEM ? e : OK;
}

static err open_bundle(const struct policy_ask *o, struct policy_opened *out)
{
    struct policy_bundle b;
    err e = policy_bundle_read(o->file, &b);
    if (e.code == ERR_NOMEM)
        return e;
    if (!err_is_ok(e)) {
        out->outcome = refuse(o, POLICY_MALFORMED,
                              e.code == ERR_UNSUPPORTED ? "a bundle for later versions of Sealgate"
                                                        : "not a whole policy bundle");
        return OK;
    }
    out->facts = (struct policy_facts){ .is_bundle = true,
                                        .version = b.version,
                                        .created = b.created,
                                        .expires = b.expires,
                                        .signatures_n = b.signatures_n };
    sha256_of(b.signed_part, out->facts.digest);
    out->outcome = judge(o, &b);
    if (out->outcome != POLICY_ACCEPTED)
        return OK;
    return outcome_of(read_bundled(o, b.policy, &out->policy), &out->outcome);
}

err policy_open(const struct policy_ask *ask, struct policy_opened *out)
{
    *out = (struct policy_opened){ .outcome = POLICY_UNREAD };
    if (policy_bundle_is(ask->file))
        return open_bundle(ask, out);
    sha256_of(ask->file, out->facts.digest);
    if (ask->keys->n > 0) {
        out->outcome =
            refuse(ask, POLICY_UNSIGNED, "not signed; make a bundle with sealgate policy sign");
        return OK;
    }
    return outcome_of(policy_read(&out->policy, ask->file, ask->name, ask->message), &out->outcome);
}
