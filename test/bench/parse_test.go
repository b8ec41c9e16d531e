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

package main

import (
	"encoding/binary"
	"maps"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/test/kit/metrics"
)

func TestParseStat(t *testing.T) {
	stat := []byte("1234 (a (strange) name) S 1 2 3 4 5 6 7 8 9 10 250 75 0 0 20 0 18 0 100 1 2")
	got, err := parseStat(stat)
	if want := 3250 * time.Millisecond; err != nil || got != want {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
	for _, bad := range []string{"", "1 (name", "1 (name) S 1 2", "1 (name) S 1 2 3 4 5 6 7 8 9 10 many 75 0"} {
		if got, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q is accepted as %v", bad, got)
		}
	}
}

func TestParseStatus(t *testing.T) {
	const status = "Name:\tgatehouse\nVmRSSLimit:\t1 kB\nVmRSS:\t   65536 kB\nThreads:\t12\n"
	if got, err := parseStatus(status, "VmRSS"); err != nil || got != 64<<20 {
		t.Errorf("got %d, %v; want 64 MiB", got, err)
	}
	for _, name := range []string{"VmSwap", "Threads", "Name"} {
		if got, err := parseStatus(status, name); err == nil {
			t.Errorf("%s is accepted as %d", name, got)
		}
	}
}

func TestOwnProcess(t *testing.T) {
	if m, err := memoryOf(os.Getpid()); err != nil || m.anonymous < 1<<20 || m.resident <= m.anonymous {
		t.Errorf("this process: %v, %v", m, err)
	}
	if _, err := cpuTime(os.Getpid()); err != nil {
		t.Error(err)
	}
}

func TestParsePhase(t *testing.T) {
	for _, test := range []struct {
		line string
		want phase
		ok   bool
	}{
		{"  etcd in this process, certificates       24 ms", phase{"etcd in this process, certificates", 24 * time.Millisecond}, true},
		{"  configuration                             0 ms", phase{"configuration", 0}, true},
		{"Ready in 85 ms at https://127.0.0.1:42249", phase{}, false},
		{"  kubectl api-resources", phase{}, false},
		{"", phase{}, false},
	} {
		if got, ok := parsePhase(test.line); got != test.want || ok != test.ok {
			t.Errorf("%q: got %v, %v; want %v, %v", test.line, got, ok, test.want, test.ok)
		}
	}
}

func TestMountType(t *testing.T) {
	const mounts = "/dev/vda / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n/dev/vdb /tmpfiles xfs rw 0 0\n"
	for path, want := range map[string]string{"/": "ext4", "/home/me": "ext4", "/tmp": "tmpfs", "/tmp/a": "tmpfs", "/tmpfiles/a": "xfs", "/tmpother": "ext4"} {
		if got := mountType(mounts, path); got != want {
			t.Errorf("%s is on %s, want %s", path, got, want)
		}
	}
	if got := mountType("", "/tmp"); got != "unknown file system" {
		t.Errorf("without mounts /tmp is on %s", got)
	}
}

// framed returns an event in its wire format.
func framed(size int) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(size)), make([]byte, size)...)
}

func TestMessages(t *testing.T) {
	for _, test := range []struct {
		name  string
		parts [][]byte
		want  []int
	}{
		{"one", [][]byte{framed(2000)}, []int{1}},
		{"two at once", [][]byte{slices.Concat(framed(10), framed(20))}, []int{2}},
		{"one in three", [][]byte{framed(100)[:4], framed(100)[4:50], framed(100)[50:]}, []int{0, 0, 1}},
		{"the second begins with the first", [][]byte{slices.Concat(framed(10), framed(20)[:9]), framed(20)[9:]}, []int{1, 1}},
	} {
		m := &messages{}
		for i, part := range test.parts {
			if got, err := m.take(part); err != nil || got != test.want[i] {
				t.Errorf("%s, part %d: got %d, %v; want %d", test.name, i, got, err, test.want[i])
			}
		}
	}
	if _, err := (&messages{}).take([]byte{0, 0}); err == nil {
		t.Error("half a length is accepted")
	}
}

