"""What can go wrong on the stage: one small class per kind of fault. `deck` deals them (deck.py), the storm strikes."""
