#include "node/s3/text.h"
#include "node/s3/xml_internal.h"
#include "replication/base/assert.h"
#include "replication/base/memory.h"

#include <string.h>

static bool at(const char *path, const char *wanted)
{
    return strcmp(path, wanted) == 0;
}

static enum ps_status read_count(struct ps_slice text, bool *ret_has, uint64_t *ret)
{
    *ret_has = true;
    return ps_s3_number(ps_s3_trim(text), ret) ? PS_OK : PS_INVALID;
}

/* ---- CORS ---- */

#define CORS_RULE "CORSConfiguration/CORSRule"

struct cors_reader {
    struct ps_s3_cors *cors;
    size_t capacity;
};

static enum ps_status cors_begin(void *context, const char *path)
{
    struct cors_reader *reader = context;
    struct ps_s3_cors *cors = reader->cors;
    if (!at(path, CORS_RULE)) {
        return PS_OK;
    }
    if (cors->count == PS_S3_CORS_RULES_MAX) {
        return PS_LIMIT;
    }
    cors->rules = ps_grow(cors->rules, cors->count, &reader->capacity, sizeof *cors->rules);
    cors->rules[cors->count++] = (struct ps_s3_cors_rule){0};
    return PS_OK;
}

static enum ps_status add(struct ps_s3_texts *texts, struct ps_slice text)
{
    if (texts->count == PS_S3_CORS_ITEMS_MAX) {
        return PS_LIMIT;
    }
    texts->items = ps_grow(texts->items, texts->count, &texts->capacity, sizeof *texts->items);
    texts->items[texts->count++] = ps_s3_trim(text);
    return PS_OK;
}

static bool is_method(struct ps_slice text)
{
    static const char *const methods[] = {"GET", "PUT", "POST", "DELETE", "HEAD"};

    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        if (ps_slice_eq(text, ps_slice_of(methods[i]))) {
            return true;
        }
    }
    return false;
}

static enum ps_status cors_end(void *context, const char *path, struct ps_slice text)
{
    struct cors_reader *reader = context;
    size_t skip = sizeof CORS_RULE "/" - 1;
    bool inside = strncmp(path, CORS_RULE "/", skip) == 0;
    if (!inside && !at(path, CORS_RULE)) {
        return PS_OK;
    }
    PS_ASSERT(reader->cors->count > 0);
    struct ps_s3_cors_rule *rule = &reader->cors->rules[reader->cors->count - 1];
    if (!inside) {
        return rule->origins.count > 0 && rule->methods.count > 0 ? PS_OK : PS_INVALID;
    }
    const char *name = path + skip;
    text = ps_s3_trim(text);
    if (at(name, "MaxAgeSeconds")) {
        return read_count(text, &rule->has_max_age, &rule->max_age_s);
    }
    if (at(name, "ID")) {
        rule->id = text;
        return PS_OK;
    }
    if (at(name, "AllowedMethod") && !is_method(text)) {
        return PS_INVALID;
    }
    return at(name, "AllowedOrigin")   ? add(&rule->origins, text)
           : at(name, "AllowedMethod") ? add(&rule->methods, text)
           : at(name, "AllowedHeader") ? add(&rule->headers, text)
           : at(name, "ExposeHeader")  ? add(&rule->expose, text)
                                       : PS_OK;
}

enum ps_status ps_s3_cors_read(struct ps_slice body, struct ps_s3_cors *ret)
{
    *ret = (struct ps_s3_cors){0};
    struct cors_reader context = {.cors = ret};
    struct ps_s3_xml_reader reader = {cors_begin, cors_end, &context};
    enum ps_status status = ps_s3_xml_walk(body, "CORSConfiguration", &reader, &ret->text);
    if (status == PS_OK && ret->count == 0) {
        status = PS_INVALID;
    }
    if (status != PS_OK) {
        ps_s3_cors_fini(ret);
    }
    return status;
}

static void write_texts(struct ps_buf *into, const char *name, const struct ps_s3_texts *texts)
{
    for (size_t i = 0; i < texts->count; i++) {
        ps_s3_xml_text(into, name, texts->items[i]);
    }
}

