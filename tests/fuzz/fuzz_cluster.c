/* Any bytes as a cluster and as a link: an error that says why, or something that is written and
 * read again as it is. */
#include "node/cluster/cluster_file.h"

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds) {
        __builtin_trap();
    }
}

static void try_cluster(struct ps_slice bytes)
{
    struct ps_cluster cluster;
    struct ps_cluster back;
    struct ps_error err = {0};
    if (ps_cluster_decode(bytes, &cluster, &err) != PS_OK) {
        require(err.status == PS_INVALID && err.text[0] != '\0');
        return;
    }
    struct ps_buf text = {0};
    struct ps_buf again = {0};
    ps_cluster_encode(&text, &cluster);
    require(ps_cluster_decode(ps_buf_slice(&text), &back, &err) == PS_OK);
    ps_cluster_encode(&again, &back);
    require(ps_slice_eq(ps_buf_slice(&text), ps_buf_slice(&again)));
    /* What was read can be used: links are made, delays are drawn. */
    for (size_t i = 0; i < back.store_count; i++) {
        struct ps_link link = {0};
        ps_cluster_link(&back, &back.stores[i], 0, &link);
        struct ps_replica replica = ps_cluster_replica(&back, &back.stores[i], 0, &link);
        require(ps_push_arrival(&replica, 1, 5) >= 5);
    }
    ps_buf_fini(&text);
    ps_buf_fini(&again);
    ps_cluster_fini(&cluster);
    ps_cluster_fini(&back);
}

static void try_link(struct ps_slice bytes)
{
    struct ps_link link = {0};
    struct ps_link back = {0};
    struct ps_error err = {0};
    if (ps_link_decode(bytes, &link, &err) == PS_OK) {
        struct ps_buf text = {0};
        struct ps_buf again = {0};
        ps_link_encode(&text, &link);
        require(ps_link_decode(ps_buf_slice(&text), &back, &err) == PS_OK);
        ps_link_encode(&again, &back);
        require(ps_slice_eq(ps_buf_slice(&text), ps_buf_slice(&again)));
        ps_buf_fini(&text);
        ps_buf_fini(&again);
    } else {
        require(err.status == PS_INVALID && err.text[0] != '\0');
    }
    ps_link_fini(&link);
    ps_link_fini(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ps_slice bytes = {(const char *)data, size};
    try_cluster(bytes);
    try_link(bytes);
    return 0;
}
