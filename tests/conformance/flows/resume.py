"""Resumes a suspended flow run with typed input: `resume.py RUN_ID JSON`."""

import json
import sys

from prefect import resume_flow_run

if __name__ == "__main__":
    resume_flow_run(sys.argv[1], run_input=json.loads(sys.argv[2]))
