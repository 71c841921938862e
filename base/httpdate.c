#include "base/httpdate.h"

#include <stdio.h>
#include <time.h>

#include "base/text.h"

static const char day_names[7][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
static const char month_names[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
static const int64_t year_9999_end = 253402300799;

void httpdate_write(int64_t unix_s, char out[static HTTPDATE_LEN + 1])
{
    time_t at = unix_s < 0 ? 0 : unix_s > year_9999_end ? year_9999_end : unix_s;
    struct tm t = { 0 };
    (void)gmtime_r(&at, &t);
    (void)snprintf(out, HTTPDATE_LEN + 1, "%s, %02u %s %04u %02u:%02u:%02u GMT",
                   day_names[(unsigned)t.tm_wday % 7], (unsigned)t.tm_mday % 100,
                   month_names[(unsigned)t.tm_mon % 12], (unsigned)(t.tm_year + 1900) % 10000,
                   (unsigned)t.tm_hour % 100, (unsigned)t.tm_min % 100, (unsigned)t.tm_sec % 100);
}

static bool number_at(bytes text, size_t from, size_t len, int *out)
{
    uint64_t v;
    if (!text_u64(bytes_slice(text, from, len), &v))
        return false;
    *out = (int)v;
    return true;
}

/* Reads the fields leniently, then demands that writing them gives the same text. */
err httpdate_read(bytes text, int64_t *unix_s)
{
    struct tm t = { .tm_mon = -1 };
    char again[HTTPDATE_LEN + 1];
    ENSURE(text.len == HTTPDATE_LEN, MALFORMED);
    for (int m = 0; m < 12; m++) {
        if (bytes_equal(bytes_slice(text, 8, 3), bytes_of(month_names[m], 3)))
            t.tm_mon = m;
    }
    ENSURE(t.tm_mon >= 0, MALFORMED);
    ENSURE(number_at(text, 5, 2, &t.tm_mday) && number_at(text, 12, 4, &t.tm_year), MALFORMED);
    ENSURE(number_at(text, 17, 2, &t.tm_hour) && number_at(text, 20, 2, &t.tm_min), MALFORMED);
    ENSURE(number_at(text, 23, 2, &t.tm_sec) && t.tm_year >= 1970, MALFORMED);
    t.tm_year -= 1900;
    int64_t at = timegm(&t);
    httpdate_write(at, again);
    ENSURE(bytes_equal(text, bytes_of(again, HTTPDATE_LEN)), MALFORMED);
    *unix_s = at;
    return OK;
}
