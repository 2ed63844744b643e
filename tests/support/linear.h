/* Is a history of one key linearizable? The key is a register: absent (value 0) or one of values
 * that are each written at most once. Operations may be conditional, and their outcome unknown.
 *
 * Operations are put in an order one after the other, each only when no other one had completed
 * before it was invoked, and taken back where that leads nowhere (Wing and Gong, "Testing and
 * verifying concurrent objects", 1993); a set of operations that leads to a value is tried only
 * once (Lowe, "Testing for linearizability", 2017). In general this takes exponential time (Gibbons
 * and Korach, "Testing shared memories", 1997), but as many operations are under way at once as
 * there are clients, and few leave a choice. An operation whose outcome is unknown may take effect
 * at any time from its invocation on, or never. */
#ifndef PS_TESTS_SUPPORT_LINEAR_H
#define PS_TESTS_SUPPORT_LINEAR_H

#include "replication/base/assert.h"
#include "replication/base/hash.h"
#include "replication/base/memory.h"

#include <stdlib.h>
#include <string.h>

enum linear_kind { LINEAR_READ, LINEAR_WRITE };

enum linear_condition { LINEAR_ALWAYS, LINEAR_IF, LINEAR_IF_NOT };

enum linear_outcome {
    LINEAR_DONE,
    LINEAR_REFUSED, /* a condition did not hold */
    LINEAR_UNKNOWN
};

struct linear_op {
    enum linear_kind kind;
    enum linear_condition condition; /* of a write: the value is (not) `expected` */
    enum linear_outcome outcome;
    uint64_t value;    /* read or written; 0 = absent (a delete) */
    uint64_t expected; /* 0 = absent */
    uint64_t invoke_ns;
    uint64_t complete_ns; /* of an unknown outcome it does not matter */
    uint64_t tag;         /* the caller's */
};

/* An invocation or a completion, in the order of time. */
struct linear_event {
    struct linear_event *next;
    struct linear_event *prev;
    struct linear_event *completion; /* of an invocation; NULL = never */
    const struct linear_op *op;
    size_t index;
    uint64_t at_ns;
    bool completes;
};

struct linear_seen {
    UT_hash_handle hh;
    uint64_t key[]; /* the value, and the set of operations that led to it */
};

struct linear_step {
    struct linear_event *event;
    uint64_t value;
};

struct linear {
    struct linear_event head; /* of the list of those that are not in the order yet */
    struct linear_event *events;
    struct linear_step *order;
    size_t count; /* of the order */
    size_t open;  /* completions that are not in it */
    uint64_t *key;
    size_t key_size;
    struct linear_seen *seen;
};

/* Can it take effect at this value, as it ended? Sets the value behind it. */
static inline bool linear_apply(const struct linear_op *op, uint64_t value, uint64_t *ret)
{
    bool holds =
        op->condition == LINEAR_ALWAYS || (op->condition == LINEAR_IF) == (op->expected == value);
    *ret = op->kind == LINEAR_WRITE && holds ? op->value : value;
    if (op->kind == LINEAR_READ) {
        return op->value == value;
    }
    return op->outcome == LINEAR_UNKNOWN || holds == (op->outcome == LINEAR_DONE);
}

static inline int linear_by_time(const void *left, const void *right)
{
    const struct linear_event *a = left;
    const struct linear_event *b = right;
    if (a->at_ns != b->at_ns) {
        return a->at_ns < b->at_ns ? -1 : 1;
    }
    if (a->completes != b->completes) {
        return a->completes ? 1 : -1; /* at the same instant: both orders are allowed */
    }
    return a->index < b->index ? -1 : a->index > b->index;
}

static inline void linear_take_out(struct linear_event *event)
{
    event->prev->next = event->next;
    if (event->next != NULL) {
        event->next->prev = event->prev;
    }
}

static inline void linear_put_back(struct linear_event *event)
{
    event->prev->next = event;
    if (event->next != NULL) {
        event->next->prev = event;
    }
}

/* What a write of unknown outcome did that nobody saw is nothing: where no condition was decided by
 * another value than the one it names, the history is linearizable with it if it is without. There
 * are many of these when processes are killed, and each would double what is to be tried. */
static inline bool linear_is_idle(const struct linear_op *ops, size_t count, size_t index)
{
    if (ops[index].outcome != LINEAR_UNKNOWN || ops[index].value == 0) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        bool read = ops[i].kind == LINEAR_READ && ops[i].value == ops[index].value;
        bool named = ops[i].condition != LINEAR_ALWAYS && ops[i].expected == ops[index].value;
        bool later = ops[i].complete_ns >= ops[index].invoke_ns;
        bool by_other = ops[i].outcome == LINEAR_REFUSED || ops[i].condition == LINEAR_IF_NOT;
        if (read || named || (by_other && later)) {
            return false;
        }
    }
    return true;
}

