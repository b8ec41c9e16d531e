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

package certificates

import (
	"crypto/x509"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"
)

var start = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

// home is a certificate directory with a clock that the test sets.
type home struct {
	t     *testing.T
	dir   string
	clock *clocktesting.FakeClock
}

func newHome(t *testing.T) *home {
	return &home{t: t, dir: filepath.Join(t.TempDir(), "certificates"), clock: clocktesting.NewFakeClock(start)}
}

func (h *home) ensure(extraSANs ...string) *Bundle {
	h.t.Helper()
	b, err := Ensure(h.dir, Options{ExtraSANs: extraSANs, Clock: h.clock})
	if err != nil {
		h.t.Fatal(err)
	}
	return b
}

func (h *home) path(name string) string { return filepath.Join(h.dir, name) }

func (h *home) write(name string, data []byte) {
	h.t.Helper()
	if err := os.WriteFile(h.path(name), data, 0o600); err != nil {
		h.t.Fatal(err)
	}
}

func (h *home) read(name string) []byte {
	h.t.Helper()
	data, err := os.ReadFile(h.path(name))
	if err != nil {
		h.t.Fatal(err)
	}
	return data
}

func (h *home) remove(names ...string) {
	h.t.Helper()
	for _, name := range names {
		if err := os.Remove(h.path(name)); err != nil {
			h.t.Fatal(err)
		}
	}
}

// files returns the files of the directory.
func (h *home) files() map[string]string {
	h.t.Helper()
	entries, err := os.ReadDir(h.dir)
	if err != nil {
		h.t.Fatal(err)
	}
	all := map[string]string{}
	for _, e := range entries {
		all[e.Name()] = string(h.read(e.Name()))
	}
	return all
}

func TestFirstStart(t *testing.T) {
	h := newHome(t)
	b := h.ensure("Box.Example.com", "192.0.2.7", "2001:db8::1", "*.fleet.example.com", "localhost")

	if want := []string{"ca", "serving", "admin"}; !slices.Equal(b.Issued, want) {
		t.Errorf("issued %v, want %v", b.Issued, want)
	}
	modes := map[string]fs.FileMode{
		".":      fs.ModeDir | 0o700,
		"ca.crt": 0o644, "serving.crt": 0o644, "admin.crt": 0o644,
		"ca.key": 0o600, "serving.key": 0o600, "admin.key": 0o600,
	}
	for name, want := range modes {
		info, err := os.Stat(h.path(name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != want {
			t.Errorf("%s has mode %s, want %s", name, info.Mode(), want)
		}
	}
	if got, want := len(h.files()), len(modes)-1; got != want {
		t.Errorf("the directory holds %d files, want %d", got, want)
	}

	roots := x509.NewCertPool()
	roots.AddCert(b.CA.Cert)
	for _, name := range []string{"localhost", "gatehouse", "127.0.0.1", "::1", "box.example.com", "192.0.2.7", "2001:db8::1", "a.fleet.example.com"} {
		if _, err := b.Serving.Cert.Verify(x509.VerifyOptions{Roots: roots, DNSName: name, CurrentTime: start}); err != nil {
			t.Errorf("serving certificate for %s: %v", name, err)
		}
	}
	clientUse := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if _, err := b.Admin.Cert.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: clientUse, CurrentTime: start}); err != nil {
		t.Errorf("admin certificate: %v", err)
	}
	if _, err := b.Serving.Cert.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: clientUse, CurrentTime: start}); err == nil {
		t.Error("the serving certificate is valid as a client certificate")
	}
	if s := b.Admin.Cert.Subject; s.CommonName != "gatehouse-admin" || !slices.Equal(s.Organization, []string{"system:masters"}) {
		t.Errorf("admin is %s", s)
	}
	lives := map[*x509.Certificate]time.Duration{b.CA.Cert: caLifetime, b.Serving.Cert: leafLifetime, b.Admin.Cert: leafLifetime}
	for c, want := range lives {
		if got := c.NotAfter.Sub(start); got != want {
			t.Errorf("%s lives %s, want %s", c.Subject, got, want)
		}
	}
}

