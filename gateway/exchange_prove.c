/*
 * The receipt of a complete answer: verified and stored before the answer's end is released.
 */
#include "base/clock.h"
#include "base/text.h"
#include "gateway/exchange_private.h"
#include "receipts/check.h"
#include "wire/names.h"

enum { SKEW_S = 300 /* a worker's clock against ours */ };

/* On the store's thread; nobody changes what is read here while the record is there. */
static err check_receipt(struct store_record *record)
{
    const struct exchange *x = record->owner;
    struct air_report report;
    uint8_t raw[AIR_NONCE_MAX];
    char id[AIR_ID_LEN + 1];
    struct buf nonce = { .max = sizeof raw };
    TRY(text_base64url_decode(&nonce, kept_field(&x->request, FIELD_RECEIPT_NONCE)));
    const struct air_policy policy = {
        .now = clock_wall_s(),
        .clock_skew_s = SKEW_S,
        .max_age_s = SKEW_S,
        .request_hash = BYTES_ARRAY(record->message_hash),
        .response_hash = BYTES_ARRAY(x->response_hash),
        .attestation_doc_hash = BYTES_ARRAY(x->trusted->document),
        .allow_evaluation = x->trusted->evaluation,
        .nonce = buf_view(&nonce),
    };
    air_check(buf_view(&record->receipt), BYTES_ARRAY(x->trusted->identity), &policy, &report);
    buf_clear(&nonce);
    ENSURE(report.verified, UNTRUSTED);
    ENSURE(trusted_mismatch(x->trusted, &report.claims) == NULL, UNTRUSTED);
    air_id(&report.claims, id);
    ENSURE(bytes_equal(bytes_str(id), kept_field(&x->answer, FIELD_RECEIPT_ID)), UNTRUSTED);
    memcpy(record->receipt_id, id, sizeof id);
    return OK;
}

static void on_stored(struct loop_mail *mail)
{
    struct store_record *record = CONTAINER_OF(mail, struct store_record, mail);
    struct exchange *x = record->owner;
    struct shard *s = x->guest.shard;
    const struct shard_common *common = s->common;
    err result = record->result;
    enum metering_receipt outcome = result.code == ERR_OK ? METERING_STORED
                                    : record->refused     ? METERING_NOT_VERIFIED
                                                          : METERING_NOT_STORED;
    metrics_add(s->block, common->metering->receipts, outcome, 0, 1);
    if (result.code != ERR_OK && record->refused)
        LOG_ERROR(common->log, "receipt refused", F_ERR(result));
    else if (result.code != ERR_OK)
        LOG_ERROR(common->log, "receipt cannot be stored; is the disk full?", F_ERR(result));
    x->record = NULL;
    store_record_free(record);
    exchange_fail(x, ERROR_RECEIPT_FAILED, result.code == ERR_OK ? ON_PROVED : ON_UNPROVED);
}

static void on_turn_proved(struct loop_task *t)
{
    store_wake(CONTAINER_OF(t, struct shard, proved)->common->store);
}

static err hand_to_store(struct exchange *x)
{
    struct shard *s = x->guest.shard;
    struct store_record *record;
    TRY(store_record_new(&record));
    record->mail.deliver = on_stored;
    record->loop = s->loop;
    record->check = check_receipt;
    record->owner = x;
    record->message = buf_view(&x->body);
    memcpy(record->key, x->trusted->identity, sizeof record->key);
    memcpy(record->evidence_hash, x->trusted->document, sizeof record->evidence_hash);
    (void)store_id_set(record->request_id, bytes_str(x->guest.id));
    /* A response's id finds the receipt of its making, not those of its reading. */
    if (x->guest.route != ROUTE_RESPONSE)
        (void)store_id_set(record->completion_id, outlet_id(&x->outlet));
    err e = buf_add(&record->receipt, buf_view(&x->receipt));
    if (e.code != ERR_OK) {
        store_record_free(record);
        return e;
    }
    x->record = record;
    store_put(s->common->store, record);
    loop_defer(s->loop, &s->proved, on_turn_proved);
    return OK;
}

/* Errors of the worker's own making come without a receipt, and say so by having no id of one. */
static bool needs_no_receipt(const struct exchange *x)
{
    return x->answer.head.status >= 400 && x->receipt.len == 0 &&
           kept_field(&x->answer, FIELD_RECEIPT_ID).len == 0;
}

/* A stream that has said all on both sides closes by itself, in a moment. When the worker answered
 * before it had the whole request, the rest is not sent any more. */
void exchange_do_prove(struct exchange *x)
{
    if (!x->sealed_all)
        exchange_give_up_stream(x);
    exchange_leave_worker(x);
    loop_timer_stop(&x->timer);
    transcript_end(&x->outlet.transcript, x->response_hash);
    if (needs_no_receipt(x)) {
        exchange_fire(x, ON_PROVED);
        return;
    }
    if (x->receipt.len == 0 || hand_to_store(x).code != ERR_OK) {
        metrics_add(x->guest.shard->block, exchange_common(x)->metering->receipts,
                    METERING_NOT_VERIFIED, 0, 1);
        LOG_ERROR(exchange_common(x)->log, "receipt missing");
        exchange_fail(x, ERROR_RECEIPT_FAILED, ON_UNPROVED);
    }
}
