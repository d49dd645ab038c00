#include "daemon/privileges.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <unistd.h>

static int keep_capabilities(const struct pw_privileges *keep)
{
	cap_value_t list[4];
	int n = 0, status;
	cap_t caps = cap_init(); /* all flags cleared */

	if (caps == NULL)
		return -1;
	if (keep->probe)
		list[n++] = CAP_NET_ADMIN;
	if (keep->low_port)
		list[n++] = CAP_NET_BIND_SERVICE;
	if (keep->namespaces) {
		list[n++] = CAP_SYS_ADMIN;
		list[n++] = CAP_SYS_PTRACE;
	}
	status = cap_set_flag(caps, CAP_PERMITTED, n, list, CAP_SET);
	if (status == 0)
		status = cap_set_flag(caps, CAP_EFFECTIVE, n, list, CAP_SET);
	if (status == 0)
		status = cap_set_proc(caps);
	cap_free(caps);
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
