#include "api/route.h"

#include "base/attr.h"
#include "base/text.h"

enum {
    GET = 1U << 0,
    HEAD = 1U << 1,
    POST = 1U << 2,
    PUT = 1U << 3,
    PATCH = 1U << 4,
    DELETE = 1U << 5,
    READING = GET | HEAD,
    ANY = GET | HEAD | POST | PUT | PATCH | DELETE
};

#define ALLOW_READING "GET, HEAD"
#define ALLOW_RESPONSE "GET, HEAD, DELETE, POST"
#define ALLOW_ANY "GET, HEAD, POST, PUT, PATCH, DELETE"

struct row {
    enum route_kind kind;
    unsigned methods;
    const char *allow;
    const char *path; /* "*" at the end: one or more segments, the id */
    struct word word;
};

/* The first row that fits path and method counts. */
static const struct row rows[] = {
    { ROUTE_CHAT_COMPLETIONS, POST, "GET, HEAD, POST", "/v1/chat/completions", WORD_INIT("chat") },
    /* The list of stored completions: an engine that has none answers 404, never 405. */
    { ROUTE_PASS, READING, "GET, HEAD, POST", "/v1/chat/completions", WORD_INIT("pass") },
    { ROUTE_COMPLETIONS, POST, "POST", "/v1/completions", WORD_INIT("completions") },
    { ROUTE_EMBEDDINGS, POST, "POST", "/v1/embeddings", WORD_INIT("embeddings") },
    { ROUTE_RESPONSES, POST, "POST", "/v1/responses", WORD_INIT("responses") },
    { ROUTE_RESPONSE, READING, ALLOW_RESPONSE, "/v1/responses/*", WORD_INIT("response") },
    { ROUTE_RESPONSE, DELETE, ALLOW_RESPONSE, "/v1/responses/*", WORD_INIT("response") },
    { ROUTE_RESPONSE, POST, ALLOW_RESPONSE, "/v1/responses/*", WORD_INIT("response") },
    { ROUTE_MODELS, READING, ALLOW_READING, "/v1/models", WORD_INIT("models") },
    { ROUTE_MODEL, READING, "GET, HEAD, DELETE", "/v1/models/*", WORD_INIT("model") },
    /* Of models that were made by a key's owner. */
    { ROUTE_PASS, DELETE, "GET, HEAD, DELETE", "/v1/models/*", WORD_INIT("pass") },
    { ROUTE_RECEIPT, READING, ALLOW_READING, "/v1/receipts/*", WORD_INIT("receipt") },
    { ROUTE_NONE, ANY, NULL, "/v1/receipts", WORD_INIT("none") },
    { ROUTE_ATTESTATION, READING, ALLOW_READING, "/v1/attestation", WORD_INIT("attestation") },
    { ROUTE_EVIDENCE, POST, "POST", "/v1/attestation/verify", WORD_INIT("evidence") },
    { ROUTE_NONE, ANY, NULL, "/v1/attestation/*", WORD_INIT("none") },
    { ROUTE_HEALTHZ, READING, ALLOW_READING, "/healthz", WORD_INIT("healthz") },
    { ROUTE_READYZ, READING, ALLOW_READING, "/readyz", WORD_INIT("readyz") },
    { ROUTE_METRICS, READING, ALLOW_READING, "/metrics", WORD_INIT("metrics") },
    { ROUTE_OPENAPI, READING, ALLOW_READING, "/openapi.json", WORD_INIT("openapi") },
    { ROUTE_PASS, ANY, ALLOW_ANY, "/v1/*", WORD_INIT("pass") },
};

static unsigned method_bit(bytes method)
{
    static const struct {
        const char *name;
        unsigned bit;
    } methods[] = { { "GET", GET }, { "HEAD", HEAD },   { "POST", POST },
                    { "PUT", PUT }, { "PATCH", PATCH }, { "DELETE", DELETE } };
    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        if (bytes_equal(method, bytes_str(methods[i].name)))
            return methods[i].bit;
    }
    return 0;
}

/* Cuts "?query" off a target. */
static bytes cut_query(bytes *target)
{
    const uint8_t *mark = target->len ? memchr(target->at, '?', target->len) : NULL;
    if (mark == NULL)
        return (bytes){ 0 };
    size_t len = (size_t)(mark - target->at);
    bytes query = bytes_slice(*target, len + 1, target->len);
    target->len = len;
    return query;
}

static bytes skip_slashes(bytes path)
{
    while (path.len > 0 && path.at[0] == '/')
        path = bytes_slice(path, 1, path.len);
    return path;
}

static bytes cut_trailing_slashes(bytes path)
{
    while (path.len > 0 && path.at[path.len - 1] == '/')
        path.len--;
    return path;
}

static size_t segment_len(bytes path)
{
    const uint8_t *slash = path.len ? memchr(path.at, '/', path.len) : NULL;
    return slash ? (size_t)(slash - path.at) : path.len;
}

