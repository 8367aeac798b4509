"""The one exception that means "the user can mend this"."""


class UserError(Exception):
    """A mistake in a study, a plugin, a file or the environment.

    Its message is one line that names the file, the key and the reason. The
    command line prints it without a traceback and exits with status 2.
    """
