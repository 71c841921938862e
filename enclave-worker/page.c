#include "enclave-worker/page.h"

#include "api/error.h"
#include "attest/bundle.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "wire/names.h"
#include "wire/roster.h"

enum { ANSWER_MAX = 2 * 1024 * 1024, NONCE_DEPTH_MAX = 4, DIGEST_HEX_LEN = 64 };

struct page {
    struct visit visit;
    struct buf body;
    struct prove_job *job;
    bool wants_body;
    struct loop_timer timer; /* the end of patience with the body */
    struct link *link;
    uint64_t cost; /* of that connection's tally */
};

static struct page *page_of(struct visit *v)
{
    return CONTAINER_OF(v, struct page, visit);
}

static void page_free(struct page *p)
{
    loop_timer_stop(&p->timer);
    if (p->job != NULL)
        prove_forget(p->job);
    *link_tally(p->link) -= p->cost;
    buf_clear(&p->body);
    mem_free(p);
}

/* tag: NULL for answers that do not name the worker. */
static err say_as(struct link_stream *s, unsigned status, const char *media,
                  const struct worker_tag *tag, bytes body)
{
    const struct link_field fields[] = {
        { BYTES_LIT(FIELD_CONTENT_TYPE), bytes_str(media) },
        { BYTES_LIT(FIELD_CACHE_CONTROL), BYTES_LIT(CACHE_CONTROL_NO_STORE) },
        { BYTES_LIT(FIELD_WORKER), tag != NULL ? bytes_str(tag->text) : (bytes){ 0 } },
    };
    size_t n = tag != NULL ? ARRAY_LEN(fields) : ARRAY_LEN(fields) - 1;
    TRY(link_respond(s, status, fields, n, false));
    struct buf copy = BUF(ANSWER_MAX);
    err e = buf_add(&copy, body);
    if (e.code == ERR_OK)
        e = link_stream_take(s, &copy, true);
    buf_clear(&copy);
    return e;
}

static err say(struct link_stream *s, unsigned status, const char *media, bytes body)
{
    return say_as(s, status, media, NULL, body);
}

/* Until it has been read, which may never be. */
static void count(struct page *p, uint64_t n)
{
    p->cost += n;
    *link_tally(p->link) += n;
}

static err answer_as(struct page *p, unsigned status, const char *media,
                     const struct worker_tag *tag, bytes body)
{
    count(p, body.len);
    return say_as(p->visit.stream, status, media, tag, body);
}

static err answer(struct page *p, unsigned status, const char *media, bytes body)
{
    return answer_as(p, status, media, NULL, body);
}

err worker_refuse(struct link_stream *s, unsigned status, const char *type, const char *title)
{
    BUF_AUTO body = BUF(1024);
    struct json_out j = JSON_OUT(&body);
    json_begin_object(&j, NULL);
    json_put_str(&j, "type", type);
    json_put_str(&j, "title", title);
    json_put_u64(&j, "status", status);
    json_close(&j);
    TRY(json_end(&j));
    return say(s, status, MEDIA_PROBLEM_JSON, buf_view(&body));
}

static err answer_error(struct link_stream *s, enum error_cause cause, bytes about)
{
    BUF_AUTO body = BUF(ERROR_BODY_MAX);
    const struct api_error error = { .cause = cause, .about = about, .retry_after_s = 1 };
    TRY(error_write_body(&body, &error));
    return say(s, error_status(cause), MEDIA_JSON, buf_view(&body));
}

/* ---- POST /attestation ---- */

static err send_bundle(struct page *p, bytes document)
{
    BUF_AUTO bundle = BUF(BUNDLE_MAX);
    struct worker *w = p->visit.worker;
    keys_tend(w->keys);
    TRY(bundle_join(&bundle, document, keys_statement(w->keys)));
    metrics_add(w->metrics.block, w->metrics.attestations, 0, 0, 1);
    return answer(p, 200, MEDIA_CBOR, buf_view(&bundle));
}

static void give_up(struct page *p)
{
    link_stream_reset(p->visit.stream, LINK_INTERNAL);
    page_free(p);
}

static void on_document(void *owner, err e, bytes document)
{
    struct page *p = owner;
    p->job = NULL;
    bool can = e.code == ERR_OK && keys_ready(p->visit.worker->keys);
    e = can ? send_bundle(p, document)
            : worker_refuse(p->visit.stream, 503, "about:blank",
                            "the platform gives no evidence now");
    if (e.code != ERR_OK)
        give_up(p);
}

/* {"nonce": base64url of 16 to 64 bytes} */
static err read_nonce(bytes body, struct buf *nonce)
{
    struct json *root = NULL;
    bytes text = { 0 };
    TRY(json_read(&root, body, NONCE_DEPTH_MAX));
    (void)json_text(json_get(root, "nonce"), &text);
    err e = text_base64url_decode(nonce, text);
    json_free(root);
    return e;
}

