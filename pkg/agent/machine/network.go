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

package machine

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"github.com/gatehouse-dev/gatehouse/pkg/files"
)

// networkFile is the name of the CNI configuration that the agent writes. Names of others that begin
// with smaller numbers take precedence.
const networkFile = "10-gatehouse.conflist"

// HasNetwork reports whether a directory has a CNI configuration.
func HasNetwork(directory string) (bool, error) {
	entries, err := os.ReadDir(directory)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	for _, entry := range entries {
		switch filepath.Ext(entry.Name()) {
		case ".conf", ".conflist", ".json":
			return true, nil
		}
	}
	return false, err
}

// EnsureNetwork writes a CNI configuration of a bridge with the range of addresses, if the directory
// has none. It reports whether it did.
func EnsureNetwork(directory, cidr string) (written bool, err error) {
	if _, _, err := net.ParseCIDR(cidr); err != nil {
		return false, fmt.Errorf("%q is not a range of addresses: write it as 10.89.0.0/24", cidr)
	}
	if has, err := HasNetwork(directory); has || err != nil {
		return false, err
	}
	type object = map[string]any
	data, err := json.MarshalIndent(object{
		"cniVersion": "0.4.0", "name": "gatehouse",
		"plugins": []any{
			object{
				"type": "bridge", "bridge": "gatehouse0", "isGateway": true, "ipMasq": true, "promiscMode": true,
				"ipam": object{"type": "host-local", "ranges": []any{[]any{object{"subnet": cidr}}}, "routes": []any{object{"dst": "0.0.0.0/0"}}},
			},
			object{"type": "portmap", "capabilities": object{"portMappings": true}},
		},
	}, "", "  ")
	if err != nil {
		return false, err
	}
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return false, err
	}
	return true, files.Replace(filepath.Join(directory, networkFile), append(data, '\n'), 0o600)
}
