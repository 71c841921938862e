/*
 * One look at a worker is three questions over one connection, in this order: which document do your
 * receipts refer to (GET /attestation), that document, unless we have it (GET /attestation/DIGEST),
 * and a bundle for a nonce of ours (POST /attestation). The bundle is judged first of all and alone
 * decides; the document must then be accepted for the same identity, whatever its age and nonce.
 * Before either is judged, the supply completes the vendor's collateral that it may lack.
 */
#include "gateway/trust.h"

#include "attest/verify.h"
#include "base/attr.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/secret.h"
#include "gateway/pool.h"
#include "gateway/supply.h"
#include "wire/link.h"
#include "wire/names.h"

enum {
    NONCE_LEN = 32,
    ASK_MS = 20000,     /* for one whole look */
    RETRY_MIN_MS = 500, /* after a failure; doubles */
    RETRY_MAX_MS = 30000,
    HURRY_MS = 100,
    HURRY_GAP_MS = 500, /* between two looks, however many ask for one */
    MARGIN_S_MAX = 60   /* a new look that long before keys expire, at the latest */
};

/* Evidence that was accepted, to be judged again by another policy. */
struct proof {
    struct buf bundle;
    struct buf collateral;
    struct buf gpu_collateral;
    uint8_t nonce[NONCE_LEN];
};

enum watch_step { WATCH_IDLE = 0, WATCH_DIGEST, WATCH_DOCUMENT, WATCH_BUNDLE };

struct watch {
    struct trust *trust;
    struct worker_entry at; /* the link borrows from it */
    struct link *link;
    struct link_stream *stream;
    struct loop_timer timer; /* the next look, or the end of patience with this one */
    enum watch_step step;
    unsigned status;
    struct buf answer;
    struct supply_ask collateral; /* for what is in answer */
    uint8_t nonce[NONCE_LEN];
    uint8_t digest[VERDICT_DIGEST_LEN]; /* the worker's word so far */
    uint64_t retry_ms;

    struct proof seen; /* of this look */
    struct proof kept; /* of `trusted` */
    bool proved;       /* `trusted` is wholly by the present policy, its document too */

    struct verdict verdict; /* the latest */
    bool judged;
    enum quarantine quarantine;           /* NONE while trusted */
    bool is_false;                        /* the latest verdict's evidence */
    err trouble;                          /* why there is no verdict */
    bool hurried;                         /* the next look, or this one, was asked for */
    uint64_t looked_ms;                   /* when the latest look began */
    struct buf evidence;                  /* the document itself */
    uint8_t document[VERDICT_DIGEST_LEN]; /* verified for document_identity */
    uint8_t document_identity[VERDICT_KEY_LEN];
    struct trusted_shown shown; /* by it */
    struct trusted *trusted;
};

struct trust {
    struct loop *loop;
    struct trust_settings settings;
    struct worker_set *set;
    size_t n;
    struct watch *watches[WORKERS_MAX]; /* of set->at[i], but for those there was no memory for */
};

/* NULL: nobody has that place. */
static struct watch *watch_of(struct trust *t, size_t place)
{
    for (size_t i = 0; i < t->n; i++) {
        if (t->watches[i]->at.place == place)
            return t->watches[i];
    }
    return NULL;
}

/* ---- telling ---- */

/* A connection that is not there knows best what is wrong with it. */
static bool is_down(const struct watch *w)
{
    return w->trouble.code == ERR_UNAVAILABLE && !link_is_up(w->link) &&
           link_why(w->link).code != ERR_OK;
}

static err trouble_of(const struct watch *w)
{
    return is_down(w) ? link_why(w->link) : w->trouble;
}

/* For people. */
static const char *trouble_text(const struct watch *w)
{
    static const struct {
        enum err_code code;
        const char *text;
    } DOWN[] = {
        { ERR_NOT_FOUND, "its name is not known here" },
        { ERR_UNTRUSTED,
          "its certificate is not one that worker_ca, or the system, vouches for "
          "under that name" },
        { ERR_CRYPTO, "TLS was not agreed on; does it listen without?" },
        { ERR_CLOSED, "it closed the connection; does it listen with TLS, and is it a worker?" },
    };
    for (size_t i = 0; is_down(w) && i < ARRAY_LEN(DOWN); i++) {
        if (DOWN[i].code == link_why(w->link).code)
            return DOWN[i].text;
    }
    return err_text(w->trouble);
}

