/* A prober and two workers on one loop, over unix sockets; their answers are sealed as workers do it. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "crypto/init.h"
#include "gateway/probe.h"
#include "tests/unit/gateway/verdicts.h"
#include "tests/unit/gateway/worker_sets.h"
#include "wire/bhttp.h"
#include "wire/link.h"
#include "wire/names.h"
#include "wire/ohttp.h"

enum { GUARD_MS = 30000, WORKERS = 2, EVERY_MS = 5, ROOM = 1 << 20 };

struct worker {
    struct stage *stage;
    struct link_listener *listener;
    struct ohttp_keys *keys;
    unsigned status; /* of its answers; 0: none */
    const char *content;
    unsigned outer; /* instead, in the clear; 0: not */
    size_t asked;
    char path[64];
    char authorization[64];
};

struct stage {
    struct loop *loop;
    struct loop_hook hook;
    struct loop_timer guard;
    bool (*done)(struct stage *s);
    char folder[64];
    char texts[WORKERS][96];
    struct worker workers[WORKERS];
    struct worker_set *set;
    struct probe *probe;
    struct findings *found; /* the latest */
};

static void on_guard(struct loop_timer *t)
{
    (void)t;
    fail_msg("the loop waits for something that does not come");
}

static void on_turn(struct loop_hook *h)
{
    struct stage *s = CONTAINER_OF(h, struct stage, hook);
    if (s->done != NULL && s->done(s))
        loop_stop(s->loop);
}

static void until(struct stage *s, bool (*done)(struct stage *s))
{
    s->done = done;
    loop_timer_start(s->loop, &s->guard, GUARD_MS, on_guard);
    if (!done(s))
        loop_run(s->loop);
    loop_timer_stop(&s->guard);
    s->done = NULL;
}

/* ---- the workers ---- */

static err on_inner_head(void *owner, const struct bhttp_head *head)
{
    struct worker *w = owner;
    const struct bhttp_field *f = bhttp_find(head->fields, head->fields_n, FIELD_AUTHORIZATION);
    CHECK(bhttp_find(head->fields, head->fields_n, FIELD_DATE) != NULL);
    (void)snprintf(w->path, sizeof w->path, "%.*s", (int)head->path.len,
                   (const char *)head->path.at);
    (void)snprintf(w->authorization, sizeof w->authorization, "%.*s",
                   f != NULL ? (int)f->value.len : 0, f != NULL ? (const char *)f->value.at : "");
    return OK;
}

static err on_inner_content(void *owner, bytes piece)
{
    (void)owner;
    (void)piece;
    return OK;
}

static err on_inner_trailers(void *owner, const struct bhttp_field *fields, size_t n)
{
    (void)owner;
    (void)fields;
    (void)n;
    return OK;
}

static const struct bhttp_events INNER = { on_inner_head, on_inner_content, on_inner_trailers };

static void read_inner(struct worker *w, bytes plain)
{
    struct bhttp_reader *reader;
    CHECK_OK(bhttp_reader_new(&reader, true, &INNER, w));
    CHECK_OK(bhttp_reader_put(reader, plain));
    CHECK_OK(bhttp_reader_end(reader));
    bhttp_reader_free(reader);
}

static void write_inner(const struct worker *w, struct buf *plain)
{
    const struct bhttp_head head = { .status = w->status };
    CHECK_OK(bhttp_write_response_head(plain, &head, true));
    CHECK_OK(bhttp_write_content(plain, bytes_str(w->content)));
    CHECK_OK(bhttp_write_trailers(plain, NULL, 0, true));
}

static void answer(struct worker *w, struct link_stream *s, bytes sealed)
{
    struct ohttp_server *server;
    enum ohttp_step step;
    BUF_AUTO plain = BUF(ROOM);
    BUF_AUTO out = BUF(ROOM);
    const struct link_field type = { BYTES_LIT(FIELD_CONTENT_TYPE),
                                     BYTES_LIT(MEDIA_OHTTP_CHUNKED_RES) };
    CHECK_OK(ohttp_server_new(&server, OHTTP_CHUNKED, w->keys));
    CHECK_OK(ohttp_server_open(server, sealed, true, &plain, &step));
    CHECK(step == OHTTP_DONE);
    read_inner(w, buf_view(&plain));
    buf_truncate(&plain, 0);
    write_inner(w, &plain);
    CHECK_OK(ohttp_server_seal(server, buf_view(&plain), true, &out));
    CHECK_OK(link_respond(s, 200, &type, 1, false));
    CHECK_OK(link_stream_write(s, buf_view(&out), true));
    ohttp_server_free(server);
}

