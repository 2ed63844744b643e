/* XML in and out: what clients send is read, what is not such a document is refused, entity
 * declarations above all. */
#include "node/s3/lifecycle.h"
#include "node/s3/xml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NS " xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\""
#define DECLARATION "<?xml version=\"1.0\" encoding=\"UTF-8\"?>"

static void writes(void **state)
{
    (void)state;
    struct ps_buf out = {0};
    ps_s3_xml_begin(&out);
    ps_s3_xml_root(&out, "R");
    ps_s3_xml_text(&out, "T", PS_LIT("<&>\"'\xc3\xa9\n\x01\r"));
    ps_s3_xml_number(&out, "N", UINT64_MAX);
    ps_s3_xml_bool(&out, "B", true);
    ps_s3_xml_key(&out, "K", PS_LIT("a/b c~\xc3\xa9"), true);
    ps_s3_xml_key(&out, "K", PS_LIT("a/b c"), false);
    ps_s3_xml_close(&out, "R");
    assert_string_equal(ps_buf_text(&out),
                        DECLARATION "<R" NS "><T>&lt;&amp;&gt;&quot;&apos;\xc3\xa9\n&#x1;&#xD;</T>"
                                    "<N>18446744073709551615</N><B>true</B>"
                                    "<K>a%2Fb%20c~%C3%A9</K><K>a/b c</K></R>");
    ps_buf_fini(&out);
}

static void reads_delete(void **state)
{
    (void)state;
    struct ps_s3_delete list;
    assert_int_equal(ps_s3_delete_read(
                         PS_LIT(DECLARATION "<Delete" NS ">\n <Object><Key>a&amp;b&lt;c&#62;</Key>"
                                            "<VersionId>v</VersionId></Object><Object><Key>\xc3\xa9"
                                            "<![CDATA[<x>]]> </Key></Object><Quiet> true "
                                            "</Quiet><Other><Key>no</Key></Other></Delete>"),
                         &list),
                     PS_OK);
    assert_int_equal(list.count, 2);
    assert_true(list.quiet);
    assert_true(ps_slice_eq(list.keys[0], PS_LIT("a&b<c>")));
    assert_true(ps_slice_eq(list.keys[1], PS_LIT("\xc3\xa9<x> ")));
    ps_s3_delete_fini(&list);
    /* A prefix is as good as a default namespace, and none at all is, too. */
    assert_int_equal(ps_s3_delete_read(PS_LIT("<s:Delete xmlns:s=\"u\"><s:Object><s:Key></s:Key>"
                                              "</s:Object></s:Delete>"),
                                       &list),
                     PS_OK);
    assert_int_equal(list.count, 1);
    assert_int_equal(list.keys[0].size, 0);
    ps_s3_delete_fini(&list);
}

/* Entities that grow, and one that is a file. */
static const char grows[] = "<!DOCTYPE d [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]>"
                            "<Delete><Object><Key>&b;</Key></Object></Delete>";
static const char reads[] = "<!DOCTYPE d [<!ENTITY a SYSTEM \"file:///etc/passwd\">]>"
                            "<Delete><Object><Key>&a;</Key></Object></Delete>";

static void refuses_delete(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "",
        "   ",
        "<Delete>",
        "<Delete/>",
        "<Delete></Delete>x",
        "<Delete><Object/></Delete>",
        "<Delete><Object><Key>a</Key><Key>b</Key></Object></Delete>",
        "<Delete><Key>a</Key></Delete>",
        "<Other><Object><Key>a</Key></Object></Other>",
        "<Delete><Object><Key>a</Key></Object><Quiet>yes</Quiet></Delete>",
        "<Delete><Object><Key>\xff</Key></Object></Delete>",
        "<Delete><Object><Key>&unknown;</Key></Object></Delete>",
        "<!DOCTYPE Delete><Delete><Object><Key>a</Key></Object></Delete>",
        grows,
        reads,
        "<?xml version=\"1.0\" encoding=\"UTF-16\"?>\xff<Delete/>"};

    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        struct ps_s3_delete list;
        if (ps_s3_delete_read(ps_slice_of(bodies[i]), &list) != PS_INVALID) {
            fail_msg("%s", bodies[i]);
        }
        assert_null(list.keys);
    }
}

