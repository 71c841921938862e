#include "base/err.h"

static _Thread_local struct err_origin origin;

err err_raise(enum err_code code, const char *file, const char *func, int line)
{
    origin = (struct err_origin){ code, file, func, line };
    return (err){ code };
}

const char *err_text(err e)
{
    switch (e.code) {
    case ERR_OK:
        return "ok";
#define X(name, text)                                                                              \
    case ERR_##name:                                                                               \
        return text;
        ERR_LIST(X)
#undef X
    }
    return "unknown error";
}

const char *err_word(err e)
{
    switch (e.code) {
    case ERR_OK:
        return "ok";
#define X(name, text)                                                                              \
    case ERR_##name:                                                                               \
        return #name;
        ERR_LIST(X)
#undef X
    }
    return "UNKNOWN";
}

const struct err_origin *err_origin(void)
{
    return &origin;
}