static void write_worker(struct json_out *j, struct watch *w)
{
    BUF_AUTO verdict = BUF(64 * 1024);
    json_begin_object(j, NULL);
    json_put_u64(j, "worker", w->at.place);
    json_put_str(j, "address", w->at.text);
    if (w->at.wish.tls_name[0] != '\0')
        json_put_str(j, "name", w->at.wish.tls_name);
    if (worker_tag_is(&w->at.wish.tag))
        json_put_str(j, "tag", w->at.wish.tag.text);
    if (w->at.wish.priority > 0)
        json_put_u64(j, "priority", w->at.wish.priority);
    if (w->at.wish.weight != 1)
        json_put_u64(j, "weight", w->at.wish.weight);
    json_put_bool(j, "trusted", w->trusted != NULL);
    json_put_bool(j, "reachable", link_is_up(w->link));
    if (w->trusted == NULL)
        json_put_str(j, "quarantine", quarantine_words[w->quarantine]);
    if (w->trouble.code != ERR_OK)
        json_put_str(j, "trouble", trouble_text(w));
    if (w->trusted != NULL) {
        json_put_i64(j, "verified_at", w->trusted->verified_at);
        json_put_i64(j, "keys_expire_at", w->trusted->not_after);
        json_put_hex(j, "receipt_document", BYTES_ARRAY(w->trusted->document));
    }
    if (w->judged && verdict_json(&w->verdict, &verdict).code == ERR_OK)
        json_put_raw(j, "verdict", buf_view(&verdict));
    json_close(j);
}

static err write_page(struct trust *t, struct buf *page)
{
    struct json_out j = JSON_OUT(page);
    json_begin_object(&j, NULL);
    json_put_str(&j, "object", "list");
    json_begin_array(&j, "data");
    for (size_t i = 0; i < t->n; i++)
        write_worker(&j, t->watches[i]);
    json_close(&j);
    if (t->settings.describe != NULL)
        t->settings.describe(t->settings.owner, &j);
    json_close(&j);
    return json_end(&j);
}

static enum quarantine quarantine_at(const struct watch *w)
{
    if (w == NULL)
        return QUARANTINE_OTHER;
    return w->trusted == NULL ? w->quarantine : QUARANTINE_NONE;
}

void trust_publish(struct trust *t)
{
    struct trust_view *view;
    if (trust_view_new(&view, t->set).code != ERR_OK)
        return;
    for (size_t i = 0; i < t->set->n; i++) {
        const struct watch *w = watch_of(t, t->set->at[i].place);
        view->workers[i] = w != NULL ? trusted_ref(w->trusted) : NULL;
        view->quarantine[i] = quarantine_at(w);
        view->is_false |= w != NULL && w->is_false ? (uint64_t)1 << i : 0;
    }
    if (write_page(t, &view->page).code != ERR_OK)
        buf_clear(&view->page);
    t->settings.published(t->settings.owner, view);
    trust_view_unref(view);
}

/* ---- when to look again ---- */

static void on_timer(struct loop_timer *timer);

static void look_in(struct watch *w, uint64_t ms)
{
    loop_timer_start(w->trust->loop, &w->timer, ms, on_timer);
}

/* Soon at first: what is wrong with a worker, its clock for one, may be set right. */
static void look_again(struct watch *w)
{
    w->retry_ms = w->retry_ms * 2 < RETRY_MAX_MS ? w->retry_ms * 2 : RETRY_MAX_MS;
    look_in(w, w->retry_ms);
}

/* A tenth of what the keys have left, but no more than a minute, is enough for a few tries. */
static uint64_t until_next_look_ms(const struct watch *w)
{
    int64_t left_s = w->trusted->not_after - clock_wall_s();
    uint64_t left_ms = left_s > 0 ? (uint64_t)left_s * 1000 : 0;
    uint64_t margin_ms = left_ms / 10 < MARGIN_S_MAX * 1000 ? left_ms / 10 : MARGIN_S_MAX * 1000;
    uint64_t refresh_ms = w->trust->settings.refresh_s * 1000;
    uint64_t ms = left_ms - margin_ms;
    return ms < refresh_ms ? ms : refresh_ms;
}

