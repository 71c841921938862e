#include "api/error.h"

#include <stdio.h>
#include <string.h>

#include "base/attr.h"
#include "base/text.h"

/* How a client is to try again; SDKs obey x-should-retry before they look at the status. */
enum retry { RETRY_AS_USUAL, RETRY_NEVER, RETRY_LATER };

/*
 * In a message, '@' is the place of `about`, and '#' that of `param`, each put in quotes. Without
 * one, the word and the blank behind it are left out.
 */
struct row {
    unsigned status;
    enum retry retry;
    bool closes; /* the connection cannot be used any further */
    const char *type;
    struct word code;
    const char *message;
};

#define INVALID "invalid_request_error"
#define SERVER "server_error"
#define UNAVAILABLE "service_unavailable_error"
#define ATTESTATION "attestation_error"

static const struct row rows[ERROR_CAUSES] = {
    [ERROR_INTERNAL] = { 500, RETRY_AS_USUAL, false, SERVER, WORD_INIT("internal_error"),
                         "The gateway failed to handle this request." },
    [ERROR_BAD_REQUEST] = { 400, RETRY_AS_USUAL, true, INVALID, WORD_INIT("bad_request"),
                            "The request is not well-formed HTTP." },
    [ERROR_INVALID_JSON] = { 400, RETRY_AS_USUAL, false, INVALID, WORD_INIT("invalid_json"),
                             "The body of the request could not be read as JSON (UTF-8, one value, "
                             "nested at most 128 deep)." },
    [ERROR_NOT_OBJECT] = { 400, RETRY_AS_USUAL, false, INVALID, WORD_INIT("invalid_type"),
                           "The body of the request must be a JSON object." },
    [ERROR_MISSING_FIELD] = { 400, RETRY_AS_USUAL, false, INVALID,
                              WORD_INIT("missing_required_parameter"),
                              "Missing required parameter: # must be given." },
    [ERROR_INVALID_TYPE] = { 400, RETRY_AS_USUAL, false, INVALID, WORD_INIT("invalid_type"),
                             "Invalid type: the parameter # is not of the type it must have." },
    [ERROR_INVALID_VALUE] = { 400, RETRY_AS_USUAL, false, INVALID, WORD_INIT("invalid_value"),
                              "Invalid value: the parameter # @ is outside what is allowed." },
    [ERROR_UNSUPPORTED_PARAMETER] = { 400, RETRY_AS_USUAL, false, INVALID,
                                      WORD_INIT("unsupported_parameter"),
                                      "Unsupported parameter: # @ cannot be honoured here." },
    [ERROR_BACKGROUND] = { 400, RETRY_AS_USUAL, false, INVALID, WORD_INIT("unsupported_parameter"),
                           "Unsupported parameter: # cannot be true for a key that has limits of "
                           "tokens or of requests at a time; what is made in the background could "
                           "not be counted here." },
    [ERROR_CONTEXT_LENGTH] = { 400, RETRY_AS_USUAL, false, INVALID,
                               WORD_INIT("context_length_exceeded"),
                               "The input is longer than the model's context." },
    [ERROR_STALE_DATE] = { 400, RETRY_AS_USUAL, false, INVALID, WORD_INIT("stale_date"),
                           "The date of the sealed request is outside the window that is accepted; "
                           "the clocks of the two sides differ too much." },
    [ERROR_NO_API_KEY] = { 401, RETRY_AS_USUAL, false, INVALID, WORD_INIT("invalid_api_key"),
                           "No API key was given. Send it as: Authorization: Bearer KEY." },
    [ERROR_BAD_API_KEY] = { 401, RETRY_AS_USUAL, false, INVALID, WORD_INIT("invalid_api_key"),
                            "The API key is not valid." },
    [ERROR_MODEL_NOT_ALLOWED] = { 403, RETRY_AS_USUAL, false, "permission_error",
                                  WORD_INIT("model_not_allowed"),
                                  "The model @ is not allowed for this key." },
    [ERROR_HOST_NOT_ALLOWED] = { 403, RETRY_AS_USUAL, false, "permission_error",
                                 WORD_INIT("host_not_allowed"),
                                 "The Host field of the request names none of the hosts this "
                                 "gateway answers for." },
    [ERROR_ORIGIN_NOT_ALLOWED] = { 403, RETRY_AS_USUAL, false, "permission_error",
                                   WORD_INIT("origin_not_allowed"),
                                   "This gateway takes no requests from web pages of that origin. "
                                   "The setting cors_origins names those it does." },
    [ERROR_SEAL_REQUIRED] = { 403, RETRY_AS_USUAL, false, INVALID, WORD_INIT("seal_required"),
                              "API requests are taken here only in sealed form. Send them to a "
                              "Sealgate "
                              "gateway." },
    [ERROR_MODEL_NOT_FOUND] = { 404, RETRY_AS_USUAL, false, INVALID, WORD_INIT("model_not_found"),
                                "The model @ does not exist or is not served here." },
    [ERROR_UNKNOWN_URL] = { 404, RETRY_AS_USUAL, false, INVALID, WORD_INIT("unknown_url"),
                            "Invalid URL: @ is not known here." },
    [ERROR_NOT_FOUND] = { 404, RETRY_AS_USUAL, false, INVALID, WORD_INIT("not_found"),
                          "Nothing with the id @ was found." },
    [ERROR_NO_PREVIOUS] = { 404, RETRY_AS_USUAL, false, INVALID,
                            WORD_INIT("previous_response_not_found"),
                            "The previous response @ is not kept here, or no longer." },
    [ERROR_METHOD] = { 405, RETRY_AS_USUAL, false, INVALID, WORD_INIT("method_not_supported"),
                       "The method of @ is not supported for this path." },
    [ERROR_REQUEST_TIMEOUT] = { 408, RETRY_AS_USUAL, true, INVALID, WORD_INIT("request_timeout"),
                                "The request did not arrive in time." },
    [ERROR_REPLAYED] = { 409, RETRY_NEVER, false, INVALID, WORD_INIT("replayed_request"),
                         "This sealed request was seen before and was not acted on." },
    [ERROR_TOO_LARGE] = { 413, RETRY_AS_USUAL, true, INVALID, WORD_INIT("request_too_large"),
                          "The body of the request is larger than is accepted here." },
    [ERROR_MEDIA_TYPE] = { 415, RETRY_AS_USUAL, false, INVALID, WORD_INIT("unsupported_media_type"),
                           "The content type of the request must be application/json." },
    [ERROR_CONTENT_ENCODING] = { 415, RETRY_AS_USUAL, false, INVALID,
                                 WORD_INIT("unsupported_media_type"),
                                 "The body of the request must be sent without a content "
                                 "encoding." },
    [ERROR_HEAD_TOO_LARGE] = { 431, RETRY_AS_USUAL, true, INVALID,
                               WORD_INIT("request_header_too_large"),
                               "The header of the request is larger than is accepted here." },
    [ERROR_RATE_LIMIT] = { 429, RETRY_LATER, false, "rate_limit_error",
                           WORD_INIT("rate_limit_exceeded"),
                           "Too many requests; try again later." },
    [ERROR_QUOTA] = { 429, RETRY_NEVER, false, "insufficient_quota",
                      WORD_INIT("insufficient_quota"), "The quota of this key is used up." },
    [ERROR_NO_ATTESTED_WORKER] = { 503, RETRY_LATER, false, UNAVAILABLE,
                                   WORD_INIT("no_attested_worker"),
                                   "No worker is available whose attestation was verified; the "
                                   "gateway's "
                                   "/v1/attestation says why." },
    [ERROR_OVERLOADED] = { 503, RETRY_LATER, false, UNAVAILABLE, WORD_INIT("server_overloaded"),
                           "The server is overloaded; try again later." },
    [ERROR_SHUTTING_DOWN] = { 503, RETRY_LATER, true, UNAVAILABLE,
                              WORD_INIT("server_shutting_down"),
                              "The server is shutting down; try again." },
    [ERROR_ATTESTATION_FAILED] = { 502, RETRY_NEVER, false, ATTESTATION,
                                   WORD_INIT("attestation_failed"),
                                   "The worker's attestation does not satisfy the policy; nothing "
                                   "was sent to it." },
    [ERROR_RECEIPT_FAILED] = { 502, RETRY_NEVER, false, ATTESTATION, WORD_INIT("receipt_failed"),
                               "The receipt of this answer could not be verified or stored, so the "
                               "answer, or "
                               "its end, is withheld; the gateway's log says why." },
    [ERROR_UPSTREAM_UNREACHABLE] = { 502, RETRY_AS_USUAL, false, SERVER,
                                     WORD_INIT("upstream_unreachable"),
                                     "The model server could not be reached." },
    [ERROR_UPSTREAM_BROKEN] = { 502, RETRY_NEVER, false, SERVER, WORD_INIT("upstream_broken"),
                                "The answer of the model server broke off before it was "
                                "complete." },
    [ERROR_UPSTREAM_MALFORMED] = { 502, RETRY_NEVER, false, SERVER, WORD_INIT("upstream_malformed"),
                                   "The model server gave an answer that cannot be passed on." },
    [ERROR_UPSTREAM_TIMEOUT] = { 504, RETRY_NEVER, false, SERVER, WORD_INIT("upstream_timeout"),
                                 "The model server did not answer in time." },
};

