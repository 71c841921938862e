#include "enclave-worker/thim.h"

#include <curl/curl.h>

#include "attest/snp_table.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/hash.h"

enum { URL_MAX = 2048, DEPTH_MAX = 4 };

struct thim {
    struct buf url;
    struct log *log;
    struct buf table;       /* empty: there was no answer */
    uint8_t of[SHA256_LEN]; /* the chip and the level that it is of */
    int64_t again;          /* when to ask anew */
    bool complained;
};

err thim_new(struct thim **out, const char *url, struct log *log)
{
    struct thim *t;
    ENSURE(url != NULL && bytes_starts(bytes_str(url), BYTES_LIT("http://")), CONFIG);
    ENSURE(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK, NOMEM);
    TRY(mem_new(&t));
    t->url = BUF(URL_MAX);
    t->table = BUF(SNP_TABLE_MAX);
    t->log = log;
    if (!err_is_ok(buf_add_str(&t->url, url)) || buf_str(&t->url) == NULL) {
        thim_free(t);
        FAIL(CONFIG);
    }
    *out = t;
    return OK;
}

void thim_free(struct thim *t)
{
    if (t == NULL)
        return;
    buf_clear(&t->url);
    buf_clear(&t->table);
    mem_free(t);
}

/* ---- the answer ---- */

static err read_certificates(const struct json *root, struct buf *table)
{
    struct snp_collateral check = { 0 };
    BUF_AUTO pem = BUF(THIM_ANSWER_MAX);
    bytes leaf = json_text_of(root, "vcekCert");
    bytes chain = json_text_of(root, "certificateChain");
    ENSURE(leaf.len > 0 && chain.len > 0, MALFORMED);
    TRY(buf_add(&pem, leaf));
    TRY(buf_add_u8(&pem, '\n'));
    TRY(buf_add(&pem, chain));
    const struct snp_entry entry = { SNP_ENTRY_VCEK, buf_view(&pem) };
    err e = snp_collateral_add(&check, entry.kind, entry.data);
    size_t issuers = check.issuers_n;
    snp_collateral_clear(&check);
    TRY(e);
    ENSURE(issuers > 0, MALFORMED);
    return snp_table_write(table, &entry, 1);
}

/* tcbm: the level as one number in hex, so its last byte first. */
static err check_level(bytes tcbm, const struct snp_tcb *reported)
{
    BUF_AUTO raw = BUF(SNP_TCB_LEN);
    err e = text_hex_decode(&raw, tcbm);
    if (e.code == ERR_NOMEM)
        return e;
    ENSURE(err_is_ok(e) && raw.len == SNP_TCB_LEN, STALE);
    for (size_t i = 0; i < SNP_TCB_LEN; i++)
        ENSURE(raw.at[i] == reported->raw[SNP_TCB_LEN - 1 - i], STALE);
    return OK;
}

err thim_read(bytes answer, const struct snp_tcb *reported, struct buf *table)
{
    struct json *root;
    ENSURE(answer.len <= THIM_ANSWER_MAX, MALFORMED);
    TRY(json_read(&root, answer, DEPTH_MAX));
    err e = check_level(json_text_of(root, "tcbm"), reported);
    if (err_is_ok(e))
        e = read_certificates(root, table);
    json_free(root);
    return e;
}

/* ---- asking ---- */

static size_t on_body(char *at, size_t size, size_t n, void *owner)
{
    return err_is_ok(buf_add(owner, bytes_of(at, size * n))) ? size * n : 0;
}

static bool prepare(CURL *easy, const struct thim *t, struct curl_slist *fields, struct buf *answer)
{
    return curl_easy_setopt(easy, CURLOPT_URL, (const char *)t->url.at) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HTTPHEADER, fields) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PROXY, "") == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http") == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_FAILONERROR, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)THIM_PATIENCE_MS) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEDATA, answer) == CURLE_OK;
}

static err ask(const struct thim *t, struct buf *answer)
{
    CURL *easy = curl_easy_init();
    struct curl_slist *fields = curl_slist_append(NULL, "Metadata: true");
    bool good = easy != NULL && fields != NULL && prepare(easy, t, fields, answer) &&
                curl_easy_perform(easy) == CURLE_OK;
    curl_slist_free_all(fields);
    curl_easy_cleanup(easy);
    ENSURE(good, UNAVAILABLE);
    return OK;
}

static err renew(struct thim *t, const struct snp_tcb *reported)
{
    BUF_AUTO answer = BUF(THIM_ANSWER_MAX);
    buf_truncate(&t->table, 0);
    TRY(ask(t, &answer));
    return thim_read(buf_view(&answer), reported, &t->table);
}

/* Once for each time that it ceases to answer. */
static void complain(struct thim *t, err e)
{
    if (!t->complained)
        LOG_WARN(t->log, "azure serves no certificates; gateways fetch them from AMD", F_ERR(e));
    t->complained = true;
}

/* What a certificate is made for: the chip and the level of its firmware. */
static void subject_of(const struct snp_report *r, uint8_t out[static SHA256_LEN])
{
    struct sha256 hash;
    sha256_init(&hash);
    sha256_add(&hash, r->chip_id);
    sha256_add(&hash, BYTES_ARRAY(r->reported.raw));
    sha256_end(&hash, out);
}

static err look_again(struct thim *t, const struct snp_tcb *reported, int64_t now)
{
    err e = renew(t, reported);
    if (!err_is_ok(e))
        buf_truncate(&t->table, 0);
    if (e.code == ERR_NOMEM)
        return e;
    t->again = now + (err_is_ok(e) ? THIM_FRESH_S : THIM_PAUSE_S);
    if (!err_is_ok(e))
        complain(t, e);
    else
        t->complained = false;
    return OK;
}

err thim_collateral(void *thim, bytes report, bytes table, int64_t now, struct buf *out)
{
    struct thim *t = thim;
    struct snp_report r;
    uint8_t of[SHA256_LEN];
    if (table.len > 0)
        return buf_add(out, table);
    if (!err_is_ok(snp_report_read(report, &r)))
        return OK;
    subject_of(&r, of);
    if (now >= t->again || !bytes_equal(BYTES_ARRAY(of), BYTES_ARRAY(t->of)))
        TRY(look_again(t, &r.reported, now));
    memcpy(t->of, of, sizeof t->of);
    return buf_add(out, buf_view(&t->table));
}
