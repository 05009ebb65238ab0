"""What glot raises when a person, not a programmer, has to act."""


class GlotError(Exception):
    """A fault in what the user gave: one line that names the file, what is wrong and what to do.

    The command line prints the line and exits with status 1; library callers catch it.
    """


class UsageError(GlotError):
    """A wrong combination of options: the command line exits with status 2."""