/* What comes on a stream is short enough to come at once. */
static void on_data(struct link_stream *s, bytes in)
{
    struct worker *w = link_stream_owner(s);
    link_stream_consume(s, in.len);
    w->asked++;
    if (w->outer != 0)
        CHECK_OK(link_respond(s, w->outer, NULL, 0, true));
    else if (w->status != 0)
        answer(w, s, in);
}

static void on_request(struct link *k, void *owner, struct link_stream *s,
                       const struct link_request *req)
{
    (void)k;
    CHECK_BYTES(req->path, BYTES_LIT(PATH_OHTTP_GATEWAY));
    link_stream_set_owner(s, owner);
}

static const struct link_events SERVER = { .request = on_request, .data = on_data };

static void open_worker(struct stage *s, size_t i)
{
    struct worker *w = &s->workers[i];
    struct hpke_private_key *key;
    struct sock_addr addr;
    const struct link_limits limits = { 0 };
    struct ohttp_key_settings settings = { .id = 9,
                                           .suites = { { HPKE_KDF_HKDF_SHA256, AEAD_AES_256_GCM } },
                                           .suites_n = 1 };
    *w = (struct worker){ .stage = s, .status = 200, .content = "{\"data\":[{\"id\":\"m\"}]}" };
    settings.not_after = 1;
    (void)snprintf(s->texts[i], sizeof s->texts[i], "unix:%s/%zu", s->folder, i);
    CHECK_OK(ohttp_keys_new(&w->keys));
    CHECK_OK(hpke_key_generate(&key, KEM_X25519_HKDF_SHA256));
    CHECK_OK(ohttp_keys_add(w->keys, &settings, key));
    CHECK_OK(sock_addr_read(bytes_str(s->texts[i]), &addr));
    CHECK_OK(link_listen(&w->listener, s->loop, &addr, NULL, &limits, &SERVER, w));
}

/* ---- the prober ---- */

static void on_found(void *owner, struct findings *findings)
{
    struct stage *s = owner;
    findings_ref(findings);
    findings_unref(s->found);
    s->found = findings;
}

static struct trusted *trusted_of(struct stage *s, size_t i, uint8_t salt)
{
    static const uint8_t document[VERDICT_DIGEST_LEN] = { 1 };
    struct key_config config;
    struct trusted *t;
    struct verdict v;
    CHECK(ohttp_keys_find(s->workers[i].keys, 9, &config));
    verdict_of(&v, &config, 1, 100);
    v.identity[1] = (uint8_t)i;
    v.identity[2] = salt;
    CHECK_OK(trusted_new(&t, s->set->at[i].place, &v, document, clock_wall_s()));
    verdict_clear(&v);
    return t;
}

/* bits: who is trusted. */
static void show(struct stage *s, unsigned bits, uint8_t salt)
{
    struct trust_view *view;
    CHECK_OK(trust_view_new(&view, s->set));
    for (size_t i = 0; i < WORKERS; i++) {
        if ((bits >> i & 1) != 0)
            view->workers[i] = trusted_of(s, i, salt);
    }
    probe_update(s->probe, view);
    trust_view_unref(view);
}

static int open_stage(void **state)
{
    struct stage *s = calloc(1, sizeof *s);
    const char *addresses[WORKERS];
    *state = s;
    CHECK_OK(loop_new(&s->loop));
    loop_hook_add(s->loop, &s->hook, 200, on_turn);
    (void)snprintf(s->folder, sizeof s->folder, "/tmp/sealgate-probe-XXXXXX");
    CHECK(mkdtemp(s->folder) != NULL);
    for (size_t i = 0; i < WORKERS; i++) {
        open_worker(s, i);
        addresses[i] = s->texts[i];
    }
    s->set = worker_set_of(NULL, addresses, WORKERS);
    const struct probe_settings settings = {
        .every_ms = EVERY_MS, .authorization = BYTES_LIT("Bearer x"), .found = on_found, .owner = s
    };
    CHECK_OK(probe_new(&s->probe, s->loop, &settings));
    return 0;
}

static int close_stage(void **state)
{
    struct stage *s = *state;
    probe_free(s->probe);
    findings_unref(s->found);
    worker_set_unref(s->set);
    for (size_t i = 0; i < WORKERS; i++) {
        link_listener_free(s->workers[i].listener);
        ohttp_keys_free(s->workers[i].keys);
        (void)unlink(s->texts[i] + sizeof "unix:" - 1);
    }
    for (int i = 0; i < 10; i++) {
        loop_stop(s->loop);
        loop_run(s->loop);
    }
    loop_hook_remove(&s->hook);
    loop_free(s->loop);
    (void)rmdir(s->folder);
    free(s);
    return 0;
}

