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

package hosttoken_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/hosttoken"
	"github.com/gatehouse-dev/gatehouse/pkg/credentials"
	"github.com/gatehouse-dev/gatehouse/pkg/server/options"
)

func TestAJoinLineLeadsToServersThatTheHostAccepts(t *testing.T) {
	server := servertesting.Start(t)
	create := func(args ...string) (line, notes string, err error) {
		cmd := hosttoken.NewCommand(&credentials.Administrator{CertificateDir: options.CertificateDirName, AdminKubeconfig: options.KubeconfigName})
		var out, errOut strings.Builder
		cmd.SetOut(&out)
		cmd.SetErr(&errOut)
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		cmd.SetArgs(append([]string{"create", "--data-dir", filepath.Dir(server.Kubeconfig)}, args...))
		err = cmd.ExecuteContext(context.Background())
		return out.String(), errOut.String(), err
	}
	const onlyHere = "The address is one of this machine alone"
	for _, tc := range []struct {
		name, servers string
		line, notes   string // parts of the output
		without       string // no part of the notes
		err           string
	}{
		{name: "the administrator's server, on this machine", line: "gatehouse-agent join " + server.Config.Host + " --token ", notes: onlyHere},
		{name: "several servers", servers: "https://localhost:1,https://b.example.com:6443", line: "join https://localhost:1,https://b.example.com:6443 --token ", without: onlyHere},
		{name: "a server that the host would refuse", servers: "https://10.9.9.9:6443", err: "--server=https://10.9.9.9:6443: clients would refuse the server there"},
		{name: "no URL", servers: "10.9.9.9", err: "--server=10.9.9.9: it is not the URL of a server"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var args []string
			if tc.servers != "" {
				args = []string{"--server", tc.servers}
			}
			line, notes, err := create(args...)
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) || line != "" {
					t.Errorf("got %q, %v", line, err)
				}
				return
			}
			if err != nil || !strings.Contains(line, tc.line) || !strings.Contains(notes, tc.notes) || tc.without != "" && strings.Contains(notes, tc.without) {
				t.Errorf("got %q, %q, %v", line, notes, err)
			}
		})
	}
	for args, says := range map[string]string{"": "each host that presents it and does not exist yet may join", "--name=edge-1": "may join as edge-1 while no such host is alive"} {
		if _, notes, err := create(strings.Fields(args)...); err != nil || !strings.Contains(notes, says) {
			t.Errorf("with %q: %q, %v", args, notes, err)
		}
	}
}
