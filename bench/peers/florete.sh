# Florete: vertices at a, b and c in a line. Local forwards (as `ssh -L`) and the SOCKS5 proxy (as `ssh -D`) of a lead to services at b, one
# hop, and at c, two hops through b; encrypted by every link, and from end to end besides.
# FLORETE_BIN names the folder with the published flor and florctl (bench/run.sh sets it).
peer_check() {
  [ -n "${FLORETE_BIN:-}" ] || { echo "FLORETE_BIN is not set; use bench/run.sh"; return 1; }
  need "$FLORETE_BIN/flor" "$FLORETE_BIN/florctl"
}
florete_folders() {
  local ctl=$FLORETE_BIN/florctl o=$D/operator n
  "$ctl" cluster init bench --dir "$o" || return 1
  "$ctl" node add a --dir "$o" --out "$D/a" --allow --link b=$B_IP:7431 --proxy 127.0.0.1:1080=user/bench &&
    "$ctl" node add b --dir "$o" --out "$D/b" --allow --link a=$A_IP:7431 --link c=$C_IP:7431 \
      --outbound iperf-b=127.0.0.1:5201 --outbound echo-b=127.0.0.1:7007 &&
    "$ctl" node add c --dir "$o" --out "$D/c" --allow --link b=$B2_IP:7431 \
      --outbound iperf-c=127.0.0.1:5201 --outbound echo-c=127.0.0.1:7007 || return 1
  # 127.0.0.1 at a is b, 127.0.0.2 is c: iperf3 knows one port only.
  printf '  - {forward: "%s", to: %s.rete, as: user/bench, sharedByThisMachine: true}\n' \
    127.0.0.1:5201 iperf-b 127.0.0.1:7007 echo-b 127.0.0.2:5201 iperf-c 127.0.0.2:7007 echo-c >"$D/forwards"
  sed -i "/^inbounds:/r $D/forwards" "$D/a/flor.yaml"
  sed -i -e "s/^version:.*/version: 100/" -e 's,^connect:.*,connect:\n  - {from: [user/bench]\, to: ["service/*"]},' "$o/bounds.yaml"
  for n in a b c; do "$ctl" bounds sign "$o/bounds.yaml" --dir "$o" --out "$D/$n/bounds.signed" || return 1; done
}
peer_up() {
  local n
  [ -e "$D/a" ] || florete_folders || return 1 # keys are made once per run
  for n in b c a; do spawn $n "$FLORETE_BIN/flor" run --config "$D/$n/flor.yaml"; done
  PEER_NOTE="flor $("$FLORETE_BIN/flor" --version | head -1), AES-128-GCM by every link and from end to end"
  path a-b:-L a b 127.0.0.1
  path a-c:-L a c 127.0.0.2
  path a-b:-D a b echo-b.rete socks=127.0.0.1:1080
  path a-c:-D a c echo-c.rete socks=127.0.0.1:1080
}
