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
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// entry is a descriptor of a layout.
type entry struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int               `json:"size"`
	Annotations map[string]string `json:"annotations"`
	Platform    struct {
		OS           string `json:"os"`
		Architecture string `json:"architecture"`
	} `json:"platform"`
}

// document has the fields of indexes, manifests and configurations that the tests read.
type document struct {
	Manifests    []entry `json:"manifests"`
	Config       json.RawMessage
	Layers       []entry `json:"layers"`
	OS           string  `json:"os"`
	Architecture string  `json:"architecture"`
	Created      string  `json:"created"`
	RootFS       struct {
		DiffIDs []string `json:"diff_ids"`
	} `json:"rootfs"`
}

// files reads a tar.
func files(t *testing.T, data []byte) map[string][]byte {
	t.Helper()
	found := map[string][]byte{}
	for in := tar.NewReader(bytes.NewReader(data)); ; {
		header, err := in.Next()
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		if found[header.Name], err = io.ReadAll(in); err != nil {
			t.Fatal(err)
		}
		if !header.ModTime.IsZero() && header.ModTime.Unix() != 0 || header.Uid != 0 {
			t.Errorf("%s has the time %v and the owner %d, which differ from build to build", header.Name, header.ModTime, header.Uid)
		}
	}
}

// blob returns the content of a descriptor, after a check of its digest and size.
func blob(t *testing.T, layout map[string][]byte, d entry) []byte {
	t.Helper()
	data, ok := layout["blobs/"+strings.Replace(d.Digest, ":", "/", 1)]
	if !ok || digest(data) != d.Digest || len(data) != d.Size {
		t.Fatalf("%s: found %v, %d bytes of %s", d.Digest, ok, len(data), digest(data))
	}
	return data
}

func decode[T any](t *testing.T, data []byte) (into T) {
	t.Helper()
	if err := json.Unmarshal(data, &into); err != nil {
		t.Fatal(err)
	}
	return into
}

// write writes a file into a directory of the test.
func write(t *testing.T, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func built(t *testing.T, out string, args ...string) []byte {
	t.Helper()
	if err := run(args); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestTheImageOfAReleaseHasTheProgramOfEachPlatform(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "out.tar")
	programs := map[string]string{"amd64": "program of amd64", "arm64": "program of arm64"}
	args := []string{"-release", "-name", "example.com/gatehouse:v1", "-version", "v1", "-revision", "abc", "-created", "2026-01-02T03:04:05Z", out}
	for _, architecture := range []string{"amd64", "arm64"} {
		args = append(args, "linux/"+architecture+"="+write(t, dir, architecture, programs[architecture]))
	}
	data := built(t, out, args...)
	layout := files(t, data)
	top := decode[document](t, layout["index.json"])
	if len(top.Manifests) != 1 || top.Manifests[0].Annotations["org.opencontainers.image.ref.name"] != "example.com/gatehouse:v1" {
		t.Fatalf("the layout has %+v", top.Manifests)
	}
	index := decode[document](t, blob(t, layout, top.Manifests[0]))
	for _, d := range index.Manifests {
		manifest := decode[document](t, blob(t, layout, d))
		config := blob(t, layout, decode[entry](t, manifest.Config))
		image := decode[document](t, config)
		if image.OS != d.Platform.OS || image.Architecture != d.Platform.Architecture || image.Created != "2026-01-02T03:04:05Z" {
			t.Errorf("%+v is of %+v", d.Platform, image)
		}
		for _, want := range []string{`"User":"65532:65532"`, `"Entrypoint":["/gatehouse"]`, `"org.opencontainers.image.version":"v1"`, `"org.opencontainers.image.revision":"abc"`} {
			if !bytes.Contains(config, []byte(want)) {
				t.Errorf("the configuration has no %s: %s", want, config)
			}
		}
		reader, err := gzip.NewReader(bytes.NewReader(blob(t, layout, manifest.Layers[0])))
		if err != nil {
			t.Fatal(err)
		}
		layer, err := io.ReadAll(reader)
		if err != nil || digest(layer) != image.RootFS.DiffIDs[0] {
			t.Errorf("%v, the layer is %s and not %v", err, digest(layer), image.RootFS.DiffIDs)
		}
		if got := string(files(t, layer)["gatehouse"]); got != programs[d.Platform.Architecture] {
			t.Errorf("the layer of %s has %q", d.Platform.Architecture, got)
		}
		delete(programs, d.Platform.Architecture)
	}
	if len(programs) > 0 {
		t.Errorf("missing: %v", programs)
	}
	if again := built(t, out, args...); !bytes.Equal(data, again) {
		t.Error("a second image of the same programs has other bytes")
	}
}

func TestTheImageForTheFirstContainerHasEveryName(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "out.tar")
	layout := files(t, built(t, out, out, write(t, dir, "hello", "program"), "pause:1", "hello:1", "hello:2"))
	var names []string
	for _, d := range decode[document](t, layout["index.json"]).Manifests {
		blob(t, layout, d)
		names = append(names, d.Annotations["io.containerd.image.name"])
	}
	if got := strings.Join(names, " "); got != "pause:1 hello:1 hello:2" {
		t.Errorf("got %s", got)
	}
}

func TestBadArgumentsAreRefused(t *testing.T) {
	program := write(t, t.TempDir(), "program", "")
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"too few":                 {[]string{"out.tar"}, "usage: oci-image OUT.tar"},
		"a release without names": {[]string{"-release", "out.tar", "linux/amd64=" + program}, "usage: oci-image -release"},
		"no platform":             {[]string{"-release", "-name", "a", "-version", "b", "out.tar", program}, "is not OS/ARCHITECTURE=PROGRAM"},
		"a time in words":         {[]string{"-release", "-name", "a", "-version", "b", "-created", "today", "out.tar", "linux/amd64=" + program}, "-created"},
		"no program":              {[]string{"-release", "-name", "a", "-version", "b", "out.tar", "linux/amd64=" + program + ".missing"}, "no such file"},
	} {
		if err := run(test.args); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
	}
}
