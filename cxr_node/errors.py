"""The taxonomy of failures: what may be tried again, what may not, and what was never a failure.

Everything else that is raised is a bug in the node, and is recorded as such with its traceback.
"""


class CxrNodeError(Exception):
    """Base of the failures that the node foresees.

    `code` is a stable upper-case word for logs, tests and filters; the message is a sentence for a person, which names
    what was wrong, where, and where it helps what to do. Neither ever carries patient data.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class ConfigError(CxrNodeError):
    """The configuration cannot be used; the process ends with exit status 78 (EX_CONFIG)."""

    def __init__(self, message: str, code: str = "CONFIG") -> None:
        super().__init__(code, message)


class Ineligible(CxrNodeError):
    """The film is not one that the model may judge: the job is skipped, and the worklist shows the reason."""


class Transient(CxrNodeError):
    """It may work later (peer away, disk full, database busy): tried again with backoff."""


class Permanent(CxrNodeError):
    """It will not work by trying again (undecodable film, refused by the peer): held for the operator."""


def of_the_machine(error: Exception) -> bool:
    """Whether the machine failed (a disk that cannot be read, no memory) and not what it worked on.

    Libraries raise OSError for a file of wrong content too, but then without the number of a system call's failure.
    """
    return isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno is not None)
