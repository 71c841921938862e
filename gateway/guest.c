#include "gateway/guest.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/text.h"
#include "crypto/secret.h"
#include "gateway/shard.h"
#include "wire/names.h"

enum { ID_RANDOM_LEN = 12 };

static const char EXPOSED[] =
    "x-request-id, x-receipt-id, x-receipt-url, retry-after, retry-after-ms, x-should-retry, "
    "openai-processing-ms, openai-version, x-ratelimit-limit-requests, "
    "x-ratelimit-limit-tokens, x-ratelimit-remaining-requests, x-ratelimit-remaining-tokens, "
    "x-ratelimit-reset-requests, x-ratelimit-reset-tokens";

static err make_id(struct guest *g)
{
    uint8_t random[ID_RANDOM_LEN];
    BUF_AUTO id = BUF(GUEST_ID_LEN);
    TRY(crypto_random(random, sizeof random));
    TRY(buf_add_str(&id, "req_"));
    TRY(text_hex_encode(&id, BYTES_ARRAY(random)));
    memcpy(g->id, id.at, id.len);
    g->id[id.len] = 0;
    return OK;
}

err guest_init(struct guest *g, struct shard *shard, struct front_request *r,
               const struct route_match *match)
{
    bytes origin = front_header(r, "origin");
    g->shard = shard;
    g->request = r;
    g->route = match->kind;
    g->began_us = clock_steady_us();
    if (admit_origin(shard->admit, origin))
        memcpy(g->origin, origin.at, origin.len);
    front_set_owner(r, g);
    metrics_gauge_add(shard->block, shard->common->metering->in_flight, 0, 0, 1);
    return make_id(g);
}

size_t guest_fields(const struct guest *g, struct front_field out[static GUEST_FIELDS_MAX])
{
    size_t n = 0;
    out[n++] = (struct front_field){ BYTES_LIT(FIELD_REQUEST_ID), bytes_str(g->id) };
    out[n++] = (struct front_field){ BYTES_LIT(FIELD_OPENAI_VERSION), BYTES_LIT("2020-10-01") };
    for (size_t i = 0; i < g->payer.limits.n; i++)
        out[n++] = (struct front_field){ bytes_str(g->payer.limits.fields[i].name),
                                         bytes_str(g->payer.limits.fields[i].value) };
    if (g->origin[0] == 0)
        return n;
    out[n++] =
        (struct front_field){ BYTES_LIT("access-control-allow-origin"), bytes_str(g->origin) };
    out[n++] =
        (struct front_field){ BYTES_LIT("access-control-expose-headers"), bytes_str(EXPOSED) };
    out[n++] = (struct front_field){ BYTES_LIT("vary"), BYTES_LIT("Origin") };
    return n;
}

bytes guest_ms(const struct guest *g, char out[static GUEST_MS_LEN + 1])
{
    int len = snprintf(out, GUEST_MS_LEN + 1, "%" PRIu64, (clock_steady_us() - g->began_us) / 1000);
    return bytes_of(out, len > 0 ? (size_t)len : 0);
}

static void answer(struct guest *g, unsigned status, const struct front_field *more, size_t more_n,
                   bytes body)
{
    struct front_field fields[GUEST_FIELDS_MAX + ERROR_FIELDS_MAX + 1];
    char ms[GUEST_MS_LEN + 1];
    size_t n = guest_fields(g, fields);
    fields[n++] = (struct front_field){ BYTES_LIT(FIELD_PROCESSING_MS), guest_ms(g, ms) };
    for (size_t i = 0; i < more_n && i < ERROR_FIELDS_MAX; i++)
        fields[n++] = more[i];
    g->status = status;
    if (front_respond(g->request, status, fields, n, body).code != ERR_OK)
        front_abort(g->request);
}

void guest_answer(struct guest *g, unsigned status, const char *media, bytes body)
{
    const struct front_field more[] = {
        { BYTES_LIT(FIELD_CONTENT_TYPE), bytes_str(media) },
        { BYTES_LIT(FIELD_CACHE_CONTROL), BYTES_LIT(CACHE_CONTROL_NO_STORE) },
    };
    answer(g, status, more, ARRAY_LEN(more), body);
}

void guest_error(struct guest *g, const struct api_error *error)
{
    BUF_AUTO body = BUF(ERROR_BODY_MAX);
    struct error_field list[ERROR_FIELDS_MAX];
    struct front_field more[ERROR_FIELDS_MAX];
    size_t n = error_fields(error, list);
    size_t more_n = 0;
    for (size_t i = 0; i < n; i++) {
        /* Whether the connection is closed, the front says by itself. */
        more[more_n] = (struct front_field){ bytes_str(list[i].name), bytes_str(list[i].value) };
        more_n += front_takes(&more[more_n]);
    }
    if (error_write_body(&body, error).code != ERR_OK)
        front_abort(g->request);
    else
        answer(g, error_status(error->cause), more, more_n, buf_view(&body));
}

static const struct word ROUTES[ROUTE_KINDS] = {
    [ROUTE_NONE] = WORD_INIT("none"),
    [ROUTE_CHAT_COMPLETIONS] = WORD_INIT("chat_completions"),
    [ROUTE_COMPLETIONS] = WORD_INIT("completions"),
    [ROUTE_EMBEDDINGS] = WORD_INIT("embeddings"),
    [ROUTE_RESPONSES] = WORD_INIT("responses"),
    [ROUTE_RESPONSE] = WORD_INIT("response"),
    [ROUTE_MODELS] = WORD_INIT("models"),
    [ROUTE_MODEL] = WORD_INIT("model"),
    [ROUTE_RECEIPT] = WORD_INIT("receipt"),
    [ROUTE_ATTESTATION] = WORD_INIT("attestation"),
    [ROUTE_EVIDENCE] = WORD_INIT("evidence"),
    [ROUTE_HEALTHZ] = WORD_INIT("healthz"),
    [ROUTE_READYZ] = WORD_INIT("readyz"),
    [ROUTE_METRICS] = WORD_INIT("metrics"),
    [ROUTE_OPENAPI] = WORD_INIT("openapi"),
    [ROUTE_PASS] = WORD_INIT("pass"),
};

void guest_settle(struct guest *g, bool gone, bool cut)
{
    const struct shard_common *common = g->shard->common;
    uint64_t us = clock_steady_us() - g->began_us;
    enum metering_status status = gone  ? METERING_GONE
                                  : cut ? METERING_CUT
                                        : metering_status(g->status);
    struct log_id id = { 0 };
    (void)log_id_set(&id, bytes_str(g->id));
    metrics_gauge_add(g->shard->block, common->metering->in_flight, 0, 0, -1);
    metrics_add(g->shard->block, common->metering->requests, g->route, status, 1);
    metrics_observe_us(g->shard->block, common->metering->duration, 0, 0, us);
    LOG_INFO(common->log, "request", F_ID("id", &id), F_WORD_OF("route", ROUTES[g->route]),
             F_U64("status", gone ? 499 : g->status), F_BOOL("broken_off", cut), F_U64("us", us));
}
