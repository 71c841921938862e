#include "gateway/evidence.h"

#include "attest/collateral.h"
#include "attest/utc.h"
#include "base/attr.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"

/* One request. Large: not for the stack. */
struct question {
    struct json *body;
    struct buf evidence;
    struct buf user_data;
    struct buf collateral[APPRAISE_COLLATERAL_MAX];
    struct appraise_settings settings;
    struct appraisal report;
    struct buf *out;
    struct api_error *error;
};

static bool complain(struct question *q, enum error_cause cause, const char *param)
{
    *q->error = (struct api_error){ .cause = cause, .param = bytes_str(param) };
    return false;
}

static bool is_given(const struct json *value)
{
    return json_kind(value) != JSON_KIND_NONE && json_kind(value) != JSON_KIND_NULL;
}

static bool decode(struct question *q, const struct json *value, const char *param, struct buf *to)
{
    bytes text;
    *to = BUF(EVIDENCE_BODY_MAX);
    if (!json_text(value, &text))
        return complain(q, ERROR_INVALID_TYPE, param);
    err e = text_base64_decode(to, text);
    if (err_is_ok(e))
        return true;
    return complain(q, e.code == ERR_NOMEM ? ERROR_INTERNAL : ERROR_INVALID_VALUE, param);
}

static bool read_evidence(struct question *q, const struct json *value)
{
    if (!is_given(value))
        return complain(q, ERROR_MISSING_FIELD, "evidence");
    return decode(q, value, "evidence", &q->evidence);
}

static bool read_platform(struct question *q, const struct json *value)
{
    bytes word;
    if (!is_given(value))
        return true;
    if (!json_text(value, &word))
        return complain(q, ERROR_INVALID_TYPE, "platform");
    return appraise_platform_read(word, &q->settings.platform) ||
           complain(q, ERROR_INVALID_VALUE, "platform");
}

static bool read_user_data(struct question *q, const struct json *value)
{
    if (!is_given(value))
        return true;
    q->settings.ask_user_data = true;
    if (!decode(q, value, "user_data", &q->user_data))
        return false;
    q->settings.user_data = buf_view(&q->user_data);
    return true;
}

static bool add_collateral(struct question *q, const struct json *value)
{
    size_t n = q->settings.collateral_n;
    if (n == APPRAISE_COLLATERAL_MAX)
        return complain(q, ERROR_INVALID_VALUE, "collateral");
    if (!decode(q, value, "collateral", &q->collateral[n]))
        return false;
    if (collateral_list_as_der(&q->collateral[n]).code != ERR_OK)
        return complain(q, ERROR_INTERNAL, "collateral");
    q->settings.collateral[q->settings.collateral_n++] = buf_view(&q->collateral[n]);
    return true;
}

static bool read_collateral(struct question *q, const struct json *value)
{
    if (!is_given(value))
        return true;
    if (json_kind(value) != JSON_KIND_ARRAY)
        return add_collateral(q, value);
    for (size_t i = 0; i < json_len(value); i++) {
        if (!add_collateral(q, json_at(value, i)))
            return false;
    }
    return true;
}

static bool read_max_age(struct question *q, const struct json *value)
{
    if (!is_given(value))
        return true;
    if (!json_i64(value, &q->settings.max_age_s))
        return complain(q, ERROR_INVALID_TYPE, "max_age");
    return q->settings.max_age_s >= 0 || complain(q, ERROR_INVALID_VALUE, "max_age");
}

static bool read_at(struct question *q, const struct json *value)
{
    bytes text;
    if (!is_given(value))
        return true;
    if (json_text(value, &text))
        return utc_read(text, &q->settings.now) || complain(q, ERROR_INVALID_VALUE, "at");
    if (!json_i64(value, &q->settings.now))
        return complain(q, ERROR_INVALID_TYPE, "at");
    return q->settings.now >= 0 || complain(q, ERROR_INVALID_VALUE, "at");
}

static const struct {
    const char *key;
    bool (*read)(struct question *q, const struct json *value); /* value NULL: not there */
} FIELDS[] = {
    { "evidence", read_evidence },   { "platform", read_platform },
    { "user_data", read_user_data }, { "collateral", read_collateral },
    { "max_age", read_max_age },     { "at", read_at },
};

/* The first key that means nothing here is named. */
static bool has_only_known_keys(struct question *q)
{
    for (struct json_pair p = { 0 }; json_next(q->body, &p);) {
        bool known = false;
        for (size_t i = 0; i < ARRAY_LEN(FIELDS); i++)
            known = known || bytes_equal(p.key, bytes_str(FIELDS[i].key));
        if (!known && err_is_ok(buf_add(q->out, p.key)))
            return complain(q, ERROR_UNSUPPORTED_PARAMETER, buf_str(q->out));
        if (!known)
            return complain(q, ERROR_INTERNAL, NULL);
    }
    return true;
}

static bool read_body(struct question *q, bytes body)
{
    err e = json_read(&q->body, body, EVIDENCE_DEPTH_MAX);
    if (!err_is_ok(e))
        return complain(q, e.code == ERR_NOMEM ? ERROR_INTERNAL : ERROR_INVALID_JSON, NULL);
    if (json_kind(q->body) != JSON_KIND_OBJECT)
        return complain(q, ERROR_NOT_OBJECT, NULL);
    if (!has_only_known_keys(q))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(FIELDS); i++) {
        if (!FIELDS[i].read(q, json_get(q->body, FIELDS[i].key)))
            return false;
    }
    return true;
}

static bool judge(struct question *q)
{
    err e = appraise(buf_view(&q->evidence), &q->settings, &q->report);
    if (err_is_ok(e))
        e = appraise_json(&q->report, q->out);
    return err_is_ok(e) || complain(q, ERROR_INTERNAL, NULL);
}

static void question_free(struct question *q)
{
    json_free(q->body);
    appraise_clear(&q->report);
    buf_clear(&q->evidence);
    buf_clear(&q->user_data);
    for (size_t i = 0; i < APPRAISE_COLLATERAL_MAX; i++)
        buf_clear(&q->collateral[i]);
    mem_free(q);
}

bool evidence_answer(bytes body, int64_t now, struct buf *out, struct api_error *error)
{
    struct question *q;
    if (!err_is_ok(mem_new(&q))) {
        *error = (struct api_error){ .cause = ERROR_INTERNAL };
        return false;
    }
    q->out = out;
    q->error = error;
    q->settings.now = now;
    bool fine = read_body(q, body) && judge(q);
    question_free(q);
    return fine;
}