static void drop_trusted(struct watch *w)
{
    trusted_unref(w->trusted);
    w->trusted = NULL;
}

static void proof_clear(struct proof *p)
{
    buf_clear(&p->bundle);
    buf_clear(&p->collateral);
    buf_clear(&p->gpu_collateral);
}

static void end_look(struct watch *w)
{
    if (w->stream != NULL)
        link_stream_reset(w->stream, LINK_CANCEL);
    w->stream = NULL;
    supply_cancel(&w->collateral);
    w->step = WATCH_IDLE;
    w->hurried = false;
    buf_clear(&w->answer);
    proof_clear(&w->seen);
}

#define F_WORKER(w) F_U64("worker", (w)->at.place), F_ADDR("address", &(w)->at.wish.addr)

/* What of the evidence met no rule. A verdict's words are static. */
#define F_FAILURE(w)                                                                               \
    F_WORD_OF("check", quarantine_word((w)->quarantine)),                                          \
        F_WORD_OF("reason", (struct word){ failure(w)->reason }),                                  \
        F_WORD_OF("subject", (struct word){ failure(w)->subject }),                                \
        F_WORD_OF("advice", (struct word){ failure(w)->advice })

static const struct verdict_check *failure(const struct watch *w)
{
    static const struct verdict_check NONE = { .name = NULL };
    return w->quarantine >= QUARANTINE_CHECK ? &w->verdict.checks[w->quarantine - QUARANTINE_CHECK]
                                             : &NONE;
}

/* True when it was not there for that reason: one line in the log tells it, however often it is asked
 * again. */
static bool put_in_quarantine(struct watch *w, enum quarantine reason)
{
    if (w->trusted != NULL)
        reason = QUARANTINE_NONE;
    bool changed = w->quarantine != reason;
    w->quarantine = reason;
    return changed;
}

/* Nothing could be found out. Keys that have not expired are still good, unless a new policy has no
 * place for the document. What is under way at a worker that is given up here may finish: it may be
 * one that is going away, and answers no questions any more. */
static void look_failed(struct watch *w, err why)
{
    bool misfit = why.code == ERR_UNTRUSTED && !w->proved;
    bool again = w->trouble.code == why.code;
    end_look(w);
    w->trouble = why;
    if (w->trusted != NULL && (misfit || w->trusted->not_after <= clock_wall_s())) {
        trusted_withdraw(w->trusted);
        drop_trusted(w);
    }
    bool changed = put_in_quarantine(w, quarantine_of(why));
    if (changed || !again)
        LOG_WARN(w->trust->settings.log, "worker cannot be verified now", F_WORKER(w),
                 F_WORD_OF("quarantine", quarantine_word(w->quarantine)), F_ERR(trouble_of(w)));
    trust_publish(w->trust);
    look_again(w);
}

static void refuse(struct watch *w)
{
    drop_trusted(w);
    end_look(w);
    w->trouble = OK;
    w->is_false = quarantine_is_false(&w->verdict);
    if (put_in_quarantine(w, quarantine_of_verdict(&w->verdict)))
        LOG_ERROR(w->trust->settings.log, "worker refused", F_WORKER(w), F_FAILURE(w));
    trust_publish(w->trust);
    look_again(w);
}

