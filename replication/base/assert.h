/* Assertions that stay in every build: a simulator exists to find what they find.
 *
 * A failure prints the expression, the place and the run's context (seed, virtual time, PoP), then
 * calls the hook, then aborts. Tests replace the hook to see a failure without dying. */
#ifndef PS_REPLICATION_BASE_ASSERT_H
#define PS_REPLICATION_BASE_ASSERT_H

/** Called after the report is printed and before abort(). A hook that does not return (longjmp)
 *  keeps the process alive. */
typedef void (*ps_assert_hook_fn)(const char *expression, const char *file, int line);

/** Replace the hook; NULL restores the default. Returns the former one. */
ps_assert_hook_fn ps_assert_set_hook(ps_assert_hook_fn hook);

/** Text printed with every failure: what a person needs to replay the run. Copied (255 bytes). */
void ps_assert_set_context(const char *text);

_Noreturn void ps_assert_failed(const char *expression, const char *file, int line);

#define PS_ASSERT(expression)                                                                      \
    ((expression) ? (void)0 : ps_assert_failed(#expression, __FILE__, __LINE__))
#define PS_NOT_REACHED() ps_assert_failed("not reached", __FILE__, __LINE__)

#endif
