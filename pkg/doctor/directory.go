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
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gatehouse-dev/gatehouse/pkg/files"
	"github.com/gatehouse-dev/gatehouse/pkg/storage/backup"
	"github.com/gatehouse-dev/gatehouse/pkg/storage/cluster"
)

// mostPaths bounds the paths of one finding.
const mostPaths = 5

// untrusted returns the finding of an error of pkg/files.
func untrusted(err error) Finding {
	if u := (*files.UntrustedError)(nil); errors.As(err, &u) {
		what, cure, _ := strings.Cut(u.Why, ": ")
		return broken(cure, "%s %s", u.Path, what)
	}
	return broken("", "%v", err)
}

func (s *Standalone) directory(context.Context) []Finding {
	err := files.Directory(s.DataDir)
	if errors.Is(err, fs.ErrNotExist) {
		return []Finding{broken("", "%s does not exist", s.DataDir)}
	}
	if err != nil {
		return []Finding{untrusted(err)}
	}
	entries, err := os.ReadDir(s.DataDir)
	if err != nil {
		return []Finding{broken("", "it cannot be read: %v", err)}
	}
	names := map[string]bool{}
	for _, entry := range entries {
		names[entry.Name()] = true
	}
	if !names[s.CertificateDir] && !names["etcd"] && !names["lock"] && len(entries) > 0 {
		return []Finding{broken("", "%s is not that of a server: it has neither lock nor %s nor etcd", s.DataDir, s.CertificateDir)}
	}
	return []Finding{ok("%s", s.DataDir)}
}

// secret reports whether the content of a file below the data directory is secret.
func (s *Standalone) secret(name string) bool {
	return strings.HasSuffix(name, ".key") || name == s.Kubeconfig || name == cluster.EncryptionName
}

// modes checks owners and modes of what the server trusts or keeps secret.
func (s *Standalone) modes(ctx context.Context) []Finding {
	var found []Finding
	var openDirs, openKeys []string
	number := 0
	err := filepath.WalkDir(s.DataDir, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a running server removes files of its log
		}
		if err != nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		if path == s.socket() {
			return nil
		}
		number++
		if err := files.Owned(path, entry.IsDir()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			if len(found) < mostPaths {
				found = append(found, untrusted(err))
			}
			return nil
		}
		info, err := os.Lstat(path)
		if err != nil || info.Mode().Perm()&0o077 == 0 {
			return nil
		}
		switch {
		case !entry.IsDir() && s.secret(entry.Name()):
			openKeys = append(openKeys, path)
		case path == s.DataDir, path == s.certificateDir(), path == s.etcdDir():
			openDirs = append(openDirs, path)
		}
		return nil
	})
	if err != nil {
		found = append(found, broken("run this command as the user of the server", "the directory cannot be read: %v", err))
	}
	if len(openKeys) > 0 {
		found = append(found, broken("run \"chmod 600 "+some(openKeys, " ")+"\"; if another user may have read it, issue new certificates (docs/certificates.md)",
			"other users may read or write %s", some(openKeys, ", ")))
	}
	if len(openDirs) > 0 {
		found = append(found, warning("run \"chmod 700 "+some(openDirs, " ")+"\", or start the server, which does so", "other users may enter %s", some(openDirs, ", ")))
	}
	return orOK(found, "the %d files and directories belong to this user or root, and keys are for the owner only", number)
}

func (s *Standalone) socket() string { return filepath.Join(s.etcdDir(), "etcd.sock") }

// some joins at most mostPaths paths.
func some(paths []string, separator string) string {
	slices.Sort(paths)
	if len(paths) <= mostPaths {
		return strings.Join(paths, separator)
	}
	return strings.Join(paths[:mostPaths], separator) + fmt.Sprintf("%s… (%d more)", separator, len(paths)-mostPaths)
}

func (s *Standalone) membership(context.Context) []Finding {
	state, err := cluster.Load(s.DataDir)
	switch {
	case err != nil:
		return []Finding{broken("restore the file from a backup, or run \"gatehouse member reset\" and join again", "%s is damaged: it needs name and peerURL", filepath.Join(s.DataDir, cluster.StateName))}
	case state == nil:
		return []Finding{ok("the server is no member of a cluster")}
	case state.Joining():
		return []Finding{warning("start the server, which goes on; if it cannot, run \"gatehouse member reset\" and join again", "the member %s has not finished joining", state.Name)}
	}
	return []Finding{ok("member %s at %s", state.Name, state.PeerURL)}
}

func (s *Standalone) encryption(ctx context.Context) []Finding {
	settings, err := backup.ReadSettings(s.DataDir)
	if err != nil {
		return []Finding{broken("start the server, which writes it again", "backup.json, which names the encryption configuration, is damaged")}
	}
	path := settings.EncryptionConfig
	if path == "" {
		return []Finding{ok("objects are not encrypted at rest")}
	}
	if err := files.Given(path); err != nil {
		return []Finding{untrusted(err)}
	}
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		return []Finding{broken("", "%s is no regular file", path)}
	}
	if err == nil && info.Mode().Perm()&0o077 != 0 {
		return []Finding{broken("run \"chmod 600 "+path+"\"; if another user may have read it, run \"gatehouse encryption rotate\"", "other users may read the keys in %s", path)}
	}
	if err := s.LoadEncryption(ctx, path); err != nil {
		// The error may quote the file.
		return []Finding{broken("", "a server cannot load %s: it is damaged, or a key management service does not respond", path)}
	}
	return []Finding{ok("a server can load %s", path)}
}
