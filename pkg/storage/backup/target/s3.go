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
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path"
	"strings"
	"time"
)

const (
	// maxObject is the largest object that S3 takes in one request, in bytes.
	maxObject = 5 << 30
	// requestTimeout bounds a request with its body: 5 GB in it are 3 MB/s.
	requestTimeout = 30 * time.Minute
	// headTimeout bounds the wait for the first byte of a response.
	headTimeout = time.Minute
	// maxAnswer bounds what is read of a listing or an error, in bytes: a page has at most 1,000 names.
	maxAnswer = 4 << 20
)

// S3 is a bucket of a server with the API of S3, or a prefix in it. Requests have the bucket in their path, which servers
// besides AWS expect, and are signed by version 4 of AWS' signatures.
type S3 struct {
	// URL is that of the bucket or prefix: https://s3.eu-central-1.amazonaws.com/bucket/prefix.
	URL string
	// Region is that of the signatures.
	Region string
	// CredentialsFile is a file in the format of AWS' shared credentials. It is read for every request.
	CredentialsFile string
}

var _ Target = S3{}

// Validate returns an error for a URL that is none of a bucket.
func (s S3) Validate() error {
	u, err := url.Parse(s.URL)
	if err != nil || u.Host == "" || strings.Trim(u.Path, "/") == "" || u.RawQuery != "" || u.User != nil {
		return fmt.Errorf("%q is not the URL of a bucket: write it as https://s3.example.com/bucket/prefix", s.URL)
	}
	if u.Scheme == "http" && isLoopback(u.Hostname()) || u.Scheme == "https" {
		return nil
	}
	return fmt.Errorf("%q has no TLS, and backups have the objects in plain text: use https", s.URL)
}

func isLoopback(host string) bool {
	address := net.ParseIP(host)
	return host == "localhost" || address != nil && address.IsLoopback()
}

// String implements fmt.Stringer.
func (s S3) String() string { return s.URL }

// bucket returns the URL of the bucket, and the prefix of the keys.
func (s S3) bucket() (*url.URL, string, error) {
	if err := s.Validate(); err != nil {
		return nil, "", err
	}
	u, err := url.Parse(s.URL)
	if err != nil {
		return nil, "", err
	}
	name, prefix, _ := strings.Cut(strings.Trim(u.Path, "/"), "/")
	if prefix != "" {
		prefix += "/"
	}
	u.Path, u.RawPath = "/"+name, ""
	return u, prefix, nil
}

// do sends a request for a key of the bucket; an empty key is the bucket. The caller closes the body of the response.
func (s S3) do(ctx context.Context, method, key string, query url.Values, body *os.File) (*http.Response, error) {
	u, prefix, err := s.bucket()
	if err != nil {
		return nil, err
	}
	if key != "" {
		u.Path += "/" + prefix + key
	}
	u.RawQuery = strings.ReplaceAll(query.Encode(), "+", "%20")
	r, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
	if err != nil {
		return nil, err
	}
	sum := sha256.New()
	if body != nil {
		if r.ContentLength, err = io.Copy(sum, body); err != nil {
			return nil, err
		}
		if r.ContentLength > maxObject {
			return nil, fmt.Errorf("it has %d bytes, and S3 takes at most %d in one request: keep it in a directory", r.ContentLength, int64(maxObject))
		}
		if _, err := body.Seek(0, io.SeekStart); err != nil {
			return nil, err
		}
		r.Body = io.NopCloser(body)
		// A second backup of the name is refused.
		r.Header.Set("If-None-Match", "*")
	}
	found, err := readCredentials(s.CredentialsFile)
	if err != nil {
		return nil, err
	}
	sign(r, found, s.Region, hex.EncodeToString(sum.Sum(nil)), time.Now())
	response, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	return response, checkAnswer(response)
}

// client has bounds for servers that do not respond. It follows no redirect: the signature is for one host.
var client = &http.Client{
	Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, ResponseHeaderTimeout: headTimeout, TLSHandshakeTimeout: headTimeout, IdleConnTimeout: headTimeout},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Timeout:       requestTimeout,
}

// checkAnswer closes the body of a response that is an error, and returns the error.
func checkAnswer(response *http.Response) error {
	if response.StatusCode/100 == 2 {
		return nil
	}
	defer response.Body.Close()
	data, _ := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	var answer struct{ Code, Message string }
	_ = xml.Unmarshal(data, &answer)
	switch {
	case response.StatusCode == http.StatusPreconditionFailed:
		return fs.ErrExist
	case answer.Code == "NoSuchKey":
		return fs.ErrNotExist
	case answer.Code != "":
		return fmt.Errorf("the server of the bucket answers %s: %s: %s", response.Status, answer.Code, answer.Message)
	}
	return fmt.Errorf("the server of the bucket answers %s: is it one of S3?", response.Status)
}

// Put implements Target. The object is visible when all of it is stored.
func (s S3) Put(ctx context.Context, name, path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	response, err := s.do(ctx, http.MethodPut, name, nil, file)
	if err != nil {
		return err
	}
	return response.Body.Close()
}

// listing is a page of a list of objects.
type listing struct {
	Contents []struct {
		Key  string
		Size int64
	}
	IsTruncated           bool
	NextContinuationToken string
}

// List implements Target.
func (s S3) List(ctx context.Context) ([]File, error) {
	_, prefix, err := s.bucket()
	if err != nil {
		return nil, err
	}
	var found []File
	for token := ""; ; {
		query := url.Values{"list-type": {"2"}, "prefix": {prefix}, "delimiter": {"/"}}
		if token != "" {
			query.Set("continuation-token", token)
		}
		page, err := s.page(ctx, query)
		if err != nil {
			return nil, err
		}
		for _, object := range page.Contents {
			found = append(found, File{path.Base(object.Key), object.Size})
		}
		if token = page.NextContinuationToken; !page.IsTruncated || token == "" {
			return found, nil
		}
	}
}

func (s S3) page(ctx context.Context, query url.Values) (*listing, error) {
	response, err := s.do(ctx, http.MethodGet, "", query, nil)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	page := &listing{}
	if err := xml.NewDecoder(io.LimitReader(response.Body, maxAnswer)).Decode(page); err != nil {
		return nil, fmt.Errorf("the list of the bucket cannot be read: %w", err)
	}
	return page, nil
}

// Fetch implements Target.
func (s S3) Fetch(ctx context.Context, name, path string) error {
	response, err := s.do(ctx, http.MethodGet, name, nil, nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if err := writeFile(ctx, path, response.Body); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return err
		}
		return errors.Join(err, removeIfThere(path))
	}
	return nil
}

// Delete implements Target.
func (s S3) Delete(ctx context.Context, name string) error {
	response, err := s.do(ctx, http.MethodDelete, name, nil, nil)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	return response.Body.Close()
}

// Sweep implements Target. A server of S3 keeps no part of an object.
func (S3) Sweep() error { return nil }
