/* Any bytes as what a client sends. They are parsed whole and in pieces, which must give the same
 * requests; each request goes through the routes, and what is answered must be HTTP again, and JSON
 * where it says so. The first two bytes choose the pieces. */
#include "node/http/api.h"
#include "node/http/api_public.h"
#include "node/http/api_r2_rest.h"
#include "node/http/http1.h"
#include "node/r2/bucket.h"
#include "replication/base/random.h"

#include <jansson.h>
#include <llhttp.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { BODY_MAX = 4096, PIECE_MAX = 7, ITEMS_MAX = 20000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct ps_api_namespace namespaces[] = {
    {.name = "CACHE", .title = "cache", .id = "00000000000000000000000000000001", .is_kv = true},
    {.name = "DB", .title = "db", .id = "00000000000000000000000000000002", .is_d1 = true},
    {.name = "MORE", .title = "more", .id = "00000000000000000000000000000003", .is_kv = true},
    {.name = "FILES",
     .title = "MY_R2",
     .id = "00000000000000000000000000000004",
     .is_r2 = true,
     .region = "weur"}};

static const struct ps_api_config config = {
    .namespaces = namespaces, .namespace_count = 4, .pop = "fra"};

static void require(bool holds)
{
    if (!holds) {
        abort();
    }
}

static struct ps_http_intake limit(void *context, const struct ps_http_request *head)
{
    (void)context;
    struct ps_http_intake intake = ps_api_intake(head);
    require(intake.size_max >= PS_KV_VALUE_SIZE_MAX);
    intake.size_max = BODY_MAX;
    return intake;
}

/* ---- an answer for each call ---- */

static void check_answer(const struct ps_http_response *response)
{
    struct ps_buf bytes = {0};
    llhttp_t llhttp;
    llhttp_settings_t settings;
    ps_http1_write_head(&bytes, response, false, false);
    ps_buf_append(&bytes, response->body.data, response->body.size);
    llhttp_settings_init(&settings);
    llhttp_init(&llhttp, HTTP_RESPONSE, &settings);
    require(llhttp_execute(&llhttp, bytes.data, bytes.size) == HPE_OK);
    require(llhttp.status_code == response->status && llhttp_finish(&llhttp) == HPE_OK);
    ps_buf_fini(&bytes);
    bool json = response->headers.size > 0 && memmem(response->headers.data, response->headers.size,
                                                     "application/json", 16) != NULL;
    if (json) {
        json_t *parsed = json_loadb(response->body.data, response->body.size, JSON_ALLOW_NUL, NULL);
        require(parsed != NULL);
        json_decref(parsed);
    }
}

static size_t items_of(const struct ps_api_call *call)
{
    if (call->kind == PS_API_KV_BULK) {
        return call->write_count;
    }
    return call->kv.op == PS_KV_GET_BULK ? call->kv.key_count : call->kv.op == PS_KV_LIST ? 2 : 1;
}

static void answer_kv(const struct ps_api_call *call, uint64_t chance,
                      struct ps_http_response *response)
{
    static const enum ps_status statuses[] = {PS_OK, PS_OK, PS_OK, PS_RATE_LIMITED, PS_UNREACHABLE};

    size_t count = items_of(call);
    require(count <= ITEMS_MAX && call->ns < 3 && namespaces[call->ns].is_kv);
    struct ps_api_item *items = calloc(count + 1, sizeof *items);
    for (size_t i = 0; i < count; i++) {
        items[i] = (struct ps_api_item){.key = call->kv.op == PS_KV_GET_BULK  ? call->kv.keys[i]
                                               : call->kind == PS_API_KV_BULK ? call->writes[i].key
                                                                              : call->kv.prefix,
                                        .found = (chance >> i % 64 & 1) != 0,
                                        .status = statuses[(chance + i) % 5]};
        items[i].version.value = call->bulk_json ? PS_LIT("[1]") : call->body;
        items[i].version.metadata = chance % 3 == 0 ? PS_LIT("{\"a\":1}") : PS_LIT("");
    }
    struct ps_api_result result = {.status = statuses[chance % 5],
                                   .items = items,
                                   .item_count = count,
                                   .list_complete = chance % 2 == 0,
                                   .last_name = call->kv.after};
    ps_api_answer(&config, call, &result, response);
    free(items);
}

