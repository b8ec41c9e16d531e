//go:build e2e

/*
Copyright The Gatehouse Authors.

Licensed under the Apache License, Version 2.0 (the "License");
you may not use this file except in compliance with the License.
You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software
distributed under the License is distributed on an "AS IS" BASIS,
WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
See the License for the specific language governing permissions and
limitations under the License.
*/

// Package agent runs gatehouse-agent in a real container runtime, in namespaces of its own. make
// e2e-agent builds what it needs and runs it, as root.
package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
	fleetclient "github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned/typed/fleet/v1alpha1"
)

const (
	// inside is set in the namespaces.
	inside = "GATEHOUSE_E2E_AGENT_INSIDE"
	// hostName is the name of the host of all tests.
	hostName = "edge-1"
	// runDir is the directory of the agent that a reboot empties.
	runDir = "/run/gatehouse-agent"
)

// env is the machine that all tests share; each test has instances of its own.
var env *machine

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e-agent:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	if os.Getenv(inside) == "" {
		return outside()
	}
	root, err := filepath.Abs("../../..")
	if err != nil {
		return 1, err
	}
	work, err := os.MkdirTemp("", "gatehouse-agent-")
	if err != nil {
		return 1, err
	}
	env = &machine{root: root, work: work}
	if err := env.start(); err != nil {
		return 1, fmt.Errorf("%w; the logs are in %s", err, work)
	}
	code := m.Run()
	env.powerFailure()
	env.server.kill()
	if code != 0 {
		fmt.Fprintln(os.Stderr, "the logs are in", work)
		return code, nil
	}
	return code, os.RemoveAll(work)
}

// outside runs this program again in namespaces of its own: with them everything that it starts ends, and
// nothing of the machine is changed but /sys/fs/cgroup.
func outside() (int, error) {
	if os.Geteuid() != 0 {
		return 1, errors.New("a container runtime needs root: run make e2e-agent as root")
	}
	for _, command := range []string{runtimeProgram(), "runc", "ctr", "unshare", "ip", "iptables"} {
		if _, err := exec.LookPath(command); err != nil {
			return 1, fmt.Errorf("%s is missing: apt-get install --no-install-recommends containerd runc containernetworking-plugins iptables iproute2", command)
		}
	}
	program, err := os.Executable()
	if err != nil {
		return 1, err
	}
	cmd := exec.Command("unshare", append([]string{"--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", program}, os.Args[1:]...)...)
	cmd.Env, cmd.Stdout, cmd.Stderr = append(os.Environ(), inside+"=1"), os.Stdout, os.Stderr
	err = cmd.Run()
	// A killed runtime leaves the groups of its containers.
	_ = output("find", "/sys/fs/cgroup", "-depth", "-type", "d", "-path", "*/gatehouse*", "-exec", "rmdir", "{}", "+")
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return exit.ExitCode(), nil
	}
	return 0, err
}

// runtimeProgram is the containerd to test.
func runtimeProgram() string {
	if program := os.Getenv("GATEHOUSE_CONTAINERD"); program != "" {
		return program
	}
	return "containerd"
}

// machine is a machine with a server, a container runtime and an agent.
type machine struct {
	root, work             string
	server, runtime, agent *process
	config                 *rest.Config
	client                 fleetclient.FleetV1alpha1Interface
}

// process is a running program with its log.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
}

