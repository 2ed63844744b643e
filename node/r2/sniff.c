#include "node/r2/sniff.h"

#include <string.h>

/* Bytes at an offset, and perhaps others at another one. */
struct signature {
    struct ps_slice first;
    size_t second_at;
    struct ps_slice second; /* empty: none */
    const char *type;
};

#define BYTES(text)                                                                                \
    {                                                                                              \
        (text), sizeof(text) - 1                                                                   \
    }
#define NONE                                                                                       \
    {                                                                                              \
        "", 0                                                                                      \
    }

static const struct signature signatures[] = {
    {BYTES("\x89PNG\r\n\x1a\n"), 0, NONE, "image/png"},
    {BYTES("\xff\xd8\xff"), 0, NONE, "image/jpeg"},
    {BYTES("GIF87a"), 0, NONE, "image/gif"},
    {BYTES("GIF89a"), 0, NONE, "image/gif"},
    {BYTES("RIFF"), 8, BYTES("WEBPVP"), "image/webp"},
    {BYTES("RIFF"), 8, BYTES("WAVE"), "audio/wave"},
    {BYTES("RIFF"), 8, BYTES("AVI "), "video/avi"},
    {BYTES("FORM"), 8, BYTES("AIFF"), "audio/aiff"},
    {BYTES("\0\0\1\0"), 0, NONE, "image/x-icon"},
    {BYTES("\0\0\2\0"), 0, NONE, "image/x-icon"},
    {BYTES("BM"), 0, NONE, "image/bmp"},
    {BYTES("ID3"), 0, NONE, "audio/mpeg"},
    {BYTES("OggS\0"), 0, NONE, "application/ogg"},
    {BYTES("MThd\0\0\0\6"), 0, NONE, "audio/midi"},
    {BYTES("%PDF-"), 0, NONE, "application/pdf"},
    {BYTES("%!PS-Adobe-"), 0, NONE, "application/postscript"},
    {BYTES("PK\3\4"), 0, NONE, "application/zip"},
    {BYTES("\x1f\x8b\x08"), 0, NONE, "application/x-gzip"},
    {BYTES("Rar!\x1a\x07\0"), 0, NONE, "application/x-rar-compressed"},
    {BYTES("\0\1\0\0"), 0, NONE, "font/ttf"},
    {BYTES("OTTO"), 0, NONE, "font/otf"},
    {BYTES("ttcf"), 0, NONE, "font/collection"},
    {BYTES("wOFF"), 0, NONE, "font/woff"},
    {BYTES("wOF2"), 0, NONE, "font/woff2"},
};

static bool stands_at(struct ps_slice head, size_t at, struct ps_slice bytes)
{
    return head.size >= at + bytes.size && memcmp(head.data + at, bytes.data, bytes.size) == 0;
}

/* The brands of an ISO base media file: its own, and behind a version those that it is compatible
 * with. */
static const char *of_brands(struct ps_slice head)
{
    enum { OWN = 8, VERSION = 12, SIZE = 4 };

    if (!stands_at(head, 4, PS_LIT("ftyp"))) {
        return NULL;
    }
    size_t end = (size_t)(uint8_t)head.data[2] << 8 | (uint8_t)head.data[3];
    end = head.data[0] != 0 || head.data[1] != 0 || end > head.size ? head.size : end;
    for (size_t at = OWN; at + SIZE <= end; at += SIZE) {
        if (at == VERSION) {
            continue;
        }
        if (stands_at(head, at, PS_LIT("avif"))) {
            return "image/avif";
        }
        if (stands_at(head, at, PS_LIT("heic"))) {
            return "image/heic";
        }
        if (stands_at(head, at, PS_LIT("mp4"))) {
            return "video/mp4";
        }
    }
    return NULL;
}

/* Matroska's WebM says so soon. */
static const char *of_ebml(struct ps_slice head)
{
    bool webm = stands_at(head, 0, PS_LIT("\x1a\x45\xdf\xa3")) &&
                memmem(head.data, head.size, "\x42\x82\x84webm", 7) != NULL;
    return webm ? "video/webm" : NULL;
}

struct ps_slice ps_r2_sniff(struct ps_slice head)
{
    for (size_t i = 0; i < sizeof signatures / sizeof signatures[0]; i++) {
        const struct signature *it = &signatures[i];
        if (stands_at(head, 0, it->first) &&
            (it->second.size == 0 || stands_at(head, it->second_at, it->second))) {
            return ps_slice_of(it->type);
        }
    }
    const char *type = of_brands(head);
    type = type == NULL ? of_ebml(head) : type;
    return type == NULL ? (struct ps_slice){"", 0} : ps_slice_of(type);
}
