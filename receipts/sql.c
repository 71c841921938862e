#include "receipts/sql.h"

#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <unistd.h>

#include "base/mem.h"

struct sql {
    sqlite3 *handle;
    sqlite3_stmt *statements[SQL_STATEMENTS_MAX];
    unsigned wal_pages;
    int error;
};

static err judge(struct sql *s, int code)
{
    if (code == SQLITE_OK || code == SQLITE_ROW || code == SQLITE_DONE)
        return OK;
    s->error = sqlite3_extended_errcode(s->handle);
    ENSURE(code != SQLITE_NOMEM, NOMEM);
    FAIL(SYSTEM);
}

static int on_commit(void *owner, sqlite3 *handle, const char *name, int pages)
{
    struct sql *s = owner;
    (void)handle;
    (void)name;
    s->wal_pages = (unsigned)pages;
    return SQLITE_OK;
}

/* The library keeps global statistics under a lock by default. Nobody reads them here. */
static void configure_library(void)
{
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

/* SQLite would make the file as the umask says. Its content is nobody else's business. */
static err make_private(const char *path)
{
    if (bytes_equal(bytes_str(path), BYTES_LIT(":memory:")))
        return OK;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    ENSURE(fd >= 0, SYSTEM);
    (void)close(fd);
    return OK;
}

static err set_up(struct sql *s, const char *path)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    TRY(judge(s, sqlite3_open_v2(path, &s->handle, flags, NULL)));
    (void)sqlite3_extended_result_codes(s->handle, 1);
    TRY(sql_execute(s,
                    "PRAGMA trusted_schema=OFF; PRAGMA page_size=4096; PRAGMA cache_size=-1024;"
                    "PRAGMA temp_store=MEMORY; PRAGMA mmap_size=0;"
                    "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL;"
                    "PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0;"
                    "PRAGMA journal_size_limit=8388608;"));
    (void)sqlite3_wal_hook(s->handle, on_commit, s);
    return OK;
}

err sql_open(struct sql **out, const char *path)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct sql *s;
    (void)pthread_once(&once, configure_library);
    TRY(make_private(path));
    TRY(mem_new(&s));
    err e = set_up(s, path);
    if (!err_is_ok(e)) {
        sql_close(s);
        return e;
    }
    *out = s;
    return OK;
}

void sql_close(struct sql *s)
{
    if (s == NULL)
        return;
    for (unsigned i = 0; i < SQL_STATEMENTS_MAX; i++)
        (void)sqlite3_finalize(s->statements[i]);
    (void)sqlite3_close(s->handle);
    mem_free(s);
}

err sql_execute(struct sql *s, const char *text)
{
    return judge(s, sqlite3_exec(s->handle, text, NULL, NULL, NULL));
}

err sql_ask(struct sql *s, const char *text, int64_t *out)
{
    sqlite3_stmt *q = NULL;
    err e = judge(s, sqlite3_prepare_v2(s->handle, text, -1, &q, NULL));
    if (err_is_ok(e))
        e = judge(s, sqlite3_step(q));
    if (err_is_ok(e))
        *out = sqlite3_column_int64(q, 0);
    (void)sqlite3_finalize(q);
    return e;
}

err sql_prepare(struct sql *s, const char *const *texts, unsigned n)
{
    ENSURE(n <= SQL_STATEMENTS_MAX, INTERNAL);
    for (unsigned i = 0; i < n; i++)
        TRY(judge(s, sqlite3_prepare_v3(s->handle, texts[i], -1, SQLITE_PREPARE_PERSISTENT,
                                        &s->statements[i], NULL)));
    return OK;
}

/* A failed bind shows as NULL, which no column of ours takes. */
void sql_bind_blob(struct sql *s, unsigned i, int at, bytes v)
{
    (void)sqlite3_bind_blob64(s->statements[i], at, v.at, v.len, SQLITE_STATIC);
}

void sql_bind_text(struct sql *s, unsigned i, int at, const char *v)
{
    (void)sqlite3_bind_text(s->statements[i], at, v, -1, SQLITE_STATIC);
}

void sql_bind_number(struct sql *s, unsigned i, int at, int64_t v)
{
    (void)sqlite3_bind_int64(s->statements[i], at, v);
}

err sql_step(struct sql *s, unsigned i, bool *row)
{
    int code = sqlite3_step(s->statements[i]);
    *row = code == SQLITE_ROW;
    return judge(s, code);
}

void sql_reset(struct sql *s, unsigned i)
{
    (void)sqlite3_reset(s->statements[i]);
    (void)sqlite3_clear_bindings(s->statements[i]);
}

bytes sql_column(struct sql *s, unsigned i, int at)
{
    const void *v = sqlite3_column_blob(s->statements[i], at);
    return bytes_of(v, (size_t)sqlite3_column_bytes(s->statements[i], at));
}

int64_t sql_column_number(struct sql *s, unsigned i, int at)
{
    return sqlite3_column_int64(s->statements[i], at);
}

err sql_run(struct sql *s, unsigned i)
{
    bool row;
    err e = sql_step(s, i, &row);
    sql_reset(s, i);
    return e;
}

err sql_number(struct sql *s, unsigned i, int64_t *out)
{
    bool row;
    err e = sql_step(s, i, &row);
    *out = row ? sql_column_number(s, i, 0) : 0;
    sql_reset(s, i);
    return e;
}

void sql_rollback(struct sql *s)
{
    if (sqlite3_get_autocommit(s->handle) == 0)
        (void)sqlite3_exec(s->handle, "ROLLBACK", NULL, NULL, NULL);
}

uint64_t sql_changes(const struct sql *s)
{
    return (uint64_t)sqlite3_changes64(s->handle);
}

err sql_checkpoint(struct sql *s, unsigned pages)
{
    if (s->wal_pages <= pages)
        return OK;
    s->wal_pages = 0;
    return judge(s,
                 sqlite3_wal_checkpoint_v2(s->handle, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL));
}

int sql_error(const struct sql *s)
{
    return s->error;
}
