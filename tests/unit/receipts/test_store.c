#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "crypto/hash.h"
#include "crypto/init.h"
#include "receipts/store.h"
#include "tests/lib/law.h"

/* What came back, gathered on the store's thread. */
struct basket {
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct loop_mail *first;
    struct loop_mail **last;
    size_t n;
};

static struct basket basket = { .lock = PTHREAD_MUTEX_INITIALIZER,
                                .more = PTHREAD_COND_INITIALIZER };

static void to_basket(struct loop_mail *m)
{
    (void)pthread_mutex_lock(&basket.lock);
    m->next = NULL;
    if (basket.first == NULL)
        basket.last = &basket.first;
    *basket.last = m;
    basket.last = &m->next;
    basket.n++;
    (void)pthread_cond_broadcast(&basket.more);
    (void)pthread_mutex_unlock(&basket.lock);
}

static void query_to_basket(struct loop_mail *m)
{
    to_basket(m);
}

static bool is_query(const struct loop_mail *m)
{
    return m->deliver == query_to_basket;
}

static struct loop_mail *from_basket(void)
{
    (void)pthread_mutex_lock(&basket.lock);
    while (basket.first == NULL)
        (void)pthread_cond_wait(&basket.more, &basket.lock);
    struct loop_mail *m = basket.first;
    basket.first = m->next;
    basket.n--;
    (void)pthread_mutex_unlock(&basket.lock);
    return m;
}

static struct store_record *answered_record(void)
{
    return CONTAINER_OF(from_basket(), struct store_record, mail);
}

static struct store_query *answered_query(void)
{
    return CONTAINER_OF(from_basket(), struct store_query, mail);
}

/* ---- a folder for the test's files ---- */

static char folder[64];
static char path[96];

static int make_folder(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/test-store-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return 1;
    (void)snprintf(path, sizeof path, "%s/receipts.db", folder);
    return 0;
}

static void remove_file(const char *suffix)
{
    char name[128];
    (void)snprintf(name, sizeof name, "%s%s", path, suffix);
    (void)unlink(name);
}

static int remove_folder(void **state)
{
    (void)state;
    remove_file("");
    remove_file("-wal");
    remove_file("-shm");
    remove_file("-journal");
    return rmdir(folder);
}

static struct store *open_store(struct store_settings settings)
{
    struct store *s = NULL;
    if (settings.path == NULL)
        settings.path = path;
    CHECK_OK(store_open(&s, &settings));
    return s;
}

static struct store_record *record(unsigned i)
{
    char text[64];
    struct store_record *r;
    CHECK_OK(store_record_new(&r));
    r->mail.deliver = to_basket;
    (void)snprintf(r->receipt_id, sizeof r->receipt_id, "receipt-%06u", i);
    (void)snprintf(r->request_id, sizeof r->request_id, "req-%06u", i);
    (void)snprintf(r->completion_id, sizeof r->completion_id, "chatcmpl-%06u", i);
    (void)snprintf(text, sizeof text, "receipt number %u", i);
    CHECK_OK(buf_add_str(&r->receipt, text));
    CHECK_OK(buf_add_zeros(&r->receipt, 500));
    memset(r->key, (int)(i & 255), sizeof r->key);
    return r;
}

/* As a caller does that has no other. */
static void put_alone(struct store *s, struct store_record *r)
{
    store_put(s, r);
    store_wake(s);
}

static err put_and_wait(struct store *s, struct store_record *r)
{
    put_alone(s, r);
    struct store_record *back = answered_record();
    CHECK(back == r);
    err e = r->result;
    store_record_free(r);
    return e;
}

static void check_stored(struct store *s, const char *id, unsigned i)
{
    struct store_record *wanted = record(i), *got = NULL;
    CHECK_OK(store_get(s, bytes_str(id), &got));
    assert_string_equal(got->receipt_id, wanted->receipt_id);
    assert_string_equal(got->request_id, wanted->request_id);
    assert_string_equal(got->completion_id, wanted->completion_id);
    CHECK_BYTES(buf_view(&got->receipt), buf_view(&wanted->receipt));
    CHECK_BYTES(BYTES_ARRAY(got->key), BYTES_ARRAY(wanted->key));
    CHECK(got->created > 0);
    store_record_free(got);
    store_record_free(wanted);
}

static void check_gone(struct store *s, const char *id)
{
    struct store_record *got = NULL;
    CHECK_ERR(store_get(s, bytes_str(id), &got), NOT_FOUND);
    CHECK(got == NULL);
}

static struct store_stats stats_of(struct store *s)
{
    struct store_stats stats;
    store_stats(s, &stats);
    return stats;
}

