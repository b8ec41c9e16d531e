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

// Package machine reads what the agent of a host reports about its machine: capacity, addresses,
// system, and pressure on disk and memory.
package machine

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/url"
	"os"
	goruntime "runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

const (
	// fullDisk is the used part of a file system, in percent, from which on it is under pressure, as for
	// the collection of images by a kubelet.
	fullDisk = 85
	// lowMemory is the available memory in bytes below which the machine is under pressure.
	lowMemory = 100 << 20
)

// Conditions of a Host besides those of the runtime.
const (
	DiskPressure   = "DiskPressure"
	MemoryPressure = "MemoryPressure"
)

// Capacity returns the processors and the memory of the machine.
func Capacity(instances int64) (v1alpha1.ResourceList, error) {
	memory, err := meminfo("MemTotal")
	if err != nil {
		return nil, err
	}
	return v1alpha1.ResourceList{
		v1alpha1.ResourceCPU:       *resource.NewQuantity(int64(goruntime.NumCPU()), resource.DecimalSI),
		v1alpha1.ResourceMemory:    *resource.NewQuantity(memory, resource.BinarySI),
		v1alpha1.ResourceInstances: *resource.NewQuantity(instances, resource.DecimalSI),
	}, nil
}

// meminfo returns an amount in /proc/meminfo, in bytes.
func meminfo(name string) (int64, error) {
	data, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() {
		if amount, ok := strings.CutPrefix(lines.Text(), name+":"); ok {
			kilobytes, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(amount, "kB")), 10, 64)
			return kilobytes << 10, err
		}
	}
	return 0, fmt.Errorf("/proc/meminfo has no %s", name)
}

// Addresses returns the address from which the machine reaches the server, and its name.
func Addresses(server string) []v1alpha1.HostAddress {
	var addresses []v1alpha1.HostAddress
	if ip := addressToward(server); ip != "" {
		addresses = append(addresses, v1alpha1.HostAddress{Type: v1alpha1.HostInternalIP, Address: ip})
	}
	if name, err := os.Hostname(); err == nil {
		addresses = append(addresses, v1alpha1.HostAddress{Type: v1alpha1.HostHostname, Address: name})
	}
	return addresses
}

// addressToward returns the address of the machine on the route to a server; empty without a route.
// Nothing is sent.
func addressToward(server string) string {
	u, err := url.Parse(server)
	if err != nil {
		return ""
	}
	port := u.Port()
	if port == "" {
		port = "443"
	}
	connection, err := net.Dial("udp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return ""
	}
	defer connection.Close()
	host, _, err := net.SplitHostPort(connection.LocalAddr().String())
	if err != nil {
		return ""
	}
	return host
}

// Info describes the system of the machine.
func Info(version string) v1alpha1.HostInfo {
	info := v1alpha1.HostInfo{OperatingSystem: goruntime.GOOS, Architecture: goruntime.GOARCH, AgentVersion: version}
	var names unix.Utsname
	if unix.Uname(&names) == nil {
		info.KernelVersion = unix.ByteSliceToString(names.Release[:])
	}
	for _, path := range []string{"/etc/machine-id", "/var/lib/dbus/machine-id"} {
		if data, err := os.ReadFile(path); err == nil {
			info.MachineID = strings.TrimSpace(string(data))
			break
		}
	}
	return info
}

// Pressure returns the conditions DiskPressure, of the file systems of the directories, and
// MemoryPressure.
func Pressure(directories ...string) []metav1.Condition {
	disk := metav1.Condition{Type: DiskPressure, Status: metav1.ConditionFalse, Reason: "EnoughSpace"}
	for _, directory := range directories {
		if used, err := usedPart(directory); err == nil && used >= fullDisk {
			disk.Status, disk.Reason = metav1.ConditionTrue, "DiskFull"
			// Not the exact part, which would be a new message with each report.
			disk.Message = fmt.Sprintf("the file system of %s is filled to more than %d %%: free space, or remove images", directory, fullDisk)
		}
	}
	memory := metav1.Condition{Type: MemoryPressure, Status: metav1.ConditionFalse, Reason: "EnoughMemory"}
	if available, err := meminfo("MemAvailable"); err == nil && available < lowMemory {
		memory.Status, memory.Reason = metav1.ConditionTrue, "MemoryLow"
		memory.Message = "less than 100 MiB of memory are available"
	}
	return []metav1.Condition{disk, memory}
}

// usedPart returns the used part of the file system of a path, in percent.
func usedPart(path string) (int, error) {
	var stat unix.Statfs_t
	if err := unix.Statfs(path, &stat); err != nil {
		return 0, err
	}
	usable := stat.Blocks - stat.Bfree + stat.Bavail // without what is reserved for root
	if usable == 0 {
		return 0, nil
	}
	return int((stat.Blocks - stat.Bfree) * 100 / usable), nil
}
