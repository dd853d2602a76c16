/**
 * What udhcpc runs when a lease comes, is renewed or ends. The usual script takes
 * all addresses off first, and with them a floating one; this one touches its own
 * alone. Static servers for names come first, and every interface may bring some.
 * mdnsd tells nobody of a first IPv4 address that comes after its own start, and so it is
 * ended: then it is started again.
 */
export const LEASE_SCRIPT = `#!/bin/sh
# Written by \`carpio setup\`. Debian's busybox prefers its own ip to the real one.
run=\${CARPIO_RUN:-/run/carpio}
lease=$run/lease-$interface
names=$run/dns-$interface
unanswered=$run/unanswered-$interface

forget() {
  [ -e "$lease" ] && /sbin/ip address delete "$(cat "$lease")" dev "$interface"
  rm -f "$lease" "$names"
}

# One way, by the first router: that is the preferred one (RFC 2132, 3.5). Without any there is none.
set_way() {
  metric=\${METRIC:-100}
  for gateway; do
    /sbin/ip route replace default via "$gateway" dev "$interface" metric "$metric" && return
  done
  /sbin/ip route delete default dev "$interface" metric "$metric"
}

tell() {
  cat "$run/resolv-static" "$run"/dns-* >"$run/resolv.$$" 2>/dev/null
  mv "$run/resolv.$$" "$run/resolv.conf"
}

# It starts again, and finds the address: a hang-up that comes before it waits for one is lost.
# Its number may be another's by now.
tell_mdns() {
  pid=$(cat "$run/mdnsd-$interface.pid" 2>/dev/null) || return 0
  [ "$(cat "/proc/$pid/comm" 2>/dev/null)" != mdnsd ] || kill "$pid"
}

case "$1" in
  bound | renew)
    before=$(cat "$lease" 2>/dev/null)
    [ "$before" = "$ip/$mask" ] || forget
    /sbin/ip address replace "$ip/$mask" broadcast + dev "$interface"
    echo "$ip/$mask" >"$lease"
    [ "$before" = "$ip/$mask" ] || tell_mdns
    set_way $router
    : >"$names"
    [ -z "$domain" ] || echo "search $domain" >>"$names"
    for server in $dns; do echo "nameserver $server" >>"$names"; done
    tell
    rm -f "$unanswered"
    [ "$1" = renew ] || echo "$interface has $ip/$mask by DHCP"
    ;;
  deconfig)
    /sbin/ip link set dev "$interface" up
    set_way
    forget
    tell
    ;;
  leasefail)
    # It asks again and again, and that is said once.
    [ -e "$unanswered" ] || echo "$interface has no address by DHCP: nobody has answered so far"
    : >"$unanswered"
    ;;
esac
`;
