/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernel/input.h"

#include <errno.h>
#include <string.h>

#include "kernel/capture.h"

int pw_input_open(struct pw_input *input, enum pw_stream stream, const void *request, size_t len)
{
	int rc = input->ops->open(input->self, stream, request, len);

	if (input->record != NULL) {
		pw_record_stream(input->record, stream);
		if (rc < 0)
			pw_record_failure(input->record, -rc);
	}
	return rc;
}

ssize_t pw_input_read(struct pw_input *input, void *buf, size_t size, uint32_t *sender)
{
	ssize_t n;

	*sender = 0;
	n = input->ops->read(input->self, buf, size, sender);
	if (input->record != NULL && *sender == 0) {
		if (n > 0)
			pw_record_data(input->record, buf, (size_t)n);
		else if (n < 0)
			pw_record_failure(input->record, (int)-n);
	}
	return n;
}

void pw_input_close(struct pw_input *input)
{
	input->ops->close(input->self);
}

void pw_input_free(struct pw_input *input)
{
	if (input->ops != NULL && input->ops->free != NULL)
		input->ops->free(input->self);
	input->ops = NULL;
}

/* Until a read gives nothing: /proc may hand out a text in pieces. */
static ssize_t read_all(struct pw_input *input, char *buf, size_t size)
{
	size_t len = 0;
	uint32_t sender;
	ssize_t n;

	while (len < size) {
		n = pw_input_read(input, buf + len, size - len, &sender);
		if (n < 0)
			return n;
		if (n == 0) {
			buf[len] = '\0';
			return strlen(buf) == len ? (ssize_t)len : -EILSEQ;
		}
		len += (size_t)n;
	}
	return -ENOBUFS;
}

ssize_t pw_input_text(struct pw_input *input, enum pw_stream stream, char *buf, size_t size)
{
	int rc = pw_input_open(input, stream, NULL, 0);
	ssize_t n;

	if (rc < 0)
		return rc;
	n = read_all(input, buf, size);
	pw_input_close(input);
	return n;
}
