#include "node/s3/s3_internal.h"
#include "replication/base/assert.h"

#include <stdio.h>

void ps_s3_begin_document(struct ps_http_response *response, const char *root)
{
    response->status = 200;
    ps_http_response_header(response, "Content-Type", PS_LIT("application/xml"));
    ps_s3_xml_begin(&response->body);
    ps_s3_xml_root(&response->body, root);
}

void ps_s3_element_etag(struct ps_buf *into, const char *etag)
{
    char quoted[PS_R2_ETAG_SIZE + 2];
    int size = snprintf(quoted, sizeof quoted, "\"%s\"", etag);
    PS_ASSERT(size > 0 && (size_t)size < sizeof quoted);
    ps_s3_xml_text(into, "ETag", (struct ps_slice){quoted, (size_t)size});
}

void ps_s3_element_date(struct ps_buf *into, const char *name, int64_t unix_ms)
{
    struct ps_buf date = {0};
    ps_r2_date_iso(&date, unix_ms);
    ps_s3_xml_text(into, name, ps_buf_slice(&date));
    ps_buf_fini(&date);
}