void ps_s3_cors_write(const struct ps_s3_cors *cors, struct ps_buf *into)
{
    ps_s3_xml_begin(into);
    ps_s3_xml_root(into, "CORSConfiguration");
    for (size_t i = 0; i < cors->count; i++) {
        const struct ps_s3_cors_rule *rule = &cors->rules[i];
        ps_s3_xml_open(into, "CORSRule");
        if (rule->id.size > 0) {
            ps_s3_xml_text(into, "ID", rule->id);
        }
        write_texts(into, "AllowedOrigin", &rule->origins);
        write_texts(into, "AllowedMethod", &rule->methods);
        write_texts(into, "AllowedHeader", &rule->headers);
        write_texts(into, "ExposeHeader", &rule->expose);
        if (rule->has_max_age) {
            ps_s3_xml_number(into, "MaxAgeSeconds", rule->max_age_s);
        }
        ps_s3_xml_close(into, "CORSRule");
    }
    ps_s3_xml_close(into, "CORSConfiguration");
}

void ps_s3_cors_fini(struct ps_s3_cors *cors)
{
    for (size_t i = 0; i < cors->count; i++) {
        free(cors->rules[i].origins.items);
        free(cors->rules[i].methods.items);
        free(cors->rules[i].headers.items);
        free(cors->rules[i].expose.items);
    }
    free(cors->rules);
    ps_buf_fini(&cors->text);
    *cors = (struct ps_s3_cors){0};
}

/* ---- lifecycle ---- */

#define LIFECYCLE_RULE "LifecycleConfiguration/Rule"

struct lifecycle_reader {
    struct ps_s3_lifecycle *lifecycle;
    size_t capacity;
    bool has_status;
};

static enum ps_status lifecycle_begin(void *context, const char *path)
{
    struct lifecycle_reader *reader = context;
    struct ps_s3_lifecycle *lifecycle = reader->lifecycle;
    if (!at(path, LIFECYCLE_RULE)) {
        return PS_OK;
    }
    if (lifecycle->count == PS_S3_LIFECYCLE_RULES_MAX) {
        return PS_LIMIT;
    }
    lifecycle->rules =
        ps_grow(lifecycle->rules, lifecycle->count, &reader->capacity, sizeof *lifecycle->rules);
    lifecycle->rules[lifecycle->count++] = (struct ps_s3_lifecycle_rule){0};
    reader->has_status = false;
    return PS_OK;
}

static enum ps_status read_transition(struct ps_s3_lifecycle_rule *rule, const char *name,
                                      struct ps_slice text)
{
    rule->has_transition = true;
    if (at(name, "StorageClass")) {
        return ps_slice_eq(text, PS_LIT("STANDARD_IA")) ? PS_OK : PS_INVALID;
    }
    if (at(name, "Days")) {
        return read_count(text, &rule->has_transition_days, &rule->transition_days);
    }
    if (at(name, "Date")) {
        rule->transition_date = text;
    }
    return PS_OK;
}

static enum ps_status read_expiration(struct ps_s3_lifecycle_rule *rule, const char *name,
                                      struct ps_slice text)
{
    if (at(name, "Days")) {
        return read_count(text, &rule->has_expire_days, &rule->expire_days);
    }
    if (at(name, "Date")) {
        rule->expire_date = text;
        return PS_OK;
    }
    return PS_UNSUPPORTED;
}

/* R2 knows prefixes only; what would change which objects a rule is about must not be passed over.
 */
static enum ps_status read_rule(struct lifecycle_reader *reader, struct ps_s3_lifecycle_rule *rule,
                                const char *name, struct ps_slice text)
{
    static const char expiration[] = "Expiration/";
    static const char transition[] = "Transition/";

    if (at(name, "ID")) {
        rule->id = text;
    } else if (at(name, "Status")) {
        reader->has_status = true;
        rule->enabled = ps_slice_eq(text, PS_LIT("Enabled"));
        return rule->enabled || ps_slice_eq(text, PS_LIT("Disabled")) ? PS_OK : PS_INVALID;
    } else if (at(name, "Prefix") || at(name, "Filter/Prefix") || at(name, "Filter/And/Prefix")) {
        rule->prefix = text;
    } else if (strncmp(name, expiration, sizeof expiration - 1) == 0) {
        return read_expiration(rule, name + sizeof expiration - 1, text);
    } else if (strncmp(name, transition, sizeof transition - 1) == 0) {
        return read_transition(rule, name + sizeof transition - 1, text);
    } else if (at(name, "AbortIncompleteMultipartUpload/DaysAfterInitiation")) {
        return read_count(text, &rule->has_abort_days, &rule->abort_days);
    } else if (!at(name, "Filter") && !at(name, "Filter/And") && !at(name, "Expiration") &&
               !at(name, "Transition") && !at(name, "AbortIncompleteMultipartUpload")) {
        return PS_UNSUPPORTED;
    }
    return PS_OK;
}

