#include "node/io/d1/databases.h"

#include "node/io/conn.h"
#include "node/io/d1/d1_files.h"
#include "node/io/d1/queries.h"
#include "node/r2/digest.h"
#include "replication/base/assert.h"
#include "replication/base/memory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum state {
    AWAITS_FILE, /* an import: a file may be put */
    RECEIVES,    /* ... and comes */
    RUNS,
    DONE,
    FAILED
};

/* One that waits to hear how a transfer stands. */
struct waiter {
    struct ps_alarm alarm; /* first member */
    struct waiter *next;
    struct ps_exchange *exchange;
    struct ps_d1_transfer *transfer;
};

struct ps_d1_transfer {
    struct ps_alarm alarm; /* first member: when it is forgotten */
    struct ps_d1_transfer *next;
    struct ps_node_store *store;
    bool import;
    enum state state;
    char key[PS_D1_FILES_KEY_SIZE + 1];
    char url[256];
    char filename[128];
    char ticket[PS_BOOKMARK_SIZE + 1];   /* what it is asked for by while it runs */
    char bookmark[PS_BOOKMARK_SIZE + 1]; /* of what was exported, or made; empty: not yet */
    struct ps_buf text;                  /* members of its result, or why it failed */
    /* the file that comes */
    struct ps_exchange *upload;
    int fd;
    enum ps_status upload_status;
    struct ps_r2_digest *digest;
    char etag[PS_R2_ETAG_SIZE]; /* of the file that came; empty: none has */
    /* at home */
    struct ps_buf body;
    struct ps_query *query;
    struct waiter *waiters;
};

static void path_of(const struct ps_node *node, const char *key, char ret[PS_D1_FILES_PATH_SIZE])
{
    ps_d1_files_path(node, node->pop, key, ret);
}

/* ---- the folder ---- */

static void empty_folder(const char *path)
{
    DIR *folder = opendir(path);
    if (folder == NULL) {
        return;
    }
    for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        if (strlen(entry->d_name) == PS_D1_FILES_KEY_SIZE) {
            (void)unlinkat(dirfd(folder), entry->d_name, 0);
        }
    }
    (void)closedir(folder);
}

enum ps_status ps_databases_open(struct ps_node *node, struct ps_error *err)
{
    char path[PS_D1_FILES_PATH_SIZE];
    path_of(node, NULL, path);
    if (mkdir(path, 0700) != 0) {
        if (errno != EEXIST) {
            return ps_fail(err, PS_IO, "%s: %s", path, strerror(errno));
        }
        empty_folder(path);
    }
    return PS_OK;
}

static void end_upload(struct ps_d1_transfer *transfer)
{
    if (transfer->fd >= 0) {
        (void)close(transfer->fd);
        transfer->fd = -1;
    }
    ps_r2_digest_destroy(transfer->digest);
    transfer->digest = NULL;
    transfer->upload = NULL;
}

static void transfer_destroy(struct ps_d1_transfer *transfer)
{
    end_upload(transfer);
    ps_query_destroy(transfer->query);
    ps_buf_fini(&transfer->text);
    ps_buf_fini(&transfer->body);
    while (transfer->waiters != NULL) {
        struct waiter *waiter = transfer->waiters;
        transfer->waiters = waiter->next;
        free(waiter);
    }
    free(transfer);
}

void ps_databases_fini(struct ps_node *node)
{
    while (node->transfers != NULL) {
        struct ps_d1_transfer *transfer = node->transfers;
        node->transfers = transfer->next;
        transfer_destroy(transfer);
    }
}

static struct ps_node *node_of(const struct ps_d1_transfer *transfer)
{
    return transfer->store->node;
}

static void remove_file(const struct ps_d1_transfer *transfer)
{
    char path[PS_D1_FILES_PATH_SIZE];
    path_of(node_of(transfer), transfer->key, path);
    (void)unlink(path);
}

static void on_forget(struct ps_alarm *alarm)
{
    struct ps_d1_transfer *transfer = (struct ps_d1_transfer *)(void *)alarm;
    struct ps_node *node = node_of(transfer);
    if (transfer->state == RECEIVES || transfer->state == RUNS) {
        ps_node_alarm(node, alarm, ps_mono_ns() + PS_D1_TRANSFER_KEPT_S * PS_SECOND);
        return;
    }
    struct ps_d1_transfer **at = &node->transfers;
    while (*at != transfer) {
        at = &(*at)->next;
    }
    *at = transfer->next;
    remove_file(transfer);
    transfer_destroy(transfer);
}

