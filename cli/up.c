/* cli/up.c - `sealgate up`: a worker and a gateway on this machine, until Ctrl-C. */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "attest/detect.h"
#include "base/log.h"
#include "base/sock.h"
#include "cli/cli.h"
#include "cli/fetch.h"

#define SIMULATED "simulated"

enum { ARGS_MAX = 32, READY_TRIES = 100, READY_PAUSE_US = 100000 };

struct up_settings {
    const char *listen;
    const char *engine;
    const char *engine_token_file;
    const char *state;
    const char *demo_pace;
    const char *manifest;
    const char *platform;
    const char *policy;
    unsigned log_level;
};

#define ROW(field) .name = #field, .offset = offsetof(struct up_settings, field)

static const struct config_row ROWS[] = {
    { .group = "Flags",
      ROW(listen),
      .type = CONFIG_TEXT,
      .fallback = "127.0.0.1:8080",
      .value = "HOST:PORT",
      .help = "Where OpenAI clients connect." },
    { ROW(engine), .type = CONFIG_TEXT, .fallback = "demo", .value = "URL",
      .help = "The model server, such as http://127.0.0.1:8000 (llama.cpp, vLLM, Ollama, anything "
              "that speaks /v1/chat/completions); or demo for the built-in one." },
    { ROW(engine_token_file), .type = CONFIG_PATH,
      .help = "File with a bearer token for the engine." },
    { ROW(manifest), .type = CONFIG_PATH, .help = "The model's manifest, for the receipts." },
    { ROW(platform), .type = CONFIG_TEXT, .fallback = "auto", .value = "NAME",
      .help = "The worker's TEE, as in its own settings. auto takes the one that this machine is, "
              "and where there is none the simulated one, which protects nothing and says so." },
    { ROW(policy), .type = CONFIG_PATH, .value = "FILE",
      .help = "Which evidence the gateway accepts. Needed with a TEE: only you know what may run "
              "there. Without one any simulated evidence is accepted." },
    { ROW(demo_pace), .type = CONFIG_TEXT, .fallback = "15ms", .value = "DURATION",
      .help = "Pace of the demo engine, per token." },
    { ROW(state), .type = CONFIG_PATH,
      .help = "Folder for the receipts and the worker's socket; made if missing. Without it "
              "$XDG_STATE_HOME/sealgate or ~/.local/state/sealgate." },
};

static const struct config_program PROGRAM = {
    .name = "sealgate up",
    .summary =
        "Runs everything on this machine, to try it out: a worker in this machine's TEE, or in a "
        "simulated one (no protection) where there is none, its engine, and a gateway. Ends with "
        "Ctrl-C.",
    .env_prefix = "SEALGATE_UP_",
    .rows = ROWS,
    .rows_n = ARRAY_LEN(ROWS),
};

struct up {
    struct up_settings settings;
    struct buf folder;
    struct buf programs; /* the folder this program is in, with a slash */
    struct buf socket;   /* the worker's address */
    struct buf receipts;
    struct buf url; /* the gateway's, for clients on this machine */
    bool simulated;
    pid_t worker;
    pid_t gateway;
};

static volatile sig_atomic_t stop;

static void on_signal(int signum)
{
    (void)signum;
    stop = 1;
}

static err find_programs(struct up *u)
{
    char path[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path);
    ENSURE(n > 0 && (size_t)n < sizeof path, SYSTEM);
    while (n > 0 && path[n - 1] != '/')
        n--;
    return buf_add(&u->programs, bytes_of(path, (size_t)n));
}

static err find_folder(struct up *u)
{
    /* no other thread runs here */
    const char *state = getenv("XDG_STATE_HOME"); /* NOLINT(concurrency-mt-unsafe) */
    const char *home = getenv("HOME");            /* NOLINT(concurrency-mt-unsafe) */
    if (u->settings.state != NULL)
        return buf_add_str(&u->folder, u->settings.state);
    if (state != NULL && state[0] == '/')
        return buf_addf(&u->folder, "%s/sealgate", state);
    ENSURE(home != NULL, CONFIG);
    return buf_addf(&u->folder, "%s/.local/state/sealgate", home);
}

/* Every folder on the way; those that are there stay as they are. */
static err make_folder(struct up *u)
{
    char *path = unconst(buf_str(&u->folder));
    ENSURE(path != NULL && path[0] != 0, NOMEM);
    for (char *p = path + 1;; p++) {
        char c = *p;
        if (c != '/' && c != 0)
            continue;
        *p = 0;
        int made = mkdir(path, S_IRWXU);
        *p = c;
        ENSURE(made == 0 || errno == EEXIST, SYSTEM);
        if (c == 0)
            return OK;
    }
}

