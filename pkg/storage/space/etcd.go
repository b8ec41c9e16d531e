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

package space

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/gatehouse-dev/gatehouse/pkg/storage"
)

const (
	// memberTimeout bounds a request to one member that needs neither the disk nor other members.
	memberTimeout = 5 * time.Second

	// inProcess stands for the member in this process where other members have a URL.
	inProcess = ""
)

// Etcd is a client of each member of an etcd.
type Etcd struct {
	to storage.Connection
	// peers is set for an embedded etcd: its members have etcd's API at their URLs for peers.
	peers bool
	// defragment rewrites the database of a member.
	defragment func(context.Context, Member) error

	mu      sync.Mutex
	clients map[string]*clientv3.Client
}

// inThisProcess returns an Etcd that calls the functions of the member in this process. Other members are not reached.
func inThisProcess(local Local) *Etcd {
	return &Etcd{
		to:         storage.Connection{Endpoints: []string{inProcess}},
		clients:    map[string]*clientv3.Client{inProcess: local.NewClient()},
		defragment: func(context.Context, Member) error { return local.Defragment() },
	}
}

// Connect returns an Etcd with the endpoints of a connection. It does not wait for a response.
func Connect(ctx context.Context, to storage.Connection) (*Etcd, error) {
	e := &Etcd{to: to, clients: map[string]*clientv3.Client{}}
	e.defragment = e.request
	for _, endpoint := range to.Endpoints {
		if _, err := e.client(ctx, endpoint); err != nil {
			e.Close()
			return nil, err
		}
	}
	return e, nil
}

// Close closes the clients.
func (e *Etcd) Close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, client := range e.clients {
		_ = client.Close()
	}
}

// client returns the client of one endpoint.
func (e *Etcd) client(ctx context.Context, endpoint string) (*clientv3.Client, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if client := e.clients[endpoint]; client != nil {
		return client, nil
	}
	config, err := e.at(endpoint).ClientConfig(ctx)
	if err != nil {
		return nil, err
	}
	config.Logger = zap.NewNop() // the callers report the errors
	client, err := clientv3.New(config)
	if err == nil {
		e.clients[endpoint] = client
	}
	return client, err
}

// at returns the connection to one endpoint, with the TLS files if it needs them.
func (e *Etcd) at(endpoint string) storage.Connection {
	if !strings.HasPrefix(endpoint, "https:") {
		return storage.Connection{Endpoints: []string{endpoint}}
	}
	one := e.to
	one.Endpoints = []string{endpoint}
	return one
}

// any returns the client of the first endpoint. gRPC does not send requests to others.
func (e *Etcd) any(ctx context.Context) (*clientv3.Client, error) {
	return e.client(ctx, e.to.Endpoints[0])
}

// Member is a member of etcd and the space of its database, in bytes.
type Member struct {
	ID       uint64
	Name     string
	Endpoint string
	Version  string
	// Leader and Learner exclude each other; other members are followers.
	Leader, Learner bool
	// Size is that of the file, and InUse the part of it that a defragmentation keeps.
	Size, InUse int64
	// Quota is the size from which etcd refuses writes; 0 if the member does not report it (before etcd 3.6).
	Quota int64
	// NoSpace is set if the alarm of a full database is set for this member. One such member suffices for all
	// to refuse writes. Corrupt is set if the member has found its data to be inconsistent.
	NoSpace, Corrupt bool
	// Elsewhere is set for a member that is reached only by a socket on another machine.
	Elsewhere bool
	// Err is the reason for which the member does not respond or has no leader; nil for none.
	Err error

	applied, committed uint64
	// alarms are the members with the alarm of a full database, as this member knows them.
	alarms []uint64
}

// Role returns leader, follower or learner.
func (m *Member) Role() string {
	switch {
	case m.Leader:
		return "leader"
	case m.Learner:
		return "learner"
	}
	return "follower"
}

// errElsewhere is the error of a member that listens on a socket of another machine only.
var errElsewhere = errors.New("its socket is on another machine: run the command there")

// Members asks all members of the cluster, at the given endpoints and at those that members advertise. It returns an
// error if none responds.
func (e *Etcd) Members(ctx context.Context) ([]Member, error) {
	found := e.ask(ctx, e.to.Endpoints)
	var all []Member
	var errs []error
	var listed []*etcdserverpb.Member
	for _, m := range found {
		if m.Err != nil && m.ID == 0 {
			errs = append(errs, fmt.Errorf("%s: %w", m.Endpoint, m.Err))
			continue
		}
		if !slices.ContainsFunc(all, func(other Member) bool { return other.ID == m.ID }) {
			all = append(all, m)
		}
		if listed == nil {
			listed = e.list(ctx, m.Endpoint)
		}
	}
	if len(all) == 0 {
		return nil, errors.Join(append([]error{errors.New("no member of etcd responds")}, errs...)...)
	}
	for _, member := range listed {
		i := slices.IndexFunc(all, func(other Member) bool { return other.ID == member.GetID() })
		if i < 0 {
			all = append(all, e.other(ctx, member))
			i = len(all) - 1
		}
		all[i].Name, all[i].Learner = member.GetName(), member.GetIsLearner()
	}
	slices.SortFunc(all, func(a, b Member) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	spread(all)
	return all, nil
}

// list returns the members of the cluster according to one of them; empty from a learner, which does not have it.
func (e *Etcd) list(ctx context.Context, endpoint string) []*etcdserverpb.Member {
	client, err := e.client(ctx, endpoint)
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, memberTimeout)
	defer cancel()
	response, err := client.MemberList(ctx, clientv3.WithSerializable())
	if err != nil {
		return nil
	}
	return response.Members
}