/* `count` times `item` between `head` and `tail`. */
static void many(struct ps_buf *into, const char *head, const char *item, size_t count,
                 const char *tail)
{
    ps_buf_append_text(into, head);
    for (size_t i = 0; i < count; i++) {
        ps_buf_append_text(into, item);
    }
    ps_buf_append_text(into, tail);
}

static void bounds(void **state)
{
    (void)state;
    struct ps_s3_delete list;
    for (size_t count = PS_R2_DELETE_MAX; count <= PS_R2_DELETE_MAX + 1; count++) {
        struct ps_buf body = {0};
        many(&body, "<Delete>", "<Object><Key>k</Key></Object>", count, "</Delete>");
        enum ps_status wanted = count == PS_R2_DELETE_MAX ? PS_OK : PS_LIMIT;
        assert_int_equal(ps_s3_delete_read(ps_buf_slice(&body), &list), wanted);
        assert_int_equal(list.count, wanted == PS_OK ? count : 0);
        ps_s3_delete_fini(&list);
        ps_buf_fini(&body);
    }
    for (size_t depth = PS_S3_XML_DEPTH_MAX - 1; depth <= PS_S3_XML_DEPTH_MAX; depth++) {
        struct ps_buf body = {0};
        many(&body, "<Delete><Object><Key>k</Key></Object>", "<d>", depth, "");
        many(&body, "", "</d>", depth, "</Delete>");
        assert_int_equal(ps_s3_delete_read(ps_buf_slice(&body), &list),
                         depth < PS_S3_XML_DEPTH_MAX ? PS_OK : PS_LIMIT);
        ps_s3_delete_fini(&list);
        ps_buf_fini(&body);
    }
    struct ps_buf body = {0};
    many(&body, "<Delete><", "long", 200, "/></Delete>");
    assert_int_equal(ps_s3_delete_read(ps_buf_slice(&body), &list), PS_LIMIT);
    ps_buf_fini(&body);
}

static void reads_complete(void **state)
{
    (void)state;
    struct ps_s3_complete list;
    assert_int_equal(
        ps_s3_complete_read(
            PS_LIT("<CompleteMultipartUpload" NS "><Part><ETag>&quot;aa&quot;</ETag><PartNumber>2"
                   "</PartNumber><ChecksumCRC32>NhCmhg==</ChecksumCRC32></Part><Part><PartNumber>1"
                   "</PartNumber><ETag>bb</ETag></Part><Part><PartNumber>-1</PartNumber>"
                   "<ETag/></Part><Part><PartNumber>10001</PartNumber><ETag/></Part>"
                   "</CompleteMultipartUpload>"),
            &list),
        PS_OK);
    assert_int_equal(list.count, 4);
    assert_int_equal(list.parts[0].number, 2);
    assert_true(ps_slice_eq(list.parts[0].etag, PS_LIT("aa")));
    assert_int_equal(list.parts[0].checksums.present, PS_R2_HASH_BIT(PS_R2_CRC32));
    assert_memory_equal(list.parts[0].checksums.bytes[PS_R2_CRC32], "\x36\x10\xa6\x86", 4);
    assert_int_equal(list.parts[1].number, 1);
    assert_true(ps_slice_eq(list.parts[1].etag, PS_LIT("bb")));
    assert_int_equal(list.parts[1].checksums.present, 0);
    assert_int_equal(list.parts[2].number, 0);
    assert_int_equal(list.parts[3].number, 0);
    ps_s3_complete_fini(&list);
    static const char *const wrong[] = {
        "<CompleteMultipartUpload/>",
        "<CompleteMultipartUpload><Part><ETag>a</ETag></Part></CompleteMultipartUpload>",
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber></Part></"
        "CompleteMultipartUpload>",
        "<CompleteMultipartUpload><Part><PartNumber>1.5</PartNumber><ETag>a</ETag></Part>"
        "</CompleteMultipartUpload>",
        "<CompleteMultipartUpload><Part><PartNumber/><ETag>a</ETag></Part>"
        "</CompleteMultipartUpload>",
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>a</ETag><ChecksumSHA1>x"
        "</ChecksumSHA1></Part></CompleteMultipartUpload>",
        "<Complete><Part><PartNumber>1</PartNumber><ETag>a</ETag></Part></Complete>"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(ps_s3_complete_read(ps_slice_of(wrong[i]), &list), PS_INVALID);
        assert_null(list.parts);
    }
    struct ps_buf body = {0};
    many(&body, "<CompleteMultipartUpload>", "<Part><PartNumber>1</PartNumber><ETag/></Part>",
         PS_R2_PARTS_MAX + 1, "</CompleteMultipartUpload>");
    assert_int_equal(ps_s3_complete_read(ps_buf_slice(&body), &list), PS_LIMIT);
    ps_buf_fini(&body);
}

