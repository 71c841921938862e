#include "base/mem.h"
#include "gateway/relay_pass.h"
#include "tests/unit/gateway/relay_stage.h"

/* A client that takes as much as it likes. */
struct client {
    struct relay_pass pass;
    struct stage *stage;
    struct relay_host host;
    unsigned status;
    size_t fields_n;
    struct buf answer;
    size_t queued, taken;
    bool ended, aborted, freed, refuses;
    enum relay_end end;
};

static struct client *client_of(const struct relay_pass *p)
{
    return CONTAINER_OF(p, struct client, pass);
}

static err respond(struct relay_pass *p, unsigned status, const struct link_field *fields, size_t n)
{
    (void)fields;
    client_of(p)->status = status;
    client_of(p)->fields_n = n;
    return OK;
}

static err write_more(struct relay_pass *p, bytes data, bool end)
{
    struct client *c = client_of(p);
    ENSURE(!c->refuses, CLOSED);
    CHECK(!c->ended && !c->aborted);
    CHECK_OK(buf_add(&c->answer, data));
    c->ended = end;
    return OK;
}

static size_t queued(const struct relay_pass *p)
{
    return client_of(p)->queued;
}

static void on_taken(struct relay_pass *p, size_t n)
{
    client_of(p)->taken += n;
}

static void on_abort(struct relay_pass *p)
{
    CHECK(!client_of(p)->ended);
    client_of(p)->aborted = true;
}

static void on_free(struct relay_pass *p)
{
    CHECK(!client_of(p)->freed);
    client_of(p)->freed = true;
}

static const struct relay_client_ops OPS = { respond,  write_more, queued,
                                             on_taken, on_abort,   on_free };

static void on_settled(void *owner, const struct relay_pass *p)
{
    ((struct client *)owner)->end = p->end;
}

static void client_init(struct client *c, struct stage *s, enum relay_kind kind)
{
    *c = (struct client){ .stage = s, .answer = BUF(16 << 20) };
    c->host = (struct relay_host){ .loop = s->loop,
                                   .workers = s->all,
                                   .body_max = 8 << 20,
                                   .idle_ms = 60000,
                                   .settled = on_settled,
                                   .owner = c };
    c->pass.client = &OPS;
    c->pass.host = &c->host;
    c->pass.kind = kind;
    s->more = c;
}

static void client_done(struct client *c, bool complete, enum relay_end end)
{
    relay_pass_gone(&c->pass, complete);
    CHECK(c->freed && c->end == end);
    buf_clear(&c->answer);
}

static const struct link_field FIELDS[] = {
    { BYTES_LIT("authorization"), BYTES_LIT("Bearer secret") },
    { BYTES_LIT("content-type"), BYTES_LIT("message/ohttp-chunked-req") },
    { BYTES_LIT("x-forwarded-for"), BYTES_LIT("10.1.2.3") },
};
static const struct link_request SEALED = { .method = BYTES_LIT("POST"),
                                            .path = BYTES_LIT("/v1/ohttp"),
                                            .fields = FIELDS,
                                            .fields_n = ARRAY_LEN(FIELDS) };

static void set_tag(struct client *c, const char *tag)
{
    CHECK_OK(worker_tag_read(bytes_str(tag), &c->pass.tag));
}

static bool worker1_asked(struct stage *s)
{
    return s->workers[1].stream != NULL && s->workers[1].ended;
}

static bool answered(struct stage *s)
{
    const struct client *c = s->more;
    return c->ended || c->aborted;
}

static void a_request_goes_to_the_worker_of_its_key_and_the_answer_back(void **state)
{
    (void)state;
    static const uint8_t body[] = { 11, 'a', 'b' }; /* begins with the key's id */
    static const struct link_field fields[] = {
        { BYTES_LIT("content-type"), BYTES_LIT("message/ohttp-chunked-res") },
        { BYTES_LIT("set-cookie"), BYTES_LIT("no") },
    };
    struct stage s;
    struct client c;
    stage_up(&s);
    client_init(&c, &s, RELAY_SEALED);
    relay_pass_start(&c.pass, &SEALED);
    CHECK(s.workers[1].requests == 0);
    relay_pass_body(&c.pass, BYTES_ARRAY(body));
    relay_pass_body(&c.pass, BYTES_LIT("rest"));
    relay_pass_body_end(&c.pass);
    stage_until(&s, worker1_asked);
    CHECK(c.taken == sizeof body + 4);
    assert_string_equal(s.workers[1].target, "POST /v1/ohttp 1");
    CHECK_BYTES(buf_view(&s.workers[1].body), BYTES_LIT("\x0b"
                                                        "abrest"));
    CHECK_OK(link_respond(s.workers[1].stream, 200, fields, 2, false));
    CHECK_OK(link_stream_write(s.workers[1].stream, BYTES_LIT("first"), false));
    CHECK_OK(link_stream_write(s.workers[1].stream, BYTES_LIT("last"), true));
    stage_until(&s, answered);
    CHECK(c.status == 200 && c.fields_n == 1 && c.ended && !c.aborted);
    CHECK_BYTES(buf_view(&c.answer), BYTES_LIT("firstlast"));
    client_done(&c, true, RELAY_COMPLETE);
    stage_down(&s);
}

