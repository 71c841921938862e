#include "enclave-worker/prove.h"

#include <pthread.h>

#include "attest/own.h"
#include "base/clock.h"
#include "base/mem.h"
#include "crypto/hash.h"
#include "crypto/init.h"
#include "crypto/secret.h"
#include "crypto/sign.h"
#include "enclave-worker/gpu.h"
#include "enclave-worker/share.h"

enum { NONCE_LEN = 32 };

struct prove_job {
    struct loop_mail mail;
    struct prove *prove;
    struct prove_job *next;
    prove_fn *fn; /* NULL: forgotten. Only the loop's thread looks at it */
    void *owner;
    uint8_t nonce[BUNDLE_NONCE_MAX];
    size_t nonce_len;
    struct buf document;
    err result;
};

struct prove {
    struct loop *loop;
    struct attester *attester; /* the thread's, once it runs, as is gpu */
    const struct gpu *gpu;
    const struct signing_key *identity;
    struct buf claims;
    struct buf document;
    struct verdict verdict;
    struct share share;
    size_t jobs_n; /* not delivered yet */

    pthread_t thread;
    bool running;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t wake;
    struct prove_job *first;
    struct prove_job *last;
    bool stop;
};

static struct attester_subject subject_for(const struct prove *p, bytes nonce)
{
    return (struct attester_subject){
        .identity = bytes_of(signing_key_public(p->identity), ED25519_PK_LEN),
        .nonce = nonce,
        .claims = buf_view(&p->claims),
    };
}

static err make_document(struct prove *p, bytes nonce, struct buf *out)
{
    const struct attester_subject subject = subject_for(p, nonce);
    BUF_AUTO gpu = BUF(BUNDLE_GPU_EVIDENCE_MAX);
    TRY(gpu_evidence(p->gpu, nonce, subject.identity, &gpu));
    return attester_document_with_gpu(p->attester, &subject, buf_view(&gpu), clock_wall_s(), out);
}

static void job_free(struct prove_job *job)
{
    buf_clear(&job->document);
    mem_free(job);
}

static void deliver(struct loop_mail *mail)
{
    struct prove_job *job = CONTAINER_OF(mail, struct prove_job, mail);
    job->prove->jobs_n--;
    if (job->fn != NULL)
        job->fn(job->owner, job->result, buf_view(&job->document));
    job_free(job);
}

/* The next job, or NULL when it is time to go. */
static struct prove_job *next_job(struct prove *p)
{
    (void)pthread_mutex_lock(&p->lock);
    while (p->first == NULL && !p->stop)
        (void)pthread_cond_wait(&p->wake, &p->lock);
    struct prove_job *job = p->stop ? NULL : p->first;
    if (job != NULL) {
        p->first = job->next;
        if (p->first == NULL)
            p->last = NULL;
    }
    (void)pthread_mutex_unlock(&p->lock);
    return job;
}

static void *run(void *arg)
{
    struct prove *p = arg;
    for (struct prove_job *job; (job = next_job(p)) != NULL;) {
        job->result = make_document(p, bytes_of(job->nonce, job->nonce_len), &job->document);
        loop_post(p->loop, &job->mail);
    }
    crypto_thread_end();
    return NULL;
}

static err complain(const struct verdict *v, struct buf *message)
{
    const struct verdict_check *failed = verdict_failure(v);
    if (message != NULL && failed != NULL)
        TRY(buf_addf(message, "platform: the TEE's own evidence does not hold: %s: %s%s%s; %s",
                     failed->name, failed->subject != NULL ? failed->subject : "",
                     failed->subject != NULL ? ", " : "", failed->sentence, failed->advice));
    FAIL(UNTRUSTED);
}

/* What the document says, by the same eyes that others look at it with. */
static err read_back(struct prove *p, bytes nonce, struct buf *message)
{
    const struct attester_subject subject = subject_for(p, nonce);
    TRY(own_read(buf_view(&p->document), &subject, clock_wall_s(), &p->verdict));
    return p->verdict.accepted ? OK : complain(&p->verdict, message);
}

