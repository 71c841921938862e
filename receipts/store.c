/*
 * Senders append to a queue under a lock, and then wake the store's thread. It takes what is there, at most
 * STORE_BATCH_MAX records, lets each record's check speak, writes the rest as one transaction, and
 * only then sends the mail. While the disk works the next batch gathers: the slower the disk, the
 * larger the batches. Look-ups are answered after the batch, so that everyone reads what they wrote.
 *
 * A transaction succeeds or fails as one: when the disk refuses one record, no record of that batch
 * is reported as stored. A receipt id that is there already is that record's own failure.
 */
#include "receipts/store.h"

#include <pthread.h>
#include <signal.h>
#include <time.h>

#include "base/attr.h"
#include "base/clock.h"
#include "base/mem.h"
#include "crypto/hash_batch.h"
#include "receipts/store_db.h"

enum {
    IDLE_S = 30,         /* with nothing to do, what is too old is looked for that often */
    EVICT_GAP_MS = 1000, /* and at most that often otherwise */
    QUERIES_AT_ONCE = 8  /* look-ups between two batches */
};

struct queue {
    struct loop_mail *head;
    struct loop_mail **tail;
    size_t n;
};

struct document {
    struct loop_mail link;
    uint8_t hash[32];
    struct buf body;
};

/* One turn of the thread. */
struct work {
    struct queue documents;
    struct queue records;
    struct queue queries;
};

struct store {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct work waiting;      /* under lock */
    struct store_stats stats; /* under lock */
    bool closing;             /* under lock */
    bool asleep;              /* under lock: the thread waits for somebody to wake it */

    /* the thread's own */
    struct store_db *db;
    uint64_t evicted_at_ms;
};

/* ---- queues ---- */

static void queue_add(struct queue *q, struct loop_mail *m)
{
    m->next = NULL;
    if (q->head == NULL)
        q->tail = &q->head;
    *q->tail = m;
    q->tail = &m->next;
    q->n++;
}

static struct loop_mail *queue_take(struct queue *q)
{
    struct loop_mail *m = q->head;
    if (m == NULL)
        return NULL;
    q->head = m->next;
    q->n--;
    m->next = NULL;
    return m;
}

static struct queue queue_split(struct queue *from, size_t most)
{
    struct queue part = { 0 };
    for (struct loop_mail *m; part.n < most && (m = queue_take(from)) != NULL;)
        queue_add(&part, m);
    return part;
}

static struct store_record *record_of(struct loop_mail *m)
{
    return CONTAINER_OF(m, struct store_record, mail);
}

static struct store_query *query_of(struct loop_mail *m)
{
    return CONTAINER_OF(m, struct store_query, mail);
}

static struct document *document_of(struct loop_mail *m)
{
    return CONTAINER_OF(m, struct document, link);
}

/* ---- what is handed over ---- */

static void send_mail(struct loop *loop, struct loop_mail *m)
{
    if (loop != NULL)
        loop_post(loop, m);
    else
        m->deliver(m);
}

static void document_free(struct document *d)
{
    buf_clear(&d->body);
    mem_free(d);
}

/* ---- the thread: records ---- */

/* Before the mail that they are about, so that a receiver finds itself counted. */
static void count(struct store *s, struct store_stats *add)
{
    struct store_stats *to = &s->stats;
    (void)pthread_mutex_lock(&s->lock);
    to->stored += add->stored;
    to->failed += add->failed;
    to->refused += add->refused;
    to->batches += add->batches;
    to->evicted += add->evicted;
    to->found += add->found;
    to->missed += add->missed;
    to->bytes_used = store_db_bytes(s->db);
    to->last_error = store_db_error(s->db);
    (void)pthread_mutex_unlock(&s->lock);
    *add = (struct store_stats){ 0 };
}

