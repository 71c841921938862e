#include "api/peek.h"

#include "api/scan.h"
#include "base/text.h"

_Static_assert((int)PEEK_DEPTH_MAX == (int)SCAN_DEPTH_MAX, "one limit under two names");

/* What the members of a request were found to be; PEEK_OK is "good". */
struct findings {
    enum peek_verdict model;
    enum peek_verdict stream;
    enum peek_verdict options;
    enum peek_verdict usage;
};

static bool is_literal(enum scan_token t)
{
    return t == SCAN_TRUE || t == SCAN_FALSE || t == SCAN_NULL;
}

static void take_model(struct scan *s, enum scan_token t, struct peek *out, struct findings *f)
{
    out->model_len = 0;
    if (t == SCAN_NULL)
        f->model = PEEK_MODEL_MISSING;
    else if (t != SCAN_STRING)
        f->model = PEEK_MODEL_TYPE;
    else if (!scan_text_copy(s, out->model, sizeof out->model, &out->model_len))
        f->model = PEEK_MODEL_LONG;
    else
        f->model = out->model_len == 0 ? PEEK_MODEL_MISSING : PEEK_OK;
}

/* Goes through {"include_usage":...}; false when it is not JSON. */
static bool take_options(struct scan *s, struct peek *out, struct findings *f)
{
    enum scan_token t;
    while ((t = scan_next(s)) == SCAN_KEY) {
        bool wanted = scan_text_is(s, BYTES_LIT("include_usage"));
        t = scan_next(s);
        if (wanted) {
            out->include_usage = t == SCAN_TRUE;
            f->usage = is_literal(t) ? PEEK_OK : PEEK_INCLUDE_USAGE_TYPE;
        }
        if (!scan_skip(s, t))
            return false;
    }
    return t == SCAN_OBJECT_END;
}

/* Only a hint for routing: whoever keeps it will say what is wrong with it. */
static void take_previous(struct scan *s, enum scan_token t, struct peek *out)
{
    if (t == SCAN_NULL)
        return;
    out->previous_len = 0;
    if (t == SCAN_STRING &&
        !scan_text_copy(s, out->previous, sizeof out->previous, &out->previous_len))
        out->previous_len = 0;
}

/* An item of `input`, whose brace was read; false when it does not end as JSON. */
static bool take_item(struct scan *s, struct peek *out)
{
    enum scan_token t;
    bool reference = false;
    size_t len = 0;
    uint8_t id[PEEK_ID_MAX];
    while ((t = scan_next(s)) == SCAN_KEY) {
        bool type = scan_text_is(s, BYTES_LIT("type"));
        bool named = scan_text_is(s, BYTES_LIT("id"));
        t = scan_next(s);
        if (type && t == SCAN_STRING)
            reference = scan_text_is(s, BYTES_LIT("item_reference"));
        if (named && (t != SCAN_STRING || !scan_text_copy(s, id, sizeof id, &len)))
            len = 0;
        if (!scan_skip(s, t))
            return false;
    }
    if (reference && out->previous_len == 0) {
        memcpy(out->previous, id, len);
        out->previous_len = len;
    }
    return t == SCAN_OBJECT_END;
}

static bool take_items(struct scan *s, struct peek *out)
{
    enum scan_token t;
    while ((t = scan_next(s)) != SCAN_ARRAY_END) {
        if (t == SCAN_OBJECT ? !take_item(s, out) : !scan_skip(s, t))
            return false;
    }
    return true;
}

static bool take_member(struct scan *s, struct peek *out, struct findings *f)
{
    bool model = scan_text_is(s, BYTES_LIT("model"));
    bool stream = scan_text_is(s, BYTES_LIT("stream"));
    bool options = scan_text_is(s, BYTES_LIT("stream_options"));
    bool previous = scan_text_is(s, BYTES_LIT("previous_response_id"));
    bool background = scan_text_is(s, BYTES_LIT("background"));
    bool input = scan_text_is(s, BYTES_LIT("input"));
    enum scan_token t = scan_next(s);
    if (previous)
        take_previous(s, t, out);
    out->background |= background && t != SCAN_FALSE && t != SCAN_NULL;
    if (input && t == SCAN_ARRAY)
        return take_items(s, out);
    if (model)
        take_model(s, t, out, f);
    if (stream) {
        out->stream = t == SCAN_TRUE;
        f->stream = is_literal(t) ? PEEK_OK : PEEK_STREAM_TYPE;
    }
    if (!options)
        return scan_skip(s, t);
    out->include_usage = false;
    f->usage = PEEK_OK;
    f->options = t == SCAN_OBJECT || t == SCAN_NULL ? PEEK_OK : PEEK_STREAM_OPTIONS;
    return t == SCAN_OBJECT ? take_options(s, out, f) : scan_skip(s, t);
}

