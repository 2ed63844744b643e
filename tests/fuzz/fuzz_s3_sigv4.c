/* Any head as one that carries a signature: refused with an error, or right. Signed with a key that
 * is known it is right (or only its payload's name is none), and wrong once its method is another.
 */
#include "node/s3/sigv4.h"
#include "tests/support/s3_request.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds) {
        abort();
    }
}

static const struct ps_s3_signer signer = {
    .key_id = {"AKIAIOSFODNN7EXAMPLE", 20},
    .secret = {"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", 40},
    .region = {"us-east-1", 9},
    .unix_s = S3_NOW_S};

/* The status that it is refused with; 0: it is right. */
static int verify(struct ps_s3_keyring *keyring, const struct ps_http_request *head)
{
    struct ps_s3_auth auth;
    struct ps_http_response response = {0};
    bool good = ps_s3_verify(keyring, head, (int64_t)S3_NOW_S * 1000, &auth, &response);
    int status = response.status;
    require(good == (status == 0) && good == (response.body.size == 0));
    require(!good || ps_s3_has_signature(head));
    require(!good || strlen(auth.seed.signature) == 64);
    ps_http_response_fini(&response);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct ps_s3_keyring *keyring;

    if (keyring == NULL) {
        keyring = ps_s3_keyring_create();
        require(ps_s3_keyring_add(keyring, signer.key_id, signer.secret) == PS_OK);
    }
    struct s3_request request;
    s3_request_read((struct ps_slice){(const char *)data, size}, &request);
    (void)verify(keyring, &request.head);
    if (s3_request_sign(&request, &signer)) {
        int status = verify(keyring, &request.head);
        require(status == 0 || status == 400);
        request.head.method = request.head.method == PS_HTTP_GET ? PS_HTTP_PUT : PS_HTTP_GET;
        require(verify(keyring, &request.head) == 403);
    }
    s3_request_fini(&request);
    return 0;
}
