/* base/httpdate.h - the date form of HTTP (IMF-fixdate, RFC 9110 section 5.6.7), both ways. */
#pragma once

#include "base/bytes.h"
#include "base/err.h"

enum { HTTPDATE_LEN = 29 };

/* "Sun, 06 Nov 1994 08:49:37 GMT" and a NUL. Years 1970 to 9999; others are cut to that range. */
void httpdate_write(int64_t unix_s, char out[static HTTPDATE_LEN + 1]);

/* Only that form, with the right day of the week. ERR_MALFORMED otherwise. */
err httpdate_read(bytes text, int64_t *unix_s);
