/*
 * wire/names.h - every string that two programs must spell the same way. Frozen once released.
 *
 * Field names are lower-case, as HTTP/2 and Binary HTTP carry them.
 */
#pragma once

/* Paths of the worker's own resources. */
#define PATH_OHTTP_GATEWAY "/.well-known/ohttp-gateway" /* RFC 9540 */
#define PATH_OHTTP "/v1/ohttp"                          /* an alias for POST */
#define PATH_HPKE_KEYS "/.well-known/hpke-keys"
#define PATH_WORKERS "/.well-known/sealgate-workers" /* a relay's: wire/roster.h */
#define PATH_ATTESTATION "/attestation"
#define PATH_HEALTHZ "/healthz"
#define PATH_READYZ "/readyz"
#define PATH_METRICS "/metrics"
#define PATH_RECEIPTS "/v1/receipts"
#define QUERY_FORMAT_BARE "format=bare"

/* Media types. */
#define MEDIA_OHTTP_KEYS "application/ohttp-keys"
#define MEDIA_ROSTER "text/plain; charset=utf-8"
#define MEDIA_OHTTP_REQ "message/ohttp-req"
#define MEDIA_OHTTP_RES "message/ohttp-res"
#define MEDIA_OHTTP_CHUNKED_REQ "message/ohttp-chunked-req"
#define MEDIA_OHTTP_CHUNKED_RES "message/ohttp-chunked-res"
#define MEDIA_JSON "application/json"
#define MEDIA_PROBLEM_JSON "application/problem+json"
#define MEDIA_SSE "text/event-stream"
#define MEDIA_CBOR "application/cbor" /* attestation bundles */
#define MEDIA_RECEIPT "application/eat+cwt"
#define MEDIA_METRICS "text/plain; version=0.0.4"

/* Fields of outer messages. */
#define FIELD_OHTTP_KEY "x-ohttp-key"  /* routing hint, see key_config_hint() */
#define FIELD_WORKER "sealgate-worker" /* a worker's tag, see wire/roster.h */
#define FIELD_INCREMENTAL "incremental"
#define INCREMENTAL_YES "?1" /* RFC 10036 */
#define FIELD_CACHE_CONTROL "cache-control"
#define CACHE_CONTROL_NO_STORE "no-store"
#define FIELD_ACCEL_BUFFERING "x-accel-buffering"
#define ACCEL_BUFFERING_NO "no"
#define FIELD_EHBP_KEY "ehbp-encapsulated-key"
#define FIELD_EHBP_NONCE "ehbp-response-nonce"
#define FIELD_SEALED_RECEIPT "x-sealed-receipt" /* ours: ehbp_server_seal_receipt(), base64url */

/* Fields of inner messages and of the gateway's public answers. */
#define FIELD_CONTENT_TYPE "content-type"
#define FIELD_CONTENT_LENGTH "content-length"
#define FIELD_ACCEPT "accept"
#define FIELD_DATE "date"
#define FIELD_AUTHORIZATION "authorization"
#define FIELD_REQUEST_ID "x-request-id"
#define FIELD_RECEIPT_ID "x-receipt-id"
#define FIELD_RECEIPT_NONCE "x-receipt-nonce"
#define FIELD_RECEIPT_URL "x-receipt-url"
#define FIELD_RETRY_AFTER "retry-after"
#define FIELD_SHOULD_RETRY "x-should-retry" /* "false": asking again is no use */
/* inside the seal: a digest of credentials that the gateway kept for itself */
#define FIELD_CALLER "sealgate-caller"
#define FIELD_TOOLS_LEFT_OUT "x-sealgate-tools-left-out"
#define FIELD_PROCESSING_MS "openai-processing-ms"
#define FIELD_OPENAI_VERSION "openai-version"
#define FIELD_TRACEPARENT "traceparent" /* W3C Trace Context */
#define FIELD_TRACESTATE "tracestate"
#define TRAILER_RECEIPT "receipt" /* worker to gateway: :base64: (RFC 8941 byte sequence) */
#define TRAILER_PUBLIC_RECEIPT "x-receipt" /* gateway to client on HTTP/1.1 */

/* Comment lines of event streams. */
#define SSE_PADDING_PREFIX ":~"
#define SSE_RECEIPT_PREFIX ": receipt "

/* Problem types (RFC 9457). */
#define PROBLEM_OHTTP_KEY "https://iana.org/assignments/http-problem-types#ohttp-key"
#define PROBLEM_DATE "https://iana.org/assignments/http-problem-types#date"
#define PROBLEM_EHBP_KEY "urn:ietf:params:ehbp:error:key-config"
