"""The peers: the only package that knows pynetdicom.

pynetdicom logs identifiers and UIDs of patients by default (Law 7). Here it is silent, whichever module is used; what
matters is logged by them, as one line each.
"""

import logging

from pynetdicom import _config

logging.getLogger("pynetdicom").setLevel(logging.CRITICAL + 1)
_config.LOG_HANDLER_LEVEL = "none"
