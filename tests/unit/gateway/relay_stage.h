/* tests/unit/gateway/relay_stage.h - workers to relay to: listeners on unix sockets, on one loop. */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/attr.h"
#include "crypto/aead.h"
#include "crypto/hpke.h"
#include "crypto/init.h"
#include "gateway/relay_workers.h"
#include "tests/lib/law.h"
#include "tests/unit/gateway/worker_sets.h"
#include "wire/keylist.h"
#include "wire/names.h"

enum { STAGE_GUARD_MS = 30000, STAGE_WORKERS = 3, STAGE_FAILURES = 3, STAGE_CHANGES = 32 };

struct stage_worker {
    struct stage *stage;
    uint8_t key_id;
    char tag[24]; /* what it says with its key list; empty: nothing */
    struct link_listener *listener;
    struct link *link;          /* the latest connection */
    struct link_stream *stream; /* the latest that is no key list */
    size_t lists, requests;
    char target[64];
    struct buf body; /* as it came; consumed only while `reads` */
    bool reads, ended, lost, knows;
    size_t unread;
};

struct stage {
    struct loop *loop;
    struct loop_hook hook;
    struct loop_timer guard;
    bool (*done)(struct stage *s);
    char folder[64];
    char texts[STAGE_WORKERS][96];
    const char *addresses[STAGE_WORKERS];
    struct worker_set *set; /* the latest */
    struct stage_worker workers[STAGE_WORKERS];
    struct relay_workers *all;
    struct balance_change changes[STAGE_CHANGES]; /* the first of them */
    size_t changes_n;
    void *more;
};

static inline void stage_on_guard(struct loop_timer *t)
{
    (void)t;
    fail_msg("the loop waits for something that does not come");
}

static inline void stage_on_turn(struct loop_hook *h)
{
    struct stage *s = CONTAINER_OF(h, struct stage, hook);
    if (s->done != NULL && s->done(s))
        loop_stop(s->loop);
}

static inline void stage_until(struct stage *s, bool (*done)(struct stage *s))
{
    s->done = done;
    loop_timer_start(s->loop, &s->guard, STAGE_GUARD_MS, stage_on_guard);
    if (!done(s))
        loop_run(s->loop);
    loop_timer_stop(&s->guard);
    s->done = NULL;
}

static inline void stage_turns(struct stage *s)
{
    for (int i = 0; i < 20; i++) {
        loop_stop(s->loop);
        loop_run(s->loop);
    }
}

/* ---- the workers ---- */

static inline struct key_config stage_key(const struct stage_worker *w)
{
    static uint8_t pk[256][32];
    pk[w->key_id][0] = w->key_id;
    pk[w->key_id][1] = 9;
    return (struct key_config){ .id = w->key_id,
                                .kem = KEM_X25519_HKDF_SHA256,
                                .public_key = BYTES_ARRAY(pk[w->key_id]),
                                .suites = { { HPKE_KDF_HKDF_SHA256, AEAD_AES_256_GCM } },
                                .suites_n = 1 };
}

static inline void stage_send_list(struct stage_worker *w, struct link_stream *s)
{
    const struct key_config config = stage_key(w);
    BUF_AUTO list = BUF(4096);
    CHECK_OK(keylist_write(&list, &config, 1, KEYLIST_PREFIXED));
    const struct link_field tag = { BYTES_LIT(FIELD_WORKER), bytes_str(w->tag) };
    CHECK_OK(link_respond(s, 200, &tag, w->tag[0] != '\0', false));
    CHECK_OK(link_stream_write(s, buf_view(&list), true));
    w->lists++;
}

static inline void stage_on_request(struct link *k, void *owner, struct link_stream *s,
                                    const struct link_request *req)
{
    struct stage_worker *w = owner;
    w->link = k;
    if (bytes_equal(req->method, BYTES_LIT("GET")) &&
        bytes_equal(req->path, BYTES_LIT(PATH_OHTTP_GATEWAY))) {
        stage_send_list(w, s);
        return;
    }
    w->requests++;
    w->stream = s;
    w->ended = w->lost = false;
    link_stream_set_owner(s, w);
    (void)snprintf(w->target, sizeof w->target, "%.*s %.*s %zu", (int)req->method.len,
                   (const char *)req->method.at, (int)req->path.len, (const char *)req->path.at,
                   req->fields_n);
    if (!w->knows)
        CHECK_OK(link_respond(s, 404, NULL, 0, true));
}

