# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The script with which ocne.service makes a machine a node of a cluster."""

from __future__ import annotations

from .kubeadm import KUBERNETES_VERSION, NODE_IP

#: Its environment: ACTION, init or join; NET_INTERFACE, the network card whose address is the node's. While kubeadm works,
#: and when something fails, kubelet's last words go to where the script's own go: the journal and the console.
START_SCRIPT = f"""\
#!/bin/bash
set -euo pipefail

config=/etc/kubernetes/kubeadm.conf

last_words() {{
    journalctl --quiet --no-pager --output=cat --lines=12 --unit=kubelet.service --unit=crio.service || true
}}

fail() {{
    echo "ocne: $*"
    exit 1
}}

if [ -e /etc/ocne/reset-kubeadm ]; then
    kubeadm reset --force
    rm /etc/ocne/reset-kubeadm
fi
if [ -e /etc/kubernetes/kubelet.conf ]; then
    echo "ocne: this machine is a node already"
    exit 0
fi

case "${{ACTION:-}}" in
    init | join) ;;
    *) fail "ACTION is '${{ACTION:-}}', and has to be init or join" ;;
esac

systemctl enable --now crio.service
systemctl enable kubelet.service

address=
for (( attempt = 0; attempt < 120; attempt++ )); do
    address=$(ip -4 -oneline address show dev "$NET_INTERFACE" scope global | awk '{{ sub("/.*", "", $4); print $4; exit }}')
    [ -z "$address" ] || break
    sleep 1
done
[ -n "$address" ] || fail "$NET_INTERFACE has got no IPv4 address"
version=$(kubeadm version --output=short)
sed -i -e "s/{NODE_IP}/$address/g" -e "s/{KUBERNETES_VERSION}/${{version%%+*}}/g" "$config"
echo "ocne: Kubernetes $version, address $address"

while sleep 30; do last_words; done &
reporting=$!

end() {{
    kill "$reporting"
    if [ "$1" != 0 ]; then
        last_words
        echo "ocne: failed with $1"
    fi
}}
trap 'end $?' EXIT

if [ "$ACTION" = init ]; then
    kubeadm init --config "$config" --upload-certs --skip-token-print --skip-certificate-key-print
else
    kubeadm join --config "$config"
fi
"""

#: What an update of the operating system runs for kubeadm. A cluster that is made for a while is made anew, not upgraded.
UPGRADE_SCRIPT = "#!/bin/bash\nexit 0\n"
