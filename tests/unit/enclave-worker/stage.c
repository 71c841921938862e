#include "tests/unit/enclave-worker/stage.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "attest/claims.h"
#include "attest/simulated.h"
#include "base/clock.h"
#include "base/httpdate.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/aead.h"
#include "crypto/init.h"
#include "receipts/check.h"
#include "receipts/transcript.h"
#include "wire/bhttp.h"
#include "wire/names.h"
#include "wire/padding.h"

enum { GUARD_MS = 30000, BIG = 64 * 1024 * 1024, TURNS = 10 };

/* ---- the loop ---- */

static void on_guard(struct loop_timer *t)
{
    (void)t;
    fail_msg("the loop waits for something that does not come");
}

static void on_turn(struct loop_hook *h)
{
    struct stage *s = CONTAINER_OF(h, struct stage, hook);
    if (s->done != NULL && s->done(s, s->arg))
        loop_stop(s->loop);
}

void stage_until(struct stage *s, bool (*done)(struct stage *s, void *arg), void *arg)
{
    s->done = done;
    s->arg = arg;
    loop_timer_start(s->loop, &s->guard, GUARD_MS, on_guard);
    if (!done(s, arg))
        loop_run(s->loop);
    loop_timer_stop(&s->guard);
    s->done = NULL;
}

void stage_turns(struct stage *s)
{
    for (int i = 0; i < TURNS; i++) {
        loop_stop(s->loop);
        loop_run(s->loop);
    }
}

static bool was_asked(struct stage *s, void *arg)
{
    return s->starts >= *(const size_t *)arg;
}

void stage_until_asked(struct stage *s, size_t n)
{
    stage_until(s, was_asked, &n);
}

void stage_check_receipt(const struct stage *s, bytes receipt, const char *id, bytes request,
                         bytes response, bool sse)
{
    struct air_report report;
    uint8_t request_hash[32];
    uint8_t response_hash[32];
    char found[AIR_ID_LEN + 1];
    sha256_of(request, request_hash);
    transcript_of(response, sse, response_hash);
    const struct air_policy policy = { .request_hash = BYTES_ARRAY(request_hash),
                                       .response_hash = BYTES_ARRAY(response_hash),
                                       .allow_evaluation = true };
    air_check(receipt, bytes_of(signing_key_public(keys_identity(s->worker.keys)), ED25519_PK_LEN),
              &policy, &report);
    CHECK(report.verified);
    air_id(&report.claims, found);
    assert_string_equal(found, id);
}

/* ---- the engine ---- */

static struct stage *stage_of(struct engine *e)
{
    return CONTAINER_OF(e, struct stage, engine);
}

static struct stage_call *call_of(struct engine_call *c)
{
    return CONTAINER_OF(c, struct stage_call, base);
}

static err start_call(struct engine *e, const struct engine_request *request,
                      const struct engine_events *events, void *owner, struct engine_call **out)
{
    struct stage *s = stage_of(e);
    struct stage_call *c;
    ENSURE(!s->full, LIMIT);
    ENSURE(!s->odd, MALFORMED);
    CHECK_OK(mem_new(&c));
    *c = (struct stage_call){ .base = { e },
                              .events = events,
                              .owner = owner,
                              .next = s->calls,
                              .path = BUF(4096),
                              .body = BUF(BIG),
                              .authorization = BUF(4096) };
    CHECK_OK(buf_add(&c->path, request->path));
    CHECK_OK(buf_add(&c->body, request->body));
    for (size_t i = 0; i < request->fields_n; i++) {
        if (bytes_equal(request->fields[i].name, BYTES_LIT(FIELD_AUTHORIZATION)))
            CHECK_OK(buf_add(&c->authorization, request->fields[i].value));
    }
    s->calls = c;
    s->starts++;
    *out = &c->base;
    return OK;
}

static void forget(struct stage_call *c)
{
    struct stage_call **at = &stage_of(c->base.engine)->calls;
    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    buf_clear(&c->path);
    buf_clear(&c->body);
    buf_clear(&c->authorization);
    mem_free(c);
}

