"""The command line: global options, printing, exit codes."""
