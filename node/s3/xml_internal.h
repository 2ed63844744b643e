/* One walk over a small XML document, element by element. */
#ifndef PS_NODE_S3_XML_INTERNAL_H
#define PS_NODE_S3_XML_INTERNAL_H

#include "node/s3/xml.h"

/** What a reader is told. A path names the elements from the root down, without namespaces:
 *  "Delete/Object/Key". */
struct ps_s3_xml_reader {
    /** An element begins. May be NULL. Other than PS_OK ends the walk with that. */
    enum ps_status (*begin)(void *context, const char *path);
    /** An element ends; `text` is what stood directly in it. The same goes for its result. It
     * borrows from `text` of ps_s3_xml_walk, which does not move. */
    enum ps_status (*end)(void *context, const char *path, struct ps_slice text);
    void *context;
};

/** Walk. The root must be called `root`. Errors: PS_INVALID, PS_LIMIT, or the reader's own. `text`
 *  is zeroed, takes the texts, and is the caller's. */
PS_MUST_CHECK enum ps_status ps_s3_xml_walk(struct ps_slice body, const char *root,
                                            const struct ps_s3_xml_reader *reader,
                                            struct ps_buf *text);

#endif
