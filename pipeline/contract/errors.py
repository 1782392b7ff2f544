"""The errors a user can meet; each message names the thing that is wrong and the way out."""


class GristmillError(Exception):
    """Base of every expected error; `exit_status` is what the command line returns for it."""

    exit_status = 1


class ConfigError(GristmillError):
    """The config or the command line says something that cannot be meant."""

    exit_status = 2


class PlanError(GristmillError):
    """The steps do not fit together, or the run folder holds something else."""

    exit_status = 2


class InputError(GristmillError):
    """An input file is missing, unreadable or changed under us."""

    exit_status = 2


class DataError(GristmillError):
    """A stage got, or made, data that breaks its contract."""


class InfeasibleError(GristmillError):
    """No mixture satisfies the constraints; the message names the binding ones."""


class BooksError(GristmillError):
    """In != out + dropped somewhere."""
