/* SPDX-License-Identifier: BSD-2-Clause */
/* heap.h: octets that malloc() has given out */
#ifndef PW_TESTS_HEAP_H
#define PW_TESTS_HEAP_H

#include <malloc.h>

/* glibc before 2.33 (Debian 11) has mallinfo() alone, whose numbers are 32 bits wide: enough here. */
static inline size_t heap_used(void)
{
#if __GLIBC_PREREQ(2, 33)
	return mallinfo2().uordblks;
#else
	return (size_t)(unsigned)mallinfo().uordblks;
#endif
}

#endif
