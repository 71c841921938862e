/*
 * attest/gcp_attest.h - makes the evidence of "gcp-confidential-space" inside a container there: a token
 * of the PKI kind from the launcher's socket, with the binding as its nonce (attest/gcp.h).
 *
 * POST /v1/token of HTTP with {"audience", "token_type", "nonces"} (go-tpm-tools,
 * launcher/teeserver). HTTP/1.0, so that the answer ends with the connection. Blocks; call it off the
 * loop's thread.
 */
#pragma once

#include "attest/attester.h"

#define GCP_SOCKET "/run/container_launcher/teeserver.sock"

enum { GCP_WAIT_MS_DEFAULT = 30000, GCP_ANSWER_MAX = 80 * 1024 };

struct gcp_attest_settings {
    const char *socket; /* NULL: GCP_SOCKET; borrowed for the attester's life */
    unsigned wait_ms;   /* for one answer; 0: GCP_WAIT_MS_DEFAULT */
};

/* ERR_UNAVAILABLE: there is no such socket. Copies the settings. A question is ERR_UNAVAILABLE when
 * nobody answers in time, or with anything but a token. */
err gcp_attester_new(struct attester **out, const struct gcp_attest_settings *settings);
