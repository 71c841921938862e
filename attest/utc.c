#include "attest/utc.h"

#include "base/text.h"

/* Days since 1970-01-01 of a date of the Gregorian calendar. The year starts in March here, so that
 * the leap day is its last. */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
    int64_t y = month > 2 ? year : year - 1;
    int64_t m = month > 2 ? month - 3 : month + 9;
    return 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}

static uint64_t month_days(uint64_t year, uint64_t month)
{
    static const uint8_t days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && leap ? 29 : days[month - 1];
}

bool utc_read(bytes text, int64_t *out)
{
    static const char form[] = "0000-00-00T00:00:00Z";
    static const struct {
        size_t at, len;
    } parts[] = { { 0, 4 }, { 5, 2 }, { 8, 2 }, { 11, 2 }, { 14, 2 }, { 17, 2 } };
    uint64_t v[6];
    if (text.len != UTC_LEN)
        return false;
    for (size_t i = 0; i < UTC_LEN; i++) {
        if (form[i] != '0' && text.at[i] != (uint8_t)form[i])
            return false;
    }
    for (size_t i = 0; i < 6; i++) {
        if (!text_u64(bytes_slice(text, parts[i].at, parts[i].len), &v[i]))
            return false;
    }
    if (v[1] < 1 || v[1] > 12 || v[2] < 1 || v[2] > month_days(v[0], v[1]) || v[3] > 23 ||
        v[4] > 59 || v[5] > 59)
        return false;
    *out = days_of((int64_t)v[0], (int64_t)v[1], (int64_t)v[2]) * 86400 + (int64_t)v[3] * 3600 +
           (int64_t)v[4] * 60 + (int64_t)v[5];
    return true;
}

/* The first day of a month, counted from 1970-01-01, is the last one that is not behind the day. */
err utc_write(struct buf *out, int64_t seconds)
{
    int64_t day = seconds / 86400;
    unsigned rest = (unsigned)(seconds % 86400);
    unsigned year = 1970 + (unsigned)(day / 366);
    unsigned month = 1;
    ENSURE(seconds >= 0 && seconds < days_of(10000, 1, 1) * 86400, MALFORMED);
    while (days_of(year + 1, 1, 1) <= day)
        year++;
    while (month < 12 && days_of(year, month + 1, 1) <= day)
        month++;
    return buf_addf(out, "%04u-%02u-%02uT%02u:%02u:%02uZ", year, month,
                    (unsigned)(day - days_of(year, month, 1)) + 1, rest / 3600, rest / 60 % 60,
                    rest % 60);
}