static void reads_create(void **state)
{
    (void)state;
    struct ps_s3_create create;
    assert_int_equal(ps_s3_create_read(PS_LIT(""), &create), PS_OK);
    assert_int_equal(create.location.size, 0);
    ps_s3_create_fini(&create);
    assert_int_equal(
        ps_s3_create_read(PS_LIT("<CreateBucketConfiguration" NS "><LocationConstraint>weur"
                                 "</LocationConstraint></CreateBucketConfiguration>"),
                          &create),
        PS_OK);
    assert_true(ps_slice_eq(create.location, PS_LIT("weur")));
    ps_s3_create_fini(&create);
    assert_int_equal(ps_s3_create_read(PS_LIT("<Create/>"), &create), PS_INVALID);
}

#define CORS                                                                                       \
    DECLARATION "<CORSConfiguration" NS "><CORSRule><ID>one</ID><AllowedOrigin>https://a.example"  \
                "</AllowedOrigin><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET"               \
                "</AllowedMethod><AllowedMethod>PUT</AllowedMethod><AllowedHeader>x-&lt;*"         \
                "</AllowedHeader><ExposeHeader>ETag</ExposeHeader><MaxAgeSeconds>60"               \
                "</MaxAgeSeconds></CORSRule><CORSRule><AllowedOrigin>http://b</AllowedOrigin>"     \
                "<AllowedMethod>HEAD</AllowedMethod></CORSRule></CORSConfiguration>"

/* What is read is written again as the same bytes. */
static void cors_round_trip(void **state)
{
    (void)state;
    struct ps_s3_cors cors;
    struct ps_buf out = {0};
    assert_int_equal(ps_s3_cors_read(PS_LIT(CORS), &cors), PS_OK);
    assert_int_equal(cors.count, 2);
    assert_int_equal(cors.rules[0].origins.count, 2);
    assert_true(cors.rules[0].has_max_age && cors.rules[0].max_age_s == 60);
    ps_s3_cors_write(&cors, &out);
    assert_string_equal(ps_buf_text(&out), CORS);
    ps_buf_fini(&out);
    ps_s3_cors_fini(&cors);
    static const char *const wrong[] = {
        "<CORSConfiguration/>",
        "<CORSConfiguration><CORSRule><AllowedMethod>GET</AllowedMethod></CORSRule>"
        "</CORSConfiguration>",
        "<CORSConfiguration><CORSRule><AllowedOrigin>*</AllowedOrigin></CORSRule>"
        "</CORSConfiguration>",
        "<CORSConfiguration><CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>PATCH"
        "</AllowedMethod></CORSRule></CORSConfiguration>",
        "<CORSConfiguration><CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET"
        "</AllowedMethod><MaxAgeSeconds>-1</MaxAgeSeconds></CORSRule></CORSConfiguration>"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(ps_s3_cors_read(ps_slice_of(wrong[i]), &cors), PS_INVALID);
    }
    struct ps_buf body = {0};
    many(&body, "<CORSConfiguration><CORSRule>", "<AllowedOrigin>*</AllowedOrigin>",
         PS_S3_CORS_ITEMS_MAX + 1, "</CORSRule></CORSConfiguration>");
    assert_int_equal(ps_s3_cors_read(ps_buf_slice(&body), &cors), PS_LIMIT);
    ps_buf_fini(&body);
}

