"""shctl: a rack of throw-away machines on one staging hypervisor."""

__version__ = "0.1.0"
