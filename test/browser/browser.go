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

// Package browser plays a user with a browser, for tests of logins: it follows links and redirects with cookies, and
// fills in the forms of a provider. The test program itself is the browser that the environment variable BROWSER
// names. Read User first.
package browser

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"
)

const (
	// variable is the environment variable that makes a test program a browser. It has a User.
	variable = "GATEHOUSE_TEST_BROWSER"
	// mostForms bounds the forms of one login.
	mostForms = 10
	// patience bounds a login.
	patience = time.Minute
)

// User is a person at a browser.
type User struct {
	// Name and Password are what the user enters.
	Name, Password string
	// Choice is a part of the location to which a button leads; that button is pressed on a page without forms.
	Choice string
	// CA is the authority of the provider, in PEM.
	CA string
	// Log is a file that gets a row for each visit: "link: the last page", or "link: error: reason".
	Log string
}

// Environment returns the environment variables with which a program opens this user's browser. TestMain of the
// test must call Main.
func (u User) Environment(t testing.TB) []string {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(u)
	if err != nil {
		t.Fatal(err)
	}
	return []string{"BROWSER=" + program, variable + "=" + string(data)}
}

// Visits returns the rows of the log.
func (u User) Visits(t testing.TB) []string {
	t.Helper()
	data, err := os.ReadFile(u.Log)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return strings.FieldsFunc(string(data), func(r rune) bool { return r == '\n' })
}

// Main ends the process if it is a browser, after the visit of the link in its argument.
func Main() {
	setting := os.Getenv(variable)
	if setting == "" || len(os.Args) != 2 {
		return
	}
	if err := visitAndLog(setting, os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func visitAndLog(setting, link string) error {
	var u User
	if err := json.Unmarshal([]byte(setting), &u); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	page, visitErr := u.Visit(ctx, link)
	row := link + ": " + strings.Join(strings.Fields(page), " ")
	if visitErr != nil {
		row = link + ": error: " + visitErr.Error()
	}
	log, err := os.OpenFile(u.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return errors.Join(visitErr, err)
	}
	_, err = log.WriteString(row + "\n")
	return errors.Join(visitErr, err, log.Close())
}

// Client returns an HTTP client with cookies that trusts the authority.
func (u User) Client() (*http.Client, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	authorities := x509.NewCertPool()
	if !authorities.AppendCertsFromPEM([]byte(u.CA)) {
		return nil, errors.New("the browser has no authority")
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{RootCAs: authorities}
	return &http.Client{Jar: jar, Transport: transport}, nil
}

// Visit opens the link, fills in forms until a page has none, and returns the text of the last page.
func (u User) Visit(ctx context.Context, link string) (string, error) {
	client, err := u.Client()
	if err != nil {
		return "", err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, link, nil)
	if err != nil {
		return "", err
	}
	for range mostForms {
		page, at, err := load(client, request)
		if err != nil {
			return "", err
		}
		action, fields, err := u.fill(page)
		if err != nil {
			return "", err
		}
		if action == nil {
			return u.choose(ctx, client, page, at)
		}
		request, err = http.NewRequestWithContext(ctx, http.MethodPost, at.ResolveReference(action).String(), strings.NewReader(fields.Encode()))
		if err != nil {
			return "", err
		}
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return "", fmt.Errorf("%s has more than %d forms", link, mostForms)
}

// location matches where a button leads to.
var location = regexp.MustCompile(`location\.href='([^']*)'`)

// choose presses the button of the user's choice, if there is one, and returns the last page.
func (u User) choose(ctx context.Context, client *http.Client, page string, at *url.URL) (string, error) {
	for _, match := range location.FindAllStringSubmatch(html.UnescapeString(page), -1) {
		if u.Choice == "" || !strings.Contains(match[1], u.Choice) {
			continue
		}
		target, err := at.Parse(match[1])
		if err != nil {
			return "", err
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
		if err != nil {
			return "", err
		}
		page, _, err = load(client, request)
		return page, err
	}
	return page, nil
}

// load returns the page after all redirects, and its address.
func load(client *http.Client, request *http.Request) (string, *url.URL, error) {
	response, err := client.Do(request)
	if err != nil {
		return "", nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode >= 400 {
		err = fmt.Errorf("%s: %s: %s", request.URL.Path, response.Status, body)
	}
	return string(body), response.Request.URL, err
}

// fill returns where the first form of the page is sent to, with what the user enters; nothing without a form.
func (u User) fill(page string) (action *url.URL, fields url.Values, err error) {
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		return nil, nil, err
	}
	var form *html.Node
	for node := range root.Descendants() {
		if node.Type == html.ElementNode && node.Data == "form" {
			form = node
			break
		}
	}
	if form == nil {
		return nil, nil, nil
	}
	if action, err = url.Parse(attribute(form, "action")); err != nil {
		return nil, nil, err
	}
	fields = url.Values{}
	for node := range form.Descendants() {
		if node.Type != html.ElementNode || node.Data != "input" {
			continue
		}
		switch name := attribute(node, "name"); name {
		case "":
		case "username", "login":
			fields.Set(name, u.Name)
		case "password":
			fields.Set(name, u.Password)
		default:
			fields.Set(name, attribute(node, "value"))
		}
	}
	return action, fields, nil
}

func attribute(node *html.Node, name string) string {
	for _, a := range node.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}
