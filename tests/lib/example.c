/*
 * Writes a program's example settings to standard output, or compares them with a file: exit 1 when
 * they differ. Which program is a matter of how this is compiled.
 */
#include <stdio.h>

#include "base/file.h"
#include EXAMPLE_HEADER

enum { EXAMPLE_MAX = 256 * 1024 };

int main(int argc, char **argv)
{
    BUF_AUTO example = BUF(EXAMPLE_MAX);
    BUF_AUTO there = BUF(EXAMPLE_MAX);
    if (config_example(&EXAMPLE_PROGRAM, &example).code != ERR_OK)
        return 1;
    if (argc < 2)
        return fputs(buf_str(&example), stdout) < 0;
    (void)file_read(&there, argv[1]);
    if (bytes_equal(buf_view(&there), buf_view(&example)))
        return 0;
    printf("%s is not what the table of settings says; write it anew:\n  %s > %s\n", argv[1],
           argv[0], argv[1]);
    return 1;
}
