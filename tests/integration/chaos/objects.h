/* Chaos of a bucket: clients put, copy, read and delete objects through all PoPs by S3 while
 * processes are killed, some by the binding, with tokens, until they have an answer; and afterwards
 * what they were told is held against a register per key, and home's files against what refers to
 * them.
 *
 *   objects_body.c   an object's bytes and ETag as a function of its number
 *   objects_load.c   the clients, and the history of each key
 *   objects_check.c  histories, blobs
 *   objects.c        the rounds */
#ifndef PS_TESTS_CHAOS_OBJECTS_H
#define PS_TESTS_CHAOS_OBJECTS_H

#include "node/r2/digest.h"
#include "tests/integration/chaos/chaos.h"
#include "tests/support/linear.h"

#define BUCKET "ASSETS"

enum {
    OBJECT_POPS = 3, /* the first is home */
    OBJECT_KEYS = 12,
    OBJECT_CLIENTS = 8,
    PART_SIZE = 5 << 20 /* of all parts but the last */
};

/* ---- objects_body.c ---- */

/** Append the body of the object with this number: all of it follows from the number. */
void object_body(struct ps_buf *buf, uint64_t number);
/** Its ETag, and what stands for it in a history: never 0. */
void object_etag(uint64_t number, struct ps_slice body, char ret[PS_R2_ETAG_SIZE]);
uint64_t object_value(struct ps_slice etag);
bool object_is_multipart(uint64_t number);
/** The number that a body opens with; 0 = it does not. */
uint64_t object_number(struct ps_slice body);

/* ---- objects_load.c ---- */

/** What was done with one key, as the clients saw it. */
struct key_history {
    struct linear_op *ops;
    size_t count;
    size_t capacity;
    uint64_t value; /* before all of them */
};

struct object_client {
    pthread_t thread;
    uint32_t index;
    uint64_t numbers; /* that it has used */
    struct ps_rng rng;
    struct client client;
    char etags[OBJECT_KEYS][PS_R2_ETAG_SIZE]; /* as it saw them last; "" = none */
    uint64_t counts[16];                      /* by kind */
    uint64_t unknown;
    uint64_t refused;
    uint64_t tried_again;
};

struct objects_load {
    struct cluster *cluster;
    struct object_client clients[OBJECT_CLIENTS];
    struct gate gate;
    pthread_mutex_t mutex; /* of histories */
    struct key_history keys[OBJECT_KEYS];
    _Atomic uint64_t acked;  /* mutations */
    _Atomic uint64_t full;   /* mutations refused for want of room */
    _Atomic uint64_t failed; /* operations that were not carried out, for all that is known */
};

void objects_load_start(struct objects_load *load, struct cluster *cluster);
void objects_load_end(struct objects_load *load);
void objects_load_wait_acked(struct objects_load *load, uint64_t count);
/** Read all keys at a PoP, which must answer, as a client. The load rests. */
void objects_read_all(struct objects_load *load, struct object_client *client, size_t pop);
/** Abort all uploads that are under way. The load rests. */
size_t objects_abort_uploads(struct objects_load *load, struct object_client *client);
const char *objects_kind_name(size_t kind); /* NULL: there are no more */

/* ---- objects_check.c ---- */

struct objects_check {
    uint64_t operations; /* of the histories that were held against registers */
    uint64_t blobs;      /* that were referred to, in all */
    uint64_t orphans;    /* that were there before home's start and are not any more */
};

/** Are the histories linearizable? Then they begin anew. The load rests, and all was read. */
void objects_check_histories(struct objects_load *load, struct objects_check *check);
/** Kill home and start it again; then its files must be those that its map refers to. */
void objects_check_blobs(struct objects_load *load, struct objects_check *check);

#endif
