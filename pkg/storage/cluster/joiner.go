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

package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse-dev/gatehouse/pkg/certificates"
	"github.com/gatehouse-dev/gatehouse/pkg/files"
	"github.com/gatehouse-dev/gatehouse/pkg/storage/embedded"
)

const (
	// EncryptionName is the file of the encryption configuration that a joiner receives.
	EncryptionName = "encryption.yaml"

	// joinRetry is the interval between two requests, and joinPatience bounds all of them.
	joinRetry    = 500 * time.Millisecond
	joinPatience = 5 * time.Minute
	// joinRequestTimeout is longer than that of the queue of the server.
	joinRequestTimeout = joinTimeout + 10*time.Second
	// maxAnswer bounds the response: it has keys, certificates, and an encryption configuration.
	maxAnswer = 4 << 20
)

// Joiner joins the server of a data directory to a cluster.
type Joiner struct {
	// URL is that of a server of the cluster, and Token that of an invitation.
	URL   string
	Token Token
	// DataDir, CertificateDir and EtcdDir are those of this server.
	DataDir, CertificateDir, EtcdDir string
	// Name is that of this member. PeerURL may be empty: the address from which this machine reaches the server is
	// used, at the default port. Its port may be 0.
	Name, PeerURL, PeerListen string
}

// Join asks for membership and installs what the server answers. It returns nil without an answer if the data
// directory is a member already, or is one that continues an interrupted start. The caller holds the lock of the
// data directory, and etcd does not run.
func (j Joiner) Join(ctx context.Context) (*Joined, error) {
	state, err := Load(j.DataDir)
	if err != nil {
		return nil, err
	}
	if state != nil && (!state.Joining() || state.Invitation == j.Token.ID) {
		return nil, nil
	}
	if state != nil {
		// It was invited before and has never voted, so its data is that of the others.
		if _, err := Reset(j.DataDir, j.EtcdDir); err != nil {
			return nil, err
		}
	}
	if _, err := os.Stat(filepath.Join(j.EtcdDir, "member")); err == nil {
		return nil, fmt.Errorf("the data directory %s has data already, which a join would replace: name a new directory with --data-dir, or put the data aside with \"gatehouse member reset\"", j.DataDir)
	} else if !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if err := j.choosePeer(ctx); err != nil {
		return nil, err
	}
	request, err := certificates.RequestPeer(j.CertificateDir)
	if err != nil {
		return nil, err
	}
	joined, err := j.ask(ctx, JoinRequest{Name: j.Name, PeerURL: j.PeerURL, Request: request})
	if err != nil {
		return nil, err
	}
	return joined, j.install(joined)
}

// choosePeer sets the peer URL. An interrupted join has kept it, so that it is the same in the next one.
func (j *Joiner) choosePeer(ctx context.Context) error {
	wanted := filepath.Join(j.DataDir, "joining.json")
	if data, err := files.ReadFile(wanted); err == nil {
		kept := State{}
		if json.Unmarshal(data, &kept) == nil && kept.Invitation == j.Token.ID {
			j.PeerURL = kept.PeerURL
			return nil
		}
	}
	if j.PeerURL == "" {
		host, err := j.ownAddress(ctx)
		if err != nil {
			return err
		}
		j.PeerURL = "https://" + net.JoinHostPort(host, fmt.Sprint(DefaultPeerPort))
	}
	u, err := url.Parse(j.PeerURL)
	if err != nil {
		return fmt.Errorf("--peer-url: %w", err)
	}
	listen := j.PeerListen
	if listen == "" {
		listen = u.Host
	}
	found, err := embedded.Reserve(listen)
	if err != nil {
		return fmt.Errorf("--peer-url, --peer-listen: listening for the other members: %w: name an address of this machine and a free port", err)
	}
	if _, port, _ := net.SplitHostPort(found); u.Port() == "0" {
		j.PeerURL = "https://" + net.JoinHostPort(u.Hostname(), port)
	}
	data, err := json.Marshal(State{Name: j.Name, PeerURL: j.PeerURL, Invitation: j.Token.ID})
	if err != nil {
		return err
	}
	return files.Replace(wanted, data, 0o600)
}

