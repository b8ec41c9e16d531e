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

// Package cluster starts what the faults are played on: a server with its embedded etcd, or several
// servers with an etcd of one, three or five members.
package cluster

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/gatehouse-dev/gatehouse/test/robustness/api"
	"github.com/gatehouse-dev/gatehouse/test/robustness/machine"
)

// Programs are the paths of programs. Failpoints is the directory with those that have failpoints;
// empty without. Old is an older gatehouse.
type Programs struct {
	Gatehouse, Etcd, Failpoints, Old string
}

// Shape is the kind and size of a cluster.
type Shape struct {
	// Members is the number of members that store the data.
	Members int
	// Replicas is the number of servers over an external etcd; 0 means embedded etcd.
	Replicas int
	// Disks puts the data of each member on a disk of its own.
	Disks bool
	// Failpoints runs the members' programs with failpoints.
	Failpoints bool
	// EtcdArgs are more arguments of external members, and Args of servers.
	EtcdArgs, Args []string
	// Old begins with the older program.
	Old bool
}

// Short returns the shape in a word.
func (s Shape) Short() string {
	switch {
	case s.Replicas > 0:
		return fmt.Sprintf("etcd-%d", s.Members)
	case s.Members > 1:
		return fmt.Sprintf("embedded-%d", s.Members)
	}
	return "lone"
}

// String returns the shape in words.
func (s Shape) String() string {
	switch {
	case s.Replicas > 0:
		return fmt.Sprintf("%d over an etcd of %d", s.Replicas, s.Members)
	case s.Members > 1:
		return fmt.Sprintf("%d embedded", s.Members)
	}
	return "1 embedded"
}

// Cluster is a running cluster.
type Cluster struct {
	Shape
	// Storage has the members, and Servers what serves the API: the same nodes if etcd is embedded.
	Storage, Servers []*Node
	Network          *machine.Network
	// TLS has the administrator's credentials.
	TLS *tls.Config

	programs Programs
	dir      string
	disks    []*machine.Disk
}

// Start starts a cluster whose files are in dir. The caller calls Close, also after an error.
func Start(ctx context.Context, dir string, programs Programs, shape Shape) (*Cluster, error) {
	c := &Cluster{Shape: shape, Network: machine.NewNetwork(), programs: programs, dir: dir}
	if shape.Replicas == 0 {
		return c, c.startEmbedded(ctx)
	}
	if err := c.startEtcd(ctx); err != nil {
		return c, err
	}
	return c, c.startReplicas(ctx)
}

// Close ends all processes and removes the disks.
func (c *Cluster) Close() error {
	var errs []error
	for _, node := range append(c.Servers, c.Storage...) {
		if node.process != nil {
			errs = append(errs, node.Continue(), node.Kill())
		}
	}
	c.Network.Close()
	for _, disk := range c.disks {
		errs = append(errs, disk.Close())
	}
	return errors.Join(errs...)
}

// node returns a node that is not started.
func (c *Cluster) node(name, program string, failpoints bool) (*Node, error) {
	n := &Node{Name: name, Program: program, DataDir: filepath.Join(c.dir, name), log: c.Log(name)}
	if failpoints {
		if c.programs.Failpoints == "" {
			return nil, errors.New("there are no programs with failpoints: run test/robustness/failpoints.sh, and name its directory by -failpoints")
		}
		n.Program = filepath.Join(c.programs.Failpoints, filepath.Base(program))
		address, err := freeAddress()
		if err != nil {
			return nil, err
		}
		n.Failpoints = address
	}
	return n, nil
}

// mount puts the node's data on a disk of its own, if the shape has disks.
func (c *Cluster) mount(n *Node) error {
	if !c.Disks {
		return nil
	}
	disk, err := machine.NewDisk(n.DataDir)
	if err != nil {
		return err
	}
	n.Disk = disk
	c.disks = append(c.disks, disk)
	n.DataDir = filepath.Join(disk.Dir, "data")
	return nil
}

// server returns a node that serves the API.
func (c *Cluster) server(name string, failpoints bool, args ...string) (*Node, error) {
	program := c.programs.Gatehouse
	if c.Old {
		program = c.programs.Old
	}
	n, err := c.node(name, program, failpoints)
	if err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	if err := c.mount(n); err != nil {
		return nil, err
	}
	n.URL = "https://" + address
	n.Args = append(append([]string{"up", "--data-dir", n.DataDir, "--listen", address}, args...), c.Args...)
	n.ready = func(ctx context.Context) error {
		if c.TLS == nil {
			credentials, err := api.TLS(filepath.Join(n.DataDir, "kubeconfig"))
			if err != nil {
				return err
			}
			c.TLS = credentials
		}
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		_, err := c.read(ctx, n, "/readyz")
		return err
	}
	c.Servers = append(c.Servers, n)
	return n, nil
}

