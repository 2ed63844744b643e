/* The type of a body by its first bytes. */
#include "node/r2/sniff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define BYTES(text)                                                                                \
    {                                                                                              \
        (text), sizeof(text) - 1                                                                   \
    }

static const struct {
    struct ps_slice head;
    const char *type; /* "": not known */
} cases[] = {
    {BYTES("\x89PNG\r\n\x1a\n\0\0\0\rIHDR"), "image/png"},
    {BYTES("\x89PNG\r\n\x1a"), ""},
    {BYTES("\xff\xd8\xff\xe0\0\x10JFIF"), "image/jpeg"},
    {BYTES("RIFF\1\2\3\4WEBPVP8 "), "image/webp"},
    {BYTES("RIFF\1\2\3\4WAVEfmt "), "audio/wave"},
    {BYTES("RIFF\1\2\3\4WEB"), ""},
    {BYTES("RIFF"), ""},
    {BYTES("GIF89a\1\0"), "image/gif"},
    {BYTES("GIF88a\1\0"), ""},
    {BYTES("%PDF-1.7\n"), "application/pdf"},
    {BYTES("\x1f\x8b\x08\0"), "application/x-gzip"},
    {BYTES("PK\3\4\x14\0"), "application/zip"},
    {BYTES("wOF2\0\1\0\0"), "font/woff2"},
    {BYTES("\0\0\0\x18"
           "ftypisom\0\0\2\0isommp41"),
     "video/mp4"},
    {BYTES("\0\0\0\x14"
           "ftypisom\0\0\2\0isommp41"),
     ""}, /* the box ends before */
    {BYTES("\0\0\0\x18"
           "ftypmp42\0\0\0\0mp42isom"),
     "video/mp4"},
    {BYTES("\0\0\0\x1c"
           "ftypavif\0\0\0\0avifmif1miaf"),
     "image/avif"},
    {BYTES("\0\0\0\x14"
           "ftypisommp41isom"),
     ""}, /* a version is no brand */
    {BYTES("\xff\0\0\x14"
           "ftypmp42"),
     "video/mp4"},
    {BYTES("\0\0\0\x14"
           "fty"),
     ""},
    {BYTES("\x1a\x45\xdf\xa3\x9f\x42\x86\x81\1\x42\x82\x84webm"), "video/webm"},
    {BYTES("\x1a\x45\xdf\xa3\x9f\x42\x82\x88matroska"), ""},
    {BYTES("<svg xmlns="), ""},
    {BYTES("<!DOCTYPE html>"), ""},
    {BYTES("hello"), ""},
    {BYTES(""), ""},
};

static void test_types(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ps_slice got = ps_r2_sniff(cases[i].head);
        if (!ps_slice_eq(got, ps_slice_of(cases[i].type))) {
            fail_msg("case %zu: %.*s, not %s", i, (int)got.size, got.data, cases[i].type);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_types)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
