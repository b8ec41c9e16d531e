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
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
)

type object = map[string]any

// media is the prefix of the media types.
const media = "application/vnd.oci.image."

// layout is a tar of an image layout under construction.
type layout struct {
	data      bytes.Buffer
	out       *tar.Writer
	written   map[string]bool
	manifests []any
}

func newLayout() *layout {
	l := &layout{written: map[string]bool{}}
	l.out = tar.NewWriter(&l.data)
	return l
}

// image is an image with one layer.
type image struct {
	os, architecture string
	// layer is a tar, which is compressed if zipped is set.
	layer  []byte
	zipped bool
	// created is empty, or a time of RFC 3339.
	created string
	config  object
}

// add adds the blobs of an image and returns the descriptor of its manifest.
func (l *layout) add(i image) (object, error) {
	blob, mediaType := i.layer, media+"layer.v1.tar"
	if i.zipped {
		mediaType += "+gzip"
		var data bytes.Buffer
		out := gzip.NewWriter(&data) // its header has neither a name nor a time
		_, err := out.Write(i.layer)
		if err := errors.Join(err, out.Close()); err != nil {
			return nil, err
		}
		blob = data.Bytes()
	}
	settings := object{
		"architecture": i.architecture, "os": i.os, "config": i.config,
		"rootfs": object{"type": "layers", "diff_ids": []string{digest(i.layer)}},
	}
	if i.created != "" {
		settings["created"] = i.created
	}
	config, err := json.Marshal(settings)
	if err != nil {
		return nil, err
	}
	manifest, err := json.Marshal(object{
		"schemaVersion": 2, "mediaType": media + "manifest.v1+json",
		"config": descriptor(media+"config.v1+json", config),
		"layers": []any{descriptor(mediaType, blob)},
	})
	if err != nil {
		return nil, err
	}
	return descriptor(media+"manifest.v1+json", manifest), errors.Join(l.blob(config), l.blob(blob), l.blob(manifest))
}

// name adds an entry of the layout's index: what a descriptor is of, by its name.
func (l *layout) name(d object, name string) {
	named := object{"annotations": object{"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name}}
	for key, value := range d {
		named[key] = value
	}
	l.manifests = append(l.manifests, named)
}

// close writes the index and returns the tar.
func (l *layout) close() ([]byte, error) {
	index, err := json.Marshal(object{"schemaVersion": 2, "manifests": l.manifests})
	if err != nil {
		return nil, err
	}
	err = errors.Join(l.file("index.json", index), l.file("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`)), l.out.Close())
	return l.data.Bytes(), err
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

func digest(data []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(data)) }

func descriptor(mediaType string, data []byte) object {
	return object{"mediaType": mediaType, "digest": digest(data), "size": len(data)}
}
