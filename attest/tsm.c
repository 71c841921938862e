/*
 * The race rule: `generation` grows by one with each write to any attribute. A report belongs to
 * what we wrote when, after it was read, the counter stands exactly our own writes above where it
 * stood before them.
 */
#include "attest/tsm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"
#include "crypto/secret.h"

enum { PATH_LEN_MAX = 512, WORD_MAX = 64, READ_STEP = 4096, NAME_RANDOM_LEN = 8 };

/* --- files ----------------------------------------------------------------------------------- */

static int path_of(const struct tsm_tree *t, const char *name, const char *attribute,
                   char out[static PATH_LEN_MAX])
{
    int n = snprintf(out, PATH_LEN_MAX, "%s/%s%s%s", t->base, name, attribute[0] != '\0' ? "/" : "",
                     attribute);
    return n > 0 && n < PATH_LEN_MAX ? 0 : ENAMETOOLONG;
}

static int files_make(const struct tsm_tree *t, const char *name)
{
    char path[PATH_LEN_MAX];
    int e = path_of(t, name, "", path);
    if (e != 0)
        return e;
    return mkdir(path, 0700) == 0 ? 0 : errno;
}

static void files_remove(const struct tsm_tree *t, const char *name)
{
    char path[PATH_LEN_MAX];
    if (path_of(t, name, "", path) == 0)
        (void)rmdir(path);
}

/* In one write: the kernel takes each as the whole value. */
static int write_all(int fd, bytes value)
{
    ssize_t n = write(fd, value.at, value.len);
    if (n < 0)
        return errno;
    return (size_t)n == value.len ? 0 : EIO;
}

static int files_write(const struct tsm_tree *t, const char *name, const char *attribute,
                       bytes value)
{
    char path[PATH_LEN_MAX];
    int e = path_of(t, name, attribute, path);
    if (e != 0)
        return e;
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    e = write_all(fd, value);
    (void)close(fd);
    return e;
}

static int read_all(int fd, struct buf *out)
{
    for (;;) {
        uint8_t part[READ_STEP];
        ssize_t n = read(fd, part, sizeof part);
        if (n < 0)
            return errno;
        if (n == 0)
            return 0;
        err e = buf_add(out, bytes_of(part, (size_t)n));
        if (!err_is_ok(e))
            return e.code == ERR_NOMEM ? ENOMEM : EFBIG;
    }
}

static int files_read(const struct tsm_tree *t, const char *name, const char *attribute,
                      struct buf *out)
{
    char path[PATH_LEN_MAX];
    int e = path_of(t, name, attribute, path);
    if (e != 0)
        return e;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    e = read_all(fd, out);
    (void)close(fd);
    return e;
}

static void files_wait(const struct tsm_tree *t, unsigned ms)
{
    struct timespec left = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };
    (void)t;
    (void)nanosleep(&left, NULL);
}

struct tsm_tree tsm_files(const char *base)
{
    return (struct tsm_tree){ .make = files_make,
                              .write = files_write,
                              .read = files_read,
                              .remove = files_remove,
                              .wait = files_wait,
                              .base = base != NULL ? base : TSM_BASE };
}

bool tsm_present(const char *base)
{
    struct stat s;
    return stat(base != NULL ? base : TSM_BASE, &s) == 0 && S_ISDIR(s.st_mode);
}

/* --- one report ------------------------------------------------------------------------------ */

struct attempt {
    const struct tsm_tree *tree;
    const struct tsm_ask *ask;
    const char *name;
    struct buf *outblob;
    struct buf *auxblob;
    size_t out_len; /* what the bufs held before */
    size_t aux_len;
};

enum step { STEP_DONE, STEP_AGAIN };

static bool is_busy(int e)
{
    return e == EBUSY || e == ETIMEDOUT || e == EAGAIN || e == EINTR;
}

static err fail_of(int e)
{
    ENSURE(e != ENOMEM, NOMEM);
    ENSURE(e != EFBIG, LIMIT);
    ENSURE(e != ENOENT && e != ENODEV && e != ENXIO, UNAVAILABLE);
    FAIL(SYSTEM);
}

/* A short attribute without its line end. */
static err read_word(const struct attempt *a, const char *attribute, struct buf *out)
{
    int e = a->tree->read(a->tree, a->name, attribute, out);
    if (e != 0)
        return fail_of(e);
    while (out->len > 0 && out->at[out->len - 1] == '\n')
        buf_truncate(out, out->len - 1);
    return OK;
}

