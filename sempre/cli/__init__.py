"""The `sempre` command."""


def main() -> None:
    """Run the command line; ends the process. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 start-up failed."""
    from sempre.cli.app import run  # keeps `import sempre.cli` free of the command line's own libraries

    run()
