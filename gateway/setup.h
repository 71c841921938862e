/*
 * gateway/setup.h - what both modes make of the settings in the same way.
 */
#pragma once

#include "crypto/token.h"
#include "gateway/balance.h"
#include "gateway/discover.h"
#include "gateway/front.h"
#include "gateway/settings.h"

enum { SETUP_SHARDS_MAX = 256 };

#define SETUP_BAD_CERTIFICATE "is no chain of certificates (PEM), or tls_key is not its key"

/* ERR_CONFIG, with "NAME: WHAT" appended to *message. */
err setup_complain(struct buf *message, const char *name, const char *what);

/* Whether this address may be listened on: ERR_CONFIG, and what to do in *message. Asked once, before the
 * shards listen, who share their address with each other and so would with another gateway. */
err setup_address(const char *address, struct buf *message);

/* Whether the files of TLS can be read: ERR_CONFIG, and what is wrong in *message. */
err setup_tls_files(const struct gateway_settings *s, struct buf *message);

/* How many threads serve clients. */
size_t setup_shards(const struct gateway_settings *s);

/* Whether one of these addresses or sources of them may want TLS. */
bool setup_uses_tls(const struct config_list *addresses);

/* Finds out which workers there are; settings is completed by the caller but for what is set. Errors of
 * discover_new(). */
err setup_discover(struct discover **out, struct loop *loop, const struct gateway_settings *s,
                   struct discover_settings *settings, struct buf *message);

/* How several workers are balanced. */
struct balance_settings setup_balance(const struct gateway_settings *s);

/* The tokens of tokens_file; none where it is not set. *out is zeroed by the caller. ERR_CONFIG with
 * what to do in *message. */
err setup_tokens(struct token_set *out, const struct gateway_settings *s, struct buf *message);

/* Listens at `listen`. Errors of front_new(). */
err setup_front(struct front **out, struct loop *loop, const struct gateway_settings *s,
                const struct front_events *events, void *owner);
