#include "gateway/shelf.h"

#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/file.h"
#include "base/mem.h"

#define SUFFIX ".cbor"
#define UNFINISHED ".new" /* what file_write() leaves when it is cut short */

struct shelf {
    struct buf folder;
    bool readonly;
};

static bool is_key(bytes key)
{
    for (size_t i = 0; i < key.len; i++) {
        uint8_t c = key.at[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'))
            return false;
    }
    return key.len > 0 && key.len <= SHELF_KEY_MAX;
}

static err make_path(const struct shelf *s, const char *name, const char *suffix, struct buf *out)
{
    TRY(buf_add(out, buf_view(&s->folder)));
    TRY(buf_addf(out, "/%s%s", name, suffix));
    ENSURE(buf_str(out) != NULL, NOMEM);
    return OK;
}

static err path_of(const struct shelf *s, const char *key, struct buf *out)
{
    ENSURE(is_key(bytes_str(key)), INTERNAL);
    return make_path(s, key, SUFFIX, out);
}

/* ---- what is there ---- */

typedef err visit_fn(void *arg, const char *path, const struct stat *about);

static err visit_file(const struct shelf *s, const char *name, const char *suffix, visit_fn *visit,
                      void *arg)
{
    struct stat about;
    BUF_AUTO path = BUF(SHELF_PATH_MAX);
    if (!bytes_ends(bytes_str(name), bytes_str(suffix)))
        return OK;
    TRY(make_path(s, name, "", &path));
    if (lstat(buf_str(&path), &about) != 0 || !S_ISREG(about.st_mode))
        return OK;
    return visit(arg, buf_str(&path), &about);
}

static err visit_all(const struct shelf *s, const char *suffix, visit_fn *visit, void *arg)
{
    BUF_AUTO folder = BUF(SHELF_PATH_MAX);
    TRY(make_path(s, "", "", &folder));
    DIR *d = opendir(buf_str(&folder));
    ENSURE(d != NULL, SYSTEM);
    err e = OK;
    for (struct dirent *f; err_is_ok(e) && (f = readdir(d)) != NULL;)
        e = visit_file(s, f->d_name, suffix, visit, arg);
    (void)closedir(d);
    return e;
}

struct census {
    size_t n;
    struct buf oldest; /* its path */
    struct timespec at;
};

static bool is_older(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec != b->tv_sec ? a->tv_sec < b->tv_sec : a->tv_nsec < b->tv_nsec;
}

static err count_file(void *arg, const char *path, const struct stat *about)
{
    struct census *c = arg;
    c->n++;
    if (c->oldest.len > 0 && !is_older(&about->st_mtim, &c->at))
        return OK;
    c->at = about->st_mtim;
    buf_truncate(&c->oldest, 0);
    return buf_add_str(&c->oldest, path);
}

/* One goes where one more would be too many. */
static err make_room(const struct shelf *s)
{
    struct census c = { .oldest = BUF(SHELF_PATH_MAX) };
    err e = visit_all(s, SUFFIX, count_file, &c);
    if (err_is_ok(e) && c.n >= SHELF_FILES_MAX && buf_str(&c.oldest) != NULL)
        (void)unlink(buf_str(&c.oldest));
    buf_clear(&c.oldest);
    return e;
}

static err remove_file(void *arg, const char *path, const struct stat *about)
{
    (void)arg;
    (void)about;
    (void)unlink(path);
    return OK;
}

/* ---- */

err shelf_read(const struct shelf *s, const char *key, struct buf *out)
{
    BUF_AUTO path = BUF(SHELF_PATH_MAX);
    TRY(path_of(s, key, &path));
    return file_read(out, buf_str(&path));
}

static err make_folder(const struct shelf *s)
{
    BUF_AUTO folder = BUF(SHELF_PATH_MAX);
    TRY(make_path(s, "", "", &folder));
    ENSURE(mkdir(buf_str(&folder), S_IRWXU) == 0 || errno == EEXIST, SYSTEM);
    return OK;
}

err shelf_write(struct shelf *s, const char *key, bytes content)
{
    BUF_AUTO path = BUF(SHELF_PATH_MAX);
    ENSURE(!s->readonly, DENIED);
    TRY(path_of(s, key, &path));
    TRY(make_folder(s));
    if (access(buf_str(&path), F_OK) != 0)
        TRY(make_room(s));
    return file_write(buf_str(&path), content);
}

void shelf_drop(struct shelf *s, const char *key)
{
    BUF_AUTO path = BUF(SHELF_PATH_MAX);
    if (!s->readonly && err_is_ok(path_of(s, key, &path)))
        (void)unlink(buf_str(&path));
}

static err set_up(struct shelf *s, const char *folder)
{
    struct stat about;
    size_t len = strlen(folder);
    while (len > 1 && folder[len - 1] == '/')
        len--;
    ENSURE(len > 0 && len + SHELF_KEY_MAX + 8 <= SHELF_PATH_MAX, CONFIG);
    TRY(buf_add(&s->folder, bytes_of(folder, len)));
    bool there = stat(folder, &about) == 0;
    ENSURE(there ? S_ISDIR(about.st_mode) : !s->readonly && errno == ENOENT, CONFIG);
    return there && !s->readonly ? visit_all(s, UNFINISHED, remove_file, NULL) : OK;
}

err shelf_open(struct shelf **out, const char *folder, bool readonly)
{
    struct shelf *s;
    TRY(mem_new(&s));
    s->folder = BUF(SHELF_PATH_MAX);
    s->readonly = readonly;
    err e = set_up(s, folder);
    if (!err_is_ok(e)) {
        shelf_close(s);
        return e;
    }
    *out = s;
    return OK;
}

void shelf_close(struct shelf *s)
{
    if (s == NULL)
        return;
    buf_clear(&s->folder);
    mem_free(s);
}
