"""The one exception that users of the command line are meant to see."""


class InputError(ValueError):
    """Something the user gave is wrong: a file, an option, a structure, a checkpoint.

    The message is one sentence that says what is wrong, where, and what to do.
    The command line prints it without a traceback and exits with status 2.
    """
