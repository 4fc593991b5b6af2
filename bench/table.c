/* SPDX-License-Identifier: MIT */
/*
 * The table: two lines a cell, evq's and the floor's below it, the same
 * columns, and at the end of evq's line its rates divided by the floor's.
 */
#include "bench.h"

#include <stdio.h>
#include <string.h>

/* Digits in groups of three. */
void
table_number(char text[32], double value)
{
	char digits[24];
	size_t len, out = 0;

	(void)snprintf(digits, sizeof(digits), "%.0f", value < 1e15 ? value : 1e15);
	len = strlen(digits);
	for (size_t i = 0; i < len; i++) {
		if (i > 0 && (len - i) % 3 == 0)
			text[out++] = ',';
		text[out++] = digits[i];
	}
	text[out] = '\0';
}

/* Three digits that count. */
static void
micros(char text[16], double us)
{
	int decimals = us < 9.995 ? 2 : us < 99.95 ? 1 : 0;

	(void)snprintf(text, 16, "%.*f", decimals, us);
}

static void
print_call(const struct hist *h)
{
	char half[16], most[16], both[40];

	micros(half, hist_at_us(h, 0.50));
	micros(most, hist_at_us(h, 0.99));
	(void)snprintf(both, sizeof(both), "%s/%s", half, most);
	(void)printf(" %13s", both);
}

static void
print_side(const struct lane *l)
{
	const struct tally *t = l->tally;
	char text[32];

	(void)printf(" %-5s", l->side->name);
	for (int i = 0; i < FIGURES; i++) {
		table_number(text, series_median(&t->rate[i]));
		(void)printf(" %9s", text);
	}
	for (int i = 0; i < CALLS; i++)
		print_call(&t->calls[i]);
	if (t->written >= 0 && t->messages > 0)
		table_number(text, (double)t->written / (double)t->messages);
	else
		(void)strcpy(text, "-");
	(void)printf(" %9s", text);
}

void
table_head(void)
{
	(void)printf("\n%-21s %-5s %-39s %-41s %9s  %s\n", "", "", "messages per second", "us per call, p50/p99",
	    "bytes per", "evq / floor");
	(void)printf("%6s %5s %-8s %-5s", "body", "batch", "durable", "");
	(void)printf(" %9s %9s %9s %9s", "send", "receive", "delete", "life");
	(void)printf(" %13s %13s %13s %9s ", "send", "receive", "delete", "message");
	(void)printf(" %5s %5s %5s %5s\n", "send", "recv", "del", "life");
}

void
table_cell(const struct lane *evq, const struct lane *floor)
{
	(void)printf("%6zu %5zu %-8s", evq->cell.body_len, evq->cell.batch, options_modes[evq->cell.mode]);
	print_side(evq);
	(void)printf(" ");
	for (int i = 0; i < FIGURES; i++)
		(void)printf(" %5.2f", series_ratio(&evq->tally->rate[i], &floor->tally->rate[i]));
	(void)printf("\n%21s", "");
	print_side(floor);
	(void)printf("\n");
	(void)fflush(stdout);
}

static int
missed(const struct target *t)
{
	return t->relation[0] == '>' ? t->measured < t->wanted : t->measured > t->wanted;
}

void
table_targets(const struct bench *b)
{
	char measured[32], wanted[32];

	if (b->target_count > 0)
		(void)printf("\n%-62s %12s %14s\n", "summary", "measured", "target");
	for (size_t i = 0; i < b->target_count; i++) {
		const struct target *t = &b->targets[i];

		if (t->wanted < 1000) {
			(void)snprintf(measured, sizeof(measured), "%.2f", t->measured);
			(void)snprintf(wanted, sizeof(wanted), "%.2f", t->wanted);
		} else {
			table_number(measured, t->measured);
			table_number(wanted, t->wanted);
		}
		(void)printf("%-62s %12s %3s %10s%s\n", t->what, measured, t->relation, wanted,
		    missed(t) ? "  missed" : "");
	}
}
