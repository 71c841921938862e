#include "gateway/census.h"

void census_workers(const struct metering *m, struct metrics_block *block,
                    const struct trust_view *view)
{
    int64_t trusted = 0;
    int64_t reasons[QUARANTINE_REASONS] = { 0 };
    for (size_t i = 0; i < view->set->n; i++) {
        trusted += view->workers[i] != NULL;
        reasons[view->quarantine[i]]++;
    }
    metrics_gauge_set(block, m->workers, 0, 0, (int64_t)view->set->n);
    metrics_gauge_set(block, m->trusted, 0, 0, trusted);
    for (unsigned i = QUARANTINE_NONE + 1; i < QUARANTINE_REASONS; i++)
        metrics_gauge_set(block, m->quarantined, i, 0, reasons[i]);
}

void census_age(const struct metering *m, struct metrics_block *block,
                const struct trust_view *view, int64_t now)
{
    int64_t oldest = 0;
    for (size_t i = 0; i < view->set->n; i++) {
        const struct trusted *w = view->workers[i];
        if (w != NULL && now - w->verified_at > oldest)
            oldest = now - w->verified_at;
    }
    metrics_gauge_set(block, m->age, 0, 0, oldest);
}
