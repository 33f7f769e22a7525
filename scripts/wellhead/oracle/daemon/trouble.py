"""What is expected to fail now and then: the chain's node, the line to it, a disk."""

from __future__ import annotations

from requests.exceptions import RequestException
from sqlalchemy.exc import SQLAlchemyError
from web3.exceptions import Web3Exception

from wellhead.errors import Refused

# A node that answers nonsense raises ValueError.
TROUBLE = (Refused, Web3Exception, RequestException, SQLAlchemyError, OSError, ValueError)
