#include "wire/pool_frame.h"

#include "crypto/secret.h"

enum { WELCOME = 1, ASK, ANSWER };

/* The end of year 9999, as in key statements. */
#define UNIX_TIME_MAX 253402300799

static err put_time(struct buf *to, int64_t at)
{
    ENSURE(at >= 0 && at <= UNIX_TIME_MAX, MALFORMED);
    return buf_add_u64be(to, (uint64_t)at);
}

err pool_welcome_write(struct buf *to, const struct pool_welcome *w)
{
    TRY(buf_add_u8(to, WELCOME));
    TRY(buf_add_u32be(to, w->key_life_s));
    TRY(buf_add_u32be(to, w->key_grace_s));
    TRY(buf_add_u32be(to, w->date_window_s));
    TRY(put_time(to, w->now));
    TRY(buf_add_u64be(to, w->epoch));
    TRY(buf_add_u8(to, w->first_id));
    return buf_add(to, BYTES_ARRAY(w->link));
}

err pool_ask_write(struct buf *to, const struct pool_ask *a)
{
    TRY(buf_add_u8(to, ASK));
    TRY(buf_add_u64be(to, a->number));
    TRY(put_time(to, a->date));
    TRY(buf_add(to, BYTES_ARRAY(a->tag)));
    return buf_add(to, BYTES_ARRAY(a->digest));
}

err pool_answer_write(struct buf *to, const struct pool_answer *a)
{
    TRY(buf_add_u8(to, ANSWER));
    TRY(buf_add_u64be(to, a->number));
    return buf_add_u8(to, (uint8_t)a->verdict);
}

/* ---- reading; lengths were looked at before ---- */

static uint64_t take_u64(bytes *in)
{
    uint32_t high = 0;
    uint32_t low = 0;
    (void)bytes_take_u32be(in, &high);
    (void)bytes_take_u32be(in, &low);
    return (uint64_t)high << 32 | low;
}

static err take_time(bytes *in, int64_t *out)
{
    uint64_t at = take_u64(in);
    ENSURE(at <= UNIX_TIME_MAX, MALFORMED);
    *out = (int64_t)at;
    return OK;
}

static err read_welcome(bytes in, const struct pool_frame_events *events, void *owner)
{
    SECRET(struct pool_welcome, w);
    ENSURE(events->welcome != NULL, MALFORMED);
    (void)bytes_take_u32be(&in, &w.key_life_s);
    (void)bytes_take_u32be(&in, &w.key_grace_s);
    (void)bytes_take_u32be(&in, &w.date_window_s);
    TRY(take_time(&in, &w.now));
    w.epoch = take_u64(&in);
    (void)bytes_take_u8(&in, &w.first_id);
    memcpy(w.link, in.at, sizeof w.link);
    return events->welcome(owner, &w);
}

static err read_ask(bytes in, const struct pool_frame_events *events, void *owner)
{
    struct pool_ask a;
    ENSURE(events->ask != NULL, MALFORMED);
    a.number = take_u64(&in);
    TRY(take_time(&in, &a.date));
    memcpy(a.tag, in.at, sizeof a.tag);
    memcpy(a.digest, in.at + sizeof a.tag, sizeof a.digest);
    return events->ask(owner, &a);
}

static err read_answer(bytes in, const struct pool_frame_events *events, void *owner)
{
    struct pool_answer a;
    ENSURE(events->answer != NULL, MALFORMED);
    a.number = take_u64(&in);
    ENSURE(in.at[0] > POOL_NOTHING && in.at[0] < POOL_VERDICTS, MALFORMED);
    a.verdict = (enum pool_verdict)in.at[0];
    return events->answer(owner, &a);
}

static const struct {
    size_t len;
    err (*read)(bytes in, const struct pool_frame_events *events, void *owner);
} FRAMES[] = {
    [WELCOME] = { POOL_FRAME_WELCOME_LEN, read_welcome },
    [ASK] = { POOL_FRAME_ASK_LEN, read_ask },
    [ANSWER] = { POOL_FRAME_ANSWER_LEN, read_answer },
};

_Static_assert(POOL_FRAME_WELCOME_LEN <= POOL_FRAME_LEN_MAX, "the reader has room for a frame");

/* Length of the frame that begins with this byte; 0: there is none. */
static size_t frame_len(uint8_t kind)
{
    return kind < ARRAY_LEN(FRAMES) ? FRAMES[kind].len : 0;
}

static err read_frame(bytes frame, const struct pool_frame_events *events, void *owner)
{
    return FRAMES[frame.at[0]].read(bytes_slice(frame, 1, frame.len), events, owner);
}

/* What completes the frame that was begun, as far as it is there. */
static err fill(struct pool_frame_reader *r, bytes *in, const struct pool_frame_events *events,
                void *owner)
{
    bytes piece;
    size_t want = frame_len(r->held[0]) - r->held_n;
    (void)bytes_take(in, want < in->len ? want : in->len, &piece);
    memcpy(r->held + r->held_n, piece.at, piece.len);
    r->held_n += piece.len;
    if (piece.len < want)
        return OK;
    r->held_n = 0;
    err e = read_frame(bytes_of(r->held, frame_len(r->held[0])), events, owner);
    secret_wipe(r->held, sizeof r->held);
    return e;
}

static err put(struct pool_frame_reader *r, bytes in, const struct pool_frame_events *events,
               void *owner)
{
    while (in.len > 0) {
        bytes frame;
        if (r->held_n > 0) {
            TRY(fill(r, &in, events, owner));
            continue;
        }
        size_t len = frame_len(in.at[0]);
        ENSURE(len > 0, MALFORMED);
        if (bytes_take(&in, len, &frame)) {
            TRY(read_frame(frame, events, owner));
            continue;
        }
        memcpy(r->held, in.at, in.len);
        r->held_n = in.len;
        return OK;
    }
    return OK;
}

err pool_frame_put(struct pool_frame_reader *r, bytes in, const struct pool_frame_events *events,
                   void *owner)
{
    TRY(r->dead);
    r->dead = put(r, in, events, owner);
    return r->dead;
}

void pool_frame_clear(struct pool_frame_reader *r)
{
    secret_wipe(r, sizeof *r);
}
