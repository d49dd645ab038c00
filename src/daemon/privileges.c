/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/privileges.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <unistd.h>

/* Older headers lack it. */
#ifndef CAP_PERFMON
#define CAP_PERFMON 38
#endif

/* What needs a capability that a process in a container may lack is reported as unavailable later, and no reason not to start. */
static int add_if_permitted(cap_t caps, cap_t now, bool wanted, cap_value_t capability)
{
	cap_flag_value_t permitted = CAP_CLEAR;

	if (!wanted || cap_get_flag(now, capability, CAP_PERMITTED, &permitted) < 0 || permitted == CAP_CLEAR)
		return 0;
	if (cap_set_flag(caps, CAP_PERMITTED, 1, &capability, CAP_SET) < 0)
		return -1;
	return cap_set_flag(caps, CAP_EFFECTIVE, 1, &capability, CAP_SET);
}

static int keep_capabilities(const struct pw_privileges *keep)
{
	const struct {
		bool wanted;
		cap_value_t capability;
	} list[] = {
		{keep->net_admin, CAP_NET_ADMIN},
		{keep->low_port, CAP_NET_BIND_SERVICE},
		{keep->failures, CAP_PERFMON},
		{keep->namespaces, CAP_SYS_ADMIN},
		{keep->namespaces, CAP_SYS_PTRACE},
	};
	cap_t caps = cap_init() /* all flags cleared */, now = cap_get_proc();
	int status = caps != NULL && now != NULL ? 0 : -1;

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]) && status == 0; i++)
		status = add_if_permitted(caps, now, list[i].wanted, list[i].capability);
	if (status == 0)
		status = cap_set_proc(caps);
	cap_free(caps);
	cap_free(now);
	return status;
}

int pw_privileges_drop(const char *user, const struct pw_privileges *keep, struct pw_error *err)
{
	const struct passwd *pw;

	errno = 0;
	pw = getpwnam(user);
	if (pw == NULL)
		return pw_error_set(err, "user %s: %s", user,
			errno != 0 ? strerror(errno) : "unknown, expected the name of an account");
	if (geteuid() != 0)
		return pw_error_set(err, "-u %s: only root can become another user", user);
	if (initgroups(pw->pw_name, pw->pw_gid) < 0 || setgid(pw->pw_gid) < 0)
		return pw_error_set(err, "groups of user %s: %s", user, strerror(errno));
	if (prctl(PR_SET_KEEPCAPS, 1) < 0 || setuid(pw->pw_uid) < 0)
		return pw_error_set(err, "user %s: %s", user, strerror(errno));
	if (keep_capabilities(keep) < 0)
		return pw_error_set(err, "capabilities of user %s: %s", user, strerror(errno));
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return pw_error_set(err, "no_new_privs: %s", strerror(errno));
	return 0;
}
