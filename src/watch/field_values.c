/* SPDX-License-Identifier: BSD-2-Clause */
/* How the values that fields.c describes are read and written */
#include <stdio.h>
#include <string.h>

#include "watch/fields.h"

void pw_field_read(
	const struct pw_field *field, const struct pw_context *context, const void *row, struct pw_field_value *value)
{
	const void *from = field->of == PW_OF_CONTEXT ? context
		: field->of == PW_OF_POOL ? &context->snapshot->pools[((const struct pw_alarm_row *)row)->pool]
					  : row;
	const void *at = (const char *)from + field->offset;
	uint64_t then_ms;

	switch ((enum pw_storage)field->storage) {
	case PW_IN_NONE: break;
	case PW_IN_U8: value->number = *(const uint8_t *)at; break;
	case PW_IN_U16: value->number = *(const uint16_t *)at; break;
	case PW_IN_U32: value->number = *(const uint32_t *)at; break;
	case PW_IN_I32: value->number = *(const int32_t *)at; break;
	case PW_IN_U64: memcpy(&value->number, at, sizeof(value->number)); break;
	case PW_IN_TEXT: value->text = *(const char *const *)at; break;
	case PW_IN_CHARS: value->text = at; break;
	case PW_IN_DATE: value->date = *(const struct timespec *)at; break;
	case PW_IN_SERIES: value->series = *(const struct pw_series *)at; break;
	case PW_IN_KEY: value->row = at; break;
	case PW_IN_FLAG: value->number = *(const bool *)at ? field->yes : 3 - field->yes; break;
	case PW_IN_AGE:
		memcpy(&then_ms, at, sizeof(then_ms));
		value->number = field->never && then_ms == 0 ? UINT32_MAX : pw_age_ms(context, then_ms) / 1000;
		break;
	case PW_IN_CALL: field->get(context, row, value); break;
	}
	if (field->syntax == PW_SYNTAX_TEXT && value->text == NULL)
		value->text = "";
}

void pw_field_write(
	const struct pw_field *field, struct pw_context *context, void *row, const struct pw_field_value *value)
{
	void *at = (field->of == PW_OF_CONTEXT ? (char *)context : (char *)row) + field->offset;
	uint64_t age = (uint64_t)value->number * 1000, then_ms;

	if (field->of == PW_OF_POOL)
		return;
	switch ((enum pw_storage)field->storage) {
	case PW_IN_NONE:
	case PW_IN_KEY: break;
	case PW_IN_U8: *(uint8_t *)at = (uint8_t)value->number; break;
	case PW_IN_U16: *(uint16_t *)at = (uint16_t)value->number; break;
	case PW_IN_U32: *(uint32_t *)at = (uint32_t)value->number; break;
	case PW_IN_I32: *(int32_t *)at = (int32_t)value->number; break;
	case PW_IN_U64: memcpy(at, &value->number, sizeof(value->number)); break;
	case PW_IN_TEXT: *(const char **)at = value->text; break;
	case PW_IN_CHARS: snprintf(at, field->size, "%s", value->text); break;
	case PW_IN_DATE: *(struct timespec *)at = value->date; break;
	case PW_IN_SERIES: *(struct pw_series *)at = value->series; break;
	case PW_IN_FLAG: *(bool *)at = value->number == field->yes; break;
	case PW_IN_AGE: /* 0, which is never, can't come of an age */
		then_ms = context->now_ms > age ? context->now_ms - age : 1;
		if (field->never && value->number == UINT32_MAX)
			then_ms = 0;
		memcpy(at, &then_ms, sizeof(then_ms));
		break;
	case PW_IN_CALL:
		if (field->set != NULL)
			field->set(context, row, value);
		break;
	}
}

bool pw_field_in_json(const struct pw_field *field, bool daemon)
{
	return field->json ||
		(daemon && field->storage != PW_IN_NONE && field->syntax != PW_SYNTAX_ROW &&
			field->syntax != PW_SYNTAX_TIMESTAMP);
}

int pw_field_value_of(const struct pw_field *field, const char *word)
{
	for (int value = 0; value < 256; value++)
		if (strcmp(field->word((unsigned)value), word) == 0 && strcmp(word, "unknown") != 0)
			return value;
	return -1;
}

const struct pw_field *pw_field_by_name(const struct pw_fields *fields, const char *name)
{
	for (size_t i = 0; i < fields->n; i++)
		if (strcmp(fields->fields[i].name, name) == 0)
			return &fields->fields[i];
	return NULL;
}

const struct pw_field *pw_field_from(const struct pw_fields *fields, uint32_t number)
{
	const struct pw_field *first = NULL;

	for (size_t i = 0; i < fields->n; i++) {
		const struct pw_field *field = &fields->fields[i];

		if (field->number >= number && field->number != 0 && !field->index &&
			(first == NULL || field->number < first->number))
			first = field;
	}
	return first;
}
