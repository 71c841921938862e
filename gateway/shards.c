#include "gateway/shards.h"

#include "base/sock.h"

/* Of what all may hold, but always enough for one request. */
static uint64_t held_by_each(const struct gateway_settings *settings, size_t shards)
{
    uint64_t share = settings->held_max / shards;
    return share > settings->body_max ? share : settings->body_max;
}

err shards_open(struct shards *s, struct shard_common *common, struct buf *message)
{
    const struct gateway_settings *settings = common->settings;
    size_t n = setup_shards(settings);
    common->held_max = held_by_each(settings, n);
    TRY(setup_address(settings->listen, message));
    for (; s->n < n; s->n++) {
        err e = shard_new(&s->at[s->n], common);
        if (e.code == ERR_CONFIG)
            return setup_complain(message, "tls_cert", SETUP_BAD_CERTIFICATE);
        if (e.code != ERR_OK)
            return setup_complain(message, settings->listen, sock_listen_advice(e));
    }
    return OK;
}

/* A second call to drain is at once. */
static void break_off(struct shards *s)
{
    for (size_t i = 0; i < s->running; i++) {
        shard_post_drain(s->at[i]);
        shard_post_drain(s->at[i]);
    }
}

err shards_start(struct shards *s)
{
    for (; s->running < s->n; s->running++) {
        err e = shard_start(s->at[s->running]);
        if (e.code != ERR_OK) {
            break_off(s);
            return e;
        }
    }
    return OK;
}

void shards_post_view(struct shards *s, struct trust_view *view)
{
    for (size_t i = 0; i < s->n; i++)
        shard_post_view(s->at[i], view);
}

void shards_post_findings(struct shards *s, struct findings *findings)
{
    for (size_t i = 0; i < s->n; i++)
        shard_post_findings(s->at[i], findings);
}

err shards_post_admit(struct shards *s, struct admit *admit)
{
    err e = OK;
    for (size_t i = 0; i < s->n; i++) {
        err posted = shard_post_admit(s->at[i], admit);
        e = posted.code != ERR_OK ? posted : e;
    }
    return e;
}

void shards_drain(struct shards *s)
{
    for (size_t i = 0; i < s->n; i++)
        shard_post_drain(s->at[i]);
}

bool shards_end_one(struct shards *s)
{
    s->running--;
    return s->running == 0;
}

void shards_free(struct shards *s)
{
    for (size_t i = 0; i < s->n; i++)
        shard_free(s->at[i]);
    s->n = 0; /* .running stays: the end of some may not have been told yet */
}