static void pause_call(struct engine_call *c)
{
    call_of(c)->paused = true;
    stage_of(c->engine)->pauses++;
}

static void resume_call(struct engine_call *c)
{
    call_of(c)->paused = false;
}

static void cancel_call(struct engine_call *c)
{
    stage_of(c->engine)->cancels++;
    forget(call_of(c));
}

static bytes describe(struct engine *e)
{
    (void)e;
    return BYTES_LIT("a stage");
}

static const struct engine_ops ENGINE = { .name = "stage",
                                          .start = start_call,
                                          .pause = pause_call,
                                          .resume = resume_call,
                                          .cancel = cancel_call,
                                          .describe = describe };

void stage_head(struct stage *s, unsigned status, const char *type, int64_t length)
{
    const struct engine_field field = { BYTES_LIT(FIELD_CONTENT_TYPE), bytes_str(type) };
    s->calls->events->head(s->calls->owner, status, &field, 1, length);
}

void stage_body(struct stage *s, const char *text)
{
    s->calls->events->body(s->calls->owner, bytes_str(text));
}

void stage_end(struct stage *s, err why)
{
    const struct engine_events *events = s->calls->events;
    void *owner = s->calls->owner;
    forget(s->calls);
    events->end(owner, why);
}

/* ---- the worker ---- */

static void load(struct stage *s, const char *const *flags)
{
    const char *argv[32] = { "worker" };
    char *none[] = { NULL };
    int argc = 1;
    BUF_AUTO message = BUF(4096);
    for (; flags != NULL && *flags != NULL; flags++)
        argv[argc++] = *flags;
    if (config_load(&s->config, &worker_program, &s->settings, argc, unconst(argv), none, &message)
            .code != ERR_OK)
        fail_msg("%s", buf_str(&message));
}

static void open_parts(struct stage *s)
{
    struct worker *w = &s->worker;
    struct simulated_registers registers;
    struct attester *attester;
    BUF_AUTO claims_text = BUF(CLAIMS_MAX);
    BUF_AUTO message = BUF(4096);
    static const uint8_t digest[32] = { 1 };
    const struct claims claims = { .model = BYTES_LIT("m"),
                                   .worker = BYTES_LIT("w1"),
                                   .software = BYTES_LIT("0"),
                                   .model_version = BYTES_LIT("v") };
    const struct keys_settings keys = { .worker_name = "w1",
                                        .life_s = 3600,
                                        .ahead_s = 300,
                                        .grace_s = 120,
                                        .ehbp = s->settings.door_ehbp,
                                        .pooled = s->settings.pool_key_file != NULL };
    CHECK_OK(keys_new(&w->keys, s->loop, &keys));
    CHECK_OK(
        replay_new(&w->replay, worker_settings_memory_s(&s->settings), s->settings.replay_max));
    if (s->settings.door_ehbp)
        CHECK_OK(replay_new(&w->ehbp_replay, keys_span_s(&keys), s->settings.replay_max));
    CHECK_OK(claims_write(&claims_text, &claims));
    simulated_measure(BYTES_LIT("image"), &registers);
    CHECK_OK(simulated_attester_new(&attester, &registers));
    const struct prove_settings proof = { .attester = attester,
                                          .identity = keys_identity(w->keys),
                                          .claims = buf_view(&claims_text) };
    CHECK_OK(prove_new(&w->prove, s->loop, &proof, NULL));
    const struct issuer_settings issuer = { .identity = keys_identity(w->keys),
                                            .evidence = prove_verdict(w->prove),
                                            .manifest = &s->manifest,
                                            .issuer = "tester",
                                            .settings_digest = digest,
                                            .engine = BYTES_LIT("a stage") };
    CHECK_OK(issuer_new(&w->issuer, &issuer));
    CHECK_OK(metrics_new(&w->metrics.set));
    if (s->settings.tokens_file != NULL) /* not a file here: the set itself */
        CHECK_OK(token_set_read(&w->tokens, bytes_str(s->settings.tokens_file), &message));
}

