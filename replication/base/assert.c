#include "replication/base/assert.h"

#include <stdio.h>
#include <stdlib.h>

enum { CONTEXT_SIZE = 256 };

/* Process-wide on purpose: what a failure prints must be reachable from anywhere. */
static char context[CONTEXT_SIZE];
static ps_assert_hook_fn current_hook;

ps_assert_hook_fn ps_assert_set_hook(ps_assert_hook_fn hook)
{
    ps_assert_hook_fn former = current_hook;
    current_hook = hook;
    return former;
}

void ps_assert_set_context(const char *text)
{
    (void)snprintf(context, sizeof context, "%s", text);
}

void ps_assert_failed(const char *expression, const char *file, int line)
{
    (void)fprintf(stderr, "popsim: assertion failed: %s (%s:%d)%s%s\n", expression, file, line,
                  context[0] == '\0' ? "" : "; ", context);
    if (current_hook != NULL) {
        current_hook(expression, file, line);
    }
    abort();
}
