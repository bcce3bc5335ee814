"""Notifications as requests to the services that deliver them. Values in, values out."""

from sempre.core.notifications.model import Message, Outgoing, Unusable
from sempre.core.notifications.providers import PROVIDERS, requests_for

__all__ = ["PROVIDERS", "Message", "Outgoing", "Unusable", "requests_for"]
