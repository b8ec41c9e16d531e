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

// Command sbom prints the software bill of materials of a Go program in the JSON format of CycloneDX
// 1.6: the modules whose packages the linker recorded in the program, not those that go.mod
// requires. The same program gives the same bytes.
//
//	sbom -name NAME -version VERSION [-created TIME] PROGRAM
package main

import (
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"

	"github.com/google/uuid"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// The part of CycloneDX that is written.
type (
	bom struct {
		Format       string       `json:"bomFormat"`
		SpecVersion  string       `json:"specVersion"`
		SerialNumber string       `json:"serialNumber"`
		Version      int          `json:"version"`
		Metadata     metadata     `json:"metadata"`
		Components   []component  `json:"components"`
		Dependencies []dependency `json:"dependencies"`
	}
	metadata struct {
		Timestamp string    `json:"timestamp,omitempty"`
		Component component `json:"component"`
	}
	component struct {
		Type       string     `json:"type"`
		Ref        string     `json:"bom-ref"`
		Name       string     `json:"name"`
		Version    string     `json:"version"`
		Hashes     []hash     `json:"hashes,omitempty"`
		Licenses   []license  `json:"licenses,omitempty"`
		PackageURL string     `json:"purl"`
		Properties []property `json:"properties,omitempty"`
	}
	hash struct {
		Algorithm string `json:"alg"`
		Content   string `json:"content"`
	}
	license struct {
		License struct {
			ID string `json:"id"`
		} `json:"license"`
	}
	property struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}
	dependency struct {
		Ref       string   `json:"ref"`
		DependsOn []string `json:"dependsOn,omitempty"`
	}
)

func run(args []string, out io.Writer) error {
	fs := flag.NewFlagSet("sbom", flag.ContinueOnError)
	name := fs.String("name", "", "name of the program")
	version := fs.String("version", "", "version of the program, which a build of a checkout does not record")
	created := fs.String("created", "", "time of the document, in the format of RFC 3339")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if *name == "" || *version == "" || fs.NArg() != 1 {
		return errors.New("usage: sbom -name NAME -version VERSION [-created TIME] PROGRAM")
	}
	program, err := os.ReadFile(fs.Arg(0))
	if err != nil {
		return err
	}
	info, err := buildinfo.ReadFile(fs.Arg(0))
	if err != nil {
		return fmt.Errorf("%s is not a Go program: %w", fs.Arg(0), err)
	}
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(billOf(info, *name, *version, *created, program))
}

// billOf returns the bill of a program.
func billOf(info *buildinfo.BuildInfo, name, version, created string, program []byte) bom {
	sum := sha256.Sum256(program)
	main := component{
		Type: "application", Name: name, Version: version, PackageURL: packageURL(info.Main.Path, version) + "#" + strings.TrimPrefix(info.Path, info.Main.Path+"/"),
		Hashes: []hash{{"SHA-256", hex.EncodeToString(sum[:])}}, Licenses: make([]license, 1),
		Properties: []property{{"gatehouse:go:version", info.GoVersion}},
	}
	main.Licenses[0].License.ID = "Apache-2.0"
	main.Ref = main.PackageURL
	for _, setting := range info.Settings {
		if setting.Key == "GOOS" || setting.Key == "GOARCH" || setting.Key == "CGO_ENABLED" {
			main.Properties = append(main.Properties, property{"gatehouse:go:" + setting.Key, setting.Value})
		}
	}
	standard := library("std", strings.TrimPrefix(info.GoVersion, "go"), "")
	all := []component{standard}
	for _, module := range info.Deps {
		used := module
		if module.Replace != nil {
			used = module.Replace
		}
		all = append(all, library(used.Path, used.Version, used.Sum))
	}
	uses := dependency{Ref: main.Ref}
	dependencies := []dependency{}
	for _, c := range all {
		uses.DependsOn = append(uses.DependsOn, c.Ref)
		dependencies = append(dependencies, dependency{Ref: c.Ref}) // the program does not record which module uses which
	}
	return bom{
		Format: "CycloneDX", SpecVersion: "1.6", Version: 1,
		SerialNumber: "urn:uuid:" + uuid.NewSHA1(uuid.NameSpaceOID, sum[:]).String(),
		Metadata:     metadata{created, main}, Components: all, Dependencies: append([]dependency{uses}, dependencies...),
	}
}

// library returns the entry of a module. Its sum is one over the names and hashes of all of its files, as in go.sum.
func library(path, version, sum string) component {
	c := component{Type: "library", Name: path, Version: version, PackageURL: packageURL(path, version)}
	c.Ref = c.PackageURL
	if sum != "" {
		c.Properties = []property{{"gatehouse:go:sum", sum}}
	}
	return c
}

func packageURL(path, version string) string {
	return "pkg:golang/" + path + "@" + strings.ReplaceAll(url.PathEscape(version), "+", "%2B")
}
