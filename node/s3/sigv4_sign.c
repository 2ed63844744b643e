#include "node/s3/sigv4_internal.h"
#include "replication/base/assert.h"
#include "replication/base/memory.h"

#include <string.h>
#include <strings.h>

static int compare_names(const void *left, const void *right)
{
    return ps_slice_cmp(*(const struct ps_slice *)left, *(const struct ps_slice *)right);
}

/* The headers' names in lower case, sorted, each once, separated by ";". */
static void signed_names(const struct ps_http_header *headers, size_t count, struct ps_buf *into)
{
    struct ps_buf lower = {0};
    struct ps_slice *names = PS_NEW_ARRAY(struct ps_slice, count + 1);
    size_t room = 0;
    for (size_t i = 0; i < count; i++) {
        room += headers[i].name.size;
    }
    ps_buf_reserve(&lower, room + 1);
    for (size_t i = 0; i < count; i++) {
        names[i] = (struct ps_slice){lower.data + lower.size, headers[i].name.size};
        for (size_t j = 0; j < headers[i].name.size; j++) {
            char c = headers[i].name.data[j];
            ps_buf_append_char(&lower, (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c));
        }
    }
    qsort(names, count, sizeof *names, compare_names);
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || !ps_slice_eq(names[i], names[i - 1])) {
            ps_buf_append_text(into, i == 0 ? "" : ";");
            ps_buf_append_slice(into, names[i]);
        }
    }
    free(names);
    ps_buf_fini(&lower);
}

static void sign(const struct ps_s3_signer *signer, const struct ps_s3_signed *request,
                 struct ps_s3_seed *ret)
{
    struct ps_buf canonical = {0};
    struct ps_buf to_sign = {0};
    ps_s3_amz_date(signer->unix_s, ret->date);
    struct ps_slice day = {ret->date, 8};
    ps_s3_scope(day, signer->region, ret);
    ps_s3_signing_key(signer->secret, day, signer->region, ret->signing_key);
    ps_s3_canonical(request, &canonical);
    ps_s3_to_sign(ps_buf_slice(&canonical), ret->date, ret->scope, &to_sign);
    ps_s3_signature(ret->signing_key, ps_buf_slice(&to_sign), ret->signature);
    ps_buf_fini(&canonical);
    ps_buf_fini(&to_sign);
}

void ps_s3_sign(const struct ps_s3_signer *signer, const char *method, struct ps_slice target,
                const struct ps_http_header *headers, size_t header_count, struct ps_slice payload,
                struct ps_buf *into, struct ps_s3_seed *ret_seed)
{
    struct ps_buf names = {0};
    struct ps_s3_query query;
    struct ps_slice path;
    struct ps_slice raw;
    struct ps_s3_seed seed;
    ps_s3_split_target(target, &path, &raw);
    enum ps_status status = ps_s3_query_read(raw, &query);
    PS_ASSERT(status == PS_OK);
    signed_names(headers, header_count, &names);
    struct ps_s3_signed request = {.method = ps_slice_of(method),
                                   .path = path,
                                   .query = &query,
                                   .headers = headers,
                                   .header_count = header_count,
                                   .names = ps_buf_slice(&names),
                                   .payload = payload};
    sign(signer, &request, &seed);
    ps_buf_append_text(into, PS_S3_ALGORITHM " Credential=");
    ps_buf_append_slice(into, signer->key_id);
    ps_buf_printf(into, "/%s, SignedHeaders=%s, Signature=%s", seed.scope, ps_buf_text(&names),
                  seed.signature);
    if (ret_seed != NULL) {
        *ret_seed = seed;
    }
    ps_s3_query_fini(&query);
    ps_buf_fini(&names);
}

void ps_s3_presign(const struct ps_s3_signer *signer, const char *method, struct ps_slice host,
                   struct ps_slice target, uint32_t expires_s, struct ps_buf *into)
{
    PS_ASSERT(expires_s >= 1 && expires_s <= PS_S3_EXPIRES_MAX_S);
    struct ps_http_header host_header = {PS_LIT("host"), host};
    struct ps_s3_seed seed;
    struct ps_buf credential = {0};
    struct ps_s3_query query;
    struct ps_slice path;
    struct ps_slice raw;
    size_t from = into->size;
    ps_s3_amz_date(signer->unix_s, seed.date);
    ps_s3_scope((struct ps_slice){seed.date, 8}, signer->region, &seed);
    ps_buf_append_slice(&credential, signer->key_id);
    ps_buf_printf(&credential, "/%s", seed.scope);
    ps_s3_split_target(target, &path, &raw);
    ps_buf_append_slice(into, target);
    ps_buf_append_text(into, path.size == target.size ? "?" : raw.size == 0 ? "" : "&");
    ps_buf_append_text(into, "X-Amz-Algorithm=" PS_S3_ALGORITHM "&X-Amz-Credential=");
    ps_s3_uri_encode(into, ps_buf_slice(&credential));
    ps_buf_printf(into, "&X-Amz-Date=%s&X-Amz-Expires=%u&X-Amz-SignedHeaders=host", seed.date,
                  expires_s);
    struct ps_slice unsigned_target = {into->data + from, into->size - from};
    ps_s3_split_target(unsigned_target, &path, &raw);
    enum ps_status status = ps_s3_query_read(raw, &query);
    PS_ASSERT(status == PS_OK);
    struct ps_s3_signed request = {.method = ps_slice_of(method),
                                   .path = path,
                                   .query = &query,
                                   .headers = &host_header,
                                   .header_count = 1,
                                   .names = PS_LIT("host"),
                                   .payload = PS_LIT("UNSIGNED-PAYLOAD")};
    sign(signer, &request, &seed);
    ps_buf_printf(into, "&X-Amz-Signature=%s", seed.signature);
    ps_s3_query_fini(&query);
    ps_buf_fini(&credential);
}
