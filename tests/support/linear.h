/* Is a history of one key linearizable? The key is a register: absent (value 0) or one of values
 * that are each written at most once. Operations may be conditional, and their outcome unknown.
 *
 * Operations are put in an order one after the other, each only when no other one had completed
 * before it was invoked, and taken back where that leads nowhere (Wing and Gong, "Testing and
 * verifying concurrent objects", 1993); a set of operations that leads to a value is tried only
 * once (Lowe, "Testing for linearizability", 2017). In general this takes exponential time (Gibbons
 * and Korach, "Testing shared memories", 1997), but as many operations are under way at once as
 * there are clients, and few leave a choice. An operation whose outcome is unknown may take effect
 * at any time from its invocation on, or never: it is tried only where nothing else fits. */
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

#define LINEAR_UNSEEN UINT64_MAX /* in place of values that nobody saw; none that a caller has */

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
    struct linear_event *alike;      /* an earlier one that goes first; NULL = none */
    const struct linear_op *op;
    size_t index;
    uint64_t at_ns;
    bool completes;
};

/* Sets of operations of unknown outcome. */
struct linear_used {
    struct linear_used *next;
    uint64_t set[];
};

struct linear_seen {
    UT_hash_handle hh;
    struct linear_used *used;
    uint64_t key[]; /* the value, and the set of other operations that led to it */
};

struct linear_step {
    struct linear_event *event;
    uint64_t value;
};