static const struct row *row_of(enum error_cause cause)
{
    return &rows[(unsigned)cause < ERROR_CAUSES ? cause : ERROR_INTERNAL];
}

unsigned error_status(enum error_cause cause)
{
    return row_of(cause)->status;
}

const char *error_type(enum error_cause cause)
{
    return row_of(cause)->type;
}

const char *error_code(enum error_cause cause)
{
    return row_of(cause)->code.text;
}

struct word error_word(enum error_cause cause)
{
    return row_of(cause)->code;
}

enum error_cause error_from(err e, bool started)
{
    switch (e.code) {
    case ERR_UNAVAILABLE:
    case ERR_CLOSED:
    case ERR_TRUNCATED:
    case ERR_CANCELLED:
        return started ? ERROR_UPSTREAM_BROKEN : ERROR_UPSTREAM_UNREACHABLE;
    case ERR_TIMEOUT:
        return ERROR_UPSTREAM_TIMEOUT;
    case ERR_MALFORMED:
    case ERR_UNSUPPORTED:
        return ERROR_UPSTREAM_MALFORMED;
    case ERR_LIMIT:
        return started ? ERROR_UPSTREAM_MALFORMED : ERROR_OVERLOADED;
    case ERR_NOMEM:
        return ERROR_OVERLOADED;
    case ERR_CRYPTO:
    case ERR_UNTRUSTED:
    case ERR_STALE:
        return ERROR_ATTESTATION_FAILED;
    case ERR_DENIED:
        return ERROR_BAD_API_KEY;
    case ERR_NOT_FOUND:
        return ERROR_NOT_FOUND;
    case ERR_EXISTS:
        return ERROR_REPLAYED;
    case ERR_OK:
    case ERR_CONFIG:
    case ERR_SYSTEM:
    case ERR_INTERNAL:
        break;
    }
    return ERROR_INTERNAL;
}