/* ---- a new one ---- */

static size_t count_transfers(const struct ps_node *node)
{
    size_t count = 0;
    for (const struct ps_d1_transfer *one = node->transfers; one != NULL; one = one->next) {
        count++;
    }
    return count;
}

/* Where the client has reached us; a host that is none is not repeated. */
static void put_url(const struct ps_exchange *exchange, struct ps_d1_transfer *transfer)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:[]";
    const struct ps_node *node = exchange->node;
    const struct ps_http_header *host = ps_http_header(&exchange->request, "host");
    char name[160];
    (void)snprintf(name, sizeof name, "%s:%u",
                   node->state.bind[0] == '\0' ? PS_LOOPBACK : node->state.bind,
                   ps_server_port(node->server));
    if (host != NULL && host->value.size > 0 && host->value.size < sizeof name) {
        char given[sizeof name];
        (void)snprintf(given, sizeof given, "%.*s", (int)host->value.size, host->value.data);
        if (strspn(given, plain) == host->value.size) {
            memcpy(name, given, host->value.size + 1);
        }
    }
    (void)snprintf(transfer->url, sizeof transfer->url, "http://%s" PS_API_FILES "%s", name,
                   transfer->key);
}

/* What it is asked for by: a bookmark in its form, of the newest state that is known here, whose
 * last field is the transfer's own. */
static void put_ticket(struct ps_d1_transfer *transfer, const struct ps_token *key)
{
    const struct ps_node_store *store = transfer->store;
    struct ps_bookmark ticket = {.lsn = store->have_lsn};
    memcpy(ticket.hash, key->bytes, sizeof ticket.hash);
    ps_bookmark_write(transfer->ticket, &ticket);
}

/* NULL: it cannot be, and the exchange is answered. */
static struct ps_d1_transfer *transfer_create(struct ps_exchange *exchange,
                                              const struct ps_api_call *call, bool import)
{
    struct ps_node *node = exchange->node;
    if (count_transfers(node) >= PS_D1_TRANSFERS_MAX) {
        ps_api_answer_d1_failed(429, "Too many exports and imports: their files are kept an hour",
                                &exchange->response);
        ps_exchange_complete(exchange);
        return NULL;
    }
    struct ps_d1_transfer *transfer = PS_NEW(struct ps_d1_transfer);
    struct ps_token key;
    transfer->store = node->server->stores[call->ns];
    transfer->import = import;
    transfer->fd = -1;
    ps_node_unique(node, &key);
    for (size_t i = 0; i < sizeof key.bytes; i++) {
        (void)snprintf(transfer->key + 2 * i, 3, "%02x", key.bytes[i]);
    }
    (void)snprintf(transfer->filename, sizeof transfer->filename, "%s.%s.sql",
                   transfer->store->config->id, transfer->key);
    put_url(exchange, transfer);
    put_ticket(transfer, &key);
    transfer->next = node->transfers;
    node->transfers = transfer;
    transfer->alarm.ring = on_forget;
    ps_node_alarm(node, &transfer->alarm, ps_mono_ns() + PS_D1_TRANSFER_KEPT_S * PS_SECOND);
    return transfer;
}

/* ---- how it stands ---- */

static void answer(const struct ps_d1_transfer *transfer, struct ps_exchange *exchange)
{
    bool failed = transfer->state == FAILED;
    bool done = transfer->state == DONE;
    const struct ps_api_transfer told = {
        .import = transfer->import,
        .state = failed ? PS_API_TRANSFER_FAILED
                 : done ? PS_API_TRANSFER_COMPLETE
                        : PS_API_TRANSFER_ACTIVE,
        .bookmark = done && !transfer->import ? transfer->bookmark : transfer->ticket,
        .message = failed || done     ? NULL
                   : transfer->import ? "Processed by home, in one transaction"
                                      : "Dumped at home",
        .text = ps_buf_slice(&transfer->text)};
    ps_api_answer_d1_transfer(&told, &exchange->response);
    ps_exchange_complete(exchange);
}

static void unlist(struct waiter *waiter)
{
    struct waiter **at = &waiter->transfer->waiters;
    while (*at != waiter) {
        at = &(*at)->next;
    }
    *at = waiter->next;
}

