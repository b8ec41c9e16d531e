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

package doctor

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	apiversion "k8s.io/apimachinery/pkg/version"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/cert"

	"github.com/gatehouse-dev/gatehouse/pkg/files"
)

const (
	// dialTimeout bounds a connection on this machine.
	dialTimeout = 2 * time.Second
	// mostBody bounds what is read of a response.
	mostBody = 1 << 20
	// mostSkew is the difference of two clocks from which tokens and certificates that are new fail.
	mostSkew = 30 * time.Second
)

// config reads the administrator's kubeconfig. The error contains nothing of the file.
func (s *Standalone) config() (*rest.Config, error) {
	path := filepath.Join(s.DataDir, s.Kubeconfig)
	data, err := files.ReadTrusted(path)
	if err != nil {
		return nil, err
	}
	config, err := clientcmd.RESTConfigFromKubeConfig(data)
	if err != nil {
		return nil, fmt.Errorf("%s is damaged", path)
	}
	if _, err := url.ParseRequestURI(config.Host); err != nil {
		return nil, fmt.Errorf("%s has no URL of a server", path)
	}
	return config, nil
}

func (s *Standalone) adminKubeconfig(context.Context) []Finding {
	config, err := s.config()
	if errors.Is(err, fs.ErrNotExist) {
		if s.aggregated() {
			return []Finding{ok("there is none: the server is one of the aggregated mode")}
		}
		if s.databaseSize() == 0 {
			return []Finding{ok("there is none yet: the first start writes it")}
		}
		return []Finding{broken("", "%s is missing", filepath.Join(s.DataDir, s.Kubeconfig))}
	}
	if err != nil {
		return []Finding{untrusted(err)}
	}
	var found []Finding
	own, err := files.ReadFile(filepath.Join(s.certificateDir(), "ca.crt"))
	if err == nil && !bytes.Equal(bytes.TrimSpace(own), bytes.TrimSpace(config.CAData)) {
		found = append(found, broken("", "the authority in the administrator's kubeconfig is not that in %s", filepath.Join(s.certificateDir(), "ca.crt")))
	}
	pair, err := tls.X509KeyPair(config.CertData, config.KeyData)
	if err != nil {
		return append(found, broken("", "the administrator's kubeconfig has no client certificate with its key"))
	}
	if f := expiry("the administrator's client certificate", "", pair.Leaf, s.Clock.Now()); f.Status != OK {
		found = append(found, f)
	}
	if authorities, err := cert.ParseCertsPEM(own); err == nil && pair.Leaf.CheckSignatureFrom(authorities[0]) != nil {
		found = append(found, broken("", "the administrator's client certificate was signed by another authority than that in %s", filepath.Join(s.certificateDir(), "ca.crt")))
	}
	if f, wrong := s.named(config); wrong {
		found = append(found, f)
	}
	return orOK(found, "%s, with this server's authority, until %s", config.Host, stamp(pair.Leaf.NotAfter))
}

// named reports whether the serving certificate is not valid for the server of the kubeconfig.
func (s *Standalone) named(config *rest.Config) (Finding, bool) {
	content, err := files.ReadFile(filepath.Join(s.certificateDir(), "serving.crt"))
	if err != nil {
		return Finding{}, false // a finding of another check
	}
	certs, err := cert.ParseCertsPEM(content)
	if err != nil {
		return Finding{}, false // a finding of another check
	}
	u, err := url.Parse(config.Host)
	if err != nil || certs[0].VerifyHostname(u.Hostname()) == nil {
		return Finding{}, false
	}
	return broken("start the server with --tls-san="+u.Hostname()+", or restart it, which writes the kubeconfig again", "the kubeconfig names the server %s, for which the serving certificate is not valid", u.Hostname()), true
}

func (s *Standalone) port(ctx context.Context) []Finding {
	if s.runs() {
		return []Finding{ok("in use by the server")}
	}
	address := s.Listen
	if address == "" {
		config, err := s.config()
		if err != nil {
			return []Finding{ok("not known before the first start")}
		}
		u, err := url.Parse(config.Host)
		if err != nil || u.Port() == "" {
			return []Finding{ok("not known: the kubeconfig names no port")}
		}
		if !ofThisMachine(u.Hostname()) {
			return []Finding{ok("not checked: %s is no address of this machine", u.Hostname())}
		}
		address = u.Host
	}
	conn, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "tcp", address)
	if err != nil {
		return []Finding{ok("nothing listens on %s", address)}
	}
	_ = conn.Close()
	return []Finding{broken("", "another process listens on %s, and no server runs in the directory, so none can start", address)}
}

