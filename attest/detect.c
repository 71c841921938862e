/*
 * A table. A platform is there when one of its marks is; it is ready when all that one of its ways
 * needs is there and open to this process. The order of rows is the order of choice: who stands
 * closest to the hardware comes first, so that of a machine that shows several faces the most direct
 * one is used.
 */
#include "attest/detect.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/json.h"
#include "base/text.h"

enum { MARKS_MAX = 4, WAYS_MAX = 3, NEEDS_MAX = 3, PATH_LEN_MAX = 512, CONTENT_MAX = 128 };

/* A path; with content, a file that has to begin with it. */
struct mark {
    const char *path;
    const char *content;
};

struct way {
    const char *name;
    const char *needs[NEEDS_MAX]; /* each readable and writable */
};

struct row {
    const char *platform;
    const char *title;
    const char *driver;
    struct mark marks[MARKS_MAX];
    struct mark also; /* has to be there too */
    struct way ways[WAYS_MAX];
    const char *advice;
};

#define GCP_LAUNCHER "/run/container_launcher/teeserver.sock"
#define TSM "/sys/kernel/config/tsm/report"

/* What Azure writes as asset tag of every machine (documented, the same for all). */
#define AZURE_TAG "7783-7084-3265-9085-8269-3286-77"

static const struct row rows[] = {
    { .platform = "nitro",
      .title = "AWS Nitro Enclave",
      .driver = "nsm",
      .marks = { { "/dev/nsm", NULL }, { "/sys/class/misc/nsm", NULL } },
      .ways = { { "/dev/nsm", { "/dev/nsm" } } },
      .advice = "make /dev/nsm readable and writable for this user" },
    { .platform = "tdx",
      .title = "Intel TDX",
      .driver = "tdx_guest",
      .marks = { { "/dev/tdx_guest", NULL },
                 { "/dev/tdx-guest", NULL },
                 { "/sys/class/misc/tdx_guest", NULL } },
      .ways = { { "configfs-tsm", { "/dev/tdx_guest", TSM } },
                { "/dev/tdx_guest and a quoting service", { "/dev/tdx_guest", "/dev/vsock" } },
                { "/dev/tdx-guest and a quoting service", { "/dev/tdx-guest", "/dev/vsock" } } },
      .advice = "load the module tdx_guest, make its device readable and writable for this user, "
                "and mount configfs or have /dev/vsock for the quoting service" },
    { .platform = "sev-snp",
      .title = "AMD SEV-SNP",
      .driver = "sev-guest",
      .marks = { { "/dev/sev-guest", NULL }, { "/sys/class/misc/sev-guest", NULL } },
      .ways = { { "configfs-tsm", { "/dev/sev-guest", TSM } },
                { "/dev/sev-guest", { "/dev/sev-guest" } } },
      .advice = "load the module sev-guest, make /dev/sev-guest readable and writable for this "
                "user, or pass it into the container" },
    { .platform = "azure-sev-snp",
      .title = "AMD SEV-SNP below Azure's paravisor",
      .driver = "tpm_crb",
      .marks = { { "/dev/tpmrm0", NULL } },
      .also = { "/sys/class/dmi/id/chassis_asset_tag", AZURE_TAG },
      .ways = { { "the TPM, if this is a confidential VM", { "/dev/tpmrm0" } } },
      .advice = "make /dev/tpmrm0 readable and writable for this user" },
    { .platform = "gcp-confidential-space",
      .title = "Google Confidential Space",
      .driver = "container_launcher",
      .marks = { { GCP_LAUNCHER, NULL } },
      .ways = { { "the launcher's socket", { GCP_LAUNCHER } } },
      .advice = "make " GCP_LAUNCHER " readable and writable for this user" },
};

_Static_assert(ARRAY_LEN(rows) <= DETECT_FINDINGS_MAX, "a finding for each platform");

/* --- looking --------------------------------------------------------------------------------- */

static bool path_of(const char *root, const char *path, char out[static PATH_LEN_MAX])
{
    int n = snprintf(out, PATH_LEN_MAX, "%s%s", root, path);
    return n > 0 && n < PATH_LEN_MAX;
}

static bool begins_with(const char *full, const char *content)
{
    uint8_t have[CONTENT_MAX];
    int fd = open(full, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, have, sizeof have);
    (void)close(fd);
    return n > 0 && bytes_starts(bytes_of(have, (size_t)n), bytes_str(content));
}

static bool is_there(const char *root, const struct mark *m)
{
    char full[PATH_LEN_MAX];
    struct stat s;
    if (m->path == NULL || !path_of(root, m->path, full) || stat(full, &s) != 0)
        return false;
    return m->content == NULL || begins_with(full, m->content);
}

