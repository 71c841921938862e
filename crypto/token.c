#include "crypto/token.h"

#include "base/attr.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/secret.h"

enum { RULES_DEPTH_MAX = 3 };

static bytes take_line(bytes *rest)
{
    size_t len = text_find(*rest, BYTES_LIT("\n"));
    bytes line = bytes_slice(*rest, 0, len);
    *rest = bytes_slice(*rest, len + 1, rest->len);
    if (bytes_ends(line, BYTES_LIT("\r")))
        line.len--;
    return text_trim(line);
}

static bool is_name(bytes name)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    for (size_t i = 0; i < name.len; i++) {
        if (name.at[i] == 0 || strchr(allowed, name.at[i]) == NULL)
            return false;
    }
    return name.len <= TOKEN_NAME_MAX;
}

static err set_digest(struct token *t, bytes hex)
{
    BUF_AUTO digest = BUF(SHA256_LEN);
    TRY(text_hex_decode(&digest, hex));
    ENSURE(digest.len == SHA256_LEN, MALFORMED);
    memcpy(t->digest, digest.at, SHA256_LEN);
    return OK;
}

static err set_name(struct token *t, bytes name)
{
    ENSURE(is_name(name), MALFORMED);
    if (name.len > 0)
        memcpy(t->name, name.at, name.len);
    t->name[name.len] = 0;
    return OK;
}

static err read_plain(struct token *t, bytes line)
{
    bytes rest = bytes_slice(line, 2 * SHA256_LEN, line.len);
    bytes name = text_trim(rest);
    TRY(set_digest(t, bytes_slice(line, 0, 2 * SHA256_LEN)));
    ENSURE(rest.len == 0 || name.len < rest.len, MALFORMED);
    return set_name(t, name);
}

/* ---- lines with rules ---- */

static err check_models(const struct json *list)
{
    bytes text;
    ENSURE(json_kind(list) == JSON_KIND_ARRAY && json_len(list) <= TOKEN_MODELS_MAX, MALFORMED);
    for (size_t i = 0; i < json_len(list); i++)
        ENSURE(json_text(json_at(list, i), &text), MALFORMED);
    return OK;
}

struct limit_row {
    const char *name;
    size_t offset; /* of a number in struct allowance_limits */
};

static const struct limit_row LIMITS[] = {
    { "requests_per_minute", offsetof(struct allowance_limits, requests_per_minute) },
    { "tokens_per_minute", offsetof(struct allowance_limits, tokens_per_minute) },
    { "concurrency", offsetof(struct allowance_limits, concurrency) },
};

static err read_limit(struct allowance_limits *limits, bytes name, const struct json *value)
{
    uint64_t n;
    for (size_t i = 0; i < ARRAY_LEN(LIMITS); i++) {
        if (!bytes_equal(name, bytes_str(LIMITS[i].name)))
            continue;
        ENSURE(json_u64(value, &n) && n > 0 && n <= ALLOWANCE_LIMIT_MAX, MALFORMED);
        *(uint64_t *)(void *)((char *)limits + LIMITS[i].offset) = n;
        return OK;
    }
    FAIL(MALFORMED);
}

static err read_member(struct token *t, struct allowance_limits *limits,
                       const struct json_pair *pair)
{
    bytes text;
    if (bytes_equal(pair->key, BYTES_LIT("models")))
        return check_models(pair->value);
    bool digest = bytes_equal(pair->key, BYTES_LIT("sha256"));
    if (!digest && !bytes_equal(pair->key, BYTES_LIT("name")))
        return read_limit(limits, pair->key, pair->value);
    ENSURE(json_text(pair->value, &text), MALFORMED);
    return digest ? set_digest(t, text) : set_name(t, text);
}

static err read_rules(struct token *t, bytes line, struct allowance_limits *limits)
{
    TRY(json_read(&t->rules, line, RULES_DEPTH_MAX));
    ENSURE(json_kind(t->rules) == JSON_KIND_OBJECT && json_get(t->rules, "sha256") != NULL,
           MALFORMED);
    for (struct json_pair p = { 0 }; json_next(t->rules, &p);)
        TRY(read_member(t, limits, &p));
    return OK;
}

static bool same_limits(const struct allowance_limits *a, const struct allowance_limits *b)
{
    return a->requests_per_minute == b->requests_per_minute &&
           a->tokens_per_minute == b->tokens_per_minute && a->concurrency == b->concurrency;
}

/* ERR_EXISTS: the name has other limits already. */
static err give_allowance(struct token_set *s, struct token *t,
                          const struct allowance_limits *limits)
{
    BUF_AUTO made = BUF(32);
    for (size_t i = 0; i < s->n && t->name[0] != 0; i++) {
        if (strcmp(s->at[i].name, t->name) != 0)
            continue;
        const struct allowance_limits other = allowance_limits_of(s->at[i].allowance);
        ENSURE(same_limits(&other, limits), EXISTS);
        t->allowance = allowance_ref(s->at[i].allowance);
        return OK;
    }
    t->first = true;
    TRY(buf_add_str(&made, "key-"));
    TRY(text_hex_encode(&made, bytes_of(t->digest, 4)));
    return allowance_new(&t->allowance, t->name[0] != 0 ? bytes_str(t->name) : buf_view(&made),
                         limits);
}