/* The setting is not a file here: the key itself. */
static void open_pool(struct stage *s)
{
    struct worker *w = &s->worker;
    struct pool_key key;
    struct sock_addr keeper;
    CHECK_OK(pool_key_read(bytes_str(s->settings.pool_key_file), &key));
    CHECK_OK(sock_addr_read(bytes_str(s->settings.replay_keeper), &keeper));
    CHECK_OK(keys_share(w->keys, &key));
    const struct pool_settings settings = {
        .set = { .key = &key, .key_life_s = 3600, .key_grace_s = 120, .date_window_s = 120 },
        .keeper = &keeper,
        .keys = w->keys,
    };
    CHECK_OK(pool_new(&w->pool, s->loop, &settings));
    CHECK_OK(pool_metrics_register(w->metrics.set, &w->metrics.pool));
    CHECK_OK(metrics_block(w->metrics.set, &w->metrics.block));
}

static bool is_up(struct stage *s, void *arg)
{
    (void)arg;
    return link_is_up(s->link);
}

static const struct link_events CLIENT;

void stage_redial(struct stage *s, uint32_t window)
{
    struct link_settings settings = { .window = window };
    CHECK_OK(sock_addr_read(bytes_str(s->address), &settings.addr));
    link_close(s->link);
    CHECK_OK(link_open(&s->link, s->loop, &settings, &CLIENT, s));
    stage_until(s, is_up, NULL);
}

static void open_link_pair(struct stage *s)
{
    struct sock_addr addr;
    const struct link_limits limits = { .streams_max = 300 };
    (void)snprintf(s->folder, sizeof s->folder, "/tmp/sealgate-stage-XXXXXX");
    CHECK(mkdtemp(s->folder) != NULL);
    (void)snprintf(s->address, sizeof s->address, "unix:%s/w", s->folder);
    CHECK_OK(sock_addr_read(bytes_str(s->address), &addr));
    CHECK_OK(
        link_listen(&s->listener, s->loop, &addr, NULL, &limits, &worker_link_events, &s->worker));
    stage_redial(s, 0);
}

void stage_open(struct stage *s, const char *const *flags)
{
    *s = (struct stage){ .engine = { &ENGINE } };
    CHECK_OK(crypto_init());
    CHECK_OK(loop_new(&s->loop));
    loop_hook_add(s->loop, &s->hook, 200, on_turn);
    load(s, flags);
    s->worker.loop = s->loop;
    s->worker.settings = &s->settings;
    s->worker.engine = &s->engine;
    open_parts(s);
    if (s->settings.pool_key_file != NULL)
        open_pool(s);
    open_link_pair(s);
}

void stage_close(struct stage *s)
{
    struct worker *w = &s->worker;
    link_close(s->link);
    link_listener_free(s->listener);
    stage_turns(s);
    while (s->calls != NULL) /* of sessions that only linger */
        stage_end(s, OK);
    CHECK(w->sessions_n == 0 && w->streams_n == 0 && w->held == 0);
    pool_free(w->pool);
    stage_turns(s);
    issuer_free(w->issuer);
    prove_free(w->prove);
    loop_deliver(s->loop);
    replay_free(w->replay);
    replay_free(w->ehbp_replay);
    keys_free(w->keys);
    token_set_clear(&w->tokens);
    metrics_free(w->metrics.set);
    loop_hook_remove(&s->hook);
    loop_free(s->loop);
    config_clear(&s->config);
    (void)unlink(s->address + sizeof "unix:" - 1);
    (void)rmdir(s->folder);
}

/* ---- the client ---- */

static err on_head(void *owner, const struct bhttp_head *head)
{
    struct stage_ask *ask = owner;
    const struct bhttp_field *id = bhttp_find(head->fields, head->fields_n, FIELD_RECEIPT_ID);
    ask->status = head->status;
    if (id != NULL && id->value.len < sizeof ask->receipt_id)
        memcpy(ask->receipt_id, id->value.at, id->value.len);
    return OK;
}

