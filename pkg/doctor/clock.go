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

package doctor

import (
	"context"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/certificates"
	"github.com/gatehouse-dev/gatehouse/pkg/storage/cluster"
)

// clock compares the clock of this machine with what the server has written, with the clock of the server, and with those
// of the other members.
func (s *Standalone) clock(ctx context.Context) []Finding {
	var found []Finding
	now := s.Clock.Now()
	newest, path := s.newestFile()
	if ahead := newest.Sub(now); ahead > mostSkew {
		found = append(found, broken("", "the clock is at %s, and %s was written %s later: the clock is behind, or was ahead", stamp(now), path, age(ahead)))
	}
	compared := 0
	if s.runs() {
		if config, err := s.config(); err == nil {
			if f, did := s.compare(ctx, config, "the server", "/livez"); did {
				compared++
				found = append(found, f...)
			}
		}
	}
	state, err := cluster.Load(s.DataDir)
	if err == nil && state != nil {
		peers := certificates.PeerFilesIn(s.certificateDir())
		for _, address := range s.peers(ctx) {
			// A member has HTTP/1.1 for other members, and gRPC by HTTP/2, at the same address.
			config := &rest.Config{Host: address, TLSClientConfig: rest.TLSClientConfig{CAFile: peers.CAFile, CertFile: peers.CertFile, KeyFile: peers.KeyFile, NextProtos: []string{"http/1.1"}}}
			if f, did := s.compare(ctx, config, "the member at "+address, "/version"); did {
				compared++
				found = append(found, f...)
			}
		}
	}
	if compared > 0 {
		return orOK(found, "%s, as %d of server and members", stamp(now), compared)
	}
	return orOK(found, "%s, after everything that was written", stamp(now))
}

// compare compares this clock with that of a server. It returns false if that is not known.
func (s *Standalone) compare(ctx context.Context, config *rest.Config, who, path string) ([]Finding, bool) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	before := s.Clock.Now()
	a, err := get(ctx, config, path)
	if err != nil || a.date.IsZero() {
		return nil, false // a finding of other checks
	}
	return skew(who, a.date, before, s.Clock.Now()), true
}

// skew compares a date, which has whole seconds, with the time of its request.
func skew(who string, date, before, after time.Time) []Finding {
	var differ time.Duration
	switch {
	case date.Add(time.Second).Before(before):
		differ = before.Sub(date.Add(time.Second))
	case date.After(after):
		differ = date.Sub(after)
	}
	if differ <= mostSkew {
		return nil
	}
	return []Finding{broken("", "the clock of this machine is at %s, and that of %s at %s: new tokens and certificates are refused", stamp(before), who, stamp(date))}
}

// newestFile returns the time and the path of the file that the server has written last.
func (s *Standalone) newestFile() (newest time.Time, path string) {
	for _, dir := range []string{s.DataDir, s.certificateDir(), filepath.Join(s.etcdDir(), "member", "wal"), filepath.Join(s.etcdDir(), "member", "snap")} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue
		}
		for _, entry := range entries {
			info, err := entry.Info()
			if errors.Is(err, fs.ErrNotExist) || err != nil {
				continue
			}
			if info.ModTime().After(newest) {
				newest, path = info.ModTime(), filepath.Join(dir, entry.Name())
			}
		}
	}
	return newest, path
}

// peers returns the URLs of the other members, as the etcd of this machine knows them.
func (s *Standalone) peers(ctx context.Context) []string {
	members, err := s.members(ctx)
	if err != nil {
		return nil
	}
	var urls []string
	for _, m := range members {
		if u, err := url.Parse(m.Endpoint); err == nil && u.Scheme == "https" && m.Err == nil {
			urls = append(urls, m.Endpoint)
		}
	}
	return urls
}
