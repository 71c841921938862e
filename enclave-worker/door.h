/*
 * enclave-worker/door.h - how a sealed request arrives, and how its answer leaves.
 *
 * A session is the same whatever its client speaks. What differs is in a table of functions: opening
 * what comes, saying in the clear why it does not open, and sealing what goes. A door belongs to one
 * session, on the loop's thread.
 *
 *     kind                 a request is                        its answer is
 *     DOOR_OHTTP_CHUNKED   Binary HTTP in sealed chunks        the same, as it comes
 *     DOOR_OHTTP_PLAIN     Binary HTTP, sealed as one          the same, once it is complete
 *     DOOR_EHBP            a sealed body                       the same: event streams as they come,
 *                                                              others once they are complete
 */
#pragma once

#include "enclave-worker/worker.h"
#include "wire/kept.h"

struct answer;

enum door_kind { DOOR_OHTTP_CHUNKED = 0, DOOR_OHTTP_PLAIN, DOOR_EHBP, DOOR_KINDS };

enum {
    DOOR_PLAIN_SLACK = 256 * 1024,     /* what may be sealed beside a content */
    DOOR_WHOLE_MAX = 16 * 1024 * 1024, /* of an answer that is held until it is complete */
    DOOR_SMALL = 16 * 1024             /* answers that there is always room for: errors */
};

/* How a piece of an answer ends: not at all, with all that proves it complete, or broken off. */
enum door_ending { DOOR_GOES_ON = 0, DOOR_COMPLETE, DOOR_CUT };

struct door_piece {
    const struct answer *answer; /* that it is of; its head is complete */
    bytes plain;                 /* as the answer wrote it; may be empty */
    bytes receipt;               /* of a complete answer; empty: it has none */
    enum door_ending ending;
};

/* What is said in the clear of a request that does not open. */
struct door_refusal {
    unsigned status;
    const char *type; /* of the problem (RFC 9457) */
    const char *title;
};

struct door;
struct door_ops {
    /* Opens the next bytes of the outer body; `end`: it ended behind them. Any error is final, and
     * refusal() says what the client is told. UNAVAILABLE: there is no room for what cannot be opened
     * yet. */
    err (*open)(struct door *d, bytes in, bool end);
    /* Something has opened, so whoever sends has our key: enc() is worth remembering, and answers
     * can be sealed. */
    bool (*verified)(const struct door *d);
    bytes (*enc)(const struct door *d);
    /* Reads what open() opened; *whole once the request is complete. LIMIT: its content is too
     * large; UNAVAILABLE: so are the contents of all requests together; else it is malformed. */
    err (*read)(struct door *d, bool *whole);
    struct door_refusal (*refusal)(const struct door *d, err why);
    /* Seals and sends, the outer head first; or holds it back until it can be sealed. With an
     * ending other than DOOR_GOES_ON the stream is at its end. CLOSED: nothing of an answer that is
     * broken off has been sent, so it can be another one; LIMIT: it is too large to be held;
     * UNAVAILABLE: so are all that are held together. */
    err (*send)(struct door *d, struct link_stream *s, const struct door_piece *piece);
    /* What its own buffers take, beside those of struct door. */
    uint64_t (*own)(const struct door *d);
    void (*free)(struct door *d);
};

/* The first field of each kind's struct. */
struct door {
    const struct door_ops *ops;
    struct worker *worker;
    struct replay *replay;          /* the worker's that remembers this kind's keys */
    struct pool *pool;              /* which is asked in the place of that; NULL: none */
    uint8_t pool_tag[POOL_TAG_LEN]; /* of the pool's key that opens it, once there is a head */
    bool dated;          /* a date is under the seal; else the key is remembered all its life */
    bool bare;           /* answers are to be written without Binary HTTP around them */
    struct kept request; /* its head */
    struct buf content;  /* its content, as far as it has come */
    struct buf whole;    /* plaintext of an answer that is held back */
    uint64_t held;       /* what all buffers count against the worker's budget */
    bool responded;      /* the outer head has been sent */
    uint64_t sent;       /* sealed bytes */
};

/* For a request whose head has arrived; borrowed for the call. MALFORMED or CRYPTO: what the head says
 * can be no key. */
err door_new(struct door **out, struct worker *w, enum door_kind kind,
             const struct link_request *req);
/* Gives back what it held. NULL is allowed. */
void door_free(struct door *d);

/* For the kinds, when n more bytes of content are to be held: LIMIT as read(). */
err door_fits(const struct door *d, size_t n);

/* For the kinds, whenever their buffers have changed: counts what memory these take, filled or not.
 * UNAVAILABLE: more than there is for all requests together. */
err door_count(struct door *d);

/* The request is not needed any more. */
void door_let_go(struct door *d);

/* For the kinds: holds a piece of an answer back. Errors as send(). */
err door_keep(struct door *d, bytes plain);
/* The same, sealed, which is sent at once and ends the stream. It counts until the door goes: what a
 * client does not read is held all the same. */
err door_pass_whole(struct door *d, struct link_stream *s, struct buf *sealed);

/* The head, once. */
err door_respond(struct door *d, struct link_stream *s, unsigned status,
                 const struct link_field *fields, size_t n);
/* Sends *sealed, which is taken. */
err door_pass(struct door *d, struct link_stream *s, struct buf *sealed, bool end);