/* The store drops evidence that no receipt refers to, so it is given again at every look. */
static void accept(struct watch *w)
{
    struct trusted *t;
    uint8_t hash[VERDICT_DIGEST_LEN];
    bool first = w->trusted == NULL;
    err e = store_put_evidence(w->trust->settings.store, buf_view(&w->evidence), hash);
    if (e.code == ERR_OK)
        e = trusted_new(&t, w->at.place, &w->verdict, w->document, clock_wall_s());
    if (e.code != ERR_OK) {
        look_failed(w, e);
        return;
    }
    drop_trusted(w);
    t->shown = w->shown;
    t->tag = w->at.wish.tag;
    w->trusted = t;
    w->proved = true;
    proof_clear(&w->kept);
    w->kept = w->seen;
    w->seen = (struct proof){ 0 };
    w->trouble = OK;
    w->is_false = false;
    (void)put_in_quarantine(w, QUARANTINE_NONE);
    w->retry_ms = RETRY_MIN_MS;
    end_look(w);
    if (first)
        LOG_INFO(w->trust->settings.log, "worker verified", F_WORKER(w),
                 F_HEX("document", w->document, sizeof w->document));
    if (first && w->verdict.trust != TRUST_HARDWARE && w->verdict.trust != TRUST_SIMULATED)
        LOG_WARN(w->trust->settings.log, "evidence below hardware accepted by policy", F_WORKER(w));
    if (first && w->verdict.trust == TRUST_SIMULATED)
        LOG_WARN(w->trust->settings.log, "SIMULATED TEE accepted by policy: no protection",
                 F_WORKER(w));
    trust_publish(w->trust);
    look_in(w, until_next_look_ms(w));
}

/* ---- the questions ---- */

static err ask(struct watch *w, enum watch_step step, const char *method, bytes path, bytes body)
{
    BUF_AUTO length = BUF(24);
    TRY(buf_addf(&length, "%zu", body.len));
    /* With its length the request needs no chunks on a proxy's way to a relay, which would close that
     * connection behind them; a relay asks one worker for all that comes on one connection. */
    struct link_field fields[3] = {
        { BYTES_LIT(FIELD_CONTENT_TYPE), BYTES_LIT(MEDIA_JSON) },
        { BYTES_LIT(FIELD_CONTENT_LENGTH), buf_view(&length) },
    };
    size_t n = body.len > 0 ? 2 : 0;
    if (worker_tag_is(&w->at.wish.tag))
        fields[n++] =
            (struct link_field){ BYTES_LIT(FIELD_WORKER), bytes_str(w->at.wish.tag.text) };
    const struct link_request request = {
        .method = bytes_str(method),
        .authority = BYTES_LIT("worker"),
        .path = path,
        .fields = fields,
        .fields_n = n,
        .end = body.len == 0,
    };
    buf_truncate(&w->answer, 0);
    w->status = 0;
    w->step = step;
    TRY(link_submit(w->link, &request, &w->stream, w));
    return body.len > 0 ? link_stream_write(w->stream, body, true) : OK;
}

static err ask_digest(struct watch *w)
{
    return ask(w, WATCH_DIGEST, "GET", BYTES_LIT(PATH_ATTESTATION), (bytes){ 0 });
}

static err ask_document(struct watch *w)
{
    BUF_AUTO path = BUF(128);
    TRY(buf_add_str(&path, PATH_ATTESTATION "/"));
    TRY(text_hex_encode(&path, BYTES_ARRAY(w->digest)));
    return ask(w, WATCH_DOCUMENT, "GET", buf_view(&path), (bytes){ 0 });
}

static err ask_bundle(struct watch *w)
{
    BUF_AUTO body = BUF(128);
    TRY(crypto_random(w->nonce, sizeof w->nonce));
    TRY(buf_add_str(&body, "{\"nonce\":\""));
    TRY(text_base64url_encode(&body, BYTES_ARRAY(w->nonce)));
    TRY(buf_add_str(&body, "\"}"));
    return ask(w, WATCH_BUNDLE, "POST", BYTES_LIT(PATH_ATTESTATION), buf_view(&body));
}

static bool has_document(const struct watch *w)
{
    return bytes_equal(BYTES_ARRAY(w->document), BYTES_ARRAY(w->digest)) &&
           bytes_equal(BYTES_ARRAY(w->document_identity), BYTES_ARRAY(w->verdict.identity));
}

static err read_digest(struct watch *w)
{
    struct json *root = NULL;
    bytes hex = { 0 };
    BUF_AUTO digest = BUF(VERDICT_DIGEST_LEN);
    TRY(json_read(&root, buf_view(&w->answer), 4));
    (void)json_text(json_get(root, "document"), &hex);
    err e = text_hex_decode(&digest, hex);
    json_free(root);
    TRY(e);
    ENSURE(digest.len == VERDICT_DIGEST_LEN, MALFORMED);
    memcpy(w->digest, digest.at, VERDICT_DIGEST_LEN);
    return OK;
}

