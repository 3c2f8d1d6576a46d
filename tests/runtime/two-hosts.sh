#!/usr/bin/env bash
# two-hosts.sh RANKS COMMAND...
# Runs the command under mpirun on two hosts: network namespaces with names and addresses of their own, joined by a virtual
# cable. Exits with 77 where this user or system cannot have them.
set -uo pipefail
ranks=$1
shift
a=primus-$$-a b=primus-$$-b
folder=$(mktemp -d)
trap 'ip netns del $a; ip netns del $b; rm -r "$folder"' EXIT
{
  ip netns add "$a" && ip netns add "$b" &&
    ip link add "pa$$" type veth peer name "pb$$" &&
    ip link set "pa$$" netns "$a" && ip link set "pb$$" netns "$b" &&
    ip -n "$a" addr add 10.77.0.1/24 dev "pa$$" && ip -n "$b" addr add 10.77.0.2/24 dev "pb$$" &&
    ip -n "$a" link set "pa$$" up && ip -n "$b" link set "pb$$" up &&
    ip -n "$a" link set lo up && ip -n "$b" link set lo up && unshare -u true
} 2>/dev/null || exit 77

# What mpirun calls in place of ssh: HOST COMMAND...
cat >"$folder/agent" <<EOF
#!/usr/bin/env bash
[ "\$1" = 10.77.0.1 ] && host=$a || host=$b
shift
exec ip netns exec \$host unshare -u bash -c "hostname \$host; \$*"
EOF
chmod +x "$folder/agent"
printf '10.77.0.1 slots=%d\n10.77.0.2 slots=%d\n' $((ranks / 2)) $((ranks - ranks / 2)) >"$folder/hosts"
ip netns exec "$a" unshare -u bash -c 'hostname '"$a"'; exec "$@"' - \
  mpirun --allow-run-as-root --oversubscribe --bind-to none --hostfile "$folder/hosts" --mca plm_rsh_agent "$folder/agent" \
  --mca btl tcp,self --mca btl_tcp_if_include 10.77.0.0/24 --mca oob_tcp_if_include 10.77.0.0/24 -n "$ranks" "$@"
