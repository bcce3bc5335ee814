"""Pauses or resumes a deployment: `pause_deployment.py ID pause|resume`."""

import sys
from uuid import UUID

from prefect import get_client

if __name__ == "__main__":
    with get_client(sync_client=True) as client:
        change = client.pause_deployment if sys.argv[2] == "pause" else client.resume_deployment
        change(UUID(sys.argv[1]))