/* The first thing to complain about, in the order a person would look. */
static enum peek_verdict first_fault(const struct findings *f)
{
    const enum peek_verdict order[] = { f->model, f->stream, f->options, f->usage };
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        if (order[i] != PEEK_OK)
            return order[i];
    }
    return PEEK_OK;
}

/* The verdict on how the reading ended: `fault` if all of the input was JSON. */
static enum peek_verdict ending(struct scan *s, enum peek_verdict fault, struct peek *out)
{
    enum scan_token t = scan_next(s);
    out->offset = (size_t)(s->at - s->start);
    if (t == SCAN_END)
        return fault;
    return t == SCAN_DEEP ? PEEK_TOO_DEEP : PEEK_NOT_JSON;
}

static bool is_blank(bytes in)
{
    for (size_t i = 0; i < in.len; i++) {
        if (in.at[i] != ' ' && in.at[i] != '\n' && in.at[i] != '\t' && in.at[i] != '\r')
            return false;
    }
    return true;
}

static enum peek_verdict look(bytes body, struct peek *out)
{
    struct findings f = { PEEK_MODEL_MISSING, PEEK_OK, PEEK_OK, PEEK_OK };
    struct scan s;
    scan_init(&s, body);
    enum scan_token t = scan_next(&s);
    if (t != SCAN_OBJECT)
        return ending(&s, scan_skip(&s, t) ? PEEK_NOT_OBJECT : PEEK_NOT_JSON, out);
    while (scan_next(&s) == SCAN_KEY) {
        if (!take_member(&s, out, &f))
            break;
    }
    return ending(&s, first_fault(&f), out);
}

/* What is no JSON may be something else, which whoever it is for reads in another way. */
void peek_request(bytes body, struct peek *out)
{
    *out = (struct peek){ 0 };
    out->verdict = is_blank(body) ? PEEK_EMPTY : look(body, out);
    if (out->verdict < PEEK_NOT_OBJECT)
        *out = (struct peek){ .verdict = out->verdict, .offset = out->offset };
}

struct api_error peek_error(const struct peek *p)
{
    switch (p->verdict) {
    case PEEK_EMPTY:
    case PEEK_NOT_JSON:
    case PEEK_TOO_DEEP:
        break;
    case PEEK_NOT_OBJECT:
        return (struct api_error){ .cause = ERROR_NOT_OBJECT };
    case PEEK_MODEL_MISSING:
        return (struct api_error){ .cause = ERROR_MISSING_FIELD, .param = BYTES_LIT("model") };
    case PEEK_MODEL_TYPE:
        return (struct api_error){ .cause = ERROR_INVALID_TYPE, .param = BYTES_LIT("model") };
    case PEEK_MODEL_LONG:
        return (struct api_error){ .cause = ERROR_INVALID_VALUE, .param = BYTES_LIT("model") };
    case PEEK_STREAM_TYPE:
        return (struct api_error){ .cause = ERROR_INVALID_TYPE, .param = BYTES_LIT("stream") };
    case PEEK_STREAM_OPTIONS:
        return (struct api_error){ .cause = ERROR_INVALID_TYPE,
                                   .param = BYTES_LIT("stream_options") };
    case PEEK_INCLUDE_USAGE_TYPE:
        return (struct api_error){ .cause = ERROR_INVALID_TYPE,
                                   .param = BYTES_LIT("stream_options.include_usage") };
    case PEEK_OK:
        return (struct api_error){ .cause = ERROR_INTERNAL };
    }
    return (struct api_error){ .cause = ERROR_INVALID_JSON };
}

bool peek_is_json(bytes text)
{
    struct scan s;
    scan_init(&s, text);
    return scan_skip(&s, scan_next(&s)) && scan_next(&s) == SCAN_END;
}

/* One of choices[], whose brace was read. */
static bool take_choice(struct scan *s, struct peek_answer *out)
{
    enum scan_token t;
    uint64_t index = 0;
    bool finished = false;
    while ((t = scan_next(s)) == SCAN_KEY) {
        bool is_index = scan_text_is(s, BYTES_LIT("index"));
        bool is_finish = scan_text_is(s, BYTES_LIT("finish_reason"));
        t = scan_next(s);
        if (is_index && (t != SCAN_NUMBER || !text_u64(s->text, &index)))
            index = 0;
        if (is_finish)
            finished = t > SCAN_END && t != SCAN_NULL;
        if (!scan_skip(s, t))
            return false;
    }
    uint64_t bit = (uint64_t)1 << (index < PEEK_CHOICES_MAX ? index : PEEK_CHOICES_MAX - 1);
    out->choices |= bit;
    out->finished |= finished ? bit : 0;
    return t == SCAN_OBJECT_END;
}