// read reads a path of a server as the administrator.
func (c *Cluster) read(ctx context.Context, n *Node, path string) (string, error) {
	client := api.New(n.Name, n.URL, c.TLS, nil)
	defer client.Close()
	return client.Read(ctx, path)
}

// Run runs a command of gatehouse that ends by itself, and returns its output.
func (c *Cluster) Run(ctx context.Context, args ...string) (string, error) {
	output, err := exec.CommandContext(ctx, c.programs.Gatehouse, args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("gatehouse %s: %w: %s", strings.Join(args, " "), err, output)
	}
	return string(output), nil
}

// Log returns the path of a log in the directory of the cluster.
func (c *Cluster) Log(name string) string { return filepath.Join(c.dir, name+".log") }

// Upgrade has the next start of a node run the current program.
func (c *Cluster) Upgrade(n *Node) { n.Program = c.programs.Gatehouse }

// startEtcd starts the members of an external etcd, with a network between them.
func (c *Cluster) startEtcd(ctx context.Context) error {
	var initial []string
	for i := range c.Members {
		n, err := c.node(fmt.Sprintf("etcd-%d", i+1), c.programs.Etcd, c.Failpoints)
		if err != nil {
			return err
		}
		if err := c.mount(n); err != nil {
			return err
		}
		client, err := freeAddress()
		if err != nil {
			return err
		}
		peer, err := freeAddress()
		if err != nil {
			return err
		}
		proxy, err := c.Network.Connect(n.Name, peer, n.PID)
		if err != nil {
			return err
		}
		n.URL = "http://" + client
		n.ready = func(ctx context.Context) error {
			_, err := n.etcdStatus(ctx)
			return err
		}
		n.Args = append([]string{
			"--name", n.Name, "--data-dir", n.DataDir, "--log-level", "warn",
			"--listen-client-urls", n.URL, "--advertise-client-urls", n.URL,
			"--listen-peer-urls", "http://" + peer, "--initial-advertise-peer-urls", "http://" + proxy,
		}, c.EtcdArgs...)
		initial = append(initial, n.Name+"=http://"+proxy)
		c.Storage = append(c.Storage, n)
	}
	for _, n := range c.Storage {
		n.Args = append(n.Args, "--initial-cluster", strings.Join(initial, ","))
		if err := n.Launch(); err != nil {
			return err
		}
	}
	for _, n := range c.Storage {
		if err := n.WaitReady(ctx); err != nil {
			return err
		}
	}
	return nil
}

// startReplicas starts the servers over the external etcd. All have the keys of the first one.
func (c *Cluster) startReplicas(ctx context.Context) error {
	var endpoints []string
	for _, n := range c.Storage {
		endpoints = append(endpoints, n.URL)
	}
	disks := c.Disks
	c.Disks = false // servers have no data
	defer func() { c.Disks = disks }()
	for i := range c.Replicas {
		n, err := c.server(fmt.Sprintf("server-%d", i+1), false, "--etcd-servers", strings.Join(endpoints, ","))
		if err != nil {
			return err
		}
		if i > 0 {
			if err := os.CopyFS(filepath.Join(n.DataDir, "pki"), os.DirFS(filepath.Join(c.Servers[0].DataDir, "pki"))); err != nil {
				return err
			}
			if err := Private(n.DataDir); err != nil {
				return err
			}
		}
		if err := n.Start(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Private gives copied files the modes that the server demands.
func Private(dir string) error {
	return filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return os.Chmod(path, 0o700)
		}
		return os.Chmod(path, 0o600)
	})
}

// Ports are below those that the kernel gives to outgoing connections, so that none takes the port of
// a process that is down.
const firstPort, ports = 20_000, 12_000

// freeAddress returns a loopback address with a free port.
func freeAddress() (string, error) {
	for {
		address := fmt.Sprintf("127.0.0.1:%d", firstPort+rand.IntN(ports))
		listener, err := net.Listen("tcp", address)
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		if err != nil {
			return "", err
		}
		return address, listener.Close()
	}
}