static err on_content(void *owner, bytes piece)
{
    struct stage_ask *ask = owner;
    return buf_add(&ask->content, piece);
}

static err on_trailers(void *owner, const struct bhttp_field *fields, size_t n)
{
    struct stage_ask *ask = owner;
    const struct bhttp_field *f = bhttp_find(fields, n, TRAILER_RECEIPT);
    ask->whole = true;
    return f != NULL ? text_base64_decode(&ask->receipt, bytes_slice(f->value, 1, f->value.len - 2))
                     : OK;
}

static const struct bhttp_events INNER = { on_head, on_content, on_trailers };

/* Reads as far as it came, also what was cut. */
static void read_inner(struct stage_ask *ask)
{
    struct bhttp_reader *r;
    struct padding_strip strip = { 0 };
    struct buf stripped = BUF(BIG);
    CHECK_OK(bhttp_reader_new(&r, false, &INNER, ask));
    if (bhttp_reader_put(r, buf_view(&ask->plain)).code == ERR_OK && ask->step == OHTTP_DONE)
        CHECK_OK(bhttp_reader_end(r));
    bhttp_reader_free(r);
    CHECK_OK(padding_strip_put(&strip, buf_view(&ask->content), &stripped));
    buf_clear(&ask->content);
    ask->content = stripped;
}

static void keep(char *to, size_t room, bytes value)
{
    if (value.len > 0 && value.len < room)
        memcpy(to, value.at, value.len);
}

/* What EHBP has in the clear. */
static void keep_outer(struct stage_ask *ask, const struct link_field *fields, size_t n)
{
    if (ask->ehbp == NULL)
        return;
    bytes beside = link_field(fields, n, FIELD_SEALED_RECEIPT);
    keep(ask->nonce, sizeof ask->nonce, link_field(fields, n, FIELD_EHBP_NONCE));
    keep(ask->receipt_id, sizeof ask->receipt_id, link_field(fields, n, FIELD_RECEIPT_ID));
    if (ask->nonce[0] == 0)
        return;
    ask->status = ask->outer;
    ask->encoded = link_field(fields, n, "content-encoding").len > 0;
    CHECK_OK(ehbp_client_begin(ask->ehbp, bytes_str(ask->nonce)));
    CHECK_OK(text_base64url_decode(&ask->beside, beside));
    if (beside.len > 0)
        CHECK_OK(ehbp_client_open_receipt(ask->ehbp, buf_view(&ask->beside), &ask->receipt));
}

static void client_head(struct link_stream *stream, unsigned status,
                        const struct link_field *fields, size_t n)
{
    struct stage_ask *ask = link_stream_owner(stream);
    ask->outer = status;
    for (size_t i = 0; i < n; i++) {
        if (bytes_equal(fields[i].name, BYTES_LIT(FIELD_CONTENT_TYPE)) &&
            fields[i].value.len < sizeof ask->media)
            memcpy(ask->media, fields[i].value.at, fields[i].value.len);
    }
    bytes tag = bytes_slice(link_field(fields, n, FIELD_WORKER), 0, sizeof ask->tag - 1);
    if (tag.len > 0)
        memcpy(ask->tag, tag.at, tag.len);
    keep_outer(ask, fields, n);
}

static bool is_sealed(const struct stage_ask *ask)
{
    return strcmp(ask->media, MEDIA_OHTTP_CHUNKED_RES) == 0 ||
           strcmp(ask->media, MEDIA_OHTTP_RES) == 0;
}

static void open_more(struct stage_ask *ask, bytes in, bool end)
{
    if (ask->nonce[0] != 0)
        ask->opened = ehbp_client_open(ask->ehbp, in, end, &ask->content);
    else if (!is_sealed(ask))
        CHECK_OK(buf_add(&ask->clear, in));
    else if (ask->opened.code == ERR_OK)
        ask->opened = ohttp_client_open(ask->ohttp, in, end, &ask->plain, &ask->step);
}

