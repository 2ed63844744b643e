/* What kind of file a body is, by its first bytes: R2's S3 API infers the Content-Type of a
 * PutObject that gives none (release notes 2022-08-06: "based on file body"; uploads in parts and
 * the binding's put have none then). Pure.
 *
 * How R2 does it is not told. These are the signatures of files that are not text in WHATWG's
 * standard (mimesniff.spec.whatwg.org, 6), and AVIF's and HEIC's. */
#ifndef PS_NODE_R2_SNIFF_H
#define PS_NODE_R2_SNIFF_H

#include "replication/base/slice.h"

enum { PS_R2_SNIFF_SIZE = 64 }; /* first bytes of a body that are looked at */

/** "image/png", ... (static), or an empty slice: not known. */
struct ps_slice ps_r2_sniff(struct ps_slice head);

#endif
