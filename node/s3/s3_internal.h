/* What the parts of the S3 API share. */
#ifndef PS_NODE_S3_S3_INTERNAL_H
#define PS_NODE_S3_S3_INTERNAL_H

#include "node/s3/error.h"
#include "node/s3/s3.h"

enum { PS_S3_CHUNK_ROOM = 64 << 10 }; /* bytes that an aws-chunked body may have behind its data */

/** The value of a header, trimmed; false: it is not there. `name` in lower case. */
bool ps_s3_header(const struct ps_http_request *head, const char *name, struct ps_slice *ret);

/** Refuse with R2's error; false. */
bool ps_s3_refuse(enum ps_r2_code code, struct ps_http_response *response);

/** Find the operation of a signed request: fills call->op and what its parameters say. */
bool ps_s3_route(struct ps_s3_call *call, struct ps_http_response *response);
/** The operation's parameters of the query (lists, parts). */
bool ps_s3_read_list(struct ps_s3_call *call, struct ps_http_response *response);
/** The operation's headers: which are not implemented, and what the others say. */
bool ps_s3_screen_headers(struct ps_s3_call *call, struct ps_http_response *response);
bool ps_s3_read_headers(struct ps_s3_call *call, struct ps_http_response *response);
/** Custom metadata from x-amz-meta-*; and as headers. */
bool ps_s3_read_metadata(struct ps_s3_call *call, struct ps_http_response *response);
void ps_s3_write_metadata(const struct ps_r2_metadata *meta, struct ps_http_response *response);
/** Append a text with its RFC 2047 encoded words decoded. */
void ps_s3_words_decode(struct ps_buf *into, struct ps_slice text);
/** Append a text as a header's value: as it is when it is ASCII, else as encoded words. */
void ps_s3_words_encode(struct ps_buf *into, struct ps_slice text);

/** Begin an answer that is a document: 200, its head, and the root, open. */
void ps_s3_begin_document(struct ps_http_response *response, const char *root);
/** Append an ETag element, quoted; a date as S3 writes it in documents. */
void ps_s3_element_etag(struct ps_buf *into, const char *etag);
void ps_s3_element_date(struct ps_buf *into, const char *name, int64_t unix_ms);

/** "x-amz-checksum-crc32", "ChecksumCRC32" and the like; NULL for a hash that S3 does not have. */
const char *ps_s3_checksum_header(enum ps_r2_hash hash);
const char *ps_s3_checksum_element(enum ps_r2_hash hash);
/** CRC32, CRC32C, CRC64NVME, SHA1, SHA256; false: none of them. */
bool ps_s3_checksum_of(struct ps_slice algorithm, enum ps_r2_hash *ret);

/** Is a customer's key needed for the object, and is it the one that was given? */
bool ps_s3_check_ssec(const struct ps_r2_ssec *given, const struct ps_r2_ssec *object,
                      struct ps_http_response *response);

#endif
