/*
 * base/err.h - how this project says that something went wrong.
 *
 * An `err` is a value. It says what kind of thing failed, in a word the caller can switch on. Where
 * it failed is kept per thread in err_origin() for the log line. Outcomes that a correct caller
 * expects (need more input, end of stream, verdict: refused) are not errors; they come back through
 * an enum of the module that has them.
 */
#pragma once

#define ERR_LIST(X)                                                                                \
    X(NOMEM, "out of memory")                                                                      \
    X(LIMIT, "over a configured limit")                                                            \
    X(MALFORMED, "input is not well-formed")                                                       \
    X(TRUNCATED, "input ended before it was complete")                                             \
    X(UNSUPPORTED, "not supported")                                                                \
    X(CONFIG, "a setting is wrong")                                                                \
    X(DENIED, "not allowed")                                                                       \
    X(NOT_FOUND, "not found")                                                                      \
    X(EXISTS, "seen before")                                                                       \
    X(UNAVAILABLE, "the other side cannot be reached")                                             \
    X(TIMEOUT, "took too long")                                                                    \
    X(CANCELLED, "given up by its owner")                                                          \
    X(CLOSED, "the other side closed the connection")                                              \
    X(CRYPTO, "a cryptographic check failed")                                                      \
    X(UNTRUSTED, "the peer is not trusted")                                                        \
    X(STALE, "outside its time of validity")                                                       \
    X(SYSTEM, "a system call failed")                                                              \
    X(INTERNAL, "a broken invariant of ours")

enum err_code {
    ERR_OK = 0,
#define X(name, text) ERR_##name,
    ERR_LIST(X)
#undef X
};

typedef struct [[nodiscard]] err {
    enum err_code code;
} err;

struct err_origin {
    enum err_code code;
    const char *file;
    const char *func;
    int line;
};

#define OK ((err){ ERR_OK })

/* The only three macros in the code base that hide a return. */
#define FAIL(kind) return err_fail(ERR_##kind, __FILE__, __func__, __LINE__)
#define ENSURE(cond, kind)                                                                         \
    do {                                                                                           \
        if (!(cond))                                                                               \
            FAIL(kind);                                                                            \
    } while (0)
#define TRY(expr)                                                                                  \
    do {                                                                                           \
        err try_err = (expr);                                                                      \
        if (try_err.code != ERR_OK)                                                                \
            return try_err;                                                                        \
    } while (0)

/* True when e is no error; for callers that act on the outcome instead of passing it on. */
static inline int err_is_ok(err e)
{
    return e.code == ERR_OK;
}

err err_raise(enum err_code code, const char *file, const char *func, int line);

/* The same, written so that an analyzer of one file sees that it never gives ERR_OK. */
static inline err err_fail(enum err_code code, const char *file, const char *func, int line)
{
    (void)err_raise(code, file, func, line);
    return (err){ code };
}

/* A short fixed text for people; never holds anything from outside. */
const char *err_text(err e);

/* The kind as one word for logs and metrics, such as "TIMEOUT". */
const char *err_word(err e);

/* Where this thread's latest error was raised. */
const struct err_origin *err_origin(void);
