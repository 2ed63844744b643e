/* Digests against published vectors, R2's own ETag example, and CRCs however the bytes are cut. */
#include "node/r2/digest.h"
#include "node/r2/error.h"
#include "replication/base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { ALL = (1 << PS_R2_HASHES) - 1 };

static void check_hex(const struct ps_r2_checksums *sums, enum ps_r2_hash hash, const char *hex)
{
    struct ps_buf buf = {0};
    ps_r2_hex(&buf, ps_r2_checksums_get(sums, hash));
    assert_string_equal(ps_buf_text(&buf), hex);
    ps_buf_fini(&buf);
}

/* FIPS 180, RFC 1321, and the check values of the catalogue of CRCs. */
static void test_vectors(void **state)
{
    (void)state;
    struct ps_r2_checksums sums;
    ps_r2_digest_of(ALL, PS_LIT("abc"), &sums);
    check_hex(&sums, PS_R2_MD5, "900150983cd24fb0d6963f7d28e17f72");
    check_hex(&sums, PS_R2_SHA1, "a9993e364706816aba3e25717850c26c9cd0d89d");
    check_hex(&sums, PS_R2_SHA256,
              "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    check_hex(&sums, PS_R2_SHA384,
              "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358ba"
              "eca134c825a7");
    check_hex(&sums, PS_R2_SHA512,
              "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba"
              "3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
    ps_r2_digest_of(ALL, PS_LIT("123456789"), &sums);
    check_hex(&sums, PS_R2_CRC32, "cbf43926");
    check_hex(&sums, PS_R2_CRC32C, "e3069283");
    check_hex(&sums, PS_R2_CRC64NVME, "ae8b14860a799888");
    ps_r2_digest_of(ALL, (struct ps_slice){NULL, 0}, &sums);
    check_hex(&sums, PS_R2_MD5, "d41d8cd98f00b204e9800998ecf8427e");
    check_hex(&sums, PS_R2_CRC32, "00000000");
}

static void fill(char *bytes, size_t size, uint64_t seed)
{
    struct ps_rng rng = {.seed = seed};
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (char)(uint8_t)ps_rng_below(&rng, 256);
    }
}

/* In pieces of any size the hashes are the same; a CRC of the pieces joins to that of the whole. */
static void test_pieces(void **state)
{
    (void)state;

    enum { SIZE = 5000 };

    static char bytes[SIZE];
    fill(bytes, SIZE, 1);
    struct ps_r2_checksums whole;
    ps_r2_digest_of(ALL, (struct ps_slice){bytes, SIZE}, &whole);
    struct ps_rng rng = {.seed = 2};
    for (int round = 0; round < 100; round++) {
        struct ps_r2_digest *digest = ps_r2_digest_create(ALL);
        struct ps_r2_checksums joined = {0};
        for (size_t at = 0; at < SIZE;) {
            size_t size = ps_rng_below(&rng, 700);
            size = size < SIZE - at ? size : SIZE - at;
            struct ps_slice piece = {bytes + at, size};
            ps_r2_digest_update(digest, piece);
            struct ps_r2_checksums sums;
            ps_r2_digest_of(ALL, piece, &sums);
            for (unsigned hash = PS_R2_CRC32; hash < PS_R2_HASHES; hash++) {
                ps_r2_crc_join((enum ps_r2_hash)hash, sums.bytes[hash], size, joined.bytes[hash]);
            }
            at += size;
        }
        struct ps_r2_checksums sums;
        ps_r2_digest_finish(digest, &sums);
        ps_r2_digest_destroy(digest);
        assert_int_equal(ps_r2_checksums_differ(&sums, &whole), PS_R2_HASHES);
        joined.present = (ps_r2_hash_set)ALL & ~(PS_R2_HASH_BIT(PS_R2_CRC32) - 1);
        assert_int_equal(ps_r2_checksums_differ(&joined, &whole), PS_R2_HASHES);
    }
}

/* The example of R2's documentation on multipart objects. */
static void test_etags(void **state)
{
    (void)state;
    uint8_t md5s[2][PS_R2_ID_SIZE];
    assert_true(ps_r2_unhex(PS_LIT("bce6bf66aeb76c7040fdd5f4eccb78e6"), md5s[0], PS_R2_ID_SIZE));
    assert_true(ps_r2_unhex(PS_LIT("8165449fc15bbf43d3b674595cbcc406"), md5s[1], PS_R2_ID_SIZE));
    char etag[PS_R2_ETAG_SIZE];
    ps_r2_etag_of_md5(md5s[0], etag);
    assert_string_equal(etag, "bce6bf66aeb76c7040fdd5f4eccb78e6");
    ps_r2_etag_of_parts((const uint8_t(*)[PS_R2_ID_SIZE])md5s, 2, etag);
    assert_string_equal(etag, "f77dc0eecdebcd774a2a22cb393ad2ff-2");
}

