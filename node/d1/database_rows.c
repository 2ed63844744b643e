/* Rows and answers as the JSON of D1's protocol. */
#include "node/d1/database_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DIGITS_MAX = 17, NUMBER_SIZE = 40 };

/* --- values --- */

/* The shortest digits that read back as `number` (> 0), and the power of ten of the first. */
static int shortest(double number, char digits[DIGITS_MAX + 1])
{
    char text[NUMBER_SIZE];
    for (int precision = 0; precision < DIGITS_MAX; precision++) {
        (void)snprintf(text, sizeof text, "%.*e", precision, number);
        if (precision == DIGITS_MAX - 1 || strtod(text, NULL) == number) {
            break;
        }
    }
    char *exponent = strchr(text, 'e');
    size_t count = 0;
    for (char *at = text; at < exponent; at++) {
        if (*at >= '0' && *at <= '9') {
            digits[count++] = *at;
        }
    }
    while (count > 1 && digits[count - 1] == '0') {
        count--;
    }
    digits[count] = 0;
    return (int)strtol(exponent + 1, NULL, 10);
}

/* ECMAScript's Number::toString. */
static void put_digits(struct ps_buf *buf, const char *digits, int power)
{
    int count = (int)strlen(digits);
    int point = power + 1;
    if (point > 0 && point <= 21) {
        int whole = count < point ? count : point;
        ps_buf_append(buf, digits, (size_t)whole);
        for (int i = whole; i < point; i++) {
            ps_buf_append_char(buf, '0');
        }
        if (count > point) {
            ps_buf_append_char(buf, '.');
            ps_buf_append_text(buf, digits + point);
        }
    } else if (point > -6 && point <= 0) {
        ps_buf_append_text(buf, "0.");
        for (int i = point; i < 0; i++) {
            ps_buf_append_char(buf, '0');
        }
        ps_buf_append_text(buf, digits);
    } else {
        ps_buf_append_char(buf, digits[0]);
        if (count > 1) {
            ps_buf_append_char(buf, '.');
            ps_buf_append_text(buf, digits + 1);
        }
        ps_buf_printf(buf, "e%c%d", power < 0 ? '-' : '+', power < 0 ? -power : power);
    }
}

void ps_d1_put_number(struct ps_buf *buf, double number)
{
    const double exact_max = 9007199254740992.0; /* 2^53 */
    if (!(number - number == 0)) {
        ps_buf_append_text(buf, "null");
    } else if (number >= -exact_max && number <= exact_max && number == (double)(int64_t)number) {
        ps_buf_printf(buf, "%lld", (long long)number);
    } else {
        char digits[DIGITS_MAX + 1];
        if (number < 0) {
            ps_buf_append_char(buf, '-');
        }
        int power = shortest(number < 0 ? -number : number, digits);
        put_digits(buf, digits, power);
    }
}

static void put_blob(struct ps_buf *buf, const unsigned char *bytes, int size)
{
    ps_buf_append_char(buf, '[');
    for (int i = 0; i < size; i++) {
        if (i > 0) {
            ps_buf_append_char(buf, ',');
        }
        ps_buf_append_u64(buf, bytes[i]);
    }
    ps_buf_append_char(buf, ']');
}

static void put_value(struct ps_buf *buf, struct sqlite3_stmt *statement, int column)
{
    switch (sqlite3_column_type(statement, column)) {
    case SQLITE_INTEGER:
        /* JavaScript has no other numbers: beyond 2^53 the last digits are lost, as in D1. */
        ps_d1_put_number(buf, (double)sqlite3_column_int64(statement, column));
        break;
    case SQLITE_FLOAT:
        ps_d1_put_number(buf, sqlite3_column_double(statement, column));
        break;
    case SQLITE_TEXT: {
        const void *text = sqlite3_column_text(statement, column);
        size_t size = (size_t)sqlite3_column_bytes(statement, column);
        ps_buf_append_json(buf, (struct ps_slice){text, size});
        break;
    }
    case SQLITE_BLOB: {
        const void *bytes = sqlite3_column_blob(statement, column);
        put_blob(buf, bytes, sqlite3_column_bytes(statement, column));
        break;
    }
    default:
        ps_buf_append_text(buf, "null");
    }
}

/* --- rows --- */

static void put_name(struct ps_buf *buf, struct sqlite3_stmt *statement, int column)
{
    ps_buf_append_json(buf, ps_slice_of(sqlite3_column_name(statement, column)));
}

/* Of columns with one name an object keeps the last. */
static bool is_hidden(struct sqlite3_stmt *statement, int column, int count)
{
    const char *name = sqlite3_column_name(statement, column);
    for (int i = column + 1; i < count; i++) {
        if (strcmp(name, sqlite3_column_name(statement, i)) == 0) {
            return true;
        }
    }
    return false;
}

