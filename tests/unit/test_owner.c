/* SPDX-License-Identifier: BSD-2-Clause */
/* Who holds a pool: pairs of control group and user, their shares, and what they are called. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "kernel/owner_names.h"
#include "count/owner.h"

/* --- counting ------------------------------------------------------------------------------------------------------- */

/* Counts n sockets of a pair. */
static void add(struct pw_owner_table *table, uint64_t cgroup, uint32_t uid, unsigned n)
{
	while (n-- > 0)
		pw_owner_table_count(table, pw_owner_table_number(table, cgroup, uid));
}

static void a_pair_keeps_its_number(void **state)
{
	struct pw_owner_table table = {0};

	(void)state;
	for (uint32_t i = 0; i < 3000; i++)
		assert_int_equal(pw_owner_table_number(&table, 100 + i / 2, i % 2), i + 1);
	for (uint32_t i = 3000; i-- > 0;)
		assert_int_equal(pw_owner_table_number(&table, 100 + i / 2, i % 2), i + 1);
	pw_owner_table_clear(&table);
	assert_int_equal(pw_owner_table_number(&table, 1600, 1), 1);
	pw_owner_table_free(&table);
}

static void the_largest_come_first(void **state)
{
	struct pw_owner_table table = {0};
	struct pw_owners owners;

	(void)state;
	pw_owner_table_start(&table);
	for (unsigned i = 1; i <= 20; i++)
		add(&table, i, 0, i * 7 % 20 + 1);
	pw_owner_table_result(&table, &owners);
	assert_int_equal(owners.owned, 210);
	assert_int_equal(owners.n, PW_OWNERS_MAX);
	for (size_t i = 0; i < owners.n; i++)
		assert_int_equal(owners.owner[i].sockets, 20 - i);
	pw_owner_table_start(&table);
	pw_owner_table_result(&table, &owners);
	assert_int_equal(owners.owned + owners.n, 0);
	pw_owner_table_free(&table);
}

/* Owners of one pool, read in parts of its sockets. */
static void parts_add_up(void **state)
{
	const struct pw_owners one = {.states.established = 9,
		.owned = 12,
		.n = 2,
		.owner = {{.cgroup = 7, .sockets = 8}, {.cgroup = 1, .uid = 5, .sockets = 3}}};
	const struct pw_owners other = {.states.established = 6,
		.owned = 9,
		.n = 2,
		.owner = {{.cgroup = 1, .uid = 5, .sockets = 6}, {.cgroup = 2, .sockets = 2}}};
	struct pw_owners owners = {0};

	(void)state;
	pw_owners_merge(&owners, &one);
	assert_memory_equal(&owners, &one, sizeof(one)); /* one that has no name among the largest counts as well */
	pw_owners_merge(&owners, &other);
	assert_int_equal(owners.states.established, 6);
	assert_int_equal(owners.owned, 21);
	assert_int_equal(owners.n, 3);
	assert_true(pw_owner_is(&owners.owner[0], 1, 5) && owners.owner[0].sockets == 9);
	assert_true(pw_owner_is(&owners.owner[1], 7, 0) && owners.owner[1].sockets == 8);
	assert_true(pw_owner_is(&owners.owner[2], 2, 0) && owners.owner[2].sockets == 2);
}

static void too_many_share_the_last_number(void **state)
{
	struct pw_owner_table table = {0};
	struct pw_owners owners;

	(void)state;
	for (uint32_t i = 0; i < PW_OWNER_NUMBERS + 10; i++)
		pw_owner_table_number(&table, 1, i);
	pw_owner_table_start(&table);
	add(&table, 1, PW_OWNER_NUMBERS - 2, 3); /* the last that has a number of its own */
	add(&table, 1, PW_OWNER_NUMBERS - 1, 5);
	add(&table, 1, PW_OWNER_NUMBERS + 5, 7);
	pw_owner_table_result(&table, &owners);
	assert_int_equal(owners.owned, 15);
	assert_int_equal(owners.n, 1);
	assert_int_equal(owners.owner[0].sockets, 3);
	pw_owner_table_free(&table);
}

/* --- the text ------------------------------------------------------------------------------------------------------- */

/* Group 7 is a service, group 8 a long name; everything else goes by its user, user 0 has no name. */
static void name(uint64_t cgroup, uint32_t uid, char *buf, size_t size, void *context)
{
	(void)context;
	if (cgroup == 7)
		snprintf(buf, size, "nginx.service");
	else if (cgroup == 8)
		snprintf(buf, size, "%0*d", (int)size - 1, 0);
	else if (uid != 0)
		snprintf(buf, size, "uid %u", uid);
}

static void expect_text(const struct pw_owners *owners, const char *expected)
{
	char text[PW_OWNER_TEXT_MAX];

	pw_owners_text(owners, name, NULL, text);
	assert_string_equal(text, expected);
}

