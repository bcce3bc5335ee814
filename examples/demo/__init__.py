"""`python -m examples.demo`: a server, a worker and a scheduled pipeline, with a kill -9 of the server half-way."""
