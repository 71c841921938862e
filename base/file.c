#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/text.h"

enum { PART = 64 * 1024 };

static err read_all(struct buf *out, int fd)
{
    for (;;) {
        uint8_t *room;
        size_t want = out->max - out->len < PART ? out->max - out->len : PART;
        uint8_t one;
        if (want == 0) {
            ENSURE(read(fd, &one, 1) == 0, LIMIT);
            return OK;
        }
        TRY(buf_reserve(out, want, &room));
        ssize_t n = read(fd, room, want);
        ENSURE(n >= 0, SYSTEM);
        if (n == 0)
            return OK;
        buf_commit(out, (size_t)n);
    }
}

static err open_to_read(const char *path, int *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        FAIL(NOT_FOUND);
    if (fd < 0 && errno == EACCES)
        FAIL(DENIED);
    ENSURE(fd >= 0, SYSTEM);
    *out = fd;
    return OK;
}

err file_read(struct buf *out, const char *path)
{
    int fd;
    TRY(open_to_read(path, &fd));
    err e = read_all(out, fd);
    (void)close(fd);
    return e;
}

const char *file_trouble(err e)
{
    static const struct {
        enum err_code code;
        const char *text;
    } KNOWN[] = {
        { ERR_NOT_FOUND, "cannot be read: there is no such file" },
        { ERR_DENIED, "cannot be read: this user may not" },
        { ERR_LIMIT, "cannot be read: it is longer than it may be" },
    };
    for (size_t i = 0; i < ARRAY_LEN(KNOWN); i++) {
        if (KNOWN[i].code == e.code)
            return KNOWN[i].text;
    }
    return "cannot be read";
}

err file_complain(struct buf *message, const char *path, const char *setting, err why)
{
    TRY(buf_addf(message, "%s: %s (%s)", path, file_trouble(why), setting));
    FAIL(CONFIG);
}

err file_check(struct buf *message, const char *path, const char *setting)
{
    int fd;
    if (path == NULL)
        return OK;
    err e = open_to_read(path, &fd);
    if (e.code != ERR_OK)
        return file_complain(message, path, setting, e);
    (void)close(fd);
    return OK;
}

err file_read_line(struct buf *out, const char *path)
{
    BUF_AUTO file = BUF(out->max);
    TRY(file_read(&file, path));
    return buf_add(out, text_first_line(buf_view(&file)));
}

static bool write_all(int fd, bytes content)
{
    while (content.len > 0) {
        ssize_t n = write(fd, content.at, content.len);
        if (n < 0)
            return false;
        content = bytes_slice(content, (size_t)n, content.len);
    }
    return true;
}

err file_write(const char *path, bytes content)
{
    BUF_AUTO beside = BUF(4096);
    TRY(buf_addf(&beside, "%s.%ld.new", path, (long)getpid()));
    const char *temporary = buf_str(&beside);
    int fd =
        open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR);
    ENSURE(fd >= 0, SYSTEM);
    bool written = write_all(fd, content) && fsync(fd) == 0;
    written = close(fd) == 0 && written;
    if (!written || rename(temporary, path) != 0) {
        (void)unlink(temporary);
        FAIL(SYSTEM);
    }
    return OK;
}

static void get_stamp(const char *path, struct file_stamp *out)
{
    struct stat s;
    *out = (struct file_stamp){ 0 };
    if (stat(path, &s) != 0)
        return;
    out->inode = s.st_ino;
    out->size = s.st_size;
    out->mtime_s = s.st_mtim.tv_sec;
    out->mtime_ns = s.st_mtim.tv_nsec;
}

static bool same_stamp(const struct file_stamp *a, const struct file_stamp *b)
{
    return a->inode == b->inode && a->size == b->size && a->mtime_s == b->mtime_s &&
           a->mtime_ns == b->mtime_ns;
}

void file_watch_read(struct file_watch *w)
{
    get_stamp(w->path, &w->read);
    w->seen = w->read;
}

bool file_watch_changed(struct file_watch *w)
{
    struct file_stamp now;
    get_stamp(w->path, &now);
    bool still = same_stamp(&now, &w->seen);
    w->seen = now;
    return still && !same_stamp(&now, &w->read);
}