/* Asked and answered with so many bytes, then the worker dies. */
static void start_answer(struct stage *s, struct client *c, bytes some)
{
    client_init(c, s, RELAY_SEALED);
    relay_pass_start(&c->pass, &SEALED);
    relay_pass_body(&c->pass, BYTES_LIT("\x0b"));
    relay_pass_body_end(&c->pass);
    stage_until(s, worker1_asked);
    if (some.len == 0)
        return;
    CHECK_OK(link_respond(s->workers[1].stream, 200, NULL, 0, false));
    CHECK_OK(link_stream_write(s->workers[1].stream, some, false));
    stage_turns(s);
}

static void an_answer_that_breaks_is_broken_and_one_that_never_came_is_a_502(void **state)
{
    (void)state;
    for (int begun = 0; begun < 2; begun++) {
        struct stage s;
        struct client c;
        stage_up(&s);
        start_answer(&s, &c, begun ? BYTES_LIT("half") : (bytes){ 0 });
        link_stream_reset(s.workers[1].stream, LINK_INTERNAL);
        s.workers[1].stream = NULL;
        stage_until(&s, answered);
        CHECK(c.aborted == (begun == 1) && c.status == (begun ? 200 : 502));
        client_done(&c, !begun, begun ? RELAY_BROKEN : RELAY_COMPLETE);
        stage_down(&s);
    }
}

static bool worker1_lost(struct stage *s)
{
    return s->workers[1].lost;
}

static void requests_taken_back_at_once_cost_the_worker_nothing(void **state)
{
    (void)state;
    struct stage s;
    struct client c;
    stage_up(&s);
    for (size_t i = 0; i < 100; i++) {
        client_init(&c, &s, i % 2 == 0 ? RELAY_SEALED : RELAY_ASK);
        relay_pass_start(&c.pass, &SEALED);
        relay_pass_body(&c.pass, BYTES_LIT("\x0b body"));
        CHECK(c.pass.up.stream == NULL);
        client_done(&c, false, RELAY_LEFT);
    }
    stage_turns(&s);
    CHECK(s.workers[0].requests == 0 && s.workers[1].requests == 0);
    stage_down(&s);
}

static void a_client_that_leaves_frees_the_worker(void **state)
{
    (void)state;
    struct stage s;
    struct client c;
    stage_up(&s);
    start_answer(&s, &c, BYTES_LIT("half"));
    client_done(&c, false, RELAY_LEFT);
    stage_until(&s, worker1_lost);
    stage_down(&s);
}

static void a_client_that_does_not_read_slows_the_worker_down(void **state)
{
    (void)state;
    static uint8_t piece[64 * 1024];
    struct stage s;
    struct client c;
    size_t sent = 1;
    stage_up(&s);
    start_answer(&s, &c, BYTES_LIT("x"));
    c.queued = RELAY_HELD_MAX + 1;
    for (int i = 0; i < 64; i++) {
        if (link_stream_write(s.workers[1].stream, BYTES_ARRAY(piece), false).code == ERR_OK)
            sent += sizeof piece;
        stage_turns(&s);
    }
    CHECK(c.answer.len <= (size_t)LINK_WINDOW + sizeof piece && sent > c.answer.len);
    c.queued = 0;
    relay_pass_writable(&c.pass);
    for (int i = 0; i < 100 && c.answer.len < sent; i++)
        stage_turns(&s);
    CHECK(c.answer.len == sent);
    client_done(&c, false, RELAY_LEFT);
    stage_down(&s);
}