static err accept_record(struct store_record *r)
{
    if (r->check != NULL) {
        err e = r->check(r);
        r->refused = !err_is_ok(e);
        TRY(e);
    }
    ENSURE(r->receipt.len <= STORE_RECEIPT_MAX, LIMIT);
    ENSURE(r->receipt.len > 0 && r->receipt_id[0] != '\0', MALFORMED);
    return OK;
}

/* Two at a time, as far as there are several. */
static void hash_messages(const struct queue *records)
{
    struct hash_batch batch = { 0 };
    for (struct loop_mail *m = records->head; m != NULL; m = m->next)
        hash_batch_add(&batch, &record_of(m)->hashing, record_of(m)->message);
    for (struct loop_mail *m = records->head; m != NULL; m = m->next)
        hash_batch_get(&record_of(m)->hashing, record_of(m)->message_hash);
}

/* The records that passed stay in the queue; the others move to *refused. */
static void run_checks(struct queue *records, struct queue *refused)
{
    struct queue passed = { 0 };
    hash_messages(records);
    for (struct loop_mail *m; (m = queue_take(records)) != NULL;) {
        struct store_record *r = record_of(m);
        r->result = accept_record(r);
        queue_add(err_is_ok(r->result) ? &passed : refused, m);
    }
    *records = passed;
}

static err write_all(struct store *s, struct work *w)
{
    for (struct loop_mail *m = w->documents.head; m != NULL; m = m->next)
        TRY(store_db_put_evidence(s->db, document_of(m)->hash, buf_view(&document_of(m)->body)));
    for (struct loop_mail *m = w->records.head; m != NULL; m = m->next) {
        struct store_record *r = record_of(m);
        r->result = store_db_put(s->db, r);
        if (r->result.code != ERR_EXISTS)
            TRY(r->result);
    }
    return store_db_commit(s->db);
}

static err write_batch(struct store *s, struct work *w)
{
    TRY(store_db_begin(s->db));
    err e = write_all(s, w);
    if (!err_is_ok(e))
        store_db_rollback(s->db);
    return e;
}

static void settle(struct work *w, err batch, struct store_stats *add)
{
    for (struct loop_mail *m = w->records.head; m != NULL; m = m->next) {
        struct store_record *r = record_of(m);
        if (!err_is_ok(batch))
            r->result = batch;
        if (err_is_ok(r->result))
            add->stored++;
        else
            add->failed++;
    }
    if (err_is_ok(batch))
        add->batches++;
}

static void send_records(struct queue *records)
{
    for (struct loop_mail *m; (m = queue_take(records)) != NULL;)
        send_mail(record_of(m)->loop, m);
}

static void drop_documents(struct queue *documents)
{
    for (struct loop_mail *m; (m = queue_take(documents)) != NULL;)
        document_free(document_of(m));
}

static void write_work(struct store *s, struct work *w, struct store_stats *add)
{
    struct queue refused = { 0 };
    run_checks(&w->records, &refused);
    add->refused += refused.n;
    if (w->records.n + w->documents.n > 0)
        settle(w, write_batch(s, w), add);
    count(s, add);
    send_records(&refused);
    send_records(&w->records);
    drop_documents(&w->documents);
}

/* ---- the thread: look-ups ---- */

static err look_up(struct store *s, struct store_query *q)
{
    if (q->kind == STORE_EVIDENCE)
        return store_db_find_evidence(s->db, q->evidence_hash, &q->evidence);
    TRY(store_db_find(s->db, q->id, &q->found));
    if (!q->with_evidence)
        return OK;
    err e = store_db_find_evidence(s->db, q->found->evidence_hash, &q->evidence);
    return e.code == ERR_NOT_FOUND ? OK : e;
}

static void answer_queries(struct store *s, struct queue *queries, struct store_stats *add)
{
    for (struct loop_mail *m; (m = queue_take(queries)) != NULL;) {
        struct store_query *q = query_of(m);
        q->result = look_up(s, q);
        if (err_is_ok(q->result))
            add->found++;
        else
            add->missed++;
        count(s, add);
        send_mail(q->loop, m);
    }
}

