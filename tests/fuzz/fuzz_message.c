/* Any bytes as a message: refused, or a message that encodes to bytes which decode to the same. */
#include "replication/wire/message.h"
#include "tests/support/wire_equal.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ps_message message;
    if (ps_message_decode((struct ps_slice){(const char *)data, size}, &message) != PS_OK) {
        return 0;
    }
    struct ps_buf buf = {.size = 0};
    ps_message_encode(&buf, &message);
    struct ps_message again;
    if (ps_message_decode(ps_buf_slice(&buf), &again) != PS_OK ||
        !message_equal(&message, &again)) {
        abort();
    }
    ps_message_fini(&again);
    ps_message_fini(&message);
    ps_buf_fini(&buf);
    return 0;
}
