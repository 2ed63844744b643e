/* Any bytes as a text with generators. What is read can be drawn, and written out and read again.
 */
#include "sim/scenario/text.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ps_text text, again;
    size_t at, least, most;
    struct ps_error err = {0};
    if (ps_text_parse((struct ps_slice){(const char *)data, size}, &text, &at, &err) != PS_OK) {
        if (at > size || err.text[0] == '\0') {
            abort();
        }
        return 0;
    }
    struct ps_buf drawn = {0}, written = {0}, twice = {0};
    ps_text_sizes(&text, &least, &most);
    if (most <= 1 << 16) {
        ps_text_draw(&text, 1, 2, 3, "fra", &drawn);
        if (drawn.size < least || drawn.size > most) {
            abort();
        }
    }
    ps_text_format(&written, &text);
    if (written.size <= PS_TEXT_SOURCE_MAX) {
        if (ps_text_parse(ps_buf_slice(&written), &again, &at, &err) != PS_OK) {
            abort();
        }
        ps_text_format(&twice, &again);
        if (!ps_slice_eq(ps_buf_slice(&written), ps_buf_slice(&twice))) {
            abort();
        }
        ps_text_fini(&again);
    }
    ps_buf_fini(&drawn);
    ps_buf_fini(&written);
    ps_buf_fini(&twice);
    ps_text_fini(&text);
    return 0;
}