static err start(struct prove *p, struct buf *message)
{
    uint8_t nonce[NONCE_LEN];
    TRY(crypto_random(nonce, sizeof nonce));
    TRY(make_document(p, BYTES_ARRAY(nonce), &p->document));
    TRY(read_back(p, BYTES_ARRAY(nonce), message));
    ENSURE(pthread_mutex_init(&p->lock, NULL) == 0, SYSTEM);
    ENSURE(pthread_cond_init(&p->wake, NULL) == 0, SYSTEM);
    ENSURE(pthread_create(&p->thread, NULL, run, p) == 0, SYSTEM);
    p->running = true;
    return OK;
}

err prove_new(struct prove **out, struct loop *loop, const struct prove_settings *settings,
              struct buf *message)
{
    struct prove *p;
    err e = mem_new(&p);
    if (e.code != ERR_OK) {
        attester_free(settings->attester);
        return e;
    }
    p->loop = loop;
    p->attester = settings->attester;
    p->identity = settings->identity;
    p->gpu = settings->gpu;
    p->claims = BUF(8192);
    p->document = BUF(BUNDLE_MAX);
    uint64_t seed = 0;
    e = crypto_random(&seed, sizeof seed);
    share_init(&p->share, PROVE_PER_SECOND, PROVE_EACH_PER_SECOND, seed);
    if (e.code == ERR_OK)
        e = buf_add(&p->claims, settings->claims);
    if (e.code == ERR_OK)
        e = start(p, message);
    if (e.code != ERR_OK) {
        prove_free(p);
        return e;
    }
    *out = p;
    return OK;
}

void prove_free(struct prove *p)
{
    if (p == NULL)
        return;
    if (p->running) {
        (void)pthread_mutex_lock(&p->lock);
        p->stop = true;
        (void)pthread_cond_signal(&p->wake);
        (void)pthread_mutex_unlock(&p->lock);
        (void)pthread_join(p->thread, NULL);
        (void)pthread_cond_destroy(&p->wake);
        (void)pthread_mutex_destroy(&p->lock);
        loop_deliver(p->loop); /* answers under way look at *p */
    }
    while (p->first != NULL) {
        struct prove_job *job = p->first;
        p->first = job->next;
        job_free(job);
    }
    attester_free(p->attester);
    verdict_clear(&p->verdict);
    buf_clear(&p->claims);
    buf_clear(&p->document);
    mem_free(p);
}

bytes prove_document(const struct prove *p)
{
    return buf_view(&p->document);
}

const uint8_t *prove_digest(const struct prove *p)
{
    return p->verdict.document_digest;
}

const struct verdict *prove_verdict(const struct prove *p)
{
    return &p->verdict;
}

err prove_ask(struct prove *p, uint64_t asker, bytes nonce, prove_fn *fn, void *owner,
              struct prove_job **out)
{
    struct prove_job *job;
    ENSURE(nonce.len >= BUNDLE_NONCE_MIN && nonce.len <= BUNDLE_NONCE_MAX, MALFORMED);
    ENSURE(p->jobs_n < PROVE_JOBS_MAX && share_take(&p->share, asker, clock_steady_ms()), LIMIT);
    TRY(mem_new(&job));
    job->mail.deliver = deliver;
    job->prove = p;
    job->fn = fn;
    job->owner = owner;
    job->nonce_len = nonce.len;
    memcpy(job->nonce, nonce.at, nonce.len);
    job->document = BUF(BUNDLE_MAX);
    p->jobs_n++;

    (void)pthread_mutex_lock(&p->lock);
    if (p->last != NULL)
        p->last->next = job;
    else
        p->first = job;
    p->last = job;
    (void)pthread_cond_signal(&p->wake);
    (void)pthread_mutex_unlock(&p->lock);
    *out = job;
    return OK;
}

void prove_forget(struct prove_job *job)
{
    job->fn = NULL;
}
