#include "api/responses_fault.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

PRINTF_LIKE(3, 0)
static err note(struct responses_fault *fault, enum error_cause cause, const char *format,
                va_list args)
{
    *fault = (struct responses_fault){ .cause = cause };
    (void)vsnprintf(fault->param, sizeof fault->param, format, args);
    FAIL(MALFORMED);
}

err responses_blame(struct responses_fault *fault, enum error_cause cause, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    err e = note(fault, cause, format, args);
    va_end(args);
    return e;
}

static bool is_plain(bytes word)
{
    for (size_t i = 0; i < word.len; i++) {
        if (word.at[i] < 0x20 || word.at[i] >= 0x7f)
            return false;
    }
    return true;
}

err responses_blame_word(struct responses_fault *fault, enum error_cause cause, bytes word,
                         const char *format, ...)
{
    va_list args;
    va_start(args, format);
    err e = note(fault, cause, format, args);
    va_end(args);
    word = bytes_slice(word, 0, RESPONSES_ABOUT_MAX);
    if (word.len > 0 && is_plain(word))
        memcpy(fault->about, word.at, word.len);
    return e;
}

struct api_error responses_error(const struct responses_fault *fault, err e)
{
    if (e.code != ERR_MALFORMED || fault->cause == ERROR_INTERNAL)
        return (struct api_error){ .cause =
                                       e.code == ERR_LIMIT ? ERROR_TOO_LARGE : error_from(e, false),
                                   .retry_after_s = 1 };
    return (struct api_error){ .cause = fault->cause,
                               .param = bytes_str(fault->param),
                               .about = bytes_str(fault->about) };
}
