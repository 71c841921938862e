#include "gateway/page.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "gateway/guest.h"
#include "gateway/judge.h"
#include "gateway/openapi.h"
#include "receipts/air_read.h"
#include "wire/names.h"

enum { RECEIPT_PAGE_MAX = 4 * 1024 * 1024, PREFLIGHT_HEADERS_MAX = 4096 };

struct page {
    struct guest guest;
    struct store_query *query; /* the store's, while it looks */
    bool as_cbor;
    struct judge_job job; /* of evidence */
    bool judging;
};

static struct page *page_of(struct guest *g)
{
    return CONTAINER_OF(g, struct page, guest);
}

static void ignore(struct guest *g)
{
    (void)g;
}

static void page_free(struct page *p)
{
    judge_job_clear(&p->job);
    mem_free(p);
}

/* Of the others it is thrown away. */
static void collect_body(struct guest *g, bytes piece)
{
    struct page *p = page_of(g);
    err e = g->route == ROUTE_EVIDENCE && g->status == 0 ? buf_add(&p->job.body, piece) : OK;
    const struct api_error error = { .cause =
                                         e.code == ERR_LIMIT ? ERROR_TOO_LARGE : ERROR_INTERNAL };
    if (e.code != ERR_OK)
        guest_error(g, &error);
}

static void on_judged(struct judge_job *job)
{
    struct page *p = CONTAINER_OF(job, struct page, job);
    p->judging = false;
    if (p->guest.request == NULL)
        page_free(p);
    else if (job->fine)
        guest_answer(&p->guest, 200, MEDIA_JSON, buf_view(&job->findings));
    else
        guest_error(&p->guest, &job->error);
}

static void judge_body(struct guest *g)
{
    struct page *p = page_of(g);
    if (g->route != ROUTE_EVIDENCE || g->status != 0)
        return;
    p->job.now = clock_wall_s();
    p->job.done = on_judged;
    err e = judge_start(&g->shard->judge, g->shard->loop, &p->job);
    p->judging = e.code == ERR_OK;
    const struct api_error error = { .cause =
                                         e.code == ERR_LIMIT ? ERROR_OVERLOADED : ERROR_INTERNAL,
                                     .retry_after_s = 1 };
    if (e.code != ERR_OK)
        guest_error(g, &error);
}

static void leave(struct guest *g, bool gone)
{
    struct page *p = page_of(g);
    guest_settle(g, gone, false);
    g->request = NULL;
    if (p->query == NULL && !p->judging)
        page_free(p);
}

static void on_gone(struct guest *g)
{
    leave(g, true);
}

static void on_done(struct guest *g)
{
    leave(g, false);
}

static const struct guest_ops OPS = { .body = collect_body,
                                      .body_end = judge_body,
                                      .writable = ignore,
                                      .gone = on_gone,
                                      .done = on_done };

static struct page *page_new(struct shard *s, struct front_request *r,
                             const struct route_match *match)
{
    struct page *p;
    if (mem_new(&p).code != ERR_OK) {
        front_abort(r);
        return NULL;
    }
    p->guest.ops = &OPS;
    p->job.body = BUF(EVIDENCE_BODY_MAX);
    if (guest_init(&p->guest, s, r, match).code == ERR_OK)
        return p;
    front_abort(r); /* gone() frees it */
    return NULL;
}

void page_refuse(struct shard *s, struct front_request *r, const struct route_match *match,
                 const struct api_error *error)
{
    struct page *p = page_new(s, r, match);
    if (p != NULL)
        guest_error(&p->guest, error);
}

/* ---- receipts ---- */

