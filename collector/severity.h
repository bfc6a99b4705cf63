/* severity.h: how bad a log line is, from the words in use to OpenTelemetry's numbers. */
#ifndef COLLECTOR_SEVERITY_H
#define COLLECTOR_SEVERITY_H

#include "base/str.h"

#include <stdint.h>

/* The lowest number of the word's range ("warning": 13), in any case; 0 for a word that says nothing.
 * Source: opentelemetry.io/docs/specs/otel/logs/data-model, Severity. */
int64_t severity_number(struct str word);

#endif
