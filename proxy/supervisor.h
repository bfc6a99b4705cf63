/* supervisor.h: telling whoever looks after the process which one it is.
 *
 * A process that takes over from another has a number of its own. It stands in a file (--pid-file), and systemd is told
 * by its protocol: a datagram "MAINPID=N" to the socket that $NOTIFY_SOCKET names (sd_notify(3)). */
#ifndef PROXY_SUPERVISOR_H
#define PROXY_SUPERVISOR_H

#include <sys/types.h>

/* Writes our number, in one step. NULL: there is no such file. What goes wrong is logged. */
void supervisor_write_pid(const char *path);
/* Removes the file if the number in it is ours. */
void supervisor_remove_pid(const char *path);
/* Without $NOTIFY_SOCKET nothing happens. */
void supervisor_tell_ready(void);
/* Another process is in our place. */
void supervisor_tell_successor(pid_t pid);

#endif
