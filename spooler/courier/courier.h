/* courier: the process that speaks to the world: one event loop with all
 * connections, DNS look-ups and their deadlines. Its only input is the link;
 * it opens no file. It holds no policy: it does what it is told and reports
 * what it was answered. */
#ifndef ABIDE_COURIER_COURIER_H
#define ABIDE_COURIER_COURIER_H

/* Runs until the keeper closes the link (then: no new transaction, those whose
 * final dot or last chunk has left may have their answer for 10 s, all others
 * are cut). Returns an exit status. */
int courier_main(int link_fd);

#endif
