"""The errors that users see, each with its exit code and HTTP status."""

from shctl.common.text import clean


class ShctlError(Exception):
    """An error with a one-line message that says what to do next.

    The base class is for unexpected errors; expected ones are its subclasses. Programs may rely on
    `exit_code`, `status` (of HTTP) and the word `code`, which never change; `title` is for people.
    """

    exit_code = 1
    status = 500
    code = "unexpected"
    title = "Unexpected failure"

    def __init__(self, detail: str, *, field: str | None = None) -> None:
        # Messages of libvirt and other programs may have several lines.
        super().__init__(" ".join(detail.split()))
        self.field = field

    @property
    def detail(self) -> str:
        """Return the message, one line without control characters."""
        return clean(str(self))

    def problem(self) -> dict[str, object]:
        """Return the error as problem details (RFC 9457)."""
        problem: dict[str, object] = {
            "type": "about:blank",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
        }
        return problem | {"field": clean(self.field)} if self.field else problem


class Interrupted(ShctlError):
    """Interrupted, by Ctrl-C or a signal."""

    exit_code = 130  # what a shell reports for a command that Ctrl-C ended
    code = "interrupted"
    title = "Interrupted"


class InvalidInput(ShctlError):
    """A value is wrong, missing, or names something that does not exist."""

    exit_code = 2
    status = 400
    code = "invalid_input"
    title = "Invalid input"


class NotFound(ShctlError):
    """The host or network that was asked for does not exist."""

    exit_code = 3
    status = 404
    code = "not_found"
    title = "Not found"


class Conflict(ShctlError):
    """Something already exists, is in use, or is in the wrong state."""

    exit_code = 4
    status = 409
    code = "conflict"
    title = "Conflict"


class TimedOut(ShctlError):
    """The time limit expired before the condition became true."""

    exit_code = 5
    status = 504
    code = "timeout"
    title = "Time is over"


class Unreachable(ShctlError):
    """libvirt or Open vSwitch does not answer."""

    exit_code = 6
    status = 503
    code = "unreachable"
    title = "Hypervisor not reachable"


class InstallFailed(ShctlError):
    """An installation failed, or its tree could not be fetched."""

    exit_code = 7
    status = 502
    code = "install_failed"
    title = "Installation failed"


class NoSpace(ShctlError):
    """The pool or file system is full, or the machine lacks the memory."""

    exit_code = 8
    status = 507
    code = "no_space"
    title = "No space left"


class Several(ShctlError):
    """Some of several names failed; `done` is what the others returned.

    The exit code is that of the first failure.
    """

    def __init__(self, failures: "list[ShctlError]", done: list[object]) -> None:
        super().__init__("; ".join(failure.detail for failure in failures))
        self.failures = failures
        self.done = done
        self.exit_code = failures[0].exit_code
        self.status = failures[0].status
        self.code = failures[0].code
        self.title = failures[0].title
