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

// Command krew prints the manifest with which krew, the package manager of kubectl's plugins, installs
// kubectl-gatehouse: one entry for each archive NAME_VERSION_OS_ARCHITECTURE.tar.gz.
//
//	krew -version VERSION -url URL ARCHIVE...
package main

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// manifest is the part of krew.googlecontainertools.github.com/v1alpha2 that is written.
type manifest struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name string `json:"name"`
	} `json:"metadata"`
	Spec spec `json:"spec"`
}

type spec struct {
	Version          string     `json:"version"`
	Homepage         string     `json:"homepage"`
	ShortDescription string     `json:"shortDescription"`
	Description      string     `json:"description"`
	Platforms        []platform `json:"platforms"`
}

type platform struct {
	Selector struct {
		MatchLabels map[string]string `json:"matchLabels"`
	} `json:"selector"`
	URI    string `json:"uri"`
	SHA256 string `json:"sha256"`
	Bin    string `json:"bin"`
}

const homepage = "https://github.com/gatehouse-dev/gatehouse"

var (
	// releases are the versions that krew accepts: semantic ones, with a leading v.
	releases = regexp.MustCompile(`^v[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$`)
	archives = regexp.MustCompile(`_([a-z0-9]+)_([a-z0-9]+)\.tar\.gz$`)
)

func run(args []string, out io.Writer) error {
	fs := flag.NewFlagSet("krew", flag.ContinueOnError)
	version := fs.String("version", "", "version of the plugin")
	url := fs.String("url", "", "directory of the archives")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if !releases.MatchString(*version) || !strings.HasPrefix(*url, "https://") || fs.NArg() == 0 {
		return errors.New("usage: krew -version v1.2.3 -url https://DIRECTORY ARCHIVE [ARCHIVE ...]")
	}
	m := manifest{APIVersion: "krew.googlecontainertools.github.com/v1alpha2", Kind: "Plugin", Spec: spec{
		Version: *version, Homepage: homepage, ShortDescription: "Roll out and debug apps on hosts of Gatehouse",
		Description: "Creates, changes and rolls out the Apps of Gatehouse, drains its Hosts, and explains what\nits server did with a request.\n",
	}}
	m.Metadata.Name = "gatehouse"
	for _, path := range fs.Args() {
		p, err := platformOf(path, strings.TrimSuffix(*url, "/"))
		if err != nil {
			return err
		}
		m.Spec.Platforms = append(m.Spec.Platforms, p)
	}
	slices.SortFunc(m.Spec.Platforms, func(a, b platform) int { return cmp.Compare(a.URI, b.URI) })
	text, err := yaml.Marshal(m)
	if err == nil {
		_, err = out.Write(text)
	}
	return err
}

// platformOf returns the entry of an archive.
func platformOf(path, url string) (p platform, err error) {
	name := filepath.Base(path)
	match := archives.FindStringSubmatch(name)
	if match == nil {
		return p, fmt.Errorf("%s is not NAME_VERSION_OS_ARCHITECTURE.tar.gz", path)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return p, err
	}
	p.Selector.MatchLabels = map[string]string{"os": match[1], "arch": match[2]}
	p.URI, p.SHA256, p.Bin = url+"/"+name, fmt.Sprintf("%x", sha256.Sum256(data)), "kubectl-gatehouse"
	if match[1] == "windows" {
		p.Bin += ".exe"
	}
	return p, nil
}