static const struct worker_finding *finding(const struct stage *s, size_t i)
{
    uint8_t identity[VERDICT_KEY_LEN] = { 7, (uint8_t)i };
    return findings_of(s->found, i, identity);
}

static bool has(const struct stage *s, size_t i, const char *model)
{
    const struct worker_finding *f = finding(s, i);
    return f != NULL && model_list_has(&f->models, bytes_str(model));
}

static bool both_are_known(struct stage *s)
{
    return has(s, 0, "m") && has(s, 1, "m");
}

static bool second_is_sick(struct stage *s)
{
    return finding(s, 1) != NULL && finding(s, 1)->sick;
}

static bool nobody_is_sick(struct stage *s)
{
    return probe_sick(s->probe) == 0 && !second_is_sick(s);
}

static bool second_has_another(struct stage *s)
{
    return has(s, 1, "other") && !has(s, 1, "m");
}

static bool second_is_unknown(struct stage *s)
{
    return finding(s, 1) != NULL && !finding(s, 1)->models.known;
}

static bool second_was_asked_often(struct stage *s)
{
    return s->workers[1].asked >= 10;
}

/* ---- */

static void learns_the_models_and_learns_them_anew(void **state)
{
    struct stage *s = *state;
    show(s, 3, 0);
    until(s, both_are_known);
    assert_string_equal(s->workers[0].path, "/v1/models");
    assert_string_equal(s->workers[0].authorization, "Bearer x");
    s->workers[1].content = "{\"data\":[{\"id\":\"other\"}]}";
    until(s, second_has_another);
    CHECK(has(s, 0, "m") && probe_sick(s->probe) == 0);
    s->workers[1].content = "no list";
    until(s, second_is_unknown);
    CHECK(nobody_is_sick(s));
}

static void one_whose_engine_is_gone_is_sick_until_it_is_back(void **state)
{
    struct stage *s = *state;
    show(s, 3, 0);
    until(s, both_are_known);
    s->workers[1].status = 502;
    until(s, second_is_sick);
    CHECK(probe_sick(s->probe) == 1 && !finding(s, 0)->sick);
    s->workers[1].status = 200;
    until(s, nobody_is_sick);
}

static void what_an_engine_says_itself_is_no_sickness(void **state)
{
    struct stage *s = *state;
    s->workers[1].status = 404;
    show(s, 3, 0);
    until(s, second_was_asked_often);
    CHECK(nobody_is_sick(s));
    s->workers[1].outer = 421; /* a key that is over */
    s->workers[1].asked = 0;
    until(s, second_was_asked_often);
    CHECK(nobody_is_sick(s));
    s->workers[1].outer = 503;
    until(s, second_is_sick);
}

static bool first_is_known(struct stage *s)
{
    return has(s, 0, "m");
}

static void one_that_is_alone_is_not_asked(void **state)
{
    struct stage *s = *state;
    show(s, 1, 0);
    for (int i = 0; i < 10; i++) {
        loop_stop(s->loop);
        loop_run(s->loop);
    }
    CHECK(s->workers[0].asked == 0 && s->found == NULL);
    show(s, 3, 0);
    until(s, first_is_known);
    show(s, 1, 0); /* and is forgotten when the other goes */
    CHECK(finding(s, 0) == NULL);
}

static void another_process_is_asked_for_itself(void **state)
{
    struct stage *s = *state;
    show(s, 3, 0);
    until(s, both_are_known);
    s->workers[1].status = 502;
    until(s, second_is_sick);
    show(s, 3, 0);
    CHECK(probe_sick(s->probe) == 1); /* new keys of the same one */
    show(s, 3, 5);
    CHECK(probe_sick(s->probe) == 0);
}

#define ON_STAGE(test) cmocka_unit_test_setup_teardown(test, open_stage, close_stage)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_STAGE(learns_the_models_and_learns_them_anew),
        ON_STAGE(one_whose_engine_is_gone_is_sick_until_it_is_back),
        ON_STAGE(what_an_engine_says_itself_is_no_sickness),
        ON_STAGE(one_that_is_alone_is_not_asked),
        ON_STAGE(another_process_is_asked_for_itself),
    };
    if (crypto_init().code != ERR_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
