#include "sim/measure/history.h"

#include "replication/base/memory.h"

/* The index is enum ps_op_kind. */
static const struct {
    const char *name;
    enum ps_store_type type;
    bool read, write;
} kinds[PS_OP_KINDS] = {[PS_OP_KV_GET] = {"kv.get", PS_STORE_KV, .read = true},
                        [PS_OP_KV_PUT] = {"kv.put", PS_STORE_KV, .write = true},
                        [PS_OP_KV_DELETE] = {"kv.delete", PS_STORE_KV, .write = true},
                        [PS_OP_KV_LIST] = {"kv.list", PS_STORE_KV, .read = false},
                        [PS_OP_D1_QUERY] = {"d1.query", PS_STORE_D1, .read = false},
                        [PS_OP_D1_BATCH] = {"d1.batch", PS_STORE_D1, .read = false},
                        [PS_OP_R2_GET] = {"r2.get", PS_STORE_R2, .read = true},
                        [PS_OP_R2_HEAD] = {"r2.head", PS_STORE_R2, .read = true},
                        [PS_OP_R2_PUT] = {"r2.put", PS_STORE_R2, .write = true},
                        [PS_OP_R2_DELETE] = {"r2.delete", PS_STORE_R2, .write = true},
                        [PS_OP_R2_LIST] = {"r2.list", PS_STORE_R2, .read = false},
                        [PS_OP_R2_FETCH] = {"r2.fetch", PS_STORE_R2, .read = true},
                        [PS_OP_R2_PURGE] = {"r2.purge", PS_STORE_R2, .write = true}};

const char *ps_op_kind_name(enum ps_op_kind kind)
{
    return kinds[kind].name;
}

enum ps_store_type ps_op_store_type(enum ps_op_kind kind)
{
    return kinds[kind].type;
}

bool ps_op_is_d1(const struct ps_op *op)
{
    return kinds[op->kind].type == PS_STORE_D1;
}

bool ps_op_is_r2(const struct ps_op *op)
{
    return kinds[op->kind].type == PS_STORE_R2;
}

bool ps_op_is_public(const struct ps_op *op)
{
    return op->kind == PS_OP_R2_FETCH;
}

bool ps_op_is_list(const struct ps_op *op)
{
    return op->kind == PS_OP_KV_LIST || op->kind == PS_OP_R2_LIST;
}

bool ps_op_is_delete(const struct ps_op *op)
{
    return op->kind == PS_OP_KV_DELETE || op->kind == PS_OP_R2_DELETE;
}

bool ps_op_is_write(const struct ps_op *op)
{
    return kinds[op->kind].write || (ps_op_is_d1(op) && op->wrote);
}

bool ps_op_is_read(const struct ps_op *op)
{
    return kinds[op->kind].read || (ps_op_is_d1(op) && !op->wrote);
}

struct ps_history *ps_history_create(void)
{
    struct ps_history *history = PS_NEW(struct ps_history);
    history->cluster = PS_NEW(struct ps_cluster);
    ps_cluster_init(history->cluster);
    history->sessions = ps_intern_create();
    history->keys = ps_intern_create();
    history->requests = ps_intern_create();
    return history;
}

void ps_history_destroy(struct ps_history *history)
{
    if (history == NULL) {
        return;
    }
    if (history->links != NULL) {
        for (size_t i = 0; i < history->cluster->pop_count; i++) {
            ps_link_fini(&history->links[i]);
        }
        free(history->links);
    }
    ps_cluster_fini(history->cluster);
    free(history->cluster);
    free(history->scenario);
    free(history->foreign);
    free(history->downtimes);
    ps_intern_destroy(history->sessions);
    ps_intern_destroy(history->keys);
    ps_intern_destroy(history->requests);
    free(history->ops);
    free(history);
}

void ps_history_add(struct ps_history *history, const struct ps_op *op)
{
    history->ops =
        ps_grow(history->ops, history->op_count, &history->op_capacity, sizeof *history->ops);
    history->ops[history->op_count++] = *op;
}

/* What decides an operation's place; `at` makes the order total even if an id comes twice. */
struct place {
    ps_time_ns complete_ns;
    uint64_t id;
    size_t at;
};

static int compare_places(const void *left, const void *right)
{
    const struct place *a = left;
    const struct place *b = right;
    if (a->complete_ns != b->complete_ns) {
        return a->complete_ns < b->complete_ns ? -1 : 1;
    }
    if (a->id != b->id) {
        return a->id < b->id ? -1 : 1;
    }
    return a->at < b->at ? -1 : a->at > b->at;
}

static bool in_order(const struct ps_history *history)
{
    for (size_t i = 1; i < history->op_count; i++) {
        const struct ps_op *a = &history->ops[i - 1];
        const struct ps_op *b = &history->ops[i];
        if (a->complete_ns > b->complete_ns ||
            (a->complete_ns == b->complete_ns && a->id > b->id)) {
            return false;
        }
    }
    return true;
}

void ps_history_sort(struct ps_history *history)
{
    if (in_order(history)) {
        return;
    }
    struct place *places = PS_NEW_ARRAY(struct place, history->op_count);
    for (size_t i = 0; i < history->op_count; i++) {
        places[i] = (struct place){history->ops[i].complete_ns, history->ops[i].id, i};
    }
    qsort(places, history->op_count, sizeof *places, compare_places);
    struct ps_op *sorted = PS_NEW_ARRAY(struct ps_op, history->op_count);
    for (size_t i = 0; i < history->op_count; i++) {
        sorted[i] = history->ops[places[i].at];
    }
    free(places);
    free(history->ops);
    history->ops = sorted;
    history->op_capacity = history->op_count;
}
