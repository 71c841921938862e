/*
 * api/peek.h - one look at a request's body: is it JSON, and what must we know of it?
 *
 * One pass, no tree, no allocation, no recursion. Everything is checked (RFC 8259: exactly one
 * value, UTF-8 without lone surrogates, nesting of at most PEEK_DEPTH_MAX), and of the top-level
 * members only those named below are taken out; of members that come twice the last one counts, as
 * in the common parsers. Pure; safe from any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/error.h"
#include "base/bytes.h"

enum {
    PEEK_DEPTH_MAX = 128,
    PEEK_MODEL_MAX = 256,  /* bytes of a model's name, unescaped */
    PEEK_ID_MAX = 128,     /* bytes of an answer's id */
    PEEK_CHOICES_MAX = 64, /* choices told apart; those with a higher index count as the last */
};

enum peek_verdict {
    PEEK_NOT_JSON = 0,       /* at `offset` */
    PEEK_EMPTY,              /* no body, or white space only */
    PEEK_TOO_DEEP,           /* at `offset` */
    PEEK_NOT_OBJECT,         /* JSON, but no object */
    PEEK_MODEL_MISSING,      /* also "" and null */
    PEEK_MODEL_TYPE,         /* not a string */
    PEEK_MODEL_LONG,         /* over PEEK_MODEL_MAX */
    PEEK_STREAM_TYPE,        /* neither boolean nor null */
    PEEK_STREAM_OPTIONS,     /* neither object nor null */
    PEEK_INCLUDE_USAGE_TYPE, /* neither boolean nor null */
    PEEK_OK
};

/* Whatever could be taken out is set for every verdict from PEEK_MODEL_MISSING on, and nothing for
 * those before. */
struct peek {
    enum peek_verdict verdict;
    size_t offset; /* of the first byte that cannot be */
    bool stream;
    bool background; /* "background" is neither false nor null, wherever it stands: engines that are
                        not strict take 1 and "true" for true */
    bool include_usage;
    size_t model_len;
    uint8_t model[PEEK_MODEL_MAX];
    size_t
        previous_len; /* previous_response_id, or the first item_reference of `input`; 0: none, or
                            over PEEK_ID_MAX */
    uint8_t previous[PEEK_ID_MAX];
};

void peek_request(bytes body, struct peek *out);

static inline bytes peek_previous(const struct peek *p)
{
    return bytes_of(p->previous, p->previous_len);
}

static inline bytes peek_model(const struct peek *p)
{
    return bytes_of(p->model, p->model_len);
}

/* What to tell the client. Only for a verdict other than PEEK_OK. */
struct api_error peek_error(const struct peek *p);

/* True for exactly one JSON value and nothing else, by the same rules. */
bool peek_is_json(bytes text);

/*
 * What is worth knowing of an answer (a chat completion, a completion, a Responses object, a list
 * of embeddings, or a chunk or event of one). Read as far as `body` goes, so that the first part of
 * a long answer will do.
 */
struct peek_answer {
    bool whole;             /* body was exactly one JSON object */
    bool has_error;         /* top-level "error" that is not null */
    uint64_t choices;       /* a bit for the "index" of each of choices[]; see PEEK_CHOICES_MAX */
    uint64_t finished;      /* those of them with a finish_reason that is not null */
    bool has_usage;         /* top-level or response.usage that is an object */
    bool no_choices;        /* "choices" is there and empty: a usage chunk */
    bool terminal;          /* "type" is response.completed, .failed or .incomplete */
    bytes id;               /* top-level "id", or response.id; borrowed from body; empty when
                               absent, over PEEK_ID_MAX or written with escapes */
    uint64_t prompt_tokens; /* usage.prompt_tokens or usage.input_tokens; 0 when absent */
    uint64_t answer_tokens; /* usage.completion_tokens or usage.output_tokens; 0 when absent */
};

void peek_answer(bytes body, struct peek_answer *out);
