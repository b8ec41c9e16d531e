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

package login

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

func TestValidateNamesEveryWrongFlag(t *testing.T) {
	writable := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(writable, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(writable, 0o666); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name  string
		wrong func(*Options)
		want  []string
	}{
		{"nothing", func(*Options) {}, nil},
		{"everything left out", func(o *Options) { *o = Options{} }, []string{"--issuer-url is required", "--client-id is required", "--redirect-host=", "--timeout=0s"}},
		{"a URL without TLS", func(o *Options) { o.Issuer = "http://sso.example.com" }, []string{"--issuer-url=http://sso.example.com: it must be an https URL"}},
		{"a URL with a query", func(o *Options) { o.Issuer += "?a=b" }, []string{"--issuer-url="}},
		{"a redirect to another machine", func(o *Options) { o.RedirectHost = "0.0.0.0" }, []string{"--redirect-host=0.0.0.0: it must be 127.0.0.1 or localhost"}},
		{"a port that does not exist", func(o *Options) { o.ListenPort = 65536 }, []string{"--listen-port=65536"}},
		{"an empty scope", func(o *Options) { o.Scopes = []string{"a", ""} }, []string{"--scopes: a scope is empty"}},
		{"two ways without a browser", func(o *Options) { o.Device, o.NoBrowser = true, true }, []string{"--device and --no-browser"}},
		{"a secret that others can write", func(o *Options) { o.ClientSecretFile = writable }, []string{"--client-secret-file: " + writable}},
		{"a secret that does not exist", func(o *Options) { o.ClientSecretFile = writable + "no" }, []string{"--client-secret-file: the file cannot be read"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := NewOptions()
			o.Issuer, o.ClientID = "https://sso.example.com", "gatehouse"
			tc.wrong(o)
			errs := o.Validate()
			if len(errs) != len(tc.want) {
				t.Fatalf("got %v", errs)
			}
			for i, want := range tc.want {
				if !strings.Contains(errs[i].Error(), want) {
					t.Errorf("got %v, want %s", errs[i], want)
				}
			}
		})
	}
}

func TestTheKubeconfigHasTheArgumentsOfTheLogin(t *testing.T) {
	o := &Options{
		Issuer: "https://sso.example.com", ClientID: "gatehouse", ClientSecretFile: "secret", Scopes: []string{"groups", "email"}, CAFile: "/ca.pem",
		RedirectHost: "localhost", ListenPort: 8000, NoBrowser: true, Timeout: time.Minute, CacheDir: "cache",
	}
	data, err := o.Kubeconfig(&clientcmdapi.Cluster{Server: "https://gatehouse.example.com:6443"}, "gatehouse", "gatehouse")
	if err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.RESTConfigFromKubeConfig(data)
	if err != nil {
		t.Fatal(err)
	}
	exec := config.ExecProvider
	if config.Host != "https://gatehouse.example.com:6443" || exec == nil || exec.Command != "gatehouse" || exec.APIVersion != "client.authentication.k8s.io/v1" || exec.InteractiveMode != clientcmdapi.IfAvailableExecInteractiveMode {
		t.Fatalf("got %s %+v", config.Host, exec)
	}
	if !slices.Equal(exec.Args[:2], []string{"user", "login"}) {
		t.Errorf("the command is %v", exec.Args)
	}
	read := NewOptions()
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	read.AddFlags(flags)
	if err := flags.Parse(exec.Args[2:]); err != nil {
		t.Fatal(err)
	}
	for _, path := range []*string{&o.ClientSecretFile, &o.CacheDir} {
		if *path, err = filepath.Abs(*path); err != nil {
			t.Fatal(err)
		}
	}
	want, got := flagsOf(o), flagsOf(read)
	if want != got {
		t.Errorf("the arguments mean\n%s\nwant\n%s", got, want)
	}
}

// flagsOf returns the values of all flags, so that a flag that the kubeconfig leaves out is found.
func flagsOf(o *Options) string {
	var text bytes.Buffer
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	copied := *o
	copied.AddFlags(flags)
	flags.VisitAll(func(flag *pflag.Flag) { text.WriteString(flag.Name + "=" + flag.DefValue + "\n") })
	return text.String()
}

func TestExecCredentials(t *testing.T) {
	for _, tc := range []struct{ name, info, want string }{
		{"the version of today", `{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","spec":{"interactive":false}}`, ""},
		{"an old version", `{"apiVersion":"client.authentication.k8s.io/v1beta1","kind":"ExecCredential"}`, "set users[].user.exec.apiVersion: client.authentication.k8s.io/v1"},
		{"another kind", `{"apiVersion":"client.authentication.k8s.io/v1","kind":"Pod"}`, "ExecCredential"},
		{"not JSON", `x`, "KUBERNETES_EXEC_INFO is not valid JSON"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := ValidateExecInfo(tc.info)
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v", err)
			}
		})
	}
	var out bytes.Buffer
	expiry := time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)
	if err := (Credential{Token: "t", Expiry: expiry}).WriteExec(&out); err != nil {
		t.Fatal(err)
	}
	want := `{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","spec":{"interactive":false},"status":{"expirationTimestamp":"2030-01-01T11:59:50Z","token":"t"}}`
	if out.String() != want+"\n" {
		t.Errorf("got %s", out.String())
	}
}

func TestACacheThatOthersCouldReadIsRefused(t *testing.T) {
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(t.TempDir(), link); err != nil {
		t.Fatal(err)
	}
	readable := filepath.Join(t.TempDir(), "readable")
	if err := os.Mkdir(readable, 0o750); err != nil {
		t.Fatal(err)
	}
	for name, dir := range map[string]string{"--cache-dir=" + link + ": " + link + " is a symbolic link": link, "chmod 700": readable} {
		o := &Options{CacheDir: dir}
		if _, err := o.openCache(); err == nil || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "--data-dir") {
			t.Errorf("%s: %v", dir, err)
		}
	}
}
