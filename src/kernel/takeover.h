/* SPDX-License-Identifier: BSD-2-Clause */
/* takeover.h: whether connect() takes orphans in FIN_WAIT2 over
 *
 * connect() asks tcp_twsk_unique() whether it may have the port of a TIME_WAIT socket, and orphans in FIN_WAIT2 are
 * sockets of that kind as well. Kernels of before autumn 2024 make no difference between both. Stable releases were
 * mended one by one and distributions have versions of their own, so what tells is the function itself: one that never
 * looks at tw_substate makes no difference. */
#ifndef PW_KERNEL_TAKEOVER_H
#define PW_KERNEL_TAKEOVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* `code` is the function as this machine runs it, and some of what follows; the others are the places of tw_substate
 * and tw_ts_recent_stamp in a TIME_WAIT socket. False also where that can't be told: if no load of the stamp is found,
 * which the function certainly needs, it is not understood; nor is it on other machines than x86-64 and arm64. */
bool pw_takeover_ignores_substate(const uint8_t *code, size_t size, uint32_t substate, uint32_t stamp);

#endif