// ownAddress returns the address of this machine on the way to the server.
func (j *Joiner) ownAddress(ctx context.Context) (string, error) {
	u, err := url.Parse(j.URL)
	if err != nil {
		return "", fmt.Errorf("--join: %w", err)
	}
	conn, err := (&net.Dialer{Timeout: memberTimeout}).DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return "", fmt.Errorf("--join: %w: start that server, or correct the URL", err)
	}
	defer conn.Close()
	host, _, err := net.SplitHostPort(conn.LocalAddr().String())
	return host, err
}

// ask sends the request until it is answered or refused.
func (j *Joiner) ask(ctx context.Context, r JoinRequest) (*Joined, error) {
	ctx, cancel := context.WithTimeout(ctx, joinPatience)
	defer cancel()
	u, err := url.Parse(j.URL)
	if err != nil {
		return nil, fmt.Errorf("--join: %w", err)
	}
	transport := &http.Transport{TLSClientConfig: j.Token.tlsConfig(u.Hostname()), TLSHandshakeTimeout: memberTimeout * 5}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: joinRequestTimeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for {
		joined, retry, err := j.once(ctx, client, u, r)
		if err == nil || !retry {
			return joined, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(joinRetry):
		}
	}
}

// once sends one request. retry is true if another one may succeed.
func (j *Joiner) once(ctx context.Context, client *http.Client, u *url.URL, r JoinRequest) (joined *Joined, retry bool, err error) {
	body, err := json.Marshal(r)
	if err != nil {
		return nil, false, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, u.JoinPath(JoinPath).String(), bytes.NewReader(body))
	if err != nil {
		return nil, false, fmt.Errorf("--join: %w", err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+j.Token.bearer())
	response, err := client.Do(request)
	if err != nil {
		var dialing *net.OpError
		// A server that restarts is asked again; a certificate that is refused is not.
		return nil, errors.As(err, &dialing) && dialing.Op != "remote error" && ctx.Err() == nil, fmt.Errorf("--join: %w", unwrapURL(err))
	}
	defer response.Body.Close()
	data, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return nil, true, fmt.Errorf("--join: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return nil, response.StatusCode == http.StatusServiceUnavailable || response.StatusCode == http.StatusTooManyRequests, j.refused(response.StatusCode, data)
	}
	joined = &Joined{}
	if err := json.Unmarshal(data, joined); err != nil {
		return nil, false, fmt.Errorf("--join: the server answers with something else than a membership: %w", err)
	}
	return joined, false, nil
}

func unwrapURL(err error) error {
	if outer := (*url.Error)(nil); errors.As(err, &outer) {
		return outer.Err
	}
	return err
}

// refused returns the error of a response.
func (j *Joiner) refused(code int, data []byte) error {
	status := metav1.Status{}
	_ = json.Unmarshal(data, &status)
	switch {
	case code == http.StatusUnauthorized:
		return fmt.Errorf("--token: the server refuses it: it has expired, or was evicted; run \"gatehouse member invite\" again")
	case code == http.StatusNotFound && status.Message == "":
		return fmt.Errorf("--join=%s: there is no server of Gatehouse with an embedded etcd at this URL", j.URL)
	}
	return fmt.Errorf("--join=%s: the server refuses: %s", j.URL, status.Message)
}

// install writes what the server answered. The state is last: without it the directory is no member, and the
// next start asks again.
func (j *Joiner) install(joined *Joined) error {
	if len(joined.Peers) == 0 {
		return errors.New("--join: the server answers without other members")
	}
	if err := certificates.InstallShared(j.CertificateDir, joined.Shared); err != nil {
		return err
	}
	if len(joined.Encryption) > 0 {
		if err := files.Replace(filepath.Join(j.DataDir, EncryptionName), joined.Encryption, 0o600); err != nil {
			return err
		}
	}
	state := State{Name: j.Name, PeerURL: j.PeerURL, PeerListen: j.PeerListen, Invitation: j.Token.ID, Peers: joined.Peers}
	if err := state.Save(j.DataDir); err != nil {
		return err
	}
	_ = os.Remove(filepath.Join(j.DataDir, "joining.json"))
	return certificates.RemoveRequest(j.CertificateDir)
}
