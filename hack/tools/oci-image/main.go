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

// Command oci-image packs a static program into a tar of an OCI image layout, which
// "ctr images import" reads. The first form packs the program with the given names, and the program
// with the argument pause as the image of sandboxes; the second is the image of a release, one for
// each platform behind an index.
//
//	oci-image OUT.tar PROGRAM PAUSE-NAME NAME...
//	oci-image -release -name NAME -version VERSION OUT.tar OS/ARCHITECTURE=PROGRAM...
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) > 0 && args[0] == "-release" {
		return runRelease(args[1:])
	}
	if len(args) < 4 {
		return errors.New("usage: oci-image OUT.tar PROGRAM PAUSE-NAME NAME [NAME ...]\n" + releaseUsage)
	}
	program, err := os.ReadFile(args[1])
	if err != nil {
		return err
	}
	l := newLayout()
	path := filepath.Base(args[1])
	layer, err := layerOf(path, program)
	if err != nil {
		return err
	}
	for _, of := range []struct {
		entrypoint, names []string
	}{{[]string{"/" + path, "pause"}, args[2:3]}, {[]string{"/" + path}, args[3:]}} {
		manifest, err := l.add(image{
			os: "linux", architecture: runtime.GOARCH, layer: layer, config: object{"Entrypoint": of.entrypoint, "User": "65535:65535"},
		})
		if err != nil {
			return err
		}
		for _, name := range of.names {
			l.name(manifest, name)
		}
	}
	data, err := l.close()
	if err != nil {
		return err
	}
	return os.WriteFile(args[0], data, 0o644)
}