static void client_data(struct link_stream *stream, bytes in)
{
    struct stage_ask *ask = link_stream_owner(stream);
    if (!ask->holds)
        link_stream_consume(stream, in.len);
    open_more(ask, in, false);
}

static void client_end(struct link_stream *stream)
{
    struct stage_ask *ask = link_stream_owner(stream);
    ask->ended = true;
    open_more(ask, (bytes){ 0 }, true);
    if (is_sealed(ask))
        read_inner(ask);
}

static void client_closed(struct link_stream *stream, enum link_close why)
{
    struct stage_ask *ask = link_stream_owner(stream);
    ask->closed = true;
    ask->why = why;
    ask->stream = NULL;
}

static const struct link_events CLIENT = {
    .head = client_head, .data = client_data, .end = client_end, .closed = client_closed
};

static void ask_init(struct stage_ask *ask, enum ohttp_variant variant)
{
    *ask = (struct stage_ask){ .variant = variant,
                               .sealed = BUF(BIG),
                               .clear = BUF(BIG),
                               .plain = BUF(BIG),
                               .content = BUF(BIG),
                               .receipt = BUF(65536),
                               .beside = BUF(65536) };
}

static void write_inner(const struct stage_request *r, struct buf *out)
{
    char date[HTTPDATE_LEN + 1];
    struct bhttp_field fields[4];
    size_t n = 0;
    httpdate_write(clock_wall_s() + r->date_off, date);
    if (!r->no_date)
        fields[n++] = (struct bhttp_field){ BYTES_LIT(FIELD_DATE), bytes_str(date) };
    if (r->authorization != NULL)
        fields[n++] =
            (struct bhttp_field){ BYTES_LIT(FIELD_AUTHORIZATION), bytes_str(r->authorization) };
    if (r->nonce != NULL)
        fields[n++] = (struct bhttp_field){ BYTES_LIT(FIELD_RECEIPT_NONCE), bytes_str(r->nonce) };
    const struct bhttp_head head = {
        .is_request = true,
        .method = bytes_str(r->method != NULL ? r->method : "POST"),
        .scheme = BYTES_LIT("https"),
        .authority = BYTES_LIT("w1"),
        .path = bytes_str(r->path != NULL ? r->path : "/v1/chat/completions"),
        .fields = fields,
        .fields_n = n,
    };
    CHECK_OK(bhttp_write_request_head(out, &head, true));
    CHECK_OK(bhttp_write_content(out, r->body));
    CHECK_OK(bhttp_write_trailers(out, NULL, 0, true));
}

void stage_seal(struct stage *s, struct stage_ask *ask, enum ohttp_variant variant,
                const struct stage_request *request)
{
    struct key_config configs[4];
    size_t n = 0;
    struct buf plain = BUF(BIG);
    ask_init(ask, variant);
    CHECK_OK(keylist_read(keys_list(s->worker.keys), KEYLIST_PREFIXED, configs, 4, &n));
    CHECK(n > 0);
    CHECK_OK(ohttp_client_new(&ask->ohttp, variant, &configs[0], AEAD_AES_128_GCM, NULL));
    write_inner(request, &plain);
    CHECK_OK(ohttp_client_seal(ask->ohttp, buf_view(&plain), true, &ask->sealed));
    buf_clear(&plain);
}

static void submit(struct stage *s, struct stage_ask *ask, const struct link_request *request)
{
    CHECK_OK(link_submit(s->link, request, &ask->stream, ask));
}

void stage_seal_ehbp(struct stage *s, struct stage_ask *ask, const struct stage_request *request)
{
    struct key_config config;
    size_t n = 0;
    ask_init(ask, OHTTP_CHUNKED);
    ask->request = request;
    CHECK_OK(keylist_read(keys_ehbp_config(s->worker.keys), KEYLIST_BARE, &config, 1, &n));
    CHECK_OK(ehbp_client_new(&ask->ehbp, &config, NULL));
    ehbp_client_key(ask->ehbp, ask->key);
    CHECK_OK(ehbp_client_seal(ask->ehbp, request->body, &ask->sealed));
}