/* At most ERROR_ABOUT_MAX bytes, not cut inside a character. */
static bytes shortened(bytes text)
{
    if (text.len <= ERROR_ABOUT_MAX)
        return text;
    size_t len = ERROR_ABOUT_MAX;
    while (len > 0 && (text.at[len] & 0xc0) == 0x80)
        len--;
    return bytes_slice(text, 0, len);
}

/* Puts `what` in quotes; without it, cuts the blank that was to stand before it. */
static err add_quoted(struct buf *out, bytes what)
{
    if (what.len == 0) {
        if (bytes_ends(buf_view(out), BYTES_LIT(" ")))
            buf_truncate(out, out->len - 1);
        return OK;
    }
    TRY(buf_add_u8(out, '\''));
    TRY(buf_add(out, shortened(what)));
    return buf_add_u8(out, '\'');
}

static err add_message(struct buf *out, const struct api_error *e)
{
    for (const char *p = row_of(e->cause)->message; *p != '\0'; p++) {
        if (*p == '@')
            TRY(add_quoted(out, e->about));
        else if (*p == '#')
            TRY(add_quoted(out, e->param));
        else
            TRY(buf_add_u8(out, (uint8_t)*p));
    }
    return OK;
}

static err add_object(struct buf *out, const struct api_error *e, bytes message)
{
    const struct row *row = row_of(e->cause);
    TRY(buf_add_str(out, "{\"error\":{\"message\":"));
    TRY(text_json_quote(out, message));
    TRY(buf_addf(out, ",\"type\":\"%s\",\"param\":", row->type));
    if (e->param.len > 0)
        TRY(text_json_quote(out, shortened(e->param)));
    else
        TRY(buf_add_str(out, "null"));
    return buf_addf(out, ",\"code\":\"%s\"}}", row->code.text);
}