static err read_line(struct token_set *s, bytes line)
{
    struct token *t = &s->at[s->n];
    struct allowance_limits limits = { 0 };
    TRY(line.at[0] == '{' ? read_rules(t, line, &limits) : read_plain(t, line));
    return give_allowance(s, t, &limits);
}

static err refuse(struct buf *message, unsigned line, const char *what)
{
    TRY(buf_addf(message, "%u: %s", line, what));
    FAIL(CONFIG);
}

static err read_all(struct token_set *s, bytes file, struct buf *message)
{
    unsigned at = 0;
    while (file.len > 0) {
        bytes line = take_line(&file);
        at++;
        if (line.len == 0 || line.at[0] == '#')
            continue;
        if (s->n == TOKENS_MAX)
            return refuse(message, at, "too many tokens");
        err e = read_line(s, line);
        s->n++; /* also when it failed: what it has is released with the others */
        if (e.code == ERR_NOMEM)
            return e;
        if (e.code != ERR_OK)
            return refuse(
                message, at,
                e.code == ERR_EXISTS ? "keys of one name share their limits, which must "
                                       "be the same in each line"
                : line.at[0] == '{'
                    ? "not a token's rules; write {\"sha256\": 64 hex digits}, and with it "
                      "name, models, requests_per_minute, tokens_per_minute, concurrency"
                    : "not a token; write the SHA-256 of one in 64 hex digits, and a name");
    }
    if (s->n == 0)
        return refuse(message, at, "no token in this file, so nobody could get in");
    return OK;
}

err token_set_read(struct token_set *out, bytes file, struct buf *message)
{
    struct token_set s = { .at = mem_alloc_array(TOKENS_MAX, sizeof(struct token)) };
    ENSURE(s.at != NULL, NOMEM);
    err e = read_all(&s, file, message);
    if (e.code != ERR_OK) {
        token_set_clear(&s);
        return e;
    }
    *out = s;
    return OK;
}

void token_set_clear(struct token_set *s)
{
    for (size_t i = 0; i < s->n; i++) {
        json_free(s->at[i].rules);
        allowance_unref(s->at[i].allowance);
    }
    mem_free(s->at);
    *s = (struct token_set){ 0 };
}

const struct token *token_set_find(const struct token_set *s, bytes token)
{
    uint8_t digest[SHA256_LEN];
    const struct token *found = NULL;
    sha256_of(token, digest);
    for (size_t i = 0; i < s->n; i++) {
        if (secret_equal(BYTES_ARRAY(digest), BYTES_ARRAY(s->at[i].digest)))
            found = &s->at[i];
    }
    return token.len > 0 ? found : NULL;
}

bool token_has_rules(const struct token *t)
{
    const struct allowance_limits limits = allowance_limits_of(t->allowance);
    return limits.requests_per_minute > 0 || limits.tokens_per_minute > 0 ||
           limits.concurrency > 0 || json_get(t->rules, "models") != NULL;
}

bool token_allows(const struct token *t, bytes model)
{
    const struct json *models = json_get(t->rules, "models");
    bytes pattern = { 0 };
    for (size_t i = 0; i < json_len(models); i++) {
        if (json_text(json_at(models, i), &pattern) && text_is_like(model, pattern))
            return true;
    }
    return models == NULL;
}

static struct allowance *find_allowance(const struct token_set *s, const char *name)
{
    for (size_t i = 0; i < s->n; i++) {
        if (s->at[i].first && strcmp(allowance_name(s->at[i].allowance), name) == 0)
            return s->at[i].allowance;
    }
    return NULL;
}

void token_set_inherit(struct token_set *s, const struct token_set *before)
{
    for (size_t i = 0; i < s->n; i++) {
        struct allowance *mine = s->at[i].allowance;
        struct allowance *old = find_allowance(before, allowance_name(mine));
        const struct allowance_limits limits = allowance_limits_of(mine);
        if (old == NULL)
            continue;
        allowance_set(old, &limits);
        s->at[i].allowance = allowance_ref(old);
        allowance_unref(mine);
    }
}

err token_set_render(const struct token_set *s, struct buf *out)
{
    struct allowance **allowances = mem_alloc_array(s->n + 1, sizeof *allowances);
    size_t n = 0;
    ENSURE(allowances != NULL, NOMEM);
    for (size_t i = 0; i < s->n; i++) {
        if (s->at[i].first)
            allowances[n++] = s->at[i].allowance;
    }
    err e = allowance_render(allowances, n, out);
    mem_free(allowances);
    return e;
}

bytes token_of_authorization(bytes field)
{
    bytes scheme = bytes_slice(field, 0, 7);
    if (!text_equal_nocase(scheme, BYTES_LIT("bearer ")))
        return (bytes){ 0 };
    return text_trim(bytes_slice(field, 7, field.len));
}
