"""Filters of the list endpoints: which rows are wanted. One file per resource group, common parts in ``common``."""