static err write_receipt(const struct store_query *q, struct buf *out)
{
    const struct store_record *found = q->found;
    struct air_claims claims;
    BUF_AUTO text = BUF(4 * STORE_EVIDENCE_MAX);
    struct json_out j = JSON_OUT(out);
    TRY(air_read(buf_view(&found->receipt), &claims));
    json_begin_object(&j, NULL);
    json_put_str(&j, "object", "receipt");
    json_put_str(&j, "id", found->receipt_id);
    json_put_str(&j, "request_id", found->request_id);
    json_put_str(&j, "completion_id", found->completion_id);
    json_put_i64(&j, "stored_at", found->created);
    json_put_hex(&j, "signing_key", BYTES_ARRAY(found->key));
    TRY(text_base64_encode(&text, buf_view(&found->receipt)));
    json_put_text(&j, "receipt", buf_view(&text));
    buf_truncate(&text, 0);
    TRY(air_write_json(&text, &claims));
    json_put_raw(&j, "claims", buf_view(&text));
    buf_truncate(&text, 0);
    json_put_hex(&j, "evidence_sha256", BYTES_ARRAY(found->evidence_hash));
    TRY(text_base64_encode(&text, buf_view(&q->evidence)));
    if (q->evidence.len > 0)
        json_put_text(&j, "evidence", buf_view(&text));
    else
        json_put_null(&j, "evidence");
    json_close(&j);
    return json_end(&j);
}

static void answer_found(struct page *p, const struct store_query *q)
{
    BUF_AUTO body = BUF(RECEIPT_PAGE_MAX);
    if (p->as_cbor) {
        guest_answer(&p->guest, 200, MEDIA_RECEIPT, buf_view(&q->found->receipt));
        return;
    }
    if (write_receipt(q, &body).code == ERR_OK) {
        guest_answer(&p->guest, 200, MEDIA_JSON, buf_view(&body));
        return;
    }
    const struct api_error error = { .cause = ERROR_INTERNAL };
    guest_error(&p->guest, &error);
}

static void on_looked_up(struct loop_mail *mail)
{
    struct store_query *q = CONTAINER_OF(mail, struct store_query, mail);
    struct page *p = q->owner;
    const struct api_error error = { .cause = q->result.code == ERR_NOT_FOUND ? ERROR_NOT_FOUND
                                                                              : ERROR_INTERNAL,
                                     .about = bytes_str(q->id) };
    p->query = NULL;
    if (p->guest.request == NULL)
        page_free(p);
    else if (q->result.code == ERR_OK)
        answer_found(p, q);
    else
        guest_error(&p->guest, &error);
    store_query_free(q);
}

static err look_up(struct page *p, const struct route_match *match)
{
    BUF_AUTO id = BUF(ROUTE_ID_MAX);
    struct store_query *q;
    TRY(route_decode_id(&id, match->id));
    TRY(store_query_new(&q));
    if (!store_id_set(q->id, buf_view(&id))) {
        store_query_free(q);
        FAIL(NOT_FOUND);
    }
    q->mail.deliver = on_looked_up;
    q->loop = p->guest.shard->loop;
    q->owner = p;
    q->with_evidence = true;
    p->query = q;
    store_find(p->guest.shard->common->store, q);
    return OK;
}

static void receipt_page(struct page *p, const struct route_match *match)
{
    bytes accept = front_header(p->guest.request, FIELD_ACCEPT);
    p->as_cbor = text_find(accept, BYTES_LIT(MEDIA_RECEIPT)) < accept.len ||
                 text_find(accept, BYTES_LIT("application/cwt")) < accept.len;
    err e = look_up(p, match);
    const struct api_error error = { .cause =
                                         e.code == ERR_NOMEM ? ERROR_INTERNAL : ERROR_NOT_FOUND,
                                     .about = match->id };
    if (e.code != ERR_OK)
        guest_error(&p->guest, &error);
}

/* ---- the others ---- */

static void attestation_page(struct page *p, const struct route_match *match)
{
    const struct trust_view *view = pool_view(p->guest.shard->pool);
    (void)match;
    if (view != NULL && view->page.len > 0)
        guest_answer(&p->guest, 200, MEDIA_JSON, buf_view(&view->page));
    else
        guest_answer(&p->guest, 200, MEDIA_JSON, BYTES_LIT("{\"object\":\"list\",\"data\":[]}"));
}

