/* utf8: is it, and in which pieces. Pure. */
#ifndef ABIDE_COMMON_UTF8_H
#define ABIDE_COMMON_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* Length of the character at S (RFC 3629: shortest form, no surrogates, at
 * most U+10FFFF), 1 to 4, or 0: there is none. */
size_t utf8_char(const char *s, size_t len);

bool utf8_valid(const char *s, size_t len);

#endif
