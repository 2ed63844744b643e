#include "node/s3/sigv4.h"

#include "node/r2/digest.h"
#include "node/s3/error.h"
#include "node/s3/sigv4_internal.h"
#include "node/s3/xml.h"
#include "replication/base/assert.h"
#include "replication/base/memory.h"

#include <string.h>
#include <strings.h>

/* ---- keys ---- */

enum { CACHE_SIZE = 16 }; /* signing keys that are kept */

struct pair {
    char *id;
    char *secret;
};

struct derived {
    size_t pair;
    char day[9]; /* empty: unused */
    char region[PS_S3_REGION_MAX + 1];
    size_t region_size;
    uint8_t key[32];
};

struct ps_s3_keyring {
    struct pair pairs[PS_S3_KEYS_MAX];
    size_t count;
    struct derived cache[CACHE_SIZE];
    size_t next; /* the place that is used up next */
};

struct ps_s3_keyring *ps_s3_keyring_create(void)
{
    return PS_NEW(struct ps_s3_keyring);
}

void ps_s3_keyring_destroy(struct ps_s3_keyring *keyring)
{
    for (size_t i = 0; keyring != NULL && i < keyring->count; i++) {
        free(keyring->pairs[i].id);
        free(keyring->pairs[i].secret);
    }
    free(keyring);
}

static const struct pair *find_pair(const struct ps_s3_keyring *keyring, struct ps_slice id)
{
    const struct pair *found = NULL;
    for (size_t i = 0; i < keyring->count; i++) {
        if (ps_s3_same_secret(ps_slice_of(keyring->pairs[i].id), id)) {
            found = &keyring->pairs[i];
        }
    }
    return found;
}

enum ps_status ps_s3_keyring_add(struct ps_s3_keyring *keyring, struct ps_slice id,
                                 struct ps_slice secret)
{
    bool odd = id.size == 0 || secret.size == 0 || memchr(id.data, '\0', id.size) != NULL ||
               memchr(secret.data, '\0', secret.size) != NULL;
    if (odd) {
        return PS_INVALID;
    }
    if (id.size > PS_S3_KEY_ID_MAX || secret.size > PS_S3_SECRET_MAX ||
        keyring->count == PS_S3_KEYS_MAX) {
        return PS_LIMIT;
    }
    if (find_pair(keyring, id) != NULL) {
        return PS_EXISTS;
    }
    keyring->pairs[keyring->count++] =
        (struct pair){ps_strndup(id.data, id.size), ps_strndup(secret.data, secret.size)};
    return PS_OK;
}

static void signing_key(struct ps_s3_keyring *keyring, const struct pair *pair, struct ps_slice day,
                        struct ps_slice region, uint8_t ret[static 32])
{
    size_t index = (size_t)(pair - keyring->pairs);
    for (size_t i = 0; i < CACHE_SIZE; i++) {
        const struct derived *derived = &keyring->cache[i];
        struct ps_slice its_region = {derived->region, derived->region_size};
        if (derived->pair == index && ps_slice_eq(ps_slice_of(derived->day), day) &&
            ps_slice_eq(its_region, region)) {
            memcpy(ret, derived->key, 32);
            return;
        }
    }
    struct derived *derived = &keyring->cache[keyring->next++ % CACHE_SIZE];
    *derived = (struct derived){.pair = index, .region_size = region.size};
    memcpy(derived->day, day.data, 8);
    memcpy(derived->region, region.data, region.size);
    ps_s3_signing_key(ps_slice_of(pair->secret), day, region, derived->key);
    memcpy(ret, derived->key, 32);
}

/* ---- the parts of a credential ---- */

struct scope {
    struct ps_slice id;
    struct ps_slice day;
    struct ps_slice region;
};

/* The last part behind a "/", which is cut off. */
static struct ps_slice cut_last(struct ps_slice *text)
{
    const char *slash = text->size == 0 ? NULL : memrchr(text->data, '/', text->size);
    PS_ASSERT(slash != NULL);
    struct ps_slice last = {slash + 1, text->size - (size_t)(slash - text->data) - 1};
    text->size = (size_t)(slash - text->data);
    return last;
}

#define SHOWN(slice) (int)((slice).size), (slice).data

/* In R2's order: the count, service, terminator, day, then the key itself. More slashes belong to
 * the key's id. */