/* ---- a record whose check waits for the test, so that others gather behind it ---- */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t change;
    bool entered, open;
} gate = { .lock = PTHREAD_MUTEX_INITIALIZER, .change = PTHREAD_COND_INITIALIZER };

static err wait_at_gate(struct store_record *r)
{
    (void)r;
    (void)pthread_mutex_lock(&gate.lock);
    gate.entered = true;
    (void)pthread_cond_broadcast(&gate.change);
    while (!gate.open)
        (void)pthread_cond_wait(&gate.change, &gate.lock);
    (void)pthread_mutex_unlock(&gate.lock);
    return OK;
}

/* Puts record 0 and returns when the thread is held by it, with an empty queue. */
static void hold_the_thread(struct store *s)
{
    struct store_record *r = record(0);
    r->check = wait_at_gate;
    gate.entered = false;
    gate.open = false;
    put_alone(s, r);
    (void)pthread_mutex_lock(&gate.lock);
    while (!gate.entered)
        (void)pthread_cond_wait(&gate.change, &gate.lock);
    (void)pthread_mutex_unlock(&gate.lock);
}

static void let_the_thread_go(void)
{
    (void)pthread_mutex_lock(&gate.lock);
    gate.open = true;
    (void)pthread_cond_broadcast(&gate.change);
    (void)pthread_mutex_unlock(&gate.lock);
}

static struct store_query *query(unsigned i)
{
    struct store_query *q;
    CHECK_OK(store_query_new(&q));
    q->mail.deliver = query_to_basket;
    (void)snprintf(q->id, sizeof q->id, "req-%06u", i);
    return q;
}

/* So many records and queries, all of which went well; records in their order. */
static void take_answers(unsigned records, unsigned queries)
{
    char id[32];
    unsigned records_n = 0, queries_n = 0;
    while (records_n + queries_n < records + queries) {
        struct loop_mail *m = from_basket();
        struct store_record *r = CONTAINER_OF(m, struct store_record, mail);
        struct store_query *q = CONTAINER_OF(m, struct store_query, mail);
        if (is_query(m)) {
            CHECK_OK(q->result);
            store_query_free(q);
            queries_n++;
            continue;
        }
        (void)snprintf(id, sizeof id, "receipt-%06u", records_n++);
        assert_string_equal(r->receipt_id, id);
        CHECK_OK(r->result);
        store_record_free(r);
    }
    assert_int_equal(queries_n, queries);
}

/* ---- tests ---- */

static void finds_a_record_by_each_of_its_ids(void **state)
{
    (void)state;
    struct store *s = open_store((struct store_settings){ 0 });
    for (unsigned i = 0; i < 20; i++)
        CHECK_OK(put_and_wait(s, record(i)));
    check_stored(s, "receipt-000007", 7);
    check_stored(s, "req-000007", 7);
    check_stored(s, "chatcmpl-000007", 7);
    check_gone(s, "receipt-000020");
    check_gone(s, "");
    check_gone(s, "a'; DROP TABLE receipts; --");
    store_close(s);
}

static void what_was_stored_is_there_after_opening_again(void **state)
{
    (void)state;
    struct store *s = open_store((struct store_settings){ 0 });
    CHECK_OK(put_and_wait(s, record(1)));
    store_close(s);
    s = open_store((struct store_settings){ 0 });
    check_stored(s, "req-000001", 1);
    CHECK_OK(put_and_wait(s, record(2)));
    check_stored(s, "req-000002", 2);
    store_close(s);
}

