"""The checks of this machine, and the rehearsal of what cron will do.

A check is a small function that looks at one thing and returns one `models.Finding`; where it raises one of our errors,
that error is the red line. Nothing is changed but by throw-away probes, and nothing is refreshed. `examination` puts the
checks into their order and gives each its time; the others each own one subject.
"""
