#include "sim/scenario/utf8.h"

#include <stdint.h>

/** Bytes of the character at `text`; 0 if it is none. */
static size_t char_size(const unsigned char *text, size_t size)
{
    unsigned char first = text[0];
    if (first < 0x80) {
        return 1;
    }
    size_t length = first >= 0xc2 && first <= 0xdf   ? 2
                    : (first & 0xf0) == 0xe0         ? 3
                    : first >= 0xf0 && first <= 0xf4 ? 4
                                                     : 0;
    if (length == 0 || length > size) {
        return 0;
    }
    for (size_t i = 1; i < length; i++) {
        if ((text[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    unsigned char second = text[1];
    if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) ||
        (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f)) {
        return 0;
    }
    return length;
}

size_t ps_utf8_bad_at(const char *text, size_t size)
{
    size_t at = 0;
    while (at < size) {
        size_t length = char_size((const unsigned char *)text + at, size - at);
        if (length == 0) {
            return at;
        }
        at += length;
    }
    return size;
}

size_t ps_utf8_count(const char *text, size_t size)
{
    size_t count = 0;
    for (size_t i = 0; i < size; i++) {
        count += ((unsigned char)text[i] & 0xc0) != 0x80;
    }
    return count;
}

void ps_utf8_place(const char *text, size_t at, int *ret_line, int *ret_column)
{
    size_t begin = 0;
    int line = 1;
    for (size_t i = 0; i < at; i++) {
        if (text[i] == '\n') {
            line++;
            begin = i + 1;
        }
    }
    *ret_line = line;
    *ret_column = (int)ps_utf8_count(text + begin, at - begin) + 1;
}