static void the_file_is_for_its_owner_only(void **state)
{
    (void)state;
    struct stat st;
    mode_t before = umask(0);
    struct store *s = open_store((struct store_settings){ 0 });
    CHECK_OK(put_and_wait(s, record(1)));
    (void)umask(before);
    CHECK(stat(path, &st) == 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    store_close(s);
}

/* What a power cut would leave: the files as they are, with nobody closing them. */
static void copy_file(const char *suffix)
{
    char from[128], to[128];
    BUF_AUTO content = BUF(1 << 24);
    (void)snprintf(from, sizeof from, "%s%s", path, suffix);
    (void)snprintf(to, sizeof to, "%s/copy.db%s", folder, suffix);
    law_read_file(&content, from);
    FILE *f = fopen(to, "wb");
    CHECK(f != NULL);
    CHECK(fwrite(content.at, 1, content.len, f) == content.len);
    (void)fclose(f);
}

static void an_answered_record_survives_a_crash(void **state)
{
    (void)state;
    char copy[96];
    struct store *s = open_store((struct store_settings){ 0 }), *t = NULL;
    CHECK_OK(put_and_wait(s, record(1)));
    copy_file("");
    copy_file("-wal");
    (void)snprintf(copy, sizeof copy, "%s/copy.db", folder);
    const struct store_settings settings = { .path = copy };
    CHECK_OK(store_open(&t, &settings));
    check_stored(t, "receipt-000001", 1);
    store_close(t);
    store_close(s);
    (void)unlink(copy);
}

static void a_receipt_id_is_stored_once(void **state)
{
    (void)state;
    struct store *s = open_store((struct store_settings){ .path = ":memory:" });
    CHECK_OK(put_and_wait(s, record(1)));
    CHECK_ERR(put_and_wait(s, record(1)), EXISTS);
    struct store_record *a = record(2), *b = record(2), *c = record(3);
    put_alone(s, a);
    put_alone(s, b);
    put_alone(s, c);
    CHECK(answered_record() == a && answered_record() == b && answered_record() == c);
    CHECK_OK(a->result);
    CHECK_ERR(b->result, EXISTS);
    CHECK_OK(c->result);
    store_record_free(a);
    store_record_free(b);
    store_record_free(c);
    check_stored(s, "receipt-000003", 3);
    store_close(s);
}

static void of_a_repeated_completion_id_the_newest_is_found(void **state)
{
    (void)state;
    struct store *s = open_store((struct store_settings){ .path = ":memory:" });
    for (unsigned i = 0; i < 5; i++) {
        struct store_record *r = record(i);
        (void)snprintf(r->completion_id, sizeof r->completion_id, "same");
        CHECK_OK(put_and_wait(s, r));
    }
    struct store_record *got = NULL;
    CHECK_OK(store_get(s, BYTES_LIT("same"), &got));
    assert_string_equal(got->receipt_id, "receipt-000004");
    store_record_free(got);
    store_close(s);
}

static void check_every_age(struct store *s)
{
    check_stored(s, "receipt-000000", 0);
    check_stored(s, "receipt-000001", 1);
    check_stored(s, "req-004095", 4095);
    check_stored(s, "chatcmpl-004096", 4096);
    check_stored(s, "chatcmpl-006143", 6143);
    check_stored(s, "req-008191", 8191);
    check_stored(s, "receipt-008999", 8999);
    check_gone(s, "receipt-009000");
}

/* More than two groups of ids, some written, some not; and a receipt id that comes again too late to
 * be noticed. */
static void records_of_every_age_are_found(void **state)
{
    enum { N = 9000 };
    (void)state;
    struct store *s = open_store((struct store_settings){ 0 });
    for (unsigned i = 0; i < N; i++)
        put_alone(s, record(i));
    take_answers(N, 0);
    check_every_age(s);
    CHECK_ERR(put_and_wait(s, record(8998)), EXISTS);
    CHECK_ERR(put_and_wait(s, record(7500)), EXISTS);
    struct store_record *again = record(1);
    (void)snprintf(again->request_id, sizeof again->request_id, "another");
    CHECK_OK(put_and_wait(s, again));
    check_every_age(s); /* the first one, not the one behind "another" */
    store_close(s);
    s = open_store((struct store_settings){ 0 });
    check_every_age(s);
    CHECK_ERR(put_and_wait(s, record(8998)), EXISTS);
    CHECK_OK(put_and_wait(s, record(9000)));
    check_stored(s, "req-009000", 9000);
    store_close(s);
}

/* A client's own id may look like another's receipt id: the receipt comes first. */
static void a_receipt_id_is_not_hidden_by_a_request_id(void **state)
{
    (void)state;
    struct store *s = open_store((struct store_settings){ .path = ":memory:" });
    CHECK_OK(put_and_wait(s, record(1)));
    struct store_record *r = record(2);
    (void)snprintf(r->request_id, sizeof r->request_id, "receipt-000001");
    (void)snprintf(r->completion_id, sizeof r->completion_id, "receipt-000001");
    CHECK_OK(put_and_wait(s, r));
    check_stored(s, "receipt-000001", 1);
    store_close(s);
}

static void empty_ids_are_no_ids(void **state)
{
    (void)state;
    struct store *s = open_store((struct store_settings){ .path = ":memory:" });
    struct store_record *r = record(1);
    r->request_id[0] = '\0';
    r->completion_id[0] = '\0';
    CHECK_OK(put_and_wait(s, r));
    check_gone(s, "");
    r = record(2);
    r->receipt_id[0] = '\0';
    CHECK_ERR(put_and_wait(s, r), MALFORMED);
    store_close(s);
}

static void a_receipt_is_bounded(void **state)
{
    (void)state;
    struct store *s = open_store((struct store_settings){ .path = ":memory:" });
    struct store_record *r = record(1);
    buf_truncate(&r->receipt, 0);
    CHECK_OK(buf_add_zeros(&r->receipt, STORE_RECEIPT_MAX));
    CHECK_OK(put_and_wait(s, r));
    r = record(2);
    buf_clear(&r->receipt);
    r->receipt = BUF(2 * STORE_RECEIPT_MAX);
    CHECK_OK(buf_add_zeros(&r->receipt, STORE_RECEIPT_MAX + 1));
    CHECK_ERR(put_and_wait(s, r), LIMIT);
    r = record(3);
    buf_truncate(&r->receipt, 0);
    CHECK_ERR(put_and_wait(s, r), MALFORMED);
    store_close(s);
}

static err refuse_odd_ones(struct store_record *r)
{
    ENSURE(r->key[0] % 2 == 0, CRYPTO);
    CHECK(store_id_set(r->completion_id, BYTES_LIT("filled-in")));
    return OK;
}

static void what_the_check_refuses_is_not_stored(void **state)
{
    (void)state;
    struct store *s = open_store((struct store_settings){ .path = ":memory:" });
    for (unsigned i = 0; i < 4; i++) {
        struct store_record *r = record(i);
        r->check = refuse_odd_ones;
        put_alone(s, r);
    }
    unsigned refused = 0;
    for (unsigned i = 0; i < 4; i++) {
        struct store_record *r = answered_record();
        bool odd = r->key[0] % 2 == 1;
        assert_string_equal(err_word(r->result), odd ? "CRYPTO" : "ok");
        assert_int_equal(r->refused, odd);
        refused += r->refused;
        store_record_free(r);
    }
    assert_int_equal(refused, 2);
    check_gone(s, "receipt-000001");
    struct store_record *got = NULL;
    CHECK_OK(store_get(s, BYTES_LIT("filled-in"), &got));
    assert_string_equal(got->receipt_id, "receipt-000002");
    store_record_free(got);
    struct store_stats stats = stats_of(s);
    assert_int_equal(stats.stored, 2);
    assert_int_equal(stats.refused, 2);
    store_close(s);
}

static err compare_the_digest(struct store_record *r)
{
    uint8_t want[SHA256_LEN];
    sha256_of(r->message, want);
    ENSURE(bytes_equal(BYTES_ARRAY(r->message_hash), BYTES_ARRAY(want)), CRYPTO);
    return OK;
}

/* Short, long and no messages, hashed together and alone. */
static void every_check_finds_the_digest_of_its_own_message(void **state)
{
    enum { N = 12, LONG = 20000 };
    (void)state;
    uint8_t *text = mem_alloc(LONG);
    CHECK(text != NULL);
    for (size_t i = 0; i < LONG; i++)
        text[i] = (uint8_t)(i * 7 + i / 256);
    struct store *s = open_store((struct store_settings){ .path = ":memory:" });
    hold_the_thread(s);
    for (unsigned i = 1; i <= N; i++) {
        struct store_record *r = record(i);
        r->check = compare_the_digest;
        r->message = bytes_of(text + i, i % 3 == 0 ? 10 * (i - 3) : LONG - 100 * i);
        put_alone(s, r);
    }
    let_the_thread_go();
    take_answers(N + 1, 0);
    store_close(s);
    mem_free(text);
}

static void records_that_gathered_share_a_transaction_and_keep_their_order(void **state)
{
    enum { N = 3 * STORE_BATCH_MAX + 1 };
    (void)state;
    struct store *s = open_store((struct store_settings){ 0 });
    hold_the_thread(s);
    for (unsigned i = 1; i <= N; i++)
        put_alone(s, record(i));
    let_the_thread_go();
    take_answers(N + 1, 0);
    check_stored(s, "receipt-001537", N);
    assert_int_equal(stats_of(s).batches, 1 + 3 + 1);
    store_close(s);
}

static void records_put_together_are_stored_when_the_store_is_woken(void **state)
{
    (void)state;
    struct store *s = open_store((struct store_settings){ .path = ":memory:" });
    store_wake(s); /* there is nothing to do */
    CHECK_OK(put_and_wait(s, record(900)));
    for (unsigned i = 0; i < 40; i++)
        store_put(s, record(i));
    store_wake(s);
    take_answers(40, 0);
    check_stored(s, "receipt-000039", 39);
    store_close(s);
}

/* store_get() finds what was put before, whether anybody woke the store for it or not. */
static void who_asks_wakes_the_store(void **state)
{
    (void)state;
    struct store *s = open_store((struct store_settings){ .path = ":memory:" });
    CHECK_OK(put_and_wait(s, record(900)));
    store_put(s, record(0));
    check_stored(s, "receipt-000000", 0);
    take_answers(1, 0);
    store_close(s);
}

static void closing_stores_and_delivers_what_is_queued(void **state)
{
    enum { N = 2000 };
    (void)state;
    struct store *s = open_store((struct store_settings){ 0 });
    for (unsigned i = 0; i < N; i++)
        store_put(s, record(i));
    store_close(s);
    assert_int_equal(basket.n, N);
    for (unsigned i = 0; i < N; i++) {
        struct store_record *r = answered_record();
        CHECK_OK(r->result);
        store_record_free(r);
    }
    s = open_store((struct store_settings){ 0 });
    check_stored(s, "receipt-001999", 1999);
    store_close(s);
    store_close(NULL);
}

static void a_full_queue_answers_with_limit(void **state)
{
    (void)state;
    struct store *s = open_store((struct store_settings){ .path = ":memory:" });
    hold_the_thread(s);
    for (unsigned i = 1; i <= STORE_QUEUE_MAX; i++)
        put_alone(s, record(i));
    assert_int_equal(stats_of(s).queued, STORE_QUEUE_MAX);
    CHECK_ERR(put_and_wait(s, record(STORE_QUEUE_MAX + 1)), LIMIT);
    for (unsigned i = 0; i < STORE_QUERIES_MAX; i++)
        store_find(s, query(i));
    struct store_query *over = query(STORE_QUERIES_MAX);
    store_find(s, over);
    CHECK(answered_query() == over);
    CHECK_ERR(over->result, LIMIT);
    store_query_free(over);
    let_the_thread_go();
    store_close(s);
    take_answers(STORE_QUEUE_MAX + 1, STORE_QUERIES_MAX);
}

static void a_full_disk_comes_back_in_the_answer(void **state)
{
    (void)state;
    struct store *s = open_store((struct store_settings){ .pages_max = 40 });
    unsigned stored = 0, failed = 0;
    for (unsigned i = 0; i < 400; i++) {
        err e = put_and_wait(s, record(i));
        stored += e.code == ERR_OK;
        failed += e.code == ERR_SYSTEM;
    }
    CHECK(stored > 50 && failed > 50);
    assert_int_equal(stored + failed, 400);
    struct store_stats stats = stats_of(s);
    assert_int_equal(stats.stored, stored);
    assert_int_equal(stats.failed, failed);
    assert_int_equal(stats.last_error, 13); /* SQLITE_FULL */
    check_stored(s, "receipt-000001", 1);
    check_gone(s, "receipt-000399");
    store_close(s);
    s = open_store((struct store_settings){ 0 });
    CHECK_OK(put_and_wait(s, record(999)));
    check_gone(s, "receipt-000399");
    store_close(s);
}

static void a_batch_that_fails_fails_for_all_its_records(void **state)
{
    enum { N = 400 };
    (void)state;
    struct store *s = open_store((struct store_settings){ .pages_max = 40 });
    for (unsigned i = 0; i < N; i++)
        put_alone(s, record(i));
    for (unsigned i = 0; i < N; i++) {
        struct store_record *r = answered_record(), *got = NULL;
        err there = store_get(s, bytes_str(r->receipt_id), &got);
        assert_int_equal(err_is_ok(r->result), err_is_ok(there));
        store_record_free(got);
        store_record_free(r);
    }
    CHECK(stats_of(s).failed > 0);
    store_close(s);
}

static void refuses_a_place_it_cannot_write(void **state)
{
    (void)state;
    struct store *s = NULL;
    const struct store_settings no_folder = { .path = "/nowhere/at/all.db" };
    CHECK_ERR(store_open(&s, &no_folder), SYSTEM);
    const struct store_settings a_folder = { .path = folder };
    CHECK_ERR(store_open(&s, &a_folder), SYSTEM);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    CHECK(fd >= 0 && write(fd, "this is no database, but long enough to be looked at", 52) == 52);
    CHECK(ftruncate(fd, 8192) == 0);
    (void)close(fd);
    const struct store_settings no_database = { .path = path };
    CHECK_ERR(store_open(&s, &no_database), SYSTEM);
    CHECK(s == NULL);
}

static void refuses_a_link_in_place_of_the_file(void **state)
{
    (void)state;
    struct store *s = NULL;
    char target[128];
    (void)snprintf(target, sizeof target, "%s/elsewhere", folder);
    CHECK(symlink(target, path) == 0);
    const struct store_settings settings = { .path = path };
    CHECK_ERR(store_open(&s, &settings), SYSTEM);
    CHECK(access(target, F_OK) != 0);
}

static void two_stores_do_not_share_a_file(void **state)
{
    (void)state;
    struct store *s = open_store((struct store_settings){ 0 }), *t = NULL;
    CHECK_OK(put_and_wait(s, record(1)));
    const struct store_settings settings = { .path = path };
    CHECK_ERR(store_open(&t, &settings), SYSTEM);
    CHECK_OK(put_and_wait(s, record(2)));
    store_close(s);
}

static void the_size_limit_has_a_least_value(void **state)
{
    (void)state;
    struct store *s = NULL;
    const struct store_settings small = { .path = ":memory:", .max_bytes = STORE_BYTES_MIN - 1 };
    CHECK_ERR(store_open(&s, &small), CONFIG);
    store_close(
        open_store((struct store_settings){ .path = ":memory:", .max_bytes = STORE_BYTES_MIN }));
}

static void the_oldest_go_when_there_are_too_many(void **state)
{
    enum { N = 6000 };
    (void)state;
    struct store *s = open_store((struct store_settings){ .max_bytes = STORE_BYTES_MIN });
    for (unsigned i = 0; i < N; i++)
        put_alone(s, record(i));
    for (unsigned i = 0; i < N; i++) {
        struct store_record *r = answered_record();
        CHECK_OK(r->result);
        store_record_free(r);
    }
    CHECK_OK(put_and_wait(s, record(N)));
    check_stored(s, "receipt-006000", 6000); /* the turn before is over now */
    struct store_stats stats = stats_of(s);
    CHECK(stats.evicted > 0);
    CHECK(stats.bytes_used <= STORE_BYTES_MIN);
    CHECK(stats.bytes_used > STORE_BYTES_MIN / 2);
    check_gone(s, "receipt-000000");
    check_gone(s, "chatcmpl-000000");
    check_stored(s, "receipt-005999", 5999);
    store_close(s);
}

static void the_old_go_when_their_time_is_over(void **state)
{
    (void)state;
    struct store_settings settings = { .max_age_s = 100 };
    struct store *s = open_store(settings);
    CHECK_OK(put_and_wait(s, record(1)));
    store_close(s);
    clock_shift_wall_s(50);
    s = open_store(settings);
    CHECK_OK(put_and_wait(s, record(2)));
    store_close(s);
    clock_shift_wall_s(120);
    s = open_store(settings);
    CHECK_OK(put_and_wait(s, record(3)));
    store_close(s);
    s = open_store(settings);
    check_gone(s, "receipt-000001");
    check_stored(s, "receipt-000002", 2);
    check_stored(s, "receipt-000003", 3);
    store_close(s);
    clock_shift_wall_s(0);
}

static struct store_query *query_evidence(struct store *s, const uint8_t hash[32])
{
    struct store_query *q;
    CHECK_OK(store_query_new(&q));
    q->mail.deliver = to_basket;
    q->kind = STORE_EVIDENCE;
    memcpy(q->evidence_hash, hash, 32);
    store_find(s, q);
    CHECK(answered_query() == q);
    return q;
}

static bool has_evidence(struct store *s, const uint8_t hash[32])
{
    struct store_query *q = query_evidence(s, hash);
    bool there = err_is_ok(q->result);
    CHECK(there || q->result.code == ERR_NOT_FOUND);
    store_query_free(q);
    return there;
}

static void evidence_is_kept_once_and_found_with_its_receipt(void **state)
{
    (void)state;
    uint8_t hash[32], expected[32];
    bytes document = BYTES_LIT("an evidence document");
    struct store *s = open_store((struct store_settings){ 0 });
    CHECK_OK(store_put_evidence(s, document, hash));
    CHECK_OK(store_put_evidence(s, document, hash));
    sha256_of(document, expected);
    CHECK_BYTES(BYTES_ARRAY(hash), BYTES_ARRAY(expected));
    struct store_record *r = record(1);
    memcpy(r->evidence_hash, hash, sizeof hash);
    put_alone(s, r);
    CHECK(answered_record() == r);
    CHECK_OK(r->result);
    CHECK(!r->evidence_missing);
    store_record_free(r);
    struct store_query *q = query_evidence(s, hash);
    CHECK_OK(q->result);
    CHECK_BYTES(buf_view(&q->evidence), document);
    store_query_free(q);
    CHECK_OK(store_query_new(&q));
    q->mail.deliver = to_basket;
    q->with_evidence = true;
    CHECK(store_id_set(q->id, BYTES_LIT("req-000001")));
    store_find(s, q);
    CHECK(answered_query() == q);
    CHECK_OK(q->result);
    CHECK_BYTES(buf_view(&q->evidence), document);
    CHECK_BYTES(BYTES_ARRAY(q->found->evidence_hash), BYTES_ARRAY(hash));
    store_query_free(q);
    store_close(s);
}

static void a_record_says_when_its_evidence_is_missing(void **state)
{
    (void)state;
    uint8_t hash[32];
    struct store *s = open_store((struct store_settings){ .path = ":memory:" });
    struct store_record *r = record(1);
    put_alone(s, r);
    CHECK(answered_record() == r);
    CHECK_OK(r->result);
    CHECK(r->evidence_missing);
    store_record_free(r);
    sha256_of(BYTES_LIT("x"), hash);
    CHECK(!has_evidence(s, hash));
    store_close(s);
}

static void put_with(struct store *s, unsigned i, const uint8_t hash[32])
{
    struct store_record *r = record(i);
    memcpy(r->evidence_hash, hash, 32);
    CHECK_OK(put_and_wait(s, r));
}

static void evidence_goes_with_the_last_receipt_that_refers_to_it(void **state)
{
    (void)state;
    uint8_t first[32], second[32], third[32];
    struct store_settings settings = { .max_age_s = 10000 };
    struct store *s = open_store(settings);
    CHECK_OK(store_put_evidence(s, BYTES_LIT("first"), first));
    CHECK_OK(store_put_evidence(s, BYTES_LIT("second"), second));
    put_with(s, 1, first);
    put_with(s, 2, second);
    store_close(s);
    clock_shift_wall_s(6000);
    s = open_store(settings);
    put_with(s, 3, first);
    CHECK(has_evidence(s, first) && has_evidence(s, second));
    store_close(s);
    clock_shift_wall_s(11000); /* one and two are too old now, three is not */
    s = open_store(settings);
    CHECK_OK(store_put_evidence(s, BYTES_LIT("third"), third));
    store_close(s);
    s = open_store(settings);
    check_gone(s, "receipt-000001");
    check_stored(s, "receipt-000003", 3);
    CHECK(has_evidence(s, first));
    CHECK(!has_evidence(s, second));
    CHECK(has_evidence(s, third)); /* new, so nobody can refer to it yet */
    store_close(s);
    clock_shift_wall_s(0);
}

static void more_documents_than_are_remembered_are_all_counted(void **state)
{
    enum { N = 30 };
    (void)state;
    uint8_t hash[N][32];
    struct store_settings settings = { .max_age_s = 10000 };
    struct store *s = open_store(settings);
    for (unsigned i = 0; i < N; i++) {
        char text[16];
        (void)snprintf(text, sizeof text, "document %u", i);
        CHECK_OK(store_put_evidence(s, bytes_str(text), hash[i]));
    }
    for (unsigned i = 0; i < N; i++)
        put_with(s, i, hash[i]);
    clock_shift_wall_s(6000);
    for (unsigned i = 0; i < 4 * N; i++) {
        struct store_record *r = record(1000 + i);
        memcpy(r->evidence_hash, hash[i % N], 32);
        put_alone(s, r);
    }
    for (unsigned i = 0; i < 4 * N; i++) {
        struct store_record *r = answered_record();
        CHECK_OK(r->result);
        CHECK(!r->evidence_missing);
        store_record_free(r);
    }
    store_close(s);
    clock_shift_wall_s(11000);
    s = open_store(settings);
    put_with(s, 5000, hash[0]);
    store_close(s);
    s = open_store(settings);
    check_gone(s, "receipt-000001");
    for (unsigned i = 0; i < N; i++)
        CHECK(has_evidence(s, hash[i]));
    store_close(s);
    clock_shift_wall_s(0);
}

static void evidence_is_bounded(void **state)
{
    (void)state;
    uint8_t hash[32];
    BUF_AUTO document = BUF(STORE_EVIDENCE_MAX + 1);
    struct store *s = open_store((struct store_settings){ .path = ":memory:" });
    CHECK_OK(buf_add_zeros(&document, STORE_EVIDENCE_MAX));
    CHECK_OK(store_put_evidence(s, buf_view(&document), hash));
    CHECK(has_evidence(s, hash));
    CHECK_OK(buf_add_zeros(&document, 1));
    CHECK_ERR(store_put_evidence(s, buf_view(&document), hash), LIMIT);
    CHECK_ERR(store_put_evidence(s, (bytes){ 0 }, hash), LIMIT);
    store_close(s);
}

struct sender {
    struct store *store;
    unsigned from;
    pthread_t thread;
};

enum { SENDERS = 4, EACH = 500 };

static void *send_records(void *arg)
{
    struct sender *me = arg;
    uint8_t hash[32];
    for (unsigned i = 0; i < EACH; i++) {
        put_alone(me->store, record(me->from + i));
        if (i % 100 == 0)
            CHECK_OK(store_put_evidence(me->store, BYTES_LIT("shared"), hash));
        if (i % 50 == 49) { /* everyone reads what they wrote */
            char id[32];
            struct store_record *got = NULL;
            (void)snprintf(id, sizeof id, "receipt-%06u", me->from + i);
            CHECK_OK(store_get(me->store, bytes_str(id), &got));
            store_record_free(got);
        }
    }
    return NULL;
}

static void many_threads_may_send_at_once(void **state)
{
    (void)state;
    struct sender senders[SENDERS];
    struct store *s = open_store((struct store_settings){ 0 });
    for (unsigned i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){ .store = s, .from = i * EACH };
        CHECK(pthread_create(&senders[i].thread, NULL, send_records, &senders[i]) == 0);
    }
    for (unsigned i = 0; i < SENDERS * EACH; i++) {
        struct store_record *r = answered_record();
        CHECK_OK(r->result);
        store_record_free(r);
    }
    for (unsigned i = 0; i < SENDERS; i++)
        (void)pthread_join(senders[i].thread, NULL);
    assert_int_equal(stats_of(s).stored, SENDERS * EACH);
    store_close(s);
}