static void on_waited(struct ps_alarm *alarm)
{
    struct waiter *waiter = (struct waiter *)(void *)alarm;
    unlist(waiter);
    answer(waiter->transfer, waiter->exchange);
    free(waiter);
}

static void answer_later(struct ps_d1_transfer *transfer, struct ps_exchange *exchange)
{
    if (transfer->state != RUNS) {
        answer(transfer, exchange);
        return;
    }
    struct waiter *waiter = PS_NEW(struct waiter);
    waiter->exchange = exchange;
    waiter->transfer = transfer;
    waiter->next = transfer->waiters;
    transfer->waiters = waiter;
    waiter->alarm.ring = on_waited;
    ps_node_alarm(node_of(transfer), &waiter->alarm, ps_mono_ns() + PS_D1_TRANSFER_POLL_MS * PS_MS);
}

static void wake(struct ps_d1_transfer *transfer)
{
    while (transfer->waiters != NULL) {
        struct waiter *waiter = transfer->waiters;
        transfer->waiters = waiter->next;
        ps_node_alarm_stop(node_of(transfer), &waiter->alarm);
        answer(transfer, waiter->exchange);
        free(waiter);
    }
}

/* ---- at home ---- */

static void put_result(struct ps_d1_transfer *transfer, struct ps_slice text)
{
    struct ps_buf *out = &transfer->text;
    if (transfer->import) {
        ps_buf_append_text(out, "\"final_bookmark\":");
        ps_buf_append_json(out, ps_slice_of(transfer->bookmark));
        ps_buf_append_char(out, ',');
        ps_buf_append_slice(out, text);
    } else {
        ps_buf_append_text(out, "\"filename\":");
        ps_buf_append_json(out, ps_slice_of(transfer->filename));
        ps_buf_append_text(out, ",\"signed_url\":");
        ps_buf_append_json(out, ps_slice_of(transfer->url));
    }
}

static void on_run(struct ps_query *query)
{
    struct ps_d1_transfer *transfer = query->context;
    struct ps_slice text = ps_buf_slice(&query->job.text);
    transfer->state = query->failed ? FAILED : DONE;
    (void)snprintf(transfer->bookmark, sizeof transfer->bookmark, "%s", query->bookmark);
    if (query->failed) {
        ps_buf_append_slice(&transfer->text, text);
    } else {
        put_result(transfer, text);
    }
    if (transfer->import || query->failed) {
        remove_file(transfer);
    }
    transfer->query = NULL;
    ps_query_destroy(query);
    wake(transfer);
}

static void run(struct ps_d1_transfer *transfer, struct ps_slice options)
{
    const struct ps_node *node = node_of(transfer);
    struct ps_query *query = ps_query_create(transfer->store);
    ps_buf_printf(&transfer->body, "{\"pop\":\"%s\",\"file\":\"%s\"%s", node->code, transfer->key,
                  options.size > 0 ? "," : "");
    ps_buf_append_slice(&transfer->body, options);
    ps_buf_append_char(&transfer->body, '}');
    transfer->state = RUNS;
    transfer->query = query;
    query->body = ps_buf_slice(&transfer->body);
    query->flags = transfer->import ? PS_QUERY_IMPORT : PS_QUERY_EXPORT;
    query->fresh = true;
    query->context = transfer;
    query->done = on_run;
    ps_query_start(query);
}

/* ---- the questions ---- */

static bool is_of(const struct ps_d1_transfer *transfer, const struct ps_exchange *exchange,
                  const struct ps_api_call *call)
{
    return transfer->store == exchange->node->server->stores[call->ns] &&
           transfer->import == (call->kind == PS_API_D1_IMPORT);
}

/* A question about one that was begun. */
static void ask(struct ps_exchange *exchange, const struct ps_api_call *call)
{
    struct ps_slice bookmark = call->d1.bookmark;
    bool import = call->kind == PS_API_D1_IMPORT;
    for (struct ps_d1_transfer *one = exchange->node->transfers; one != NULL; one = one->next) {
        if (is_of(one, exchange, call) && (ps_slice_eq(bookmark, ps_slice_of(one->ticket)) ||
                                           ps_slice_eq(bookmark, ps_slice_of(one->bookmark)))) {
            answer_later(one, exchange);
            return;
        }
    }
    char told[PS_BOOKMARK_SIZE + 1];
    (void)snprintf(told, sizeof told, "%.*s",
                   bookmark.size < sizeof told ? (int)bookmark.size : (int)sizeof told - 1,
                   bookmark.size == 0 ? "" : bookmark.data);
    const struct ps_api_transfer none = {.import = import,
                                         .state = PS_API_TRANSFER_FAILED,
                                         .bookmark = told,
                                         .text = import
                                                     ? PS_LIT("Not currently importing anything.")
                                                     : PS_LIT("Not currently exporting anything.")};
    ps_api_answer_d1_transfer(&none, &exchange->response);
    ps_exchange_complete(exchange);
}