static const struct pair *check_credential(struct ps_s3_keyring *keyring,
                                           struct ps_slice credential, const char *date,
                                           struct scope *ret, struct ps_http_response *response)
{
    int parts = 1;
    for (size_t i = 0; i < credential.size; i++) {
        parts += credential.data[i] == '/' ? 1 : 0;
    }
    if (parts < 5) {
        ps_s3_invalid_argument(response,
                               "Credential sigv4 header should have at least 5 slash-separated "
                               "parts, not %d",
                               parts);
        return NULL;
    }
    struct ps_slice terminator = cut_last(&credential);
    struct ps_slice service = cut_last(&credential);
    ret->region = cut_last(&credential);
    ret->day = cut_last(&credential);
    ret->id = credential;
    if (!ps_slice_eq(service, PS_LIT("s3"))) {
        ps_s3_invalid_argument(response, "Credential service should be s3, not %.*s",
                               SHOWN(service));
        return NULL;
    }
    if (!ps_slice_eq(terminator, PS_LIT("aws4_request"))) {
        ps_s3_invalid_argument(response,
                               "Credential termination string should be aws4_request, not %.*s",
                               SHOWN(terminator));
        return NULL;
    }
    if (ret->day.size != 8 || memcmp(ret->day.data, date, 8) != 0) {
        ps_s3_invalid_argument(response,
                               "Credential signed date %.*s does not match %.8s from 'x-amz-date' "
                               "header",
                               SHOWN(ret->day), date);
        return NULL;
    }
    const struct pair *pair = find_pair(keyring, ret->id);
    if (pair == NULL || ret->region.size > PS_S3_REGION_MAX) {
        ps_s3_fail(response, 401, "Unauthorized", "Unauthorized");
        return NULL;
    }
    return pair;
}

/* ---- one signature ---- */

static void dump_bytes(struct ps_slice text, struct ps_buf *into)
{
    into->size = 0;
    ps_buf_reserve(into, 3 * text.size + 1);
    for (size_t i = 0; i < text.size; i++) {
        char digits[3];
        uint8_t byte = (uint8_t)text.data[i];
        ps_s3_hex(&byte, 1, digits);
        if (i > 0) {
            ps_buf_append_char(into, ' ');
        }
        ps_buf_append(into, digits, 2);
    }
}

static void does_not_match(struct ps_slice to_sign, struct ps_slice canonical,
                           struct ps_slice provided, struct ps_http_response *response)
{
    struct ps_buf *body = &response->body;
    struct ps_buf bytes = {0};
    ps_s3_fail_open(response, 403, "SignatureDoesNotMatch",
                    PS_LIT("The request signature we calculated does not match the signature you "
                           "provided. Check your secret access key and signing method."));
    ps_s3_xml_text(body, "StringToSign", to_sign);
    dump_bytes(to_sign, &bytes);
    ps_s3_xml_text(body, "StringToSignBytes", ps_buf_slice(&bytes));
    ps_s3_xml_text(body, "CanonicalRequest", canonical);
    dump_bytes(canonical, &bytes);
    ps_s3_xml_text(body, "CanonicalRequestBytes", ps_buf_slice(&bytes));
    ps_s3_xml_text(body, "SignatureProvided", provided);
    ps_s3_fail_close(response);
    ps_buf_fini(&bytes);
}

static struct ps_slice method_of(enum ps_http_method method)
{
    static const struct ps_slice names[] = {
        [PS_HTTP_GET] = {"GET", 3},         [PS_HTTP_HEAD] = {"HEAD", 4},
        [PS_HTTP_PUT] = {"PUT", 3},         [PS_HTTP_POST] = {"POST", 4},
        [PS_HTTP_DELETE] = {"DELETE", 6},   [PS_HTTP_PATCH] = {"PATCH", 5},
        [PS_HTTP_OPTIONS] = {"OPTIONS", 7}, [PS_HTTP_OTHER] = {"", 0}};

    return names[method];
}

/* One request under check. */
struct check {
    struct ps_s3_keyring *keyring;
    const struct ps_http_request *head;
    struct ps_slice path;
    struct ps_s3_query query;
    int64_t now_unix_ms;
    struct ps_s3_auth *auth;
    struct ps_http_response *response;
};

/* SignedHeaders in lower case; without "host" nothing is signed that would bind it to this server.
 */
