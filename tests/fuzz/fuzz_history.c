/* Any bytes as a history: an error or a history; one that reads is verified, measured, and written
 * as it is. */
#include "sim/measure/measure.h"
#include "sim/measure/verify.h"

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ps_history *history;
    struct ps_error err = {0};
    struct ps_slice bytes = {(const char *)data, size};
    if (ps_history_parse(bytes, "fuzz", &history, &err) != PS_OK) {
        return 0;
    }
    struct ps_verify_result result;
    struct ps_measures *measures = ps_measures_create(history->cluster);
    /* Either may refuse the history; neither may trip over it. */
    bool measured =
        ps_verify(history, &result, &err) == PS_OK && ps_measure(history, measures, &err) == PS_OK;
    (void)measured;
    char sha256[65];
    if (ps_history_write(history, NULL, sha256, &err) != PS_OK) {
        __builtin_trap();
    }
    ps_measures_destroy(measures);
    ps_history_destroy(history);
    return 0;
}