// The hosts with an instance must be watched, however few watches there are.
func TestWatchedHosts(t *testing.T) {
	b := &aggregatedBench{watches: 1000}
	for _, count := range []int{0, boundHosts, 100, 1000} {
		hosts := b.watchedHosts(count)
		seen := map[int]bool{}
		for _, host := range hosts {
			seen[host] = true
		}
		if len(hosts) != count || len(seen) != count {
			t.Errorf("%d hosts, %d different, want %d", len(hosts), len(seen), count)
		}
		for i := range min(count, boundHosts) {
			if !seen[boundHost(i, b.watches)] {
				t.Errorf("of %d hosts none is %d, which has an instance", count, boundHost(i, b.watches))
			}
		}
	}
}

// parse parses metrics in the text format.
func parse(t *testing.T, text string) metrics.Samples {
	t.Helper()
	samples, err := metrics.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return samples
}

func TestTimesAreSummedOverLabels(t *testing.T) {
	text := `# TYPE authentication_duration_seconds histogram
authentication_duration_seconds_bucket{result="success",le="0.001"} 3
authentication_duration_seconds_sum{result="success"} 0.25
authentication_duration_seconds_sum{result="failure"} 0.5
authorization_duration_seconds_sum{result="allowed"} 0.125
apiserver_request_duration_seconds_sum{component="",dry_run="",group="fleet.gatehouse.dev",resource="instances",scope="resource",subresource="",verb="GET",version="v1alpha1"} 2
apiserver_request_duration_seconds_sum{component="",dry_run="",group="fleet.gatehouse.dev",resource="instances",scope="resource",subresource="",verb="POST",version="v1alpha1"} 4
apiserver_request_duration_seconds_sum{component="",dry_run="",group="",resource="events",scope="resource",subresource="",verb="GET",version="v1"} 8
apiserver_request_duration_seconds_count{component="",dry_run="",group="fleet.gatehouse.dev",resource="instances",scope="resource",subresource="",verb="GET",version="v1alpha1"} 16
`
	want := times{authentication: 750 * time.Millisecond, authorization: 125 * time.Millisecond, request: 2 * time.Second, requests: 16}
	if got := sumTimes(parse(t, text), "GET"); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestPluginTimesAreThoseOfCreates(t *testing.T) {
	const metric = "apiserver_admission_controller_admission_duration_seconds_"
	text := "# TYPE " + metric[:len(metric)-1] + ` histogram
` + metric + `bucket{name="HostTaints",operation="CREATE",rejected="false",type="admit",le="0.005"} 9
` + metric + `sum{name="HostTaints",operation="CREATE",rejected="false",type="admit"} 0.25
` + metric + `count{name="HostTaints",operation="CREATE",rejected="false",type="admit"} 9
` + metric + `sum{name="HostTaints",operation="CREATE",rejected="true",type="admit"} 0.5
` + metric + `count{name="HostTaints",operation="CREATE",rejected="true",type="admit"} 1
` + metric + `sum{name="HostTaints",operation="UPDATE",rejected="false",type="admit"} 8
` + metric + `count{name="HostTaints",operation="UPDATE",rejected="false",type="admit"} 8
` + metric + `sum{name="ResourceQuota",operation="CREATE",rejected="false",type="validate"} 1e-03
` + metric + `count{name="ResourceQuota",operation="CREATE",rejected="false",type="validate"} 1e+01
` + metric + `created{name="ResourceQuota",operation="CREATE",rejected="false",type="validate"} 1e+09
apiserver_admission_step_admission_duration_seconds_sum{operation="CREATE",rejected="false",type="validate"} 4
`
	got := pluginTimes(parse(t, text))
	want := map[string]pluginTime{"HostTaints admit": {750 * time.Millisecond, 10}, "ResourceQuota validate": {time.Millisecond, 10}}
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
