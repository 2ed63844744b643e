#include "replication/wire/record.h"

#include "replication/base/memory.h"
#include "replication/wire/wire_internal.h"

void ps_record_encode(struct ps_buf *buf, const struct ps_record *record)
{
    msgpack_packer packer;
    ps_pack_init(&packer, buf);
    ps_pack_record(&packer, record);
}

enum ps_status ps_record_decode(struct ps_slice bytes, struct ps_record *ret)
{
    *ret = (struct ps_record){.lsn = 0};
    struct ps_tree tree;
    enum ps_status status = ps_tree_init(&tree, bytes, PS_RECORD_SIZE_MAX);
    if (status != PS_OK) {
        return status;
    }
    status = ps_wire_read_record(&tree.root, ret);
    ps_tree_fini(&tree);
    return status;
}

void ps_record_fini(struct ps_record *record)
{
    free(record->entries);
    *record = (struct ps_record){.lsn = 0};
}