/* One of a kind at a time: D1 says so, too. */
static bool is_busy(struct ps_exchange *exchange, const struct ps_api_call *call)
{
    bool busy = false;
    for (struct ps_d1_transfer *one = exchange->node->transfers; one != NULL; one = one->next) {
        busy = busy || (one->state == RUNS && is_of(one, exchange, call));
    }
    if (busy) {
        ps_api_answer_d1_failed(400,
                                call->kind == PS_API_D1_IMPORT
                                    ? "Currently processing a long-running import."
                                    : "Currently processing a long-running export.",
                                &exchange->response);
        ps_exchange_complete(exchange);
    }
    return busy;
}

static void start_export(struct ps_exchange *exchange, const struct ps_api_call *call)
{
    if (call->d1.bookmark.size > 0) {
        ask(exchange, call);
        return;
    }
    if (is_busy(exchange, call)) {
        return;
    }
    struct ps_d1_transfer *transfer = transfer_create(exchange, call, false);
    if (transfer != NULL) {
        run(transfer, ps_buf_slice(&call->d1.dump));
        answer_later(transfer, exchange);
    }
}

static void ingest(struct ps_exchange *exchange, const struct ps_api_call *call)
{
    struct ps_d1_transfer *transfer = exchange->node->transfers;
    while (transfer != NULL && !(is_of(transfer, exchange, call) &&
                                 ps_slice_eq(call->d1.filename, ps_slice_of(transfer->filename)))) {
        transfer = transfer->next;
    }
    if (transfer != NULL && (transfer->state == RUNS || transfer->state == DONE)) {
        answer_later(transfer, exchange); /* the first question's answer was lost */
        return;
    }
    if (transfer == NULL || transfer->state != AWAITS_FILE || transfer->etag[0] == '\0') {
        ps_api_answer_d1_failed(400, "There is no uploaded file of that name", &exchange->response);
    } else if (!ps_slice_eq(call->d1.etag, ps_slice_of(transfer->etag))) {
        ps_api_answer_d1_failed(400, "The uploaded file has another etag", &exchange->response);
    } else if (is_busy(exchange, call)) {
        return;
    } else {
        run(transfer, (struct ps_slice){0});
        answer_later(transfer, exchange);
        return;
    }
    ps_exchange_complete(exchange);
}

static void start_import(struct ps_exchange *exchange, const struct ps_api_call *call)
{
    struct ps_d1_transfer *transfer;
    switch (call->d1.action) {
    case PS_API_IMPORT_POLL:
        ask(exchange, call);
        return;
    case PS_API_IMPORT_INGEST:
        ingest(exchange, call);
        return;
    case PS_API_IMPORT_INIT:
        transfer = transfer_create(exchange, call, true);
        if (transfer != NULL) {
            ps_api_answer_d1_upload(transfer->url, transfer->filename, &exchange->response);
            ps_exchange_complete(exchange);
        }
        return;
    }
    PS_NOT_REACHED();
}

/* ---- files ---- */

static struct ps_d1_transfer *find_upload(const struct ps_exchange *exchange)
{
    struct ps_d1_transfer *transfer = exchange->node->transfers;
    while (transfer != NULL && transfer->upload != exchange) {
        transfer = transfer->next;
    }
    PS_ASSERT(transfer != NULL);
    return transfer;
}

/* Into the page cache: the disk is not waited for. */
static void on_bytes(struct ps_exchange *exchange, struct ps_slice bytes)
{
    struct ps_d1_transfer *transfer = find_upload(exchange);
    ps_r2_digest_update(transfer->digest, bytes);
    while (bytes.size > 0 && transfer->upload_status == PS_OK) {
        ssize_t written = write(transfer->fd, bytes.data, bytes.size);
        if (written >= 0) {
            bytes = (struct ps_slice){bytes.data + written, bytes.size - (size_t)written};
        } else if (errno != EINTR) {
            transfer->upload_status = errno == ENOSPC ? PS_FULL : PS_IO;
        }
    }
}

