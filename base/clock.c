#include "base/clock.h"

#include <stdatomic.h>
#include <time.h>

static _Atomic int64_t wall_shift_s;

static uint64_t read_us(clockid_t id)
{
    struct timespec t = { 0 };
    (void)clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

uint64_t clock_steady_ms(void)
{
    return read_us(CLOCK_MONOTONIC) / 1000;
}

uint64_t clock_steady_us(void)
{
    return read_us(CLOCK_MONOTONIC);
}

int64_t clock_wall_s(void)
{
    return (int64_t)(read_us(CLOCK_REALTIME) / 1000000) + atomic_load(&wall_shift_s);
}

int64_t clock_wall_ms(void)
{
    return (int64_t)(read_us(CLOCK_REALTIME) / 1000) + atomic_load(&wall_shift_s) * 1000;
}

/*
 * Days since 1970 to a date of the Gregorian calendar, by eras of 400 years that start on 1 March,
 * so that the leap day is the last of its year. Not gmtime_r(): it takes a lock of the C library.
 */
static void date_of(int64_t days, int *year, int *month, int *day)
{
    days += 719468 + 146097; /* the era before the year 0 too */
    int64_t era = days / 146097 - 1;
    int64_t of_era = days % 146097;
    int64_t y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * y + y / 4 - y / 100);
    int64_t m = (5 * of_year + 2) / 153;
    *day = (int)(of_year - (153 * m + 2) / 5 + 1);
    *month = (int)(m < 10 ? m + 3 : m - 9);
    *year = (int)(era * 400 + y + (*month <= 2 ? 1 : 0));
}

static char *put_digits(char *to, int v, int n, char behind)
{
    for (int i = n; i-- > 0; v /= 10)
        to[i] = (char)('0' + v % 10);
    to[n] = behind;
    return to + n + 1;
}

void clock_utc_text(int64_t wall_ms, char out[static CLOCK_UTC_TEXT_LEN])
{
    static const int64_t least = -62167219200000, most = 253402300799999, day_ms = 86400000;
    int year, month, day;
    wall_ms = wall_ms < least ? least : wall_ms > most ? most : wall_ms;
    int64_t days = (wall_ms - least) / day_ms + least / day_ms;
    int ms = (int)((wall_ms - least) % day_ms);
    date_of(days, &year, &month, &day);
    out = put_digits(out, year, 4, '-');
    out = put_digits(out, month, 2, '-');
    out = put_digits(out, day, 2, 'T');
    out = put_digits(out, ms / 3600000, 2, ':');
    out = put_digits(out, ms / 60000 % 60, 2, ':');
    out = put_digits(out, ms / 1000 % 60, 2, '.');
    out = put_digits(out, ms % 1000, 3, 'Z');
    *out = 0;
}

static int64_t ahead_s(void)
{
    return clock_wall_s() - (int64_t)(clock_steady_ms() / 1000);
}

void clock_watch_begin(struct clock_watch *w)
{
    w->ahead_s = ahead_s();
}

bool clock_watch_was_set(struct clock_watch *w)
{
    int64_t before_s = w->ahead_s;
    w->ahead_s = ahead_s();
    int64_t by_s = w->ahead_s - before_s;
    return by_s > CLOCK_SET_S || by_s < -CLOCK_SET_S;
}

uint64_t clock_cpu_us(void)
{
    return read_us(CLOCK_PROCESS_CPUTIME_ID);
}

void clock_shift_wall_s(int64_t by)
{
    atomic_store(&wall_shift_s, by);
}
