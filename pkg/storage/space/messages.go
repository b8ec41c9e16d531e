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
	"fmt"

	"github.com/gatehouse-dev/gatehouse/pkg/storage"
)

// The cures are part of responses to clients, so they contain no path and no address.
const (
	embeddedCure = "delete objects that are not needed, and the server makes space by itself as soon as objects take less than 80 % of the quota; \"gatehouse storage top\" on the machine of the server shows what takes it; or restart the server with a larger --etcd-quota-bytes"
	externalCure = "delete objects that are not needed, then run \"gatehouse storage compact\" and \"gatehouse storage defrag\" with the --etcd-servers of the server; \"gatehouse storage top\" shows what takes it; or raise --quota-backend-bytes of etcd and disarm the alarm"
	// keptByFinalizers is for the alarm of etcd only.
	keptByFinalizers = " Deletes continue; objects with finalizers remain for now, because the removal of a finalizer is a write"
)

// quotaFull describes a database at its quota, and the cure.
func (s *Server) quotaFull() string {
	text := "the database has reached its quota"
	if last := s.last.Load(); last != nil && last.quota > 0 {
		text += " of " + Bytes(last.quota)
	} else if s.local != nil {
		_, quota := s.local.Size()
		text += " of " + Bytes(quota)
	}
	text += " (the disk is not full)"
	if largest := s.largest(); largest != "" {
		text += "; most of it is " + largest
	}
	text += ". Cure: " + s.cure()
	if s.full.Load() {
		text += "." + keptByFinalizers
	}
	return text
}

func (s *Server) cure() string {
	if s.local != nil {
		return embeddedCure
	}
	return externalCure
}

// largest names the three resources that take most; empty before the first count.
func (s *Server) largest() string {
	if usage := s.usage.Load(); usage != nil {
		return usage.Largest()
	}
	return ""
}

// nearCure is the cure of a database that is nearly full.
func (s *Server) nearCure() string {
	if s.local != nil {
		return "delete objects, or restart the server, which defragments the database, or restart it with a larger --etcd-quota-bytes"
	}
	return "delete objects, run \"gatehouse storage defrag\" with the --etcd-servers of the server, or raise --quota-backend-bytes of etcd"
}

// nearlyFull describes a database that is nearly full.
func (s *Server) nearlyFull(seen observation) string {
	text := fmt.Sprintf("the database of etcd has %s of its quota of %s, and %s of that are in use", Bytes(seen.size), Bytes(seen.quota), Bytes(seen.inUse))
	if largest := s.largest(); largest != "" {
		text += "; most of it is " + largest
	}
	return text + ". At the quota, writes are refused. Cure: " + s.nearCure()
}

// diskFull describes a disk that is nearly full, and the cure.
func diskFull(free int64) string {
	return fmt.Sprintf("the disk of the server's data directory is full: %s are free, creates need %s and updates %s (the quota of the database is not the reason). Cure: free space on that disk, or move the data directory to a larger one; deletes of objects continue and free no space on the disk",
		Bytes(free), Bytes(createsNeedDisk), Bytes(updatesNeedDisk))
}

var _ storage.Space = (*Server)(nil)
