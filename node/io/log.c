#include "node/io/node_internal.h"

#include <stdarg.h>
#include <stdio.h>

void ps_node_log(const struct ps_node *node, enum ps_log_level level, const char *subsystem,
                 const char *format, ...)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};
    struct timespec now;
    struct tm parts;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    char text[32] = "";
    if (gmtime_r(&now.tv_sec, &parts) != NULL) {
        (void)strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
    }
    /* One write a line: the log file is shared with what the C library may print. */
    struct ps_buf line = {0};
    ps_buf_printf(&line, "%s.%03ldZ %s %s %s ", text, now.tv_nsec / 1000000, names[level],
                  node->code == NULL ? "-" : node->code, subsystem);
    char message[1024];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(message, sizeof message, format, args);
    va_end(args);
    ps_buf_printf(&line, "%s\n", message);
    (void)fwrite(line.data, 1, line.size, stderr);
    ps_buf_fini(&line);
}