err error_write_body(struct buf *out, const struct api_error *e)
{
    BUF_AUTO message = BUF(ERROR_BODY_MAX);
    TRY(add_message(&message, e));
    return add_object(out, e, buf_view(&message));
}

err error_write_responses_event(struct buf *out, const struct api_error *e, uint64_t sequence)
{
    BUF_AUTO message = BUF(ERROR_BODY_MAX);
    BUF_AUTO nested = BUF(ERROR_BODY_MAX);
    TRY(add_message(&message, e));
    TRY(add_object(&nested, e, buf_view(&message)));
    TRY(buf_addf(out,
                 "event: error\ndata: {\"type\":\"error\",\"sequence_number\":%llu,\"code\":\"%s\"",
                 (unsigned long long)sequence, row_of(e->cause)->code.text));
    TRY(buf_add_str(out, ",\"message\":"));
    TRY(text_json_quote(out, buf_view(&message)));
    TRY(buf_add_str(out, ",\"param\":null,"));
    TRY(buf_add(out, bytes_slice(buf_view(&nested), 1, nested.len)));
    return buf_add_str(out, "\n\n");
}

err error_write_event(struct buf *out, const struct api_error *e)
{
    TRY(buf_add_str(out, "data: "));
    TRY(error_write_body(out, e));
    return buf_add_str(out, "\n\n");
}

static void add_field(struct error_field *out, size_t *n, const char *name, const char *value)
{
    out[*n].name = name;
    (void)snprintf(out[*n].value, sizeof out[*n].value, "%s", value);
    (*n)++;
}

static void add_seconds(struct error_field *out, size_t *n, unsigned seconds)
{
    unsigned s = seconds < 1                       ? 1
                 : seconds > ERROR_RETRY_AFTER_MAX ? ERROR_RETRY_AFTER_MAX
                                                   : seconds;
    char text[16];
    (void)snprintf(text, sizeof text, "%u", s);
    add_field(out, n, "retry-after", text);
    (void)snprintf(text, sizeof text, "%u", s * 1000);
    add_field(out, n, "retry-after-ms", text);
}

size_t error_fields(const struct api_error *e, struct error_field out[static ERROR_FIELDS_MAX])
{
    const struct row *row = row_of(e->cause);
    size_t n = 0;
    add_field(out, &n, "content-type", "application/json");
    if (row->status == 401)
        add_field(out, &n, "www-authenticate", "Bearer");
    if (row->status == 405 && e->allow != NULL)
        add_field(out, &n, "allow", e->allow);
    if (row->retry == RETRY_LATER)
        add_seconds(out, &n, e->retry_after_s);
    if (row->retry == RETRY_NEVER)
        add_field(out, &n, "x-should-retry", "false");
    if (row->closes)
        add_field(out, &n, "connection", "close");
    return n;
}