static bool lower_names(struct check *check, struct ps_slice names, struct ps_buf *ret)
{
    bool host = false;
    size_t from = 0;
    ps_buf_reserve(ret, names.size + 1); /* there are names to look at, though they be empty */
    for (size_t i = 0; i <= names.size; i++) {
        if (i == names.size || names.data[i] == ';') {
            host = host || ps_slice_eq((struct ps_slice){ret->data + from, ret->size - from},
                                       PS_LIT("host"));
            from = ret->size + 1;
        }
        if (i < names.size) {
            char c = names.data[i];
            ps_buf_append_char(ret, (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c));
        }
    }
    if (!host) {
        ps_s3_fail(check->response, 401, "Unauthorized", "Unauthorized");
    }
    return host;
}

/* The parts that both ways of carrying a signature give. */
struct claim {
    struct ps_slice date; /* well formed */
    struct ps_slice names;
    struct ps_slice payload;
    struct ps_slice signature;
};

static bool check_signature(struct check *check, const struct pair *pair, const struct scope *scope,
                            const struct claim *claim)
{
    struct ps_buf names = {0};
    struct ps_buf canonical = {0};
    struct ps_buf to_sign = {0};
    struct ps_s3_seed *seed = &check->auth->seed;
    memcpy(seed->date, claim->date.data, 16);
    seed->date[16] = '\0';
    ps_s3_scope(scope->day, scope->region, seed);
    bool valid = lower_names(check, claim->names, &names);
    if (valid) {
        struct ps_s3_signed request = {.method = method_of(check->head->method),
                                       .path = check->path,
                                       .query = &check->query,
                                       .headers = check->head->headers,
                                       .header_count = check->head->header_count,
                                       .names = ps_buf_slice(&names),
                                       .payload = claim->payload};
        ps_s3_canonical(&request, &canonical);
        ps_s3_to_sign(ps_buf_slice(&canonical), seed->date, seed->scope, &to_sign);
        signing_key(check->keyring, pair, scope->day, scope->region, seed->signing_key);
        ps_s3_signature(seed->signing_key, ps_buf_slice(&to_sign), seed->signature);
        valid = ps_s3_same_secret(ps_slice_of(seed->signature), claim->signature);
        if (!valid) {
            does_not_match(ps_buf_slice(&to_sign), ps_buf_slice(&canonical), claim->signature,
                           check->response);
        }
    }
    ps_buf_fini(&names);
    ps_buf_fini(&canonical);
    ps_buf_fini(&to_sign);
    check->auth->key_id = ps_slice_of(pair->id);
    return valid;
}

/* ---- the Authorization header ---- */

/* "Credential=..., SignedHeaders=..., Signature=..." behind the algorithm; the last of equal names
 * counts. */
static bool read_fields(struct ps_slice header, struct ps_slice *credential, struct ps_slice *names,
                        struct ps_slice *signature)
{
    *credential = *names = *signature = (struct ps_slice){NULL, 0};
    if (!ps_slice_starts(header, PS_LIT(PS_S3_ALGORITHM " "))) {
        return false;
    }
    size_t skip = sizeof PS_S3_ALGORITHM - 1;
    struct ps_slice rest = {header.data + skip, header.size - skip};
    while (rest.size > 0) {
        const char *comma = memchr(rest.data, ',', rest.size);
        size_t size = comma == NULL ? rest.size : (size_t)(comma - rest.data);
        const char *equals = memchr(rest.data, '=', size);
        if (equals != NULL) {
            size_t name_size = (size_t)(equals - rest.data);
            struct ps_slice name = ps_s3_trim((struct ps_slice){rest.data, name_size});
            struct ps_slice value = {equals + 1, size - name_size - 1};
            struct ps_slice *into = ps_slice_eq(name, PS_LIT("Credential"))      ? credential
                                    : ps_slice_eq(name, PS_LIT("SignedHeaders")) ? names
                                    : ps_slice_eq(name, PS_LIT("Signature"))     ? signature
                                                                                 : NULL;
            if (into != NULL) {
                *into = ps_s3_trim(value);
            }
        }
        size_t used = size + (comma == NULL ? 0 : 1);
        rest = (struct ps_slice){rest.data + used, rest.size - used};
    }
    return credential->data != NULL && names->data != NULL && signature->data != NULL;
}

