# Runs a command on the machine of the pictures: stage.sh DIRECTORY COMMAND..., in new mount, network and UTS namespaces.
#
# The machine is called cellar-pi. Its only user, ada, who runs the command, has a home on the disk that DIRECTORY is on. Its
# network has one address, of those set aside for documentation (RFC 5737), which has Entra's names; any user may listen on
# port 443 there. It trusts whom the command writes into DIRECTORY/ca.pem. All other files are those of the real machine.
set -eu
stage=$1
shift

hostname cellar-pi
ip link set lo up
ip address add 192.0.2.7/32 dev lo
echo 0 >/proc/sys/net/ipv4/ip_unprivileged_port_start

mkdir "$stage/home" "$stage/home/ada" "$stage/tmp"
printf '%s\n' 'root:x:0:0:root:/root:/bin/sh' 'ada:x:1000:1000:Ada:/home/ada:/bin/bash' >"$stage/passwd"
printf '%s\n' '192.0.2.7 localhost cellar-pi login.microsoftonline.com graph.microsoft.com' >"$stage/hosts"
: >"$stage/ca.pem"
mount --bind "$stage/passwd" /etc/passwd
mount --bind "$stage/hosts" /etc/hosts
mount --bind "$stage/ca.pem" "$(realpath /etc/ssl/certs/ca-certificates.crt)"

# The checkout may lie in somebody's home, so all of them stay.
for home in /home/*/; do
    if [ -d "$home" ] && [ "$home" != /home/ada/ ]; then
        mkdir "$stage$home"
        mount --rbind "$home" "$stage$home"
    fi
done
mount --rbind "$stage/home" /home

# systemd runs there, nobody lingers, and ada has a session.
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/system /run/user
mkdir -m 700 /run/user/1000
mount -t tmpfs tmpfs /var/lib/systemd

exec env -i PATH="$PATH" PYTHONPATH="$PYTHONPATH" HOME=/home/ada USER=ada LOGNAME=ada SHELL=/bin/bash LC_ALL=C.UTF-8 TMPDIR="$stage/tmp" \
    XDG_RUNTIME_DIR=/run/user/1000 unshare --user --map-user=1000 --map-group=1000 "$@" --stage "$stage"
