/* What record.c and message.c share: packing into a ps_buf and reading unpacked objects.
 *
 * A reader walks the elements of one array with a sticky status: after the first wrong element each
 * further call gives zeroes, and one look at `status` at the end tells. */
#ifndef PS_REPLICATION_WIRE_WIRE_INTERNAL_H
#define PS_REPLICATION_WIRE_WIRE_INTERNAL_H

#include "replication/wire/record.h"

#include <msgpack.h>

/** Ready a packer that appends to `buf`. */
void ps_pack_init(msgpack_packer *packer, struct ps_buf *buf);
void ps_pack_array(msgpack_packer *packer, size_t count);
void ps_pack_u64(msgpack_packer *packer, uint64_t value);
void ps_pack_bool(msgpack_packer *packer, bool value);
void ps_pack_bin(msgpack_packer *packer, struct ps_slice bytes);
void ps_pack_entry(msgpack_packer *packer, const struct ps_entry *entry);
void ps_pack_record(msgpack_packer *packer, const struct ps_record *record);

/** A walk over one array's elements. */
struct ps_wire_reader {
    const msgpack_object *next;
    size_t left;
    enum ps_status
        status; /* the first thing that was wrong: PS_CORRUPT, PS_LIMIT, PS_UNSUPPORTED */
};

/** The library's tree of a whole message; its byte strings point into the message's bytes. */
struct ps_tree {
    msgpack_zone zone;
    msgpack_object root;
};

/** Check and unpack. Errors: PS_CORRUPT, PS_LIMIT (more than `size_max` bytes); the tree then needs
 *  no ps_tree_fini. */
PS_MUST_CHECK enum ps_status ps_tree_init(struct ps_tree *tree, struct ps_slice bytes,
                                          size_t size_max);
void ps_tree_fini(struct ps_tree *tree);

/** Start a walk over `object`, which must be an array. */
struct ps_wire_reader ps_wire_reader_of(const msgpack_object *object);
/** Read the format version that opens each array of ours; a later one is PS_UNSUPPORTED. */
void ps_wire_read_version(struct ps_wire_reader *reader);
/** A number within [min, max]. */
uint64_t ps_wire_read_u64(struct ps_wire_reader *reader, uint64_t min, uint64_t max);
bool ps_wire_read_bool(struct ps_wire_reader *reader);
/** Bytes; more than `max` of them are PS_LIMIT, fewer than `min` PS_CORRUPT. */
struct ps_slice ps_wire_read_bin(struct ps_wire_reader *reader, size_t min, size_t max);
void ps_wire_read_token(struct ps_wire_reader *reader, struct ps_token *ret);
/** An array, for a walk of its own; NULL when the status is no longer PS_OK. */
const msgpack_object *ps_wire_read_array(struct ps_wire_reader *reader);
/** Nothing may be left. */
void ps_wire_read_end(struct ps_wire_reader *reader);

/** Read an entry or a record that is `object`. A record's entries are allocated only when the
 * result is PS_OK. */
PS_MUST_CHECK enum ps_status ps_wire_read_entry(const msgpack_object *object, struct ps_entry *ret);
PS_MUST_CHECK enum ps_status ps_wire_read_record(const msgpack_object *object,
                                                 struct ps_record *ret);

#endif
