"""What the API promises about itself, held against anything a client may send."""
