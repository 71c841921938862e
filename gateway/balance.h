/*
 * gateway/balance.h - which of several workers gets the next request, by their load and their record.
 *
 * Pure: no I/O, no clock, no memory; times are given in milliseconds of one steady clock, chance comes
 * from a seed. Belongs to one thread. A worker is a place, a small number that the caller gives.
 *
 * Of two well workers taken by chance the one with less under way is chosen, both by their size: a
 * worker of twice the weight is taken twice as often, and may have twice as much under way. One that has
 * just come, or come back, counts as smaller than it is for a while (slow start). A worker that fails several times in a
 * row, or half of its requests, is out (its circuit is open), for a time that doubles; then one request
 * tries it (half open). One that does much worse than the others is ejected for a time, as long as no
 * more than half of them are out. When none is well, the least bad one gets the request: a request that
 * is refused for its own good has failed as well.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    BALANCE_PLACES_MAX = 64,
    BALANCE_WINDOW_MS = 10000,    /* outcomes count for one to two of these */
    BALANCE_RATIO_MIN = 20,       /* requests of a worker before its ratio means anything */
    BALANCE_RATIO_PERCENT = 50,   /* failures: its circuit opens */
    BALANCE_OUTLIER_PERCENT = 30, /* points above the others' share of bad answers: ejected */
    BALANCE_SLOW_STEPS = 10,      /* a slow start begins at one of these */
    BALANCE_WEIGHT_PARTS = 16     /* weight 0 counts as one of these parts of weight 1 */
};

struct balance_settings {
    uint64_t failures;   /* in a row that open the circuit; 0 counts as 1 */
    uint64_t out_ms;     /* the first time out; each in succession is twice as long */
    uint64_t out_max_ms; /* at the most */
    uint64_t slow_ms;    /* a slow start; 0: none */
};

enum balance_outcome {
    BALANCE_NOTHING = 0, /* says nothing about the worker: the client left */
    BALANCE_WELL,        /* an answer, whatever it says */
    BALANCE_POOR,        /* the engine's own word that it failed; bad beside others only */
    BALANCE_FAILED       /* lost, broken off, too late, or the worker's own word that it failed */
};

enum balance_state {
    BALANCE_GONE = 0,  /* nobody is there */
    BALANCE_IN_USE,    /* well */
    BALANCE_OPEN,      /* out, after failures */
    BALANCE_HALF_OPEN, /* to be tried by one request */
    BALANCE_EJECTED,   /* out, for doing worse than the others */
    BALANCE_SICK,      /* out, by a probe's word */
    BALANCE_STATES
};

struct balance_count {
    uint32_t all, bad, failed;
};

/* Private. */
struct balance_worker {
    bool joined;
    bool sick;
    enum balance_state state; /* IN_USE, OPEN or EJECTED, as it was left; see balance_state() */
    enum balance_state told;
    uint16_t weight;
    uint32_t load;
    uint32_t row;                   /* failures in a row */
    uint32_t outs;                  /* times out in succession */
    uint64_t until_ms;              /* out */
    uint64_t trial_ms;              /* until then the trial is under way */
    uint64_t since_ms;              /* in use: the slow start's beginning */
    struct balance_count counts[2]; /* this window, and the one before */
};

struct balance {
    struct balance_settings settings;
    uint64_t seed;
    uint64_t window_ms; /* when the present window began */
    struct balance_worker workers[BALANCE_PLACES_MAX];
};

void balance_init(struct balance *b, const struct balance_settings *settings, uint64_t seed);

/* Somebody is at that place from now on: after nobody was, or again after his connection was lost. What
 * is known of him stays. */
void balance_join(struct balance *b, size_t place, uint64_t now_ms);
/* He is not to be chosen, and no part of the others' comparison, until he joins again. */
void balance_leave(struct balance *b, size_t place);
/* Somebody else will be there: what is known is forgotten, but for the weight and the requests under way. */
void balance_forget(struct balance *b, size_t place);

/* How much he is to get beside the others, as RFC 2782 has it: in proportion, and little for 0 when others
 * have more. 0 at first. */
void balance_set_weight(struct balance *b, size_t place, uint16_t weight);

/* What a probe found out. */
void balance_set_sick(struct balance *b, size_t place, bool sick, uint64_t now_ms);

/* Bits are places. */
struct balance_want {
    uint64_t usable; /* only these */
    uint64_t avoid;  /* not these, if there is another; then nothing is tried out, either */
};

/* The place that gets the next request; SIZE_MAX: none of those wanted has joined. */
size_t balance_choose(struct balance *b, const struct balance_want *want, uint64_t now_ms);

/* A request begins there, chosen or not. */
void balance_begin(struct balance *b, size_t place, uint64_t now_ms);
/* It is over, however it ended. */
void balance_end(struct balance *b, size_t place);
/* So many are under way there, instead of the two above: by who counts himself. */
void balance_set_load(struct balance *b, size_t place, size_t load);
/* How it went, as soon as that is known; again if it goes wrong behind that. */
void balance_note(struct balance *b, size_t place, enum balance_outcome outcome, uint64_t now_ms);

enum balance_state balance_state(const struct balance *b, size_t place, uint64_t now_ms);

/* In use, or due to be tried. */
bool balance_is_well(const struct balance *b, size_t place, uint64_t now_ms);

struct balance_change {
    size_t place;
    enum balance_state from, to;
};

/* True with one change of a state that this has not told yet. Call until false. */
bool balance_change(struct balance *b, uint64_t now_ms, struct balance_change *out);
