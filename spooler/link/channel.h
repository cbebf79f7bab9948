/* channel: one end of the SOCK_SEQPACKET pair between keeper and courier:
 * whole records, non-blocking, with a bounded queue of what could not be sent
 * yet. A descriptor travels with each WIRE_SEND and with no other kind. */
#ifndef ABIDE_LINK_CHANNEL_H
#define ABIDE_LINK_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include "spooler/link/wire.h"

struct channel;

/* Both ends, close-on-exec, non-blocking, with large buffers. */
int channel_pair(int fds[2], struct err *);

/* Takes the descriptor. */
struct channel *channel_new(int fd, struct err *);
void channel_free(struct channel *);    /* closes it and what waits in it */
int channel_fd(const struct channel *);

/* Encodes and sends, or queues; FD (or -1) is the channel's from here on, sent
 * or not. -1: the queue is full (EX_TEMPFAIL), the record cannot be encoded
 * (EX_SOFTWARE) or the other side is gone (EX_UNAVAILABLE). */
int channel_send(struct channel *, const struct wire_msg *, int fd, struct err *);

/* True while something waits to be written: poll for POLLOUT, then flush. */
bool channel_waiting(const struct channel *);
int channel_flush(struct channel *, struct err *);

/* Nothing more will be sent: the other side reads end of file, but may go on
 * talking. */
void channel_finish(struct channel *);

/* Receives one record. 1: *msg_r is valid until the next call; *fd_r is the
 * descriptor that came with it (caller's) or -1. 0: nothing there now.
 * -1: EX_UNAVAILABLE end of file or reset; EX_PROTOCOL a bad record
 * (truncated, control data truncated, more than one descriptor, one where
 * none belongs or none where one does, unparsable): what came with it was
 * closed. */
int channel_recv(struct channel *, const struct wire_msg **msg_r, int *fd_r, struct err *);

#endif