static void answer_d1(const struct ps_api_call *call, uint64_t chance,
                      struct ps_http_response *response)
{
    static const enum ps_status statuses[] = {PS_OK, PS_BUSY, PS_INVALID, PS_TIMEOUT, PS_IO};

    require(call->ns < 3 && namespaces[call->ns].is_d1);
    bool failed = chance % 2 == 0;
    struct ps_api_d1_result result = {.status = statuses[chance % 5],
                                      .failed = failed,
                                      .text = failed ? call->body : PS_LIT("[]"),
                                      .bookmark = failed ? "" : "b"};
    ps_api_answer_d1(&config, call, &result, response);
}

static const enum ps_status changes[] = {PS_OK, PS_EXISTS, PS_NOT_FOUND, PS_LIMIT, PS_TIMEOUT};

/* What home is told of an export are members of a JSON object. */
static void check_dump(const struct ps_api_call *call)
{
    struct ps_buf text = {0};
    ps_buf_append_char(&text, '{');
    ps_buf_append_slice(&text, ps_buf_slice(&call->d1.dump));
    ps_buf_append_char(&text, '}');
    json_t *parsed = json_loadb(text.data, text.size, JSON_ALLOW_NUL, NULL);
    require(json_is_object(parsed) && json_is_array(json_object_get(parsed, "tables")));
    json_decref(parsed);
    ps_buf_fini(&text);
}

static void answer_transfer(const struct ps_api_call *call, uint64_t chance,
                            struct ps_http_response *response)
{
    bool import = call->kind == PS_API_D1_IMPORT;
    if (!import) {
        check_dump(call);
    }
    if (import && call->d1.action == PS_API_IMPORT_INIT) {
        require(call->d1.etag.size == 32);
        ps_api_answer_d1_upload("http://x/", "file", response);
        return;
    }
    const struct ps_api_transfer transfer = {.import = import,
                                             .state = (enum ps_api_transfer_state)(chance % 3),
                                             .bookmark = "b",
                                             .message = chance % 2 == 0 ? NULL : "m",
                                             .text = chance % 3 == 2 ? call->body : PS_LIT("")};
    ps_api_answer_d1_transfer(&transfer, response);
}

static void answer_public(const struct ps_http_request *request, const struct ps_api_call *call,
                          uint64_t chance, struct ps_http_response *response)
{
    require(namespaces[call->ns].is_r2 && ps_r2_key_valid(call->title));
    const struct ps_r2_object object = {.key = call->title,
                                        .size = chance % 64,
                                        .etag = "0123456789abcdef",
                                        .meta.http.content_type = PS_LIT("text/css")};
    struct ps_api_public result = {.status = changes[chance % 5],
                                   .object = chance % 3 == 0 ? NULL : &object,
                                   .state = (enum ps_r2_cache_state)(chance % 7),
                                   .cached = chance % 2 == 0};
    result.answer = ps_api_public_decide(request, result.object);
    require(result.answer.span.offset + result.answer.span.length <= object.size);
    ps_api_answer_public(&config, &result, response);
}

