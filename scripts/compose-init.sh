#!/bin/sh
# Used by compose.yaml, inside the image.
#   compose-init.sh folders   writes what nodes a, b and c run from, once
#   compose-init.sh ready     waits until node a knows the service, then says what to paste
set -eu

case $1 in
folders)
  cd /cluster
  if [ -e operator/ready ]; then exit 0; fi
  # A first attempt that was interrupted leaves halves behind.
  find operator nodes/a nodes/b nodes/c -mindepth 1 -delete
  florctl cluster init home --dir operator >/dev/null
  # Names and not addresses: each is that node's address on the network that both share.
  florctl node add a --dir operator --out nodes/a --allow --link b=b:7431 --proxy 0.0.0.0:1080=user/you >/dev/null
  florctl node add b --dir operator --out nodes/b --allow --link a=a:7431 --link c=c:7431 >/dev/null
  florctl node add c --dir operator --out nodes/c --allow --link b=b:7431 --outbound hello=127.0.0.1:8080 >/dev/null
  version=$(sed -n 's/^version: *//p' operator/bounds.yaml)
  sed -i -e "s/^version:.*/version: $((version + 1))/" -e 's,^connect:.*,connect:\n  - {from: [user/you]\, to: [service/hello]},' operator/bounds.yaml
  for node in a b c; do florctl bounds sign operator/bounds.yaml --dir operator --out nodes/$node/bounds.signed >/dev/null; done
  touch operator/ready
  echo "The folders of nodes a, b and c are made."
  ;;
ready)
  until flor discover --json --control /cluster/nodes/a/run/flor.sock 2>/dev/null | grep -q hello; do sleep 0.2; done
  cat <<'TEXT'

Three nodes a - b - c run; a web service is behind c, and a reaches it through b. Paste:

  curl -x socks5h://127.0.0.1:1080 http://hello.rete/
  curl -x http://127.0.0.1:1080 http://hello.rete/bytes/100000000 -o /dev/null

and, to look inside:

  docker compose exec a flor status --control /cluster/nodes/a/run/flor.sock
  docker compose exec a flor trace hello.rete --control /cluster/nodes/a/run/flor.sock

TEXT
  ;;
esac