struct linear {
    struct linear_event head;  /* of the list of those that are not in the order yet */
    struct linear_event maybe; /* the same of invocations with unknown outcomes */
    struct linear_op *ops;
    struct linear_event *events;
    struct linear_step *order;
    size_t count; /* of the order */
    size_t open;  /* completions that are not in it */
    size_t words; /* of a set */
    uint64_t *key;
    uint64_t *used;
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

static inline bool linear_is_seen(const struct linear_op *ops, size_t count, uint64_t value)
{
    for (size_t i = 0; i < count; i++) {
        if ((ops[i].kind == LINEAR_READ && ops[i].value == value) ||
            (ops[i].condition != LINEAR_ALWAYS && ops[i].expected == value)) {
            return true;
        }
    }
    return value == 0;
}

static inline bool linear_is_alike(const struct linear_op *a, const struct linear_op *b)
{
    return a->outcome == LINEAR_UNKNOWN && b->outcome == LINEAR_UNKNOWN && a->value == b->value &&
           a->condition == b->condition &&
           (a->condition == LINEAR_ALWAYS || a->expected == b->expected);
}

/* Writes of unknown outcome that do the same may be put in the order of their invocations: none has
 * to have taken effect before anything. That goes for all whose value nobody has seen, too. */
static inline void linear_find_alike(struct linear *linear)
{
    for (struct linear_event *event = linear->maybe.next; event != NULL; event = event->next) {
        struct linear_event *other = event->prev;
        while (other != &linear->maybe && !linear_is_alike(other->op, event->op)) {
            other = other->prev;
        }
        event->alike = other == &linear->maybe ? NULL : other;
    }
}

static inline void linear_init(struct linear *linear, const struct linear_op *ops, size_t count)
{
    size_t events = 0;
    *linear = (struct linear){.words = 1 + count / 64};
    linear->events = PS_NEW_ARRAY(struct linear_event, 2 * count + 1);
    linear->order = PS_NEW_ARRAY(struct linear_step, count + 1);
    linear->key = PS_NEW_ARRAY(uint64_t, 1 + linear->words);
    linear->used = PS_NEW_ARRAY(uint64_t, linear->words);
    linear->ops = PS_NEW_ARRAY(struct linear_op, count + 1);
    for (size_t i = 0; i < count; i++) {
        linear->ops[i] = ops[i];
        if (ops[i].outcome == LINEAR_UNKNOWN && !linear_is_seen(ops, count, ops[i].value)) {
            linear->ops[i].value = LINEAR_UNSEEN;
        }
        linear->events[events++] =
            (struct linear_event){.op = &linear->ops[i], .index = i, .at_ns = ops[i].invoke_ns};
        if (ops[i].outcome != LINEAR_UNKNOWN) {
            PS_ASSERT(ops[i].invoke_ns <= ops[i].complete_ns);
            linear->events[events++] = (struct linear_event){
                .op = &linear->ops[i], .index = i, .at_ns = ops[i].complete_ns, .completes = true};
            linear->open++;
        }
    }
    qsort(linear->events, events, sizeof *linear->events, linear_by_time);
    struct linear_event **invocations = PS_NEW_ARRAY(struct linear_event *, count + 1);
    struct linear_event *last[2] = {&linear->head, &linear->maybe};
    for (size_t i = 0; i < events; i++) {
        struct linear_event *event = &linear->events[i];
        size_t list = event->op->outcome == LINEAR_UNKNOWN;
        last[list]->next = event;
        event->prev = last[list];
        last[list] = event;
        if (event->completes) {
            invocations[event->index]->completion = event;
        } else {
            invocations[event->index] = event;
        }
    }
    free(invocations);
    linear_find_alike(linear);
}

static inline void linear_fini(struct linear *linear)
{
    struct linear_seen *seen = linear->seen;
    HASH_CLEAR(hh, linear->seen);
    while (seen != NULL) {
        struct linear_seen *next = seen->hh.next;
        while (seen->used != NULL) {
            struct linear_used *used = seen->used;
            seen->used = used->next;
            free(used);
        }
        free(seen);
        seen = next;
    }
    free(linear->ops);
    free(linear->events);
    free(linear->order);
    free(linear->key);
    free(linear->used);
}

/* The word of a set that has the operation. */
static inline uint64_t *linear_word(struct linear *linear, const struct linear_event *event)
{
    bool unknown = event->op->outcome == LINEAR_UNKNOWN;
    return (unknown ? linear->used : linear->key + 1) + event->index / 64;
}

static inline uint64_t linear_bit(const struct linear_event *event)
{
    return UINT64_C(1) << event->index % 64;
}

static inline bool linear_is_within(const uint64_t *small, const uint64_t *large, size_t words)
{
    bool within = true;
    for (size_t i = 0; i < words && within; i++) {
        within = (small[i] & ~large[i]) == 0;
    }
    return within;
}

/* Returns false when these operations have led to this value before, with no more of unknown
 * outcome among them: what could follow now could follow then. */
static inline bool linear_note(struct linear *linear, uint64_t value)
{
    struct linear_seen *seen;
    size_t size = (1 + linear->words) * sizeof *linear->key;
    linear->key[0] = value;
    HASH_FIND(hh, linear->seen, linear->key, size, seen);
    if (seen == NULL) {
        seen = ps_calloc(1, sizeof *seen + size);
        memcpy(seen->key, linear->key, size);
        HASH_ADD_KEYPTR(hh, linear->seen, seen->key, size, seen);
    }
    for (const struct linear_used *used = seen->used; used != NULL; used = used->next) {
        if (linear_is_within(used->set, linear->used, linear->words)) {
            return false;
        }
    }
    struct linear_used *used = ps_calloc(1, sizeof *used + linear->words * sizeof *used->set);
    memcpy(used->set, linear->used, linear->words * sizeof *used->set);
    used->next = seen->used;
    seen->used = used;
    return true;
}

/* May this operation be next? Sets the value behind it. One of unknown outcome that would change
 * nothing is as good as left out, and so is one whose value the next write overwrites: without
 * these there would be twice as much to try for each process that was killed. */
static inline bool linear_fits(struct linear *linear, const struct linear_event *event,
                               uint64_t value, uint64_t *ret)
{
    const struct linear_op *op = event->op;
    if (!linear_apply(op, value, ret)) {
        return false;
    }
    if (op->outcome == LINEAR_UNKNOWN &&
        (*ret == value || (event->alike != NULL &&
                           (*linear_word(linear, event->alike) & linear_bit(event->alike)) == 0))) {
        return false;
    }
    bool overwrites = op->kind == LINEAR_WRITE && op->condition == LINEAR_ALWAYS;
    return !overwrites || linear->count == 0 ||
           linear->order[linear->count - 1].event->op->outcome != LINEAR_UNKNOWN;
}

/* Put it into the order, if that leads to something new. */
static inline bool linear_push(struct linear *linear, struct linear_event *event, uint64_t value,
                               uint64_t next)
{
    *linear_word(linear, event) |= linear_bit(event);
    if (!linear_note(linear, next)) {
        *linear_word(linear, event) &= ~linear_bit(event);
        return false;
    }
    linear->order[linear->count++] = (struct linear_step){event, value};
    linear_take_out(event);
    if (event->completion != NULL) {
        linear_take_out(event->completion);
        linear->open--;
    }
    return true;
}

static inline struct linear_step linear_pop(struct linear *linear)
{
    struct linear_step step = linear->order[--linear->count];
    if (step.event->completion != NULL) {
        linear_put_back(step.event->completion);
        linear->open++;
    }
    linear_put_back(step.event);
    *linear_word(linear, step.event) &= ~linear_bit(step.event);
    return step;
}

/* What is next must have been invoked when this completed. */
static inline struct linear_event *linear_first_completion(struct linear *linear)
{
    struct linear_event *event = linear->head.next;
    while (event != NULL && !event->completes) {
        event = event->next;
    }
    return event;
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
        struct linear_event *first = linear_first_completion(&linear);
        PS_ASSERT(first != NULL); /* one is open */
        if (event == first) {     /* of unknown outcomes only when the others are tried */
            event = linear.maybe.next;
        }
        if (event != NULL && event->at_ns <= first->at_ns) {
            bool taken = linear_fits(&linear, event, value, &next) &&
                         linear_push(&linear, event, value, next);
            value = taken ? next : value;
            event = taken ? linear.head.next : event->next;
            continue;
        }
        if (ret_stuck != NULL && linear.count + 1 > longest) {
            longest = linear.count + 1;
            *ret_stuck = first->index;
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
