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

package apiserver

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// emptyDefinitions serves the handler and returns a function that sends it requests.
func emptyDefinitions(t *testing.T) func(query, accept string) *http.Response {
	t.Helper()
	_, codecs := NewFleetScheme()
	server := httptest.NewServer(&noCustomResources{codecs, time.Hour})
	t.Cleanup(server.Close)
	return func(query, accept string) *http.Response {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		t.Cleanup(cancel)
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+customResourceDefinitionsPath+query, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept", accept)
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cancel(); _ = response.Body.Close() })
		return response
	}
}

func TestTheEmptyListHasTheRequestedRepresentation(t *testing.T) {
	send := emptyDefinitions(t)
	for accept, kind := range map[string]string{
		"":                 "apiextensions.k8s.io/v1 CustomResourceDefinitionList",
		"application/json": "apiextensions.k8s.io/v1 CustomResourceDefinitionList",
		"application/vnd.kubernetes.protobuf,application/json":          "apiextensions.k8s.io/v1 CustomResourceDefinitionList",
		"application/json;as=Table;v=v1;g=meta.k8s.io,application/json": "meta.k8s.io/v1 Table",
		"application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1": "meta.k8s.io/v1 PartialObjectMetadataList",
	} {
		var list struct {
			APIVersion, Kind string
			Metadata         struct{ ResourceVersion string }
		}
		if err := json.NewDecoder(send("", accept).Body).Decode(&list); err != nil || list.APIVersion+" "+list.Kind != kind || list.Metadata.ResourceVersion == "" {
			t.Errorf("%q is answered with %+v (%v), not with a %s", accept, list, err, kind)
		}
	}
}

func TestTheEmptyWatchStaysOpenUntilItsTimeout(t *testing.T) {
	send := emptyDefinitions(t)
	const stream = "?watch=1&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
	open := send(stream, "application/json")
	line, err := bufio.NewReader(open.Body).ReadString('\n')
	if err != nil || open.StatusCode != http.StatusOK || !strings.Contains(line, `"BOOKMARK"`) || !strings.Contains(line, `"k8s.io/initial-events-end":"true"`) {
		t.Errorf("a stream begins with %d %q (%v)", open.StatusCode, line, err)
	}
	for _, query := range []string{"?watch=1&timeoutSeconds=1", "?watch=true&resourceVersion=1&timeoutSeconds=1&allowWatchBookmarks=true"} {
		response := send(query, "application/json")
		lines := bufio.NewScanner(response.Body)
		for lines.Scan() {
			if strings.Contains(lines.Text(), "ADDED") || strings.Contains(lines.Text(), "initial-events-end") && !strings.Contains(query, "allowWatchBookmarks") {
				t.Errorf("%s: %s", query, lines.Text())
			}
		}
		if lines.Err() != nil || response.StatusCode != http.StatusOK {
			t.Errorf("%s: %d, ended with %v", query, response.StatusCode, lines.Err())
		}
	}
}

func TestAWrongWatchOfTheEmptyListIsRefused(t *testing.T) {
	send := emptyDefinitions(t)
	for query, code := range map[string]int{
		"?watch=1&timeoutSeconds=soon":    http.StatusBadRequest,
		"?watch=1&sendInitialEvents=true": http.StatusUnprocessableEntity,
		"?labelSelector=a%20b":            http.StatusBadRequest,
	} {
		if response := send(query, "application/json"); response.StatusCode != code {
			t.Errorf("%s is answered with %d, not %d", query, response.StatusCode, code)
		}
	}
}