// ofThisMachine reports whether the host is an address of this machine.
func ofThisMachine(host string) bool {
	ip := net.ParseIP(host)
	if host == "localhost" || ip.IsLoopback() {
		return true
	}
	addresses, err := net.InterfaceAddrs()
	if err != nil || ip == nil {
		return false
	}
	for _, address := range addresses {
		if network, is := address.(*net.IPNet); is && network.IP.Equal(ip) {
			return true
		}
	}
	return false
}

// answer is a response of a server.
type answer struct {
	code   int
	body   []byte
	date   time.Time // zero if the server sends none
	served *x509.Certificate
}

// get sends one request. The body is bounded.
func get(ctx context.Context, config *rest.Config, path string) (*answer, error) {
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, errors.New("the kubeconfig cannot be used: its certificates or keys are damaged")
	}
	defer client.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(config.Host, "/")+path, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/json, */*")
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	a := &answer{code: response.StatusCode}
	if a.body, err = io.ReadAll(io.LimitReader(response.Body, mostBody)); err != nil {
		return nil, err
	}
	a.date, _ = http.ParseTime(response.Header.Get("Date"))
	if response.TLS != nil && len(response.TLS.PeerCertificates) > 0 {
		a.served = response.TLS.PeerCertificates[0]
	}
	return a, nil
}

func (s *Standalone) server(ctx context.Context) []Finding {
	if !s.runs() {
		return []Finding{ok("no server runs in the directory")}
	}
	if s.aggregated() {
		return []Finding{ok("not checked: run this command with --mode=aggregated, too")}
	}
	config, err := s.config()
	if err != nil {
		return []Finding{broken("", "a server uses the directory, and its kubeconfig is missing or damaged")}
	}
	a, err := get(ctx, config, "/readyz?verbose")
	if refused := (*tls.CertificateVerificationError)(nil); errors.As(err, &refused) {
		return []Finding{broken("restart the server, which serves the certificate of its directory; if another process listens there, stop it", "%s serves a certificate that the kubeconfig does not accept: %v", config.Host, refused.Err)}
	} else if err != nil {
		return []Finding{broken("", "a process uses the directory, and %s does not respond: %v", config.Host, reason(err))}
	}
	var found []Finding
	if a.served != nil {
		if f := expiry("the certificate that "+config.Host+" serves", "restart the server, which renews it", a.served, s.Clock.Now()); f.Status != OK {
			found = append(found, f)
		}
	}
	if a.code == http.StatusUnauthorized || a.code == http.StatusForbidden {
		return append(found, broken("restart the server, which writes the kubeconfig again", "%s does not accept the administrator's kubeconfig (%d)", config.Host, a.code))
	}
	found = append(found, notReady(a)...)
	return orOK(found, "%s responds and is ready", config.Host)
}

// notReady returns the failed checks and the notes of /readyz?verbose.
func notReady(a *answer) []Finding {
	var found []Finding
	var failed []string
	for line := range strings.Lines(string(a.body)) {
		line = strings.TrimSpace(line)
		if check, is := strings.CutPrefix(line, "[-]"); is {
			check, _, _ = strings.Cut(check, " ")
			failed = append(failed, check)
		}
		if note, is := strings.CutPrefix(line, "[!]"); is {
			found = append(found, warning("cure what the message names (docs/debugging.md)", "the server serves, but %s", note))
		}
	}
	if len(failed) > 0 {
		found = append(found, broken("read the server's log, which has the reasons; if etcd is among them, see its line", "the server is not ready: %s failed", some(failed, ", ")))
	}
	if a.code != http.StatusOK && len(failed) == 0 {
		found = append(found, broken("", "/readyz responds with %d", a.code))
	}
	return found
}

// reason returns an error without the URL that net/http adds.
func reason(err error) error {
	if u := (*url.Error)(nil); errors.As(err, &u) {
		return u.Err
	}
	return err
}

func (s *Standalone) version(ctx context.Context) []Finding {
	if !s.runs() || s.aggregated() {
		return []Finding{ok("this program is Gatehouse %s", s.Version)}
	}
	config, err := s.config()
	if err != nil {
		return []Finding{broken("", "the kubeconfig cannot be read")}
	}
	a, err := get(ctx, config, "/version")
	if err != nil {
		return []Finding{broken("", "the version of the server cannot be read: %v", reason(err))}
	}
	served := product(a.body)
	if served != s.Version {
		return []Finding{warning("", "the server is Gatehouse %s, and this program is %s", served, s.Version)}
	}
	return []Finding{ok("server and program are Gatehouse %s", served)}
}

// product returns the version of Gatehouse in a response of /version.
func product(body []byte) string {
	var info apiversion.Info
	if json.Unmarshal(body, &info) == nil {
		if _, ours, is := strings.Cut(info.GitVersion, "+gatehouse."); is {
			return "v" + ours
		}
	}
	return "unknown (built without make)"
}
