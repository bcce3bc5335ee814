"""The names of schemas under which existing code imports them."""
