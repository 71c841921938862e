/* base/file.h - small files, read whole. For settings and keys at start, never on a request's path. */
#pragma once

#include <sys/types.h>

#include "base/buf.h"

/* Appends the whole file. NOT_FOUND, DENIED or SYSTEM, and errno says why; LIMIT when it does not fit
 * the buf. */
err file_read(struct buf *out, const char *path);

/* Appends the first line without its line end and without blanks at its ends. */
err file_read_line(struct buf *out, const char *path);

/* What an error of file_read() means, for people, to stand behind the path. */
const char *file_trouble(err e);
/* Says what is wrong with the file of a setting: "a.yaml: cannot be read: there is no such file (policy)"
 * at the end of *message. why: of file_read(). ERR_CONFIG, or ERR_NOMEM. */
err file_complain(struct buf *message, const char *path, const char *setting, err why);
/* Whether the file of a setting can be read, if it is set at all (path is not NULL): for those that a
 * library will read, which cannot tell. Errors of file_complain(). */
err file_check(struct buf *message, const char *path, const char *setting);

/* Replaces the file by these bytes, for the owner only, in one step: others see the old one or the
 * new one. SYSTEM when that fails. */
err file_write(const char *path, bytes content);

/* Which file it is; another one when any of it differs. All zero: there is none. */
struct file_stamp {
    ino_t inode;
    off_t size;
    int64_t mtime_s;
    int64_t mtime_ns;
};

/* A file that is followed, however it is replaced. Zeroed at first but for its path, which is borrowed. */
struct file_watch {
    const char *path;
    struct file_stamp read; /* the file that was read */
    struct file_stamp seen; /* the file at the latest look */
};

/* What is read from here on is the file as it is now. */
void file_watch_read(struct file_watch *w);
/* One look: true when the file is another than the one read, and was so at the look before, too: so no
 * half of a file that is being written is taken for one, if looks are far enough apart. */
bool file_watch_changed(struct file_watch *w);