#define LIFECYCLE                                                                                  \
    DECLARATION                                                                                    \
    "<LifecycleConfiguration" NS "><Rule><ID>r&amp;s</ID><Filter><Prefix>logs/"                    \
    "</Prefix></Filter><Status>Enabled</Status><Expiration><Days>3</Days></Expiration>"            \
    "<Transition><Date>2030-01-01T00:00:00Z</Date><StorageClass>STANDARD_IA"                       \
    "</StorageClass></Transition><AbortIncompleteMultipartUpload><DaysAfterInitiation>"            \
    "2</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule><Rule><Filter>"                \
    "<Prefix></Prefix></Filter><Status>Disabled</Status><Expiration><Date>2030-01-01"              \
    "</Date></Expiration></Rule></LifecycleConfiguration>"
#define RULE(inside) "<LifecycleConfiguration><Rule>" inside "</Rule></LifecycleConfiguration>"

static void lifecycle_round_trip(void **state)
{
    (void)state;
    struct ps_s3_lifecycle lifecycle;
    struct ps_buf out = {0};
    assert_int_equal(ps_s3_lifecycle_read(PS_LIT(LIFECYCLE), &lifecycle), PS_OK);
    assert_int_equal(lifecycle.count, 2);
    assert_true(lifecycle.rules[0].enabled && lifecycle.rules[0].has_transition);
    assert_int_equal(lifecycle.rules[0].expire_days, 3);
    assert_int_equal(lifecycle.rules[0].abort_days, 2);
    ps_s3_lifecycle_write(&lifecycle, &out);
    assert_string_equal(ps_buf_text(&out), LIFECYCLE);
    ps_buf_fini(&out);
    ps_s3_lifecycle_fini(&lifecycle);

    static const struct {
        const char *body;
        enum ps_status status;
    } others[] = {
        {RULE("<Prefix>p</Prefix><Status>Enabled</Status><Expiration><Days>1</Days></Expiration>"),
         PS_OK},
        {RULE("<Status>Enabled</Status><Filter><And><Prefix>p</Prefix></And></Filter>"
              "<Expiration><Days>1</Days></Expiration>"),
         PS_OK},
        {"<LifecycleConfiguration/>", PS_INVALID},
        {RULE("<Status>Enabled</Status>"), PS_INVALID},
        {RULE("<Expiration><Days>1</Days></Expiration>"), PS_INVALID},
        {RULE("<Status>On</Status><Expiration><Days>1</Days></Expiration>"), PS_INVALID},
        {RULE("<Status>Enabled</Status><Expiration><Days>x</Days></Expiration>"), PS_INVALID},
        {RULE("<Status>Enabled</Status><Transition><StorageClass>STANDARD_IA</StorageClass>"
              "</Transition>"),
         PS_INVALID},
        {RULE("<Status>Enabled</Status><Transition><Days>1</Days><StorageClass>GLACIER"
              "</StorageClass></Transition>"),
         PS_INVALID},
        {RULE("<Status>Enabled</Status><Filter><Tag><Key>k</Key></Tag></Filter>"
              "<Expiration><Days>1</Days></Expiration>"),
         PS_UNSUPPORTED}};

    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        if (ps_s3_lifecycle_read(ps_slice_of(others[i].body), &lifecycle) != others[i].status) {
            fail_msg("%s", others[i].body);
        }
        ps_s3_lifecycle_fini(&lifecycle);
    }
}

static struct ps_s3_lifecycle *read_rules(const char *body)
{
    static struct ps_s3_lifecycle lifecycle;
    ps_s3_lifecycle_fini(&lifecycle);
    assert_int_equal(ps_s3_lifecycle_read(ps_slice_of(body), &lifecycle), PS_OK);
    return &lifecycle;
}