/* A pattern and a path side by side, segment by segment; what stands for the "*" goes to *id. */
static bool fits(bytes pattern, bytes path, bytes *id)
{
    for (;;) {
        pattern = skip_slashes(pattern);
        path = skip_slashes(path);
        if (bytes_equal(pattern, BYTES_LIT("*"))) {
            *id = cut_trailing_slashes(path);
            return path.len > 0;
        }
        if (pattern.len == 0 || path.len == 0)
            return pattern.len == path.len;
        bytes want;
        bytes have;
        if (!bytes_take(&pattern, segment_len(pattern), &want) ||
            !bytes_take(&path, segment_len(path), &have) || !bytes_equal(want, have))
            return false;
    }
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte that the three at the head of b ("%2e") stand for, or -1. */
static int percent_byte(bytes b)
{
    if (b.len < 3 || b.at[0] != '%')
        return -1;
    int high = hex_digit(b.at[1]);
    int low = hex_digit(b.at[2]);
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

/* Looks at a path as the most generous server would: is there a "." or ".." segment in it? */
static bool climbs(bytes path)
{
    size_t dots = 0;
    bool others = false;
    while (path.len > 0) {
        int escaped = percent_byte(path);
        int c = escaped >= 0 ? escaped : path.at[0];
        path = bytes_slice(path, escaped >= 0 ? 3 : 1, path.len);
        if (c != '/' && c != '\\') {
            dots += c == '.';
            others |= c != '.';
            continue;
        }
        if (!others && (dots == 1 || dots == 2))
            return true;
        dots = 0;
        others = false;
    }
    return !others && (dots == 1 || dots == 2);
}

static bool is_sound(bytes target)
{
    if (target.len == 0 || target.len > ROUTE_TARGET_MAX || target.at[0] != '/')
        return false;
    for (size_t i = 0; i < target.len; i++) {
        uint8_t c = target.at[i];
        if (c <= 0x20 || c >= 0x7f || c == '#' || c == '\\')
            return false;
    }
    return true;
}

static bool has_one_path(const struct row *row)
{
    return !bytes_ends(bytes_str(row->path), BYTES_LIT("*"));
}

/* Notes a row whose path fits; true when its method does as well. */
static bool settle(const struct row *row, unsigned method, bytes id, struct route_match *out)
{
    bool found = (row->methods & method) != 0;
    if (!found && out->verdict == ROUTE_WRONG_METHOD)
        return false;
    out->verdict = found ? ROUTE_FOUND : ROUTE_WRONG_METHOD;
    out->kind = row->kind;
    out->word = row->word;
    out->allow = row->allow;
    out->path = has_one_path(row) ? row->path : NULL;
    out->id = row != &rows[ARRAY_LEN(rows) - 1] ? id : (bytes){ 0 };
    return found;
}

void route_find(bytes method, bytes target, struct route_match *out)
{
    *out = (struct route_match){ .word = WORD("none") };
    if (!is_sound(target))
        return;
    bytes path = target;
    bytes query = cut_query(&path);
    if (climbs(path))
        return;
    unsigned bit = method_bit(method);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        bytes id = { 0 };
        if (!fits(bytes_str(rows[i].path), path, &id))
            continue;
        if (rows[i].kind == ROUTE_NONE)
            return;
        /* What fits a row of its own is not passed through by the last under another method. */
        if (i == ARRAY_LEN(rows) - 1 && out->verdict == ROUTE_WRONG_METHOD)
            break;
        if (settle(&rows[i], bit, id, out))
            break;
    }
    out->query = query;
}

err route_write_target(struct buf *out, bytes target)
{
    bytes path = target;
    bytes query = cut_query(&path);
    path = skip_slashes(cut_trailing_slashes(path));
    if (path.len == 0)
        TRY(buf_add_u8(out, '/'));
    while (path.len > 0) {
        bytes segment;
        ENSURE(bytes_take(&path, segment_len(path), &segment), INTERNAL);
        TRY(buf_add_u8(out, '/'));
        TRY(buf_add(out, segment));
        path = skip_slashes(path);
    }
    if (query.len == 0)
        return OK;
    TRY(buf_add_u8(out, '?'));
    return buf_add(out, query);
}

static err decode(struct buf *out, bytes id)
{
    while (id.len > 0) {
        int escaped = percent_byte(id);
        ENSURE(id.at[0] != '%' || escaped > 0, MALFORMED);
        TRY(buf_add_u8(out, escaped > 0 ? (uint8_t)escaped : id.at[0]));
        id = bytes_slice(id, escaped > 0 ? 3 : 1, id.len);
    }
    return OK;
}

err route_decode_id(struct buf *out, bytes id)
{
    BUF_AUTO plain = BUF(ROUTE_ID_MAX);
    TRY(decode(&plain, id));
    ENSURE(text_is_utf8(buf_view(&plain)), MALFORMED);
    return buf_add(out, buf_view(&plain));
}

bool route_query_get(bytes query, const char *name, bytes *value)
{
    bytes wanted = bytes_str(name);
    while (query.len > 0) {
        const uint8_t *amp = memchr(query.at, '&', query.len);
        size_t len = amp ? (size_t)(amp - query.at) : query.len;
        bytes one = bytes_slice(query, 0, len);
        query = bytes_slice(query, len + 1, query.len);
        bytes rest = bytes_slice(one, wanted.len, one.len);
        if (!bytes_starts(one, wanted) || (rest.len > 0 && rest.at[0] != '='))
            continue;
        *value = bytes_slice(rest, 1, rest.len);
        return true;
    }
    return false;
}

bool route_is_sealed(enum route_kind kind)
{
    switch (kind) {
    case ROUTE_CHAT_COMPLETIONS:
    case ROUTE_COMPLETIONS:
    case ROUTE_EMBEDDINGS:
    case ROUTE_RESPONSES:
    case ROUTE_RESPONSE:
    case ROUTE_MODELS:
    case ROUTE_MODEL:
    case ROUTE_PASS:
        return true;
    case ROUTE_NONE:
    case ROUTE_RECEIPT:
    case ROUTE_ATTESTATION:
    case ROUTE_EVIDENCE:
    case ROUTE_HEALTHZ:
    case ROUTE_READYZ:
    case ROUTE_METRICS:
    case ROUTE_OPENAPI:
    case ROUTE_KINDS:
        break;
    }
    return false;
}