/* The programs' own addresses have no relative paths. With the dot it has to be a folder. */
static err make_absolute(struct up *u)
{
    char path[PATH_MAX];
    TRY(buf_add_str(&u->folder, "/."));
    ENSURE(realpath(buf_str(&u->folder), path) != NULL, SYSTEM);
    buf_truncate(&u->folder, 0);
    return buf_add_str(&u->folder, path);
}

static enum cli_exit prepare(struct up *u)
{
    struct sock_addr addr;
    u->folder = u->programs = u->socket = u->receipts = BUF(PATH_MAX);
    if (find_programs(u).code != ERR_OK || find_folder(u).code != ERR_OK)
        return cli_complain("there is no HOME to keep receipts in; name a folder with --state");
    if (make_folder(u).code != ERR_OK || make_absolute(u).code != ERR_OK)
        return cli_complain(
            "%s: cannot be made a folder for receipts: %s; name another with --state",
            buf_str(&u->folder), strerrordesc_np(errno));
    if (buf_addf(&u->socket, "unix:%s/worker-%ld.sock", buf_str(&u->folder), (long)getpid()).code !=
            ERR_OK ||
        buf_addf(&u->receipts, "%s/receipts.db", buf_str(&u->folder)).code != ERR_OK ||
        sock_addr_read(buf_view(&u->socket), &addr).code != ERR_OK)
        return cli_complain(
            "%s: too long a name for a folder with a socket; name another with --state",
            buf_str(&u->folder));
    return CLI_OK;
}

/* Asked here already, since what answers there would be taken for the gateway that is to start. */
static enum cli_exit check_listen(struct up *u)
{
    const char *listen = u->settings.listen;
    struct sock_addr addr;
    if (sock_addr_read(bytes_str(listen), &addr).code != ERR_OK || addr.kind != SOCK_KIND_TCP ||
        addr.tls || addr.port == 0)
        return cli_complain("--listen: \"%s\" is not an address; write HOST:PORT", listen);
    err e = sock_unused(&addr);
    if (e.code != ERR_OK)
        return cli_complain("--listen: %s %s", listen, sock_listen_advice(e));
    if (strcmp(addr.host, "*") == 0)
        (void)snprintf(addr.host, sizeof addr.host, "127.0.0.1");
    u->url = BUF(1024);
    e = buf_add_str(&u->url, "http://");
    if (e.code == ERR_OK)
        e = sock_addr_write(&addr, &u->url);
    return e.code == ERR_OK ? CLI_OK : cli_complain("%s", err_text(e));
}

/* The child ends with us, however we end. */
static pid_t spawn(struct up *u, const char *name, const char *const *args)
{
    char *argv[ARGS_MAX];
    char path[PATH_MAX + 64];
    size_t n = 0;
    (void)snprintf(path, sizeof path, "%s%s", buf_str(&u->programs), name);
    argv[n++] = path;
    for (size_t i = 0; args[i] != NULL && n + 1 < ARGS_MAX; i++)
        argv[n++] = unconst(args[i]);
    argv[n] = NULL;
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() == parent)
        (void)execv(path, argv);
    (void)fprintf(stderr, "sealgate: cannot run %s\n", path);
    _exit(127);
}

static err start(struct up *u)
{
    const struct up_settings *s = &u->settings;
    const char *worker[ARGS_MAX] = { "--listen",    buf_str(&u->socket),
                                     "--engine",    s->engine,
                                     "--name",      "local",
                                     "--demo-pace", s->demo_pace,
                                     "--platform",  u->simulated ? SIMULATED : s->platform };
    size_t n = 10;
    if (s->engine_token_file != NULL) {
        worker[n++] = "--engine-token-file";
        worker[n++] = s->engine_token_file;
    }
    if (s->manifest != NULL) {
        worker[n++] = "--manifest";
        worker[n++] = s->manifest;
    }
    const char *policy = s->policy != NULL ? s->policy : SIMULATED;
    const char *const gateway[] = { "--listen", s->listen, "--workers",  buf_str(&u->socket),
                                    "--policy", policy,    "--receipts", buf_str(&u->receipts),
                                    NULL };
    u->worker = spawn(u, "sealgate-worker", worker);
    u->gateway = spawn(u, "sealgate-gateway", gateway);
    ENSURE(u->worker > 0 && u->gateway > 0, SYSTEM);
    return OK;
}

static bool has_ended(pid_t pid)
{
    int status;
    return waitpid(pid, &status, WNOHANG) == pid;
}