static void on_end(struct ps_exchange *exchange)
{
    struct ps_d1_transfer *transfer = find_upload(exchange);
    struct ps_http_response *response = &exchange->response;
    struct ps_r2_checksums sums = {0};
    ps_r2_digest_finish(transfer->digest, &sums);
    transfer->state = AWAITS_FILE;
    if (transfer->upload_status == PS_OK) {
        char quoted[PS_R2_ETAG_SIZE + 2];
        ps_r2_etag_of_md5(sums.bytes[PS_R2_MD5], transfer->etag);
        (void)snprintf(quoted, sizeof quoted, "\"%s\"", transfer->etag);
        response->status = 200;
        ps_http_response_header(response, "ETag", ps_slice_of(quoted));
    } else {
        response->status = transfer->upload_status == PS_FULL ? 507 : 500;
    }
    end_upload(transfer);
    ps_exchange_complete(exchange);
}

static void on_abort(struct ps_exchange *exchange)
{
    struct ps_d1_transfer *transfer = find_upload(exchange);
    transfer->state = AWAITS_FILE;
    end_upload(transfer);
    exchange->response.status = 400;
    ps_exchange_complete(exchange);
}

static const struct ps_body_sink upload_sink = {on_bytes, on_end, on_abort};

static void receive(struct ps_exchange *exchange, struct ps_d1_transfer *transfer)
{
    char path[PS_D1_FILES_PATH_SIZE];
    path_of(exchange->node, transfer->key, path);
    transfer->etag[0] = '\0';
    transfer->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (transfer->fd < 0) {
        exchange->response.status = 500;
        ps_exchange_complete(exchange);
        return;
    }
    transfer->state = RECEIVES;
    transfer->upload_status = PS_OK;
    transfer->digest = ps_r2_digest_create(PS_R2_HASH_BIT(PS_R2_MD5));
    transfer->upload = exchange;
    exchange->sink = &upload_sink;
}

/* False: it is not there. */
static bool send_file(struct ps_exchange *exchange, const struct ps_d1_transfer *transfer)
{
    struct stat stat;
    struct ps_http_response *response = &exchange->response;
    struct ps_buf path = {0};
    ps_buf_reserve(&path, PS_D1_FILES_PATH_SIZE);
    path_of(exchange->node, transfer->key, path.data);
    int fd = open(path.data, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &stat) != 0) {
        if (fd >= 0) {
            (void)close(fd);
        }
        ps_buf_fini(&path);
        return false;
    }
    response->status = 200;
    ps_http_response_header(response, "Content-Type", PS_LIT("application/sql"));
    response->tail_size = (uint64_t)stat.st_size;
    struct ps_tail_file *file = PS_NEW(struct ps_tail_file);
    *file = (struct ps_tail_file){.path = path.data, .size = response->tail_size};
    ps_tail_init_files(&exchange->tail, file, 1, fd);
    ps_exchange_complete(exchange);
    return true;
}

static void start_file(struct ps_exchange *exchange, const struct ps_api_call *call)
{
    struct ps_d1_transfer *transfer = exchange->node->transfers;
    while (transfer != NULL && !ps_slice_eq(call->title, ps_slice_of(transfer->key))) {
        transfer = transfer->next;
    }
    bool put = call->method == PS_HTTP_PUT;
    bool get = call->method == PS_HTTP_GET || call->method == PS_HTTP_HEAD;
    if (transfer != NULL && put && transfer->import && transfer->state == AWAITS_FILE) {
        receive(exchange, transfer);
        return;
    }
    if (transfer != NULL && get && !transfer->import && transfer->state == DONE &&
        send_file(exchange, transfer)) {
        return;
    }
    exchange->response.status = 404;
    ps_exchange_complete(exchange);
}

void ps_databases_start(struct ps_exchange *exchange, const struct ps_api_call *call)
{
    switch ((int)call->kind) {
    case PS_API_D1_EXPORT:
        start_export(exchange, call);
        return;
    case PS_API_D1_IMPORT:
        start_import(exchange, call);
        return;
    case PS_API_FILE:
        start_file(exchange, call);
        return;
    default:
        PS_NOT_REACHED();
    }
}
