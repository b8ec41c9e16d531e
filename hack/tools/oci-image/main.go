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
// "ctr images import" reads: the program with the given names, and the program with the argument
// pause as the image of sandboxes.
//
//	oci-image OUT.tar PROGRAM PAUSE-NAME NAME...
package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
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

type object = map[string]any

// layout is a tar of an image layout under construction.
type layout struct {
	out       *tar.Writer
	written   map[string]bool
	manifests []any
}

func run(args []string) error {
	if len(args) < 4 {
		return errors.New("usage: oci-image OUT.tar PROGRAM PAUSE-NAME NAME [NAME ...]")
	}
	program, err := os.ReadFile(args[1])
	if err != nil {
		return err
	}
	var data bytes.Buffer
	l := &layout{out: tar.NewWriter(&data), written: map[string]bool{}}
	path := filepath.Base(args[1])
	layer, err := layerOf(path, program)
	if err != nil {
		return err
	}
	if err := l.image([]string{"/" + path, "pause"}, layer, args[2:3]); err != nil {
		return err
	}
	if err := l.image([]string{"/" + path}, layer, args[3:]); err != nil {
		return err
	}
	if err := l.close(); err != nil {
		return err
	}
	return os.WriteFile(args[0], data.Bytes(), 0o644)
}

// layerOf returns a layer with a program.
func layerOf(path string, program []byte) ([]byte, error) {
	var data bytes.Buffer
	out := tar.NewWriter(&data)
	err := out.WriteHeader(&tar.Header{Name: path, Mode: 0o755, Size: int64(len(program)), Typeflag: tar.TypeReg})
	if err == nil {
		_, err = out.Write(program)
	}
	return data.Bytes(), errors.Join(err, out.Close())
}

// image adds an image with one layer and its names.
func (l *layout) image(entrypoint []string, layer []byte, names []string) error {
	config, err := json.Marshal(object{
		"architecture": runtime.GOARCH, "os": "linux",
		"config": object{"Entrypoint": entrypoint, "User": "65535:65535"},
		"rootfs": object{"type": "layers", "diff_ids": []string{digest(layer)}},
	})
	if err != nil {
		return err
	}
	const media = "application/vnd.oci.image."
	manifest, err := json.Marshal(object{
		"schemaVersion": 2, "mediaType": media + "manifest.v1+json",
		"config": descriptor(media+"config.v1+json", config),
		"layers": []any{descriptor(media+"layer.v1.tar", layer)},
	})
	if err != nil {
		return err
	}
	for _, name := range names {
		named := descriptor(media+"manifest.v1+json", manifest)
		named["annotations"] = object{"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name}
		l.manifests = append(l.manifests, named)
	}
	return errors.Join(l.blob(config), l.blob(layer), l.blob(manifest))
}

// close writes the index.
func (l *layout) close() error {
	index, err := json.Marshal(object{"schemaVersion": 2, "manifests": l.manifests})
	if err != nil {
		return err
	}
	return errors.Join(l.file("index.json", index), l.file("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`)), l.out.Close())
}

func (l *layout) blob(data []byte) error {
	name := "blobs/sha256/" + digest(data)[len("sha256:"):]
	if l.written[name] {
		return nil
	}
	l.written[name] = true
	return l.file(name, data)
}

func (l *layout) file(name string, data []byte) error {
	err := l.out.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(data)), Typeflag: tar.TypeReg})
	if err == nil {
		_, err = l.out.Write(data)
	}
	return err
}

func digest(data []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(data)) }

func descriptor(mediaType string, data []byte) object {
	return object{"mediaType": mediaType, "digest": digest(data), "size": len(data)}
}