/* False when one of them ended, or it takes too long. */
static bool wait_until_ready(struct up *u)
{
    BUF_AUTO url = BUF(1024);
    if (buf_addf(&url, "%s/readyz", buf_str(&u->url)).code != ERR_OK)
        return false;
    for (int i = 0; i < READY_TRIES && !stop; i++) {
        BUF_AUTO body = BUF(4096);
        BUF_AUTO message = BUF(1024);
        const struct fetch f = { .url = buf_str(&url), .out = &body, .timeout_s = 2 };
        long status = 0;
        (void)usleep(READY_PAUSE_US);
        if (has_ended(u->worker)) {
            u->worker = 0;
            return false;
        }
        if (has_ended(u->gateway)) {
            u->gateway = 0;
            return false;
        }
        if (fetch_run(&f, &status, &message).code == ERR_OK && status == 200)
            return true;
    }
    return false;
}

static void greet(struct up *u)
{
    const char *at = buf_str(&u->url);
    (void)printf(
        "\nSealgate is up. %s\n\n"
        "  base_url  %s/v1   (any api_key)\n"
        "  receipts  %s\n\n"
        "Try, in another terminal:\n\n"
        "  curl -N %s/v1/chat/completions -H 'content-type: application/json' \\\n"
        "       -d '{\"model\":\"demo\",\"stream\":true,"
        "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}'\n\n"
        "  %ssealgate chat --gateway %s \"What is a receipt?\"\n"
        "  %ssealgate verify --gateway %s RECEIPT_ID   (the x-receipt-id of an "
        "answer)\n\n"
        "Ctrl-C ends it.\n\n",
        u->simulated ? "SIMULATED TEE: for trying out, no protection."
                     : "The worker is in a TEE; the gateway, on the same machine, need not be.",
        at, buf_str(&u->receipts), at, buf_str(&u->programs), at, buf_str(&u->programs), at);
    (void)fflush(stdout);
}

static void end_child(pid_t pid)
{
    if (pid <= 0)
        return;
    (void)kill(pid, SIGTERM);
    (void)waitpid(pid, NULL, 0);
}

static void wait_for_end(struct up *u)
{
    while (!stop) {
        (void)usleep(READY_PAUSE_US);
        if (has_ended(u->worker)) {
            u->worker = 0;
            return;
        }
        if (has_ended(u->gateway)) {
            u->gateway = 0;
            return;
        }
    }
}

/* A machine that is a TEE is never passed over in silence, be it usable or not. */
static bool is_no_tee(const struct detect *found)
{
    for (size_t i = 0; i < found->n; i++) {
        if (found->findings[i].state != DETECT_ABSENT)
            return false;
    }
    return true;
}

static enum cli_exit choose_platform(struct up *u)
{
    struct detect found;
    const char *asked = u->settings.platform != NULL ? u->settings.platform : "";
    u->simulated = strcmp(asked, SIMULATED) == 0;
    if (strcmp(asked, "auto") == 0) {
        if (detect_look(NULL, &found).code != ERR_OK)
            return cli_complain("cannot look for a TEE; name one with --platform");
        u->simulated = is_no_tee(&found);
    }
    if (u->simulated || u->settings.policy != NULL)
        return CLI_OK;
    return cli_complain(
        "a worker in a TEE is accepted only by a policy: name one with --policy "
        "FILE (see deploy/policy.yaml), or --platform simulated to try things out "
        "without any protection");
}

static enum cli_exit run(struct up *u)
{
    enum cli_exit exit = CLI_OK;
    if (start(u).code != ERR_OK)
        exit = cli_complain("cannot start the worker and the gateway");
    else if (wait_until_ready(u)) {
        greet(u);
        wait_for_end(u);
        if (!stop)
            exit = cli_complain("one of the programs ended; see above");
    } else if (!stop)
        exit = cli_complain("the gateway did not become ready; see above");
    end_child(u->gateway);
    end_child(u->worker);
    return exit;
}

enum cli_exit cli_up(int argc, char **argv)
{
    struct config c = { 0 };
    struct up u = { 0 };
    enum cli_exit exit;
    const struct sigaction action = { .sa_handler = on_signal };
    if (!cli_load(&c, &PROGRAM, &u.settings, argc, argv, &exit)) {
        config_clear(&c);
        return exit;
    }
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    exit = choose_platform(&u);
    if (exit == CLI_OK)
        exit = check_listen(&u);
    if (exit == CLI_OK)
        exit = prepare(&u);
    if (exit == CLI_OK)
        exit = run(&u);
    buf_clear(&u.folder);
    buf_clear(&u.programs);
    buf_clear(&u.socket);
    buf_clear(&u.receipts);
    buf_clear(&u.url);
    config_clear(&c);
    return exit;
}
