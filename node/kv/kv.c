#include "node/kv/kv.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Messages are the service's own: facts of miniflare and the REST API, shown to users by workerd.
 */

static bool refuse(struct ps_kv_error *err, int http_status, int api_code, const char *format, ...)
    PS_PRINTF(4, 5);

static bool refuse(struct ps_kv_error *err, int http_status, int api_code, const char *format, ...)
{
    err->http_status = http_status;
    err->api_code = api_code;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(err->phrase, sizeof err->phrase, format, args);
    va_end(args);
    return false;
}

static bool check_key(struct ps_slice key, struct ps_kv_error *err)
{
    if (key.size == 0) {
        return refuse(err, 400, 10021, "Key names must not be empty");
    }
    if (ps_slice_eq(key, PS_LIT(".")) || ps_slice_eq(key, PS_LIT(".."))) {
        return refuse(err, 400, 10021, "Illegal key name \"%.*s\". Please use a different name.",
                      (int)key.size, key.data);
    }
    if (key.size > PS_KV_KEY_SIZE_MAX) {
        return refuse(err, 414, 10021,
                      "UTF-8 encoded length of %zu exceeds key length limit of %d.", key.size,
                      PS_KV_KEY_SIZE_MAX);
    }
    return true;
}

static bool check_cache_ttl(const struct ps_kv_request *request, struct ps_kv_error *err)
{
    if (request->has_cache_ttl && request->cache_ttl_s < PS_KV_CACHE_TTL_S_MIN) {
        return refuse(err, 400, 10021,
                      "Invalid cache_ttl of %" PRId64 ". Cache TTL must be at least %d.",
                      request->cache_ttl_s, PS_KV_CACHE_TTL_S_MIN);
    }
    return true;
}

static bool check_ttl(int64_t ttl_s, int64_t now_unix_s, uint64_t *ret, struct ps_kv_error *err)
{
    if (ttl_s <= 0) {
        return refuse(
            err, 400, 10034,
            "Invalid expiration_ttl of %" PRId64 ". Please specify integer greater than 0.", ttl_s);
    }
    if (ttl_s < PS_KV_TTL_S_MIN) {
        return refuse(err, 400, 10034,
                      "Invalid expiration_ttl of %" PRId64 ". Expiration TTL must be at least %d.",
                      ttl_s, PS_KV_TTL_S_MIN);
    }
    *ret = (uint64_t)(now_unix_s > 0 ? now_unix_s : 0) + (uint64_t)ttl_s;
    return true;
}

static bool check_expiration(int64_t at_s, int64_t now_unix_s, uint64_t *ret,
                             struct ps_kv_error *err)
{
    if (at_s <= 0 || at_s <= now_unix_s) {
        return refuse(err, 400, 10033,
                      "Invalid expiration of %" PRId64
                      ". Please specify integer greater than the current number of seconds since "
                      "the UNIX epoch.",
                      at_s);
    }
    if (at_s - PS_KV_TTL_S_MIN < now_unix_s) {
        return refuse(err, 400, 10033,
                      "Invalid expiration of %" PRId64
                      ". Expiration times must be at least %d seconds in the future.",
                      at_s, PS_KV_TTL_S_MIN);
    }
    *ret = (uint64_t)at_s;
    return true;
}

static bool check_put(const struct ps_kv_request *request, int64_t now_unix_s, uint64_t *ret,
                      struct ps_kv_error *err)
{
    if (!check_key(request->key, err)) {
        return false;
    }
    if (request->has_expiration_ttl) {
        if (!check_ttl(request->expiration_ttl_s, now_unix_s, ret, err)) {
            return false;
        }
    } else if (request->has_expiration &&
               !check_expiration(request->expiration_s, now_unix_s, ret, err)) {
        return false;
    }
    if (request->metadata.size > PS_KV_METADATA_SIZE_MAX) {
        return refuse(err, 413, 10021, "Metadata length of %zu exceeds limit of %d.",
                      request->metadata.size, PS_KV_METADATA_SIZE_MAX);
    }
    if (request->value.size > PS_KV_VALUE_SIZE_MAX) {
        return refuse(err, 413, 10021, "Value length of %zu exceeds limit of %d.",
                      request->value.size, PS_KV_VALUE_SIZE_MAX);
    }
    return true;
}

static bool check_bulk_get(const struct ps_kv_request *request, struct ps_kv_error *err)
{
    if (request->key_count > PS_KV_BULK_GET_MAX) {
        return refuse(err, 400, 10021, "You can request a maximum of %d keys", PS_KV_BULK_GET_MAX);
    }
    if (request->key_count == 0) {
        return refuse(err, 400, 10029, "You must request a minimum of 1 key");
    }
    for (size_t i = 0; i < request->key_count; i++) {
        if (!check_key(request->keys[i], err)) {
            return false;
        }
    }
    return check_cache_ttl(request, err);
}