static err prove(struct page *p)
{
    /* Each connection is an asker: whoever is behind a relay shares its share, and the relay sees to it
     * that nobody there takes all of it. */
    uint64_t asker = (uint64_t)(uintptr_t)link_stream_link(p->visit.stream);
    BUF_AUTO nonce = BUF(BUNDLE_NONCE_MAX);
    err e = read_nonce(buf_view(&p->body), &nonce);
    if (e.code == ERR_OK)
        e = prove_ask(p->visit.worker->prove, asker, buf_view(&nonce), on_document, p, &p->job);
    if (e.code == ERR_OK)
        return OK;
    if (e.code == ERR_LIMIT)
        return worker_refuse(p->visit.stream, 429, "about:blank", "too many questions; ask later");
    return worker_refuse(p->visit.stream, 400, "about:blank",
                         "send {\"nonce\": base64url of 16 to 64 bytes}");
}

/* ---- what needs no body ---- */

static err keys_page(struct page *p, bytes rest)
{
    struct worker_tag tag;
    struct keys *k = p->visit.worker->keys;
    keys_tend(k);
    if (!keys_ready(k))
        return worker_refuse(p->visit.stream, 503, "about:blank", "there is no key now");
    bool bare = bytes_equal(rest, BYTES_LIT("?" QUERY_FORMAT_BARE));
    TRY(worker_tag_of(bytes_of(signing_key_public(keys_identity(k)), ED25519_PK_LEN), &tag));
    return answer_as(p, 200, MEDIA_OHTTP_KEYS, &tag, bare ? keys_list_bare(k) : keys_list(k));
}

/* One bare configuration is all that EHBP's clients read. */
static err hpke_keys_page(struct page *p, bytes rest)
{
    struct keys *k = p->visit.worker->keys;
    (void)rest;
    keys_tend(k);
    return answer(p, 200, MEDIA_OHTTP_KEYS, keys_ehbp_config(k));
}

static err document_page(struct page *p, bytes rest)
{
    BUF_AUTO hex = BUF(DIGEST_HEX_LEN);
    const struct prove *prove = p->visit.worker->prove;
    TRY(text_hex_encode(&hex, bytes_of(prove_digest(prove), VERDICT_DIGEST_LEN)));
    if (!bytes_equal(bytes_slice(rest, 1, rest.len), buf_view(&hex)))
        return answer_error(p->visit.stream, ERROR_NOT_FOUND, rest);
    return answer(p, 200, MEDIA_CBOR, prove_document(prove));
}

/* The digest of the document that receipts refer to, for whoever wants to fetch it ahead. */
static err digest_page(struct page *p, bytes rest)
{
    BUF_AUTO body = BUF(256);
    struct json_out j = JSON_OUT(&body);
    (void)rest;
    json_begin_object(&j, NULL);
    json_put_hex(&j, "document",
                 bytes_of(prove_digest(p->visit.worker->prove), VERDICT_DIGEST_LEN));
    json_close(&j);
    TRY(json_end(&j));
    return answer(p, 200, MEDIA_JSON, buf_view(&body));
}

static err health_page(struct page *p, bytes rest)
{
    (void)rest;
    return answer(p, 200, MEDIA_JSON, BYTES_LIT("{\"status\":\"ok\"}"));
}

static err ready_page(struct page *p, bytes rest)
{
    (void)rest;
    const struct worker *w = p->visit.worker;
    if (w->draining || (w->pool != NULL && !pool_ready(w->pool)))
        return answer(p, 503, MEDIA_JSON, BYTES_LIT("{\"ready\":false}"));
    return answer(p, 200, MEDIA_JSON, BYTES_LIT("{\"ready\":true}"));
}

static err metrics_page(struct page *p, bytes rest)
{
    BUF_AUTO body = BUF(METRICS_TEXT_MAX);
    (void)rest;
    const struct worker *w = p->visit.worker;
    if (w->pool != NULL)
        pool_measure(w->pool, w->metrics.block, &w->metrics.pool);
    TRY(metrics_render(p->visit.worker->metrics.set, &body));
    return answer(p, 200, METRICS_MEDIA_TYPE, buf_view(&body));
}

struct page_row {
    const char *path;
    char next; /* what may follow the path: nothing (0), a query ('?') or a segment ('/') */
    err (*answer)(struct page *p, bytes rest);
    size_t setting; /* a bool of struct worker_settings; 0: it is always there */
};

#define SETTING(name) offsetof(struct worker_settings, name)