static struct loop *mail_loop;
static unsigned mail_n;

static void on_loop_mail(struct loop_mail *m)
{
    struct store_record *r = CONTAINER_OF(m, struct store_record, mail);
    CHECK_OK(r->result);
    store_record_free(r);
    if (++mail_n == 100)
        loop_stop(mail_loop);
}

static void mail_arrives_on_the_senders_loop(void **state)
{
    (void)state;
    struct store *s = open_store((struct store_settings){ 0 });
    CHECK_OK(loop_new(&mail_loop));
    for (unsigned i = 0; i < 100; i++) {
        struct store_record *r = record(i);
        r->mail.deliver = on_loop_mail;
        r->loop = mail_loop;
        put_alone(s, r);
    }
    loop_run(mail_loop);
    assert_int_equal(mail_n, 100);
    store_close(s);
    loop_free(mail_loop);
}

static err open_and_close(void *arg)
{
    struct store *s = NULL;
    const struct store_settings settings = { .path = ":memory:" };
    (void)arg;
    TRY(store_open(&s, &settings));
    store_close(s);
    return OK;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    law_every_allocation_fails_once(open_and_close, NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(finds_a_record_by_each_of_its_ids),
        TEST(what_was_stored_is_there_after_opening_again),
        TEST(the_file_is_for_its_owner_only),
        TEST(an_answered_record_survives_a_crash),
        TEST(a_receipt_id_is_stored_once),
        TEST(of_a_repeated_completion_id_the_newest_is_found),
        TEST(records_of_every_age_are_found),
        TEST(a_receipt_id_is_not_hidden_by_a_request_id),
        TEST(empty_ids_are_no_ids),
        TEST(a_receipt_is_bounded),
        TEST(what_the_check_refuses_is_not_stored),
        TEST(every_check_finds_the_digest_of_its_own_message),
        TEST(records_that_gathered_share_a_transaction_and_keep_their_order),
        TEST(records_put_together_are_stored_when_the_store_is_woken),
        TEST(who_asks_wakes_the_store),
        TEST(closing_stores_and_delivers_what_is_queued),
        TEST(a_full_queue_answers_with_limit),
        TEST(a_full_disk_comes_back_in_the_answer),
        TEST(a_batch_that_fails_fails_for_all_its_records),
        TEST(refuses_a_place_it_cannot_write),
        TEST(refuses_a_link_in_place_of_the_file),
        TEST(two_stores_do_not_share_a_file),
        TEST(the_size_limit_has_a_least_value),
        TEST(the_oldest_go_when_there_are_too_many),
        TEST(the_old_go_when_their_time_is_over),
        TEST(evidence_is_kept_once_and_found_with_its_receipt),
        TEST(a_record_says_when_its_evidence_is_missing),
        TEST(evidence_goes_with_the_last_receipt_that_refers_to_it),
        TEST(more_documents_than_are_remembered_are_all_counted),
        TEST(evidence_is_bounded),
        TEST(many_threads_may_send_at_once),
        TEST(mail_arrives_on_the_senders_loop),
        TEST(every_allocation_may_fail),
    };
    if (crypto_init().code != ERR_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
