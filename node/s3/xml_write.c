#include "node/s3/text.h"
#include "node/s3/xml.h"

#include <stdio.h>

void ps_s3_xml_begin(struct ps_buf *into)
{
    ps_buf_append_text(into, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>");
}

void ps_s3_xml_root(struct ps_buf *into, const char *name)
{
    ps_buf_append_char(into, '<');
    ps_buf_append_text(into, name);
    ps_buf_append_text(into, " xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
}

void ps_s3_xml_open(struct ps_buf *into, const char *name)
{
    ps_buf_append_char(into, '<');
    ps_buf_append_text(into, name);
    ps_buf_append_char(into, '>');
}

void ps_s3_xml_close(struct ps_buf *into, const char *name)
{
    ps_buf_append_text(into, "</");
    ps_buf_append_text(into, name);
    ps_buf_append_char(into, '>');
}

static void escape(struct ps_buf *into, struct ps_slice text)
{
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        switch (c) {
        case '&':
            ps_buf_append_text(into, "&amp;");
            break;
        case '<':
            ps_buf_append_text(into, "&lt;");
            break;
        case '>':
            ps_buf_append_text(into, "&gt;");
            break;
        case '"':
            ps_buf_append_text(into, "&quot;");
            break;
        case '\'':
            ps_buf_append_text(into, "&apos;");
            break;
        default:
            if ((unsigned char)c < ' ' && c != '\n' && c != '\t') {
                ps_buf_printf(into, "&#x%X;", (unsigned)(unsigned char)c);
            } else {
                ps_buf_append_char(into, c);
            }
        }
    }
}

void ps_s3_xml_text(struct ps_buf *into, const char *name, struct ps_slice text)
{
    ps_s3_xml_open(into, name);
    escape(into, text);
    ps_s3_xml_close(into, name);
}

void ps_s3_xml_number(struct ps_buf *into, const char *name, uint64_t value)
{
    ps_s3_xml_open(into, name);
    ps_buf_append_u64(into, value);
    ps_s3_xml_close(into, name);
}

void ps_s3_xml_bool(struct ps_buf *into, const char *name, bool value)
{
    ps_s3_xml_text(into, name, value ? PS_LIT("true") : PS_LIT("false"));
}

void ps_s3_xml_key(struct ps_buf *into, const char *name, struct ps_slice key, bool url)
{
    if (!url) {
        ps_s3_xml_text(into, name, key);
        return;
    }
    ps_s3_xml_open(into, name);
    ps_s3_uri_encode(into, key);
    ps_s3_xml_close(into, name);
}
