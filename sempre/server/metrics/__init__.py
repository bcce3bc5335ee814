"""What a process and the installation tell a monitoring system, in the text format of Prometheus.

``requests`` counts what an API process answers, ``fleet`` asks the database what is true of all processes together,
``page`` puts them and the state of the process itself on one page.
"""
