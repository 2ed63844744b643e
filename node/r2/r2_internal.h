/* What object.c and request.c share: packing of the parts that both objects and requests have, and
 * walks over an unpacked record. It stands on the wire's own readers (replication/wire). */
#ifndef PS_NODE_R2_R2_INTERNAL_H
#define PS_NODE_R2_R2_INTERNAL_H

#include "node/r2/object.h"
#include "replication/wire/wire_internal.h"

enum { PS_R2_FORMAT = 1 }; /* of all that is packed here */

void ps_r2_pack_i64(msgpack_packer *packer, int64_t value);
void ps_r2_pack_id(msgpack_packer *packer, const struct ps_r2_id *id);
void ps_r2_pack_checksums(msgpack_packer *packer, const struct ps_r2_checksums *sums);
void ps_r2_pack_ssec(msgpack_packer *packer, const struct ps_r2_ssec *ssec);
void ps_r2_pack_metadata(msgpack_packer *packer, const struct ps_r2_metadata *meta);
void ps_r2_pack_blob(msgpack_packer *packer, const struct ps_r2_blob *blob);

/* Readers have the sticky status of replication/wire's. */

int64_t ps_r2_read_i64(struct ps_wire_reader *reader);
void ps_r2_read_format(struct ps_wire_reader *reader);
void ps_r2_read_id(struct ps_wire_reader *reader, struct ps_r2_id *ret);
void ps_r2_read_checksums(struct ps_wire_reader *reader, struct ps_r2_checksums *ret);
void ps_r2_read_ssec(struct ps_wire_reader *reader, struct ps_r2_ssec *ret);
/** Owns what it allocates also when the status is no longer PS_OK: ps_r2_metadata_fini. */
void ps_r2_read_metadata(struct ps_wire_reader *reader, struct ps_r2_metadata *ret);
void ps_r2_metadata_fini(struct ps_r2_metadata *meta);
void ps_r2_read_blob(struct ps_wire_reader *reader, struct ps_r2_blob *ret);
/** An ETag as text: not empty, fits, printable ASCII without quotes. */
void ps_r2_read_etag(struct ps_wire_reader *reader, char ret[PS_R2_ETAG_SIZE]);

#endif
