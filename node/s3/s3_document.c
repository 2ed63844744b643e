#include "node/s3/body.h"
#include "node/s3/s3_internal.h"
#include "node/s3/xml_internal.h"
#include "replication/base/memory.h"

#include <string.h>
#include <strings.h>

/* ---- the bytes ---- */

/* Words as those of a put whose bytes are not what it says (ps_r2_request_check). */
static bool digests_match(const struct ps_r2_checksums *declared,
                          const struct ps_r2_checksums *computed, struct ps_http_response *response)
{
    enum ps_r2_hash hash = ps_r2_checksums_differ(declared, computed);
    if (hash == PS_R2_HASHES) {
        return true;
    }
    struct ps_buf given = {0};
    struct ps_buf actual = {0};
    const char *name = ps_r2_hash_name(hash);
    ps_r2_hex(&given, ps_r2_checksums_get(declared, hash));
    ps_r2_hex(&actual, ps_r2_checksums_get(computed, hash));
    ps_s3_fail(response, 400, "BadDigest",
               "The %s checksum you specified did not match what we received.\n"
               "You provided a %s checksum with value: %s\nActual %s was: %s",
               name, name, ps_buf_text(&given), name, ps_buf_text(&actual));
    ps_buf_fini(&given);
    ps_buf_fini(&actual);
    return false;
}

/* The document out of what came, when it is what the head said. */
static bool take_bytes(struct ps_s3_call *call, struct ps_slice bytes, struct ps_buf *ret,
                       struct ps_http_response *response)
{
    struct ps_r2_checksums computed;
    struct ps_r2_checksums declared = call->request.declared;
    struct ps_s3_body *body = ps_s3_body_create(call);
    struct ps_slice data;
    if (call->op == PS_S3_COMPLETE) {
        declared.present = 0; /* those are of the object */
    }
    while (ps_s3_body_feed(body, &bytes, &data) == PS_S3_BODY_DATA) {
        ps_buf_append_slice(ret, data);
    }
    bool good = ps_s3_body_finish(body, &declared, &computed, response) &&
                digests_match(&declared, &computed, response);
    ps_s3_body_destroy(body);
    return good;
}

/* ---- what it says ---- */

static bool is_read(enum ps_status status, struct ps_http_response *response)
{
    if (status == PS_UNSUPPORTED) {
        ps_s3_not_implemented(response, "The configuration has what is not implemented");
    } else if (status != PS_OK) {
        ps_s3_malformed_xml(response);
    }
    return status == PS_OK;
}

static bool take_delete(struct ps_s3_call *call, struct ps_slice document,
                        struct ps_http_response *response)
{
    if (!is_read(ps_s3_delete_read(document, &call->deletion), response)) {
        return false;
    }
    call->request.keys = call->deletion.keys;
    call->request.key_count = call->deletion.count;
    return true;
}

static int by_number(const void *left, const void *right)
{
    const struct ps_r2_named_part *a = left;
    const struct ps_r2_named_part *b = right;
    return (a->number > b->number) - (a->number < b->number);
}

static bool invalid_part(const char *text, struct ps_http_response *response)
{
    ps_s3_fail(response, 400, "InvalidPart", "%s", text);
    return false;
}

/* Parts come in any order, each once. */
static bool take_complete(struct ps_s3_call *call, struct ps_slice document,
                          struct ps_http_response *response)
{
    struct ps_s3_complete *list = &call->completion;
    if (!is_read(ps_s3_complete_read(document, list), response)) {
        return false;
    }
    qsort(list->parts, list->count, sizeof *list->parts, by_number);
    if (list->parts[0].number == 0) {
        return invalid_part("One or more of the specified parts could not be found.", response);
    }
    for (size_t i = 1; i < list->count; i++) {
        if (list->parts[i].number == list->parts[i - 1].number) {
            return invalid_part("There was a problem with the multipart upload.", response);
        }
    }
    call->request.parts = list->parts;
    call->request.part_count = list->count;
    return true;
}

static bool same_word(struct ps_slice text, const char *word)
{
    return text.size == strlen(word) && strncasecmp(text.data, word, text.size) == 0;
}

