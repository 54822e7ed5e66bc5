#!/bin/sh
# A check for Nagios, Icinga or Checkmk, run as the user whose sign-ins these are. Arguments go to devicelogin:
#   check_devicelogin.sh --profile work
# CRITICAL: a person must sign in, or the sign-in ends within 7 days. WARNING: within 30 days. It uses no network.
# Of providers that do not say how long a sign-in lasts, it only tells whether a person is needed.
# devicelogin must be on the PATH.
json=$(devicelogin status "$@" --json) || { echo "DEVICELOGIN UNKNOWN - devicelogin status failed"; exit 3; }
devicelogin status "$@" --check || { echo "DEVICELOGIN CRITICAL - a person must run: devicelogin login"; exit 2; }
case $json in *'"level": "critical"'*) echo "DEVICELOGIN CRITICAL - a sign-in ends within 7 days"; exit 2 ;; esac
case $json in *'"level": "warning"'*) echo "DEVICELOGIN WARNING - a sign-in ends within 30 days"; exit 1 ;; esac
echo "DEVICELOGIN OK - nobody is needed"