static void submit_ehbp(struct stage *s, struct stage_ask *ask)
{
    const struct stage_request *r = ask->request;
    struct link_field fields[5] = { { BYTES_LIT(FIELD_EHBP_KEY), bytes_str(ask->key) },
                                    { BYTES_LIT(FIELD_CONTENT_TYPE), BYTES_LIT(MEDIA_JSON) },
                                    { BYTES_LIT(FIELD_CALLER), BYTES_LIT("whoever") } };
    size_t n = 3;
    if (r->authorization != NULL)
        fields[n++] =
            (struct link_field){ BYTES_LIT(FIELD_AUTHORIZATION), bytes_str(r->authorization) };
    if (r->nonce != NULL)
        fields[n++] = (struct link_field){ BYTES_LIT(FIELD_RECEIPT_NONCE), bytes_str(r->nonce) };
    const struct link_request request = { .method = BYTES_LIT("POST"),
                                          .authority = BYTES_LIT("w1"),
                                          .path = bytes_str(
                                              r->path != NULL ? r->path : "/v1/chat/completions"),
                                          .fields = fields,
                                          .fields_n = n };
    submit(s, ask, &request);
}

void stage_send(struct stage *s, struct stage_ask *ask, size_t from, size_t n, bool end)
{
    bool chunked = ask->variant == OHTTP_CHUNKED;
    const struct link_field field = { BYTES_LIT(FIELD_CONTENT_TYPE),
                                      chunked ? BYTES_LIT(MEDIA_OHTTP_CHUNKED_REQ)
                                              : BYTES_LIT(MEDIA_OHTTP_REQ) };
    const struct link_request request = { .method = BYTES_LIT("POST"),
                                          .authority = BYTES_LIT("w1"),
                                          .path = BYTES_LIT(PATH_OHTTP_GATEWAY),
                                          .fields = &field,
                                          .fields_n = 1 };
    if (ask->stream == NULL && ask->ehbp != NULL)
        submit_ehbp(s, ask);
    else if (ask->stream == NULL)
        submit(s, ask, &request);
    CHECK_OK(link_stream_write(ask->stream, bytes_slice(buf_view(&ask->sealed), from, n), end));
}

void stage_ask(struct stage *s, struct stage_ask *ask, enum ohttp_variant variant,
               const struct stage_request *request)
{
    stage_seal(s, ask, variant, request);
    stage_send(s, ask, 0, ask->sealed.len, true);
}

void stage_ask_ehbp(struct stage *s, struct stage_ask *ask, const struct stage_request *request)
{
    stage_seal_ehbp(s, ask, request);
    stage_send(s, ask, 0, ask->sealed.len, true);
}

static bool is_over(struct stage *s, void *arg)
{
    const struct stage_ask *ask = arg;
    (void)s;
    return ask->closed;
}

void stage_answer(struct stage *s, struct stage_ask *ask)
{
    stage_until(s, is_over, ask);
}

void stage_ask_clear(struct stage_ask *ask)
{
    if (ask->stream != NULL)
        link_stream_reset(ask->stream, LINK_CANCEL);
    ask->stream = NULL;
    ohttp_client_free(ask->ohttp);
    ask->ohttp = NULL;
    ehbp_client_free(ask->ehbp);
    ask->ehbp = NULL;
    buf_clear(&ask->beside);
    buf_clear(&ask->sealed);
    buf_clear(&ask->clear);
    buf_clear(&ask->plain);
    buf_clear(&ask->content);
    buf_clear(&ask->receipt);
}

void stage_get(struct stage *s, struct stage_ask *ask, const char *method, const char *path,
               bytes body)
{
    ask_init(ask, OHTTP_CHUNKED);
    const struct link_request request = { .method = bytes_str(method),
                                          .authority = BYTES_LIT("w1"),
                                          .path = bytes_str(path),
                                          .end = body.len == 0 };
    submit(s, ask, &request);
    if (body.len > 0)
        CHECK_OK(link_stream_write(ask->stream, body, true));
}