/* ---- the thread: its turns ---- */

/* What goes wrong here is in the numbers; the records that matter have been answered for. */
static void tidy(struct store *s, const struct store_settings *limits, struct store_stats *add)
{
    uint64_t n, now = clock_steady_ms();
    bool over = limits->max_bytes > 0 && store_db_bytes(s->db) > limits->max_bytes;
    if (over || now - s->evicted_at_ms >= EVICT_GAP_MS) {
        s->evicted_at_ms = now;
        if (err_is_ok(store_db_evict(s->db, &n)))
            add->evicted += n;
    }
    (void)store_db_settle(s->db);
}

static bool nothing_waits(const struct store *s)
{
    const struct work *w = &s->waiting;
    return w->documents.n + w->records.n + w->queries.n == 0;
}

/* With the lock held. False: closing, and nothing is left. An empty *out: time to tidy. */
static bool wait_for_work(struct store *s, struct work *out)
{
    struct timespec until = { .tv_sec = (time_t)(clock_steady_ms() / 1000) + IDLE_S };
    int timed_out = 0;
    s->asleep = nothing_waits(s) && !s->closing;
    while (s->asleep && timed_out == 0)
        timed_out = pthread_cond_timedwait(&s->wake, &s->lock, &until);
    s->asleep = false;
    if (nothing_waits(s) && s->closing)
        return false;
    out->documents = queue_split(&s->waiting.documents, STORE_EVIDENCE_QUEUE_MAX);
    out->records = queue_split(&s->waiting.records, STORE_BATCH_MAX);
    out->queries = queue_split(&s->waiting.queries, QUERIES_AT_ONCE);
    return true;
}

struct start {
    struct store *store;
    struct store_settings settings;
};

static void *run(void *arg)
{
    struct start start = *(struct start *)arg;
    struct store *s = start.store;
    struct work work = { 0 };
    mem_free(arg);
    (void)pthread_mutex_lock(&s->lock);
    while (wait_for_work(s, &work)) {
        struct store_stats add = { 0 };
        (void)pthread_mutex_unlock(&s->lock);
        write_work(s, &work, &add);
        answer_queries(s, &work.queries, &add);
        tidy(s, &start.settings, &add);
        count(s, &add);
        (void)pthread_mutex_lock(&s->lock);
    }
    (void)pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* Signals are for the programs' own threads. */
static err start_thread(struct store *s, const struct store_settings *settings)
{
    struct start *start;
    sigset_t all, before;
    TRY(mem_new(&start));
    start->store = s;
    start->settings = *settings;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&s->thread, NULL, run, start);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed != 0)
        mem_free(start);
    ENSURE(failed == 0, SYSTEM);
    return OK;
}

static err init_lock(struct store *s)
{
    pthread_condattr_t attr;
    ENSURE(pthread_condattr_init(&attr) == 0, SYSTEM);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&s->lock, NULL);
    (void)pthread_cond_init(&s->wake, &attr);
    (void)pthread_condattr_destroy(&attr);
    return OK;
}

static void release(struct store *s)
{
    store_db_close(s->db);
    (void)pthread_cond_destroy(&s->wake);
    (void)pthread_mutex_destroy(&s->lock);
    mem_free(s);
}

err store_open(struct store **out, const struct store_settings *settings)
{
    struct store *s;
    TRY(mem_new(&s));
    err e = init_lock(s);
    if (!err_is_ok(e)) {
        mem_free(s);
        return e;
    }
    e = store_db_open(&s->db, settings);
    if (err_is_ok(e)) {
        s->stats.bytes_used = store_db_bytes(s->db);
        e = start_thread(s, settings);
    }
    if (!err_is_ok(e)) {
        release(s);
        return e;
    }
    *out = s;
    return OK;
}

