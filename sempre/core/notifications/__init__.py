"""Notifications as requests to the services that deliver them. Values in, values out."""

from sempre.core.notifications.model import Mail, Message, Outgoing, Security, Unusable
from sempre.core.notifications.providers import PROVIDERS, requests_for

__all__ = ["PROVIDERS", "Mail", "Message", "Outgoing", "Security", "Unusable", "requests_for"]
