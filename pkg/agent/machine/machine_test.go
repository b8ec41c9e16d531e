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

package machine

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

func TestTheMachineIsDescribed(t *testing.T) {
	capacity, err := Capacity(110)
	if err != nil {
		t.Fatal(err)
	}
	cpu, memory, instances := capacity[v1alpha1.ResourceCPU], capacity[v1alpha1.ResourceMemory], capacity[v1alpha1.ResourceInstances]
	if cpu.Sign() <= 0 || memory.Value() < 64<<20 || instances.Value() != 110 {
		t.Errorf("the capacity is %v", capacity)
	}
	if info := Info("v1"); info.OperatingSystem != "linux" || info.KernelVersion == "" || info.AgentVersion != "v1" {
		t.Errorf("the system is %+v", info)
	}
	if addresses := Addresses("https://127.0.0.1:6443"); len(addresses) == 0 || addresses[0].Address != "127.0.0.1" {
		t.Errorf("the addresses are %v", addresses)
	}
	if conditions := Pressure(t.TempDir(), "/missing"); len(conditions) != 2 || conditions[0].Type != DiskPressure || conditions[1].Type != MemoryPressure {
		t.Errorf("the conditions are %v", conditions)
	}
}

func TestANetworkIsWrittenOnlyWhereThereIsNone(t *testing.T) {
	for _, tc := range []struct {
		name, file, cidr string
		written          bool
		err              string
	}{
		{"no directory", "", "10.89.0.0/24", true, ""},
		{"a file of something else", "README", "10.89.0.0/24", true, ""},
		{"a configuration of the operator", "99-own.conflist", "10.89.0.0/24", false, ""},
		{"a range that is none", "", "10.89.0.0", false, `"10.89.0.0" is not a range of addresses: write it as 10.89.0.0/24`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			directory := filepath.Join(t.TempDir(), "net.d")
			if tc.file != "" {
				if err := os.MkdirAll(directory, 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(directory, tc.file), nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			written, err := EnsureNetwork(directory, tc.cidr)
			if written != tc.written || (err == nil) != (tc.err == "") || err != nil && !strings.Contains(err.Error(), tc.err) {
				t.Fatalf("written is %v, %v", written, err)
			}
			if !tc.written {
				return
			}
			data, err := os.ReadFile(filepath.Join(directory, networkFile))
			if err != nil || !json.Valid(data) || !strings.Contains(string(data), tc.cidr) {
				t.Errorf("%s, %v", data, err)
			}
			if again, err := EnsureNetwork(directory, tc.cidr); again || err != nil {
				t.Errorf("it is written again: %v, %v", again, err)
			}
		})
	}
}