static void answer_object(const struct ps_api_call *call, uint64_t chance,
                          struct ps_http_response *response)
{
    const struct ps_r2_request *request = &call->bucket.request;
    require(call->ns == 3);
    struct ps_r2_object object = {.key = request->key,
                                  .size = chance % 100,
                                  .etag = "00000000000000000000000000000000",
                                  .uploaded_ms = (int64_t)(chance % 4102444800000),
                                  .meta = request->meta};
    struct ps_r2_error error = {.code = PS_R2_CODE_NONE};
    struct ps_r2_span span;
    if (chance % 4 == 0) {
        error.code = (enum ps_r2_code)(1 + chance % (PS_R2_CODES - 1));
    }
    if (error.code != PS_R2_CODE_NONE ||
        !ps_r2_range_resolve(&request->range, object.size, &span, &error)) {
        ps_api_r2_rest_error(&error, response);
    } else if (request->op == PS_R2_LIST) {
        const struct ps_r2_page page = {.objects = &object,
                                        .object_count = 1,
                                        .truncated = chance % 2 == 0,
                                        .last = request->prefix};
        object.key = request->prefix;
        ps_api_r2_rest_page(request, &page, response);
    } else if (ps_r2_op_reads(request->op)) {
        ps_api_r2_rest_object(&object, &span, response);
    } else {
        const struct ps_r2_answer answer = {.has_object = request->op == PS_R2_PUT,
                                            .object = object};
        ps_api_r2_rest_mutation(request, &answer, response);
    }
}

static void route(const struct ps_http_request *request, uint64_t chance)
{
    struct ps_api_call call = {0};
    struct ps_http_response response = {0};
    ps_api_parse(&config, request, 1000, &call, &response);
    bool answered = call.kind == PS_API_ANSWERED || call.kind == PS_API_BUCKET_UNKNOWN;
    require(answered == (response.status != 0));
    switch (call.kind) {
    case PS_API_KV:
    case PS_API_KV_METADATA:
    case PS_API_KV_BULK:
        answer_kv(&call, chance, &response);
        break;
    case PS_API_NS_LIST:
        ps_api_answer_namespaces(&config, &call, &response);
        break;
    case PS_API_NS_GET:
        ps_api_answer_namespace(&namespaces[call.ns], &response);
        break;
    case PS_API_NS_CREATE:
    case PS_API_NS_RENAME:
    case PS_API_NS_DELETE:
        ps_api_answer_change(&call, chance % 2 == 0 ? PS_OK : PS_EXISTS, namespaces[0].id,
                             &response);
        break;
    case PS_API_D1:
        answer_d1(&call, chance, &response);
        break;
    case PS_API_R2:
        require(namespaces[call.ns].is_r2);
        /* The node relies on it: a write's body comes as a stream. */
        require(call.r2.writes == ps_api_intake(request).stream);
        require((call.r2.writes ? call.r2.json_size : call.r2.json.size) > 0);
        break;
    case PS_API_D1_LIST:
        ps_api_answer_databases(&config, &call, &response);
        break;
    case PS_API_D1_GET:
        ps_api_answer_database(&config, &call, "WEUR", chance % (10ULL << 30), &response);
        break;
    case PS_API_D1_CREATE:
    case PS_API_D1_UPDATE:
    case PS_API_D1_DELETE:
        ps_api_answer_d1_change(&call, changes[chance % 5], &response);
        break;
    case PS_API_D1_EXPORT:
    case PS_API_D1_IMPORT:
        answer_transfer(&call, chance, &response);
        break;
    case PS_API_PUBLIC:
        answer_public(request, &call, chance, &response);
        break;
    case PS_API_PURGE:
        for (size_t i = 0; i < call.purge_count; i++) {
            struct ps_slice key = call.purges[i].key;
            require(namespaces[call.purges[i].ns].is_r2);
            require(key.size == 0 || ps_r2_key_valid(key));
        }
        ps_api_answer_purge(&call, changes[chance % 5], &response);
        break;
    case PS_API_BUCKETS:
        ps_api_answer_buckets(&config, &call, &response);
        break;
    case PS_API_BUCKET_GET:
    case PS_API_BUCKET_UPDATE:
        ps_api_answer_bucket(&config, &call, &response);
        break;
    case PS_API_BUCKET_CREATE:
        require(ps_r2_bucket_name_valid(call.title));
        ps_api_answer_bucket_change(changes[1 + chance % 4], &response);
        break;
    case PS_API_BUCKET_DELETE:
        ps_api_answer_bucket_change(changes[chance % 5], &response);
        break;
    case PS_API_OBJECT:
        answer_object(&call, chance, &response);
        break;
    case PS_API_FILE:
    case PS_API_BUCKET_UNKNOWN:
    case PS_API_ANSWERED:
    case PS_API_CONTROL:
    case PS_API_HEALTHZ:
    case PS_API_METRICS:
        break;
    }
    if (response.status != 0) {
        check_answer(&response);
    }
    ps_api_call_fini(&call);
    ps_http_response_fini(&response);
}

