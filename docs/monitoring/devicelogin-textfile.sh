#!/bin/sh
# Metrics for the textfile collector of Prometheus' node_exporter, for a crontab line of the user whose sign-ins these are:
#   */15 * * * * /usr/local/bin/devicelogin-textfile.sh /var/lib/node_exporter/textfile/devicelogin.prom
# Alert on: devicelogin_person_needed > 0 or devicelogin_days_left < 7. It uses no network.
# devicelogin must be on the PATH of that crontab.
devicelogin status --check; printf 'devicelogin_person_needed %d\n' $(($? != 0)) >"$1.$$"
devicelogin status --json | python3 -c 'import json, sys
for profile in json.load(sys.stdin)["profiles"]:
    if profile["days_left"] is not None: print("devicelogin_days_left{profile=\"%(profile)s\"} %(days_left)d" % profile)' >>"$1.$$"
mv "$1.$$" "$1"
