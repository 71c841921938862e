/* A sealed request is opened with the server's end of OHTTP, its answer sealed and opened again. */
#include "crypto/hpke.h"
#include "crypto/init.h"
#include "gateway/seal.h"
#include "tests/lib/law.h"

enum { ROOM = 4 << 20 };

struct scene {
    struct ohttp_keys *keys;
    struct trusted trusted;
    /* what the worker saw */
    struct buf path, content;
    size_t fields_n;
    /* what the client's side saw */
    unsigned status;
    struct buf answer, receipt;
    int completed;
};

static void set_up(struct scene *s)
{
    struct hpke_private_key *key;
    struct ohttp_key_settings settings = {
        .id = 9, .suites = { { 1, 2 }, { 1, 1 } }, .suites_n = 2, .not_after = 1
    };
    *s = (struct scene){
        .path = BUF(ROOM), .content = BUF(ROOM), .answer = BUF(ROOM), .receipt = BUF(ROOM)
    };
    CHECK_OK(crypto_init());
    CHECK_OK(ohttp_keys_new(&s->keys));
    CHECK_OK(hpke_key_generate(&key, KEM_X25519_HKDF_SHA256));
    CHECK_OK(ohttp_keys_add(s->keys, &settings, key));
    CHECK(ohttp_keys_find(s->keys, 9, &s->trusted.config));
    memcpy(s->trusted.name, "w1", 3);
}

static void tear_down(struct scene *s)
{
    ohttp_keys_free(s->keys);
    buf_clear(&s->path);
    buf_clear(&s->content);
    buf_clear(&s->answer);
    buf_clear(&s->receipt);
}

static err worker_head(void *owner, const struct bhttp_head *head)
{
    struct scene *s = owner;
    s->fields_n = head->fields_n;
    CHECK_BYTES(head->authority, BYTES_LIT("w1"));
    return buf_add(&s->path, head->path);
}

static err worker_content(void *owner, bytes piece)
{
    struct scene *s = owner;
    return buf_add(&s->content, piece);
}

static err worker_trailers(void *owner, const struct bhttp_field *fields, size_t n)
{
    (void)owner;
    (void)fields;
    CHECK(n == 0);
    return OK;
}

static const struct bhttp_events WORKER = { worker_head, worker_content, worker_trailers };

static err client_head(void *owner, const struct bhttp_head *head)
{
    struct scene *s = owner;
    s->status = head->status;
    return OK;
}

static err client_content(void *owner, bytes piece)
{
    struct scene *s = owner;
    return buf_add(&s->answer, piece);
}

static err client_complete(void *owner, bytes receipt)
{
    struct scene *s = owner;
    s->completed++;
    return buf_add(&s->receipt, receipt);
}

static const struct seal_events CLIENT = { client_head, client_content, client_complete };

static const struct bhttp_field FIELDS[] = { { BYTES_LIT("content-type"),
                                               BYTES_LIT("application/json") } };

static void seal_all(struct scene *s, bytes content, struct seal **seal, struct buf *sealed)
{
    const struct seal_request request = { .method = BYTES_LIT("POST"),
                                          .path = BYTES_LIT("/v1/x"),
                                          .fields = FIELDS,
                                          .fields_n = 1,
                                          .content = content };
    bool done = false;
    CHECK_OK(seal_new(seal, &s->trusted, &request, &CLIENT, s));
    while (!done)
        CHECK_OK(seal_next(*seal, 100000, sealed, &done));
}

static void open_all(struct scene *s, bytes sealed, struct ohttp_server **server)
{
    BUF_AUTO plain = BUF(ROOM);
    struct bhttp_reader *reader;
    enum ohttp_step step;
    CHECK_OK(ohttp_server_new(server, OHTTP_CHUNKED, s->keys));
    CHECK_OK(ohttp_server_open(*server, sealed, true, &plain, &step));
    CHECK(step == OHTTP_DONE);
    CHECK(plain.len % 1024 == 0);
    CHECK_OK(bhttp_reader_new(&reader, true, &WORKER, s));
    CHECK_OK(bhttp_reader_put(reader, buf_view(&plain)));
    CHECK_OK(bhttp_reader_end(reader));
    bhttp_reader_free(reader);
}

/* As much as fits, so that every frame of HTTP/2 can be full; never less than a chunk. */
static void fills_the_room_it_is_given(void **state)
{
    (void)state;
    static const size_t rooms[] = { 0, 1, 16404, 16405, 32768, 49212, 65536, 200000 };
    static uint8_t content[1000000];
    for (size_t i = 0; i < ARRAY_LEN(rooms); i++) {
        struct scene s;
        struct seal *seal;
        const struct seal_request request = { .method = BYTES_LIT("POST"),
                                              .path = BYTES_LIT("/v1/x"),
                                              .content = BYTES_ARRAY(content) };
        bool done = false;
        BUF_AUTO sealed = BUF(ROOM);
        set_up(&s);
        CHECK_OK(seal_new(&seal, &s.trusted, &request, &CLIENT, &s));
        CHECK_OK(seal_next(seal, rooms[i], &sealed, &done));
        buf_truncate(&sealed, 0);
        CHECK_OK(seal_next(seal, rooms[i], &sealed, &done));
        size_t least = OHTTP_CHUNK_MAX + 20;
        CHECK(sealed.len <= (rooms[i] > least ? rooms[i] : least));
        CHECK(sealed.len + 16 >= rooms[i] && sealed.len >= least - 4 && !done);
        seal_free(seal);
        tear_down(&s);
    }
}