void store_close(struct store *store)
{
    if (store == NULL)
        return;
    (void)pthread_mutex_lock(&store->lock);
    store->closing = true;
    (void)pthread_mutex_unlock(&store->lock);
    store_wake(store);
    (void)pthread_join(store->thread, NULL);
    release(store);
}

/* ---- callers ---- */

void store_wake(struct store *store)
{
    (void)pthread_mutex_lock(&store->lock);
    bool must_wake = store->asleep && (!nothing_waits(store) || store->closing);
    if (must_wake)
        store->asleep = false;
    (void)pthread_mutex_unlock(&store->lock);
    if (must_wake)
        (void)pthread_cond_signal(&store->wake);
}

/* False when the queue is full. */
static bool enqueue(struct store *s, struct queue *q, struct loop_mail *m, size_t most)
{
    (void)pthread_mutex_lock(&s->lock);
    bool fits = q->n < most;
    if (fits)
        queue_add(q, m);
    (void)pthread_mutex_unlock(&s->lock);
    return fits;
}

void store_put(struct store *store, struct store_record *record)
{
    if (enqueue(store, &store->waiting.records, &record->mail, STORE_QUEUE_MAX))
        return;
    record->result = (err){ ERR_LIMIT };
    send_mail(record->loop, &record->mail);
}

err store_put_evidence(struct store *store, bytes document, uint8_t hash[static 32])
{
    struct document *d;
    sha256_of(document, hash);
    ENSURE(document.len > 0 && document.len <= STORE_EVIDENCE_MAX, LIMIT);
    TRY(mem_new(&d));
    d->body = BUF(STORE_EVIDENCE_MAX);
    memcpy(d->hash, hash, sizeof d->hash);
    err e = buf_add(&d->body, document);
    if (err_is_ok(e) &&
        !enqueue(store, &store->waiting.documents, &d->link, STORE_EVIDENCE_QUEUE_MAX))
        e = (err){ ERR_LIMIT };
    if (!err_is_ok(e))
        document_free(d);
    else
        store_wake(store);
    return e;
}

void store_find(struct store *store, struct store_query *query)
{
    if (enqueue(store, &store->waiting.queries, &query->mail, STORE_QUERIES_MAX)) {
        store_wake(store);
        return;
    }
    query->result = (err){ ERR_LIMIT };
    send_mail(query->loop, &query->mail);
}

struct wait {
    pthread_mutex_t lock;
    pthread_cond_t answered;
    bool done;
};

static void on_answer(struct loop_mail *m)
{
    struct wait *w = query_of(m)->owner;
    (void)pthread_mutex_lock(&w->lock);
    w->done = true;
    (void)pthread_cond_signal(&w->answered);
    (void)pthread_mutex_unlock(&w->lock);
}

static err ask_and_wait(struct store *store, struct store_query *q)
{
    struct wait w = { .lock = PTHREAD_MUTEX_INITIALIZER, .answered = PTHREAD_COND_INITIALIZER };
    q->mail.deliver = on_answer;
    q->owner = &w;
    store_find(store, q);
    (void)pthread_mutex_lock(&w.lock);
    while (!w.done)
        (void)pthread_cond_wait(&w.answered, &w.lock);
    (void)pthread_mutex_unlock(&w.lock);
    return q->result;
}

err store_get(struct store *store, bytes any_id, struct store_record **out)
{
    struct store_query *q;
    TRY(store_query_new(&q));
    err e = store_id_set(q->id, any_id) ? ask_and_wait(store, q) : (err){ ERR_NOT_FOUND };
    if (err_is_ok(e)) {
        *out = q->found;
        q->found = NULL;
    }
    store_query_free(q);
    return e;
}

void store_stats(struct store *store, struct store_stats *out)
{
    (void)pthread_mutex_lock(&store->lock);
    *out = store->stats;
    out->queued = store->waiting.records.n;
    (void)pthread_mutex_unlock(&store->lock);
}
