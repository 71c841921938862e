#include "gateway/relay_route.h"

#include "base/attr.h"
#include "base/text.h"
#include "wire/names.h"

static const struct {
    const char *path;
    bool below; /* also what is under it */
    const char *methods[2];
    enum relay_kind kinds[2];
    const char *allow;
} ROWS[] = {
    { PATH_OHTTP_GATEWAY, false, { "POST", "GET" }, { RELAY_SEALED, RELAY_ASK }, "GET, POST" },
    { PATH_OHTTP, false, { "POST" }, { RELAY_SEALED }, "POST" },
    { PATH_HPKE_KEYS, false, { "GET" }, { RELAY_ASK }, "GET" },
    { PATH_ATTESTATION, false, { "POST", "GET" }, { RELAY_PROOF, RELAY_ASK }, "GET, POST" },
    { PATH_ATTESTATION "/", true, { "GET" }, { RELAY_EVIDENCE }, "GET" },
    { PATH_HEALTHZ, false, { "GET", "HEAD" }, { RELAY_HEALTH, RELAY_HEALTH }, "GET, HEAD" },
    { PATH_READYZ, false, { "GET", "HEAD" }, { RELAY_READY, RELAY_READY }, "GET, HEAD" },
    { PATH_METRICS, false, { "GET" }, { RELAY_METRICS }, "GET" },
    { PATH_WORKERS, false, { "GET" }, { RELAY_ROSTER }, "GET" },
    { "/v1/", true, { NULL }, { RELAY_REFUSED }, NULL },
};

/* The first of each list cross with everything, the others with RELAY_EHBP, whose fields are its
 * client's and its worker's own. One that ends in '-' stands for all that begin so. */
enum { ASKS_ALWAYS = 4, ANSWERS_ALWAYS = 5 };

const char *const relay_route_fields[] = {
    FIELD_CONTENT_TYPE, FIELD_INCREMENTAL,   FIELD_OHTTP_KEY,  FIELD_ACCEPT,
    FIELD_EHBP_KEY,     FIELD_AUTHORIZATION, FIELD_REQUEST_ID, FIELD_RECEIPT_NONCE,
    FIELD_TRACEPARENT,  FIELD_TRACESTATE,    "openai-beta",    "openai-organization",
    "openai-project",   "idempotency-key",   FIELD_WORKER,     NULL,
};
static const char *const ANSWERS[] = {
    FIELD_CONTENT_TYPE,
    FIELD_INCREMENTAL,
    FIELD_CACHE_CONTROL,
    FIELD_ACCEL_BUFFERING,
    FIELD_RETRY_AFTER,
    FIELD_EHBP_NONCE,
    FIELD_RECEIPT_ID,
    FIELD_SEALED_RECEIPT,
    "content-disposition",
    "content-language",
    "retry-after-ms",
    "x-should-retry",
    "www-authenticate",
    "openai-",
    "x-ratelimit-",
    FIELD_TOOLS_LEFT_OUT,
    NULL,
};

static bool is_at(bytes path, const char *row, bool below)
{
    bytes want = bytes_str(row);
    return below ? bytes_starts(path, want) && path.len > want.len : bytes_equal(path, want);
}

static bool is_post(bytes method)
{
    return bytes_equal(method, BYTES_LIT("POST"));
}

struct relay_route relay_route_find(bytes method, bytes target, bool has_key)
{
    bytes path = bytes_slice(target, 0, text_find(target, BYTES_LIT("?")));
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        if (!is_at(path, ROWS[i].path, ROWS[i].below))
            continue;
        if (ROWS[i].methods[0] == NULL && has_key && is_post(method))
            return (struct relay_route){ .kind = RELAY_EHBP, .by_address = true };
        if (ROWS[i].methods[0] == NULL)
            return (struct relay_route){ .kind = ROWS[i].kinds[0] };
        for (size_t m = 0; m < ARRAY_LEN(ROWS[i].methods) && ROWS[i].methods[m] != NULL; m++) {
            if (bytes_equal(method, bytes_str(ROWS[i].methods[m])))
                return (struct relay_route){ .kind = ROWS[i].kinds[m],
                                             .by_address =
                                                 bytes_equal(path, BYTES_LIT(PATH_HPKE_KEYS)) };
        }
        return (struct relay_route){ .kind = RELAY_WRONG_METHOD, .allow = ROWS[i].allow };
    }
    return (struct relay_route){ .kind = RELAY_UNKNOWN };
}

static bool has(const char *const *list, size_t n, bytes name)
{
    for (size_t i = 0; i < n && list[i] != NULL; i++) {
        bytes want = bytes_str(list[i]);
        if (want.at[want.len - 1] == '-' ? bytes_starts(name, want) : bytes_equal(name, want))
            return true;
    }
    return false;
}

bool relay_route_asks(enum relay_kind kind, bytes name)
{
    return has(relay_route_fields, kind == RELAY_EHBP ? SIZE_MAX : ASKS_ALWAYS, name);
}

bool relay_route_answers(enum relay_kind kind, bytes name)
{
    return has(ANSWERS, kind == RELAY_EHBP ? SIZE_MAX : ANSWERS_ALWAYS, name);
}
