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

package bodies

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"go.yaml.in/yaml/v3"
)

const yamlCure = "write the values out, or send the body as JSON"

// scanYAML scans a YAML body. Most are JSON, which is also YAML: kubectl applies in that form. JSON has
// no aliases and is scanned as JSON.
func scanYAML(body []byte, maxBytes int64) (usage, error) {
	if json.Valid(body) {
		return scanJSON(body), nil
	}
	if most := mostNodes(body); most > MaxValues {
		// The parser would need gigabytes for an exact count.
		return usage{}, fmt.Errorf("the YAML body may hold more than %d values, by its line ends and punctuation: send the body as JSON", MaxValues)
	}
	var document yaml.Node
	if err := yaml.Unmarshal(body, &document); err != nil {
		if bytes.IndexByte(body, '*') < 0 {
			return usage{}, nil // without aliases it is bounded; the decoder returns the error
		}
		return usage{}, fmt.Errorf("the YAML body cannot be read: %w", err)
	}
	s := yamlScan{expanded: map[*yaml.Node]int64{}, limit: maxBytes}
	if _, err := s.size(&document, 0); err != nil {
		return usage{}, err
	}
	return s.usage, nil
}

// mostNodes returns an upper bound for the nodes of a YAML document: the number of the characters of
// which every node needs one.
func mostNodes(body []byte) int {
	most := 0
	for i, c := range body {
		switch c {
		case '\n', '\r', ',', ':', '[', '{':
			most++
		case '-', '?':
			if i+1 < len(body) && (body[i+1] == ' ' || body[i+1] == '\t') {
				most++
			}
		}
	}
	return most
}

// nodeBytes is added for each node besides its text: an alias of an empty value also takes memory.
const nodeBytes = 16

// yamlScan walks through a document, and visits the target of an alias once.
type yamlScan struct {
	usage
	// expanded contains the sizes of nodes with expanded aliases; -1 while a node is visited.
	expanded map[*yaml.Node]int64
	// byAliases is the sum of the bytes of the targets of aliases, and limit bounds it.
	byAliases, limit int64
}

// size returns the bytes of the expanded node.
func (s *yamlScan) size(node *yaml.Node, depth int) (int64, error) {
	if node.Kind == yaml.AliasNode {
		return s.aliasSize(node)
	}
	s.depth = max(s.depth, depth-1) // the document itself is a node
	if s.depth > MaxDepth {
		return 0, nil
	}
	s.values++
	s.hugeNumber = s.hugeNumber || isHugeNumber([]byte(node.Value))
	s.expanded[node] = -1
	total := int64(len(node.Value)) + nodeBytes
	for _, child := range node.Content {
		size, err := s.size(child, depth+1)
		if err != nil {
			return 0, err
		}
		total += size
	}
	s.expanded[node] = total
	return total, nil
}

// aliasSize returns the size of the target of the alias, which precedes it in the document.
func (s *yamlScan) aliasSize(alias *yaml.Node) (int64, error) {
	size, known := s.expanded[alias.Alias]
	switch {
	case known && size < 0:
		return 0, errors.New("the YAML body has an alias within the value that it refers to: aliases must not be circular")
	case !known:
		return 0, fmt.Errorf("the YAML body has an alias of a value that does not precede it: %s", yamlCure)
	}
	s.values++
	if s.byAliases += size; s.byAliases > s.limit {
		return 0, fmt.Errorf("the aliases of the YAML body expand to more than %d bytes: %s", s.limit, yamlCure)
	}
	return size, nil
}
