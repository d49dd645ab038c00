/* SPDX-License-Identifier: BSD-2-Clause */
/* Addresses of a master, as a user may give them. */
#include <stdlib.h>
#include <string.h>

#include "agent/transport.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pw_error err = {.text = ""};
	char *text = strndup((const char *)data, size), *address;

	if (text == NULL)
		return 0;
	address = pw_transport_address(text, &err);
	if ((address == NULL) != (err.text[0] != '\0'))
		abort();
	free(address);
	free(text);
	return 0;
}