func TestLaterStart(t *testing.T) {
	tests := map[string]struct {
		after  time.Duration
		change func(h *home)
		sans   []string
		issued []string
	}{
		"an hour later everything is kept": {after: time.Hour},
		"with more than a third of its life left a certificate is kept": {
			after: 243 * day,
		},
		"with less than a third of their life left serving and admin are renewed": {
			after:  244 * day,
			issued: []string{"serving", "admin"},
		},
		"expired ones are renewed": {
			after:  500 * day,
			issued: []string{"serving", "admin"},
		},
		"a new name renews the serving certificate only": {
			sans:   []string{"new.example.com"},
			issued: []string{"serving"},
		},
		"a new address renews the serving certificate only": {
			sans:   []string{"192.0.2.9"},
			issued: []string{"serving"},
		},
		"a name that is there in other words renews nothing": {
			sans: []string{"LOCALHOST", "0:0:0:0:0:0:0:1"},
		},
		"removed serving files are made again": {
			change: func(h *home) { h.remove("serving.crt", "serving.key") },
			issued: []string{"serving"},
		},
		"a clock that went back renews what is not valid yet": {
			change: func(h *home) {
				h.clock.SetTime(start.Add(day))
				h.remove("serving.crt", "serving.key")
				h.ensure()
				h.clock.SetTime(start)
			},
			issued: []string{"serving"},
		},
		"a CA from a backup takes the certificates of another along": {
			change: func(h *home) {
				other := newHome(h.t)
				other.ensure()
				h.write("ca.crt", other.read("ca.crt"))
				h.write("ca.key", other.read("ca.key"))
			},
			issued: []string{"serving", "admin"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			h := newHome(t)
			h.ensure()
			if tc.change != nil {
				tc.change(h)
			}
			before := h.files()
			h.clock.Step(tc.after)
			b := h.ensure(tc.sans...)
			if !slices.Equal(b.Issued, tc.issued) {
				t.Errorf("issued %v, want %v", b.Issued, tc.issued)
			}
			if len(b.Warnings) > 0 {
				t.Errorf("warnings: %q", b.Warnings)
			}
			for file, content := range h.files() {
				pair, _, _ := strings.Cut(file, ".")
				if changed := content != before[file]; changed != slices.Contains(tc.issued, pair) {
					t.Errorf("%s changed: %t", file, changed)
				}
			}
			if again := h.ensure(tc.sans...); len(again.Issued) > 0 {
				t.Errorf("a second start issued %v", again.Issued)
			}
		})
	}
}

func TestCertificatesEndWithTheirCA(t *testing.T) {
	h := newHome(t)
	h.ensure()
	h.clock.Step(caLifetime - 100*day)
	b := h.ensure()
	if !slices.Equal(b.Issued, []string{"serving", "admin"}) || !b.Serving.Cert.NotAfter.Equal(b.CA.Cert.NotAfter) {
		t.Errorf("issued %v, serving until %s, CA until %s", b.Issued, b.Serving.Cert.NotAfter, b.CA.Cert.NotAfter)
	}
	if len(b.Warnings) != 1 || !strings.Contains(b.Warnings[0], "ends on 2036-02-27") {
		t.Errorf("warnings: %q", b.Warnings)
	}
	h.clock.Step(90 * day)
	if b := h.ensure(); len(b.Issued) > 0 {
		t.Errorf("issued %v, which ends no later than what was there", b.Issued)
	}
}