void ps_d1_rows_begin(struct ps_d1_rows *rows, struct sqlite3_stmt *statement)
{
    if (rows->format == PS_D1_ARRAY_OF_OBJECTS) {
        ps_buf_append_char(rows->out, '[');
        return;
    }
    ps_buf_append_text(rows->out, "{\"columns\":[");
    for (int i = 0; i < sqlite3_column_count(statement); i++) {
        ps_buf_append_text(rows->out, i == 0 ? "" : ",");
        put_name(rows->out, statement, i);
    }
    ps_buf_append_text(rows->out, "],\"rows\":[");
}

void ps_d1_rows_add(struct ps_d1_rows *rows, struct sqlite3_stmt *statement)
{
    struct ps_buf *out = rows->out;
    bool objects = rows->format == PS_D1_ARRAY_OF_OBJECTS;
    int count = sqlite3_column_count(statement);
    ps_buf_append_text(out, rows->any ? "," : "");
    rows->any = true;
    ps_buf_append_char(out, objects ? '{' : '[');
    bool first = true;
    for (int i = 0; i < count; i++) {
        if (objects && is_hidden(statement, i, count)) {
            continue;
        }
        ps_buf_append_text(out, first ? "" : ",");
        first = false;
        if (objects) {
            put_name(out, statement, i);
            ps_buf_append_char(out, ':');
        }
        put_value(out, statement, i);
    }
    ps_buf_append_char(out, objects ? '}' : ']');
}

void ps_d1_rows_end(struct ps_d1_rows *rows)
{
    ps_buf_append_text(rows->out, rows->format == PS_D1_ARRAY_OF_OBJECTS ? "]" : "]}");
}

/* --- answers --- */

/* Milliseconds with four digits behind the point, as D1 gives them. */
static void put_ms(struct ps_buf *buf, uint64_t duration_ns)
{
    const uint64_t ms = PS_MS;
    ps_buf_append_u64(buf, duration_ns / ms);
    uint64_t rest = duration_ns % ms / 100;
    if (rest != 0) {
        ps_buf_printf(buf, ".%04u", (unsigned)rest);
    }
}

static void put_bool(struct ps_buf *buf, bool value)
{
    ps_buf_append_text(buf, value ? "true" : "false");
}

void ps_d1_meta_write(struct ps_buf *buf, const struct ps_d1_meta *meta,
                      const struct ps_d1_served *served)
{
    ps_buf_append_text(buf, "{\"served_by\":");
    ps_buf_append_json(buf, ps_slice_of(served->by));
    if (served->region != NULL) {
        ps_buf_append_text(buf, ",\"served_by_region\":");
        ps_buf_append_json(buf, ps_slice_of(served->region));
        ps_buf_append_text(buf, ",\"served_by_colo\":");
        ps_buf_append_json(buf, ps_slice_of(served->colo));
        ps_buf_append_text(buf, ",\"served_by_primary\":");
        put_bool(buf, served->primary);
        ps_buf_append_text(buf, ",\"timings\":{\"sql_duration_ms\":");
        put_ms(buf, meta->duration_ns);
        ps_buf_append_text(buf, "}");
    }
    ps_buf_append_text(buf, ",\"duration\":");
    put_ms(buf, meta->duration_ns);
    ps_buf_append_text(buf, ",\"changes\":");
    ps_buf_append_u64(buf, meta->changes);
    ps_buf_append_text(buf, ",\"last_row_id\":");
    ps_d1_put_number(buf, (double)meta->last_row_id);
    ps_buf_append_text(buf, ",\"changed_db\":");
    put_bool(buf, meta->changed_db);
    ps_buf_append_text(buf, ",\"size_after\":");
    ps_buf_append_u64(buf, meta->size_after);
    ps_buf_append_text(buf, ",\"rows_read\":");
    ps_buf_append_u64(buf, meta->rows_read);
    ps_buf_append_text(buf, ",\"rows_written\":");
    ps_buf_append_u64(buf, meta->rows_written);
    if (served->region != NULL) {
        ps_buf_append_text(buf, ",\"total_attempts\":");
        ps_buf_append_u64(buf, served->attempts);
    }
    ps_buf_append_char(buf, '}');
}

void ps_d1_answer_write(struct ps_buf *buf, const struct ps_d1_answer *answer, bool array,
                        const struct ps_d1_served *served)
{
    if (answer->outcome != PS_D1_DONE) {
        ps_buf_append_text(buf, "{\"success\":false,\"error\":");
        ps_buf_append_json(buf, ps_buf_slice(&answer->error));
        ps_buf_append_char(buf, '}');
        return;
    }
    bool one = !array && answer->result_count == 1;
    ps_buf_append_text(buf, one ? "" : "[");
    for (size_t i = 0; i < answer->result_count; i++) {
        const struct ps_d1_result *result = &answer->results[i];
        ps_buf_append_text(buf, i == 0 ? "" : ",");
        ps_buf_append_text(buf, "{\"success\":true,\"results\":");
        ps_buf_append_slice(buf, ps_buf_slice(&result->rows));
        ps_buf_append_text(buf, ",\"meta\":");
        ps_d1_meta_write(buf, &result->meta, served);
        ps_buf_append_char(buf, '}');
    }
    ps_buf_append_text(buf, one ? "" : "]");
}
