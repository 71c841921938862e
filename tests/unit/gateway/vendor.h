/*
 * tests/unit/gateway/vendor.h - an HTTPS server on loopback, on the test's own loop, that plays Intel
 * PCS, AMD KDS, NVIDIA's OCSP responder and manifests, and caches of them: what it says to which path is what the test tells it, and it
 * counts what it was asked.
 */
#pragma once

#include "base/loop.h"
#include "crypto/tls.h"
#include "tests/lib/law.h"

enum { VENDOR_ROUTES_MAX = 32, VENDOR_BODY_MAX = 4 * 1024 * 1024 };

enum vendor_manner {
    VENDOR_ANSWERS = 0,
    VENDOR_CUTS,   /* closes in the middle of the body */
    VENDOR_HANGS,  /* sends the head and no more */
    VENDOR_SILENT, /* never says anything */
    VENDOR_STREAMS /* has no length in its head and closes at the end */
};

struct vendor_route {
    char path[512];
    struct buf content; /* of a POST; empty: a GET */
    unsigned status;
    char fields[32 * 1024]; /* "Name: value\r\n" each */
    struct buf body;
    enum vendor_manner manner;
    unsigned asked;
};

struct vendor {
    struct loop *loop;
    struct tls_context *tls; /* NULL: in the clear */
    int fd;
    struct loop_fd *watch;
    unsigned port;
    char base[64]; /* https://127.0.0.1:PORT */
    struct vendor_route routes[VENDOR_ROUTES_MAX];
    size_t routes_n;
    unsigned asked; /* in all */
    struct vendor_connection *connections;
};

/* Makes a test CA and a server's certificate and key as files in this folder: ca.pem, server.pem,
 * server.key; and other.pem, another CA. */
void vendor_make_files(const char *folder);

/* Removes a test's folder with all that is in it. */
void vendor_remove(const char *folder);

/* folder: of vendor_make_files(); NULL: in the clear. */
void vendor_open(struct vendor *v, struct loop *loop, const char *folder);
void vendor_close(struct vendor *v);

/* What that path, query included, is answered with from now on: 200 with a copy of that body. Any
 * other path is answered with 404. */
struct vendor_route *vendor_route(struct vendor *v, const char *path, bytes body);

/* The same for a POST of that content. */
struct vendor_route *vendor_route_post(struct vendor *v, const char *path, bytes content,
                                       bytes body);

/* Adds a field, its value percent-encoded. */
void vendor_add_field(struct vendor_route *r, const char *name, bytes value);
