"""Default values that an option and the code that it calls share; imports nothing."""

POOL = "shctl"
# Seconds. A stop also has a default for callers that pass None.
INSTALL_TIMEOUT = 7200.0
WAIT_TIMEOUT = 7200.0
STOP_TIMEOUT = 60.0