static inline void stage_on_data(struct link_stream *s, bytes in)
{
    struct stage_worker *w = link_stream_owner(s);
    CHECK_OK(buf_add(&w->body, in));
    w->unread += in.len;
    if (w->reads) {
        link_stream_consume(s, w->unread);
        w->unread = 0;
    }
}

static inline void stage_on_end(struct link_stream *s)
{
    struct stage_worker *w = link_stream_owner(s);
    if (w != NULL)
        w->ended = true;
}

static inline void stage_on_closed(struct link_stream *s, enum link_close why)
{
    struct stage_worker *w = link_stream_owner(s);
    if (w == NULL || w->stream != s)
        return;
    w->lost = why != LINK_DONE;
    w->stream = NULL;
}

static const struct link_events STAGE_EVENTS = { .request = stage_on_request,
                                                 .data = stage_on_data,
                                                 .end = stage_on_end,
                                                 .closed = stage_on_closed };

static inline bool stage_all_up(struct stage *s)
{
    size_t lists = 0;
    for (size_t i = 0; i < STAGE_WORKERS; i++)
        lists += s->workers[i].lists > 0;
    return relay_workers_up(s->all) == STAGE_WORKERS && lists == STAGE_WORKERS;
}

static inline void stage_listen(struct stage *s, size_t i)
{
    struct sock_addr addr;
    const struct link_limits limits = { .streams_max = 100 };
    CHECK_OK(sock_addr_read(bytes_str(s->texts[i]), &addr));
    CHECK_OK(link_listen(&s->workers[i].listener, s->loop, &addr, NULL, &limits, &STAGE_EVENTS,
                         &s->workers[i]));
}

static inline void stage_use(struct stage *s, const char *const *addresses, size_t n)
{
    struct worker_set *set = worker_set_of(s->set, addresses, n);
    relay_workers_use(s->all, set);
    worker_set_unref(s->set);
    s->set = set;
}

static inline void stage_on_change(void *owner, const struct balance_change *change)
{
    struct stage *s = owner;
    if (s->changes_n < STAGE_CHANGES)
        s->changes[s->changes_n++] = *change;
}

/* dress: makes the workers what they are before anybody asks them; NULL: nothing. */
static inline void stage_up_as(struct stage *s, void (*dress)(struct stage *s))
{
    memset(s, 0, sizeof *s);
    CHECK_OK(loop_new(&s->loop));
    loop_hook_add(s->loop, &s->hook, 200, stage_on_turn);
    (void)snprintf(s->folder, sizeof s->folder, "/tmp/sealgate-relay-XXXXXX");
    CHECK(mkdtemp(s->folder) != NULL);
    for (size_t i = 0; i < STAGE_WORKERS; i++) {
        s->workers[i] = (struct stage_worker){ .stage = s,
                                               .key_id = (uint8_t)(10 + i),
                                               .reads = true,
                                               .knows = true,
                                               .body = BUF(16 << 20) };
        (void)snprintf(s->texts[i], sizeof s->texts[i], "unix:%s/%zu", s->folder, i);
        s->addresses[i] = s->texts[i];
        stage_listen(s, i);
    }
    if (dress != NULL)
        dress(s);
    const struct relay_workers_settings settings = {
        .balance = { .failures = STAGE_FAILURES, .out_ms = 3600000, .out_max_ms = 3600000 },
        .changed = stage_on_change,
        .owner = s
    };
    CHECK_OK(relay_workers_new(&s->all, s->loop, &settings));
    stage_use(s, s->addresses, STAGE_WORKERS);
    stage_until(s, stage_all_up);
    stage_turns(s);
}

static inline void stage_up(struct stage *s)
{
    stage_up_as(s, NULL);
}

/* Each says the tag 000000000000000N. */
static inline void stage_tags(struct stage *s)
{
    for (unsigned i = 0; i < STAGE_WORKERS; i++)
        (void)snprintf(s->workers[i].tag, sizeof s->workers[i].tag, "%016x", i);
}

static inline void stage_down(struct stage *s)
{
    relay_workers_free(s->all);
    worker_set_unref(s->set);
    for (size_t i = 0; i < STAGE_WORKERS; i++) {
        link_listener_free(s->workers[i].listener);
        (void)unlink(s->texts[i] + sizeof "unix:" - 1);
        buf_clear(&s->workers[i].body);
    }
    stage_turns(s);
    loop_hook_remove(&s->hook);
    loop_free(s->loop);
    (void)rmdir(s->folder);
}
