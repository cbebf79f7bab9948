/* say: one line to the person who called, on stderr. */
#ifndef ABIDE_SENDMAIL_SAY_H
#define ABIDE_SENDMAIL_SAY_H

/* Without the newline; cut at a few thousand bytes, control bytes become '?'.
 * That it cannot be written changes nothing. */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