/* Sets aside what this look will have been about, if it ends well. */
static err see(struct watch *w, bytes collateral, bytes gpu)
{
    proof_clear(&w->seen);
    w->seen.collateral = BUF(BUNDLE_COLLATERAL_MAX);
    w->seen.gpu_collateral = BUF(2 * (size_t)COLLATERAL_GPU_MAX);
    TRY(buf_add(&w->seen.collateral, collateral));
    TRY(buf_add(&w->seen.gpu_collateral, gpu));
    w->seen.bundle = w->answer;
    memcpy(w->seen.nonce, w->nonce, sizeof w->nonce);
    w->answer = BUF(BUNDLE_MAX);
    return OK;
}

static err judge_bundle(struct watch *w, bytes collateral, bytes gpu)
{
    const struct verify_settings settings = { .policy = w->trust->settings.policy,
                                              .now = clock_wall_s(),
                                              .nonce = BYTES_ARRAY(w->nonce),
                                              .collateral = collateral,
                                              .gpu_collateral = gpu };
    verdict_clear(&w->verdict);
    TRY(attest_verify(buf_view(&w->answer), &settings, &w->verdict));
    w->judged = true;
    return w->verdict.accepted ? see(w, collateral, gpu) : OK;
}

/* The document may be old and was made for another nonce; all else is asked of it. */
static err judge_document(struct watch *w, bytes collateral, bytes gpu)
{
    struct verdict verdict;
    const struct verify_settings settings = { .policy = w->trust->settings.policy,
                                              .now = clock_wall_s(),
                                              .identity = BYTES_ARRAY(w->verdict.identity),
                                              .collateral = collateral,
                                              .gpu_collateral = gpu,
                                              .any_nonce = true,
                                              .any_age = true,
                                              .own_time = true };
    TRY(attest_verify_document(buf_view(&w->answer), &settings, &verdict));
    bool good = verdict.accepted &&
                bytes_equal(BYTES_ARRAY(verdict.document_digest), BYTES_ARRAY(w->digest));
    if (good)
        trusted_shown_of(&w->shown, &verdict);
    verdict_clear(&verdict);
    ENSURE(good, UNTRUSTED);
    buf_truncate(&w->evidence, 0);
    TRY(buf_add(&w->evidence, buf_view(&w->answer)));
    memcpy(w->document, w->digest, VERDICT_DIGEST_LEN);
    memcpy(w->document_identity, w->verdict.identity, VERDICT_KEY_LEN);
    return OK;
}

/* The bundle comes first: nothing else is asked of a worker that is refused. */
static err judge(struct watch *w, bytes collateral, bytes gpu)
{
    if (w->step == WATCH_DOCUMENT) {
        TRY(judge_document(w, collateral, gpu));
        accept(w);
        return OK;
    }
    TRY(judge_bundle(w, collateral, gpu));
    if (w->verdict.accepted)
        return ask_digest(w);
    refuse(w);
    return OK;
}

static void on_collateral(struct supply_ask *ask, err e, bytes collateral, bytes gpu)
{
    struct watch *w = CONTAINER_OF(ask, struct watch, collateral);
    if (e.code == ERR_OK)
        e = judge(w, collateral, gpu);
    if (e.code != ERR_OK)
        look_failed(w, e);
}

/* Vendors are asked about nothing that the policy refuses anyway. */
static bool is_accepted_platform(const struct policy *policy, bytes platform)
{
    return policy != NULL && policy_names_platform(policy, platform);
}

static err complete_and_judge(struct watch *w)
{
    struct bundle b;
    const struct trust_settings *settings = &w->trust->settings;
    bytes in = buf_view(&w->answer);
    err e = w->step == WATCH_BUNDLE ? bundle_read(in, &b) : evidence_document_read(in, &b);
    if (e.code != ERR_OK || settings->supply == NULL ||
        !is_accepted_platform(settings->policy, b.platform))
        return judge(w, (bytes){ 0 }, (bytes){ 0 });
    return supply_ask(settings->supply, &w->collateral, &b, settings->policy, on_collateral);
}