/* choices: [ ... ], whose bracket was read. */
static bool take_choices(struct scan *s, struct peek_answer *out)
{
    enum scan_token t = scan_next(s);
    out->no_choices = t == SCAN_ARRAY_END;
    for (; t != SCAN_ARRAY_END; t = scan_next(s)) {
        if (!(t == SCAN_OBJECT ? take_choice(s, out) : scan_skip(s, t)))
            return false;
    }
    return true;
}

static bool take_usage(struct scan *s, struct peek_answer *out)
{
    enum scan_token t;
    out->has_usage = true;
    while ((t = scan_next(s)) == SCAN_KEY) {
        uint64_t *to = NULL;
        if (scan_text_is(s, BYTES_LIT("prompt_tokens")) ||
            scan_text_is(s, BYTES_LIT("input_tokens")))
            to = &out->prompt_tokens;
        else if (scan_text_is(s, BYTES_LIT("completion_tokens")) ||
                 scan_text_is(s, BYTES_LIT("output_tokens")))
            to = &out->answer_tokens;
        t = scan_next(s);
        if (to != NULL && (t != SCAN_NUMBER || !text_u64(s->text, to)))
            *to = 0;
        if (!scan_skip(s, t))
            return false;
    }
    return t == SCAN_OBJECT_END;
}

static void take_id(const struct scan *s, enum scan_token t, struct peek_answer *out)
{
    bool good = t == SCAN_STRING && !s->escaped && s->text.len <= PEEK_ID_MAX;
    out->id = good ? s->text : (bytes){ 0 };
}

/* The "response" of a Responses event: its id and usage. */
static bool take_response(struct scan *s, struct peek_answer *out)
{
    enum scan_token t;
    while ((t = scan_next(s)) == SCAN_KEY) {
        bool id = scan_text_is(s, BYTES_LIT("id"));
        bool usage = scan_text_is(s, BYTES_LIT("usage"));
        t = scan_next(s);
        if (id)
            take_id(s, t, out);
        if (!(usage && t == SCAN_OBJECT ? take_usage(s, out) : scan_skip(s, t)))
            return false;
    }
    return t == SCAN_OBJECT_END;
}

static bool is_terminal(const struct scan *s, enum scan_token t)
{
    return t == SCAN_STRING && (scan_text_is(s, BYTES_LIT("response.completed")) ||
                                scan_text_is(s, BYTES_LIT("response.failed")) ||
                                scan_text_is(s, BYTES_LIT("response.incomplete")));
}

/* The members that matter, by name; the value's first token was read. */
static bool take_answer_member(struct scan *s, bytes name, enum scan_token t,
                               struct peek_answer *out)
{
    if (bytes_equal(name, BYTES_LIT("choices")) && t == SCAN_ARRAY)
        return take_choices(s, out);
    if (bytes_equal(name, BYTES_LIT("usage")) && t == SCAN_OBJECT)
        return take_usage(s, out);
    if (bytes_equal(name, BYTES_LIT("response")) && t == SCAN_OBJECT)
        return take_response(s, out);
    if (bytes_equal(name, BYTES_LIT("id")))
        take_id(s, t, out);
    if (bytes_equal(name, BYTES_LIT("error")))
        out->has_error = t != SCAN_NULL;
    if (bytes_equal(name, BYTES_LIT("type")))
        out->terminal = is_terminal(s, t);
    return scan_skip(s, t);
}

void peek_answer(bytes body, struct peek_answer *out)
{
    *out = (struct peek_answer){ 0 };
    struct scan s;
    scan_init(&s, body);
    enum scan_token t = scan_next(&s);
    if (t != SCAN_OBJECT)
        return;
    while ((t = scan_next(&s)) == SCAN_KEY) {
        uint8_t plain[16];
        bytes name = s.text;
        if (s.escaped)
            name = scan_text_copy(&s, plain, sizeof plain, &name.len) ? bytes_of(plain, name.len)
                                                                      : (bytes){ 0 };
        if (!take_answer_member(&s, name, scan_next(&s), out))
            return;
    }
    out->whole = t == SCAN_OBJECT_END && scan_next(&s) == SCAN_END;
}