static void a_worker_that_does_not_read_slows_the_client_down(void **state)
{
    (void)state;
    static uint8_t piece[64 * 1024];
    struct stage s;
    struct client c;
    size_t given = 0;
    stage_up(&s);
    s.workers[1].reads = false;
    client_init(&c, &s, RELAY_SEALED);
    piece[0] = 11;
    relay_pass_start(&c.pass, &SEALED);
    while (given == c.taken) {
        relay_pass_body(&c.pass, BYTES_ARRAY(piece));
        given += sizeof piece;
        stage_turns(&s);
        CHECK(given < (size_t)4 * LINK_WINDOW);
    }
    s.workers[1].reads = true;
    link_stream_consume(s.workers[1].stream, s.workers[1].unread);
    s.workers[1].unread = 0;
    for (int i = 0; i < 100 && c.taken < given; i++)
        stage_turns(&s);
    CHECK(c.taken == given);
    client_done(&c, false, RELAY_LEFT);
    stage_down(&s);
}

static void a_request_over_the_limit_is_a_413(void **state)
{
    (void)state;
    static uint8_t piece[64 * 1024];
    struct stage s;
    struct client c;
    stage_up(&s);
    client_init(&c, &s, RELAY_SEALED);
    c.host.body_max = sizeof piece;
    piece[0] = 11;
    relay_pass_start(&c.pass, &SEALED);
    relay_pass_body(&c.pass, BYTES_ARRAY(piece));
    CHECK(c.status == 0);
    relay_pass_body(&c.pass, BYTES_LIT("x"));
    CHECK(c.status == 413 && c.ended);
    relay_pass_body(&c.pass, BYTES_LIT("more"));
    relay_pass_body_end(&c.pass);
    client_done(&c, true, RELAY_COMPLETE);
    stage_down(&s);
}

static void evidence_is_asked_for_until_a_worker_knows_it(void **state)
{
    (void)state;
    for (size_t n = 0; n <= (size_t)2 * STAGE_WORKERS + 1; n++) {
        const size_t knows = n / 2;
        const struct link_request request = { .method = BYTES_LIT("GET"),
                                              .path = BYTES_LIT("/attestation/00"),
                                              .end = n % 2 == 0 };
        struct stage s;
        struct client c;
        size_t asked = 0;
        stage_up(&s);
        for (size_t i = 0; i < STAGE_WORKERS; i++)
            s.workers[i].knows = false;
        if (knows < STAGE_WORKERS)
            s.workers[knows].knows = true;
        client_init(&c, &s, RELAY_EVIDENCE);
        relay_pass_start(&c.pass, &request);
        relay_pass_body_end(&c.pass);
        for (int i = 0; i < 50 && !c.ended; i++) {
            stage_turns(&s);
            if (knows < STAGE_WORKERS && s.workers[knows].ended && c.status == 0)
                CHECK_OK(link_respond(s.workers[knows].stream, 200, NULL, 0, true));
        }
        for (size_t i = 0; i < STAGE_WORKERS; i++)
            asked += s.workers[i].requests;
        CHECK(c.ended && c.status == (knows < STAGE_WORKERS ? 200U : 404U));
        CHECK(asked <= STAGE_WORKERS && (knows < STAGE_WORKERS || asked == STAGE_WORKERS));
        client_done(&c, true, RELAY_COMPLETE);
        stage_down(&s);
    }
}

static bool last_asked(struct stage *s)
{
    return s->workers[STAGE_WORKERS - 1].ended;
}

static void a_tag_names_the_worker_and_ends_at_the_relay(void **state)
{
    (void)state;
    static const struct link_field fields[] = {
        { BYTES_LIT(FIELD_WORKER), BYTES_LIT("0000000000000002") },
        { BYTES_LIT(FIELD_OHTTP_KEY), BYTES_LIT("no hint") },
    };
    for (int kind = 0; kind < 2; kind++) {
        const struct link_request request = { .method = BYTES_LIT("POST"),
                                              .path = BYTES_LIT("/v1/any"),
                                              .fields = fields,
                                              .fields_n = ARRAY_LEN(fields),
                                              .end = true };
        struct stage s;
        struct client c;
        stage_up_as(&s, stage_tags);
        client_init(&c, &s, kind == 0 ? RELAY_PROOF : RELAY_EHBP);
        set_tag(&c, "0000000000000002");
        relay_pass_start(&c.pass, &request);
        stage_until(&s, last_asked);
        assert_string_equal(s.workers[2].target, "POST /v1/any 1");
        CHECK_OK(link_respond(s.workers[2].stream, 200, NULL, 0, true));
        stage_until(&s, answered);
        client_done(&c, true, RELAY_COMPLETE);
        stage_down(&s);
    }
}

