/* events: what a session has to tell, in order, until its owner asks. Small
 * records; their text lies together and is dropped when all were taken. */
#ifndef ABIDE_COURIER_EVENTS_H
#define ABIDE_COURIER_EVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "spooler/courier/session.h"

struct events;

struct events *events_new(void);        /* NULL: no memory */
void events_free(struct events *);

void events_ready(struct events *, const struct wire_up *);     /* *UP must stay */
void events_rcpt(struct events *, uint32_t flight, uint16_t index, enum phase, const struct reply *);
void events_done(struct events *, uint32_t flight, enum wire_ended);
void events_over(struct events *, enum wire_why, enum phase, const struct reply *);

/* A line of dialogue: PREFIX, then TEXT, cut to WIRE_TEXT_MAX. Dropped where too many wait. */
void events_said(struct events *, uint32_t flight, const char *prefix, const char *text, size_t len);

bool events_next(struct events *, struct session_event *);

#endif
