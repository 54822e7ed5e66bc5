"""The command line: one file per command, arguments in, results to stdout, exit code. Only here is stdout written (D11)."""
