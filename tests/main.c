/* SPDX-License-Identifier: MIT */
/* Runs every suite, or those named on the command line. Closes with check's own summary line. */
#include "support.h"

static const struct {
	const char *name;
	Suite *(*make)(void);
} suites[] = {
#define SUITE(topic) { #topic, topic##_suite },
#include "suites.h"
#undef SUITE
	{ NULL, NULL },
};

static int
is_wanted(const char *name, int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (!strcmp(name, argv[i]))
			return 1;
	return argc < 2;
}

int
main(int argc, char **argv)
{
	SRunner *runner = srunner_create(NULL);
	for (size_t i = 0; suites[i].name; i++)
		if (is_wanted(suites[i].name, argc, argv))
			srunner_add_suite(runner, suites[i].make());
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	int ran = srunner_ntests_run(runner);
	srunner_free(runner);
	return failed == 0 && ran > 0 ? 0 : 1;
}