static inline void linear_init(struct linear *linear, const struct linear_op *ops, size_t count)
{
    size_t events = 0;
    *linear = (struct linear){.key_size = 8 * (2 + count / 64)};
    linear->events = PS_NEW_ARRAY(struct linear_event, 2 * count + 1);
    linear->order = PS_NEW_ARRAY(struct linear_step, count + 1);
    linear->key = ps_calloc(1, linear->key_size);
    for (size_t i = 0; i < count; i++) {
        if (linear_is_idle(ops, count, i)) {
            continue;
        }
        linear->events[events++] =
            (struct linear_event){.op = &ops[i], .index = i, .at_ns = ops[i].invoke_ns};
        if (ops[i].outcome != LINEAR_UNKNOWN) {
            PS_ASSERT(ops[i].invoke_ns <= ops[i].complete_ns);
            linear->events[events++] = (struct linear_event){
                .op = &ops[i], .index = i, .at_ns = ops[i].complete_ns, .completes = true};
            linear->open++;
        }
    }
    qsort(linear->events, events, sizeof *linear->events, linear_by_time);
    struct linear_event **invocations = PS_NEW_ARRAY(struct linear_event *, count + 1);
    struct linear_event *last = &linear->head;
    for (size_t i = 0; i < events; i++) {
        struct linear_event *event = &linear->events[i];
        last->next = event;
        event->prev = last;
        last = event;
        if (event->completes) {
            invocations[event->index]->completion = event;
        } else {
            invocations[event->index] = event;
        }
    }
    free(invocations);
}

static inline void linear_fini(struct linear *linear)
{
    struct linear_seen *seen = linear->seen;
    HASH_CLEAR(hh, linear->seen);
    while (seen != NULL) {
        struct linear_seen *next = seen->hh.next;
        free(seen);
        seen = next;
    }
    free(linear->events);
    free(linear->order);
    free(linear->key);
}

/* Returns false when this set of operations has led to this value before. */
static inline bool linear_note(struct linear *linear, size_t index, uint64_t value)
{
    struct linear_seen *seen;
    linear->key[0] = value;
    linear->key[1 + index / 64] |= UINT64_C(1) << index % 64;
    HASH_FIND(hh, linear->seen, linear->key, linear->key_size, seen);
    if (seen != NULL) {
        linear->key[1 + index / 64] &= ~(UINT64_C(1) << index % 64);
        return false;
    }
    seen = ps_calloc(1, sizeof *seen + linear->key_size);
    memcpy(seen->key, linear->key, linear->key_size);
    HASH_ADD_KEYPTR(hh, linear->seen, seen->key, linear->key_size, seen);
    return true;
}

static inline void linear_push(struct linear *linear, struct linear_event *event, uint64_t value)
{
    linear->order[linear->count++] = (struct linear_step){event, value};
    linear_take_out(event);
    if (event->completion != NULL) {
        linear_take_out(event->completion);
        linear->open--;
    }
}

static inline struct linear_step linear_pop(struct linear *linear)
{
    struct linear_step step = linear->order[--linear->count];
    if (step.event->completion != NULL) {
        linear_put_back(step.event->completion);
        linear->open++;
    }
    linear_put_back(step.event);
    linear->key[1 + step.event->index / 64] &= ~(UINT64_C(1) << step.event->index % 64);
    return step;
}

/** Is there an order? The register is `value` before all of them. If not, *ret_stuck (may be NULL)
 *  is an operation that fits nowhere behind the longest order that was found. */
static inline bool linear_check(const struct linear_op *ops, size_t count, uint64_t value,
                                size_t *ret_stuck)
{
    struct linear linear;
    linear_init(&linear, ops, count);
    struct linear_event *event = linear.head.next;
    size_t longest = 0;
    bool found = true;
    while (linear.open > 0 && found) {
        uint64_t next;
        if (event != NULL && !event->completes) {
            if (linear_apply(event->op, value, &next) && linear_note(&linear, event->index, next)) {
                linear_push(&linear, event, value);
                value = next;
                event = linear.head.next;
            } else {
                event = event->next;
            }
            continue;
        }
        PS_ASSERT(event != NULL); /* one that completes is before the end */
        if (ret_stuck != NULL && linear.count + 1 > longest) {
            longest = linear.count + 1;
            *ret_stuck = event->index;
        }
        found = linear.count > 0;
        if (found) {
            struct linear_step step = linear_pop(&linear);
            value = step.value;
            event = step.event->next;
        }
    }
    linear_fini(&linear);
    return found;
}

#endif
