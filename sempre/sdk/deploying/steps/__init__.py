"""Steps that a project file names: what builds a deployment, and what brings its code to where a run is executed."""