static err next_step(struct watch *w)
{
    switch (w->step) {
    case WATCH_IDLE:
        return ask_bundle(w);
    case WATCH_BUNDLE:
    case WATCH_DOCUMENT:
        return complete_and_judge(w);
    case WATCH_DIGEST:
        TRY(read_digest(w));
        if (!has_document(w))
            return ask_document(w);
        accept(w);
        return OK;
    }
    FAIL(INTERNAL);
}

static void look(struct watch *w)
{
    if (w->trust->settings.policy == NULL)
        return;
    w->looked_ms = loop_now_ms(w->trust->loop);
    err e = link_is_up(w->link) ? ask_bundle(w)
                                : err_raise(ERR_UNAVAILABLE, __FILE__, __func__, __LINE__);
    if (e.code == ERR_OK)
        look_in(w, ASK_MS);
    else
        look_failed(w, e);
}

static void on_timer(struct loop_timer *timer)
{
    struct watch *w = CONTAINER_OF(timer, struct watch, timer);
    if (w->step != WATCH_IDLE)
        look_failed(w, err_raise(ERR_TIMEOUT, __FILE__, __func__, __LINE__));
    else
        look(w);
}

/* What a look that has begun will find may be as old as what was found stale, so it begins anew. */
void trust_hurry(struct trust *t, size_t place)
{
    struct watch *w = watch_of(t, place);
    if (w == NULL || w->hurried)
        return;
    uint64_t since_ms = loop_now_ms(t->loop) - w->looked_ms;
    end_look(w);
    w->hurried = true;
    look_in(w, since_ms < HURRY_GAP_MS ? HURRY_GAP_MS - since_ms : HURRY_MS);
}

/* ---- another policy ---- */

/* Evidence was fresh when it was accepted; a new look follows anyway. */
static bool still_fits(struct watch *w)
{
    const struct verify_settings settings = { .policy = w->trust->settings.policy,
                                              .now = clock_wall_s(),
                                              .nonce = BYTES_ARRAY(w->kept.nonce),
                                              .collateral = buf_view(&w->kept.collateral),
                                              .gpu_collateral = buf_view(&w->kept.gpu_collateral),
                                              .any_age = true };
    verdict_clear(&w->verdict);
    err e = attest_verify(buf_view(&w->kept.bundle), &settings, &w->verdict);
    w->judged = e.code == ERR_OK;
    return w->judged && w->verdict.accepted;
}

static void judge_again(struct watch *w)
{
    bool fits = still_fits(w);
    w->proved = false;
    memset(w->document, 0, sizeof w->document);
    if (fits)
        return;
    trusted_withdraw(w->trusted);
    drop_trusted(w);
    (void)put_in_quarantine(w, quarantine_of_verdict(&w->verdict));
    LOG_ERROR(w->trust->settings.log, "worker does not fit the new policy", F_WORKER(w),
              F_FAILURE(w));
}

static void accept_nobody(struct watch *w)
{
    loop_timer_stop(&w->timer);
    trusted_withdraw(w->trusted);
    drop_trusted(w);
    (void)put_in_quarantine(w, QUARANTINE_NOT_ASKED);
    verdict_clear(&w->verdict);
    w->judged = false;
}

void trust_use_policy(struct trust *t, const struct policy *policy)
{
    t->settings.policy = policy;
    for (size_t i = 0; i < t->n; i++) {
        struct watch *w = t->watches[i];
        end_look(w);
        if (policy == NULL)
            accept_nobody(w);
        else if (w->trusted != NULL)
            judge_again(w);
        if (policy != NULL)
            look_in(w, HURRY_MS);
    }
    trust_publish(t);
}

/* ---- the link ---- */

static void on_up(struct link *k, void *owner)
{
    struct watch *w = owner;
    (void)k;
    if (w->step == WATCH_IDLE)
        look(w);
}

static void on_down(struct link *k, void *owner, err why)
{
    struct watch *w = owner;
    (void)k;
    (void)why;
    if (w->step == WATCH_IDLE)
        trust_publish(w->trust);
}

static void on_head(struct link_stream *s, unsigned status, const struct link_field *fields,
                    size_t n)
{
    struct watch *w = link_stream_owner(s);
    (void)fields;
    (void)n;
    w->status = status;
}

