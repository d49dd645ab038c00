/* SPDX-License-Identifier: BSD-2-Clause */
/* What the code of tcp_twsk_unique() says about orphans in FIN_WAIT2. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernel/takeover.h"

#define SUBSTATE 0x8c
#define STAMP 0xe0

/* A load of the stamp, two of the substate, and what is neither but has the number in it. */
#if defined(__x86_64__)
#define LOAD_STAMP 0x8b, 0xae, STAMP, 0, 0, 0
#define LOAD_SUBSTATE 0x0f, 0xb6, 0x96, SUBSTATE, 0, 0, 0
#define LOAD_FROM_R12 0x41, 0x0f, 0xb6, 0x94, 0x24, SUBSTATE, 0, 0, 0
#define LOAD_OTHER 0x8b, 0x93, SUBSTATE - 12, 0, 0, 0, 0x0f, 0x84, SUBSTATE, 0, 0, 0, 0x0f, 0x85, SUBSTATE, 0, 0, 0
#elif defined(__aarch64__)
#define LOAD_STAMP 0x35, 0xe0, 0x40, 0xb9    /* ldr w21, [x1, #0xe0] */
#define LOAD_SUBSTATE 0x22, 0x30, 0x42, 0x39 /* ldrb w2, [x1, #0x8c] */
#define LOAD_FROM_R12 0x82, 0x31, 0x42, 0x39 /* ldrb w2, [x12, #0x8c] */
#define LOAD_OTHER 0x22, 0x8c, 0x40, 0xb9    /* ldr w2, [x1, #0x8c] */
#endif

#define ASK(...) \
	pw_takeover_ignores_substate( \
		(const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}), SUBSTATE, STAMP)

#ifdef LOAD_STAMP

static void a_function_that_never_looks_ignores_it(void **state)
{
	(void)state;
	assert_true(ASK(LOAD_STAMP));
	assert_true(ASK(LOAD_OTHER, LOAD_STAMP, LOAD_OTHER));
}

static void a_function_that_looks_does_not(void **state)
{
	(void)state;
	assert_false(ASK(LOAD_STAMP, LOAD_SUBSTATE));
	assert_false(ASK(LOAD_SUBSTATE, LOAD_OTHER, LOAD_STAMP));
	assert_false(ASK(LOAD_STAMP, LOAD_FROM_R12));
}

#else

static void a_function_that_never_looks_ignores_it(void **state)
{
	(void)state;
	skip();
}

static void a_function_that_looks_does_not(void **state)
{
	(void)state;
	skip();
}

#endif

static void what_is_not_understood_is_no_proof(void **state)
{
	(void)state;
	assert_false(pw_takeover_ignores_substate(NULL, 0, SUBSTATE, STAMP));
	assert_false(ASK(0));
	assert_false(ASK(STAMP, 0, 0));
	assert_false(ASK(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_function_that_never_looks_ignores_it),
		cmocka_unit_test(a_function_that_looks_does_not),
		cmocka_unit_test(what_is_not_understood_is_no_proof),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
