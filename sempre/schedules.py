"""When deployments run by themselves."""

from sempre.sdk.deploying.schedules import Cron, Interval, RRule, Schedule

__all__ = ["Cron", "Interval", "RRule", "Schedule"]
