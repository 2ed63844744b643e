#include "sim/measure/sessions.h"

#include "replication/base/assert.h"
#include "replication/base/memory.h"

#include <stdio.h>
#include <string.h>

enum { NEEDS_WALKED_MAX = 16, SLOTS_FIRST = 64 };

/* The chains that an operation may be in. OWN: the writes, or the reads, of one session and key;
 * SESSION: the same of any key; KEY: all of one key. */
enum chain { CHAIN_OWN, CHAIN_SESSION, CHAIN_KEY, CHAINS };

/* An operation that a later one may be held against: one that told its session, or the key's
 * readers, of something new. A chain's nodes come in the order of completion. */
struct node {
    struct ps_op op;
    uint32_t before[CHAINS]; /* the next older node + 1; 0 = none */
};

/* "Who sees version `second` at this PoP must see at least `first` of the other key." */
struct need {
    uint64_t lsn;        /* of the other key */
    ps_time_ns since_ns; /* completion of the read that saw the second version */
    uint32_t first;      /* node: W1, or the read */
    uint32_t read;       /* node: the read that saw W2 */
    uint32_t before;     /* older need + 1 */
    uint16_t pop;
};

/* Chains of one (session, key); all are index + 1, 0 = empty. */
struct slot {
    uint64_t key; /* (session << 32 | key) + 1; 0 = free */
    uint32_t writes;
    uint32_t reads;
    uint32_t needs[2]; /* monotonic writes, writes follow reads */
};

/* The newest completed write and read of a session. */
struct latest {
    uint32_t write; /* node + 1 */
    uint32_t read;
};

/* What came before a version in its session, and a read that completed before its write did: nodes
 * + 1. */
struct cause {
    uint32_t write;
    uint32_t read;
    uint32_t early;
    bool known;
};

struct found {
    uint64_t count;
    struct ps_op witness[3];
    size_t witness_count;
    ps_dur_ns length_ns;
};

#define ARRAY(type, name)                                                                          \
    struct {                                                                                       \
        type *at;                                                                                  \
        size_t count;                                                                              \
        size_t capacity;                                                                           \
    } name

struct ps_sessions {
    struct slot *slots;
    size_t slot_count; /* a power of two */
    size_t slots_used;
    ARRAY(struct node, nodes);
    ARRAY(struct need, needs);
    ARRAY(struct latest, latest); /* by session: chains of writes and reads of any key */
    ARRAY(struct cause, causes);  /* by LSN - first_lsn */
    uint64_t first_lsn;
    ARRAY(uint32_t, keys); /* by key: chain of all that raised its bar, node + 1 */
    struct found found[PS_VIOLATION_KINDS];
};

/* Make room for element `index`, zeroed. */
#define REACH(array, index)                                                                        \
    do {                                                                                           \
        while ((array).count <= (index)) {                                                         \
            (array).at =                                                                           \
                ps_grow((array).at, (array).count, &(array).capacity, sizeof *(array).at);         \
            memset(&(array).at[(array).count++], 0, sizeof *(array).at);                           \
        }                                                                                          \
    } while (0)

struct ps_sessions *ps_sessions_create(uint64_t first_lsn)
{
    struct ps_sessions *sessions = PS_NEW(struct ps_sessions);
    sessions->first_lsn = first_lsn;
    sessions->slot_count = SLOTS_FIRST;
    sessions->slots = PS_NEW_ARRAY(struct slot, sessions->slot_count);
    return sessions;
}

void ps_sessions_destroy(struct ps_sessions *sessions)
{
    if (sessions == NULL) {
        return;
    }
    free(sessions->slots);
    free(sessions->nodes.at);
    free(sessions->needs.at);
    free(sessions->latest.at);
    free(sessions->causes.at);
    free(sessions->keys.at);
    free(sessions);
}

static size_t place_of(const struct slot *slots, size_t count, uint64_t key)
{
    /* Fibonacci hashing spreads the two halves. */
    size_t at = (size_t)((key * UINT64_C(0x9E3779B97F4A7C15)) >> 20) & (count - 1);
    while (slots[at].key != 0 && slots[at].key != key) {
        at = (at + 1) & (count - 1);
    }
    return at;
}