static const struct mark *first_mark(const char *root, const struct row *row)
{
    if (row->also.path != NULL && !is_there(root, &row->also))
        return NULL;
    for (size_t i = 0; i < MARKS_MAX; i++) {
        if (is_there(root, &row->marks[i]))
            return &row->marks[i];
    }
    return NULL;
}

static bool is_open_to_us(const char *root, const char *path)
{
    char full[PATH_LEN_MAX];
    return path_of(root, path, full) && access(full, R_OK | W_OK) == 0;
}

static bool is_possible(const char *root, const struct way *way)
{
    for (size_t i = 0; i < NEEDS_MAX && way->needs[i] != NULL; i++) {
        if (!is_open_to_us(root, way->needs[i]))
            return false;
    }
    return way->name != NULL;
}

static const char *first_way(const char *root, const struct row *row)
{
    for (size_t i = 0; i < WAYS_MAX; i++) {
        if (is_possible(root, &row->ways[i]))
            return row->ways[i].name;
    }
    return NULL;
}

static struct detect_finding look_for(const char *root, const struct row *row)
{
    struct detect_finding f = { .platform = row->platform, .title = row->title, .advice = "" };
    const struct mark *mark = first_mark(root, row);
    if (mark == NULL)
        return f;
    f.found = mark->path;
    f.driver = row->driver;
    f.way = first_way(root, row);
    f.state = f.way != NULL ? DETECT_READY : DETECT_UNUSABLE;
    if (f.way == NULL)
        f.advice = row->advice;
    return f;
}

err detect_look(const char *root, struct detect *out)
{
    const char *from = root != NULL ? root : "";
    *out = (struct detect){ .n = ARRAY_LEN(rows) };
    ENSURE(strlen(from) <= DETECT_ROOT_MAX, LIMIT);
    for (size_t i = 0; i < out->n; i++) {
        struct detect_finding f = look_for(from, &rows[i]);
        out->findings[i] = f;
        if (f.state != DETECT_READY || out->choice != NULL)
            continue;
        out->choice = f.platform;
        out->choice_way = f.way;
    }
    return OK;
}

const struct detect_finding *detect_find(const struct detect *d, bytes platform)
{
    for (size_t i = 0; i < d->n; i++) {
        if (bytes_equal(platform, bytes_str(d->findings[i].platform)))
            return &d->findings[i];
    }
    return NULL;
}

/* --- telling --------------------------------------------------------------------------------- */

const char *detect_state_word(enum detect_state s)
{
    switch (s) {
    case DETECT_UNUSABLE:
        return "unusable";
    case DETECT_READY:
        return "ready";
    case DETECT_ABSENT:
        break;
    }
    return "absent";
}

static err explain_finding(const struct detect_finding *f, struct buf *out)
{
    TRY(buf_addf(out, "%-9s %s", detect_state_word(f->state), f->title));
    if (f->found != NULL)
        TRY(buf_addf(out, ": %s, driver %s", f->found, f->driver));
    if (f->way != NULL)
        TRY(buf_addf(out, ", evidence by %s", f->way));
    if (f->advice[0] != '\0')
        TRY(buf_addf(out, "; %s", f->advice));
    return buf_add_u8(out, '\n');
}

err detect_explain(const struct detect *d, struct buf *out)
{
    for (size_t i = 0; i < d->n; i++)
        TRY(explain_finding(&d->findings[i], out));
    if (d->choice == NULL)
        return buf_add_str(out,
                           "No TEE can be used here. Nothing takes its place: evidence that "
                           "proves nothing (platform simulated) has to be asked for.\n");
    return buf_addf(out, "Used unless another is named: %s, by %s\n", d->choice, d->choice_way);
}

err detect_json(const struct detect *d, struct buf *out)
{
    struct json_out j = JSON_OUT(out);
    json_begin_object(&j, NULL);
    json_put_str(&j, "choice", d->choice);
    json_put_str(&j, "way", d->choice_way);
    json_begin_array(&j, "platforms");
    for (size_t i = 0; i < d->n; i++) {
        const struct detect_finding *f = &d->findings[i];
        json_begin_object(&j, NULL);
        json_put_str(&j, "platform", f->platform);
        json_put_str(&j, "title", f->title);
        json_put_str(&j, "state", detect_state_word(f->state));
        json_put_str(&j, "found", f->found);
        json_put_str(&j, "driver", f->driver);
        json_put_str(&j, "way", f->way);
        json_put_str(&j, "advice", f->advice);
        json_close(&j);
    }
    json_close(&j);
    json_close(&j);
    return json_end(&j);
}
