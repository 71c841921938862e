#include "base/clock.h"
#include "base/httpdate.h"
#include "crypto/hash.h"
#include "enclave-worker/session_private.h"
#include "wire/names.h"

static const struct door_refusal NO_KEEPER = { 503, "about:blank",
                                               "the keeper of this worker's pool does not answer" };

/* True when it may go on; else it is answered. */
static bool take_verdict(struct session *s, enum pool_verdict verdict)
{
    const struct worker *w = session_worker(s);
    metrics_add(w->metrics.block, w->metrics.pool.asked, verdict, 0, 1);
    switch (verdict) {
    case POOL_FRESH:
        return true;
    case POOL_SEEN:
        session_refuse(s, ERROR_REPLAYED, (bytes){ 0 });
        return false;
    case POOL_STALE:
        session_refuse(s, ERROR_STALE_DATE, (bytes){ 0 });
        return false;
    case POOL_UNKNOWN:
        session_refuse_unopened(s, ERR_NOT_FOUND);
        return false;
    case POOL_FULL:
    case POOL_NOTHING:
    case POOL_VERDICTS:
        break;
    }
    session_refuse_in_clear(s, &NO_KEEPER);
    return false;
}

static void on_verdict(struct pool_question *q, enum pool_verdict verdict)
{
    struct session *s = CONTAINER_OF(q, struct session, question);
    const struct worker *w = session_worker(s);
    metrics_observe_us(w->metrics.block, w->metrics.pool.seconds, 0, 0,
                       clock_steady_us() - q->asked_us);
    if (take_verdict(s, verdict) && s->state == SESSION_CHECKING)
        session_ask(s);
}

/* The keeper answers while the rest of the request arrives. */
bool session_check_pool(struct session *s)
{
    struct door *d = s->door;
    struct pool_ask question = { 0 };
    enum pool_verdict verdict;
    bytes date = kept_field(&d->request, FIELD_DATE);
    if (httpdate_read(date, &question.date).code != ERR_OK || question.date < 0) {
        session_refuse(s, ERROR_STALE_DATE, (bytes){ 0 });
        return false;
    }
    memcpy(question.tag, d->pool_tag, sizeof question.tag);
    sha256_of(d->ops->enc(d), question.digest);
    if (pool_judge(d->pool, &s->question, &question, on_verdict, &verdict))
        return take_verdict(s, verdict);
    return true;
}