static err read_generation(const struct attempt *a, uint64_t *out)
{
    BUF_AUTO word = BUF(WORD_MAX);
    TRY(read_word(a, "generation", &word));
    ENSURE(text_u64(buf_view(&word), out), SYSTEM);
    return OK;
}

static err check_provider(const struct attempt *a)
{
    BUF_AUTO word = BUF(WORD_MAX);
    TRY(read_word(a, "provider", &word));
    ENSURE(bytes_equal(buf_view(&word), bytes_str(a->ask->provider)), UNSUPPORTED);
    return OK;
}

static err write_ask(const struct attempt *a, uint64_t *writes, int *e)
{
    char level[16];
    *writes = 0;
    if (a->ask->privlevel != TSM_PRIVLEVEL_NONE) {
        (void)snprintf(level, sizeof level, "%d", a->ask->privlevel);
        *e = a->tree->write(a->tree, a->name, "privlevel", bytes_str(level));
        if (*e != 0)
            return is_busy(*e) ? OK : fail_of(*e);
        (*writes)++;
    }
    *e = a->tree->write(a->tree, a->name, "inblob", bytes_of(a->ask->inblob, TSM_INBLOB_LEN));
    (*writes)++;
    return *e == 0 || is_busy(*e) ? OK : fail_of(*e);
}

/* A kernel without the attribute has nothing to say there. */
static err read_blob(const struct attempt *a, const char *attribute, struct buf *out, bool optional,
                     int *e)
{
    *e = a->tree->read(a->tree, a->name, attribute, out);
    if (optional && (*e == ENOENT || *e == ENOTTY))
        *e = 0;
    return *e == 0 || is_busy(*e) ? OK : fail_of(*e);
}

static err read_blobs(const struct attempt *a, int *e)
{
    TRY(read_blob(a, "outblob", a->outblob, false, e));
    if (*e == 0 && a->ask->want_auxblob)
        TRY(read_blob(a, "auxblob", a->auxblob, true, e));
    return OK;
}

static err attempt_once(const struct attempt *a, enum step *step)
{
    uint64_t before;
    uint64_t after;
    uint64_t writes;
    int e = 0;
    *step = STEP_AGAIN;
    TRY(read_generation(a, &before));
    TRY(write_ask(a, &writes, &e));
    if (e == 0)
        TRY(read_blobs(a, &e));
    if (e != 0)
        return OK;
    TRY(read_generation(a, &after));
    if (after - before == writes && a->outblob->len > a->out_len)
        *step = STEP_DONE;
    return OK;
}

static err attempt_often(const struct attempt *a)
{
    unsigned tries = a->ask->tries > 0 ? a->ask->tries : TSM_TRIES_DEFAULT;
    unsigned wait_ms = TSM_WAIT_MS_DEFAULT;
    enum step step;
    for (; tries > 0; tries--) {
        TRY(attempt_once(a, &step));
        if (step == STEP_DONE)
            return OK;
        buf_truncate(a->outblob, a->out_len);
        if (a->ask->want_auxblob)
            buf_truncate(a->auxblob, a->aux_len);
        a->tree->wait(a->tree, wait_ms);
        wait_ms = wait_ms * 2 < TSM_WAIT_MS_MAX ? wait_ms * 2 : TSM_WAIT_MS_MAX;
    }
    FAIL(UNAVAILABLE);
}

static err make_name(char out[static TSM_NAME_MAX])
{
    uint8_t random[NAME_RANDOM_LEN];
    BUF_AUTO name = BUF(TSM_NAME_MAX);
    TRY(crypto_random(random, sizeof random));
    TRY(buf_add_str(&name, "sealgate-"));
    TRY(text_hex_encode(&name, BYTES_ARRAY(random)));
    memcpy(out, name.at, name.len);
    out[name.len] = '\0';
    return OK;
}

static err run(const struct attempt *a)
{
    TRY(check_provider(a));
    return attempt_often(a);
}

err tsm_report(const struct tsm_tree *tree, const struct tsm_ask *ask, struct buf *outblob,
               struct buf *auxblob)
{
    char name[TSM_NAME_MAX];
    TRY(make_name(name));
    int made = tree->make(tree, name);
    if (made != 0)
        return fail_of(made);
    err e = run(&(struct attempt){ .tree = tree,
                                   .ask = ask,
                                   .name = name,
                                   .outblob = outblob,
                                   .auxblob = auxblob,
                                   .out_len = outblob->len,
                                   .aux_len = ask->want_auxblob ? auxblob->len : 0 });
    tree->remove(tree, name);
    return e;
}
