//go:build e2e

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

package e2e

import (
	"net/http"
	"strings"
	"testing"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/gatehouse-dev/gatehouse/test/security"
)

// Users connect directly, with certificates of the cluster's authority; their rights are roles of
// the cluster.
func TestAWatchEndsWithTheRightThatTheClusterGave(t *testing.T) {
	ns := namespace(t, "watched")
	cluster, err := clientcmd.BuildConfigFromFlags("", env.cluster.Admin)
	if err != nil {
		t.Fatal(err)
	}
	as := certified(t, env.gatehouse.Replicas[0])
	security.Watches(t, security.Env{FrontProxy: true, As: as, Admin: as("watch-administrator", "system:masters")}, cluster, ns)
	t.Cleanup(func() { kubectl(t, "delete", "clusterrole/attack-watch") })
}

func TestACertificateThatNamesTheAnonymousUserIsRefused(t *testing.T) {
	for user, groups := range map[string][]string{"system:anonymous": {"system:masters"}, "attack-x": {"system:unauthenticated"}} {
		pair, err := env.cluster.ClientCA.Issue("anonymous-"+strings.ReplaceAll(user, ":", "-"), user, groups)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{instancesPath, "/readyz"} {
			if code, body := direct(t, &pair, nil, path); code != http.StatusUnauthorized {
				t.Errorf("%s gets %s with code %d: %s", user, path, code, body)
			}
		}
	}
}
