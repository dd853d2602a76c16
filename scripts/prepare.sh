# What scripts/demo, scripts/bench and scripts/test do first: install what is
# missing, and build. For Debian and its like. Sourced by them, with `set -eu`,
# in the project's root:
#
#   . scripts/prepare.sh
#   prepare ip:iproute2 nft:nftables ucarp
#   exec_with_namespaces node build/scripts/demo.js
#
# `prepare` takes the commands that the caller needs beside node, npm and g++:
# COMMAND, or COMMAND:PACKAGE where the package has another name. It says on
# standard error what it does, and nothing when there is nothing to do. A signal
# that ends it ends first whatever it has started.
#
# By sudo in a clone of the user's own, packages are installed as root, and all that
# is made in the clone is made as the user: root's would be in the way of the next npm.
# The caller does the same with `as_owner COMMAND...` and `exec_as_owner COMMAND...`.

# Users other than root often do without the directories of the network's tools.
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
program="scripts/${0##*/}"
step=""
half_made=""
# A mirror that does not answer is asked again.
patiently="-o Acquire::Retries=3"

# Sets `owner` to whom the clone belongs, by number. Empty where that is no sudo's user, or where some of it
# is somebody else's already: then all is made as whoever we are.
find_owner() {
  owner=""
  [ -n "${SUDO_UID-}" ] && [ -n "${SUDO_GID-}" ] && [ "$SUDO_UID" != 0 ] && [ "$(id -u)" = 0 ] || return 0
  [ -z "$(find . build build/* dist node_modules -maxdepth 0 ! -uid "$SUDO_UID" 2>/dev/null)" ] || return 0
  entry=$(getent passwd "$SUDO_UID") || return 0
  owner=$SUDO_UID
  owner_home=$(echo "$entry" | cut -d: -f6)
}

# sudo itself would take them out of our session, where no signal could be passed on to them.
exec_as_owner() {
  [ -z "$owner" ] ||
    set -- setpriv --reuid="$owner" --regid="$SUDO_GID" --init-groups env HOME="$owner_home" "$@"
  exec "$@"
}

as_owner() {
  (exec_as_owner "$@")
}

find_owner

prepare() {
  for signal in HUP INT TERM; do trap "end_by $signal" "$signal"; done
  if [ -n "$(missing_packages "$@")" ] || ! modules_are_current || ! build_is_current; then
    take_turn
    install_packages "$@"
    check_node
    modules_are_current || install_modules
    build_is_current || build
    exec 9>&-
  fi
  trap - HUP INT TERM
}

# Debian's package has a server as well, which would be started: the one program
# is unpacked beside what we build. That takes no root, but newer package lists do,
# where those that are there name a package that is there no more.
fetch_promtool() {
  if command -v promtool >/dev/null || [ -x build/promtool ]; then return 0; fi
  command -v apt-get >/dev/null || die "found neither promtool nor an apt-get to fetch it with"
  for signal in HUP INT TERM; do trap "end_by $signal" "$signal"; done
  take_turn
  say "fetches promtool (apt-get download prometheus)"
  half_made=build/promtool.next
  rm -rf $half_made
  as_owner mkdir $half_made
  download="cd $half_made && apt-get -qq -o APT::Sandbox::User=root download prometheus"
  if ! attempt sh -c "$download 2>/dev/null"; then
    find_root_power "the package lists are too old to download prometheus"
    update_package_lists
    run sh -c "$download"
  fi
  run sh -c "cd $half_made && dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x ./usr/bin/promtool"
  mv $half_made/usr/bin/promtool build/promtool
  rm -r $half_made
  half_made=""
  exec 9>&-
  trap - HUP INT TERM
}

# Runs a program that makes namespaces, in our place, with what power there is:
# root's; that of an unprivileged user namespace; sudo's.
exec_with_namespaces() {
  unprivileged="unshare --user --map-root-user --net --mount"
  if [ "$(id -u)" = 0 ] && can_make_namespaces; then exec "$@"; fi
  # Unquoted on purpose here and below: a command with its options.
  if can_make_namespaces $unprivileged; then exec $unprivileged "$@"; fi
  [ "$(id -u)" != 0 ] || die "cannot make network namespaces, though this is root: $refusal"
  command -v sudo >/dev/null ||
    die "network namespaces need root, sudo, or a kernel that lets every user make them: $refusal"
  say "namespaces need root here: sudo"
  tool=$(command -v "$1")
  shift
  exec sudo -- env ${NO_COLOR+"NO_COLOR=$NO_COLOR"} "$tool" "$@"
}

# The test is what the lab does for each of its hosts (test/lab/namespace.ts).
can_make_namespaces() {
  refusal=$("$@" unshare --net --mount --pid --uts --fork \
    sh -c 'mount -t proc proc /proc && mount -t sysfs sysfs /sys' 2>&1)
}

missing_packages() {
  for wanted in node:nodejs npm g++ "$@"; do
    command -v "${wanted%%:*}" >/dev/null || printf ' %s' "${wanted##*:}"
  done
}