static void the_share_shows_when_others_hold_some(void **state)
{
	(void)state;
	expect_text(&(struct pw_owners){0}, "");
	expect_text(&(struct pw_owners){.owned = 5, .n = 1, .owner = {{7, 33, 5}}}, "nginx.service");
	expect_text(
		&(struct pw_owners){.owned = 1000, .n = 2, .owner = {{7, 33, 999}, {1, 5, 1}}}, "nginx.service (99 %)");
	expect_text(&(struct pw_owners){.owned = 1000, .n = 1, .owner = {{7, 33, 4}}}, "nginx.service (0 %)");
	/* the users of one service are one owner, and outweigh who holds more than each of them */
	expect_text(&(struct pw_owners){.owned = 10, .n = 3, .owner = {{1, 5, 4}, {7, 33, 3}, {7, 0, 3}}},
		"nginx.service (60 %)");
	/* the same user in groups without a name */
	expect_text(&(struct pw_owners){.owned = 10, .n = 2, .owner = {{1, 5, 6}, {2, 5, 4}}}, "uid 5");
	/* without a name they count all the same */
	expect_text(&(struct pw_owners){.owned = 10, .n = 2, .owner = {{1, 0, 6}, {2, 5, 4}}}, "uid 5 (40 %)");
	expect_text(&(struct pw_owners){.owned = 10, .n = 1, .owner = {{1, 0, 10}}}, "");
}

static void the_longest_name_leaves_room_for_its_share(void **state)
{
	char text[PW_OWNER_TEXT_MAX];

	(void)state;
	pw_owners_text(&(struct pw_owners){.owned = 4, .n = 2, .owner = {{8, 0, 3}, {7, 0, 1}}}, name, NULL, text);
	assert_int_equal(strlen(text), PW_OWNER_NAME_MAX - 1 + strlen(" (75 %)"));
	assert_non_null(strstr(text, " (75 %)"));
}

/* --- names of control groups ---------------------------------------------------------------------------------------- */

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define SHOWN "container 0123456789ab"

static void paths_have_names(void **state)
{
	static const char *const cases[][2] = {
		{"/system.slice/nginx.service", "nginx.service"},
		{"/system.slice/system-getty.slice/getty@tty1.service", "getty@tty1.service"},
		{"/system.slice/worker.service/child/inner.scope", "worker.service"}, /* delegated: the outermost */
		{"/user.slice/user-1000.slice/session-3.scope", "session-3.scope"},
		{"/user.slice/user-1000.slice/user@1000.service", "user@1000.service"},
		{"/user.slice/user-1000.slice/user@1000.service/app.slice/sync.service", "sync.service"},
		{"/init.scope", "init.scope"},
		{"/system.slice/docker-" ID ".scope", SHOWN},
		{"/docker/" ID, SHOWN},
		{"/docker/" ID "/system.slice/nginx.service", SHOWN},
		{"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1.slice/cri-containerd-" ID ".scope",
			SHOWN},
		{"/system.slice/containerd.service/kubepods-besteffort-pod1.slice:cri-containerd:" ID, SHOWN},
		{"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" ID ".scope/container", SHOWN},
		{"/lxc.payload.web-1/system.slice/nginx.service", "container web-1"},
		{"/lxc.payload.", "/lxc.payload."},
		{"/batch/0123456789abcdef", "/batch/0123456789abcdef"}, /* no container's id: too short */
		{"/a" ID, "/a" ID},                                     /* too long */
		{"/system.slice", "/system.slice"},
		{"/.service/.scope", "/.service/.scope"},
		{"/evil\033[2J\n", "/evil?[2J?"},
		{"/", "/"},
		{"", ""},
	};
	char name[PW_OWNER_NAME_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		pw_cgroup_name(cases[i][0], strlen(cases[i][0]), "", name, sizeof(name));
		assert_string_equal(name, cases[i][1]);
	}
}

/* What a user may call anything he likes shows him first; the bar is where root's part of the path ends. */
static void delegated_names_show_their_user(void **state)
{
	static const char *const cases[][2] = {
		{"/user.slice/user-1000.slice/user@1000.service|/app.slice/nginx.service", "user alice: nginx.service"},
		{"/user.slice/user-1000.slice/user@1000.service|/user.slice/libpod-" ID ".scope/container",
			"user alice: " SHOWN},
		{"/user.slice/user-1000.slice/user@1000.service|/init.scope", "user alice: init.scope"},
		{"/user.slice/user-1000.slice/user@1000.service|/a/b", "user alice: a/b"},
		{"/user.slice/user-1000.slice/user@1000.service|", "user@1000.service"},
		{"/batch|/nginx.service", "user alice: nginx.service"},
		{"/batch|", "/batch"},
		{"/system.slice/worker.service|/nginx.service", "worker.service"},
		{"/docker/" ID "|/system.slice/nginx.service", SHOWN},
		{"/batch|/\xe2\x80\xae"
		 "ecivres\033.\xff",
			"user alice: ?ecivres?.?"},
	};
	char name[PW_OWNER_NAME_MAX], path[512];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t of_root = strcspn(cases[i][0], "|");

		snprintf(path, sizeof(path), "%.*s%s", (int)of_root, cases[i][0], cases[i][0] + of_root + 1);
		pw_cgroup_name(path, of_root, "user alice", name, sizeof(name));
		assert_string_equal(name, cases[i][1]);
	}
}

static void of_a_long_path_the_end_stays(void **state)
{
	char name[16];

	(void)state;
	pw_cgroup_name("/one/two/three/four", 19, "", name, sizeof(name));
	assert_string_equal(name, "...o/three/four");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pair_keeps_its_number),
		cmocka_unit_test(the_largest_come_first),
		cmocka_unit_test(parts_add_up),
		cmocka_unit_test(too_many_share_the_last_number),
		cmocka_unit_test(the_share_shows_when_others_hold_some),
		cmocka_unit_test(the_longest_name_leaves_room_for_its_share),
		cmocka_unit_test(paths_have_names),
		cmocka_unit_test(delegated_names_show_their_user),
		cmocka_unit_test(of_a_long_path_the_end_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