/* ---- the requests ---- */

static void note(struct ps_buf *seen, struct ps_slice bytes)
{
    ps_buf_append_u64(seen, bytes.size);
    ps_buf_append_char(seen, ':');
    ps_buf_append_slice(seen, bytes);
}

static void note_request(struct ps_buf *seen, const struct ps_http1_message *message)
{
    const struct ps_http_request *request = &message->request;
    ps_buf_printf(seen, "\n%d %d %d ", (int)request->method, message->keep_alive, message->http10);
    note(seen, request->target);
    for (size_t i = 0; i < request->header_count; i++) {
        note(seen, request->headers[i].name);
        note(seen, request->headers[i].value);
    }
    note(seen, request->body);
}

/* Feed one piece. Returns false once the connection is refused. */
static bool feed(struct ps_http1_parser *parser, struct ps_slice bytes, struct ps_buf *seen,
                 bool routes)
{
    for (bool more = bytes.size > 0; more;) {
        size_t taken;
        enum ps_http1_event event = ps_http1_feed(parser, bytes, &taken);
        require(taken <= bytes.size);
        bytes = (struct ps_slice){bytes.data + taken, bytes.size - taken};
        more = bytes.size > 0 || event == PS_HTTP1_HEAD || event == PS_HTTP1_BODY;
        if (event == PS_HTTP1_NEED) {
            require(bytes.size == 0);
        } else if (event == PS_HTTP1_CONTINUE) {
            ps_buf_append_text(seen, "\ncontinue");
        } else if (event == PS_HTTP1_BODY) {
            require(ps_http1_span(parser).size > 0);
            ps_buf_append_slice(seen, ps_http1_span(parser));
        } else if (event == PS_HTTP1_END) {
            ps_buf_append_text(seen, "\nend");
        } else if (event == PS_HTTP1_REFUSED) {
            const char *phrase;
            ps_buf_printf(seen, "\nrefused %d ", ps_http1_refusal(parser, &phrase));
            ps_buf_append_text(seen, phrase);
            return false;
        } else {
            struct ps_http1_message *message = ps_http1_take(parser);
            note_request(seen, message);
            if (routes) {
                route(&message->request, ps_slice_hash(message->request.target));
            }
            ps_http1_message_free(message);
        }
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    struct ps_rng rng = {.seed = (uint64_t)data[0] << 8 | data[1]};
    struct ps_slice bytes = {(const char *)data + 2, size - 2};
    struct ps_buf whole = {0};
    struct ps_buf pieces = {0};
    struct ps_http1_parser *parser = ps_http1_parser_create(limit, NULL);
    (void)feed(parser, bytes, &whole, true);
    ps_http1_parser_destroy(parser);
    parser = ps_http1_parser_create(limit, NULL);
    bool goes_on = true;
    while (bytes.size > 0 && goes_on) {
        size_t piece = 1 + (size_t)ps_rng_below(&rng, PIECE_MAX);
        piece = piece < bytes.size ? piece : bytes.size;
        goes_on = feed(parser, (struct ps_slice){bytes.data, piece}, &pieces, false);
        bytes = (struct ps_slice){bytes.data + piece, bytes.size - piece};
    }
    ps_http1_parser_destroy(parser);
    require(ps_slice_eq(ps_buf_slice(&whole), ps_buf_slice(&pieces)));
    ps_buf_fini(&whole);
    ps_buf_fini(&pieces);
    return 0;
}
