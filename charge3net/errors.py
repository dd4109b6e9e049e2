"""The exception for wrong input."""


class InputError(ValueError):
    """Wrong input from the user: a file, an option, a structure, a checkpoint.

    The message is one sentence: what is wrong, where, and what to do.
    The command line prints it without a traceback and exits with status 2.
    """