static const struct page_row PAGES[] = {
    { PATH_OHTTP_GATEWAY, '?', keys_page, SETTING(door_discovery) },
    { PATH_HPKE_KEYS, 0, hpke_keys_page, SETTING(door_ehbp) },
    { PATH_ATTESTATION, '/', document_page, 0 },
    { PATH_ATTESTATION, 0, digest_page, 0 },
    { PATH_HEALTHZ, 0, health_page, 0 },
    { PATH_READYZ, 0, ready_page, 0 },
    { PATH_METRICS, 0, metrics_page, 0 },
};

static bool is_served(const struct page *p, const struct page_row *row)
{
    const char *settings = (const char *)p->visit.worker->settings;
    return row->setting == 0 || *(const bool *)(settings + row->setting);
}

static err get(struct page *p, bytes path)
{
    for (size_t i = 0; i < ARRAY_LEN(PAGES); i++) {
        bytes rest = bytes_slice(path, strlen(PAGES[i].path), path.len);
        if (!bytes_starts(path, bytes_str(PAGES[i].path)) || !is_served(p, &PAGES[i]))
            continue;
        if (rest.len == 0 ? PAGES[i].next != '/' : (char)rest.at[0] == PAGES[i].next)
            return PAGES[i].answer(p, rest);
    }
    if (bytes_starts(path, BYTES_LIT("/v1/")))
        return answer_error(p->visit.stream, ERROR_SEAL_REQUIRED, path);
    return answer_error(p->visit.stream, ERROR_UNKNOWN_URL, path);
}

static void refuse_question(struct page *p, unsigned status, const char *title)
{
    p->wants_body = false;
    loop_timer_stop(&p->timer);
    if (worker_refuse(p->visit.stream, status, "about:blank", title).code != ERR_OK)
        give_up(p);
}

/* What is waited for counts for all who share the connection, as at a relay's. */
static void on_too_slow(struct loop_timer *t)
{
    refuse_question(CONTAINER_OF(t, struct page, timer), 408,
                    "the question did not arrive in time");
}

static void on_data(struct visit *v, bytes in)
{
    struct page *p = page_of(v);
    link_stream_consume(v->stream, in.len);
    if (p->wants_body && buf_add(&p->body, in).code != ERR_OK)
        refuse_question(p, 413, "the question is too long");
}

static void on_end(struct visit *v)
{
    struct page *p = page_of(v);
    if (!p->wants_body)
        return;
    p->wants_body = false;
    loop_timer_stop(&p->timer);
    if (prove(p).code != ERR_OK)
        give_up(p);
}

static void on_writable(struct visit *v)
{
    (void)v;
}

static void on_closed(struct visit *v, enum link_close why)
{
    (void)why;
    page_free(page_of(v));
}

static const struct visit_ops OPS = {
    .data = on_data, .end = on_end, .writable = on_writable, .closed = on_closed
};

static void await_question(struct page *p)
{
    const struct worker *w = p->visit.worker;
    p->wants_body = true;
    loop_timer_start(w->loop, &p->timer, w->settings->request_timeout, on_too_slow);
}

static err start(struct page *p, const struct link_request *req)
{
    if (bytes_equal(req->method, BYTES_LIT("GET")))
        return get(p, req->path);
    if (bytes_equal(req->method, BYTES_LIT("POST")) &&
        bytes_equal(req->path, BYTES_LIT(PATH_ATTESTATION))) {
        await_question(p);
        return OK;
    }
    if (bytes_starts(req->path, BYTES_LIT("/v1/")))
        return answer_error(p->visit.stream, ERROR_SEAL_REQUIRED, req->path);
    return answer_error(p->visit.stream, ERROR_UNKNOWN_URL, req->path);
}

static err page_new(struct page **out, struct worker *w, struct link_stream *s)
{
    struct page *p;
    struct link *link = link_stream_link(s);
    ENSURE(*link_tally(link) < PAGES_UNREAD_MAX, LIMIT);
    TRY(mem_new(&p));
    p->visit = (struct visit){ .ops = &OPS, .worker = w, .stream = s };
    p->body = BUF(PAGE_BODY_MAX);
    p->link = link;
    count(p, PAGE_COST);
    link_stream_set_owner(s, &p->visit);
    *out = p;
    return OK;
}

err page_refuse(struct worker *w, struct link_stream *s, unsigned status, const char *type,
                const char *title)
{
    struct page *p;
    TRY(page_new(&p, w, s));
    err e = worker_refuse(s, status, type, title);
    if (e.code != ERR_OK)
        page_free(p);
    return e;
}

err page_start(struct worker *w, struct link_stream *s, const struct link_request *req)
{
    struct page *p;
    TRY(page_new(&p, w, s));
    err e = start(p, req);
    if (e.code != ERR_OK)
        page_free(p);
    return e;
}
