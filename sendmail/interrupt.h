/* interrupt: signals that end the program while a message is being read. */
#ifndef ABIDE_SENDMAIL_INTERRUPT_H
#define ABIDE_SENDMAIL_INTERRUPT_H

#include <stdbool.h>

struct draft;

/* From here on such signals wait. */
void interrupt_hold(void);

/* Signals that waited, and those to come, remove the draft's file (NULL: there
 * is none) and end the program in their own way. Until interrupt_hold() the
 * draft must live. */
void interrupt_watch(const struct draft *);

/* While held: waits; true if one of these signals came or was waiting. */
bool interrupt_sleep(int ms);

#endif