func (m *machine) run(name, program string, args ...string) (*process, error) {
	log, err := os.OpenFile(filepath.Join(m.work, name+".log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p := &process{cmd: exec.Command(program, args...), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// kill ends a process like a power failure.
func (p *process) kill() {
	if p != nil {
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// stop ends a process by a signal.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	<-p.done
}

func (m *machine) bin(name string) string  { return filepath.Join(m.root, "bin", name) }
func (m *machine) path(name string) string { return filepath.Join(m.work, name) }

// start starts everything.
func (m *machine) start() error {
	for _, place := range []string{"/run", "/opt", "/var/lib/cni"} {
		if err := os.MkdirAll(place, 0o755); err != nil {
			return err
		}
		if err := unix.Mount("tmpfs", place, "tmpfs", 0, ""); err != nil {
			return fmt.Errorf("%s: %w", place, err)
		}
	}
	for _, command := range []string{"ip link set lo up", "sysctl -qw net.ipv4.ip_forward=1"} {
		if err := output(strings.Fields(command)...); err != nil {
			return err
		}
	}
	if err := m.startRuntime(); err != nil {
		return err
	}
	if err := output("ctr", "--address", m.path("containerd.sock"), "-n", "k8s.io", "images", "import", m.bin("hello.tar")); err != nil {
		return err
	}
	if err := m.startServer(); err != nil {
		return err
	}
	if err := output(m.bin("gatehouse"), "host", "add", hostName, "--data-dir", m.path("server"), "--out", m.path("host.kubeconfig")); err != nil {
		return err
	}
	var err error
	if m.config, err = clientcmd.BuildConfigFromFlags("", m.path("server/kubeconfig")); err != nil {
		return err
	}
	client, err := versioned.NewForConfig(m.config)
	if err != nil {
		return err
	}
	m.client = client.FleetV1alpha1()
	return m.startAgent()
}

func output(args ...string) error {
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}

// until waits for a condition before the tests, and after what they break.
func until(what string, condition func() error) error {
	deadline := time.Now().Add(2 * time.Minute)
	for {
		err := condition()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("waited in vain until %s: %w", what, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (m *machine) startRuntime() error {
	config := fmt.Sprintf(`version = 2
root = %q
state = %q
[grpc]
address = %q
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "registry.k8s.io/pause:3.6"
# Not every machine's root may make a process less likely to be killed.
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = %q
`, m.path("containerd"), m.path("state"), m.path("containerd.sock"), m.path("cni"))
	if err := os.WriteFile(m.path("containerd.toml"), []byte(config), 0o600); err != nil {
		return err
	}
	var err error
	if m.runtime, err = m.run("containerd", runtimeProgram(), "--config", m.path("containerd.toml")); err != nil {
		return err
	}
	return until("containerd answers", func() error { return output("ctr", "--address", m.path("containerd.sock"), "version") })
}

func (m *machine) startServer() error {
	var err error
	if m.server, err = m.run("server", m.bin("gatehouse"), "up", "--data-dir", m.path("server"), "--listen", "127.0.0.1:6443"); err != nil {
		return err
	}
	return until("the server is ready", func() error {
		return output(m.bin("kubectl"), "--kubeconfig", m.path("server/kubeconfig"), "get", "--raw", "/readyz")
	})
}

func (m *machine) startAgent() error {
	var err error
	m.agent, err = m.run("agent", m.bin("gatehouse-agent"), "run", "--kubeconfig", m.path("host.kubeconfig"), "--root-dir", m.path("agent"),
		"--runtime-endpoint", "unix://"+m.path("containerd.sock"), "--cni-conf-dir", m.path("cni"), "--lease-duration", "8s")
	return err
}

// powerFailure ends the agent, the runtime and all containers, and forgets what does not outlive a reboot.
func (m *machine) powerFailure() {
	m.agent.kill()
	m.runtime.kill()
	for _, name := range []string{"containerd-shim", "hello"} {
		for _, pid := range processes(name) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	_ = until("the containers have ended", func() error {
		if left := processes("hello"); len(left) > 0 {
			return fmt.Errorf("%v are left", left)
		}
		return nil
	})
	mounts, _ := os.ReadFile("/proc/self/mounts")
	for line := range strings.Lines(string(mounts)) {
		if fields := strings.Fields(line); len(fields) > 1 && (strings.HasPrefix(fields[1], m.path("state")) || strings.HasPrefix(fields[1], runDir) || strings.Contains(fields[1], "/run/netns/")) {
			_ = unix.Unmount(fields[1], unix.MNT_DETACH)
		}
	}
	_ = os.RemoveAll(m.path("state"))
	for _, directory := range []string{runDir, "/run/containerd", "/run/netns", "/var/run/netns"} {
		_ = os.RemoveAll(directory)
	}
	_ = output("ip", "link", "delete", "gatehouse0")
}

// processes returns the IDs of the processes whose program begins with a name.
func processes(name string) (pids []int) {
	entries, _ := os.ReadDir("/proc")
	for _, entry := range entries {
		var pid int
		if _, err := fmt.Sscanf(entry.Name(), "%d", &pid); err != nil {
			continue
		}
		comm, err := os.ReadFile(filepath.Join("/proc", entry.Name(), "comm"))
		stat, _ := os.ReadFile(filepath.Join("/proc", entry.Name(), "stat"))
		if err == nil && strings.HasPrefix(string(comm), name) && !strings.Contains(string(stat), ") Z ") {
			pids = append(pids, pid)
		}
	}
	return pids
}

// background returns a context for what follows a test.
func background() context.Context { return context.Background() }
