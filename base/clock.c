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

uint64_t clock_cpu_us(void)
{
    return read_us(CLOCK_PROCESS_CPUTIME_ID);
}

void clock_shift_wall_s(int64_t by)
{
    atomic_store(&wall_shift_s, by);
}
