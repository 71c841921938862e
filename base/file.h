/* base/file.h - small files, read whole. For settings and keys at start, never on a request's path. */
#pragma once

#include "base/buf.h"

/* Appends the whole file. NOT_FOUND, DENIED or SYSTEM; LIMIT when it does not fit the buf. */
err file_read(struct buf *out, const char *path);

/* Appends the first line without its line end and without blanks at its ends. */
err file_read_line(struct buf *out, const char *path);

/* Replaces the file by these bytes, for the owner only, in one step: others see the old one or the
 * new one. SYSTEM when that fails. */
err file_write(const char *path, bytes content);
