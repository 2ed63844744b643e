#include "node/s3/sigv4_internal.h"
#include "replication/base/assert.h"
#include "replication/base/memory.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static void hmac(const uint8_t *key, size_t key_size, struct ps_slice text, uint8_t ret[static 32])
{
    unsigned size = 32;
    PS_ASSERT(key_size <= 256);
    const void *done =
        HMAC(EVP_sha256(), key, (int)key_size, (const uint8_t *)text.data, text.size, ret, &size);
    PS_ASSERT(done != NULL && size == 32);
}

void ps_s3_signature(const uint8_t key[static 32], struct ps_slice text, char ret[static 65])
{
    uint8_t mac[32];
    hmac(key, 32, text, mac);
    ps_s3_hex(mac, sizeof mac, ret);
}

void ps_s3_sha256_hex(struct ps_slice bytes, char ret[static 65])
{
    uint8_t digest[32];
    int done = EVP_Digest(bytes.data, bytes.size, digest, NULL, EVP_sha256(), NULL);
    PS_ASSERT(done == 1);
    ps_s3_hex(digest, sizeof digest, ret);
}

bool ps_s3_same_secret(struct ps_slice a, struct ps_slice b)
{
    return a.size == b.size && (a.size == 0 || CRYPTO_memcmp(a.data, b.data, a.size) == 0);
}

void ps_s3_signing_key(struct ps_slice secret, struct ps_slice day, struct ps_slice region,
                       uint8_t ret[static 32])
{
    uint8_t first[4 + PS_S3_SECRET_MAX] = "AWS4";
    PS_ASSERT(secret.size <= PS_S3_SECRET_MAX);
    memcpy(first + 4, secret.data, secret.size);
    uint8_t key[32];
    hmac(first, 4 + secret.size, day, key);
    hmac(key, sizeof key, region, ret);
    hmac(ret, 32, PS_LIT("s3"), key);
    hmac(key, sizeof key, PS_LIT("aws4_request"), ret);
    OPENSSL_cleanse(first, sizeof first);
}

void ps_s3_scope(struct ps_slice day, struct ps_slice region, struct ps_s3_seed *seed)
{
    PS_ASSERT(day.size == 8 && region.size <= PS_S3_REGION_MAX);
    memcpy(seed->scope, day.data, 8);
    seed->scope[8] = '/';
    memcpy(seed->scope + 9, region.data, region.size);
    memcpy(seed->scope + 9 + region.size, "/s3/aws4_request", sizeof "/s3/aws4_request");
}

/* ---- the canonical request ---- */

/* An encoded parameter, by where it stands in the buffer that all are encoded into. */
struct encoded {
    const struct ps_buf *text;
    size_t name_at, name_size;
    size_t value_at, value_size;
};

static int compare_encoded(const void *left, const void *right)
{
    const struct encoded *a = left;
    const struct encoded *b = right;
    const char *text = a->text->data;
    int order = ps_slice_cmp((struct ps_slice){text + a->name_at, a->name_size},
                             (struct ps_slice){text + b->name_at, b->name_size});
    return order != 0 ? order
                      : ps_slice_cmp((struct ps_slice){text + a->value_at, a->value_size},
                                     (struct ps_slice){text + b->value_at, b->value_size});
}

static void canonical_query(const struct ps_s3_query *query, struct ps_buf *into)
{
    struct ps_buf text = {0};
    struct encoded *params = PS_NEW_ARRAY(struct encoded, query->count + 1);
    size_t count = 0;
    for (size_t i = 0; i < query->count; i++) {
        if (ps_slice_eq(query->params[i].name, PS_LIT("X-Amz-Signature"))) {
            continue;
        }
        struct encoded *param = &params[count++];
        param->text = &text;
        param->name_at = text.size;
        ps_s3_uri_encode(&text, query->params[i].name);
        param->name_size = text.size - param->name_at;
        param->value_at = text.size;
        ps_s3_uri_encode(&text, query->params[i].value);
        param->value_size = text.size - param->value_at;
    }
    ps_buf_append_char(&text, '\0'); /* not NULL when all are empty */
    qsort(params, count, sizeof *params, compare_encoded);
    for (size_t i = 0; i < count; i++) {
        if (i > 0) {
            ps_buf_append_char(into, '&');
        }
        ps_buf_append(into, text.data + params[i].name_at, params[i].name_size);
        ps_buf_append_char(into, '=');
        ps_buf_append(into, text.data + params[i].value_at, params[i].value_size);
    }
    free(params);
    ps_buf_fini(&text);
}

/* Trimmed, and each run of spaces one space. */
static void canonical_value(struct ps_slice value, struct ps_buf *into)
{
    value = ps_s3_trim(value);
    for (size_t i = 0; i < value.size; i++) {
        if (value.data[i] != ' ' || value.data[i - 1] != ' ') {
            ps_buf_append_char(into, value.data[i]);
        }
    }
}

/* A header that came several times is joined with commas; one that did not come is empty. */
static void canonical_header(const struct ps_s3_signed *request, struct ps_slice name,
                             struct ps_buf *into)
{
    bool first = true;
    ps_buf_append_slice(into, name);
    ps_buf_append_char(into, ':');
    for (size_t i = 0; i < request->header_count; i++) {
        const struct ps_http_header *header = &request->headers[i];
        if (header->name.size == name.size &&
            strncasecmp(header->name.data, name.data, name.size) == 0) {
            if (!first) {
                ps_buf_append_char(into, ',');
            }
            canonical_value(header->value, into);
            first = false;
        }
    }
    ps_buf_append_char(into, '\n');
}

void ps_s3_canonical(const struct ps_s3_signed *request, struct ps_buf *into)
{
    ps_buf_append_slice(into, request->method);
    ps_buf_append_char(into, '\n');
    ps_buf_append_slice(into, request->path);
    ps_buf_append_char(into, '\n');
    canonical_query(request->query, into);
    ps_buf_append_char(into, '\n');
    struct ps_slice names = request->names;
    for (;;) {
        const char *end = names.size == 0 ? NULL : memchr(names.data, ';', names.size);
        size_t size = end == NULL ? names.size : (size_t)(end - names.data);
        canonical_header(request, (struct ps_slice){names.data, size}, into);
        if (end == NULL) {
            break;
        }
        names = (struct ps_slice){end + 1, names.size - size - 1};
    }
    ps_buf_append_char(into, '\n');
    ps_buf_append_slice(into, request->names);
    ps_buf_append_char(into, '\n');
    ps_buf_append_slice(into, request->payload);
}

void ps_s3_to_sign(struct ps_slice canonical, const char *date, const char *scope,
                   struct ps_buf *into)
{
    char digest[65];
    ps_s3_sha256_hex(canonical, digest);
    ps_buf_printf(into, PS_S3_ALGORITHM "\n%s\n%s\n%s", date, scope, digest);
}