static void test_text(void **state)
{
    (void)state;
    for (size_t size = 0; size <= PS_R2_HASH_SIZE_MAX; size++) {
        char bytes[PS_R2_HASH_SIZE_MAX];
        fill(bytes, size, size);
        uint8_t back[PS_R2_HASH_SIZE_MAX] = {0};
        struct ps_buf buf = {0};
        ps_r2_base64(&buf, (struct ps_slice){bytes, size});
        assert_true(ps_r2_unbase64(ps_buf_slice(&buf), back, size));
        assert_memory_equal(back, bytes, size);
        assert_false(ps_r2_unbase64(ps_buf_slice(&buf), back, size + 1) && size + 1 <= 64);
        buf.size = 0;
        ps_r2_hex(&buf, (struct ps_slice){bytes, size});
        assert_true(ps_r2_unhex(ps_buf_slice(&buf), back, size));
        assert_memory_equal(back, bytes, size);
        ps_buf_fini(&buf);
    }
    uint8_t byte[4];
    assert_false(ps_r2_unhex(PS_LIT("0g"), byte, 1));
    assert_false(ps_r2_unhex(PS_LIT("000"), byte, 1));
    assert_false(ps_r2_unbase64(PS_LIT("AA=A"), byte, 1));
    assert_false(ps_r2_unbase64(PS_LIT("A==="), byte, 1));
    assert_false(ps_r2_unbase64(PS_LIT("A-=="), byte, 1));
    assert_true(ps_r2_unbase64(PS_LIT("/w=="), byte, 1));
    assert_int_equal(byte[0], 0xff);
}

static void test_sets(void **state)
{
    (void)state;
    struct ps_r2_checksums a = {0};
    struct ps_r2_checksums b = {0};
    assert_int_equal(ps_r2_checksums_get(&a, PS_R2_SHA1).size, 0);
    assert_false(ps_r2_checksums_set_hex(&a, PS_R2_SHA1, PS_LIT("00")));
    assert_true(ps_r2_checksums_set_hex(&a, PS_R2_CRC32, PS_LIT("CBF43926")));
    assert_true(ps_r2_checksums_set_base64(&b, PS_R2_CRC32, PS_LIT("y/Q5Jg==")));
    assert_int_equal(ps_r2_checksums_differ(&a, &b), PS_R2_HASHES);
    b.bytes[PS_R2_CRC32][3]++;
    assert_int_equal(ps_r2_checksums_differ(&a, &b), PS_R2_CRC32);
    a.present = 0;
    assert_int_equal(ps_r2_checksums_differ(&a, &b), PS_R2_HASHES);
}

static void test_errors(void **state)
{
    (void)state;
    struct ps_r2_error err = {0};
    assert_string_equal(ps_r2_error_message(&err), "");
    assert_false(ps_r2_fail(&err, PS_R2_CODE_NO_SUCH_KEY));
    assert_string_equal(ps_r2_error_message(&err), "The specified key does not exist.");
    assert_false(ps_r2_fail_with(&err, PS_R2_CODE_INTERNAL, "later"));
    assert_int_equal(err.code, PS_R2_CODE_NO_SUCH_KEY);
    assert_int_equal(ps_r2_code_info(err.code)->v4_code, 10007);
    assert_int_equal(ps_r2_code_info(err.code)->http_status, 404);
    assert_string_equal(ps_r2_code_info(PS_R2_CODE_BAD_UPLOAD)->s3_code, "InvalidPart");
    struct ps_r2_error own = {0};
    assert_false(ps_r2_fail_with(&own, PS_R2_CODE_INVALID_ARGUMENT, "part %d", 7));
    assert_string_equal(ps_r2_error_message(&own), "part 7");
    assert_int_equal(ps_r2_code_of(PS_UNREACHABLE), PS_R2_CODE_SERVICE_UNAVAILABLE);
    assert_int_equal(ps_r2_code_of(PS_FULL), PS_R2_CODE_DISK_FULL);
    assert_int_equal(ps_r2_code_of(PS_OK), PS_R2_CODE_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors), cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_etags),   cmocka_unit_test(test_text),
        cmocka_unit_test(test_sets),    cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
