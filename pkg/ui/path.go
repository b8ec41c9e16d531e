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

package ui

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// target is what a page reads of the API: a path without escapes, and query parameters.
type target struct {
	path  string
	query url.Values
}

// The parameters that reads and streams pass on.
var (
	readParameters   = []string{"labelSelector", "fieldSelector", "limit", "continue", "resourceVersion", "resourceVersionMatch", "includeObject"}
	streamParameters = []string{"labelSelector", "fieldSelector"}
	// openSubresources are those that the page reads. The others have side effects, run long, or contain
	// what is not for a page.
	openSubresources = []string{"status", "scale"}
)

// longestTarget bounds a path with its query, in bytes.
const longestTarget = 4 << 10

// parseTarget returns a target if the page may read it. stream is true for a collection that is
// followed.
func parseTarget(escapedPath, rawQuery string, stream bool) (target, error) {
	if len(escapedPath)+len(rawQuery) > longestTarget {
		return target{}, fmt.Errorf("the path and the query have more than %d bytes: shorten the selectors", longestTarget)
	}
	if err := checkPath(escapedPath, stream); err != nil {
		return target{}, err
	}
	query, err := url.ParseQuery(rawQuery)
	if err != nil {
		return target{}, errors.New("the query cannot be parsed: escape its values")
	}
	known := readParameters
	if stream {
		known = streamParameters
	}
	for name, values := range query {
		if !slices.Contains(known, name) {
			return target{}, fmt.Errorf("the parameter %.40q is not passed on: use %s", name, strings.Join(known, ", "))
		}
		if len(values) > 1 {
			return target{}, fmt.Errorf("the parameter %s is given twice: give it once", name)
		}
	}
	return target{path: escapedPath, query: query}, nil
}

// plain reports whether a segment of a path consists of characters that need no escape. Names of objects,
// groups and versions do.
func plain(segment string) bool {
	if segment == "" || segment == "." || segment == ".." {
		return false
	}
	for _, c := range []byte(segment) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("-._:~", c) >= 0:
		default:
			return false
		}
	}
	return true
}

// checkPath refuses every path that the page does not need. What a server takes a path for must not
// depend on how it is written, so escapes, empty segments and dots are refused and not removed.
func checkPath(path string, stream bool) error {
	segments := strings.Split(strings.TrimPrefix(path, "/"), "/")
	for _, segment := range segments {
		if !plain(segment) {
			return errors.New("the path has an empty segment, dots or an escape: write the API path as the server names it")
		}
	}
	resource, isResource := []string(nil), false
	switch {
	case segments[0] == "api" && len(segments) > 2:
		resource, isResource = segments[2:], true
	case segments[0] == "apis" && len(segments) > 3:
		resource, isResource = segments[3:], true
	case segments[0] == "api", segments[0] == "apis", path == "/version":
	default:
		return errors.New("the page reads only /api, /apis and /version")
	}
	if !isResource {
		if stream {
			return errors.New("only collections of objects can be followed: name one, such as /apis/GROUP/VERSION/RESOURCE")
		}
		return nil
	}
	return checkResource(resource, stream)
}

// checkResource checks the segments after the version: [namespaces/NAMESPACE/]RESOURCE[/NAME[/SUBRESOURCE]].
func checkResource(segments []string, stream bool) error {
	if segments[0] == "watch" || segments[0] == "proxy" {
		return fmt.Errorf("paths with %s/ are not passed on: follow collections with /ui/stream", segments[0])
	}
	if segments[0] == "namespaces" && len(segments) > 2 && segments[2] != "status" && segments[2] != "finalize" {
		segments = segments[2:]
	}
	switch {
	case strings.EqualFold(segments[0], "secrets"):
		return errors.New("the page does not read secrets: use kubectl")
	case len(segments) > 1 && stream:
		return errors.New("only collections can be followed: select one object with fieldSelector=metadata.name=NAME")
	case len(segments) > 3, len(segments) == 3 && !slices.Contains(openSubresources, segments[2]):
		return fmt.Errorf("of subresources, the page reads only %s", strings.Join(openSubresources, " and "))
	}
	return nil
}
