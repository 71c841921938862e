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
    { PATH_ATTESTATION, false, { "POST", "GET" }, { RELAY_PROOF, RELAY_ASK }, "GET, POST" },
    { PATH_ATTESTATION "/", true, { "GET" }, { RELAY_EVIDENCE }, "GET" },
    { PATH_HEALTHZ, false, { "GET", "HEAD" }, { RELAY_HEALTH, RELAY_HEALTH }, "GET, HEAD" },
    { PATH_READYZ, false, { "GET", "HEAD" }, { RELAY_READY, RELAY_READY }, "GET, HEAD" },
    { PATH_METRICS, false, { "GET" }, { RELAY_METRICS }, "GET" },
    { "/v1/", true, { NULL }, { RELAY_REFUSED }, NULL },
};

const char *const relay_route_fields[] = { FIELD_CONTENT_TYPE, FIELD_INCREMENTAL, FIELD_OHTTP_KEY,
                                           FIELD_ACCEPT, NULL };
static const char *const ANSWERS[] = { FIELD_CONTENT_TYPE,  FIELD_INCREMENTAL,
                                       FIELD_CACHE_CONTROL, FIELD_ACCEL_BUFFERING,
                                       FIELD_RETRY_AFTER,   NULL };

static bool is_at(bytes path, const char *row, bool below)
{
    bytes want = bytes_str(row);
    return below ? bytes_starts(path, want) && path.len > want.len : bytes_equal(path, want);
}

struct relay_route relay_route_find(bytes method, bytes target)
{
    bytes path = bytes_slice(target, 0, text_find(target, BYTES_LIT("?")));
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        if (!is_at(path, ROWS[i].path, ROWS[i].below))
            continue;
        if (ROWS[i].methods[0] == NULL)
            return (struct relay_route){ .kind = ROWS[i].kinds[0] };
        for (size_t m = 0; m < ARRAY_LEN(ROWS[i].methods) && ROWS[i].methods[m] != NULL; m++) {
            if (bytes_equal(method, bytes_str(ROWS[i].methods[m])))
                return (struct relay_route){ .kind = ROWS[i].kinds[m] };
        }
        return (struct relay_route){ .kind = RELAY_WRONG_METHOD, .allow = ROWS[i].allow };
    }
    return (struct relay_route){ .kind = RELAY_UNKNOWN };
}

static bool has(const char *const *list, bytes name)
{
    for (size_t i = 0; list[i] != NULL; i++) {
        if (bytes_equal(name, bytes_str(list[i])))
            return true;
    }
    return false;
}

bool relay_route_asks(bytes name)
{
    return has(relay_route_fields, name);
}

bool relay_route_answers(bytes name)
{
    return has(ANSWERS, name);
}