/* Lifetime: until the next call. */
static struct slot *slot_of(struct ps_sessions *sessions, uint32_t session, uint32_t key)
{
    uint64_t name = ((uint64_t)session << 32 | key) + 1;
    size_t at = place_of(sessions->slots, sessions->slot_count, name);
    if (sessions->slots[at].key != 0) {
        return &sessions->slots[at];
    }
    if (++sessions->slots_used * 2 > sessions->slot_count) {
        size_t count = sessions->slot_count * 2;
        struct slot *slots = PS_NEW_ARRAY(struct slot, count);
        for (size_t i = 0; i < sessions->slot_count; i++) {
            if (sessions->slots[i].key != 0) {
                slots[place_of(slots, count, sessions->slots[i].key)] = sessions->slots[i];
            }
        }
        free(sessions->slots);
        sessions->slots = slots;
        sessions->slot_count = count;
        at = place_of(slots, count, name);
    }
    sessions->slots[at].key = name;
    return &sessions->slots[at];
}

static uint32_t keep(struct ps_sessions *sessions, const struct ps_op *op)
{
    sessions->nodes.at = ps_grow(sessions->nodes.at, sessions->nodes.count,
                                 &sessions->nodes.capacity, sizeof *sessions->nodes.at);
    PS_ASSERT(sessions->nodes.count < UINT32_MAX);
    sessions->nodes.at[sessions->nodes.count++] = (struct node){.op = *op};
    return (uint32_t)sessions->nodes.count;
}

/* Put a node at the head of a chain. */
static void chain_push(struct ps_sessions *sessions, enum chain chain, uint32_t *head,
                       uint32_t node)
{
    sessions->nodes.at[node - 1].before[chain] = *head;
    *head = node;
}

static const struct ps_op *node_op(const struct ps_sessions *sessions, uint32_t node)
{
    return &sessions->nodes.at[node - 1].op;
}

/* The chain's newest operation that came before an invocation at `invoke_ns`; 0 if there is none.
 */
static uint32_t newest_before(const struct ps_sessions *sessions, enum chain chain, uint32_t head,
                              ps_time_ns invoke_ns)
{
    while (head != 0 && node_op(sessions, head)->complete_ns > invoke_ns) {
        head = sessions->nodes.at[head - 1].before[chain];
    }
    return head;
}

/* Is the operation's version newer than all in the chain? */
static bool raises(const struct ps_sessions *sessions, uint32_t head, const struct ps_op *op)
{
    return op->lsn != 0 && (head == 0 || node_op(sessions, head)->lsn < op->lsn);
}

static void violation(struct ps_sessions *sessions, enum ps_violation kind,
                      const struct ps_op *const *ops, size_t count)
{
    struct found *found = &sessions->found[kind];
    ps_dur_ns length_ns = ops[count - 1]->complete_ns - ops[0]->invoke_ns;
    bool shorter = found->count == 0 || count < found->witness_count ||
                   (count == found->witness_count && length_ns < found->length_ns);
    found->count++;
    if (!shorter) {
        return;
    }
    found->witness_count = count;
    found->length_ns = length_ns;
    for (size_t i = 0; i < count; i++) {
        found->witness[i] = *ops[i];
    }
}

static void check_chain(struct ps_sessions *sessions, enum ps_violation kind, enum chain chain,
                        uint32_t head, const struct ps_op *op)
{
    uint32_t newest = newest_before(sessions, chain, head, op->invoke_ns);
    if (newest != 0 && node_op(sessions, newest)->lsn > op->lsn) {
        const struct ps_op *ops[] = {node_op(sessions, newest), op};
        violation(sessions, kind, ops, 2);
    }
}

/* Did this PoP show the reading session something that follows from a newer version of the key? */
static void check_needs(struct ps_sessions *sessions, enum ps_violation kind, uint32_t chain,
                        const struct ps_op *op)
{
    for (int walked = 0; chain != 0 && walked < NEEDS_WALKED_MAX; walked++) {
        const struct need *need = &sessions->needs.at[chain - 1];
        if (need->pop == op->pop && need->since_ns <= op->invoke_ns && need->lsn > op->lsn) {
            const struct ps_op *ops[] = {node_op(sessions, need->first),
                                         node_op(sessions, need->read), op};
            violation(sessions, kind, ops, 3);
            return;
        }
        chain = need->before;
    }
}

