#include "node/d1/statement.h"

#include <string.h>
#include <strings.h>

/* What has been read of a statement. */
enum state {
    START,
    EXPLAIN,  /* ... or QUERY PLAN behind it */
    CREATE,   /* CREATE, TEMP */
    ORDINARY, /* ends at the next semicolon */
    TRIGGER,  /* within a trigger's text */
    TRIGGER_GAP /* ... behind one of its semicolons: END may follow */,
    TRIGGER_END /* ... which it did */
};

static bool is_word_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '$' || (unsigned char)c >= 0x80;
}

static bool is_word(struct ps_slice word, const char *text)
{
    return word.size == strlen(text) && strncasecmp(word.data, text, word.size) == 0;
}

/* QUERY, PLAN and, as sqlite3_complete has it, nearly any other word. */
static bool is_of_explain(struct ps_slice word)
{
    return !is_word(word, "EXPLAIN") && !is_word(word, "TEMP") && !is_word(word, "TEMPORARY") &&
           !is_word(word, "TRIGGER") && !is_word(word, "END");
}

static enum state after_word(enum state state, struct ps_slice word)
{
    bool create = is_word(word, "CREATE");
    switch (state) {
    case START:
        return create ? CREATE : is_word(word, "EXPLAIN") ? EXPLAIN : ORDINARY;
    case EXPLAIN:
        return create ? CREATE : is_of_explain(word) ? EXPLAIN : ORDINARY;
    case CREATE:
        return is_word(word, "TEMP") || is_word(word, "TEMPORARY") ? CREATE
               : is_word(word, "TRIGGER")                          ? TRIGGER
                                                                   : ORDINARY;
    case TRIGGER_GAP:
        return is_word(word, "END") ? TRIGGER_END : TRIGGER;
    case TRIGGER_END:
        return TRIGGER;
    case ORDINARY:
    case TRIGGER:
        break;
    }
    return state;
}

/* Something that is neither word, blank nor semicolon. */
static enum state after_other(enum state state)
{
    bool inside = state == TRIGGER || state == TRIGGER_GAP || state == TRIGGER_END;
    return inside ? TRIGGER : state == EXPLAIN ? EXPLAIN : ORDINARY;
}

/* The end of what is quoted from `at` on by the byte `close`. */
static size_t skip_quoted(struct ps_slice text, size_t at, char close)
{
    const char *found =
        at + 1 >= text.size ? NULL : memchr(text.data + at + 1, close, text.size - at - 1);
    return found == NULL ? text.size : (size_t)(found - text.data) + 1;
}

static size_t skip_comment(struct ps_slice text, size_t at)
{
    const char *from = text.data + at + 2;
    size_t left = text.size - at - 2;
    const char *found = left == 0              ? NULL
                        : text.data[at] == '-' ? memchr(from, '\n', left)
                                               : memmem(from, left, "*/", 2);
    size_t end = text.data[at] == '-' ? 1 : 2;
    return found == NULL ? text.size : (size_t)(found - text.data) + end;
}

static bool is_comment(struct ps_slice text, size_t at)
{
    return at + 1 < text.size && ((text.data[at] == '-' && text.data[at + 1] == '-') ||
                                  (text.data[at] == '/' && text.data[at + 1] == '*'));
}

static size_t skip_word(struct ps_slice text, size_t at)
{
    while (at < text.size && is_word_byte(text.data[at])) {
        at++;
    }
    return at;
}

size_t ps_d1_statement_size(struct ps_slice text)
{
    enum state state = START;
    size_t at = 0;
    while (at < text.size) {
        char c = text.data[at];
        if (c == ';') {
            at++;
            if (state != TRIGGER && state != TRIGGER_GAP) {
                return at;
            }
            state = TRIGGER_GAP;
        } else if (memchr(" \t\n\r\v\f", c, 6) != NULL) {
            at++;
        } else if (is_comment(text, at)) {
            at = skip_comment(text, at);
        } else if (c == '\'' || c == '"' || c == '`' || c == '[') {
            at = skip_quoted(text, at, c == '[' ? ']' : c);
            state = after_other(state);
        } else if (is_word_byte(c)) {
            size_t end = skip_word(text, at);
            state = after_word(state, (struct ps_slice){text.data + at, end - at});
            at = end;
        } else {
            at++;
            state = after_other(state);
        }
    }
    return text.size;
}

/* ---- what only reads ---- */

static bool is_one_of(struct ps_slice word, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (is_word(word, words[i])) {
            return true;
        }
    }
    return false;
}

static bool begins_a_read(struct ps_slice word)
{
    static const char *const words[] = {"SELECT", "EXPLAIN", "WITH"};
    return is_one_of(word, words, sizeof words / sizeof words[0]);
}

static bool is_of_a_write(struct ps_slice word)
{
    static const char *const words[] = {"ALTER",  "ANALYZE",  "ATTACH",   "BEGIN",   "COMMIT",
                                        "CREATE", "DELETE",   "DETACH",   "DROP",    "INSERT",
                                        "PRAGMA", "REINDEX",  "RELEASE",  "REPLACE", "UPDATE",
                                        "VACUUM", "ROLLBACK", "SAVEPOINT"};
    return is_one_of(word, words, sizeof words / sizeof words[0]);
}

struct ps_slice ps_d1_skip_blanks(struct ps_slice text)
{
    while (text.size > 0 && memchr(" \t\n\r\v\f", text.data[0], 6) != NULL) {
        text.data++;
        text.size--;
    }
    return text;
}

bool ps_d1_text_only_reads(struct ps_slice text)
{
    bool begun = false;
    size_t at = 0;
    while (at < text.size) {
        char c = text.data[at];
        if (is_comment(text, at)) {
            at = skip_comment(text, at);
        } else if (c == '\'' || c == '"' || c == '`' || c == '[') {
            at = skip_quoted(text, at, c == '[' ? ']' : c);
        } else if (is_word_byte(c)) {
            size_t end = skip_word(text, at);
            struct ps_slice word = {text.data + at, end - at};
            if (begun ? is_of_a_write(word) : !begins_a_read(word)) {
                return false;
            }
            begun = true;
            at = end;
        } else {
            at++;
        }
    }
    return begun;
}