/* Answered when its body is there. */
static void evidence_page(struct page *p, const struct route_match *match)
{
    bool known;
    const struct api_error error = { .cause = ERROR_TOO_LARGE };
    (void)match;
    if (front_content_length(p->guest.request, &known) > EVIDENCE_BODY_MAX)
        guest_error(&p->guest, &error);
}

static void health_page(struct page *p, const struct route_match *match)
{
    (void)match;
    guest_answer(&p->guest, 200, MEDIA_JSON, BYTES_LIT("{\"status\":\"ok\"}"));
}

static void ready_page(struct page *p, const struct route_match *match)
{
    (void)match;
    if (pool_is_ready(p->guest.shard->pool) && !p->guest.shard->draining)
        guest_answer(&p->guest, 200, MEDIA_JSON, BYTES_LIT("{\"ready\":true}"));
    else
        guest_answer(&p->guest, 503, MEDIA_JSON,
                     BYTES_LIT("{\"ready\":false,\"reason\":\"no verified and connected worker; "
                               "see /v1/attestation\"}"));
}

static void metrics_page(struct page *p, const struct route_match *match)
{
    const struct shard_common *common = p->guest.shard->common;
    BUF_AUTO body = BUF(4 * METRICS_TEXT_MAX);
    const struct api_error error = { .cause = ERROR_INTERNAL };
    (void)match;
    if (metrics_render(common->metering->set, &body).code == ERR_OK &&
        token_set_render(&p->guest.shard->admit->tokens, &body).code == ERR_OK)
        guest_answer(&p->guest, 200, METRICS_MEDIA_TYPE, buf_view(&body));
    else
        guest_error(&p->guest, &error);
}

static void openapi_page(struct page *p, const struct route_match *match)
{
    (void)match;
    guest_answer(&p->guest, 200, MEDIA_JSON, bytes_of(OPENAPI_JSON, OPENAPI_JSON_LEN));
}

static void (*const PAGES[ROUTE_KINDS])(struct page *p, const struct route_match *match) = {
    [ROUTE_RECEIPT] = receipt_page, [ROUTE_ATTESTATION] = attestation_page,
    [ROUTE_HEALTHZ] = health_page,  [ROUTE_READYZ] = ready_page,
    [ROUTE_METRICS] = metrics_page, [ROUTE_EVIDENCE] = evidence_page,
    [ROUTE_OPENAPI] = openapi_page,
};

void page_start(struct shard *s, struct front_request *r, const struct route_match *match)
{
    struct page *p = page_new(s, r, match);
    if (p != NULL)
        PAGES[match->kind](p, match);
}

/* Whatever fields the page wants to send are allowed: a fixed list would break with the next SDK. */
void page_preflight(struct shard *s, struct front_request *r, const struct route_match *match)
{
    struct front_field fields[GUEST_FIELDS_MAX + 4];
    bytes asked = front_header(r, "access-control-request-headers");
    struct page *p = page_new(s, r, match);
    if (p == NULL)
        return;
    size_t n = guest_fields(&p->guest, fields);
    if (p->guest.origin[0] != 0) {
        fields[n++] = (struct front_field){ BYTES_LIT("access-control-allow-methods"),
                                            BYTES_LIT("GET, POST, DELETE, OPTIONS") };
        fields[n++] =
            (struct front_field){ BYTES_LIT("access-control-max-age"), BYTES_LIT("86400") };
        if (asked.len > 0 && asked.len <= PREFLIGHT_HEADERS_MAX)
            fields[n++] = (struct front_field){ BYTES_LIT("access-control-allow-headers"), asked };
        fields[n++] =
            (struct front_field){ BYTES_LIT("vary"), BYTES_LIT("Access-Control-Request-Headers") };
    }
    p->guest.status = 204;
    if (front_respond(r, 204, fields, n, (bytes){ 0 }).code != ERR_OK)
        front_abort(r);
}