func TestRefusals(t *testing.T) {
	cut := func(name string) func(*home) {
		return func(h *home) { h.write(name, h.read(name)[:40]) }
	}
	const (
		removeServing = "remove DIR/serving.crt and DIR/serving.key, and a new pair is made at the next start"
		restoreCA     = "restore DIR/ca.crt and DIR/ca.key from a backup, or remove DIR to start with a new CA"
	)
	tests := map[string]struct {
		change func(h *home)
		sans   []string
		want   []string
	}{
		"a cut serving certificate":    {change: cut("serving.crt"), want: []string{"DIR/serving.crt holds no readable certificate", removeServing}},
		"a cut serving key":            {change: cut("serving.key"), want: []string{"DIR/serving.key is damaged", removeServing}},
		"an empty serving certificate": {change: func(h *home) { h.write("serving.crt", nil) }, want: []string{"DIR/serving.crt holds no readable certificate", removeServing}},
		"a missing serving key":        {change: func(h *home) { h.remove("serving.key") }, want: []string{"DIR/serving.key is missing", removeServing}},
		"a missing serving certificate": {change: func(h *home) { h.remove("serving.crt") },
			want: []string{"DIR/serving.crt is missing", removeServing}},
		"a key of another certificate": {
			change: func(h *home) { h.write("serving.key", h.read("admin.key")) },
			want:   []string{"DIR/serving.key is damaged or does not belong to DIR/serving.crt", removeServing},
		},
		"a cut CA certificate": {change: cut("ca.crt"), want: []string{"DIR/ca.crt holds no readable certificate", restoreCA}},
		"a cut CA key":         {change: cut("ca.key"), want: []string{"DIR/ca.key is damaged", restoreCA}},
		"a missing CA key":     {change: func(h *home) { h.remove("ca.key") }, want: []string{"DIR/ca.key is missing", restoreCA}},
		"a lost CA": {
			change: func(h *home) { h.remove("ca.key", "ca.crt") },
			want:   []string{"DIR/ca.crt and DIR/ca.key are gone", restoreCA},
		},
		"a certificate that is no CA": {
			change: func(h *home) {
				h.write("ca.crt", h.read("admin.crt"))
				h.write("ca.key", h.read("admin.key"))
			},
			want: []string{"DIR/ca.crt is not a certificate authority", restoreCA},
		},
		"an ended CA": {
			change: func(h *home) { h.clock.Step(caLifetime + day) },
			want:   []string{"the cluster CA in DIR/ca.crt expired on 2036-02-27", "remove DIR and start again"},
		},
		"a clock before the CA's first day": {
			change: func(h *home) { h.clock.SetTime(start.Add(-day)) },
			want:   []string{"DIR/ca.crt is valid from 2026-03-01T11:55:00Z on", "is at 2026-02-28T12:00:00Z", "set the clock"},
		},
		"a URL as extra name":    {sans: []string{"https://box"}, want: []string{`"https://box" cannot be a name`, "without scheme and port"}},
		"a port as extra name":   {sans: []string{"box:6443"}, want: []string{`"box:6443" cannot be a name`, "without scheme and port"}},
		"an empty extra name":    {sans: []string{""}, want: []string{`"" cannot be a name`}},
		"a file for a directory": {change: func(h *home) { h.dir = h.path("ca.crt") }, want: []string{"make the certificate directory", "not a directory"}},
	}
	for name, tc := range tests {
		t.Run(name+" gets one sentence", func(t *testing.T) {
			h := newHome(t)
			h.ensure()
			dir := h.dir
			if tc.change != nil {
				tc.change(h)
			}
			_, err := Ensure(h.dir, Options{ExtraSANs: tc.sans, Clock: h.clock})
			if err == nil {
				t.Fatal("no error")
			}
			said := strings.ReplaceAll(err.Error(), dir, "DIR")
			for _, want := range tc.want {
				if !strings.Contains(said, want) {
					t.Errorf("%q lacks %q", said, want)
				}
			}
			if strings.Contains(said, "\n") {
				t.Errorf("more than one line: %q", said)
			}
		})
	}
}

func TestLoadCA(t *testing.T) {
	h := newHome(t)
	if _, err := LoadCA(h.dir); err == nil || !strings.Contains(err.Error(), "start the server once") {
		t.Errorf("without a CA: %v", err)
	}
	b := h.ensure()
	ca, err := LoadCA(h.dir)
	if err != nil {
		t.Fatal(err)
	}
	if !ca.Cert.Equal(b.CA.Cert) || !ca.Key.Equal(b.CA.Key) {
		t.Error("another CA")
	}
}
