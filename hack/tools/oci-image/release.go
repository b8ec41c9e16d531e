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
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"
)

// release are the flags of the image of a release.
type release struct {
	name, version, revision, created string
}

const releaseUsage = "usage: oci-image -release -name NAME -version VERSION [-revision COMMIT] [-created TIME] OUT.tar OS/ARCHITECTURE=PROGRAM [OS/ARCHITECTURE=PROGRAM ...]"

// runRelease writes the image of a program without a base, for several platforms.
func runRelease(args []string) error {
	var r release
	fs := flag.NewFlagSet("oci-image -release", flag.ContinueOnError)
	fs.StringVar(&r.name, "name", "", "name of the image, with its tag")
	fs.StringVar(&r.version, "version", "", "version of the program")
	fs.StringVar(&r.revision, "revision", "", "commit of the sources")
	fs.StringVar(&r.created, "created", "", "time of the image, in the format of RFC 3339")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if r.name == "" || r.version == "" || fs.NArg() < 2 {
		return errors.New(releaseUsage)
	}
	if r.created != "" {
		if _, err := time.Parse(time.RFC3339, r.created); err != nil {
			return fmt.Errorf("-created: %w", err)
		}
	}
	l := newLayout()
	var manifests []any
	for _, arg := range fs.Args()[1:] {
		manifest, err := r.platform(l, arg)
		if err != nil {
			return err
		}
		manifests = append(manifests, manifest)
	}
	index, err := json.Marshal(object{"schemaVersion": 2, "mediaType": media + "index.v1+json", "manifests": manifests, "annotations": r.annotations()})
	if err != nil {
		return err
	}
	if err := l.blob(index); err != nil {
		return err
	}
	l.name(descriptor(media+"index.v1+json", index), r.name)
	data, err := l.close()
	if err != nil {
		return err
	}
	return os.WriteFile(fs.Arg(0), data, 0o644)
}

// platform adds the image of one platform, and returns its entry in the index.
func (r release) platform(l *layout, arg string) (object, error) {
	platform, path, ok := strings.Cut(arg, "=")
	system, architecture, both := strings.Cut(platform, "/")
	if !ok || !both {
		return nil, fmt.Errorf("%q is not OS/ARCHITECTURE=PROGRAM", arg)
	}
	program, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	layer, err := layerOf("gatehouse", program)
	if err != nil {
		return nil, err
	}
	manifest, err := l.add(image{
		os: system, architecture: architecture, layer: layer, zipped: true, created: r.created,
		// What artifacts/image/Containerfile says, too.
		config: object{
			"Entrypoint": []string{"/gatehouse"}, "User": "65532:65532", "ExposedPorts": object{"6443/tcp": object{}}, "Labels": r.annotations(),
		},
	})
	if err != nil {
		return nil, err
	}
	manifest["platform"] = object{"os": system, "architecture": architecture}
	return manifest, nil
}

// annotations are the annotations of the index and the labels of the images.
func (r release) annotations() object {
	all := object{
		"org.opencontainers.image.title": "gatehouse", "org.opencontainers.image.licenses": "Apache-2.0",
		"org.opencontainers.image.version": r.version,
	}
	if r.revision != "" {
		all["org.opencontainers.image.revision"] = r.revision
	}
	if r.created != "" {
		all["org.opencontainers.image.created"] = r.created
	}
	return all
}
