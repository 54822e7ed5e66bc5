"""The checks of this machine, and the rehearsal of what cron will do."""
