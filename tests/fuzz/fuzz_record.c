/* Any bytes as a record: refused, or a record that encodes to bytes which decode to the same. */
#include "replication/wire/record.h"
#include "tests/support/wire_equal.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ps_record record;
    if (ps_record_decode((struct ps_slice){(const char *)data, size}, &record) != PS_OK) {
        return 0;
    }
    struct ps_buf buf = {.size = 0};
    ps_record_encode(&buf, &record);
    struct ps_record again;
    if (ps_record_decode(ps_buf_slice(&buf), &again) != PS_OK || !record_equal(&record, &again)) {
        abort();
    }
    ps_record_fini(&again);
    ps_record_fini(&record);
    ps_buf_fini(&buf);
    return 0;
}
