#include "node/s3/xml_internal.h"
#include "replication/base/assert.h"
#include "replication/base/memory.h"

#include <expat.h>
#include <string.h>

enum {
    PATH_SIZE = 512,
    PIECE_MAX = 1 << 20 /* expat counts in int, and copies what it holds */
};

struct walk {
    XML_Parser parser;
    const char *root;
    const struct ps_s3_xml_reader *reader;
    struct ps_buf *text;
    enum ps_status status;
    char path[PATH_SIZE];
    size_t path_size;
    size_t depth;
    size_t path_sizes[PS_S3_XML_DEPTH_MAX]; /* of the path around each open element */
    size_t text_from[PS_S3_XML_DEPTH_MAX];  /* where each one's own text starts */
};

static void stop(struct walk *walk, enum ps_status status)
{
    if (walk->status == PS_OK) {
        walk->status = status;
        XML_StopParser(walk->parser, XML_FALSE);
    }
}

static void on_start(void *context, const XML_Char *name, const XML_Char **attributes)
{
    (void)attributes;
    struct walk *walk = context;
    const char *colon = strrchr(name, ':');
    const char *local = colon == NULL ? name : colon + 1;
    size_t size = strlen(local);
    if (walk->status != PS_OK) {
        return;
    }
    bool fits = walk->depth < PS_S3_XML_DEPTH_MAX && walk->path_size + size + 2 <= PATH_SIZE;
    if (!fits) {
        stop(walk, PS_LIMIT);
        return;
    }
    if (walk->depth == 0 && strcmp(local, walk->root) != 0) {
        stop(walk, PS_INVALID);
        return;
    }
    walk->path_sizes[walk->depth] = walk->path_size;
    walk->text_from[walk->depth] = walk->text->size;
    if (walk->depth > 0) {
        walk->path[walk->path_size++] = '/';
    }
    memcpy(walk->path + walk->path_size, local, size + 1);
    walk->path_size += size;
    walk->depth++;
    enum ps_status status = walk->reader->begin == NULL
                                ? PS_OK
                                : walk->reader->begin(walk->reader->context, walk->path);
    if (status != PS_OK) {
        stop(walk, status);
    }
}

static void on_end(void *context, const XML_Char *name)
{
    (void)name;
    struct walk *walk = context;
    if (walk->status != PS_OK) {
        return;
    }
    PS_ASSERT(walk->depth > 0);
    walk->depth--;
    size_t from = walk->text_from[walk->depth];
    struct ps_slice text = {walk->text->data + from, walk->text->size - from};
    enum ps_status status = walk->reader->end(walk->reader->context, walk->path, text);
    walk->path_size = walk->path_sizes[walk->depth];
    walk->path[walk->path_size] = '\0';
    if (status != PS_OK) {
        stop(walk, status);
    }
}

/* Text of an element that has elements counts for none of them: those that follow start behind it.
 */
static void on_text(void *context, const XML_Char *bytes, int size)
{
    struct walk *walk = context;
    PS_ASSERT(size >= 0);
    if (walk->status == PS_OK) {
        if (walk->text->size + (size_t)size > walk->text->capacity) {
            stop(walk, PS_LIMIT);
            return;
        }
        ps_buf_append(walk->text, bytes, (size_t)size);
    }
}

/* Without a document type there are no entities but the five, and nothing grows. */
static void on_doctype(void *context, const XML_Char *name, const XML_Char *system_id,
                       const XML_Char *public_id, int has_subset)
{
    (void)name;
    (void)system_id;
    (void)public_id;
    (void)has_subset;
    stop(context, PS_INVALID);
}

static void *take(size_t size)
{
    return ps_realloc(NULL, size, 1);
}

static void *take_again(void *memory, size_t size)
{
    return ps_realloc(memory, size, 1);
}

enum ps_status ps_s3_xml_walk(struct ps_slice body, const char *root,
                              const struct ps_s3_xml_reader *reader, struct ps_buf *text)
{
    static const XML_Memory_Handling_Suite memory = {take, take_again, free};

    struct walk walk = {.root = root, .reader = reader, .text = text};
    walk.parser = XML_ParserCreate_MM("UTF-8", &memory, NULL);
    PS_ASSERT(walk.parser != NULL && text->size == 0);
    /* Texts are never longer than what they are written as. */
    ps_buf_reserve(text, body.size + 1);
    XML_SetUserData(walk.parser, &walk);
    XML_SetElementHandler(walk.parser, on_start, on_end);
    XML_SetCharacterDataHandler(walk.parser, on_text);
    XML_SetStartDoctypeDeclHandler(walk.parser, on_doctype);
    enum XML_Status parsed = XML_STATUS_OK;
    do {
        size_t size = body.size < PIECE_MAX ? body.size : PIECE_MAX;
        bool last = size == body.size;
        parsed = XML_Parse(walk.parser, body.data, (int)size, last);
        body = (struct ps_slice){last ? NULL : body.data + size, body.size - size};
    } while (parsed == XML_STATUS_OK && body.size > 0);
    XML_ParserFree(walk.parser);
    return walk.status != PS_OK ? walk.status : parsed != XML_STATUS_OK ? PS_INVALID : PS_OK;
}