static void a_request_of_any_size_arrives_whole(void **state)
{
    (void)state;
    static const size_t sizes[] = { 0, 1, 900, 16000, 16384, 16385, 100000, 1000000 };
    static uint8_t content[1000000];
    for (size_t i = 0; i < sizeof content; i++)
        content[i] = (uint8_t)(i * 31 >> 3);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct scene s;
        struct seal *seal;
        struct ohttp_server *server;
        BUF_AUTO sealed = BUF(ROOM);
        set_up(&s);
        seal_all(&s, bytes_of(content, sizes[i]), &seal, &sealed);
        open_all(&s, buf_view(&sealed), &server);
        CHECK_BYTES(buf_view(&s.path), BYTES_LIT("/v1/x"));
        CHECK_BYTES(buf_view(&s.content), bytes_of(content, sizes[i]));
        CHECK(s.fields_n == 1);
        ohttp_server_free(server);
        seal_free(seal);
        tear_down(&s);
    }
}

static void make_answer(struct ohttp_server *server, const char *type, struct buf *sealed)
{
    BUF_AUTO plain = BUF(ROOM);
    const struct bhttp_field fields[] = { { BYTES_LIT("content-type"), bytes_str(type) } };
    const struct bhttp_field receipt = { BYTES_LIT("receipt"), BYTES_LIT(":cmVjZWlwdA==:") };
    const struct bhttp_head head = { .status = 200, .fields = fields, .fields_n = 1 };
    CHECK_OK(bhttp_write_response_head(&plain, &head, false));
    CHECK_OK(bhttp_write_chunk(&plain, BYTES_LIT("data: 1\n\n")));
    CHECK_OK(bhttp_write_chunk(&plain, BYTES_LIT(":~fill\ndata: 2\n\n")));
    CHECK_OK(bhttp_write_content_end(&plain));
    CHECK_OK(bhttp_write_trailers(&plain, &receipt, 1, false));
    CHECK_OK(ohttp_server_seal(server, buf_view(&plain), false, sealed));
    CHECK_OK(ohttp_server_seal(server, (bytes){ 0 }, true, sealed));
}

static void run_answer(const char *type, size_t step, size_t cut, bool end, struct scene *s,
                       err *last)
{
    struct seal *seal;
    struct ohttp_server *server;
    BUF_AUTO sealed = BUF(ROOM);
    BUF_AUTO answer = BUF(ROOM);
    set_up(s);
    seal_all(s, BYTES_LIT("{}"), &seal, &sealed);
    open_all(s, buf_view(&sealed), &server);
    make_answer(server, type, &answer);
    bytes in = bytes_slice(buf_view(&answer), 0, cut < answer.len ? answer.len - cut : 0);
    *last = OK;
    while (in.len > 0 && last->code == ERR_OK) {
        *last = seal_open(seal, bytes_slice(in, 0, step), false);
        in = bytes_slice(in, step, in.len);
    }
    if (end && last->code == ERR_OK)
        *last = seal_open(seal, (bytes){ 0 }, true);
    ohttp_server_free(server);
    seal_free(seal);
}

static void an_answer_arrives_in_any_split_without_padding(void **state)
{
    (void)state;
    for (size_t step = 1; step < 300; step += step < 40 ? 1 : 53) {
        struct scene s;
        err e;
        run_answer("text/event-stream", step, 0, true, &s, &e);
        CHECK_OK(e);
        CHECK(s.status == 200 && s.completed == 1);
        CHECK_BYTES(buf_view(&s.answer), BYTES_LIT("data: 1\n\ndata: 2\n\n"));
        CHECK_BYTES(buf_view(&s.receipt), BYTES_LIT("receipt"));
        tear_down(&s);
    }
}

static void only_event_streams_have_padding_to_remove(void **state)
{
    (void)state;
    struct scene s;
    err e;
    run_answer("application/octet-stream", 4096, 0, true, &s, &e);
    CHECK_OK(e);
    CHECK_BYTES(buf_view(&s.answer), BYTES_LIT("data: 1\n\n:~fill\ndata: 2\n\n"));
    tear_down(&s);
}

static void a_cut_answer_is_never_complete(void **state)
{
    (void)state;
    for (size_t cut = 1; cut < 200; cut++) {
        struct scene s;
        err e;
        run_answer("text/event-stream", 64, cut, true, &s, &e);
        CHECK(e.code != ERR_OK && s.completed == 0);
        tear_down(&s);
    }
    struct scene s;
    err e;
    run_answer("text/event-stream", 64, 0, false, &s, &e); /* all but the end of the stream */
    CHECK_OK(e);
    CHECK(s.completed == 0);
    tear_down(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_of_any_size_arrives_whole),
        cmocka_unit_test(fills_the_room_it_is_given),
        cmocka_unit_test(an_answer_arrives_in_any_split_without_padding),
        cmocka_unit_test(only_event_streams_have_padding_to_remove),
        cmocka_unit_test(a_cut_answer_is_never_complete),
    };
    return cmocka_run_group_tests_name("gateway/seal", tests, NULL, NULL);
}
