"""The engine: runs as generators of effects, and the two drivers that carry these out."""