# A package may start a service, which must not keep our turn for us.
install_packages() {
  missing=$(missing_packages "$@")
  [ -n "$missing" ] || return 0
  command -v apt-get >/dev/null || die "found no apt-get, and these Debian packages are missing:$missing"
  find_root_power "these Debian packages are missing:$missing"
  say "installs$missing (${as_root:+sudo }apt-get)"
  update_package_lists
  case "$missing " in *" nodejs "*) check_packaged_node ;; esac
  $as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get -qq -y $patiently --no-install-recommends install $missing >/dev/null 9>&- ||
    die "could not install$missing; apt-get has said why"
}

# Sets `as_root` to what makes a command root's. It is not for a step, which has
# no terminal that sudo could ask for a password.
find_root_power() {
  as_root=""
  [ "$(id -u)" != 0 ] || return 0
  command -v sudo >/dev/null || die "$1, and only root or sudo could change that"
  as_root=sudo
}

update_package_lists() {
  $as_root apt-get -qq update $patiently 9>&- || say "apt-get update failed; goes on with the package lists that are there"
}

# Better to know before a Node that we cannot use is installed.
check_packaged_node() {
  packaged=$(apt-cache policy nodejs | sed -n 's/^ *Candidate: \([0-9]*:\)\{0,1\}//p')
  is_our_node "$packaged" ||
    die "Node is missing: wanted $(wanted_node), and this system's package nodejs is ${packaged:-not there}"
}

check_node() {
  found=$(node -p process.versions.node)
  is_our_node "$found" || die "found Node $found ($(command -v node)), wanted $(wanted_node)"
}

is_our_node() {
  case " $(wanted_node) " in *" ${1%%.*}.x "*) return 0 ;; *) return 1 ;; esac
}

# As package.json says it: "20.x or 22.x or 24.x".
wanted_node() {
  sed -n 's/^ *"node": "\(.*\)".*/\1/p' package.json | sed 's/||/or/g'
}

# Two scripts started together must not build over one another. The lock is
# held by descriptor 9, which a step does not inherit. `flock` and `setsid` are
# in a package that every Debian has.
take_turn() {
  as_owner mkdir -p build
  as_owner touch build/prepare.lock
  exec 9>build/prepare.lock
  flock --nonblock 9 && return 0
  say "waits for another script that installs or builds here"
  setsid flock 9 &
  finish_step || die "that failed"
}

# npm writes this file of its own last.
modules_are_current() {
  record=node_modules/.package-lock.json
  [ -e $record ] && newer=$(find package-lock.json -newer $record) && [ -z "$newer" ]
}

# Versions and digests are those of the lock file. `npm ci` would refuse one that
# lacks other platforms' packages, and npm writes such (npm/cli issues 4828 and 9846).
install_modules() {
  say "installs npm packages"
  half_made=node_modules
  run npm install --no-save --ignore-scripts --no-audit --no-fund --no-progress --no-update-notifier --loglevel=error
  half_made=""
}

# Compares with a moment before the last build, for what was written during it.
# Others look without taking a turn, so `prepared` is there only while nobody builds.
build_is_current() {
  made_for=$(cat build/prepared 2>/dev/null) || return 1
  [ -e dist/carpio.cjs ] && [ "$made_for" = "$(built_for)" ] || return 1
  sources="src test scripts board package.json tsconfig.json rollup.config.js LICENSE node_modules/.package-lock.json"
  newer=$(find $sources -newer build/prepared -print -quit) && [ -z "$newer" ]
}

build() {
  say "builds (npm run build)"
  as_owner touch build/prepared.next
  built_for >build/prepared.next
  rm -f build/prepared
  run npm run --silent build
  mv build/prepared.next build/prepared
}

# Native addons fit one kind of processor and one line of Node.
built_for() {
  node -p '`${process.arch} ${process.versions.modules}`'
}

run() {
  attempt "$@" || die "that failed"
}

# In a session of its own, so that a signal to us alone can be passed on to all of it. What it makes is the owner's.
attempt() {
  exec_as_owner setsid "$@" </dev/null >&2 9>&- &
  finish_step
}

finish_step() {
  step=$!
  wait "$step" && status=0 || status=$?
  step=""
  return "$status"
}

end_by() {
  trap '' HUP INT TERM
  [ -z "$step" ] || end_step
  # What a killed step could not remove itself; scripts/addons.mjs names its unfinished work by its process.
  rm -rf build/prepared.next build/addons/*.node.[0-9]* build/headers/*@*.*.*.* $half_made
  trap - "$1"
  kill -s "$1" $$
}

end_step() {
  kill -s TERM -- "-$step" 2>/dev/null || kill -s TERM "$step" 2>/dev/null || true
  patience=50
  while kill -s 0 -- "-$step" 2>/dev/null && [ "$patience" -gt 0 ]; do
    sleep 0.1
    patience=$((patience - 1))
  done
  kill -s KILL -- "-$step" 2>/dev/null || true
}

say() {
  echo "$program: $1" >&2
}

die() {
  say "$1"
  exit 1
}
