/*
 * attest/tdx_guest.h - quotes by way of /dev/tdx_guest: a TDREPORT from the kernel by ioctl, and a
 * quote for it from Intel's quoting service (QGS) over vsock. For kernels without configfs-tsm.
 *
 * The messages of QGS are those of its qgs_msg_lib, version 1.0: little endian, and on the wire
 * with their length in front as four bytes, big endian. Nothing of an answer is trusted but its
 * form: it is the verifier who decides.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "attest/tdx_parse.h"
#include "base/buf.h"

#define TDX_GUEST_DEVICE "/dev/tdx_guest"
#define TDX_GUEST_DEVICE_OLD "/dev/tdx-guest"
#define TDX_GUEST_SETTINGS "/etc/tdx-attest.conf"

enum { TDX_QGS_MESSAGE_MAX = 64 * 1024, TDX_QGS_PORT_DEFAULT = 4050, TDX_QGS_TIMEOUT_S = 30 };

/* Appends the message that asks for a quote of that TDREPORT, with its length in front.
 * ERR_MALFORMED: not a TDREPORT. */
err tdx_qgs_request(struct buf *out, bytes tdreport);

/* The quote in an answer (without the length in front), borrowed from it. ERR_UNAVAILABLE: the
 * service says an error. ERR_MALFORMED: anything else than such an answer, whole. */
err tdx_qgs_response(bytes in, bytes *quote);

/* The port in /etc/tdx-attest.conf ("port=4050"), or 0 when the text names none that is one. */
uint32_t tdx_qgs_port(bytes text);

/* The outside, as far as it is used here; the members that are NULL stand for the system's own. */
struct tdx_guest {
    const char *device;                                         /* NULL: the first that exists */
    int (*control)(int fd, unsigned long code, void *argument); /* ioctl(); errno on -1 */
    uint32_t port;                                              /* 0: as the settings file says */
    /* A connected stream socket to that port of the host, or -1 with errno. */
    int (*connect)(uint32_t port);
};

/* Appends the TDREPORT for these 64 bytes. ERR_UNAVAILABLE: no such device. ERR_SYSTEM: the ioctl
 * fails. ERR_MALFORMED: what it gives is none, or not for these bytes. */
err tdx_guest_report(const struct tdx_guest *g, const uint8_t report_data[static 64],
                     struct buf *out);

/* Both steps; appends the quote. ERR_UNAVAILABLE: device or service do not answer. ERR_CLOSED,
 * ERR_TIMEOUT: the service stopped in the middle. */
err tdx_guest_quote(const struct tdx_guest *g, const uint8_t report_data[static 64],
                    struct buf *out);

bool tdx_guest_present(const struct tdx_guest *g);