/* This read saw a version that `cause` came before: note what later reads here must see. */
static void note_need(struct ps_sessions *sessions, size_t which, uint32_t cause,
                      const struct ps_op *read)
{
    if (cause == 0) {
        return;
    }
    const struct ps_op *first = node_op(sessions, cause);
    if (first->key == read->key) {
        return; /* one key's versions are in order by themselves */
    }
    struct slot *slot = slot_of(sessions, read->session, first->key);
    uint32_t head = slot->needs[which];
    if (head != 0) {
        const struct need *newest = &sessions->needs.at[head - 1];
        if (newest->pop == read->pop && newest->lsn >= first->lsn) {
            return;
        }
    }
    uint64_t lsn = first->lsn;
    uint32_t node = keep(sessions, read);
    sessions->needs.at = ps_grow(sessions->needs.at, sessions->needs.count,
                                 &sessions->needs.capacity, sizeof *sessions->needs.at);
    sessions->needs.at[sessions->needs.count++] = (struct need){.lsn = lsn,
                                                                .since_ns = read->complete_ns,
                                                                .first = cause,
                                                                .read = node,
                                                                .before = head,
                                                                .pop = read->pop};
    slot->needs[which] = (uint32_t)sessions->needs.count;
}

/* The version's entry; NULL for one from before the first. */
static struct cause *cause_of(struct ps_sessions *sessions, uint64_t lsn)
{
    if (lsn < sessions->first_lsn || lsn == 0) {
        return NULL;
    }
    size_t at = (size_t)(lsn - sessions->first_lsn);
    REACH(sessions->causes, at);
    return &sessions->causes.at[at];
}

static void feed_read(struct ps_sessions *sessions, const struct ps_op *op)
{
    struct slot *slot = slot_of(sessions, op->session, op->key);
    uint32_t *key = &sessions->keys.at[op->key];
    check_chain(sessions, PS_VIOLATION_READ_YOUR_WRITES, CHAIN_OWN, slot->writes, op);
    check_chain(sessions, PS_VIOLATION_MONOTONIC_READS, CHAIN_OWN, slot->reads, op);
    check_needs(sessions, PS_VIOLATION_MONOTONIC_WRITES, slot->needs[0], op);
    check_needs(sessions, PS_VIOLATION_WRITES_FOLLOW_READS, slot->needs[1], op);
    check_chain(sessions, PS_VIOLATION_LINEARIZABLE, CHAIN_KEY, *key, op);
    bool raises_own = raises(sessions, slot->reads, op);
    bool raises_key = raises(sessions, *key, op);
    uint32_t node = raises_own || raises_key ? keep(sessions, op) : 0;
    if (raises_own) {
        chain_push(sessions, CHAIN_OWN, &slot->reads, node);
        chain_push(sessions, CHAIN_SESSION, &sessions->latest.at[op->session].read, node);
    }
    if (raises_key) {
        chain_push(sessions, CHAIN_KEY, key, node);
    }
    struct cause *cause = cause_of(sessions, op->lsn);
    if (cause == NULL) {
        return;
    }
    if (!cause->known && cause->early == 0) {
        cause->early = node != 0 ? node : keep(sessions, op);
    }
    struct cause seen = *cause;
    note_need(sessions, 0, seen.write, op);
    note_need(sessions, 1, seen.read, op);
}