static bool check_date(struct check *check, struct ps_slice *ret_date)
{
    const struct ps_http_header *date = ps_http_header(check->head, "x-amz-date");
    const char *source = "'x-amz-date' header";
    if (date == NULL) {
        date = ps_http_header(check->head, "date");
        source = "'date' header";
    }
    if (date == NULL) {
        ps_s3_invalid_argument(check->response, "No date provided in x-amz-date nor date header");
        return false;
    }
    int64_t unix_s;
    *ret_date = ps_s3_trim(date->value);
    if (!ps_s3_amz_date_read(*ret_date, &unix_s)) {
        ps_s3_invalid_argument(check->response,
                               "Date provided in %s (%.*s) didn't parse successfully", source,
                               SHOWN(*ret_date));
        return false;
    }
    int64_t skew_ms = check->now_unix_ms - unix_s * 1000;
    if (skew_ms > PS_S3_SKEW_MAX_MS || skew_ms < -PS_S3_SKEW_MAX_MS) {
        ps_s3_fail(check->response, 403, "RequestTimeTooSkewed",
                   "The difference between the request time and the server's time is too large.");
        return false;
    }
    return true;
}

/* What x-amz-content-sha256 says; false: none of the words that are known. */
static bool read_payload(struct ps_slice text, struct ps_s3_auth *auth)
{
    static const struct {
        const char *text;
        enum ps_s3_payload payload;
    } words[] = {{"UNSIGNED-PAYLOAD", PS_S3_PAYLOAD_UNSIGNED},
                 {"STREAMING-AWS4-HMAC-SHA256-PAYLOAD", PS_S3_PAYLOAD_CHUNKS},
                 {"STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", PS_S3_PAYLOAD_CHUNKS_TRAILER},
                 {"STREAMING-UNSIGNED-PAYLOAD-TRAILER", PS_S3_PAYLOAD_UNSIGNED_TRAILER}};

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (ps_slice_eq(text, ps_slice_of(words[i].text))) {
            auth->payload = words[i].payload;
            return true;
        }
    }
    auth->payload = PS_S3_PAYLOAD_SHA256;
    return ps_r2_unhex(text, auth->sha256, sizeof auth->sha256);
}

static bool verify_header(struct check *check, struct ps_slice authorization)
{
    const struct ps_http_header *payload = ps_http_header(check->head, "x-amz-content-sha256");
    if (payload == NULL) {
        ps_s3_fail(check->response, 400, "InvalidRequest", "Missing x-amz-content-sha256");
        return false;
    }
    struct ps_slice credential;
    struct scope scope;
    struct claim claim = {.payload = ps_s3_trim(payload->value)};
    if (!check_date(check, &claim.date)) {
        return false;
    }
    if (!read_fields(authorization, &credential, &claim.names, &claim.signature)) {
        ps_s3_fail(check->response, 400, "InvalidRequest", "Please use " PS_S3_ALGORITHM);
        return false;
    }
    const struct pair *pair =
        check_credential(check->keyring, credential, claim.date.data, &scope, check->response);
    if (pair == NULL || !check_signature(check, pair, &scope, &claim)) {
        return false;
    }
    if (!read_payload(claim.payload, check->auth)) {
        ps_s3_invalid_argument(
            check->response, "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, "
                             "STREAMING-UNSIGNED-PAYLOAD-TRAILER, "
                             "STREAMING-AWS4-HMAC-SHA256-PAYLOAD, "
                             "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value.");
        return false;
    }
    return true;
}

/* ---- the query of a presigned URL ---- */

static bool nothing_missing(struct check *check)
{
    static const char *const required[] = {"X-Amz-Algorithm", "X-Amz-Signature", "X-Amz-Date",
                                           "X-Amz-SignedHeaders", "X-Amz-Expires"};

    struct ps_buf missing = {0};
    size_t count = 0;
    for (size_t i = 0; i < sizeof required / sizeof required[0]; i++) {
        if (ps_s3_query_get(&check->query, required[i]) == NULL) {
            ps_buf_append_text(&missing, count++ == 0 ? "" : ",  ");
            ps_buf_append_text(&missing, required[i]);
        }
    }
    if (count > 0) {
        ps_s3_invalid_argument(check->response, "Required search parameter%s %s missing",
                               count == 1 ? "" : "s", ps_buf_text(&missing));
    }
    ps_buf_fini(&missing);
    return count == 0;
}