static bool check_list(const struct ps_kv_request *request, struct ps_kv_error *err)
{
    if (request->has_limit && request->limit < 1) {
        return refuse(err, 400, 10021,
                      "Invalid key_count_limit of %" PRId64
                      ". Please specify an integer greater than 0.",
                      request->limit);
    }
    if (request->has_limit && request->limit > PS_KV_LIST_MAX) {
        return refuse(err, 400, 10021,
                      "Invalid key_count_limit of %" PRId64
                      ". Please specify an integer less than %d.",
                      request->limit, PS_KV_LIST_MAX);
    }
    if (request->prefix.size > PS_KV_KEY_SIZE_MAX) {
        return refuse(err, 414, 10021,
                      "UTF-8 encoded length of %zu exceeds key length limit of %d.",
                      request->prefix.size, PS_KV_KEY_SIZE_MAX);
    }
    return true;
}

bool ps_kv_check(const struct ps_kv_request *request, int64_t now_unix_s,
                 uint64_t *ret_expires_unix_s, struct ps_kv_error *err)
{
    *ret_expires_unix_s = 0;
    switch (request->op) {
    case PS_KV_GET:
        return check_key(request->key, err) && check_cache_ttl(request, err);
    case PS_KV_GET_BULK:
        return check_bulk_get(request, err);
    case PS_KV_LIST:
        return check_list(request, err);
    case PS_KV_PUT:
        return check_put(request, now_unix_s, ret_expires_unix_s, err);
    case PS_KV_DELETE:
        return check_key(request->key, err);
    }
    return refuse(err, 400, 10012, "Bad Request");
}

bool ps_kv_write_allowed(const struct ps_kv_limits *limits, ps_time_ns last_put_ns,
                         ps_time_ns now_ns)
{
    return limits->write_interval_ns == 0 || last_put_ns == PS_NEVER ||
           now_ns >= ps_time_add(last_put_ns, limits->write_interval_ns);
}

void ps_kv_error_of(enum ps_status status, struct ps_kv_error *err)
{
    if (status == PS_OK) {
        *err = (struct ps_kv_error){0};
    } else if (status == PS_RATE_LIMITED) {
        (void)refuse(err, 429, 971, "Too Many Requests");
    } else if (status == PS_NOT_FOUND) {
        (void)refuse(err, 404, 10009, "Not Found");
    } else if (status == PS_LIMIT) {
        (void)refuse(err, 413, 10021, "Total size of request exceeds the limit of 25MB");
    } else if (status == PS_INVALID) {
        (void)refuse(err, 400, 10021, "Bad Request");
    } else if (status == PS_UNREACHABLE || status == PS_TIMEOUT || status == PS_BEHIND ||
               status == PS_BUSY) {
        (void)refuse(err, 503, 10000, "Service Unavailable");
    } else if (status == PS_FULL) {
        (void)refuse(err, 507, 10000,
                     "Insufficient Storage: the disk of the namespace's home has no room left");
    } else {
        (void)refuse(err, 500, 10000, "Internal Server Error");
    }
}

int64_t ps_kv_unix_s(const struct ps_cluster *cluster, ps_time_ns t)
{
    return cluster->epoch_unix_s + (int64_t)(t / PS_SECOND);
}

bool ps_kv_absent(const struct ps_version *version, int64_t now_unix_s)
{
    return version->deleted || (version->expires_unix_s != 0 && now_unix_s >= 0 &&
                                version->expires_unix_s <= (uint64_t)now_unix_s);
}

static const char DIGITS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void ps_kv_cursor_encode(struct ps_buf *buf, struct ps_slice last_name)
{
    uint32_t bits = 0;
    unsigned count = 0;
    for (size_t i = 0; i < last_name.size; i++) {
        bits = (bits << 8 | (unsigned char)last_name.data[i]) & 0xffff;
        for (count += 8; count >= 6; count -= 6) {
            ps_buf_append_char(buf, DIGITS[bits >> (count - 6) & 63]);
        }
    }
    if (count > 0) {
        ps_buf_append_char(buf, DIGITS[bits << (6 - count) & 63]);
    }
}

enum ps_status ps_kv_cursor_decode(struct ps_slice cursor, struct ps_buf *ret_last_name)
{
    uint32_t bits = 0;
    unsigned count = 0;
    if (cursor.size % 4 == 1) {
        return PS_INVALID;
    }
    for (size_t i = 0; i < cursor.size; i++) {
        const char *digit = memchr(DIGITS, cursor.data[i], 64);
        if (digit == NULL) {
            return PS_INVALID;
        }
        bits = (bits << 6 | (uint32_t)(digit - DIGITS)) & 0xffff;
        count += 6;
        if (count >= 8) {
            count -= 8;
            ps_buf_append_char(ret_last_name, (char)(bits >> count & 0xff));
        }
    }
    return (bits & ((1U << count) - 1)) == 0 ? PS_OK : PS_INVALID;
}
