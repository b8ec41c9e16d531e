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

package packages

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// release is the directory of "make release".
const release = "../../../_output/release"

// built returns the package of this machine's architecture.
func built(t *testing.T, name string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(release, name+"_*_"+runtime.GOARCH+".deb"))
	if err != nil || len(found) != 1 {
		t.Fatalf("%d packages %s in %s (%v): run make release PLATFORMS=linux/%s", len(found), name, release, err, runtime.GOARCH)
	}
	return found[0]
}

// newer returns the same package with a higher version.
func newer(t *testing.T, path string) string {
	t.Helper()
	dir := t.TempDir()
	shell := func(args ...string) {
		t.Helper()
		if out, err := exec.CommandContext(t.Context(), args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	shell("dpkg-deb", "--raw-extract", path, filepath.Join(dir, "root"))
	shell("sed", "-i", "s/^Version: .*/&.1/", filepath.Join(dir, "root/DEBIAN/control"))
	shell("dpkg-deb", "--root-owner-group", "-Znone", "--build", filepath.Join(dir, "root"), filepath.Join(dir, "newer.deb"))
	return filepath.Join(dir, "newer.deb")
}

// loopback makes the server listen on a free port of the loopback address.
func loopback(t *testing.T, m machine) {
	t.Helper()
	if err := os.WriteFile(m.path("etc/default/gatehouse"), []byte("GATEHOUSE_FLAGS=\"--listen 127.0.0.1:0\"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

func client(t *testing.T, m machine) kubernetes.Interface {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", m.path("var/lib/gatehouse/kubeconfig"))
	if err != nil {
		t.Fatal(err)
	}
	return kubernetes.NewForConfigOrDie(config)
}

func TestTheServerIsInstalledStartsIsUpgradedAndRemoved(t *testing.T) {
	m := newMachine(t)
	m.install(t, built(t, "gatehouse"))
	account := m.account(t, "gatehouse")
	info, err := os.Stat(m.path("var/lib/gatehouse"))
	if err != nil {
		t.Fatal(err)
	}
	if owner := strconv.Itoa(int(info.Sys().(*syscall.Stat_t).Uid)); info.Mode().Perm() != 0o700 || owner != account.Uid || account.HomeDir != "/var/lib/gatehouse" {
		t.Errorf("the data directory has mode %v and the owner %s, the user %+v", info.Mode(), owner, account)
	}
	if !m.exists(t, "etc/systemd/system/multi-user.target.wants/gatehouse.service") {
		t.Error("the unit is not enabled")
	}
	loopback(t, m)
	server := m.start(t, "gatehouse.service")
	kept := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "kept"}}
	if _, err := client(t, m).CoreV1().ConfigMaps("default").Create(t.Context(), kept, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	server.stop(t)

	m.install(t, newer(t, built(t, "gatehouse")))
	if got := setting(t, m.path("etc/default/gatehouse"), "GATEHOUSE_FLAGS"); !strings.Contains(got, "127.0.0.1:0") {
		t.Errorf("the upgrade has changed the settings to %s", got)
	}
	server = m.start(t, "gatehouse.service")
	if _, err := client(t, m).CoreV1().ConfigMaps("default").Get(t.Context(), "kept", metav1.GetOptions{}); err != nil {
		t.Errorf("after the upgrade: %v", err)
	}
	server.stop(t)

	m.run(t, "dpkg", "--remove", "gatehouse")
	if m.exists(t, "usr/bin/gatehouse") || !m.exists(t, "var/lib/gatehouse/etcd") || !m.exists(t, "etc/default/gatehouse") {
		t.Error("a removal removes the program, and neither data nor settings")
	}
	m.run(t, "dpkg", "--purge", "gatehouse")
	for _, path := range []string{"var/lib/gatehouse", "etc/default/gatehouse", "etc/systemd/system/multi-user.target.wants/gatehouse.service", "etc/systemd/system/gatehouse.service"} {
		if m.exists(t, path) {
			t.Errorf("%s is there after the purge", path)
		}
	}
	if out, err := m.try(t, "getent", "passwd", "gatehouse"); err == nil {
		t.Errorf("the user is there after the purge: %s", out)
	}
}

func TestTheAgentIsInstalledAndPurgedExceptWhatIsMounted(t *testing.T) {
	m := newMachine(t)
	m.install(t, built(t, "gatehouse-agent"))
	if !m.exists(t, "etc/systemd/system/multi-user.target.wants/gatehouse-agent.service") {
		t.Error("the unit is not enabled")
	}
	volume := m.path("var/lib/gatehouse-agent/volume")
	for _, dir := range []string{volume, m.path("srv/precious")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(m.path("srv/precious/file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(m.path("srv/precious"), volume, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	m.run(t, "dpkg", "--remove", "gatehouse-agent")
	out := m.run(t, "dpkg", "--purge", "gatehouse-agent")
	if !m.exists(t, "srv/precious/file") || !strings.Contains(out, "file systems are mounted in it") {
		t.Errorf("a mounted directory was emptied: %s", out)
	}
	if err := unix.Unmount(volume, 0); err != nil {
		t.Fatal(err)
	}
	m.install(t, built(t, "gatehouse-agent"))
	m.run(t, "dpkg", "--purge", "gatehouse-agent")
	if m.exists(t, "var/lib/gatehouse-agent") || m.exists(t, "usr/bin/gatehouse-agent") {
		t.Error("the purge leaves files")
	}
}

func TestThePackagesHaveTheLayoutOfDebian(t *testing.T) {
	m := newMachine(t)
	m.install(t, built(t, "gatehouse"), built(t, "gatehouse-agent"))
	for _, name := range []string{"gatehouse", "gatehouse-agent"} {
		for path := range strings.Lines(m.run(t, "dpkg", "--listfiles", name)) {
			path = strings.TrimSpace(path)
			info, err := os.Lstat(m.path(path))
			if err != nil {
				t.Fatal(err)
			}
			if info.Mode()&fs.ModeSymlink != 0 {
				continue // /lib, where /usr is merged
			}
			if info.Sys().(*syscall.Stat_t).Uid != 0 || info.Mode().Perm()&0o022 != 0 {
				t.Errorf("%s has mode %v and the owner %d", path, info.Mode(), info.Sys().(*syscall.Stat_t).Uid)
			}
			if !info.IsDir() && !strings.HasPrefix(path, "/usr/bin/") && info.Mode()&fs.ModePerm != 0o644 {
				t.Errorf("%s has mode %v", path, info.Mode())
			}
		}
		if out := m.run(t, "dpkg", "--verify", name); out != "" {
			t.Errorf("dpkg --verify %s: %s", name, out)
		}
	}
	for _, path := range []string{
		"usr/bin/gatehouse", "usr/bin/gatehouse-agent", "usr/bin/kubectl-gatehouse", "usr/bin/kubectl_complete-gatehouse",
		"usr/share/man/man1/gatehouse-up.1.gz", "usr/share/man/man1/gatehouse-agent-run.1.gz", "usr/share/man/man1/kubectl-gatehouse-rollout.1.gz",
		"usr/share/bash-completion/completions/gatehouse", "usr/share/doc/gatehouse/copyright", "usr/share/doc/gatehouse/changelog.gz",
	} {
		if !m.exists(t, path) {
			t.Errorf("%s is missing", path)
		}
	}
	version := strings.Fields(m.run(t, "dpkg-query", "--show", "--showformat=${Version}", "gatehouse"))[0]
	product := strings.Fields(m.run(t, "gatehouse", "version"))[1]
	if commit := product[strings.LastIndex(product, "-")+1:]; !strings.HasPrefix(version, strings.SplitN(product, "-", 2)[0][1:]) || !strings.Contains(version, commit[strings.Index(commit, ".")+1:]) {
		t.Errorf("the package has version %s and the program %s", version, product)
	}
}

// The exposure of "systemd-analyze security": from 0, which is safest, to 10.
func TestTheUnitsAreValidAndHardened(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	m := newMachine(t)
	m.install(t, built(t, "gatehouse"), built(t, "gatehouse-agent"))
	for unit, threshold := range map[string]string{"gatehouse.service": "20", "gatehouse-agent.service": "70"} {
		if out, err := m.try(t, "systemd-analyze", "verify", "--recursive-errors=no", "/lib/systemd/system/"+unit); err != nil || strings.Contains(out, unit) {
			t.Errorf("%s: %v\n%s", unit, err, out)
		}
		out, err := m.try(t, "systemd-analyze", "security", "--no-pager", "--offline=true", "--threshold="+threshold, unit)
		if err != nil {
			t.Errorf("%s: %v\n%s", unit, err, out)
		}
		lines := strings.Split(strings.TrimSpace(out), "\n")
		t.Log(lines[len(lines)-1])
	}
}
