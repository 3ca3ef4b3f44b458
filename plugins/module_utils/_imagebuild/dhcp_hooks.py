# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Scripts by which a node in OCI takes its host name and search domains from the DHCP lease.

NetworkManager calls DISPATCHER (NetworkManager-dispatcher(8)), that calls every dhclient.d plug-in as dhclient-script(8)
of Enterprise Linux does, and DHCLIENT_PLUGIN calls HOST_NAME.
"""

from __future__ import annotations

DISPATCHER = r"""#!/bin/bash
# Runs the plug-ins in /etc/dhcp/dhclient.d with the lease in the variables that dhclient-script would set.
interface=$1
action=$2

case "$action" in
    up | dhcp4-change | dhcp6-change) call=config ;;
    down) call=restore ;;
    *) exit 0 ;;
esac

# NetworkManager has the lease as DHCP4_<OPTION> and DHCP6_<OPTION>, dhclient as new_<option>.
export interface
for family in DHCP6 DHCP4; do
    for variable in $(compgen -A export "${family}_"); do
        option=${variable#"${family}_"}
        export "new_${option,,}=${!variable}"
    done
done
if [ -z "${new_ip_address:-}" ] && [ -n "${IP4_ADDRESS_0:-}" ]; then
    new_ip_address=${IP4_ADDRESS_0%%/*}
    export new_ip_address
fi

for plugin in /etc/dhcp/dhclient.d/*.sh; do
    [ -x "$plugin" ] || continue
    name=$(basename "$plugin" .sh)
    (
        # shellcheck source=/dev/null
        . "$plugin"
        if declare -F "${name}_${call}" > /dev/null; then
            "${name}_${call}"
        fi
    )
done
exit 0
"""

DHCLIENT_PLUGIN = r"""#!/bin/bash
# A plug-in of dhclient-script: <name>_config is called with a new lease, <name>_restore when it ends.
oci_config() {
    /etc/oci-dhclient.sh || logger -t oci-dhclient "could not apply the lease of ${interface:-an interface}"
}

oci_restore() {
    :
}
"""

HOST_NAME = r"""#!/bin/bash
# Takes the host name, the line in /etc/hosts and the search domains from a DHCP lease of OCI.
#
# The lease comes as new_ip_address, new_host_name and new_domain_name; the domain is <subnet>.<vcn>.oraclevcn.com.
# PRESERVE_HOSTINFO in /etc/oci-hostname.conf says what stays as it is:
#   0 nothing, 1 the host name, 2 the host name and /etc/hosts, 3 everything.
# It always ends with 0: a boot must not fail for want of a name.
set -f
settings=/etc/oci-hostname.conf
# Either can be a symlink, which has to stay one.
hosts=$(readlink -f /etc/hosts)
resolv=$(readlink -f /etc/resolv.conf)
patience=120

say() { logger -t oci-dhclient -- "$*" 2> /dev/null || echo "oci-dhclient: $*" >&2; }

preserve=0
if [ -r "$settings" ]; then
    while IFS= read -r line || [ -n "$line" ]; do
        if [[ $line =~ ^[[:space:]]*PRESERVE_HOSTINFO[[:space:]]*=[[:space:]]*\"?([0-3]) ]]; then preserve=${BASH_REMATCH[1]}; fi
    done < "$settings"
fi

ip=${new_ip_address:-}
domain=${new_domain_name:-}
host=${new_host_name:-}
host=${host%%.*}

# A lease is input from the network: take nothing that is no address and no name.
if ! [[ $ip =~ ^[0-9a-fA-F.:]+$ ]]; then
    say "the lease has no address: nothing to do"
    exit 0
fi
name='^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$'
[[ $domain =~ $name ]] || domain=
[[ $host =~ $name ]] || host=

# Written in one step; a bind-mounted file cannot be renamed over, so it is written through.
replace() {
    local file=$1 new
    new=$(mktemp "$file.XXXXXX") || return
    cat > "$new"
    if cmp -s "$new" "$file"; then
        rm -f "$new"
        return
    fi
    chmod 0644 "$new"
    chcon --reference="$file" "$new" 2> /dev/null
    if ! mv -f "$new" "$file" 2> /dev/null; then
        cat "$new" > "$file"
        rm -f "$new"
    fi
}

set_host_name() {
    if command -v nmcli > /dev/null && nmcli general hostname "$host" > /dev/null 2>&1; then
        return
    fi
    hostnamectl set-hostname "$host" > /dev/null 2>&1 || say "could not set the host name to $host"
}

set_hosts() {
    local fqdn=$host${domain:+.$domain} line address first lines=""
    [ -e "$hosts" ] || : > "$hosts"
    while IFS= read -r line || [ -n "$line" ]; do
        read -r address first _ <<< "$line"
        if [ "$address" != "$ip" ] && [ "$first" != "$fqdn" ]; then
            lines+=$line$'\n'
        fi
    done < "$hosts"
    if [ "$fqdn" != "$host" ]; then fqdn="$fqdn $host"; fi
    printf '%s%s %s\n' "$lines" "$ip" "$fqdn" | replace "$hosts"
}

# <subnet>.<vcn>.oraclevcn.com, then <vcn>.oraclevcn.com, before what is searched already.
set_search() {
    local wanted=$domain line key value name search="" lines=""
    if [[ $domain == *.*.oraclevcn.com ]]; then wanted+=" ${domain#*.}"; fi
    [ -e "$resolv" ] || : > "$resolv"
    while IFS= read -r line || [ -n "$line" ]; do
        read -r key value <<< "$line"
        case "$key" in
            search | domain) wanted+=" $value" ;;
            *) lines+=$line$'\n' ;;
        esac
    done < "$resolv"
    for name in $wanted; do
        if [[ " $search " != *" $name "* ]]; then search+="${search:+ }$name"; fi
    done
    printf 'search %s\n%s' "$search" "$lines" | replace "$resolv"
}

wait_for_dns() {
    local fqdn=$host.$domain waited=0
    while ! getent -s dns ahosts "$fqdn" > /dev/null 2>&1; do
        if [ "$waited" -ge "$patience" ]; then
            say "DNS did not know $fqdn after $patience seconds"
            return
        fi
        sleep 2
        waited=$((waited + 2))
    done
}

if [ -n "$host" ]; then
    [ "$preserve" -ge 1 ] || set_host_name
    [ "$preserve" -ge 2 ] || set_hosts
fi
if [ -n "$domain" ]; then
    [ "$preserve" -ge 3 ] || set_search
fi
if [ -n "$host" ] && [ -n "$domain" ] && [ "$preserve" -eq 0 ]; then
    wait_for_dns
fi
exit 0
"""