static void feed_write(struct ps_sessions *sessions, const struct ps_op *op)
{
    struct latest *latest = &sessions->latest.at[op->session];
    uint32_t write = newest_before(sessions, CHAIN_SESSION, latest->write, op->invoke_ns);
    uint32_t read = newest_before(sessions, CHAIN_SESSION, latest->read, op->invoke_ns);
    if (write != 0 && node_op(sessions, write)->lsn > op->lsn) {
        const struct ps_op *ops[] = {node_op(sessions, write), op};
        violation(sessions, PS_VIOLATION_MONOTONIC_WRITES, ops, 2);
    }
    if (read != 0 && node_op(sessions, read)->lsn > op->lsn) {
        const struct ps_op *ops[] = {node_op(sessions, read), op};
        violation(sessions, PS_VIOLATION_WRITES_FOLLOW_READS, ops, 2);
    }
    struct cause *cause = cause_of(sessions, op->lsn);
    if (cause != NULL) {
        if (cause->early != 0 && op->eval_ns > node_op(sessions, cause->early)->complete_ns) {
            const struct ps_op *ops[] = {node_op(sessions, cause->early), op};
            violation(sessions, PS_VIOLATION_LINEARIZABLE, ops, 2);
        }
        cause->write = write;
        cause->read = read;
        cause->known = true;
    }
    if (op->error != PS_OK) {
        return; /* it has a version, but its session does not know */
    }
    uint32_t node = keep(sessions, op);
    chain_push(sessions, CHAIN_SESSION, &latest->write, node);
    struct slot *slot = slot_of(sessions, op->session, op->key);
    if (raises(sessions, slot->writes, op)) {
        chain_push(sessions, CHAIN_OWN, &slot->writes, node);
    }
    if (raises(sessions, sessions->keys.at[op->key], op)) {
        chain_push(sessions, CHAIN_KEY, &sessions->keys.at[op->key], node);
    }
}

static void feed_request(struct ps_sessions *sessions, const struct ps_op *op)
{
    if (op->wrote && op->lsn != 0) {
        feed_write(sessions, op);
    } else if (!op->wrote && op->error == PS_OK) {
        feed_read(sessions, op);
    }
}

void ps_sessions_feed(struct ps_sessions *sessions, const struct ps_op *op)
{
    REACH(sessions->latest, op->session);
    REACH(sessions->keys, op->key);
    if (ps_op_is_d1(op)) {
        feed_request(sessions, op);
    } else if (ps_op_is_read(op) && op->error == PS_OK) {
        feed_read(sessions, op);
    } else if (ps_op_is_write(op) && op->lsn != 0 && op->kind != PS_OP_R2_PURGE) {
        feed_write(sessions, op);
    }
}

static void describe(struct ps_buf *text, const struct ps_op *op, const struct ps_cluster *cluster,
                     const struct ps_intern *session_names, const struct ps_intern *keys)
{
    struct ps_slice session = ps_intern_text(session_names, op->session);
    ps_buf_append_slice(text, session);
    ps_buf_append_char(text, ' ');
    bool reads = ps_op_is_read(op);
    if (ps_op_is_d1(op)) {
        ps_buf_append_text(text, reads ? "read the database" : "wrote the database");
    } else {
        struct ps_slice key = ps_intern_text(keys, op->key);
        ps_buf_append_text(text, ps_op_is_public(op)   ? "fetched "
                                 : reads               ? "read "
                                 : ps_op_is_delete(op) ? "deleted "
                                                       : "wrote ");
        ps_buf_append_json(text, (struct ps_slice){key.data, key.size < 60 ? key.size : 60});
    }
    ps_buf_printf(text, " at %s, ", cluster->pops[op->pop]->code);
    if (op->lsn == 0) {
        ps_buf_append_text(text, "no version");
    } else {
        ps_buf_printf(text, "version %llu", (unsigned long long)op->lsn);
    }
    ps_buf_append_text(text, ", ");
    ps_dur_format(text, op->invoke_ns);
    ps_buf_append_text(text, " to ");
    ps_dur_format(text, op->complete_ns);
}

void ps_sessions_result(const struct ps_sessions *sessions, const struct ps_cluster *cluster,
                        const struct ps_intern *session_names, const struct ps_intern *keys,
                        struct ps_violations ret[PS_VIOLATION_KINDS])
{
    for (size_t kind = 0; kind < PS_VIOLATION_KINDS; kind++) {
        const struct found *found = &sessions->found[kind];
        ret[kind] =
            (struct ps_violations){.count = found->count, .witness_count = found->witness_count};
        struct ps_buf text = {0};
        for (size_t i = 0; i < found->witness_count; i++) {
            ret[kind].witness[i] = found->witness[i];
            if (i > 0) {
                ps_buf_append_text(&text, "; then ");
            }
            describe(&text, &found->witness[i], cluster, session_names, keys);
        }
        snprintf(ret[kind].text, sizeof ret[kind].text, "%s", ps_buf_text(&text));
        ps_buf_fini(&text);
    }
}