// other returns a member at which no given endpoint responded.
func (e *Etcd) other(ctx context.Context, member *etcdserverpb.Member) Member {
	urls := member.GetClientURLs()
	if e.to.Endpoints[0] == inProcess {
		return Member{ID: member.GetID(), Elsewhere: true, Err: errElsewhere}
	}
	if e.peers {
		urls = member.GetPeerURLs()
	}
	responses := e.ask(ctx, urls)
	for _, m := range responses {
		if m.ID == member.GetID() {
			return m
		}
	}
	m := Member{ID: member.GetID(), Err: errors.New("it has not started: it advertises no URL for clients")}
	if len(responses) > 0 {
		m.Endpoint, m.Err = responses[0].Endpoint, cmp.Or(responses[0].Err, errors.New("another member responds at "+responses[0].Endpoint))
		// A lone embedded etcd that has grown advertises its socket until it starts again.
		path, unix := strings.CutPrefix(m.Endpoint, "unix://")
		if _, err := os.Stat(path); unix && errors.Is(err, fs.ErrNotExist) {
			m.Elsewhere, m.Err = true, errElsewhere
		}
	}
	return m
}

// ask asks at all endpoints at the same time.
func (e *Etcd) ask(ctx context.Context, endpoints []string) []Member {
	members := make([]Member, len(endpoints))
	var asking sync.WaitGroup
	for i, endpoint := range endpoints {
		asking.Go(func() {
			status, err := e.status(ctx, endpoint)
			if err != nil {
				members[i] = Member{Endpoint: endpoint, Err: err}
				return
			}
			members[i] = describe(endpoint, status)
		})
	}
	asking.Wait()
	return members
}

func (e *Etcd) status(ctx context.Context, endpoint string) (*etcdserverpb.StatusResponse, error) {
	client, err := e.client(ctx, endpoint)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, memberTimeout)
	defer cancel()
	if endpoint == inProcess {
		response, err := client.Status(ctx, endpoint)
		return (*etcdserverpb.StatusResponse)(response), err
	}
	conn := client.ActiveConnection()
	conn.ResetConnectBackoff() // after failures, gRPC would wait for minutes before it connects again
	status, err := etcdserverpb.NewMaintenanceClient(conn).Status(ctx, &etcdserverpb.StatusRequest{})
	if err == nil {
		return status, nil
	}
	// gRPC often names neither the endpoint nor the reason.
	return nil, cmp.Or(storage.CheckReachable(context.WithoutCancel(ctx), e.at(endpoint)), err)
}

// describe returns a member by its status.
func describe(endpoint string, status *etcdserverpb.StatusResponse) Member {
	m := Member{
		ID: status.GetHeader().GetMemberId(), Endpoint: endpoint, Version: status.GetVersion(), Learner: status.GetIsLearner(),
		Size: status.GetDbSize(), InUse: status.GetDbSizeInUse(), Quota: status.GetDbSizeQuota(),
		applied: status.GetRaftAppliedIndex(), committed: status.GetRaftIndex(),
	}
	m.Leader = m.ID == status.GetLeader()
	var errs []error
	for _, text := range status.GetErrors() {
		id, alarm, is := storage.ParseAlarm(text)
		switch {
		case !is:
			errs = append(errs, errors.New(strings.TrimPrefix(text, "etcdserver: ")))
		case alarm == etcdserverpb.AlarmType_NOSPACE:
			m.NoSpace = m.NoSpace || id == m.ID
			m.alarms = append(m.alarms, id)
		case id == m.ID:
			m.Corrupt = true
		}
	}
	m.Err = errors.Join(errs...)
	return m
}

// spread sets the alarms of members that did not respond, which the others know.
func spread(all []Member) {
	for _, m := range all {
		for _, id := range m.alarms {
			for i := range all {
				all[i].NoSpace = all[i].NoSpace || all[i].ID == id
			}
		}
	}
}

// anyNoSpace reports whether etcd refuses writes because a database is full.
func anyNoSpace(all []Member) bool {
	return slices.ContainsFunc(all, func(m Member) bool { return m.NoSpace || len(m.alarms) > 0 })
}

// hex writes an ID as etcdctl does.
func hex(id uint64) string { return strconv.FormatUint(id, 16) }

// String returns the name and the ID.
func (m *Member) String() string { return strings.TrimSpace(m.Name + " " + hex(m.ID)) }
