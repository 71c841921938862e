# Sourced by scripts that install Debian packages as root.

# The proxies among them are started by tests alone: they must not begin to serve as this machine's own.
install_packages_quietly() { # PACKAGE...
  local policy=/usr/sbin/policy-rc.d status=0
  if [ -e "$policy" ]; then
    policy=
  else
    printf '#!/bin/sh\nexit 101\n' > "$policy"
    chmod 755 "$policy"
  fi
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq && apt-get install -y -qq --no-install-recommends "$@" > /dev/null || status=$?
  [ -z "$policy" ] || rm -f "$policy"
  return $status
}