static void on_data(struct link_stream *s, bytes in)
{
    struct watch *w = link_stream_owner(s);
    link_stream_consume(s, in.len);
    err e = buf_add(&w->answer, in);
    if (e.code != ERR_OK)
        look_failed(w, e);
}

static err closed_well(const struct watch *w, enum link_close why)
{
    ENSURE(why == LINK_DONE, CLOSED);
    ENSURE(w->status == 200, UNAVAILABLE);
    return OK;
}

static void on_closed(struct link_stream *s, enum link_close why)
{
    struct watch *w = link_stream_owner(s);
    w->stream = NULL;
    err e = closed_well(w, why);
    if (e.code == ERR_OK)
        e = next_step(w);
    if (e.code != ERR_OK)
        look_failed(w, e);
}

static const struct link_events LINK_EVENTS = {
    .up = on_up, .down = on_down, .head = on_head, .data = on_data, .closed = on_closed
};

static void close_watch(struct watch *w)
{
    loop_timer_stop(&w->timer);
    supply_cancel(&w->collateral);
    if (w->stream != NULL)
        link_stream_reset(w->stream, LINK_CANCEL);
    link_close(w->link);
    drop_trusted(w);
    verdict_clear(&w->verdict);
    buf_clear(&w->answer);
    buf_clear(&w->evidence);
    proof_clear(&w->seen);
    proof_clear(&w->kept);
    mem_free(w);
}

static err open_watch(struct watch **out, struct trust *t, const struct worker_entry *at)
{
    struct link_settings settings = { .redial_max_ms = POOL_REDIAL_MAX_MS };
    struct watch *w;
    TRY(mem_new(&w));
    w->trust = t;
    w->at = *at;
    w->answer = BUF(BUNDLE_MAX);
    w->evidence = BUF(BUNDLE_MAX);
    w->retry_ms = RETRY_MIN_MS;
    w->quarantine = QUARANTINE_NOT_ASKED;
    worker_link(&w->at, t->settings.tls, &settings);
    err e = link_open(&w->link, t->loop, &settings, &LINK_EVENTS, w);
    if (e.code != ERR_OK) {
        close_watch(w);
        return e;
    }
    look_in(w, RETRY_MIN_MS * 4);
    *out = w;
    return OK;
}

/* ---- who there is ---- */

static void forget_who_left(struct trust *t)
{
    size_t kept = 0;
    for (size_t i = 0; i < t->n; i++) {
        struct watch *w = t->watches[i];
        const struct worker_entry *stays = worker_set_find(t->set, w->at.place);
        if (stays == NULL) {
            close_watch(w);
            continue;
        }
        worker_wish_follow(&w->at.wish, &stays->wish);
        t->watches[kept++] = w;
    }
    t->n = kept;
}

/* Goes on after a failure, so that one worker does not cost the others. */
static err watch_who_joined(struct trust *t)
{
    err worst = OK;
    for (size_t i = 0; i < t->set->n; i++) {
        if (watch_of(t, t->set->at[i].place) != NULL)
            continue;
        err e = open_watch(&t->watches[t->n], t, &t->set->at[i]);
        t->n += e.code == ERR_OK;
        worst = e.code == ERR_OK ? worst : e;
    }
    return worst;
}

void trust_use_workers(struct trust *t, struct worker_set *workers)
{
    worker_set_ref(workers);
    worker_set_unref(t->set);
    t->set = workers;
    forget_who_left(t);
    err e = watch_who_joined(t);
    if (e.code != ERR_OK)
        LOG_ERROR(t->settings.log, "a worker that joined cannot be used", F_ERR(e));
    trust_publish(t);
}

err trust_new(struct trust **out, struct loop *loop, const struct trust_settings *settings)
{
    struct trust *t;
    TRY(mem_new(&t));
    t->loop = loop;
    t->settings = *settings;
    t->set = worker_set_ref(settings->workers);
    err e = watch_who_joined(t);
    if (e.code != ERR_OK) {
        trust_free(t);
        return e;
    }
    *out = t;
    return OK;
}

void trust_free(struct trust *t)
{
    if (t == NULL)
        return;
    for (size_t i = 0; i < t->n; i++)
        close_watch(t->watches[i]);
    worker_set_unref(t->set);
    mem_free(t);
}
