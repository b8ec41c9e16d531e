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

package target

import (
	"encoding/xml"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestSignatures has the example of AWS' documentation of Signature Version 4 for S3: a list of a bucket.
func TestSignatures(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "https://examplebucket.s3.amazonaws.com/?max-keys=2&prefix=J", nil)
	at, err := time.Parse(timeFormat, "20130524T000000Z")
	if err != nil {
		t.Fatal(err)
	}
	const empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	sign(r, credentials{id: "AKIAIOSFODNN7EXAMPLE", secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}, "us-east-1", empty, at)
	const want = "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
	if got := r.Header.Get("Authorization"); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// bucket is a server of S3 with one object in each page of a list.
type bucket struct {
	mu      sync.Mutex
	objects map[string]string
}

// ServeHTTP implements http.Handler.
func (b *bucket) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	key := strings.TrimPrefix(r.URL.Path, "/bucket/")
	object, there := b.objects[key]
	switch {
	case !strings.Contains(r.Header.Get("Authorization"), "Credential=me/"):
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, "<Error><Code>AccessDenied</Code><Message>no</Message></Error>")
	case r.URL.Path == "/bucket":
		page := listing{}
		after := r.URL.Query().Get("continuation-token")
		for _, key := range []string{"p/a", "p/b"} {
			if object, there := b.objects[key]; there && key > after {
				page.Contents = append(page.Contents, struct {
					Key  string
					Size int64
				}{key, int64(len(object))})
				page.IsTruncated, page.NextContinuationToken = true, key
				break
			}
		}
		_ = xml.NewEncoder(w).Encode(page)
	case r.Method == http.MethodPut && there && r.Header.Get("If-None-Match") == "*":
		w.WriteHeader(http.StatusPreconditionFailed)
	case r.Method == http.MethodPut:
		data, _ := io.ReadAll(r.Body)
		b.objects[key] = string(data)
	case !there:
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, "<Error><Code>NoSuchKey</Code></Error>")
	case r.Method == http.MethodDelete:
		delete(b.objects, key)
		w.WriteHeader(http.StatusNoContent)
	default:
		_, _ = io.WriteString(w, object)
	}
}

func newS3(t *testing.T, id string) S3 {
	t.Helper()
	server := httptest.NewServer(&bucket{objects: map[string]string{}})
	t.Cleanup(server.Close)
	file := filepath.Join(t.TempDir(), "credentials")
	if err := os.WriteFile(file, []byte("[default]\naws_access_key_id = "+id+"\naws_secret_access_key = secret\n[other]\naws_access_key_id = other\n"), fileMode); err != nil {
		t.Fatal(err)
	}
	return S3{URL: server.URL + "/bucket/p", Region: "r", CredentialsFile: file}
}

func TestABucketKeepsFilesAndOverwritesNone(t *testing.T) {
	ctx, s := t.Context(), newS3(t, "me")
	for _, name := range []string{"a", "b"} {
		if err := s.Put(ctx, name, write(t, "first")); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Put(ctx, "a", write(t, "second")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second file of the name got %v", err)
	}
	if found, err := s.List(ctx); err != nil || len(found) != 2 || found[1] != (File{"b", 5}) {
		t.Errorf("listed %v, %v", found, err)
	}
	out := filepath.Join(t.TempDir(), "out")
	if err := s.Fetch(ctx, "a", out); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(out); err != nil || string(data) != "first" {
		t.Errorf("fetched %q, %v", data, err)
	}
	if err := s.Fetch(ctx, "none", out+"2"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that does not exist got %v", err)
	}
	for range 2 {
		if err := s.Delete(ctx, "a"); err != nil {
			t.Error(err)
		}
	}
}

func TestABucketThatRefusesIsAnErrorWithItsReason(t *testing.T) {
	s := newS3(t, "other")
	if _, err := s.List(t.Context()); err == nil || !strings.Contains(err.Error(), "403 Forbidden: AccessDenied: no") {
		t.Errorf("got %v", err)
	}
	s.URL = "http://127.0.0.1:1/bucket"
	if _, err := s.List(t.Context()); err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("without a server: %v", err)
	}
	if err := os.WriteFile(s.CredentialsFile, []byte("nothing"), fileMode); err != nil {
		t.Fatal(err)
	}
	if _, err := s.List(t.Context()); err == nil || !strings.Contains(err.Error(), "has no aws_access_key_id") {
		t.Errorf("without a key: %v", err)
	}
}

func TestTheURLOfABucketHasTLSAndAName(t *testing.T) {
	for _, tc := range []struct {
		url, says string
	}{
		{"https://s3.example.com/bucket", ""},
		{"https://s3.example.com/bucket/a/b/", ""},
		{"http://127.0.0.1:9000/bucket", ""},
		{"http://s3.example.com/bucket", "has no TLS"},
		{"https://s3.example.com/", "is not the URL of a bucket"},
		{"https://me:secret@s3.example.com/bucket", "is not the URL of a bucket"},
		{"s3://bucket/prefix", "has no TLS"},
		{"bucket", "is not the URL of a bucket"},
	} {
		err := S3{URL: tc.url}.Validate()
		if tc.says == "" && err != nil || tc.says != "" && (err == nil || !strings.Contains(err.Error(), tc.says)) {
			t.Errorf("%s: got %v", tc.url, err)
		}
	}
}

func TestAFileOfWhichTheCopyFailsIsInTheDirectory(t *testing.T) {
	ctx := t.Context()
	c := Copies{Directory(t.TempDir()), newS3(t, "other")}
	err := c.Put(ctx, "a", write(t, "first"))
	if _, is := errors.AsType[*CopyError](err); !is || !strings.Contains(err.Error(), "AccessDenied") {
		t.Errorf("got %v", err)
	}
	if found, err := c.Directory.List(ctx); err != nil || len(found) != 1 {
		t.Errorf("the directory has %v, %v", found, err)
	}
	good := Copies{c.Directory, newS3(t, "me")}
	if err := good.Put(ctx, "b", write(t, "second")); err != nil {
		t.Fatal(err)
	}
	if found, err := good.List(ctx); err != nil || len(found) != 2 {
		t.Errorf("listed %v, %v", found, err)
	}
	if err := good.Directory.Delete(ctx, "b"); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "out")
	if err := good.Fetch(ctx, "b", out); err != nil {
		t.Errorf("the copy: %v", err)
	}
	if err := good.Delete(ctx, "b"); err != nil {
		t.Error(err)
	}
	if found, err := good.List(ctx); err != nil || len(found) != 1 || found[0].Name != "a" {
		t.Errorf("left are %v, %v", found, err)
	}
}