static bool does_something(const struct ps_s3_lifecycle_rule *rule)
{
    bool when = rule->has_transition_days || rule->transition_date.size > 0;
    return (rule->has_expire_days || rule->expire_date.size > 0 || rule->has_abort_days ||
            rule->has_transition) &&
           rule->has_transition == when;
}

static enum ps_status lifecycle_end(void *context, const char *path, struct ps_slice text)
{
    struct lifecycle_reader *reader = context;
    struct ps_s3_lifecycle *lifecycle = reader->lifecycle;
    size_t skip = sizeof LIFECYCLE_RULE "/" - 1;
    bool inside = strncmp(path, LIFECYCLE_RULE "/", skip) == 0;
    if (!inside && !at(path, LIFECYCLE_RULE)) {
        return PS_OK;
    }
    PS_ASSERT(lifecycle->count > 0);
    struct ps_s3_lifecycle_rule *rule = &lifecycle->rules[lifecycle->count - 1];
    if (!inside) {
        return reader->has_status && does_something(rule) ? PS_OK : PS_INVALID;
    }
    return read_rule(reader, rule, path + skip, ps_s3_trim(text));
}

enum ps_status ps_s3_lifecycle_read(struct ps_slice body, struct ps_s3_lifecycle *ret)
{
    *ret = (struct ps_s3_lifecycle){0};
    struct lifecycle_reader context = {.lifecycle = ret};
    struct ps_s3_xml_reader reader = {lifecycle_begin, lifecycle_end, &context};
    enum ps_status status = ps_s3_xml_walk(body, "LifecycleConfiguration", &reader, &ret->text);
    if (status == PS_OK && ret->count == 0) {
        status = PS_INVALID;
    }
    if (status != PS_OK) {
        ps_s3_lifecycle_fini(ret);
    }
    return status;
}

static void write_when(struct ps_buf *into, bool has_days, uint64_t days, struct ps_slice date)
{
    if (has_days) {
        ps_s3_xml_number(into, "Days", days);
    }
    if (date.size > 0) {
        ps_s3_xml_text(into, "Date", date);
    }
}

static void write_rule(const struct ps_s3_lifecycle_rule *rule, struct ps_buf *into)
{
    ps_s3_xml_open(into, "Rule");
    if (rule->id.size > 0) {
        ps_s3_xml_text(into, "ID", rule->id);
    }
    ps_s3_xml_open(into, "Filter");
    ps_s3_xml_text(into, "Prefix", rule->prefix);
    ps_s3_xml_close(into, "Filter");
    ps_s3_xml_text(into, "Status", rule->enabled ? PS_LIT("Enabled") : PS_LIT("Disabled"));
    if (rule->has_expire_days || rule->expire_date.size > 0) {
        ps_s3_xml_open(into, "Expiration");
        write_when(into, rule->has_expire_days, rule->expire_days, rule->expire_date);
        ps_s3_xml_close(into, "Expiration");
    }
    if (rule->has_transition) {
        ps_s3_xml_open(into, "Transition");
        write_when(into, rule->has_transition_days, rule->transition_days, rule->transition_date);
        ps_s3_xml_text(into, "StorageClass", PS_LIT("STANDARD_IA"));
        ps_s3_xml_close(into, "Transition");
    }
    if (rule->has_abort_days) {
        ps_s3_xml_open(into, "AbortIncompleteMultipartUpload");
        ps_s3_xml_number(into, "DaysAfterInitiation", rule->abort_days);
        ps_s3_xml_close(into, "AbortIncompleteMultipartUpload");
    }
    ps_s3_xml_close(into, "Rule");
}

void ps_s3_lifecycle_write(const struct ps_s3_lifecycle *lifecycle, struct ps_buf *into)
{
    ps_s3_xml_begin(into);
    ps_s3_xml_root(into, "LifecycleConfiguration");
    for (size_t i = 0; i < lifecycle->count; i++) {
        write_rule(&lifecycle->rules[i], into);
    }
    ps_s3_xml_close(into, "LifecycleConfiguration");
}

void ps_s3_lifecycle_fini(struct ps_s3_lifecycle *lifecycle)
{
    free(lifecycle->rules);
    ps_buf_fini(&lifecycle->text);
    *lifecycle = (struct ps_s3_lifecycle){0};
}