static void with_a_tag_that_nobody_has_it_is_a_503(void **state)
{
    (void)state;
    const struct link_request request = { .method = BYTES_LIT("POST"),
                                          .path = BYTES_LIT("/attestation"),
                                          .end = true };
    struct stage s;
    struct client c;
    stage_up_as(&s, stage_tags);
    client_init(&c, &s, RELAY_PROOF);
    set_tag(&c, "00000000000000ff");
    relay_pass_start(&c.pass, &request);
    stage_until(&s, answered);
    CHECK(c.status == 503 && c.ended);
    for (size_t i = 0; i < STAGE_WORKERS; i++)
        CHECK(s.workers[i].requests == 0);
    client_done(&c, true, RELAY_COMPLETE);
    stage_down(&s);
}

/* Receipts of a worker that was replaced refer to a document that another one may have. */
static void evidence_is_asked_of_others_than_the_one_that_is_named(void **state)
{
    (void)state;
    const struct link_request request = { .method = BYTES_LIT("GET"),
                                          .path = BYTES_LIT("/attestation/00"),
                                          .end = true };
    struct stage s;
    struct client c;
    stage_up_as(&s, stage_tags);
    s.workers[0].knows = s.workers[1].knows = false;
    client_init(&c, &s, RELAY_EVIDENCE);
    set_tag(&c, "0000000000000001");
    relay_pass_start(&c.pass, &request);
    stage_until(&s, last_asked);
    CHECK(s.workers[1].requests == 1);
    CHECK_OK(link_respond(s.workers[2].stream, 200, NULL, 0, true));
    stage_until(&s, answered);
    CHECK(c.status == 200);
    client_done(&c, true, RELAY_COMPLETE);
    stage_down(&s);
}

static void without_a_worker_it_is_a_503(void **state)
{
    (void)state;
    struct stage s;
    struct client c;
    stage_up(&s);
    for (size_t i = 0; i < STAGE_WORKERS; i++) {
        link_listener_free(s.workers[i].listener);
        s.workers[i].listener = NULL;
    }
    stage_turns(&s);
    client_init(&c, &s, RELAY_SEALED);
    relay_pass_start(&c.pass, &SEALED);
    relay_pass_body(&c.pass, BYTES_LIT("\x0b"));
    stage_until(&s, answered);
    CHECK(c.status == 503 && c.ended && c.fields_n == 3 && c.taken == 1);
    client_done(&c, true, RELAY_COMPLETE);
    stage_down(&s);
}

static void a_client_that_takes_nothing_is_broken_off(void **state)
{
    (void)state;
    struct stage s;
    struct client c;
    stage_up(&s);
    start_answer(&s, &c, BYTES_LIT("half"));
    c.refuses = true;
    CHECK_OK(link_stream_write(s.workers[1].stream, BYTES_LIT("more"), true));
    stage_until(&s, answered);
    CHECK(c.aborted && !c.ended);
    client_done(&c, false, RELAY_BROKEN);
    stage_down(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_goes_to_the_worker_of_its_key_and_the_answer_back),
        cmocka_unit_test(an_answer_that_breaks_is_broken_and_one_that_never_came_is_a_502),
        cmocka_unit_test(requests_taken_back_at_once_cost_the_worker_nothing),
        cmocka_unit_test(a_client_that_leaves_frees_the_worker),
        cmocka_unit_test(a_client_that_does_not_read_slows_the_worker_down),
        cmocka_unit_test(a_worker_that_does_not_read_slows_the_client_down),
        cmocka_unit_test(a_request_over_the_limit_is_a_413),
        cmocka_unit_test(evidence_is_asked_for_until_a_worker_knows_it),
        cmocka_unit_test(a_tag_names_the_worker_and_ends_at_the_relay),
        cmocka_unit_test(with_a_tag_that_nobody_has_it_is_a_503),
        cmocka_unit_test(evidence_is_asked_of_others_than_the_one_that_is_named),
        cmocka_unit_test(without_a_worker_it_is_a_503),
        cmocka_unit_test(a_client_that_takes_nothing_is_broken_off),
    };
    CHECK_OK(crypto_init());
    return cmocka_run_group_tests(tests, NULL, NULL);
}
