#!/bin/bash
# node.sh WORK BIN ADDRESS: one-node Kubernetes, in namespaces of its own (tests/engine/inner.sh). BIN has the programs under
# their names. What WORK keeps outlives this process: images in containerd, the rest until WORK/fresh is there at a start.
set -eu
W=$1 BIN=$2 IP=$3
export PATH=$BIN:$PATH
cd "$W"

# ---- containers

mkdir -p log /etc/cni/net.d /etc/containerd
cat > /etc/cni/net.d/10-pods.conflist <<J
{"cniVersion": "1.0.0", "name": "pods", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true, "hairpinMode": true,
   "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.244.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
J
# restrict_oom_score_adj: without CAP_SYS_RESOURCE no score may be lowered, and no sandbox would start
cat > /etc/containerd/config.toml <<J
version = 2
root = "$W/containerd"
state = "/run/containerd"
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "registry.k8s.io/pause:3.10"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "/etc/cni/net.d"
J
start_containerd() {
	containerd > log/containerd.log 2>&1 &
	containerd=$!
	for _ in $(seq 300); do ctr plugins ls 2> /dev/null | grep -qE 'grpc.v1 +cri .*ok' && return; sleep 0.1; done
	echo "containerd did not start"
	return 1
}
start_containerd
if [ -e fresh ]; then
	# what an earlier cluster has left
	ctr -n k8s.io containers ls -q | xargs -r ctr -n k8s.io containers rm || true
	kill $containerd
	wait $containerd || true
	rm -rf etcd kubelet pki log/pods
	start_containerd
	rm fresh
fi

# ---- certificates

mkdir -p pki
certificate() { # NAME SUBJECT [NAMES]
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "$2" -keyout "pki/$1.key" -out "pki/$1.csr"
	printf 'basicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth,clientAuth\n%s' "${3:+subjectAltName=$3}" > "pki/$1.ext"
	openssl x509 -req -in "pki/$1.csr" -CA pki/ca.crt -CAkey pki/ca.key -CAcreateserial -days 3650 -out "pki/$1.crt" -extfile "pki/$1.ext"
}
kubeconfig() { # NAME
	cat > "$1.kubeconfig" <<J
{"apiVersion": "v1", "kind": "Config", "current-context": "test",
 "clusters": [{"name": "test", "cluster": {"server": "https://127.0.0.1:6443", "certificate-authority": "$W/pki/ca.crt"}}],
 "users": [{"name": "test", "user": {"client-certificate": "$W/pki/$1.crt", "client-key": "$W/pki/$1.key"}}],
 "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}]}
J
}
if [ ! -e pki/done ]; then
	{
		openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj /CN=ca -keyout pki/ca.key -out pki/ca.crt
		openssl ecparam -name prime256v1 -genkey -noout -out pki/accounts.key
		openssl ec -in pki/accounts.key -pubout -out pki/accounts.pub
		certificate server /CN=kube-apiserver "DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,IP:10.96.0.1,IP:127.0.0.1,IP:$IP"
		certificate admin /O=system:masters/CN=admin
		certificate node /O=system:nodes/CN=system:node:node1 "DNS:node1,IP:$IP"
		certificate front /CN=front-proxy
	} > log/pki.log 2>&1
	touch pki/done
fi
kubeconfig admin
kubeconfig node

# ---- the cluster

etcd --data-dir "$W/etcd" --unsafe-no-fsync --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
	--listen-peer-urls http://127.0.0.1:2380 > log/etcd.log 2>&1 &
kube-apiserver --etcd-servers=http://127.0.0.1:2379 --advertise-address="$IP" --service-cluster-ip-range=10.96.0.0/16 \
	--tls-cert-file=pki/server.crt --tls-private-key-file=pki/server.key --client-ca-file=pki/ca.crt \
	--service-account-key-file=pki/accounts.pub --service-account-signing-key-file=pki/accounts.key \
	--service-account-issuer=https://kubernetes.default.svc --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction \
	--kubelet-client-certificate=pki/admin.crt --kubelet-client-key=pki/admin.key --kubelet-certificate-authority=pki/ca.crt \
	--kubelet-preferred-address-types=InternalIP --requestheader-client-ca-file=pki/ca.crt --requestheader-allowed-names=front-proxy \
	--requestheader-username-headers=X-Remote-User --requestheader-group-headers=X-Remote-Group \
	--requestheader-extra-headers-prefix=X-Remote-Extra- --proxy-client-cert-file=pki/front.crt --proxy-client-key-file=pki/front.key \
	> log/apiserver.log 2>&1 &
until curl -sf --cacert pki/ca.crt --cert pki/admin.crt --key pki/admin.key https://127.0.0.1:6443/readyz > /dev/null; do sleep 0.2; done
kube-controller-manager --kubeconfig=admin.kubeconfig --service-account-private-key-file=pki/accounts.key --root-ca-file=pki/ca.crt \
	--use-service-account-credentials --leader-elect=false --concurrent-deployment-syncs=2 > log/controllers.log 2>&1 &
kube-scheduler --kubeconfig=admin.kubeconfig --leader-elect=false > log/scheduler.log 2>&1 &

# cgroups of its own, which can be removed when all is over
for hierarchy in /sys/fs/cgroup /sys/fs/cgroup/*; do
	[ -e "$hierarchy/cgroup.procs" ] && mkdir -p "$hierarchy/parley-test-node"
done
# a group counts as much as one process beside it, and this one is a machine
shares=/sys/fs/cgroup/cpu/parley-test-node/cpu.shares
[ ! -e $shares ] || echo 16384 > $shares
if [ -e /sys/fs/cgroup/cpuset/parley-test-node ]; then # version 1: empty sets take no process
	for file in cpuset.cpus cpuset.mems; do cat "/sys/fs/cgroup/cpuset/$file" > "/sys/fs/cgroup/cpuset/parley-test-node/$file"; done
fi
cat > kubelet.yaml <<J
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failSwapOn: false
failCgroupV1: false
cgroupDriver: cgroupfs
cgroupRoot: /parley-test-node
enforceNodeAllocatable: []
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
clusterDNS: [10.96.0.10]
clusterDomain: cluster.local
podLogsDir: $W/log/pods
tlsCertFile: $W/pki/node.crt
tlsPrivateKeyFile: $W/pki/node.key
authentication: {anonymous: {enabled: false}, x509: {clientCAFile: $W/pki/ca.crt}, webhook: {enabled: true}}
authorization: {mode: Webhook}
evictionHard: {nodefs.available: 1%, imagefs.available: 1%, memory.available: 100Mi}
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
serializeImagePulls: false
J
kubelet --kubeconfig=node.kubeconfig --config=kubelet.yaml --hostname-override=node1 --node-ip="$IP" --root-dir="$W/kubelet" \
	> log/kubelet.log 2>&1 &
cat > proxy.yaml <<J
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
clusterCIDR: 10.244.0.0/16
clientConnection: {kubeconfig: $W/admin.kubeconfig}
conntrack: {maxPerCore: 0}
J
kube-proxy --config=proxy.yaml --hostname-override=node1 > log/proxy.log 2>&1 &

wait -n
echo "one of the node's processes ended: see log/"