static void lifecycle_is_due(void **state)
{
    (void)state;

    enum { DAY_MS = 24 * 3600 * 1000 };

    const int64_t now_ms = 1893456000000; /* 2030-01-01T00:00:00Z */
    int64_t before_ms;
    struct ps_s3_lifecycle *rules = read_rules(LIFECYCLE);
    assert_true(ps_s3_lifecycle_expires(rules, PS_LIT("logs/1"), now_ms, &before_ms));
    assert_int_equal(before_ms, now_ms - (int64_t)3 * DAY_MS);
    assert_true(ps_s3_lifecycle_aborts(rules, PS_LIT("logs/1"), now_ms, &before_ms));
    assert_int_equal(before_ms, now_ms - (int64_t)2 * DAY_MS);
    assert_false(ps_s3_lifecycle_expires(rules, PS_LIT("other"), now_ms, &before_ms));
    assert_false(ps_s3_lifecycle_aborts(rules, PS_LIT("log"), now_ms, &before_ms));
    /* More days than there were. */
    assert_true(ps_s3_lifecycle_expires(rules, PS_LIT("logs/1"), DAY_MS, &before_ms));
    assert_int_equal(before_ms, 0);

    /* The rule that comes first. */
    struct ps_buf text = {0};
    assert_true(ps_s3_lifecycle_expiration(rules, PS_LIT("logs/1"), now_ms, &text));
    assert_string_equal(ps_buf_text(&text),
                        "expiry-date=\"Fri, 04 Jan 2030 00:00:00 GMT\", rule-id=\"r%26s\"");
    assert_false(ps_s3_lifecycle_expiration(rules, PS_LIT("other"), now_ms, &text));
    text.size = 0;
    rules = read_rules(
        "<LifecycleConfiguration><Rule><ID>a</ID><Prefix/><Status>Enabled</Status><Expiration>"
        "<Days>9</Days></Expiration></Rule><Rule><ID>b</ID><Prefix/><Status>Enabled</Status>"
        "<Expiration><Date>2030-01-05</Date></Expiration></Rule></LifecycleConfiguration>");
    assert_true(ps_s3_lifecycle_expiration(rules, PS_LIT("other"), now_ms, &text));
    assert_string_equal(ps_buf_text(&text),
                        "expiry-date=\"Sat, 05 Jan 2030 00:00:00 GMT\", rule-id=\"b\"");
    text.size = 0;
    rules = read_rules(RULE("<Status>Enabled</Status><Expiration><Days>4000000000</Days>"
                            "</Expiration>"));
    assert_false(ps_s3_lifecycle_expiration(rules, PS_LIT("other"), now_ms, &text));
    ps_buf_fini(&text);

    static const char *const dates[] = {"2030-01-01", "2030-01-01T00:00:00Z",
                                        "2030-01-01T00:00:00.000Z"};
    for (size_t i = 0; i < sizeof dates / sizeof dates[0]; i++) {
        char body[512];
        (void)snprintf(body, sizeof body,
                       RULE("<Prefix/><Status>Enabled</Status><Expiration><Date>%s</Date>"
                            "</Expiration>"),
                       dates[i]);
        rules = read_rules(body);
        assert_false(ps_s3_lifecycle_expires(rules, PS_LIT("k"), now_ms - 1, &before_ms));
        assert_true(ps_s3_lifecycle_expires(rules, PS_LIT("k"), now_ms, &before_ms));
        assert_int_equal(before_ms, now_ms);
    }
    /* Of two rules the one that lets the fewest live. */
    rules = read_rules("<LifecycleConfiguration>"
                       "<Rule><Prefix>a</Prefix><Status>Enabled</Status>"
                       "<Expiration><Days>9</Days></Expiration></Rule>"
                       "<Rule><Prefix>ab</Prefix><Status>Enabled</Status>"
                       "<Expiration><Days>2</Days></Expiration></Rule>"
                       "<Rule><Prefix>abc</Prefix><Status>Enabled</Status>"
                       "<Expiration><Days>5</Days></Expiration></Rule></LifecycleConfiguration>");
    assert_true(ps_s3_lifecycle_expires(rules, PS_LIT("abcd"), now_ms, &before_ms));
    assert_int_equal(before_ms, now_ms - (int64_t)2 * DAY_MS);
    assert_true(ps_s3_lifecycle_expires(rules, PS_LIT("a"), now_ms, &before_ms));
    assert_int_equal(before_ms, now_ms - (int64_t)9 * DAY_MS);
    ps_s3_lifecycle_fini(rules);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes),          cmocka_unit_test(reads_delete),
        cmocka_unit_test(refuses_delete),  cmocka_unit_test(bounds),
        cmocka_unit_test(reads_complete),  cmocka_unit_test(reads_create),
        cmocka_unit_test(cors_round_trip), cmocka_unit_test(lifecycle_round_trip),
        cmocka_unit_test(lifecycle_is_due)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
