/* KV requests of the front, carried out: reads and writes of any number of keys as one call with
 * one result. */
#ifndef PS_NODE_IO_EXECUTE_H
#define PS_NODE_IO_EXECUTE_H

#include "node/http/api.h"
#include "node/io/node_internal.h"

struct ps_write_slot;

/** One request under way. Who starts it owns it, and the slices of its request and writes, until
 *  `done`; then it calls ps_execution_destroy. */
struct ps_execution {
    struct ps_node_store *store;
    struct ps_kv_request request; /* of a get, bulk get or list */
    /* of a put, delete, bulk put or bulk delete: tokens may be zero */
    struct ps_write *writes;
    size_t write_count;
    bool fresh; /* of the REST API */
    void *context;
    void (*done)(struct ps_execution *execution);
    struct ps_api_result result; /* valid during `done` */
    /* its own */
    size_t left;
    struct ps_read_call read;
    struct ps_read_key *read_keys;
    struct ps_write_slot *slots;
    struct ps_api_item *items;
    size_t item_count;
    size_t item_capacity;
    struct ps_buf pin_key; /* list */
    struct ps_buf names;   /* list: the items' keys, one after the other */
    struct ps_buf last;    /* list: where the next page goes on behind */
};

/** Zeroed but for the parts to be given. */
struct ps_execution *ps_execution_create(struct ps_node_store *store);
void ps_execution_destroy(struct ps_execution *execution); /* NULL accepted */
/** Carry out request.op (GET, GET_BULK, LIST), or the writes if write_count > 0. The request has
 *  passed ps_kv_check. `done` may be called before this returns, and may destroy the execution. */
void ps_execution_start(struct ps_execution *execution);

#endif
