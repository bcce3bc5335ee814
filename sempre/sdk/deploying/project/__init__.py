"""Project files: the deployments of a directory, in `sempre.yaml`."""