static bool check_expiry(struct check *check, int64_t signed_unix_s)
{
    struct ps_slice text = ps_s3_trim(*ps_s3_query_get(&check->query, "X-Amz-Expires"));
    bool minus = text.size > 1 && *text.data == '-';
    uint64_t expires_s;
    if (!ps_s3_number(minus ? (struct ps_slice){text.data + 1, text.size - 1} : text, &expires_s)) {
        ps_s3_invalid_argument(check->response, "X-Amz-Expires should be a number");
        return false;
    }
    if (!minus && expires_s > PS_S3_EXPIRES_MAX_S) {
        ps_s3_invalid_argument(check->response,
                               "X-Amz-Expires must be less than a week (in seconds); that is, the "
                               "given X-Amz-Expires must be less than %d seconds",
                               PS_S3_EXPIRES_MAX_S);
        return false;
    }
    if (minus || expires_s == 0 ||
        check->now_unix_ms > (signed_unix_s + (int64_t)expires_s) * 1000) {
        ps_s3_fail(check->response, 403, "ExpiredRequest", "Request has expired");
        return false;
    }
    return true;
}

static bool verify_query(struct check *check, struct ps_slice credential)
{
    if (!nothing_missing(check)) {
        return false;
    }
    if (!ps_slice_eq(*ps_s3_query_get(&check->query, "X-Amz-Algorithm"), PS_LIT(PS_S3_ALGORITHM))) {
        ps_s3_fail(check->response, 400, "InvalidRequest", "Please use " PS_S3_ALGORITHM);
        return false;
    }
    struct claim claim = {.date = *ps_s3_query_get(&check->query, "X-Amz-Date"),
                          .names = *ps_s3_query_get(&check->query, "X-Amz-SignedHeaders"),
                          .signature = *ps_s3_query_get(&check->query, "X-Amz-Signature"),
                          .payload = PS_LIT("UNSIGNED-PAYLOAD")};
    int64_t unix_s;
    if (!ps_s3_amz_date_read(claim.date, &unix_s)) {
        ps_s3_invalid_argument(check->response,
                               "Date provided in X-Amz-Date (%.*s) didn't parse successfully",
                               SHOWN(claim.date));
        return false;
    }
    struct scope scope;
    const struct pair *pair =
        check_credential(check->keyring, credential, claim.date.data, &scope, check->response);
    check->auth->presigned = true;
    check->auth->payload = PS_S3_PAYLOAD_UNSIGNED;
    return pair != NULL && check_expiry(check, unix_s) &&
           check_signature(check, pair, &scope, &claim);
}

/* ---- both ---- */

bool ps_s3_has_signature(const struct ps_http_request *head)
{
    struct ps_slice path;
    struct ps_slice raw;
    struct ps_s3_query query;
    ps_s3_split_target(head->target, &path, &raw);
    bool has = ps_http_header(head, "authorization") != NULL;
    if (!has && ps_s3_query_read(raw, &query) == PS_OK) {
        has = ps_s3_query_get(&query, "X-Amz-Credential") != NULL;
        ps_s3_query_fini(&query);
    }
    return has;
}

bool ps_s3_verify(struct ps_s3_keyring *keyring, const struct ps_http_request *head,
                  int64_t now_unix_ms, struct ps_s3_auth *ret, struct ps_http_response *response)
{
    struct check check = {.keyring = keyring,
                          .head = head,
                          .now_unix_ms = now_unix_ms,
                          .auth = ret,
                          .response = response};
    struct ps_slice raw;
    *ret = (struct ps_s3_auth){0};
    ps_s3_split_target(head->target, &check.path, &raw);
    if (ps_s3_query_read(raw, &check.query) != PS_OK) {
        ps_s3_invalid_argument(response, "Too many search parameters");
        return false;
    }
    const struct ps_http_header *authorization = ps_http_header(head, "authorization");
    const struct ps_slice *credential = ps_s3_query_get(&check.query, "X-Amz-Credential");
    bool valid = false;
    if (authorization != NULL) {
        valid = verify_header(&check, authorization->value);
    } else if (credential != NULL) {
        valid = verify_query(&check, *credential);
    } else {
        ps_s3_invalid_argument(response, "Authorization");
    }
    ps_s3_query_fini(&check.query);
    PS_ASSERT(valid == (response->status == 0));
    return valid;
}