/* Where a bucket may be asked to lie; "us-east-1" is what tools say that know no other. */
static bool take_create(struct ps_s3_call *call, struct ps_slice document,
                        struct ps_http_response *response)
{
    static const char *const regions[] = {"auto", "us-east-1", "wnam", "enam",
                                          "weur", "eeur",      "apac", "oc"};

    if (!is_read(ps_s3_create_read(document, &call->creation), response)) {
        return false;
    }
    struct ps_slice location = call->creation.location;
    bool known = location.size == 0;
    for (size_t i = 0; !known && i < sizeof regions / sizeof regions[0]; i++) {
        known = same_word(location, regions[i]);
    }
    if (!known) {
        ps_s3_fail(response, 400, "InvalidRegionName",
                   "The region name '%.*s' is not valid. Must be one of: wnam, enam, weur, eeur, "
                   "apac, oc, auto",
                   (int)location.size, location.data);
        return false;
    }
    bool automatic = same_word(location, "auto") || same_word(location, "us-east-1");
    call->location = automatic ? (struct ps_slice){"", 0} : location;
    return true;
}

static bool take_cors(struct ps_s3_call *call, struct ps_slice document,
                      struct ps_http_response *response)
{
    struct ps_s3_cors cors;
    if (!is_read(ps_s3_cors_read(document, &cors), response)) {
        return false;
    }
    ps_s3_cors_write(&cors, &call->kept);
    call->document = ps_buf_slice(&call->kept);
    ps_s3_cors_fini(&cors);
    return true;
}

static bool take_lifecycle(struct ps_s3_call *call, struct ps_slice document,
                           struct ps_http_response *response)
{
    struct ps_s3_lifecycle lifecycle;
    if (!is_read(ps_s3_lifecycle_read(document, &lifecycle), response)) {
        return false;
    }
    ps_s3_lifecycle_write(&lifecycle, &call->kept);
    call->document = ps_buf_slice(&call->kept);
    ps_s3_lifecycle_fini(&lifecycle);
    return true;
}

/* Anything but AES256 is not implemented. */
static enum ps_status encryption_end(void *context, const char *path, struct ps_slice text)
{
    bool *found = context;
    if (strcmp(path, "ServerSideEncryptionConfiguration/Rule/ApplyServerSideEncryptionByDefault/"
                     "SSEAlgorithm") == 0) {
        *found = true;
        return ps_slice_eq(ps_s3_trim(text), PS_LIT("AES256")) ? PS_OK : PS_UNSUPPORTED;
    }
    return PS_OK;
}

static bool take_encryption(struct ps_slice document, struct ps_http_response *response)
{
    bool found = false;
    struct ps_buf text = {0};
    struct ps_s3_xml_reader reader = {NULL, encryption_end, &found};
    enum ps_status status =
        ps_s3_xml_walk(document, "ServerSideEncryptionConfiguration", &reader, &text);
    ps_buf_fini(&text);
    return is_read(status == PS_OK && !found ? PS_INVALID : status, response);
}

bool ps_s3_take_document(struct ps_s3_call *call, struct ps_slice body,
                         struct ps_http_response *response)
{
    struct ps_buf bytes = {0};
    bool good = take_bytes(call, body, &bytes, response);
    struct ps_slice document = ps_buf_slice(&bytes);
    if (good) {
        good = call->op == PS_S3_DELETE_OBJECTS   ? take_delete(call, document, response)
               : call->op == PS_S3_COMPLETE       ? take_complete(call, document, response)
               : call->op == PS_S3_CREATE_BUCKET  ? take_create(call, document, response)
               : call->op == PS_S3_PUT_CORS       ? take_cors(call, document, response)
               : call->op == PS_S3_PUT_LIFECYCLE  ? take_lifecycle(call, document, response)
               : call->op == PS_S3_PUT_ENCRYPTION ? take_encryption(document, response)
                                                  : true;
    }
    if (call->op != PS_S3_COMPLETE) {
        call->request.declared.present = 0; /* they were the document's */
    }
    ps_buf_fini(&bytes);
    return good;
}
