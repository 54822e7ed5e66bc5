"""What goes on when nobody is there: forecast, keep-alive, timer or crontab, hooks, being asked from afar."""
